//! The parts: which there are, and the record of each.

use super::DiskSlot;
use super::secrets::Secret;
use super::{MAX_ACCOUNTS, MAX_FLAVORS, MAX_IMAGES, MAX_REVOKED};
use crate::interface::{Instant, Setting};
use crate::ipam::lease::LeaseView;
use crate::ipam::{MAX_ADDRESSES, MAX_NETWORKS, MAX_RELAYS};
use crate::node::{
    Architecture, GivenTicket, HISTORY_LEN, HistoryEntry, Issued, Job, MAX_MACS, MAX_WAIVERS, Node,
};
use crate::persist::record::{ERROR_KEPT, Record};
use crate::ports::{MAX_PORT_GROUPS, MAX_SWITCH_PORTS, MAX_SWITCHES, PortGroup};
use crate::rack::Rack;
use crate::strings::traits::MAX_TRAITS;
use crate::strings::{Kind, RACK};
use farrier_protocol::message::{BootMode, MAX_DISKS, NodeId};

/// Bits of [`Record::Work`].
pub(crate) mod bits {
    pub(crate) const INSPECTED: u8 = 1;
    pub(crate) const IMAGED: u8 = 2;
    pub(crate) const LEFT: u8 = 4;
    pub(crate) const SESSION: u8 = 8;
}

/// StringPool of a node that are parts.
pub(crate) const TEXTS: [Kind; 8] = [
    Kind::MaintenanceReason,
    Kind::ProtectedReason,
    Kind::RetiredReason,
    Kind::AllocationName,
    Kind::AllocationClass,
    Kind::Owner,
    Kind::Lessee,
    Kind::LeastErase,
];

// The parts of a node, in the order in which a restart has to learn them.
pub(super) const PLACE: usize = 0;
pub(super) const PORTS: usize = 1;
pub(super) const IDENTITY: usize = 2;
pub(super) const NAME: usize = 3;
pub(super) const STATE: usize = 4;
pub(super) const ERROR: usize = 5;
pub(super) const BOOT: usize = 6;
pub(super) const AGENT: usize = 7;
pub(super) const SESSION: usize = 8;
pub(super) const WORK: usize = 9;
pub(super) const HARDWARE: usize = 10;
pub(super) const INSTANCE: usize = 11;
pub(super) const INSTANCE_NAME: usize = 12;
pub(super) const CONFIG_DRIVE: usize = 13;
pub(super) const WRITTEN: usize = 14;
pub(super) const FLAGS: usize = 15;
pub(super) const STEPS: usize = 16;
pub(super) const KIND: usize = 17;
pub(super) const WANTED: usize = 18;
pub(super) const POWER: usize = 19;
pub(super) const ERASURE: usize = 20;
pub(super) const DRIVER_KIND: usize = 21;
pub(super) const TEXT: usize = 22;
pub(super) const DISK: usize = TEXT + TEXTS.len();
/// Parts of which each has its mark.
pub(super) const MARKED: usize = DISK + MAX_DISKS;
const _: () = assert!(MARKED == crate::persist::FINGERPRINTS);
pub(super) const DRIVER: usize = MARKED;
pub(super) const HISTORY: usize = DRIVER + crate::node::MAX_DRIVER_INFO;
pub(super) const WAIVER: usize = HISTORY + HISTORY_LEN;
pub(super) const INTERFACE: usize = WAIVER + MAX_WAIVERS;
pub(super) const SETTING: usize = INTERFACE + MAX_MACS;
pub(super) const FORMER: usize = SETTING + Setting::ALL.len();
/// Places of a snapshot for one node.
pub(super) const PARTS: usize = FORMER + Setting::SECRETS.len();
pub(super) const TRAITS_END: usize = MAX_TRAITS as usize;
pub(super) const NETWORKS: usize = TRAITS_END + MAX_FLAVORS;
pub(super) const RESERVATIONS: usize = NETWORKS + MAX_NETWORKS;
pub(super) const SWITCHES: usize = RESERVATIONS + MAX_ADDRESSES;
pub(super) const SWITCH_PORTS: usize = SWITCHES + MAX_SWITCHES;
pub(super) const SWITCH_LOGINS: usize = SWITCH_PORTS + MAX_SWITCH_PORTS;
pub(super) const SWITCH_HOST_KEYS: usize = SWITCH_LOGINS + MAX_SWITCHES;
pub(super) const ACCOUNTS: usize = SWITCH_HOST_KEYS + MAX_SWITCHES;
pub(super) const STORE_ACCOUNT: usize = ACCOUNTS + MAX_ACCOUNTS;
pub(super) const KEYS: usize = STORE_ACCOUNT + 1;
pub(super) const SEALING_KEY: usize = KEYS + 1;
pub(super) const FLOORS: usize = SEALING_KEY + 1;
pub(super) const REVOKED: usize = FLOORS + MAX_IMAGES;
pub(super) const BOOT_DHCP: usize = REVOKED + MAX_REVOKED;
pub(super) const RELAYS: usize = BOOT_DHCP + 1;
pub(super) const PORT_GROUPS: usize = RELAYS + MAX_RELAYS;
pub(super) const SWITCH_OPTIONS: usize = PORT_GROUPS + MAX_PORT_GROUPS;
/// Places for the rack itself: traits, flavors, networks, reservations,
/// accounts.
pub(super) const OWN: usize = SWITCH_OPTIONS + MAX_SWITCHES;

pub(crate) fn job_number(job: Job) -> u8 {
    match job {
        Job::Inspect => 0,
        Job::Erase => 1,
        Job::Deploy => 2,
        Job::Reboot => 3,
        Job::PowerOff => 4,
        Job::Reread => 5,
    }
}

/// The number of an order's job, with its batch.
fn order_number(order: &Issued) -> u8 {
    job_number(order.job) | order.batch << 4
}

/// The record of an entry of a node's history.
pub(super) fn history_record(node: NodeId, entry: &HistoryEntry) -> Record<'_> {
    Record::History {
        node,
        sequence: entry.sequence,
        run: entry.run,
        seconds: entry.seconds,
        actor: entry.actor as u8,
        account: &entry.account,
        what: entry.what.number(),
        states: (entry.from as u8, entry.to as u8),
        reason: entry.reason as u8,
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

/// The front of a text, at most so many bytes.
pub(super) fn front(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// What belongs to no node.
    pub(super) fn own(&self, place: usize) -> Option<Record<'_>> {
        let rack = usize::from(RACK);
        match place {
            SWITCH_OPTIONS.. => {
                let switch = self
                    .ports
                    .switch(u8::try_from(place - SWITCH_OPTIONS).ok()?)?;
                let any = switch.makes_vlans || !switch.trunk_port.is_empty();
                any.then(|| Record::of_switch_options(switch))
            }
            PORT_GROUPS.. => {
                let place = u8::try_from(place - PORT_GROUPS + 1).ok()?;
                Some(self.group_record(self.ports.group(place)?))
            }
            RELAYS.. => {
                let place = u8::try_from(place - RELAYS).ok()?;
                let relay = self.ipam.relay_at(place)?;
                Some(Record::Relay { place, relay })
            }
            BOOT_DHCP.. => {
                let server = self.dhcp_server;
                (!server.is_unspecified()).then_some(Record::BootDhcp { server })
            }
            REVOKED.. => {
                let key = *self.revoked_keys().get(place - REVOKED)?;
                Some(Record::KeyRevoked { key })
            }
            FLOORS.. => {
                let floor = self.image_floors().get(place - FLOORS)?;
                if floor.name.is_empty() {
                    return None;
                }
                Some(Record::ImageFloor {
                    name: &floor.name,
                    version: floor.version,
                })
            }
            SEALING_KEY.. => self.sealing.record(),
            KEYS.. => self.keys_record(),
            STORE_ACCOUNT.. => self.store_account.map(|salt| Record::StoreAccount { salt }),
            ACCOUNTS.. => {
                let number = place - ACCOUNTS;
                let mut all = self.accounts.iter();
                let account = all.find(|account| usize::from(account.place) == number)?;
                Some(Record::of_account(account))
            }
            SWITCH_HOST_KEYS.. => {
                let place = u8::try_from(place - SWITCH_HOST_KEYS).ok()?;
                self.ports.switch(place)?.host_key?;
                self.switch_host_key_record(place)
            }
            SWITCH_LOGINS.. => {
                let place = u8::try_from(place - SWITCH_LOGINS).ok()?;
                let named = !self.ports.switch(place)?.user.is_empty();
                named.then(|| self.switch_login_record(place)).flatten()
            }
            SWITCH_PORTS.. => Some(Record::of_switch_port(
                self.ports.in_slot(place - SWITCH_PORTS)?,
            )),
            SWITCHES.. => {
                let place = u8::try_from(place - SWITCHES).ok()?;
                let switch = self.ports.switch(place)?;
                Some(Record::Switch {
                    place,
                    name: self.texts.get(rack, Kind::Switch(place)),
                    kind: switch.address.kind as u8,
                    address: switch.address.address,
                    port: switch.address.port,
                })
            }
            RESERVATIONS.. => Some(Record::of_reservation(
                self.ipam.in_slot(place - RESERVATIONS)?,
            )),
            NETWORKS.. => {
                // Place 0 is the provisioning network, which is configured.
                let number = place - NETWORKS + 1;
                let mut all = self.ipam.networks().iter();
                let network = *all.find(|network| usize::from(network.place) == number)?;
                Some(Record::Network {
                    network,
                    name: self.texts.get(rack, Kind::Network(network.place)),
                })
            }
            TRAITS_END.. => {
                let place = u8::try_from(place - TRAITS_END).ok()?;
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
                (!word.is_empty()).then_some(Record::Trait { place, name: word })
            }
        }
    }

    /// The record of a group.
    pub(crate) fn group_record(&self, group: &PortGroup) -> Record<'_> {
        Record::PortGroup {
            place: group.place,
            address: group.address,
            mode: group.mode as u8,
            name: self
                .texts
                .get(usize::from(RACK), Kind::PortGroup(group.place)),
        }
    }

    pub(super) fn lease(&self, now: Instant, index: usize) -> Option<Record<'_>> {
        Some(match self.leases.lease_view(now, index)? {
            LeaseView::Bound {
                client,
                address,
                seconds,
            } => Record::Lease {
                mac: client.mac,
                key: client.key(),
                address,
                seconds,
            },
            LeaseView::Declined { address } => Record::LeaseEnded {
                address,
                declined: true,
            },
        })
    }

    /// One part of a node. For a mark, what moves all the time and is not
    /// worth a record is left out.
    pub(super) fn part_record<'a>(
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
            NAME => Record::Name {
                node: id,
                name: &node.name,
            },
            STATE => Record::State {
                node: id,
                state: node.state as u8,
                reason: node.reason as u8,
            },
            ERROR => Record::Error {
                node: id,
                text: front(&node.last_error, ERROR_KEPT),
            },
            BOOT => Record::Boot {
                node: id,
                boot: boot.id,
                ticket: boot.ticket.map(|GivenTicket { id, place }| {
                    (id.0, place.mac, place.address, place.network)
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
                    keys: self.sealed(mark, Secret::Session, id, [*requests, *replies])?,
                }
            }
            WORK => {
                let heard = boot
                    .session
                    .as_ref()
                    .map_or(0, |session| session.last_counter());
                let bit = |on: bool, bit: u8| if on { bit } else { 0 };
                Record::Work {
                    node: id,
                    boot: boot.id,
                    order: boot
                        .order
                        .map(|order| (order.counter, order_number(&order))),
                    last_order: boot.last_order,
                    last_statement: boot.last_statement,
                    heard: if mark { heard.min(1) } else { heard },
                    erased: boot.erased,
                    attempts: node.attempts,
                    flags: bit(boot.inspected, bits::INSPECTED)
                        | bit(boot.imaged, bits::IMAGED)
                        | bit(boot.left, bits::LEFT)
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
                parts: node.hardware.parts.bits(),
                statement_len: node.hardware.statement_len,
                unproven: node.hardware.unproven,
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
                drive: match node.config_drive.as_ref() {
                    Some(drive) => {
                        let key =
                            self.sealed(mark, Secret::ConfigDrive, id, [drive.key, [0; 32]])?;
                        Some((drive.length, key, drive.format as u8, drive.place as u8))
                    }
                    None => None,
                },
            },
            WRITTEN => Record::Written {
                node: id,
                written: node.written.as_ref().map(|w| {
                    (
                        w.image_bytes.get(),
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
            KIND => Record::Traits {
                node: id,
                traits: node.traits,
                class: node.class,
            },
            POWER => Record::Power {
                node: id,
                request: node.power_request.map(|request| request.action as u8),
            },
            ERASURE => Record::Erasure {
                node: id,
                boot: node.erased_in,
            },
            DRIVER_KIND => Record::Driver {
                node: id,
                driver: node.driver as u8,
            },
            WANTED => Record::RequestedTraits {
                node: id,
                wanted: node.wanted,
            },
            FORMER.. => {
                let setting = *Setting::SECRETS.get(part - FORMER)?;
                if self.texts.former(index, setting).is_empty() {
                    return None;
                }
                self.bmc_secret_record(index, setting, true)?
            }
            SETTING.. => {
                let setting = Setting::from_number(u8::try_from(part - SETTING).ok()?)?;
                let value = self.texts.setting(index, setting);
                if value.is_empty() {
                    return None;
                }
                if setting.is_secret() {
                    return self.bmc_secret_record(index, setting, false);
                }
                Record::DriverInfo {
                    node: id,
                    key: setting.key(),
                    value,
                }
            }
            INTERFACE.. => {
                // From the last to the first, as for driver info.
                let pair = (SETTING - 1).checked_sub(part)?;
                let (mac, said) = self.texts.interfaces(index).nth(pair)?;
                Record::Interface {
                    node: id,
                    mac,
                    pxe: said.pxe_enabled,
                    physical_network: said.physical_network,
                }
            }
            WAIVER.. => {
                // From the last to the first, as for driver info.
                let pair = (INTERFACE - 1).checked_sub(part)?;
                let (device, kept) = self.texts.pairs(index, Kind::Waiver).nth(pair)?;
                Record::Waiver {
                    node: id,
                    device,
                    kept,
                }
            }
            HISTORY.. => history_record(id, self.history.slot(index, part - HISTORY)?),
            DRIVER.. => {
                // From the last to the first: what is told is behind the others
                // after a restart, and where one goes, the others move to
                // the front. So none is passed over.
                let pair = (HISTORY - 1).checked_sub(part)?;
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
                    serial: slot.map_or("", DiskSlot::serial),
                    size: slot.map_or(0, DiskSlot::size),
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
