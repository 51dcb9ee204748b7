//! What of the rack is durable, as records; and which of it a step changed.
//!
//! A node's durable facts are cut into *parts*, one record each, and every
//! record says all of its part: the last one that was written counts, and
//! writing one twice does no harm. A step that touches a node is compared
//! with what was before, part by part, so that no change can be forgotten
//! to be written down. Reading records back is in `restore`.

use crate::interface::Effects;
use crate::interface::Instant;
use crate::interface::{Command, Input};
use crate::node::{MAX_MACS, Node};
use crate::persist::record::{MAX_RECORD, Record};
use crate::rack::Rack;
use farrier_protocol::wire::Datagram;
use postcard::ser_flavors::Flavor;

/// To be raised where a place comes to mean something else.
const ARRANGEMENT: usize = 1;

use super::parts::{DISK, ERROR, FLAGS, MARKED, OWN, PARTS, PLACE, PORTS, STATE, WORK};

/// What a doubt changes of a node.
pub(crate) const QUARANTINE: [usize; 4] = [FLAGS, STATE, ERROR, WORK];

/// Fingerprints of a node's parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks([u32; MARKED]);

/// Takes the encoding of a record in and keeps 32 bits of it, without ever
/// writing it out: FNV-1a over what comes as single bytes, and over words of
/// what comes in pieces. A change that it overlooks is one in 2³².
///
/// Each node that is spoken with is looked at twice a step, so it has to be
/// quick.
struct Fingerprint(u32);

impl Fingerprint {
    /// Of a record.
    fn of(record: &Record<'_>) -> Option<u32> {
        postcard::serialize_with_flavor(record, Fingerprint::default()).ok()
    }

    fn add(&mut self, word: u32) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0100_0193);
    }
}

impl Default for Fingerprint {
    fn default() -> Self {
        Fingerprint(0x811c_9dc5)
    }
}

impl Flavor for Fingerprint {
    type Output = u32;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.add(byte.into());
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        let (words, rest) = bytes.as_chunks::<4>();
        for word in words {
            self.add(u32::from_le_bytes(*word));
            // The multiplication carries upwards only.
            self.0 = self.0.rotate_left(15);
        }
        rest.iter().for_each(|byte| self.add((*byte).into()));
        Ok(())
    }

    fn finalize(self) -> postcard::Result<u32> {
        Ok(self.0)
    }
}

fn write(record: &Record<'_>, room: &mut [u8]) -> Option<usize> {
    postcard::to_slice(record, room).ok().map(|used| used.len())
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// The node that an input is about, where one is known: what it changes
    /// of that one is written down. Inputs that make nodes or let them go
    /// write that down themselves.
    pub(crate) fn touched(&self, input: &Input<'_>) -> Option<usize> {
        match input {
            Input::Open { peer, path, .. } => {
                self.find_by_address(*peer).filter(|_| *path == "boot.ipxe")
            }
            Input::Agent { datagram, .. } => match Datagram::parse(datagram) {
                Ok(Datagram::Init(init)) => self.nodes.iter().position(|node| {
                    node.boot
                        .ticket
                        .as_ref()
                        .is_some_and(|ticket| ticket.id == init.ticket)
                }),
                // What a request changes, it writes down itself: most change
                // nothing that lasts.
                _ => None,
            },
            Input::Command { command, .. } => match command {
                Command::Provision { node, .. }
                | Command::ProvisionSteps { node, .. }
                | Command::RenameNode { node, .. }
                | Command::SetInstanceInfo { node, .. }
                | Command::SetDriverInfo { node, .. }
                | Command::DeleteNode { node }
                | Command::CreatePort { node, .. }
                | Command::SetPower { node, .. }
                | Command::SetResourceClass { node, .. }
                | Command::SetTrait { node, .. }
                | Command::SetAdminFlag { node, .. } => self.find(*node),
                Command::DeletePort { mac } => self.find_by_mac(*mac),
                Command::Deallocate { allocation } => self.find_by_instance(*allocation),
                Command::CreateNode { .. }
                | Command::Allocate(_)
                | Command::PutFlavor { .. }
                | Command::DeleteFlavor { .. }
                | Command::PutNetwork { .. }
                | Command::DeleteNetwork { .. }
                | Command::ReserveAddress { .. }
                | Command::ReleaseAddress { .. } => None,
            },
            Input::OperationDone { id, .. } => {
                let of = |node: &Node| node.power_control.operation() == Some(*id);
                self.nodes.iter().position(of)
            }
            Input::Observed { node, .. } => self.find(*node),
            Input::Tick | Input::Image(_) | Input::Dhcp { .. } | Input::Sent { .. } => None,
        }
    }

    /// Fingerprints of what a node is now.
    pub(crate) fn marks(&self, index: usize) -> Marks {
        let mut marks = Marks([0; MARKED]);
        let Some(node) = self.nodes.get(index).filter(|node| !node.is_vacant()) else {
            return marks;
        };
        let disks = self.disks(index).count();
        for (part, mark) in marks.0.iter_mut().enumerate() {
            if part >= DISK + disks {
                break;
            }
            if let Some(found) = self.part_with(index, node, part, true, Fingerprint::of) {
                *mark = found;
            }
        }
        marks
    }

    /// Writes down what of a node is not as it was.
    pub(crate) fn note(&self, index: usize, before: &Marks, out: &mut Effects) {
        let after = self.marks(index);
        let Some(node) = self.nodes.get(index).filter(|node| !node.is_vacant()) else {
            return;
        };
        if after.0[PLACE] != before.0[PLACE] {
            // Another node took the place within the step.
            self.note_place(index, out);
        }
        let mut room = [0; MAX_RECORD];
        for (part, (old, new)) in before.0.iter().zip(&after.0).enumerate() {
            if part != PLACE
                && old != new
                && let Some(record) = self.encode(index, node, part, &mut room)
            {
                out.record(record);
            }
        }
    }

    /// Writes down that a node is quarantined.
    pub(crate) fn write_quarantine(&self, index: usize, out: &mut Effects) {
        let Some(node) = self.nodes.get(index).filter(|node| !node.is_vacant()) else {
            return;
        };
        let mut room = [0; MAX_RECORD];
        for part in QUARANTINE {
            if let Some(record) = self.encode(index, node, part, &mut room) {
                out.record(record);
            }
        }
    }

    /// Writes down which node a place has.
    pub(crate) fn note_place(&self, index: usize, out: &mut Effects) {
        if let Some(node) = self.nodes.get(index)
            && let Ok(place) = u16::try_from(index)
        {
            Record::Place {
                place,
                node: node.id,
            }
            .emit(out);
        }
    }

    /// Tells arrangements of [`snapshot`](Self::snapshot)'s places from one
    /// another.
    pub fn layout(&self) -> u16 {
        let pool = usize::from(self.config.pool_len);
        let sizes = [N, L, OWN, PARTS, pool, ARRANGEMENT];
        let sizes = sizes.map(|size| size as u32).map(u32::to_le_bytes);
        let hash = |bytes: &[u8]| {
            let mut hash = Fingerprint::default();
            bytes.iter().for_each(|byte| hash.add((*byte).into()));
            hash.0
        };
        let hash = hash(sizes.as_flattened()) ^ hash(&self.config.pool_first.octets());
        (hash >> 16 ^ hash) as u16
    }

    /// Writes the record of the first place from this one on that has any
    /// into the buffer ([`MAX_RECORD`] bytes). Returns the place and the
    /// record's length; `None` where there is none any more.
    ///
    /// All records of all places together describe the rack as it is.
    pub fn snapshot(&self, now: Instant, from: u16, room: &mut [u8]) -> Option<(u16, usize)> {
        let mut place = usize::from(from);
        let leases = OWN + N * PARTS;
        while place < leases + L {
            let written = if place < OWN {
                self.own(place).and_then(|record| write(&record, room))
            } else if place < leases {
                let (index, part) = ((place - OWN) / PARTS, (place - OWN) % PARTS);
                let Some(node) = self.nodes.get(index).filter(|node| !node.is_vacant()) else {
                    place = OWN + (index + 1) * PARTS;
                    continue;
                };
                // A disk that is not there was not there from the beginning.
                let no_disk =
                    (DISK..MARKED).contains(&part) && part - DISK >= self.disks(index).count();
                if no_disk {
                    None
                } else {
                    let record = self.encode(index, node, part, room);
                    record.map(|record| record.len())
                }
            } else {
                self.lease(now, place - leases)
                    .and_then(|record| write(&record, room))
            };
            if let Some(length) = written {
                return u16::try_from(place).ok().map(|place| (place, length));
            }
            place += 1;
        }
        None
    }

    /// One part of a node, as the bytes of a record.
    fn encode<'r>(
        &self,
        index: usize,
        node: &Node,
        part: usize,
        room: &'r mut [u8],
    ) -> Option<&'r [u8]> {
        let length = self.part_with(index, node, part, false, |record| write(record, room))?;
        room.get(..length)
    }

    /// Makes something of the record of one part of a node.
    fn part_with<T>(
        &self,
        index: usize,
        node: &Node,
        part: usize,
        mark: bool,
        with: impl FnOnce(&Record<'_>) -> Option<T>,
    ) -> Option<T> {
        let mut bytes = [0; MAX_MACS * 6];
        let mut macs: &[u8] = &[];
        if part == PORTS {
            let (all, _) = bytes.as_chunks_mut::<6>();
            for (to, mac) in all.iter_mut().zip(&node.macs) {
                *to = mac.0;
            }
            macs = bytes.get(..node.macs.len() * 6)?;
        }
        with(&self.part_record(index, node, part, mark, macs)?)
    }
}

#[cfg(test)]
mod tests;
