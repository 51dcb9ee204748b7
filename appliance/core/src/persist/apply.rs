//! What each record says, put back where it was.

use crate::interface::Instant;
use crate::interface::PowerAction;
use crate::interface::StoredConfigDrive;
use crate::ipam::lease::Client;
use crate::node::flags::Flags;
use crate::node::{
    Architecture, Boot, HardwareFeatures, Issued, Job, Node, PowerRequest, Written, cut,
};
use crate::persist::record::Record;
use crate::persist::{bits, job_number};
use crate::rack::{DiskSlot, Rack};
use crate::strings::{Kind, RACK};
use core::net::Ipv4Addr;
use farrier_dhcp::wire::Identity;
use farrier_lifecycle::State;
use farrier_protocol::message::{BootId, BootMode, ConfigDriveFormat, DiskId, Mac, NodeId};
use farrier_protocol::server::Session;
use farrier_protocol::ticket::Ticket;
use farrier_protocol::wire::SessionId;

/// Every reason that a state may have: a record has the words, a node points
/// to them.
const REASONS: [&str; 35] = [
    "a hold step: waiting for unhold",
    "adopted: its system runs on, untouched",
    "all is done and proven",
    "another node is this machine",
    "certificates are missing",
    "clean, and retired: not offered again",
    "discovered by its first boot packet",
    "enrolled by an operator",
    "enrolled by hand; nothing of it was seen yet",
    "every disk is erased and verified",
    "no disks",
    "no room for the node's disks",
    "power the machine on: it must boot from the network",
    "records were lost",
    "records were lost: it is cleaned before it is offered again",
    "released; cleaning before anything else",
    "restart the machine: it must boot from the network",
    "restart the machine: it must start its own disk",
    "seen on the provisioning network",
    "the agent is at work",
    "the agent left; waiting for it to come back",
    "the agent reported a failure",
    "the clean steps are done",
    "the deadline passed",
    "the hardware is known",
    "the image is written and proven",
    "the image is written; the machine restarts",
    "the machine boots its own disk",
    "the machine restarted; waiting for its agent",
    "the operator asked for it",
    "the order can't be given",
    "the proof names another image",
    "the service steps are done; the machine restarts",
    "there is nothing to take over",
    "too many restarts",
];
/// Of a record with other words than these.
const UNKNOWN: &str = "as before the appliance restarted";

/// The reason with these words.
pub(crate) fn reason(words: &str) -> &'static str {
    let known = REASONS.iter().find(|reason| **reason == words);
    known.copied().unwrap_or(UNKNOWN)
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    fn known(&mut self, id: NodeId) -> Option<(usize, &mut Node)> {
        let index = self.find(id)?;
        self.nodes.get_mut(index).map(|node| (index, node))
    }

    fn boot_of(&mut self, id: NodeId, boot: BootId) -> Option<&mut Node> {
        let (_, node) = self.known(id)?;
        (node.boot.id == boot).then_some(node)
    }

    pub(super) fn take_up(&mut self, now: Instant, record: &Record<'_>) {
        match *record {
            Record::Place { place, node } => self.take_place(now, usize::from(place), node),
            Record::Bound {
                mac,
                key,
                address,
                seconds,
            } => {
                self.leases
                    .restore(now, Client::known(mac, key), address, seconds);
            }
            // Of firmware before clients had fingerprints.
            Record::Lease {
                mac,
                address,
                seconds,
            } => {
                let client = Client::new(mac, &Identity::Hardware(mac.0));
                self.leases.restore(now, client, address, seconds);
            }
            Record::Unbound { address, declined } => {
                self.leases.restore_end(now, address, declined);
            }
            Record::Network { network, name } => {
                let kind = Kind::Network(network.place);
                let _full = self.texts.set(usize::from(RACK), kind, name);
                self.ipam.put_network(network);
            }
            Record::NetworkGone { place } => {
                let kind = Kind::Network(place);
                let _fits = self.texts.set(usize::from(RACK), kind, "");
                self.ipam.drop_network(place);
            }
            Record::Address {
                network,
                mac,
                address,
                named,
            } => {
                self.take_up_address(now, network, (mac, address), (named, false), None);
            }
            // Its addresses are told one by one.
            Record::TenantGone { .. } => {}
            Record::Rests {
                network,
                mac,
                address,
            } => {
                self.take_up_address(now, network, (mac, address), (false, true), None);
            }
            Record::Booked {
                slot,
                network,
                mac,
                address,
                named,
                rests,
            } => {
                let state = (named, rests);
                self.take_up_address(now, network, (mac, address), state, Some(slot));
            }
            Record::Disk {
                node,
                place,
                serial,
                size,
            } => {
                if let Some(index) = self.find(node)
                    && let Ok(owner) = u16::try_from(index)
                {
                    self.disks
                        .retain(|slot| slot.node != owner || slot.place != place);
                    if size > 0 {
                        let id = DiskId {
                            serial: cut(serial),
                            size,
                        };
                        let node = owner;
                        let _full = self.disks.push(DiskSlot { node, place, id });
                    }
                }
            }
            _ => self.take_up_node(now, record),
        }
    }

    /// An address of the book: its owner, whether it was named and whether it
    /// rests, and its slot where the record has one.
    fn take_up_address(
        &mut self,
        now: Instant,
        network: u8,
        owner: (Mac, Ipv4Addr),
        state: (bool, bool),
        slot: Option<u8>,
    ) {
        let rest = self.config.lease_secs;
        self.ipam.put(now, network, owner, state, slot, rest);
    }

    /// Records that say one thing of one node.
    fn take_up_node(&mut self, now: Instant, record: &Record<'_>) {
        match *record {
            Record::Enrolled { node, mac } => {
                if let Some((_, node)) = self.known(node) {
                    node.macs.clear();
                    let _fits = node.macs.push(mac);
                    node.reason = reason("discovered by its first boot packet");
                }
            }
            Record::Created { node, serial } => {
                if let Some((_, node)) = self.known(node) {
                    node.serial = serial;
                }
            }
            Record::Named { node, name } => {
                if let Some((_, node)) = self.known(node) {
                    node.name = cut(name);
                }
            }
            Record::State {
                node,
                state,
                reason: words,
            } => {
                if let Some((_, node)) = self.known(node)
                    && let Some(state) = State::from_number(state)
                {
                    node.state = state;
                    node.reason = reason(words);
                }
            }
            Record::Error { node, text } => {
                if let Some((_, node)) = self.known(node) {
                    node.last_error = cut(text);
                }
            }
            Record::Power { node, request } => {
                if let Some((_, node)) = self.known(node) {
                    let action = request.and_then(PowerAction::from_number);
                    node.power_request = action.map(|action| PowerRequest { action });
                }
            }
            Record::Wanted { node, wanted } => {
                if let Some((_, node)) = self.known(node) {
                    node.wanted = wanted;
                }
            }
            Record::Hardware {
                node,
                cpus,
                memory_mib,
                local_gib,
                architecture,
                link,
                parts,
                statement_len,
            } => {
                if let Some((_, node)) = self.known(node) {
                    node.hardware = crate::node::Hardware {
                        cpus,
                        memory_mib,
                        local_gib,
                        architecture: match architecture {
                            1 => Architecture::X86_64,
                            2 => Architecture::Aarch64,
                            0 => Architecture::Unknown,
                            _ => Architecture::Other,
                        },
                        link,
                        parts: HardwareFeatures(parts),
                        statement_len,
                    };
                }
            }
            Record::Instance { node, image } => {
                if let Some((_, node)) = self.known(node) {
                    node.instance.image_source = cut(image);
                }
            }
            Record::InstanceName { node, name, uuid } => {
                if let Some((_, node)) = self.known(node) {
                    node.instance.display_name = cut(name);
                    node.instance.instance_uuid = uuid;
                }
            }
            Record::ConfigDrive { node, drive } => {
                if let Some((_, node)) = self.known(node) {
                    node.config_drive = drive.map(|(length, key, format)| StoredConfigDrive {
                        length,
                        key,
                        format: match format {
                            1 => ConfigDriveFormat::GzipBase64,
                            _ => ConfigDriveFormat::Json,
                        },
                    });
                }
            }
            Record::Written { node, written } => {
                if let Some((_, node)) = self.known(node) {
                    node.written = written.map(|(image, fetched, refetched, rss)| Written {
                        image_bytes: image,
                        fetched_bytes: fetched,
                        refetched_chunks: refetched,
                        peak_rss_kib: rss,
                    });
                }
            }
            _ => {
                if !self.reapply(now, record) {
                    self.take_up_boot(record);
                }
            }
        }
    }

    /// Records of a node's present boot.
    fn take_up_boot(&mut self, record: &Record<'_>) {
        match *record {
            Record::Booted { node, boot, ticket } => {
                if let Some((_, node)) = self.known(node)
                    && node.boot.id != boot
                {
                    node.boot = Boot {
                        id: boot,
                        ticket: Some(Ticket::from_random(ticket)),
                        ..Boot::none()
                    };
                }
            }
            Record::Agent {
                node,
                boot,
                boot_key,
                digest,
                mode,
            } => {
                if let Some(node) = self.boot_of(node, boot) {
                    node.boot.boot_key = boot_key;
                    node.boot.init_digest = digest;
                    node.boot.mode = Some(match mode {
                        1 => BootMode::Uefi,
                        _ => BootMode::Bios,
                    });
                }
            }
            Record::Session {
                node,
                boot,
                session,
                requests,
                replies,
            } => {
                let id = SessionId(session);
                // One that is told again has been heard as far as is known.
                // A handshake that was repeated has a session of the same
                // name with other keys.
                let known = |s: &Session| s.id() == id && s.keys() == (&requests, &replies);
                if let Some(node) = self.boot_of(node, boot)
                    && !node.boot.session.as_ref().is_some_and(known)
                {
                    node.boot.session = Some(Session::resume(id, requests, replies));
                }
            }
            Record::Work {
                node,
                boot,
                order,
                last_order,
                last_statement,
                heard,
                erased,
                attempts,
                flags,
            } => {
                let Some(node) = self.boot_of(node, boot) else {
                    return;
                };
                node.attempts = attempts;
                let boot = &mut node.boot;
                boot.order = order.and_then(|(counter, number)| {
                    let all = [
                        Job::Inspect,
                        Job::Erase,
                        Job::Deploy,
                        Job::Reboot,
                        Job::PowerOff,
                    ];
                    let job = all.into_iter().find(|job| job_number(*job) == number)?;
                    Some(Issued { counter, job })
                });
                boot.last_order = last_order;
                boot.last_statement = last_statement;
                boot.erased = erased;
                boot.inspected = flags & bits::INSPECTED != 0;
                boot.imaged = flags & bits::IMAGED != 0;
                boot.left = flags & bits::LEFT != 0;
                if flags & bits::TICKET == 0 {
                    boot.ticket = None;
                }
                if flags & bits::SESSION == 0 {
                    boot.session = None;
                }
                if let Some(session) = &mut boot.session {
                    session.heard_at_least(heard);
                }
            }
            // Evidence; of older firmware.
            _ => {}
        }
    }

    fn take_place(&mut self, now: Instant, place: usize, id: NodeId) {
        if let Some(elsewhere) = self.find(id).filter(|index| *index != place) {
            self.clear_slot(elsewhere);
        }
        if self.nodes.get(place).is_none_or(|node| node.id != id) {
            self.clear_slot(place);
            while self.nodes.len() <= place {
                let mut vacant = Node::enrolled(NodeId([0; 16]), now);
                vacant.flags = Flags::VACANT;
                if self.nodes.push(vacant).is_err() {
                    return;
                }
            }
            if let Some(node) = self.nodes.get_mut(place) {
                *node = Node::enrolled(id, now);
            }
        }
    }
}
