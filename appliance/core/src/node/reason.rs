//! Why a node is in its state, and what it waits for.

/// Why a node is in its state, or what it waits for. The numbers stand in
/// records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// A hold step: waiting for unhold.
    Held = 0,
    /// Adopted: the tenant's system was left as it is.
    Adopted = 1,
    /// The work is done and proven.
    Proven = 2,
    /// Another node in use is this machine.
    OtherNode = 3,
    /// Certificates are missing.
    CertificatesMissing = 4,
    /// Clean, and retired: not offered again.
    CleanRetired = 5,
    /// Discovered by its first boot packet.
    Discovered = 6,
    /// Enrolled by an operator.
    Enrolled = 7,
    /// Enrolled by an operator; no packet of the machine was seen yet.
    EnrolledUnseen = 8,
    /// Every disk is erased and verified.
    Erased = 9,
    /// No disks.
    NoDisks = 10,
    /// No room for the node's disks.
    DisksFull = 11,
    /// Power the machine on: it must boot from the network.
    PowerOnForNetwork = 12,
    /// Records were lost.
    RecordsLost = 13,
    /// Records were lost: it is cleaned before it is offered again.
    RecordsLostOffered = 14,
    /// Released; cleaning before anything else.
    Released = 15,
    /// Restart the machine: it must boot from the network.
    RestartForNetwork = 16,
    /// Restart the machine: it must start its own disk.
    RestartForDisk = 17,
    /// Seen on the provisioning network.
    Seen = 18,
    /// The agent is at work.
    AgentWorks = 19,
    /// The agent left; waiting for it to come back.
    AgentLeft = 20,
    /// The agent reported a failure.
    AgentFailed = 21,
    /// The clean steps are done.
    CleanStepsDone = 22,
    /// The deadline passed.
    Deadline = 23,
    /// The hardware is known.
    Inspected = 24,
    /// The image is written and proven.
    ImageProven = 25,
    /// The image is written; the machine restarts.
    ImageWritten = 26,
    /// The machine boots its own disk.
    BootsDisk = 27,
    /// The machine restarted; waiting for its agent.
    Restarted = 28,
    /// An operator asked for it.
    Requested = 29,
    /// No order can be given.
    OrderFailed = 30,
    /// The proof names another image.
    WrongImage = 31,
    /// The service steps are done; the machine restarts.
    ServiceStepsDone = 32,
    /// The deploy agent runs on the machine, not a tenant's system.
    NothingToAdopt = 33,
    /// Too many restarts.
    TooManyRestarts = 34,
    /// A machine with another identity answers.
    OtherMachine = 35,
    /// The proof names another disk.
    WrongDisk = 36,
    /// Two machines have the boot's ticket.
    SecondHolder = 37,
    /// A device of the machine is not proven empty.
    Unproven = 38,
    /// A disk was erased by less than was ordered.
    WeakErasure = 39,
    /// Switch the machine off: it leaves the tenant's network.
    PowerOffForNetwork = 40,
    /// A port could not be moved, or nothing of the machine was seen behind it.
    PortNotMoved = 41,
}

impl Reason {
    /// Every reason, by its number.
    pub const ALL: [Reason; 42] = [
        Reason::Held,
        Reason::Adopted,
        Reason::Proven,
        Reason::OtherNode,
        Reason::CertificatesMissing,
        Reason::CleanRetired,
        Reason::Discovered,
        Reason::Enrolled,
        Reason::EnrolledUnseen,
        Reason::Erased,
        Reason::NoDisks,
        Reason::DisksFull,
        Reason::PowerOnForNetwork,
        Reason::RecordsLost,
        Reason::RecordsLostOffered,
        Reason::Released,
        Reason::RestartForNetwork,
        Reason::RestartForDisk,
        Reason::Seen,
        Reason::AgentWorks,
        Reason::AgentLeft,
        Reason::AgentFailed,
        Reason::CleanStepsDone,
        Reason::Deadline,
        Reason::Inspected,
        Reason::ImageProven,
        Reason::ImageWritten,
        Reason::BootsDisk,
        Reason::Restarted,
        Reason::Requested,
        Reason::OrderFailed,
        Reason::WrongImage,
        Reason::ServiceStepsDone,
        Reason::NothingToAdopt,
        Reason::TooManyRestarts,
        Reason::OtherMachine,
        Reason::WrongDisk,
        Reason::SecondHolder,
        Reason::Unproven,
        Reason::WeakErasure,
        Reason::PowerOffForNetwork,
        Reason::PortNotMoved,
    ];

    /// The reason of that number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The reason in words, for errors and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "a hold step: waiting for unhold",
            Self::Adopted => "adopted: the tenant's system was left as it is",
            Self::Proven => "the work is done and proven",
            Self::OtherNode => "another node in use is this machine",
            Self::CertificatesMissing => "certificates are missing",
            Self::CleanRetired => "clean, and retired: not offered again",
            Self::Discovered => "discovered by its first boot packet",
            Self::Enrolled => "enrolled by an operator",
            Self::EnrolledUnseen => {
                "enrolled by an operator; no packet of the machine was seen yet"
            }
            Self::Erased => "every disk is erased and verified",
            Self::NoDisks => "no disks",
            Self::DisksFull => "no room for the node's disks",
            Self::PowerOnForNetwork => "power the machine on: it must boot from the network",
            Self::RecordsLost => "records were lost",
            Self::RecordsLostOffered => {
                "records were lost: it is cleaned before it is offered again"
            }
            Self::Released => "released; cleaning before anything else",
            Self::RestartForNetwork => "restart the machine: it must boot from the network",
            Self::RestartForDisk => "restart the machine: it must start its own disk",
            Self::Seen => "seen on the provisioning network",
            Self::AgentWorks => "the agent is at work",
            Self::AgentLeft => "the agent left; waiting for it to come back",
            Self::AgentFailed => "the agent reported a failure",
            Self::CleanStepsDone => "the clean steps are done",
            Self::Deadline => "the deadline passed",
            Self::Inspected => "the hardware is known",
            Self::ImageProven => "the image is written and proven",
            Self::ImageWritten => "the image is written; the machine restarts",
            Self::BootsDisk => "the machine boots its own disk",
            Self::Restarted => "the machine restarted; waiting for its agent",
            Self::Requested => "an operator asked for it",
            Self::OrderFailed => "no order can be given",
            Self::WrongImage => "the proof names another image",
            Self::ServiceStepsDone => "the service steps are done; the machine restarts",
            Self::NothingToAdopt => "the deploy agent runs on the machine, not a tenant's system",
            Self::TooManyRestarts => "too many restarts",
            Self::OtherMachine => "another machine answers as this node",
            Self::WrongDisk => "the proof names another disk",
            Self::SecondHolder => "two machines have the boot's ticket",
            Self::Unproven => "a device is not proven empty",
            Self::WeakErasure => "a disk was erased by less than was ordered",
            Self::PowerOffForNetwork => {
                "switch the machine off: its ports leave the tenant's network"
            }
            Self::PortNotMoved => "a port was not proven to be on its network in time",
        }
    }
}

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_numbered_in_their_order() {
        for (number, reason) in (0..).zip(Reason::ALL) {
            assert_eq!(reason as u8, number);
            assert_eq!(Reason::from_number(number), Some(reason));
            assert!(!reason.as_str().is_empty());
        }
        assert_eq!(Reason::from_number(Reason::ALL.len() as u8), None);
    }
}
