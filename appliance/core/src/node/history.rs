//! What happened to each node: a bounded ring of entries, which outlives
//! restarts.

use super::Reason;
use crate::interface::{ACCOUNT_LEN, ActorKind, AdminFlag, BootChoice, PowerAction};
use farrier_lifecycle::{ProvisionEvent, ProvisionState};
use farrier_protocol::message::EraseMethod;
use heapless::{String, Vec};

/// Entries that are kept of one node.
pub const HISTORY_LEN: usize = farrier_sizes::HISTORY;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happening {
    /// A transition by this event.
    Transition(ProvisionEvent),
    /// An operator asked for this.
    Power(PowerAction),
    /// An operator set or cleared this flag.
    Flag(AdminFlag, bool),
    /// An operator had the node's identity learned anew.
    Rebind,
    /// An operator waived a device, or no longer does. The device is with the
    /// [waiver](crate::provisioning::waivers).
    Waiver(bool),
    /// An operator set the weakest method by which the node's disks may be
    /// erased; `None` is that of the rack.
    LeastErase(Option<EraseMethod>),
    /// A driver found the machine of a tenant switched off, and nobody had asked for
    /// it.
    FoundOff,
    /// An operator had the machine interrupted.
    Nmi,
    /// An operator said what the machine boots from.
    BootDevice(BootChoice),
}

impl Happening {
    /// Numbers of power actions begin here; those below are events'.
    const POWER: u8 = 64;
    /// Numbers of flags begin here, the cleared one before the set one.
    const FLAG: u8 = 96;
    /// The number of a rebind.
    const REBIND: u8 = 128;
    /// The number of the end of a waiver, before that of a waiver.
    const WAIVER: u8 = 129;
    /// The number of the rack's least method, before those of the node's own.
    const LEAST_ERASE: u8 = 131;
    /// The number of a machine that was found off.
    const FOUND_OFF: u8 = 135;
    /// The number of an interrupt.
    const NMI: u8 = 136;
    /// Numbers of boot devices begin behind this one.
    const BOOT_DEVICE: u8 = 136;

    /// The number in records.
    pub const fn number(self) -> u8 {
        match self {
            Self::Transition(event) => event as u8,
            Self::Power(action) => Self::POWER + action as u8,
            Self::Rebind => Self::REBIND,
            Self::FoundOff => Self::FOUND_OFF,
            Self::Nmi => Self::NMI,
            Self::BootDevice(choice) => {
                Self::BOOT_DEVICE + 1 + choice.persistent as u8 + 2 * choice.device as u8
            }
            Self::Waiver(on) => Self::WAIVER + on as u8,
            Self::LeastErase(None) => Self::LEAST_ERASE,
            Self::LeastErase(Some(least)) => Self::LEAST_ERASE + 1 + least as u8,
            Self::Flag(flag, on) => Self::FLAG + 2 * flag as u8 + on as u8,
        }
    }

    /// What has that number.
    pub fn from_number(number: u8) -> Option<Self> {
        match number {
            Self::REBIND => return Some(Self::Rebind),
            Self::WAIVER => return Some(Self::Waiver(false)),
            130 => return Some(Self::Waiver(true)),
            Self::LEAST_ERASE => return Some(Self::LeastErase(None)),
            132 => return Some(Self::LeastErase(Some(EraseMethod::Discard))),
            133 => return Some(Self::LeastErase(Some(EraseMethod::WriteZeroes))),
            134 => return Some(Self::LeastErase(Some(EraseMethod::Overwrite))),
            Self::FOUND_OFF => return Some(Self::FoundOff),
            Self::NMI => return Some(Self::Nmi),
            137..=140 => {
                let choice = BootChoice::from_number(number - Self::BOOT_DEVICE);
                return choice.map(Self::BootDevice);
            }
            _ => {}
        }
        if let Some(flag) = number.checked_sub(Self::FLAG) {
            let known = AdminFlag::ALL.get(usize::from(flag / 2))?;
            return Some(Self::Flag(*known, flag % 2 == 1));
        }
        match number.checked_sub(Self::POWER) {
            Some(action) => PowerAction::from_number(action).map(Self::Power),
            None => {
                let mut all = ProvisionEvent::ALL.into_iter();
                all.find(|event| *event as u8 == number)
                    .map(Self::Transition)
            }
        }
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Its number among the node's entries, from 0.
    pub sequence: u32,
    /// The start of the appliance within which it happened, from 1.
    pub run: u32,
    /// Seconds since that start.
    pub seconds: u32,
    /// What kind of party caused it.
    pub actor: ActorKind,
    /// The account that caused it; empty for others.
    pub account: String<ACCOUNT_LEN, u8>,
    /// What happened.
    pub what: Happening,
    /// The state before.
    pub from: ProvisionState,
    /// The state after.
    pub to: ProvisionState,
    /// Why.
    pub reason: Reason,
}

/// The entries of one node, in no order.
type Ring = Vec<HistoryEntry, HISTORY_LEN, u8>;

/// The history of every node of a table of `N`.
#[derive(Debug)]
pub struct History<const N: usize> {
    rings: [Ring; N],
}

/// The history of every node, to be looked at.
#[derive(Debug, Clone, Copy)]
pub struct Histories<'a>(&'a [Ring]);

impl<'a> Histories<'a> {
    /// The entries of the node in a place, the oldest first.
    pub fn of(self, place: usize) -> impl Iterator<Item = &'a HistoryEntry> {
        let ring = self.0.get(place).map_or(&[][..], |ring| &ring[..]);
        let next = ring
            .iter()
            .map(|entry| entry.sequence)
            .max()
            .map_or(0, |last| last.wrapping_add(1));
        (0..HISTORY_LEN as u32).rev().filter_map(move |back| {
            let wanted = next.wrapping_sub(back + 1);
            ring.iter().find(|entry| entry.sequence == wanted)
        })
    }
}

impl<const N: usize> Default for History<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> History<N> {
    /// Nothing has happened.
    pub const fn new() -> Self {
        History {
            rings: [const { Vec::new() }; N],
        }
    }

    /// The entries of the node in a place, the oldest first.
    pub fn of(&self, place: usize) -> impl Iterator<Item = &HistoryEntry> {
        self.view().of(place)
    }

    /// All of it, to be looked at.
    pub const fn view(&self) -> Histories<'_> {
        Histories(&self.rings)
    }

    /// The number of the node's next entry.
    pub(crate) fn next(&self, place: usize) -> u32 {
        self.of(place)
            .last()
            .map_or(0, |last| last.sequence.wrapping_add(1))
    }

    /// Puts an entry into the place of the one that is [`HISTORY_LEN`] older.
    pub(crate) fn put(&mut self, place: usize, entry: HistoryEntry) {
        let Some(ring) = self.rings.get_mut(place) else {
            return;
        };
        let same = |known: &&mut HistoryEntry| {
            known.sequence % HISTORY_LEN as u32 == entry.sequence % HISTORY_LEN as u32
        };
        match ring.iter_mut().find(same) {
            Some(known) => *known = entry,
            // One for each remainder: there is room.
            None => drop(ring.push(entry)),
        }
    }

    /// The entry in one slot of a node's ring.
    pub(crate) fn slot(&self, place: usize, slot: usize) -> Option<&HistoryEntry> {
        let ring = self.rings.get(place)?;
        ring.iter()
            .find(|entry| entry.sequence as usize % HISTORY_LEN == slot)
    }

    /// Forgets a node's entries.
    pub(crate) fn clear(&mut self, place: usize) {
        if let Some(ring) = self.rings.get_mut(place) {
            ring.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::ERASE_METHODS;

    fn entry(sequence: u32) -> HistoryEntry {
        HistoryEntry {
            sequence,
            run: 1,
            seconds: sequence,
            actor: ActorKind::Rack,
            account: String::new(),
            what: Happening::Transition(ProvisionEvent::Done),
            from: ProvisionState::Cleaning,
            to: ProvisionState::Available,
            reason: Reason::Erased,
        }
    }

    #[test]
    fn the_oldest_entry_makes_room() {
        let mut history = History::<2>::new();
        assert_eq!(history.next(1), 0);
        for sequence in 0..11 {
            history.put(1, entry(sequence));
        }
        let kept: std::vec::Vec<u32> = history.of(1).map(|entry| entry.sequence).collect();
        assert_eq!(kept, [3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(history.next(1), 11);
        assert_eq!(history.of(0).count(), 0);
        history.clear(1);
        assert_eq!(history.of(1).count(), 0);
    }

    #[test]
    fn happenings_have_numbers() {
        for event in ProvisionEvent::ALL {
            let what = Happening::Transition(event);
            assert_eq!(Happening::from_number(what.number()), Some(what));
        }
        for action in PowerAction::ALL {
            let what = Happening::Power(action);
            assert_eq!(Happening::from_number(what.number()), Some(what));
        }
        let methods = ERASE_METHODS.map(|(method, _)| Some(method));
        for least in methods.into_iter().chain([None]) {
            let what = Happening::LeastErase(least);
            assert_eq!(Happening::from_number(what.number()), Some(what));
        }
        let choices = BootChoice::ALL.map(Happening::BootDevice);
        for what in choices
            .into_iter()
            .chain([Happening::FoundOff, Happening::Nmi])
        {
            assert_eq!(Happening::from_number(what.number()), Some(what));
        }
        assert_eq!(Happening::from_number(63), None);
    }
}
