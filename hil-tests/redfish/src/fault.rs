//! What a service does wrong when it is told to.

use crate::machine::Boot;

/// Where an answer stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stall {
    /// Ahead of its first byte.
    Silent,
    /// Within the head.
    Head,
    /// Within the body.
    Body,
}

/// A lie or a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// A change is accepted, and nothing is done.
    DoesNothing,
    /// The state before a change is shown for so many milliseconds.
    OldState(u64),
    /// The boot override is forgotten as soon as it is stored.
    ForgetsBoot,
    /// This boot override is stored in place of the one that is asked for.
    StoresBoot(Boot),
    /// A change answers 200 with an error inside, and does nothing.
    ErrorInside,
    /// No account is known.
    ForgetsUsers,
    /// Sessions that were open are forgotten.
    ForgetsSessions,
    /// A task never ends.
    TaskHangs,
    /// A task ends in failure.
    TaskFails,
    /// A task's monitor is unknown.
    TaskForgotten,
    /// No ETag matches.
    EtagNeverMatches,
    /// 503 with `Retry-After` of so many seconds.
    Busy(u16),
    /// 500 without a document.
    Broken,
    /// The document is this many bytes longer.
    Huge(usize),
    /// The document is nested this deep.
    Deep(usize),
    /// The document is a page of HTML, with status 200.
    Html,
    /// The document has nothing in it: `{}`.
    Empty,
    /// There is no document.
    NoBody,
    /// Links of the document lead to another host.
    LinksElsewhere,
    /// A session or a task has no `Location`.
    NoLocation,
    /// `Location` has another host, by which the service is not known.
    OtherLocation,
    /// The answer is a redirection to this.
    Redirect(String),
    /// `Content-Length` is this much off.
    WrongLength(i64),
    /// There is a length and chunks.
    TwoFramings,
    /// The answer says that it is compressed.
    Gzip,
    /// An interim response comes first, so many times.
    Interim(usize),
    /// The connection is closed behind so many bytes of the answer.
    Closes(usize),
    /// The answer stops, and the connection stays open.
    Stalls(Stall),
    /// The answer ends with the connection, without a length.
    UntilClose,
    /// Each answer closes the connection.
    ClosesEach,
    /// Bytes that answer nothing come behind the answer.
    Surplus,
}

/// A fault, and when it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Injected {
    /// What happens.
    pub fault: Fault,
    /// Only for this method; empty for all.
    pub method: &'static str,
    /// Only for paths with this in them.
    pub path: &'static str,
    /// So many times from now on.
    pub times: u32,
}

impl Injected {
    /// Returns a fault that happens always.
    #[must_use]
    pub const fn always(fault: Fault) -> Self {
        Self {
            fault,
            method: "",
            path: "",
            times: u32::MAX,
        }
    }

    /// Returns the fault for one method.
    #[must_use]
    pub const fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    /// Returns the fault for paths that contain a text.
    #[must_use]
    pub const fn path(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// Returns the fault for a number of times.
    #[must_use]
    pub const fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    pub(crate) fn hits(&self, method: &str, path: &str) -> bool {
        let method = self.method.is_empty() || self.method == method;
        self.times > 0 && method && path.contains(self.path)
    }
}
