//! Where a client stands: each step is a wait with a reason.

use crate::reply::Wanted;

/// What a client waits for. The owner puts a deadline around each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Step {
    /// The hellos are exchanged.
    Hello = 0,
    /// Nothing: the session takes a task.
    #[default]
    Ready = 1,
    /// The lock.
    Lock = 2,
    /// The port's configuration before the change.
    ReadBefore = 3,
    /// The edit.
    Edit = 4,
    /// The server's check of the candidate.
    Validate = 5,
    /// The commit, confirmed where the server has it.
    Commit = 6,
    /// The running configuration after the commit.
    ReadBack = 7,
    /// The owner: the change is applied, and [`super::Client::confirm`] or
    /// [`super::Client::cancel`] is due before the confirm timeout.
    Evidence = 8,
    /// The confirming commit.
    Confirm = 9,
    /// The running configuration after the confirmation.
    ReadConfirmed = 10,
    /// `cancel-commit`.
    Cancel = 11,
    /// `discard-changes`.
    Discard = 12,
    /// The running configuration after the change was taken back.
    ReadRestored = 13,
    /// An edit that takes the change back, where nothing else has.
    UndoEdit = 14,
    /// Its commit.
    UndoCommit = 15,
    /// The lock's release.
    Unlock = 16,
    /// The port's configuration, for itself.
    ReadPort = 17,
    /// A table.
    ReadTable = 18,
    /// `close-session`.
    Close = 19,
    /// The session ended: close the channel.
    Over = 20,
}

impl Step {
    /// Returns what is waited for.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Hello => "the switch's hello",
            Self::Ready => "a task",
            Self::Lock => "the lock of the configuration",
            Self::ReadBefore => "the port's configuration before the change",
            Self::Edit => "the edit of the port",
            Self::Validate => "the switch's check of the edit",
            Self::Commit => "the commit",
            Self::ReadBack => "the running configuration after the commit",
            Self::Evidence => "evidence that the port is on its new network",
            Self::Confirm => "the confirmation of the commit",
            Self::ReadConfirmed => "the running configuration after the confirmation",
            Self::Cancel => "the cancellation of the commit",
            Self::Discard => "the candidate's changes to be discarded",
            Self::ReadRestored => "the running configuration after the change was taken back",
            Self::UndoEdit => "the edit that takes the change back",
            Self::UndoCommit => "the commit of the edit that takes the change back",
            Self::Unlock => "the release of the lock",
            Self::ReadPort => "the port's configuration",
            Self::ReadTable => "a table of the switch",
            Self::Close => "the end of the session",
            Self::Over => "nothing: the session ended",
        }
    }

    /// Returns whether the step leads a change on, and [`super::Client::abort`]
    /// turns back in front of it.
    pub(super) const fn leads_on(self) -> bool {
        matches!(
            self,
            Self::ReadBefore
                | Self::Edit
                | Self::Validate
                | Self::Commit
                | Self::ReadBack
                | Self::Evidence
                | Self::Confirm
        )
    }

    /// Returns whether the step is a request that is sent to the server.
    pub(super) const fn is_request(self) -> bool {
        !matches!(
            self,
            Self::Hello | Self::Ready | Self::Evidence | Self::Over
        )
    }

    /// Returns what its request is answered with.
    pub(super) const fn wanted(self) -> Wanted {
        match self {
            Self::ReadTable => Wanted::Any,
            _ if self.reads_port() => Wanted::Data,
            _ => Wanted::Ok,
        }
    }

    /// Returns whether the answer is the port's configuration.
    pub(super) const fn reads_port(self) -> bool {
        matches!(
            self,
            Self::ReadBefore
                | Self::ReadBack
                | Self::ReadConfirmed
                | Self::ReadRestored
                | Self::ReadPort
        )
    }
}
