//! Refusals: what is refused, on which thing.

use super::{Exchange, Stage};
use crate::body::Body;
use crate::resource::Subject;
use crate::{Error, MAX_BODY, View};
use farrier_core::node::Node;
use farrier_http::Status;

impl Exchange {
    pub(super) fn give_up(&mut self) {
        self.refuse(Error::new(
            Status::CONTENT_TOO_LARGE,
            format_args!("The body is longer than {MAX_BODY} bytes. Shorten it."),
        ));
        self.close();
    }

    /// Replies at once: what is left of the body is not read.
    pub(super) fn close(&mut self) {
        self.keep_alive = false;
        if self.stage == Stage::Body {
            self.stage = Stage::Head;
        }
    }

    /// The block device failed to write or to read what was asked of it.
    pub fn storage_failed(&mut self) {
        self.fail("the appliance's block device failed. Look at its console and try again.");
    }

    /// The rack gave no answer: what it decided could not be made durable.
    pub fn not_durable(&mut self) {
        self.fail("the appliance's journal failed. Restart the appliance.");
    }

    fn fail(&mut self, text: &str) {
        self.keep_alive = false;
        self.refuse(Error::about(
            Status::INTERNAL_SERVER_ERROR,
            &self.subject_of(None),
            text,
        ));
        if matches!(
            self.stage,
            Stage::Body | Stage::LastPiece | Stage::Command | Stage::Statement
        ) {
            self.stage = Stage::Head;
        }
    }

    pub(super) fn refuse(&mut self, error: Error) {
        if self.outcome.is_ok() {
            self.outcome = Err(error);
        }
        self.body = Body::None;
    }

    /// Refuses with an error that does not say yet what it is about.
    pub(super) fn refuse_about(&mut self, error: &Error, view: &View<'_>) {
        // What an account may not do is about the account, and says so.
        if error.status == Status::FORBIDDEN {
            return self.refuse(error.clone());
        }
        let node = view.node(&self.call).map(|(_, node)| node);
        let error = Error::about(error.status, &self.subject_of(node), &error.text);
        self.refuse(error);
    }

    pub(super) fn subject_of<'s>(&'s self, node: Option<&'s Node>) -> Subject<'s> {
        let pairs = self.body.pairs();
        let named = ["name", "uuid", "address"].map(|key| pairs.get(key));
        let named = named.into_iter().find(|name| !name.is_empty());
        Subject {
            kind: self.route.map_or("", |route| route.kind),
            name: match self.call.last() {
                "" => named.unwrap_or(""),
                text => text,
            },
            node,
        }
    }
}
