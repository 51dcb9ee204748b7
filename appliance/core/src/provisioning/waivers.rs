//! What of a machine nobody has proven empty, and what operators have waived of
//! that.
//!
//! A waiver is a pair in the string pool: the device, and the number of the history
//! entry of the waiver. Behind a `-` comes the number of the entry that ended it: the
//! pair then only tells the history which device it was, and gives way to others. A
//! waiver holds for one machine, so a rebind ends it.

use core::fmt::Write;

use crate::interface::{CommandError, Cut, Effects, Instant, StatementRef, String};
use crate::node::{ERROR_LEN, Happening, MAX_WAIVERS, Reason};
use crate::persist::record::Record;
use crate::rack::{Rack, edit};
use crate::strings::{Kind, StringPool};
use farrier_protocol::borrowed::Inspection;
use farrier_protocol::message::NodeId;

/// Longest name of a device in bytes.
const DEVICE_LEN: usize = 40;
/// How many devices an error names.
const NAMED: u16 = 2;

/// The devices of a node that are waived.
pub fn waived(texts: &StringPool, node: usize) -> impl Iterator<Item = &str> {
    let all = texts.pairs(node, Kind::Waiver);
    all.filter(|(_, kept)| !kept.contains('-'))
        .map(|(device, _)| device)
}

/// The device that an entry of a node's history is about.
pub fn device_of(texts: &StringPool, node: usize, sequence: u32) -> Option<&str> {
    let mut all = texts.pairs(node, Kind::Waiver);
    let is = |kept: &str| kept.split('-').any(|number| number.parse() == Ok(sequence));
    all.find(|(_, kept)| is(kept)).map(|(device, _)| device)
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
        let waived = |id: &str| waived(&self.texts, index).any(|device| device == id);
        let devices = inspection.skipped.iter();
        for device in devices.filter(|device| device.reason.is_unproven()) {
            if !waived(&device.id) {
                let reason = device.reason.as_str();
                found.add(format_args!("{} {} ({reason})", device.name, device.id));
            }
        }
        for controller in inspection.controllers.iter() {
            if !waived(&controller.id) {
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

    /// Waives a device of a node, or ends that.
    pub(crate) fn waive(
        &mut self,
        now: Instant,
        index: usize,
        device: &str,
        on: bool,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let allowed = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        if device.is_empty() || device.len() > DEVICE_LEN || !device.bytes().all(allowed) {
            return Err(CommandError::BadDevice);
        }
        let was = waived(&self.texts, index).any(|known| known == device);
        match (was, on) {
            (true, true) => return Ok(()),
            (false, false) => return Err(CommandError::NoSuchWaiver),
            (false, true) => self.make_room(index, device, out)?,
            (true, false) => {}
        }
        let sequence = self.history.next(index);
        self.put_waiver(index, sequence, device, on, out)?;
        let node = edit!(self, index).ok_or(CommandError::NoSuchNode)?;
        // The next work looks at the machine again.
        node.boot.inspected = false;
        let why = (node.state, Reason::Requested);
        self.remember(now, index, Happening::Waiver(on), why, out);
        Ok(())
    }

    /// Ends all waivers of a node: another machine is the node from now on. The last
    /// entry of the history says so.
    pub(crate) fn end_waivers(&mut self, index: usize, out: &mut Effects) {
        let sequence = self.history.next(index).wrapping_sub(1);
        for _ in 0..MAX_WAIVERS {
            let Some(device) = waived(&self.texts, index).next() else {
                return;
            };
            let device: String<DEVICE_LEN> = crate::interface::cut(device);
            // It gets a few bytes longer; where there is no room, it goes.
            let ended = self.put_waiver(index, sequence, &device, false, out);
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
        on: bool,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let node = self.id_of(index)?;
        let mut kept: String<24> = String::new();
        let old = |(known, _): &(&str, &str)| !on && *known == device;
        if let Some((_, old)) = self.texts.pairs(index, Kind::Waiver).find(old) {
            let _fits = write!(kept, "{old}-");
        }
        let _fits = write!(kept, "{sequence}");
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
        let ended = pairs().find(|(_, kept)| kept.contains('-'));
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
