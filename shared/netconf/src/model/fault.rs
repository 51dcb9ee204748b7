//! Faults of switches.

use crate::xml::name::Name;

/// The operations that a fault can have.
pub const OPERATIONS: [Name; 9] = [
    Name::Lock,
    Name::GetConfig,
    Name::EditConfig,
    Name::Validate,
    Name::Commit,
    Name::CancelCommit,
    Name::DiscardChanges,
    Name::Unlock,
    Name::CloseSession,
];

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with an error, and nothing is done.
    Refuses,
    /// It is done, and answered with an error.
    RefusesAfter,
    /// It is neither done nor answered, nor is any later one of the session.
    HangsBefore,
    /// It is done and never answered.
    HangsAfter,
    /// The session ends before it is done.
    DropsBefore,
    /// It is done, and the session ends without an answer.
    DropsAfter,
    /// The lock is held by the session of this number.
    Locked(u32),
    /// Of a commit only the removal of the port's old VLANs is done.
    AppliesHalf,
    /// It is answered `ok` and not done.
    Lies,
    /// The data is that of a port of another name.
    WrongData,
    /// It is done, then the startup configuration runs again.
    LosesRunning,
    /// The answer is no XML.
    Garbage,
    /// The answer is a document with entities that grow.
    Bomb,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 13] = [
        Self::Refuses,
        Self::RefusesAfter,
        Self::HangsBefore,
        Self::HangsAfter,
        Self::DropsBefore,
        Self::DropsAfter,
        Self::Locked(7),
        Self::AppliesHalf,
        Self::Lies,
        Self::WrongData,
        Self::LosesRunning,
        Self::Garbage,
        Self::Bomb,
    ];
}

/// The faults to come.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// The next request of this operation has this fault, after as many others of
    /// the operation.
    pub next: Option<(Name, u8, Fault)>,
    /// Commits behind a `validate` are answered `ok` and apply nothing.
    pub forgets_validated: bool,
    /// A change that takes a VLAN away from a port that stays on it is refused: when
    /// it is committed, or where there is no candidate, when it is made.
    pub keeps_used_vlans: bool,
}

impl Faults {
    /// Returns the fault of a request and forgets it.
    pub(super) fn take(&mut self, operation: Name) -> Option<Fault> {
        let (name, others, fault) = self.next?;
        if name != operation {
            return None;
        }
        if others > 0 {
            self.next = Some((name, others - 1, fault));
            return None;
        }
        self.next = None;
        Some(fault)
    }
}
