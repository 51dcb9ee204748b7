//! What of the rack is durable, as records; and which of it a step changed.
//!
//! A node's durable facts are cut into *parts*, one record each, and every
//! record says all of its part: the last one that was written counts, and
//! writing one twice does no harm. A step that touches a node is compared
//! with what was before, part by part, so that no change can be forgotten
//! to be written down. Reading records back is in `restore`.

use crate::book::{MAX_ADDRESSES, MAX_NETWORKS};
use crate::flavor::MAX_FLAVORS;
use crate::input::{Input, Operator};
use crate::lease::Told;
use crate::node::{Architecture, Job, MAX_MACS, Node};
use crate::output::Outputs;
use crate::rack::Rack;
use crate::record::{ERROR_KEPT, MAX_RECORD, Record};
use crate::texts::{Kind, RACK};
use crate::time::Instant;
use crate::words::MAX_WORDS;
use farrier_protocol::message::{BootMode, MAX_DISKS};
use farrier_protocol::wire::Datagram;
use postcard::ser_flavors::Flavor;

/// Bits of [`Record::Work`].
pub(crate) mod bits {
    pub(crate) const INSPECTED: u8 = 1;
    pub(crate) const IMAGED: u8 = 2;
    pub(crate) const LEFT: u8 = 4;
    pub(crate) const TICKET: u8 = 8;
    pub(crate) const SESSION: u8 = 16;
}

/// Texts of a node that are parts.
pub(crate) const TEXTS: [Kind; 5] = [
    Kind::MaintenanceReason,
    Kind::ProtectedReason,
    Kind::RetiredReason,
    Kind::AllocationName,
    Kind::AllocationClass,
];

// The parts of a node, in the order in which a restart has to learn them.
const PLACE: usize = 0;
const PORTS: usize = 1;
const IDENTITY: usize = 2;
const NAME: usize = 3;
const STATE: usize = 4;
const ERROR: usize = 5;
const BOOT: usize = 6;
const AGENT: usize = 7;
const SESSION: usize = 8;
const WORK: usize = 9;
const HARDWARE: usize = 10;
const INSTANCE: usize = 11;
const INSTANCE_NAME: usize = 12;
const CONFIG_DRIVE: usize = 13;
const WRITTEN: usize = 14;
const FLAGS: usize = 15;
const STEPS: usize = 16;
const KIND: usize = 17;
const WANTED: usize = 18;
const TEXT: usize = 19;
const DISK: usize = TEXT + TEXTS.len();
/// Parts of which each has its mark.
const MARKED: usize = DISK + MAX_DISKS;
const DRIVER: usize = MARKED;
/// Places of a snapshot for one node.
const PARTS: usize = DRIVER + crate::node::MAX_DRIVER_INFO;
const WORDS: usize = MAX_WORDS as usize;
const NETWORKS: usize = WORDS + MAX_FLAVORS;
const BOOK: usize = NETWORKS + MAX_NETWORKS;
/// Places for the rack itself: words, flavors, networks, address book.
const OWN: usize = BOOK + MAX_ADDRESSES;

/// What a doubt changes of a node.
pub(crate) const DOUBT: [usize; 4] = [FLAGS, STATE, ERROR, WORK];

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

pub(crate) fn job_number(job: Job) -> u8 {
    match job {
        Job::Inspect => 0,
        Job::Erase => 1,
        Job::Deploy => 2,
        Job::Reboot => 3,
    }
}

fn architecture_number(architecture: Architecture) -> u8 {
    match architecture {
        Architecture::Unknown => 0,
        Architecture::X86_64 => 1,
        Architecture::Aarch64 => 2,
        Architecture::Other => 3,
    }
}

fn write(record: &Record<'_>, room: &mut [u8]) -> Option<usize> {
    postcard::to_slice(record, room).ok().map(|used| used.len())
}

/// The front of a text, at most so many bytes.
fn front(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
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
            Input::Operator(operator) => match operator {
                Operator::Verb { node, .. }
                | Operator::Steps { node, .. }
                | Operator::Rename { node, .. }
                | Operator::InstanceInfo { node, .. }
                | Operator::DriverInfo { node, .. }
                | Operator::Delete { node }
                | Operator::Port { node, .. }
                | Operator::Class { node, .. }
                | Operator::Trait { node, .. }
                | Operator::Mark { node, .. } => self.find(*node),
                Operator::PortGone { mac } => self.find_by_mac(*mac),
                Operator::Deallocate { allocation } => self.find_by_instance(*allocation),
                Operator::Create { .. }
                | Operator::Allocate(_)
                | Operator::Flavor { .. }
                | Operator::FlavorGone { .. }
                | Operator::Network { .. }
                | Operator::NetworkGone { .. }
                | Operator::Address { .. }
                | Operator::AddressGone { .. } => None,
            },
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
    pub(crate) fn note(&self, index: usize, before: &Marks, out: &mut Outputs) {
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

    /// Writes down that a node is doubted.
    pub(crate) fn note_doubt(&self, index: usize, out: &mut Outputs) {
        let Some(node) = self.nodes.get(index).filter(|node| !node.is_vacant()) else {
            return;
        };
        let mut room = [0; MAX_RECORD];
        for part in DOUBT {
            if let Some(record) = self.encode(index, node, part, &mut room) {
                out.record(record);
            }
        }
    }

    /// Writes down which node a place has.
    pub(crate) fn note_place(&self, index: usize, out: &mut Outputs) {
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
        let sizes = [N, L, OWN, PARTS, usize::from(self.config.pool_len)];
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

    /// What belongs to no node.
    fn own(&self, place: usize) -> Option<Record<'_>> {
        let rack = usize::from(RACK);
        match place {
            BOOK.. => {
                // From the last to the first: where one goes meanwhile, the
                // others move to the front, and none is passed over.
                let index = (MAX_ADDRESSES - 1).checked_sub(place - BOOK)?;
                let entry = self.book.entries().get(index)?;
                let (network, mac, address) = (entry.network, entry.mac, entry.address);
                Some(if entry.is_held() {
                    Record::Address {
                        network,
                        mac,
                        address,
                        named: entry.named,
                    }
                } else {
                    Record::Rests {
                        network,
                        mac,
                        address,
                    }
                })
            }
            NETWORKS.. => {
                // Place 0 is the provisioning network, which is configured.
                let number = place - NETWORKS + 1;
                let mut all = self.book.networks().iter();
                let network = *all.find(|network| usize::from(network.place) == number)?;
                Some(Record::Network {
                    network,
                    name: self.texts.get(rack, Kind::Network(network.place)),
                })
            }
            WORDS.. => {
                let place = u8::try_from(place - WORDS).ok()?;
                let flavor = self.flavors.iter().find(|flavor| flavor.place == place)?;
                Some(Record::Flavor {
                    place,
                    name: self.texts.get(rack, Kind::Flavor(place)),
                    need: flavor.need,
                })
            }
            _ => {
                let place = u8::try_from(place).ok()?;
                let word = self.texts.word(place);
                (!word.is_empty()).then_some(Record::Word { place, word })
            }
        }
    }

    fn lease(&self, now: Instant, index: usize) -> Option<Record<'_>> {
        Some(match self.leases.told(now, index)? {
            Told::Bound {
                client,
                address,
                seconds,
            } => Record::Bound {
                mac: client.mac,
                key: client.key(),
                address,
                seconds,
            },
            Told::Declined { address } => Record::Unbound {
                address,
                declined: true,
            },
        })
    }

    /// One part of a node. For a mark, what moves all the time and is not
    /// worth a record is left out.
    fn part_record<'a>(
        &'a self,
        index: usize,
        node: &'a Node,
        part: usize,
        mark: bool,
        macs: &'a [u8],
    ) -> Option<Record<'a>> {
        let id = node.id;
        let boot = &node.boot;
        Some(match part {
            PLACE => Record::Place {
                place: u16::try_from(index).ok()?,
                node: id,
            },
            PORTS => Record::Ports { node: id, macs },
            IDENTITY => Record::Identity {
                node: id,
                uuid: node.system_uuid,
                serial: node.serial,
            },
            NAME => Record::Named {
                node: id,
                name: &node.name,
            },
            STATE => Record::State {
                node: id,
                state: node.state as u8,
                reason: node.reason,
            },
            ERROR => Record::Error {
                node: id,
                text: front(&node.last_error, ERROR_KEPT),
            },
            BOOT => Record::Booted {
                node: id,
                boot: boot.id,
                ticket: boot.ticket.as_ref().map_or([0; 32], |ticket| {
                    let mut bytes = [0; 32];
                    bytes[..8].copy_from_slice(&ticket.id.0);
                    bytes[8..].copy_from_slice(&ticket.secret);
                    bytes
                }),
            },
            AGENT => boot.session.as_ref().map(|_| Record::Agent {
                node: id,
                boot: boot.id,
                boot_key: boot.boot_key,
                digest: boot.init_digest,
                mode: match boot.mode {
                    Some(BootMode::Uefi) => 1,
                    _ => 0,
                },
            })?,
            SESSION => {
                let session = boot.session.as_ref()?;
                let (requests, replies) = session.keys();
                Record::Session {
                    node: id,
                    boot: boot.id,
                    session: session.id().0,
                    requests: *requests,
                    replies: *replies,
                }
            }
            WORK => {
                let heard = boot.session.as_ref().map_or(0, |session| session.heard());
                let bit = |on: bool, bit: u8| if on { bit } else { 0 };
                Record::Work {
                    node: id,
                    boot: boot.id,
                    order: boot
                        .order
                        .map(|order| (order.counter, job_number(order.job))),
                    last_order: boot.last_order,
                    last_statement: boot.last_statement,
                    heard: if mark { heard.min(1) } else { heard },
                    erased: boot.erased,
                    attempts: node.attempts,
                    flags: bit(boot.inspected, bits::INSPECTED)
                        | bit(boot.imaged, bits::IMAGED)
                        | bit(boot.left, bits::LEFT)
                        | bit(boot.ticket.is_some(), bits::TICKET)
                        | bit(boot.session.is_some(), bits::SESSION),
                }
            }
            HARDWARE => Record::Hardware {
                node: id,
                cpus: node.hardware.cpus,
                memory_mib: node.hardware.memory_mib,
                local_gib: node.hardware.local_gib,
                architecture: architecture_number(node.hardware.architecture),
                link: node.hardware.link,
                parts: node.hardware.parts.0,
                statement_len: node.hardware.statement_len,
            },
            INSTANCE => Record::Instance {
                node: id,
                image: &node.instance.image_source,
            },
            INSTANCE_NAME => Record::InstanceName {
                node: id,
                name: &node.instance.display_name,
                uuid: node.instance.instance_uuid,
            },
            CONFIG_DRIVE => Record::ConfigDrive {
                node: id,
                drive: node
                    .config_drive
                    .as_ref()
                    .map(|drive| (drive.length, drive.key, drive.format as u8)),
            },
            WRITTEN => Record::Written {
                node: id,
                written: node.written.as_ref().map(|w| {
                    (
                        w.image_bytes,
                        w.fetched_bytes,
                        w.refetched_chunks,
                        w.peak_rss_kib,
                    )
                }),
            },
            FLAGS => Record::Flags {
                node: id,
                flags: node.flags.bits(),
            },
            STEPS => Record::Steps {
                node: id,
                steps: node.steps.bits(),
            },
            KIND => Record::Kind {
                node: id,
                traits: node.traits,
                class: node.class,
            },
            WANTED => Record::Wanted {
                node: id,
                wanted: node.wanted,
            },
            DRIVER.. => {
                // From the last to the first, as the address book.
                let pair = (PARTS - 1).checked_sub(part)?;
                let (key, value) = self.texts.pairs(index, Kind::DriverInfo).nth(pair)?;
                Record::DriverInfo {
                    node: id,
                    key,
                    value,
                }
            }
            DISK.. => {
                let place = u8::try_from(part.checked_sub(DISK)?).ok()?;
                let slot = self
                    .disks
                    .iter()
                    .find(|slot| usize::from(slot.node) == index && slot.place == place);
                Record::Disk {
                    node: id,
                    place,
                    serial: slot.map_or("", |slot| slot.id.serial.as_str()),
                    size: slot.map_or(0, |slot| slot.id.size),
                }
            }
            TEXT.. => {
                let kind = *TEXTS.get(part.checked_sub(TEXT)?)?;
                Record::Text {
                    node: id,
                    kind: kind.number(),
                    text: self.texts.get(index, kind),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests;
