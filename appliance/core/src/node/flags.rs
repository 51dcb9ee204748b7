//! Flags of a node, one bit each: what operators have set, and what the
//! present work has come to.

/// A set of flags. The bits are for records: never reordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u16);

impl Flags {
    /// None.
    pub const NONE: Flags = Flags(0);
    /// Hands off: never offered, and not deployed.
    pub const MAINTENANCE: Flags = Flags(1);
    /// Neither released, nor rebuilt, nor deleted.
    pub const PROTECTED: Flags = Flags(1 << 1);
    /// On its way out: never offered again; cleaning leads to manageable.
    pub const RETIRED: Flags = Flags(1 << 2);
    /// Cleaning failed: Ironic's fault `clean failure`. Set together with
    /// maintenance, and ends with it or with a cleaning that succeeds.
    pub const CLEAN_FAULT: Flags = Flags(1 << 3);
    /// An allocation has the node; its UUID is the instance's.
    pub const ALLOCATED: Flags = Flags(1 << 4);
    /// Enrolled by an operator and not by its first packet.
    pub const BY_HAND: Flags = Flags(1 << 5);
    /// The cleaning at hand was asked for by `clean`, and leads back to
    /// manageable.
    pub const MANUAL_CLEAN: Flags = Flags(1 << 6);
    /// Every disk was erased and certified in the cleaning at hand.
    pub const ERASED: Flags = Flags(1 << 7);
    /// There is no node in this place any more.
    pub const VACANT: Flags = Flags(1 << 8);
    /// Records were lost, and what is known of the node may be of before: it
    /// is neither cleaned nor given away. Set together with maintenance, and
    /// ends with it.
    pub const RECORDS_LOST: Flags = Flags(1 << 9);

    /// Whether all of these are set.
    pub const fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Sets or clears all of these.
    pub const fn set(&mut self, flags: Flags, on: bool) {
        if on {
            self.0 |= flags.0;
        } else {
            self.0 &= !flags.0;
        }
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, flags: Flags) -> Flags {
        Flags(self.0 | flags.0)
    }

    /// The bits, for a record.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// The set with these bits.
    pub const fn from_bits(bits: u16) -> Self {
        Flags(bits)
    }

    /// What a new life of the node (a `Record::Flags` of before a restart)
    /// may keep: all that an operator or a fault has set.
    pub const LASTING: Flags = Self::MAINTENANCE
        .and(Self::PROTECTED)
        .and(Self::RETIRED)
        .and(Self::CLEAN_FAULT)
        .and(Self::ALLOCATED)
        .and(Self::BY_HAND)
        .and(Self::MANUAL_CLEAN)
        .and(Self::ERASED)
        .and(Self::RECORDS_LOST);
}

/// A flag that operators set, with a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminFlag {
    /// [`Flags::MAINTENANCE`].
    Maintenance,
    /// [`Flags::PROTECTED`].
    Protected,
    /// [`Flags::RETIRED`].
    Retired,
}

impl AdminFlag {
    /// The flag.
    pub const fn flag(self) -> Flags {
        match self {
            Self::Maintenance => Flags::MAINTENANCE,
            Self::Protected => Flags::PROTECTED,
            Self::Retired => Flags::RETIRED,
        }
    }

    /// The kind of its reason.
    pub const fn reason(self) -> crate::strings::Kind {
        match self {
            Self::Maintenance => crate::strings::Kind::MaintenanceReason,
            Self::Protected => crate::strings::Kind::ProtectedReason,
            Self::Retired => crate::strings::Kind::RetiredReason,
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
        ];
        for (place, flag) in all.into_iter().enumerate() {
            assert_eq!(flag.bits(), 1 << place);
            assert_eq!(Flags::LASTING.has(flag), flag != Flags::VACANT);
        }
        let two = Flags::PROTECTED.and(Flags::ERASED);
        assert_eq!(two.and(Flags::ERASED), two);
        assert!(two.has(Flags::ERASED) && !Flags::ERASED.has(two));
        let mut flags = two;
        flags.set(Flags::ERASED, false);
        assert_eq!(flags, Flags::PROTECTED);
    }
}
