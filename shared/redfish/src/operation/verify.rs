//! The end of a change: its task, and what the changed resource says. A BMC's
//! word that it did something counts for nothing.

use super::advance::{Go, Next};
use super::collect::TaskState;
use super::{Operation, Step};
use crate::kinds::{BootEnabled, BootTarget};
use crate::outcome::{FailureKind, Outcome};
use crate::request::{BootOverride, Request};
use crate::text::hash;
use crate::vendor::ModeHabit;

impl Operation<'_> {
    /// A look at the task of a change.
    pub(super) fn after_task(&mut self, now: u64) -> Next {
        match self.facts.task {
            _ if self.facts.status == 202 => Ok(Go::Again(self.pause())),
            Some(TaskState::Running) => Ok(Go::Again(self.pause())),
            Some(TaskState::Failed) => {
                self.open = false;
                Err(FailureKind::Task)
            }
            // A monitor answers in the end as the change would have.
            Some(TaskState::Completed) | None => Ok(self.accepted(now)),
        }
    }

    /// The BMC says that the change is made.
    pub(super) fn accepted(&mut self, now: u64) -> Go {
        self.changed_at = now;
        self.path = self.base;
        match self.request {
            Request::Reset(_) => Go::End(Outcome::Reset(self.system)),
            Request::ResetBios => Go::End(Outcome::BiosPending),
            _ => Go::To(Step::ReadBack),
        }
    }

    /// The changed resource was read.
    pub(super) fn verify(&mut self, now: u64) -> Next {
        if let Some(outcome) = self.proven() {
            return Ok(Go::End(outcome));
        }
        if now.saturating_sub(self.changed_at) < u64::from(self.settings.settle_ms) {
            return Ok(Go::Again(self.pause()));
        }
        self.open = false;
        Err(FailureKind::NotApplied)
    }

    /// The outcome, if the resource has the change.
    fn proven(&self) -> Option<Outcome> {
        match self.request {
            Request::SetBoot(boot) => self.has_boot(boot).then_some(Outcome::System(self.system)),
            Request::InsertMedia { .. } => self.has_wanted_image().then_some(Outcome::Media(true)),
            Request::EjectMedia => (!self.facts.media.inserted).then_some(Outcome::Media(true)),
            Request::SetBios(attributes) => {
                let all = usize::from(self.facts.rows) >= attributes.len();
                all.then_some(Outcome::BiosPending)
            }
            Request::SetSecureBoot(enable) => {
                let state = self.facts.secure_boot;
                (state.enabled == Some(*enable)).then_some(Outcome::SecureBoot(state))
            }
            Request::Identify
            | Request::ReadSystem
            | Request::Reset(_)
            | Request::ReadSensors
            | Request::ReadBios
            | Request::ResetBios
            | Request::ReadSecureBoot
            | Request::CloseSession => None,
        }
    }

    /// Whether the system shows the boot override.
    fn has_boot(&self, wanted: &BootOverride<'_>) -> bool {
        let found = &self.system.boot;
        let mode = wanted.mode.is_none() || found.mode == wanted.mode;
        if wanted.enabled == BootEnabled::Disabled {
            // Some say it by the target alone, whatever else they show.
            let none = found.target == Some(BootTarget::None);
            return mode && (found.enabled == Some(BootEnabled::Disabled) || none);
        }
        let uri = match (wanted.target, wanted.http_uri) {
            (BootTarget::UefiHttp, Some(uri)) => found.http_uri == Some(hash(uri)),
            (BootTarget::UefiHttp, None) => found.http_uri.is_none(),
            _ => true,
        };
        found.enabled == Some(wanted.enabled)
            && found.target == Some(self.boot_target(wanted.target))
            && mode
            && uri
    }

    /// Whether the system can have the boot override.
    pub(super) fn check_boot(&self, wanted: &BootOverride<'_>) -> Result<(), FailureKind> {
        let system = &self.system;
        let never = self.bmc.vendor.habits().mode == ModeHabit::Never;
        if never
            && wanted.mode.is_some()
            && system.boot.mode.is_some()
            && wanted.mode != system.boot.mode
        {
            return Err(FailureKind::NotAllowed);
        }
        if wanted.enabled == BootEnabled::Disabled {
            return Ok(());
        }
        let target = self.boot_target(wanted.target);
        let allowed = system.boot_targets;
        if !allowed.is_empty() && !allowed.contains(target.into()) {
            return Err(FailureKind::NotAllowed);
        }
        let has_uri = wanted.target == BootTarget::UefiHttp && wanted.http_uri.is_some();
        match has_uri && !system.boot.has_http_uri {
            true => Err(FailureKind::Unsupported),
            false => Ok(()),
        }
    }

    /// Whether the drive that was read is one for the request.
    pub(super) fn drive_fits(&self) -> bool {
        let drive = &self.facts.media;
        match self.request {
            Request::EjectMedia => drive.cd && drive.inserted,
            _ => drive.cd && (!drive.inserted || self.has_wanted_image()),
        }
    }

    /// Whether the image of the request is in the drive.
    pub(super) fn has_wanted_image(&self) -> bool {
        let drive = &self.facts.media;
        match self.request {
            Request::InsertMedia { image } => drive.inserted && drive.image == Some(hash(image)),
            _ => false,
        }
    }
}
