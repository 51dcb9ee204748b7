//! Whether an answer is one: statuses, errors inside, redirections, sessions that
//! ended, and requests that are worth another attempt.

use super::advance::{Go, Next};
use super::{Operation, Step};
use crate::link;
use crate::outcome::{FailureKind, Outcome};
use crate::request::{Auth, Request, Which};
use crate::text::Text;

/// Redirections of one request that are followed.
const MAX_REDIRECTS: u8 = 3;

/// Attempts with another ETag: the first may have had the weak form of the right
/// one.
const MAX_REFETCHES: u8 = 2;

/// Attempts that follow a refusal for now.
const MAX_RETRIES: u8 = 4;

impl Operation<'_> {
    /// An answer is complete.
    pub(super) fn answered(&mut self, now: u64) {
        let go = self.judge(now);
        self.follow(go, now);
    }

    fn judge(&mut self, now: u64) -> Next {
        let status = self.facts.status;
        let success = (200..300).contains(&status);
        if self.step == Step::Session && !success {
            self.bmc.session = None;
        }
        // A refused change was not made. What an internal error left is unknown.
        if self.step == Step::Change && (300..500).contains(&status) {
            self.open = false;
        }
        match status {
            200..=299 => self.accept(now),
            301 | 302 | 303 | 307 | 308 => self.redirect(),
            401 => self.unauthorized(),
            404 | 405 | 410 if self.step == Step::EndSession => {
                self.bmc.session = None;
                Ok(Go::End(Outcome::SessionClosed))
            }
            404 | 410 if self.step == Step::Task => Err(FailureKind::TaskLost),
            404 | 410 if self.step == Step::System => self.search(),
            412 | 428 if self.method() == "PATCH" => self.refetch(),
            400 if self.lacks_protocol() => {
                self.tells_protocol = true;
                Ok(Go::To(Step::Change))
            }
            _ if self.is_for_now(status) => self.retry(),
            _ => Err(match self.step {
                // The monitor of a task answers as the change would have.
                Step::Task => {
                    self.open = false;
                    FailureKind::Task
                }
                _ => FailureKind::Refused,
            }),
        }
    }

    /// A success: unless the body says otherwise, or is not whole.
    fn accept(&mut self, now: u64) -> Next {
        let document = self.exchange.document();
        if self.facts.error && !self.facts.success {
            if self.is_not_ready() {
                return self.retry();
            }
            self.open &= self.step != Step::Change;
            return Err(FailureKind::ErrorInside);
        }
        let has_document = document.map_err(FailureKind::Json)?;
        let needs_one = self.method() == "GET" && self.step != Step::Task;
        if needs_one && !has_document {
            return Err(FailureKind::NoDocument);
        }
        self.advance(now)
    }

    /// A redirection (RFC 9110, section 15.4) of a GET within the service is
    /// followed. What changes something is not sent elsewhere, and credentials
    /// are not either.
    fn redirect(&mut self) -> Next {
        if self.method() != "GET" || self.redirects >= MAX_REDIRECTS || self.facts.link.is_empty() {
            return Err(FailureKind::Redirect);
        }
        let path = link::path(&self.facts.link, self.target).map_err(FailureKind::Link)?;
        let path = Text::new(path);
        self.redirects += 1;
        match self.step {
            Step::Root => {
                self.root_moved = true;
                self.facts.link = path;
            }
            _ => self.path = path,
        }
        if self.step == Step::System {
            let kept = self.bmc.keep_system(path.as_str());
            kept.map_err(FailureKind::Link)?;
        }
        Ok(Go::Same)
    }

    /// The BMC does not know the session, or does not accept the credentials.
    fn unauthorized(&mut self) -> Next {
        if self.step == Step::EndSession {
            self.bmc.session = None;
            return Ok(Go::End(Outcome::SessionClosed));
        }
        let has_session = self.bmc.session.take().is_some();
        if self.target.auth == Auth::Session && has_session && !self.renewed {
            self.renewed = true;
            return Ok(Go::To(self.step));
        }
        Err(FailureKind::Unauthorized)
    }

    /// The system is not where it was: it is looked for once.
    fn search(&mut self) -> Next {
        if self.searched || matches!(self.target.which, Which::Path(_)) {
            return Err(FailureKind::Refused);
        }
        self.bmc.forget_system();
        Ok(self.find())
    }

    /// The ETag is not that of the resource any more, or the BMC wants one: the
    /// resource is read for it.
    fn refetch(&mut self) -> Next {
        if self.refetches >= MAX_REFETCHES {
            return Err(FailureKind::Conflict);
        }
        self.refetches += 1;
        self.path = self.base;
        Ok(Go::To(Step::Refetch))
    }

    /// Whether the BMC wants more than an image's URI. The protocol is optional in
    /// the schema; some need it, and others refuse it.
    fn lacks_protocol(&self) -> bool {
        let id = self.facts.message_id.as_str();
        let missing = id.ends_with("ActionParameterMissing") || id.ends_with("PropertyMissing");
        let inserts = matches!(self.request, Request::InsertMedia { .. });
        self.step == Step::Change && inserts && missing && !self.tells_protocol
    }

    /// Whether the same request may do later.
    fn is_for_now(&self, status: u16) -> bool {
        match status {
            429 | 503 => true,
            // Of a task's monitor it is the end of the change.
            500 if self.step == Step::Task => false,
            500 | 502 | 504 => self.method() == "GET" || self.is_not_ready(),
            _ => self.is_not_ready(),
        }
    }

    fn is_not_ready(&self) -> bool {
        let id = self.facts.message_id.as_str();
        let habits = self.bmc.vendor.habits();
        habits.not_ready.iter().any(|end| id.ends_with(end))
    }

    fn retry(&mut self) -> Next {
        // It was not done.
        self.open &= self.step != Step::Change;
        if self.retries >= MAX_RETRIES {
            return Err(FailureKind::Refused);
        }
        self.retries += 1;
        Ok(Go::Again(self.pause()))
    }

    /// How long to wait before the next look, in milliseconds.
    pub(super) fn pause(&self) -> u32 {
        match self.facts.retry_after_s {
            0 => self.settings.poll_ms,
            seconds => u32::from(seconds) * 1000,
        }
    }
}
