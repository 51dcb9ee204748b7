//! What an answer leads to: from the system to what is asked for, and to the change.

use super::{MAX_REQUESTS, Operation, Step};
use crate::kinds::Health;
use crate::link::{self, Path};
use crate::outcome::{FailureKind, Outcome};
use crate::request::{Auth, Request};
use crate::text::Text;

/// Where an operation goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Go {
    /// To another step, at once.
    To(Step),
    /// To the same step, at once.
    Same,
    /// To the same step, in so many milliseconds.
    Again(u32),
    /// It did what was asked.
    End(Outcome),
}

pub(super) type Next = Result<Go, FailureKind>;

impl Operation<'_> {
    pub(super) fn follow(&mut self, go: Next, now: u64) {
        if matches!(go, Ok(Go::To(_) | Go::Same)) {
            self.requests += 1;
            if self.requests > MAX_REQUESTS {
                self.fail(FailureKind::TooSlow);
                return;
            }
        }
        match go {
            Ok(Go::To(step)) => {
                self.redirects = 0;
                self.retries = 0;
                self.step = step;
                let open = matches!(step, Step::Root | Step::Session | Step::EndSession);
                if !open && self.lacks_session() {
                    self.resume = step;
                    self.step = Step::Root;
                }
                self.begin(now);
            }
            Ok(Go::Same) => self.begin(now),
            Ok(Go::Again(pause)) => self.not_before = now.saturating_add(pause.max(1).into()),
            Ok(Go::End(outcome)) => self.end_with(Ok(outcome)),
            Err(kind) => self.fail(kind),
        }
    }

    pub(super) fn lacks_session(&self) -> bool {
        self.target.auth == Auth::Session && self.bmc.session.is_none()
    }

    /// Takes the link that was read, if there is one.
    pub(super) fn link(&self) -> Result<Option<Path>, FailureKind> {
        self.checked(&self.facts.link)
    }

    /// Takes the link that does in place of that.
    pub(super) fn other(&self) -> Result<Option<Path>, FailureKind> {
        self.checked(&self.facts.other)
    }

    /// Takes the path of what a change made: out of the head, else of the body.
    pub(super) fn location(&self) -> Result<Option<Path>, FailureKind> {
        match link::path_of_location(&self.facts.link) {
            Some(path) => Ok(Some(Text::new(path))),
            None => self.other(),
        }
    }

    fn checked(&self, link: &Path) -> Result<Option<Path>, FailureKind> {
        if link.is_empty() && !link.is_cut() {
            return Ok(None);
        }
        let path = link::path(link, self.target).map_err(FailureKind::Link)?;
        Ok(Some(Text::new(path)))
    }

    /// Goes to the resource behind the link that was read.
    fn along(&mut self, step: Step) -> Next {
        self.path = self.link()?.ok_or(FailureKind::Unsupported)?;
        Ok(Go::To(step))
    }

    /// Decides what comes behind a good answer.
    pub(super) fn advance(&mut self, now: u64) -> Next {
        match self.step {
            Step::Root => self.after_root(),
            Step::Session => self.after_session(),
            Step::Systems => self.after_systems(),
            Step::Candidate => self.after_candidate(),
            Step::System => self.after_system(),
            Step::ActionInfo => {
                self.path = self.base;
                self.reset()
            }
            // The override is changed there where it is shown there; else the system
            // is read again, for its own state and ETag.
            Step::BootSettings if self.facts.fits => {
                self.in_settings = true;
                self.base = self.path;
                Ok(Go::To(Step::Change))
            }
            Step::BootSettings => {
                self.path = self.base;
                Ok(Go::To(Step::Refetch))
            }
            Step::Chassis => self.after_chassis(),
            Step::ThermalSubsystem => {
                self.note_health();
                self.along(Step::ThermalMetrics)
            }
            Step::Thermal | Step::ThermalMetrics => {
                self.note_health();
                Ok(Go::End(self.sensors()))
            }
            Step::Sensors => self.after_sensors(),
            Step::Sensor => {
                self.note_health();
                self.next_member(Step::Sensors)
            }
            Step::Manager => {
                self.member = 0;
                self.along(Step::MediaList)
            }
            Step::MediaList => self.after_media_list(),
            Step::Media => self.after_media(),
            Step::Bios => self.after_bios(),
            Step::BiosSettings => {
                self.base = self.path;
                Ok(Go::To(Step::Change))
            }
            Step::SecureBoot => match self.request {
                Request::SetSecureBoot(_) => {
                    self.base = self.path;
                    Ok(Go::To(Step::Change))
                }
                _ => Ok(Go::End(Outcome::SecureBoot(self.facts.secure_boot))),
            },
            Step::Change => self.after_change(now),
            Step::Task => self.after_task(now),
            Step::Refetch => Ok(Go::To(Step::Change)),
            Step::ReadBack => self.verify(now),
            Step::EndSession => {
                self.bmc.session = None;
                Ok(Go::End(Outcome::SessionClosed))
            }
            Step::Over => Err(FailureKind::GivenUp),
        }
    }

    pub(super) fn after_system(&mut self) -> Next {
        self.base = self.path;
        match self.request {
            Request::Identify | Request::ReadSystem => Ok(Go::End(Outcome::System(self.system))),
            Request::Reset(_) => {
                let info = self.other()?;
                self.path = self.link()?.ok_or(FailureKind::Unsupported)?;
                match info {
                    Some(info) if self.system.resets.is_empty() => {
                        self.base = self.path;
                        self.path = info;
                        Ok(Go::To(Step::ActionInfo))
                    }
                    _ => self.reset(),
                }
            }
            Request::SetBoot(boot) => {
                self.check_boot(boot)?;
                match self.other()? {
                    Some(settings) => {
                        self.path = settings;
                        Ok(Go::To(Step::BootSettings))
                    }
                    _ => Ok(Go::To(Step::Change)),
                }
            }
            Request::ReadSensors => self.along(Step::Chassis),
            Request::InsertMedia { .. } | Request::EjectMedia => {
                self.member = 0;
                if let Some(path) = self.link()? {
                    self.path = path;
                    return Ok(Go::To(Step::MediaList));
                }
                self.path = self.other()?.ok_or(FailureKind::Unsupported)?;
                Ok(Go::To(Step::Manager))
            }
            Request::ReadBios | Request::SetBios(_) | Request::ResetBios => self.along(Step::Bios),
            Request::ReadSecureBoot | Request::SetSecureBoot(_) => self.along(Step::SecureBoot),
            Request::CloseSession => Err(FailureKind::Unsupported),
        }
    }

    /// Sends the reset to the action's target, which is the path.
    fn reset(&mut self) -> Next {
        let Request::Reset(reset) = self.request else {
            return Err(FailureKind::Unsupported);
        };
        let allowed = self.system.resets;
        if !allowed.is_empty() && !allowed.contains((*reset).into()) {
            return Err(FailureKind::NotAllowed);
        }
        Ok(Go::To(Step::Change))
    }

    /// Takes the rows and the health of an answer.
    fn note_health(&mut self) {
        self.rows = self.rows.saturating_add(self.facts.rows);
        self.health = Health::worse(self.health, self.facts.health);
    }

    pub(super) const fn sensors(&self) -> Outcome {
        Outcome::Sensors {
            rows: self.rows,
            health: self.health,
        }
    }

    fn after_chassis(&mut self) -> Next {
        self.note_health();
        if self.facts.link.is_empty() {
            let rank = self.facts.other_rank;
            self.path = self.other()?.ok_or(FailureKind::Unsupported)?;
            self.base = self.path;
            self.member = 0;
            return Ok(Go::To(match rank {
                0 => Step::ThermalSubsystem,
                _ => Step::Sensors,
            }));
        }
        self.along(Step::Thermal)
    }

    fn after_sensors(&mut self) -> Next {
        match (self.link()?, self.other()?) {
            (Some(path), _) => {
                self.path = path;
                Ok(Go::To(Step::Sensor))
            }
            (None, Some(page)) if self.facts.members > 0 => self.next_page(Step::Sensors, page),
            (None, _) => Ok(Go::End(self.sensors())),
        }
    }

    fn after_media_list(&mut self) -> Next {
        self.base = self.path;
        match (self.link()?, self.request) {
            (Some(path), _) => {
                self.path = path;
                Ok(Go::To(Step::Media))
            }
            // Nothing is inserted.
            (None, Request::EjectMedia) => Ok(Go::End(Outcome::Media(false))),
            (None, _) => Err(FailureKind::NoMedia),
        }
    }

    fn after_media(&mut self) -> Next {
        let fits = self.drive_fits();
        if !fits {
            return self.next_member(Step::MediaList);
        }
        if self.has_wanted_image() {
            return Ok(Go::End(Outcome::Media(false)));
        }
        self.base = self.path;
        let action = self.link()?;
        self.by_action = action.is_some();
        self.path = action.unwrap_or(self.path);
        Ok(Go::To(Step::Change))
    }

    fn after_bios(&mut self) -> Next {
        match self.request {
            Request::SetBios(_) => match self.link()? {
                Some(settings) => {
                    self.path = settings;
                    Ok(Go::To(Step::BiosSettings))
                }
                // Without a settings object the resource itself is changed.
                None => Ok(Go::To(Step::BiosSettings)),
            },
            Request::ResetBios => self.along(Step::Change),
            _ => Ok(Go::End(Outcome::Bios(self.facts.rows))),
        }
    }

    fn after_change(&mut self, now: u64) -> Next {
        // What applies at the next boot has a task that ends then.
        let waits = !matches!(self.request, Request::SetBios(_) | Request::ResetBios);
        if self.facts.status == 202
            && waits
            && let Some(monitor) = self.location()?
        {
            self.path = monitor;
            return Ok(Go::To(Step::Task));
        }
        Ok(self.accepted(now))
    }
}
