//! Flags of a node, one bit each: what operators have set, and what the
//! present work has come to.

use bitflags::bitflags;

bitflags! {
    /// A set of flags. The bits stand in records.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub struct Flags: u16 {
        /// In maintenance: never offered, and not deployed.
        const MAINTENANCE = 1;
        /// Neither released, nor rebuilt, nor deleted.
        const PROTECTED = 1 << 1;
        /// On its way out: never offered again; cleaning leads to manageable.
        const RETIRED = 1 << 2;
        /// Cleaning failed: Ironic's fault `clean failure`. Set together with
        /// maintenance, and ends with it or with a cleaning that succeeds.
        const CLEAN_FAULT = 1 << 3;
        /// An allocation has the node; its UUID is the instance's.
        const ALLOCATED = 1 << 4;
        /// Enrolled by an operator and not by its first packet.
        const BY_HAND = 1 << 5;
        /// The cleaning at hand was asked for by `clean`, and leads back to
        /// manageable.
        const MANUAL_CLEAN = 1 << 6;
        /// Every disk was erased and certified in the cleaning at hand.
        const ERASED = 1 << 7;
        /// There is no node in this place any more.
        const VACANT = 1 << 8;
        /// Records were lost, and what is known of the node may be of before: it
        /// is neither cleaned nor given away. Set together with maintenance, and
        /// ends with it.
        const RECORDS_LOST = 1 << 9;
        /// The node's agent has said which machine it is: another UUID or
        /// serial number is another machine, until an operator rebinds the
        /// node.
        const IDENTIFIED = 1 << 10;
        /// The UUID of the machine's DHCP messages agreed with its agent's then:
        /// another one in DHCP is another machine. Some ROMs send one of their
        /// own.
        const DHCP_IDENTIFIED = 1 << 11;
    }
}

impl Flags {
    /// What a restart keeps: all that an operator or a fault has set.
    pub const LASTING: Flags = Flags::all().difference(Flags::VACANT);
    /// What the machine has said of itself, and nobody has set.
    pub const IDENTITY: Flags = Flags::IDENTIFIED.union(Flags::DHCP_IDENTIFIED);
}

pub use crate::interface::AdminFlag;

impl AdminFlag {
    /// The flag.
    pub const fn flag(self) -> Flags {
        match self {
            Self::Maintenance => Flags::MAINTENANCE,
            Self::Protected => Flags::PROTECTED,
            Self::Retired => Flags::RETIRED,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// If this fails, do not change the test: the bits stand in records.
    #[test]
    fn bits_stay_where_they_are() {
        let all = [
            Flags::MAINTENANCE,
            Flags::PROTECTED,
            Flags::RETIRED,
            Flags::CLEAN_FAULT,
            Flags::ALLOCATED,
            Flags::BY_HAND,
            Flags::MANUAL_CLEAN,
            Flags::ERASED,
            Flags::VACANT,
            Flags::RECORDS_LOST,
            Flags::IDENTIFIED,
            Flags::DHCP_IDENTIFIED,
        ];
        for (place, flag) in all.into_iter().enumerate() {
            assert_eq!(flag.bits(), 1 << place);
            assert_eq!(Flags::LASTING.contains(flag), flag != Flags::VACANT);
        }
    }
}
