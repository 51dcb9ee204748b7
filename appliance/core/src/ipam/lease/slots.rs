//! The slots of a pool, found by client and by the time when they run out,
//! each without looking at the others. What a client may have is decided in
//! the module above.
//!
//! Two indices lie beside the slots, both as long as these: chains of the
//! slots whose clients hash alike, and one order that is a heap by time in
//! its front (slots that were ever used) and a list of unused ones behind
//! it. Nothing is allocated, and all starts as zeros.

use super::Client;
use crate::Instant;
use farrier_protocol::message::Mac;

/// What a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It was never leased.
    Free,
    /// Promised or given until that time. A past `until` leaves the address
    /// reserved for its client until another one needs it.
    Held {
        client: Client,
        until: Instant,
        bound: bool,
    },
    /// A client declined it: another machine uses it.
    Declined { until: Instant },
}

const DECLINED: u16 = 0;
const OFFERED: u16 = 1;
const BOUND: u16 = 2;
/// Bits of `Slot::late_and_kind` that are the kind.
const KIND_BITS: u16 = 2;
/// The last time that a slot can name, in milliseconds: 2,200 years.
const LAST: u64 = (1 << (48 - KIND_BITS)) - 1;

/// One slot in 24 bytes, since there is one for every address.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// The client's fingerprint, low half first.
    key: [u32; 2],
    /// Low half of the time when it runs out.
    until: u32,
    /// The rest of that time, above the kind.
    late_and_kind: u16,
    mac: [u8; 6],
    /// The next slot of the same chain, plus 1.
    next: u16,
    /// Where it stands in the order.
    place: u16,
}

impl Slot {
    const EMPTY: Slot = Slot {
        key: [0; 2],
        until: 0,
        late_and_kind: 0,
        mac: [0; 6],
        next: 0,
        place: 0,
    };

    fn kind(&self) -> u16 {
        self.late_and_kind & ((1 << KIND_BITS) - 1)
    }

    fn until(&self) -> u64 {
        u64::from(self.late_and_kind >> KIND_BITS) << 32 | u64::from(self.until)
    }

    fn key(&self) -> u64 {
        u64::from(self.key[1]) << 32 | u64::from(self.key[0])
    }

    fn is(&self, client: Client) -> bool {
        self.kind() != DECLINED && self.mac == client.mac.0 && self.key() == client.key
    }
}

/// The slots of a pool of at most `L` addresses.
#[derive(Debug)]
pub(super) struct Slots<const L: usize> {
    slots: [Slot; L],
    /// First slot of every chain, plus 1; 0 where there is none.
    chains: [u16; L],
    order: [u16; L],
    /// How many of the order are the heap.
    used: u16,
    len: u16,
    /// Odd numbers that are secret: a peer that picks identities can't
    /// make them hash alike.
    secrets: [u64; 2],
}

impl<const L: usize> Slots<L> {
    const FITS: () = assert!(L < u16::MAX as usize, "slots are numbered by 16 bits");

    pub(super) const fn new() -> Self {
        let () = Self::FITS;
        Slots {
            slots: [Slot::EMPTY; L],
            chains: [0; L],
            order: [0; L],
            used: 0,
            len: 0,
            secrets: [0; 2],
        }
    }

    /// Makes the first `len` slots free, and forgets the others.
    pub(super) fn reset(&mut self, len: usize, secrets: [u64; 2]) {
        self.slots = [Slot::EMPTY; L];
        self.chains = [0; L];
        self.used = 0;
        self.len = u16::try_from(len.min(L)).unwrap_or(0);
        self.secrets = secrets.map(|secret| secret | 1);
        let slots = self.slots.iter_mut().zip(&mut self.order);
        for (place, (slot, order)) in (0..).zip(slots) {
            slot.place = place;
            *order = place;
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// What a slot is; `None` outside of the pool.
    pub(super) fn get(&self, index: usize) -> Option<State> {
        let slot = self.slots.get(index).filter(|_| index < self.len())?;
        if slot.place >= self.used {
            return Some(State::Free);
        }
        let until = Instant::from_millis(slot.until());
        Some(match slot.kind() {
            DECLINED => State::Declined { until },
            kind => State::Held {
                client: Client {
                    mac: Mac(slot.mac),
                    key: slot.key(),
                },
                until,
                bound: kind == BOUND,
            },
        })
    }

    /// The slot that a client has.
    pub(super) fn find(&self, client: Client) -> Option<usize> {
        let mut next = *self.chains.get(self.chain(client))?;
        // A chain is no longer than the table.
        for _ in 0..L {
            let index = usize::from(next.checked_sub(1)?);
            let slot = self.slots.get(index)?;
            if slot.is(client) {
                return Some(index);
            }
            next = slot.next;
        }
        None
    }

    /// A slot that was never leased.
    pub(super) fn unused(&self) -> Option<usize> {
        let free = self.order.get(usize::from(self.used))?;
        (self.used < self.len).then(|| usize::from(*free))
    }

    /// The slot that runs out first or has done so, of those that were ever
    /// used.
    pub(super) fn first_out(&self) -> Option<(Instant, usize)> {
        let first = *self.order.first().filter(|_| self.used > 0)?;
        let (until, index) = self.rank(first);
        Some((Instant::from_millis(until), usize::from(index)))
    }

    /// A client has this slot now.
    pub(super) fn hold(&mut self, index: usize, client: Client, until: Instant, bound: bool) {
        let Some(known) = self.get(index) else { return };
        if !matches!(known, State::Held { client: c, .. } if c == client) {
            self.unchain(index);
            let chain = self.chain(client);
            if let Some(slot) = self.slots.get_mut(index)
                && let Some(first) = self.chains.get_mut(chain)
            {
                slot.key = [client.key as u32, (client.key >> 32) as u32];
                slot.mac = client.mac.0;
                slot.next = *first;
                *first = index as u16 + 1;
            }
        }
        self.set(index, until, if bound { BOUND } else { OFFERED });
    }

    /// The slot is quarantined for a while.
    pub(super) fn decline(&mut self, index: usize, until: Instant) {
        if self.get(index).is_some() {
            self.unchain(index);
            self.set(index, until, DECLINED);
        }
    }

    fn set(&mut self, index: usize, until: Instant, kind: u16) {
        let millis = until.millis().min(LAST);
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.until = millis as u32;
        slot.late_and_kind = ((millis >> 32) as u16) << KIND_BITS | kind;
        if slot.place >= self.used {
            // It changes places with the first unused one.
            let place = slot.place;
            let last = self.used;
            self.used += 1;
            if let Some(other) = self.order.get(usize::from(last)).copied() {
                self.put(place, other);
                self.put(last, index as u16);
            }
        }
        self.settle(index as u16);
    }

    /// Takes a slot out of its client's chain.
    fn unchain(&mut self, index: usize) {
        let Some(State::Held { client, .. }) = self.get(index) else {
            return;
        };
        let chain = self.chain(client);
        let after = self.slots.get(index).map_or(0, |slot| slot.next);
        let wanted = index as u16 + 1;
        let Some(first) = self.chains.get_mut(chain) else {
            return;
        };
        if *first == wanted {
            *first = after;
            return;
        }
        let mut next = *first;
        for _ in 0..L {
            let Some(slot) = self.slots.get_mut(usize::from(next).wrapping_sub(1)) else {
                return;
            };
            if slot.next == wanted {
                slot.next = after;
                return;
            }
            next = slot.next;
        }
    }

    /// The chain of a client: multiply-shift with secret factors, so that
    /// any two clients meet in one of `L` cases.
    fn chain(&self, client: Client) -> usize {
        let [a, b, c, d, e, f] = client.mac.0;
        let mac = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        let [one, other] = self.secrets;
        let hash = (client.key.wrapping_mul(one)).wrapping_add(mac.wrapping_mul(other)) >> 32;
        ((hash * L as u64) >> 32) as usize
    }

    /// What the heap is ordered by.
    fn rank(&self, index: u16) -> (u64, u16) {
        let until = self.slots.get(usize::from(index)).map_or(0, Slot::until);
        (until, index)
    }

    fn at(&self, place: u16) -> u16 {
        self.order.get(usize::from(place)).copied().unwrap_or(0)
    }

    fn put(&mut self, place: u16, index: u16) {
        if let Some(order) = self.order.get_mut(usize::from(place)) {
            *order = index;
        }
        if let Some(slot) = self.slots.get_mut(usize::from(index)) {
            slot.place = place;
        }
    }

    /// Moves a slot in the heap to where it belongs.
    fn settle(&mut self, index: u16) {
        let rank = self.rank(index);
        let mut place = self
            .slots
            .get(usize::from(index))
            .map_or(0, |slot| slot.place);
        while let Some(below) = place.checked_sub(1) {
            let parent = self.at(below / 2);
            if self.rank(parent) <= rank {
                break;
            }
            self.put(place, parent);
            place = below / 2;
        }
        loop {
            let left = usize::from(place) * 2 + 1;
            if left >= usize::from(self.used) {
                break;
            }
            // Below `used`, which has 16 bits.
            let mut child = left as u16;
            if child + 1 < self.used && self.rank(self.at(child + 1)) < self.rank(self.at(child)) {
                child += 1;
            }
            let least = self.at(child);
            if rank <= self.rank(least) {
                break;
            }
            self.put(place, least);
            place = child;
        }
        self.put(place, index);
    }

    /// Whether the indices say what the slots say; for tests.
    #[cfg(test)]
    pub(super) fn is_sound(&self) -> bool {
        let used = usize::from(self.used);
        let ordered = (1..used).all(|place| {
            let place = place as u16;
            self.rank(self.at((place - 1) / 2)) <= self.rank(self.at(place))
        });
        let placed = (0..self.len()).all(|index| {
            let place = self.slots[index].place;
            usize::from(self.at(place)) == index
        });
        let found = (0..self.len()).all(|index| match self.get(index) {
            Some(State::Held { client, .. }) => self.find(client) == Some(index),
            _ => true,
        });
        let chained: usize = self
            .chains
            .iter()
            .map(|first| {
                let mut count = 0;
                let mut next = *first;
                while next != 0 {
                    count += 1;
                    next = self.slots[usize::from(next) - 1].next;
                }
                count
            })
            .sum();
        let held = (0..self.len())
            .filter(|index| matches!(self.get(*index), Some(State::Held { .. })))
            .count();
        ordered && placed && found && chained == held
    }
}
