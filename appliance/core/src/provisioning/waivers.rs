//! What of a machine nobody has proven empty, and what operators have waived of
//! that.
//!
//! A waiver is a pair in the string pool: the device; and the number of the history
//! entry of the waiver, a space, and what was [seen](Seen) of the device. It holds for
//! a device that is still so: whoever can choose a serial number can't choose reason
//! and size with it. In place of what was seen, an ended waiver has a `-` and the number
//! of the entry that ended it: the pair then only tells the history which device it
//! was, and gives way to others. A waiver holds for one machine, so a rebind ends it.

use core::fmt::Write;

use crate::interface::{CommandError, Cut, Effects, Instant, Seen, StatementRef, String};
use crate::node::{ERROR_LEN, Happening, MAX_WAIVERS, Reason};
use crate::persist::record::Record;
use crate::rack::{Rack, edit};
use crate::strings::{Kind, StringPool};
use farrier_protocol::borrowed::Inspection;
use farrier_protocol::message::NodeId;

/// Longest name of a device in bytes.
const DEVICE_LEN: usize = 40;
/// Longest kind of a controller in bytes.
const KIND_LEN: usize = 24;
/// Most bytes that a waiver keeps beside the name of the device.
const KEPT_LEN: usize = 40;
/// How many devices an error names.
const NAMED: u16 = 2;

/// A device that an operator has waived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waived<'a> {
    /// Its name in inspections.
    pub device: &'a str,
    /// What it is waived as.
    pub seen: Seen<'a>,
}

/// The devices of a node that are waived.
pub fn waived(texts: &StringPool, node: usize) -> impl Iterator<Item = Waived<'_>> {
    texts
        .pairs(node, Kind::Waiver)
        .filter_map(|(device, kept)| {
            let seen = Seen::parse(kept.split_once(' ')?.1)?;
            Some(Waived { device, seen })
        })
}

/// The device that an entry of a node's history is about.
pub fn device_of(texts: &StringPool, node: usize, sequence: u32) -> Option<&str> {
    let mut all = texts.pairs(node, Kind::Waiver);
    let is = |kept: &str| {
        let mut numbers = numbers(kept).split('-');
        numbers.any(|number| number.parse() == Ok(sequence))
    };
    all.find(|(_, kept)| is(kept)).map(|(device, _)| device)
}

/// The numbers of the history entries of a waiver.
fn numbers(kept: &str) -> &str {
    kept.split_once(' ').map_or(kept, |(numbers, _)| numbers)
}

/// Whether a text of a device can be kept.
fn fits(text: &str, most: usize) -> bool {
    let allowed = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
    text.len() <= most && text.bytes().all(allowed)
}

/// What an inspection did not prove.
pub(crate) struct Unproven {
    /// How many things.
    pub(crate) count: u16,
    /// The first of them, for people.
    pub(crate) text: String<ERROR_LEN>,
}

impl Unproven {
    fn add(&mut self, what: core::fmt::Arguments<'_>) {
        let between = if self.count == 0 { "" } else { ", " };
        self.count = self.count.saturating_add(1);
        if self.count <= NAMED {
            // `Cut` never fails.
            let _never = write!(Cut(&mut self.text), "{between}{what}");
        }
    }
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// What the inspection in a statement leaves unproven and no operator has waived.
    pub(crate) fn unproven(&self, index: usize, statement: StatementRef) -> Unproven {
        let mut found = Unproven {
            count: 0,
            text: String::new(),
        };
        let Some(inspection) = Inspection::read(self.statement(statement)) else {
            found.add(format_args!("the inspection, which is malformed"));
            return found;
        };
        let waived = |device: &str, seen: Seen<'_>| {
            waived(&self.texts, index).any(|waived| waived == Waived { device, seen })
        };
        let devices = inspection.skipped.iter();
        for device in devices.filter(|device| device.reason.is_unproven()) {
            let (reason, size) = (device.reason, device.size);
            if !waived(&device.id, Seen::Skipped { reason, size }) {
                let reason = reason.as_str();
                found.add(format_args!("{} {} ({reason})", device.name, device.id));
            }
        }
        for controller in inspection.controllers.iter() {
            let kind = &*controller.kind;
            if !waived(&controller.id, Seen::Controller { kind }) {
                found.add(format_args!("{} (no driver)", controller.id));
            }
        }
        if inspection.unlisted > 0 {
            found.add(format_args!("{} devices too many", inspection.unlisted));
        }
        if !inspection.settled {
            found.add(format_args!("the kernel still initialises devices"));
        }
        if found.count > NAMED {
            let more = found.count - NAMED;
            let _never = write!(Cut(&mut found.text), ", {more} more");
        }
        found
    }

    /// Waives a device of a node as it was seen, or ends that.
    pub(crate) fn waive(
        &mut self,
        now: Instant,
        index: usize,
        device: &str,
        seen: Option<Seen<'_>>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let kind = match seen {
            Some(Seen::Controller { kind }) => kind,
            _ => "",
        };
        if device.is_empty() || !fits(device, DEVICE_LEN) || !fits(kind, KIND_LEN) {
            return Err(CommandError::BadDevice);
        }
        let was = waived(&self.texts, index)
            .find(|known| known.device == device)
            .map(|known| known.seen);
        match (was, seen) {
            (Some(_), Some(_)) if was == seen => return Ok(()),
            (None, None) => return Err(CommandError::NoSuchWaiver),
            (None, Some(_)) => self.make_room(index, device, out)?,
            (Some(_), _) => {}
        }
        let sequence = self.history.next(index);
        self.put_waiver(index, sequence, device, seen, out)?;
        let node = edit!(self, index).ok_or(CommandError::NoSuchNode)?;
        // The next work looks at the machine again.
        node.boot.inspected = false;
        let why = (node.state, Reason::Requested);
        self.remember(now, index, Happening::Waiver(seen.is_some()), why, out);
        Ok(())
    }

    /// Ends all waivers of a node: another machine is the node from now on. The last
    /// entry of the history says so.
    pub(crate) fn end_waivers(&mut self, index: usize, out: &mut Effects) {
        let sequence = self.history.next(index).wrapping_sub(1);
        for _ in 0..MAX_WAIVERS {
            let Some(waived) = waived(&self.texts, index).next() else {
                return;
            };
            let device: String<DEVICE_LEN> = crate::interface::cut(waived.device);
            // It may get a few bytes longer; where there is no room, it goes.
            let ended = self.put_waiver(index, sequence, &device, None, out);
            if ended.is_err() {
                self.drop_waiver(index, &device, out);
            }
        }
    }

    /// Writes a waiver, or its end, with the number of its history entry.
    fn put_waiver(
        &mut self,
        index: usize,
        sequence: u32,
        device: &str,
        seen: Option<Seen<'_>>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let node = self.id_of(index)?;
        let mut kept: String<KEPT_LEN> = String::new();
        let old = |(known, _): &(&str, &str)| *known == device;
        let _fits = match (seen, self.texts.pairs(index, Kind::Waiver).find(old)) {
            (Some(seen), _) => write!(kept, "{sequence} {seen}"),
            (None, Some((_, old))) => write!(kept, "{}-{sequence}", numbers(old)),
            (None, None) => write!(kept, "{sequence}"),
        };
        self.texts.set_pair(index, Kind::Waiver, device, &kept)?;
        Record::Waiver {
            node,
            device,
            kept: &kept,
        }
        .emit(out);
        Ok(())
    }

    /// Makes room for one more device among a node's waivers.
    fn make_room(
        &mut self,
        index: usize,
        device: &str,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let pairs = || self.texts.pairs(index, Kind::Waiver);
        if pairs().any(|(known, _)| known == device) || pairs().count() < MAX_WAIVERS {
            return Ok(());
        }
        let ended = pairs().find(|(_, kept)| numbers(kept).contains('-'));
        let (ended, _) = ended.ok_or(CommandError::TooManyWaivers)?;
        let ended: String<DEVICE_LEN> = crate::interface::cut(ended);
        self.drop_waiver(index, &ended, out);
        Ok(())
    }

    fn drop_waiver(&mut self, index: usize, device: &str, out: &mut Effects) {
        let Ok(node) = self.id_of(index) else {
            return;
        };
        let _less = self.texts.set_pair(index, Kind::Waiver, device, "");
        let kept = "";
        Record::Waiver { node, device, kept }.emit(out);
    }

    fn id_of(&self, index: usize) -> Result<NodeId, CommandError> {
        let node = self.nodes.get(index);
        node.map(|node| node.id).ok_or(CommandError::NoSuchNode)
    }
}
