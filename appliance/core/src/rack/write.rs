//! The one way to persist: what a step changes of a node is written when the
//! step ends.
//!
//! A node's durable state is cut into *parts*, one record each, and every
//! record holds the whole of its part: the last one counts, and applying one
//! twice does no harm. A rule [touches](Rack::touch) a node before it changes it;
//! the rack then keeps a fingerprint of each part, and writes those that
//! differ at the end of the step. Reading records back is in `restore`.

use super::parts::{
    CONFIG_DRIVE, DISK, ERROR, FLAGS, MARKED, OWN, PARTS, PLACE, PORTS, POWER, SESSION, STATE,
    WORK, history_record,
};
use crate::interface::{Effects, Instant};
use crate::node::{Happening, HistoryEntry, MAX_MACS, Node, Reason};
use crate::persist::record::{MAX_RECORD, Record};
use crate::persist::{Before, Fingerprint, Fingerprints, Touched};
use crate::rack::Rack;
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::NodeId;

/// To be raised where a place of a snapshot comes to mean something else.
const ARRANGEMENT: usize = 5;

/// Most nodes that one step touches: one, those that become one with it, and
/// one whose deadline is over.
pub(crate) const MAX_TOUCHED: usize = 6;

fn write(record: &Record<'_>, room: &mut [u8]) -> Option<usize> {
    postcard::to_slice(record, room).ok().map(|used| used.len())
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Keeps what a node is before the step changes it, or what a place is
    /// before a node is put there. `None` where there is no such place, or the
    /// step touches more nodes than [`MAX_TOUCHED`], which is a bug.
    pub(crate) fn touch(&mut self, index: usize) -> Option<Touched> {
        if index > self.nodes.len() {
            return None;
        }
        if self.touched.iter().all(|before| before.index != index) {
            let node = self.nodes.get(index).filter(|node| !node.is_vacant());
            let before = Before {
                index,
                id: node.map_or(NodeId([0; 16]), |node| node.id),
                parts: self.fingerprints(index),
            };
            let kept = self.touched.push(before);
            debug_assert!(kept.is_ok(), "a step touches at most MAX_TOUCHED nodes");
            kept.ok()?;
        }
        let mut kept = self.touched.iter();
        kept.find(|before| before.index == index).map(Touched::kept)
    }

    /// Whether the step has touched a node.
    pub(crate) fn touched(&self) -> impl Iterator<Item = usize> + use<N, L, D> {
        let mut all = [usize::MAX; MAX_TOUCHED];
        for (place, before) in all.iter_mut().zip(&self.touched) {
            *place = before.index;
        }
        all.into_iter().filter(|index| *index != usize::MAX)
    }

    /// Fingerprints of what a node is now; zeros for a vacant place.
    fn fingerprints(&self, index: usize) -> Fingerprints {
        let mut all = Fingerprints([0; MARKED]);
        let Some(node) = self.nodes.get(index).filter(|node| !node.is_vacant()) else {
            return all;
        };
        let disks = self.disks(index).count();
        for (part, place) in all.0.iter_mut().enumerate() {
            if part >= DISK + disks {
                break;
            }
            if let Some(found) = self.part_with(index, node, part, true, Fingerprint::of) {
                *place = found;
            }
        }
        all
    }

    /// Writes what the step has changed of the nodes that it touched.
    pub(crate) fn write_touched(&mut self, out: &mut Effects) {
        for place in 0..self.touched.len() {
            if let Some(before) = self.touched.get(place)
                && self.write_node(before, out)
            {
                self.sealing.note_end();
            }
        }
        self.touched.clear();
    }

    /// Returns whether a secret of the node has ended.
    fn write_node(&self, before: &Before, out: &mut Effects) -> bool {
        let index = before.index;
        let Some(node) = self.nodes.get(index).filter(|node| !node.is_vacant()) else {
            if before.id != NodeId([0; 16]) {
                Record::Deleted { node: before.id }.emit(out);
            }
            return true;
        };
        let mut secrets_end = false;
        let after = self.fingerprints(index);
        let is_new = node.id != before.id;
        if is_new && before.id != NodeId([0; 16]) {
            Record::Deleted { node: before.id }.emit(out);
        }
        let mut room = [0; MAX_RECORD];
        for (part, (old, new)) in before.parts.0.iter().zip(&after.0).enumerate() {
            let differs = if is_new {
                // A restore makes a new node with nothing in it.
                *new != 0 && (part == PLACE || !self.part_is_empty(index, node, part))
            } else {
                old != new
            };
            if old != new && *old != 0 && matches!(part, SESSION | CONFIG_DRIVE) {
                secrets_end = true;
            }
            if differs && let Some(record) = self.encode(index, node, part, &mut room) {
                out.record(record);
            }
        }
        secrets_end
    }

    /// Writes what [quarantine](Rack::quarantine) changes of a node.
    pub(crate) fn write_quarantine(&self, index: usize, out: &mut Effects) {
        let Some(node) = self.nodes.get(index).filter(|node| !node.is_vacant()) else {
            return;
        };
        let mut room = [0; MAX_RECORD];
        for part in [FLAGS, STATE, ERROR, WORK, POWER] {
            if let Some(record) = self.encode(index, node, part, &mut room) {
                out.record(record);
            }
        }
    }

    /// Distinguishes arrangements of [`snapshot`](Self::snapshot)'s places.
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
    pub(super) fn encode<'r>(
        &self,
        index: usize,
        node: &Node,
        part: usize,
        room: &'r mut [u8],
    ) -> Option<&'r [u8]> {
        let length = self.part_with(index, node, part, false, |record| write(record, room))?;
        room.get(..length)
    }

    /// Whether a part is as in a node that was just restored.
    fn part_is_empty(&self, index: usize, node: &Node, part: usize) -> bool {
        let empty = |record: &Record<'_>| Some(record.is_empty());
        self.part_with(index, node, part, false, empty)
            .unwrap_or(true)
    }

    /// Keeps in a node's history what happened, and writes it.
    pub(crate) fn remember(
        &mut self,
        now: Instant,
        index: usize,
        what: Happening,
        (from, reason): (ProvisionState, Reason),
        out: &mut Effects,
    ) {
        let Some(node) = self.nodes.get(index) else {
            return;
        };
        let entry = HistoryEntry {
            sequence: self.history.next(index),
            run: self.run,
            seconds: u32::try_from(now.millis() / 1000).unwrap_or(u32::MAX),
            actor: self.actor.0,
            account: self.actor.1.clone(),
            what,
            from,
            to: node.state,
            reason,
        };
        history_record(node.id, &entry).emit(out);
        self.history.put(index, entry);
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
