//! What can go wrong, how often it does, and how often it did.

use farrier_testkit::Random;

/// A kind of fault. Each is counted whenever it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// A datagram vanishes.
    Loss,
    /// A datagram arrives twice.
    Duplicate,
    /// A datagram is overtaken by later ones.
    Reorder,
    /// A bit of a datagram flips and its checksum does not tell.
    Corrupt,
    /// A server is cut off from the network for a while.
    Partition,
    /// A server's port is in another network than it should be.
    PortAstray,
    /// A server's address is seen at another port too.
    MacAstray,
    /// A rogue DHCP server answers first.
    RogueDhcp,
    /// The appliance loses power.
    AppliancePower,
    /// A server loses power, or is reset.
    ServerPower,
    /// Blocks of the appliance's flash can't be erased any more.
    FlashWear,
    /// Bits of the appliance's flash flip.
    BitRot,
    /// An agent takes an order and does nothing.
    AgentHang,
    /// An agent lies, where the appliance can notice.
    AgentLie,
    /// An agent crashes and its server starts anew.
    AgentRestart,
    /// An agent sends everything twice.
    AgentTwice,
    /// Another machine uses an agent's ticket.
    TicketThief,
    /// A BMC accepts an order and does nothing.
    BmcNothing,
    /// A BMC forgets the boot order: the old disk boots.
    BmcBootOrder,
    /// A BMC acts late.
    BmcLate,
    /// A BMC never acts and never answers.
    BmcNever,
    /// A BMC says that it could not carry out an order.
    BmcFails,
    /// A BMC answers an order twice.
    BmcTwice,
    /// A BMC reports another power state than its machine has.
    BmcLies,
    /// A disk fails while it is written.
    DiskFails,
    /// A disk acknowledges and does not erase.
    DiskLies,
    /// Bytes of an image are wrong on their way.
    WrongBytes,
    /// Operators ask for things that contradict each other.
    OperatorConflict,
    /// The appliance's clock jumps ahead.
    ClockJump,
    /// All servers start at once.
    AllAtOnce,
    /// A hostile machine sends a frame.
    Hostile,
    /// A switch refuses a request.
    SwitchRefuses,
    /// A switch hangs inside a commit.
    SwitchHangs,
    /// A switch drops the session, mostly behind the lock.
    SwitchDrops,
    /// A switch is locked by somebody else.
    SwitchLocked,
    /// A switch loses power.
    SwitchPower,
    /// A switch applies half of a change, or none of it.
    SwitchHalf,
    /// A switch lies in its answer.
    SwitchLies,
    /// A switch loses its running configuration.
    SwitchForgets,
    /// A switch answers with an XML bomb, or with no XML.
    SwitchBomb,
    /// A switch has another host key than the pinned one.
    SwitchKey,
    /// A server's cable is in another port.
    CableMoved,
    /// The cables of two servers are in each other's port.
    CablesSwapped,
    /// Another machine sends under a server's address, on another VLAN.
    MacTwice,
    /// A VLAN is missing on the appliance's trunk.
    TrunkLacks,
    /// A switch takes a move back that nobody confirmed in time.
    ConfirmRunsOut,
    /// The appliance restarts between a move and its confirmation.
    RestartBehindMove,
}

/// How many kinds there are.
pub const KINDS: usize = 47;

impl Fault {
    /// Every kind.
    pub const ALL: [Fault; KINDS] = [
        Fault::Loss,
        Fault::Duplicate,
        Fault::Reorder,
        Fault::Corrupt,
        Fault::Partition,
        Fault::PortAstray,
        Fault::MacAstray,
        Fault::RogueDhcp,
        Fault::AppliancePower,
        Fault::ServerPower,
        Fault::FlashWear,
        Fault::BitRot,
        Fault::AgentHang,
        Fault::AgentLie,
        Fault::AgentRestart,
        Fault::AgentTwice,
        Fault::TicketThief,
        Fault::BmcNothing,
        Fault::BmcBootOrder,
        Fault::BmcLate,
        Fault::BmcNever,
        Fault::BmcFails,
        Fault::BmcTwice,
        Fault::BmcLies,
        Fault::DiskFails,
        Fault::DiskLies,
        Fault::WrongBytes,
        Fault::OperatorConflict,
        Fault::ClockJump,
        Fault::AllAtOnce,
        Fault::Hostile,
        Fault::SwitchRefuses,
        Fault::SwitchHangs,
        Fault::SwitchDrops,
        Fault::SwitchLocked,
        Fault::SwitchPower,
        Fault::SwitchHalf,
        Fault::SwitchLies,
        Fault::SwitchForgets,
        Fault::SwitchBomb,
        Fault::SwitchKey,
        Fault::CableMoved,
        Fault::CablesSwapped,
        Fault::MacTwice,
        Fault::TrunkLacks,
        Fault::ConfirmRunsOut,
        Fault::RestartBehindMove,
    ];

    /// Its name on command lines and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Loss => "loss",
            Fault::Duplicate => "duplicate",
            Fault::Reorder => "reorder",
            Fault::Corrupt => "corrupt",
            Fault::Partition => "partition",
            Fault::PortAstray => "port-astray",
            Fault::MacAstray => "mac-astray",
            Fault::RogueDhcp => "rogue-dhcp",
            Fault::AppliancePower => "appliance-power",
            Fault::ServerPower => "server-power",
            Fault::FlashWear => "flash-wear",
            Fault::BitRot => "bit-rot",
            Fault::AgentHang => "agent-hang",
            Fault::AgentLie => "agent-lie",
            Fault::AgentRestart => "agent-restart",
            Fault::AgentTwice => "agent-twice",
            Fault::TicketThief => "ticket-thief",
            Fault::BmcNothing => "bmc-nothing",
            Fault::BmcBootOrder => "bmc-boot-order",
            Fault::BmcLate => "bmc-late",
            Fault::BmcNever => "bmc-never",
            Fault::BmcFails => "bmc-fails",
            Fault::BmcTwice => "bmc-twice",
            Fault::BmcLies => "bmc-lies",
            Fault::DiskFails => "disk-fails",
            Fault::DiskLies => "disk-lies",
            Fault::WrongBytes => "wrong-bytes",
            Fault::OperatorConflict => "operator-conflict",
            Fault::ClockJump => "clock-jump",
            Fault::AllAtOnce => "all-at-once",
            Fault::Hostile => "hostile",
            Fault::SwitchRefuses => "switch-refuses",
            Fault::SwitchHangs => "switch-hangs",
            Fault::SwitchDrops => "switch-drops",
            Fault::SwitchLocked => "switch-locked",
            Fault::SwitchPower => "switch-power",
            Fault::SwitchHalf => "switch-half",
            Fault::SwitchLies => "switch-lies",
            Fault::SwitchForgets => "switch-forgets",
            Fault::SwitchBomb => "switch-bomb",
            Fault::SwitchKey => "switch-key",
            Fault::CableMoved => "cable-moved",
            Fault::CablesSwapped => "cables-swapped",
            Fault::MacTwice => "mac-twice",
            Fault::TrunkLacks => "trunk-lacks",
            Fault::ConfirmRunsOut => "confirm-runs-out",
            Fault::RestartBehindMove => "restart-behind-move",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Fault> {
        Self::ALL.into_iter().find(|fault| fault.name() == name)
    }
}

/// The first kind that strikes switches, cables and the trunk: all behind it do.
pub const FIRST_OF_SWITCHES: Fault = Fault::SwitchRefuses;

/// A set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kinds(u64);

impl Kinds {
    /// No kind.
    pub const NONE: Kinds = Kinds(0);
    /// All kinds.
    pub const ALL: Kinds = Kinds((1 << KINDS) - 1);

    /// Whether a kind is in it.
    pub const fn has(self, fault: Fault) -> bool {
        self.0 & (1 << fault as u64) != 0
    }

    /// The set with one kind more.
    #[must_use]
    pub const fn with(self, fault: Fault) -> Self {
        Kinds(self.0 | 1 << fault as u64)
    }

    /// The set without one kind.
    #[must_use]
    pub const fn without(self, fault: Fault) -> Self {
        Kinds(self.0 & !(1 << fault as u64))
    }

    /// The kinds that are not in it.
    pub fn missing(self) -> impl Iterator<Item = Fault> {
        Fault::ALL
            .into_iter()
            .filter(move |fault| !self.has(*fault))
    }
}

/// The faults of one rack: which may strike, and how often each did.
#[derive(Debug, Clone)]
pub struct Faults {
    kinds: Kinds,
    counts: [u64; KINDS],
}

impl Faults {
    /// Nothing has struck.
    pub fn new(kinds: Kinds) -> Self {
        Faults {
            kinds,
            counts: [0; KINDS],
        }
    }

    /// From now on nothing strikes.
    pub fn stop(&mut self) {
        self.kinds = Kinds::NONE;
    }

    /// Whether a kind may strike.
    pub fn may(&self, fault: Fault) -> bool {
        self.kinds.has(fault)
    }

    /// Strikes in `parts` of a million cases, and is counted then.
    pub fn strikes(&mut self, fault: Fault, random: &mut Random, parts: u64) -> bool {
        // Drawn in any case: without one kind, the others stay as they are.
        let strikes = random.chance(parts) && self.may(fault);
        if strikes {
            self.count(fault);
        }
        strikes
    }

    /// It has struck.
    pub fn count(&mut self, fault: Fault) {
        self.counts[fault as usize] += 1;
    }

    /// How often each kind did.
    pub fn counts(&self) -> &[u64; KINDS] {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_again_and_differ() {
        for (place, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, place);
            assert_eq!(Fault::named(fault.name()), Some(fault));
        }
        assert_eq!(Fault::named("none"), None);
    }

    #[test]
    fn only_what_may_strikes_and_all_that_strikes_is_counted() {
        let mut faults = Faults::new(Kinds::NONE.with(Fault::Loss));
        let mut random = Random::new(1, 1);
        for _ in 0..1000 {
            let _hit = faults.strikes(Fault::Loss, &mut random, 500_000);
            assert!(!faults.strikes(Fault::Corrupt, &mut random, 1_000_000));
        }
        let count = faults.counts()[Fault::Loss as usize];
        assert!((400..600).contains(&count));
        assert_eq!(Kinds::ALL.without(Fault::Loss).missing().count(), 1);
    }
}
