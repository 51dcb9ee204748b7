//! The way to the system: the root, a session where one is needed, and the
//! collection of systems. Collections are read member by member, and not kept.

use super::advance::{Go, Next};
use super::{Operation, Step, write};
use crate::bmc::MAX_SESSION;
use crate::link::{self, LinkError, Path};
use crate::outcome::{FailureKind, Outcome};
use crate::request::{Request, Which};
use crate::text::Text;

/// Members of a collection that are read one by one.
const MAX_MEMBERS: u16 = 64;

impl Operation<'_> {
    pub(super) fn start(&mut self) -> Next {
        write::check(self.target)?;
        match self.request {
            Request::CloseSession => {
                let path = self.bmc.session.as_ref().map(|session| session.path);
                if path.is_none_or(|path| path.is_empty()) {
                    self.bmc.session = None;
                    return Ok(Go::End(Outcome::SessionClosed));
                }
                return Ok(Go::To(Step::EndSession));
            }
            Request::Identify => self.bmc.forget_system(),
            _ => {}
        }
        if let Which::Path(path) = self.target.which {
            link::path(&Path::new(path), self.target).map_err(FailureKind::Link)?;
            if self.bmc.system() != Some(path) {
                self.bmc.forget_system();
            }
        }
        Ok(self.find())
    }

    /// Goes to the system, or looks for it.
    pub(super) fn find(&mut self) -> Go {
        match self.bmc.system() {
            Some(path) => {
                self.path = Path::new(path);
                Go::To(Step::System)
            }
            None => {
                self.searched = true;
                self.resume = Step::Root;
                Go::To(Step::Root)
            }
        }
    }

    pub(super) fn after_root(&mut self) -> Next {
        if self.resume == Step::Root {
            self.resume = match self.target.which {
                Which::Path(path) => {
                    self.bmc.keep_system(path).map_err(FailureKind::Link)?;
                    self.path = Path::new(path);
                    Step::System
                }
                Which::Only | Which::Uuid(_) => {
                    self.path = self.link()?.ok_or(FailureKind::Unsupported)?;
                    self.base = self.path;
                    self.member = 0;
                    Step::Systems
                }
            };
        }
        if !self.lacks_session() {
            return Ok(Go::To(self.resume));
        }
        self.facts.other = self.other()?.ok_or(FailureKind::Unsupported)?;
        Ok(Go::To(Step::Session))
    }

    /// The session's path is in the head, or else in the body.
    pub(super) fn after_session(&mut self) -> Next {
        let path = self.location()?.unwrap_or(Text::EMPTY);
        let Some(session) = &mut self.bmc.session else {
            return Err(FailureKind::Unsupported);
        };
        let path: Text<MAX_SESSION> = Text::new(path.as_str());
        let printable = session
            .token
            .as_str()
            .bytes()
            .all(|byte| byte.is_ascii_graphic());
        if session.token.is_cut() || path.is_cut() || session.token.is_empty() || !printable {
            self.bmc.session = None;
            return Err(FailureKind::Link(LinkError::TooLong));
        }
        session.path = path;
        Ok(Go::To(self.resume))
    }

    pub(super) fn after_systems(&mut self) -> Next {
        let (members, more) = (self.facts.members, self.other()?);
        match self.target.which {
            Which::Only | Which::Path(_) => {
                if members > 1 || more.is_some() {
                    return Err(FailureKind::Ambiguous);
                }
                self.path = self.link()?.ok_or(FailureKind::NoSystem)?;
                let kept = self.bmc.keep_system(self.path.as_str());
                kept.map_err(FailureKind::Link)?;
                Ok(Go::To(Step::System))
            }
            Which::Uuid(_) => match (self.link()?, more) {
                (Some(path), _) => {
                    self.path = path;
                    Ok(Go::To(Step::Candidate))
                }
                (None, Some(page)) if members > 0 => self.next_page(Step::Systems, page),
                (None, _) => Err(FailureKind::NoSystem),
            },
        }
    }

    pub(super) fn after_candidate(&mut self) -> Next {
        let Which::Uuid(wanted) = self.target.which else {
            return Err(FailureKind::NoSystem);
        };
        let found = self.system.uuid;
        if found != Some(wanted) && found.map(smbios_order) != Some(wanted) {
            return self.next_member(Step::Systems);
        }
        let kept = self.bmc.keep_system(self.path.as_str());
        kept.map_err(FailureKind::Link)?;
        self.step = Step::System;
        self.after_system()
    }

    /// Reads the collection again for its next member: it is not kept.
    pub(super) fn next_member(&mut self, step: Step) -> Next {
        self.member += 1;
        if self.member >= MAX_MEMBERS {
            return match step {
                Step::Sensors => Ok(Go::End(self.sensors())),
                Step::MediaList => Err(FailureKind::NoMedia),
                _ => Err(FailureKind::NoSystem),
            };
        }
        self.path = self.base;
        Ok(Go::To(step))
    }

    pub(super) fn next_page(&mut self, step: Step, page: Path) -> Next {
        self.member = 0;
        self.base = page;
        self.path = page;
        Ok(Go::To(step))
    }
}

/// The UUID with its first three fields in the byte order of SMBIOS.
fn smbios_order(uuid: [u8; 16]) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h, rest @ ..] = uuid;
    let mut swapped = [0; 16];
    for (place, byte) in swapped.iter_mut().zip([d, c, b, a, f, e, h, g]) {
        *place = byte;
    }
    for (place, byte) in swapped.iter_mut().skip(8).zip(rest) {
        *place = byte;
    }
    swapped
}
