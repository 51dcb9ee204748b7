//! What each record holds, put back where it was.

use super::parts::{TEXTS, bits, job_number};
use super::secrets::{NO_NODE, Secret};
use crate::interface::Flavor;
use crate::interface::Steps;
use crate::interface::{
    Account, AccountName, ActorKind, DriverKind, GroupMode, HostKey, Identity, Instant, PortName,
    PowerAction, Role, Setting, StoredConfigDrive, SwitchAddress, SwitchKind,
};
use crate::ipam::lease::Client;
use crate::node::flags::Flags;
use crate::node::{
    Architecture, Boot, GivenTicket, Happening, HardwareFeatures, HistoryEntry, Issued, Job, Node,
    PowerRequest, Reason, Written, cut,
};
use crate::persist::record::Record;
use crate::ports::{Password, PortControl, PortGroup, Sources, Switch, SwitchPort};
use crate::rack::{DiskSlot, Rack};
use crate::strings::{InterfaceSettings, Kind, RACK};
use core::num::NonZeroU64;
use farrier_asset_store::DrivePlace;
use farrier_lifecycle::ProvisionState;
use farrier_protocol::credential::Place;
use farrier_protocol::message::{BootMode, ConfigDriveFormat, Mac, NodeId};
use farrier_protocol::server::Session;
use farrier_protocol::ticket::TicketId;
use farrier_protocol::wire::SessionId;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Makes a record true again, without any effect outside. A record of a
    /// node that is not there changes nothing: all of that node comes later.
    pub(super) fn apply(&mut self, now: Instant, record: &Record<'_>) {
        let rack = usize::from(RACK);
        match *record {
            Record::Place { place, node } => self.apply_place(now, usize::from(place), node),
            Record::Deleted { node } => {
                if let Some(index) = self.find(node) {
                    self.clear_restored(index);
                }
            }
            Record::Lease {
                mac,
                key,
                address,
                seconds,
            } => {
                self.leases
                    .restore(now, Client::known(mac, key), address, seconds);
            }
            Record::LeaseEnded { address, declined } => {
                self.leases.restore_end(now, address, declined);
            }
            Record::Network { network, name } => {
                let kind = Kind::Network(network.place);
                let _full = self.texts.set(rack, kind, name);
                self.ipam.put_network(network);
            }
            Record::NetworkDeleted { place } => {
                let _fits = self.texts.set(rack, Kind::Network(place), "");
                self.ipam.drop_network(place);
            }
            Record::Reservation {
                slot,
                network,
                mac,
                address,
                named,
                quarantined,
            } => {
                // How much of the quarantine is over is not known: it begins
                // anew.
                let rest = self.config.lease_secs;
                let state = (named, quarantined);
                self.ipam
                    .put(now, network, (mac, address), state, Some(slot), rest);
            }
            Record::Trait { place, name } => {
                let _full = self.texts.set(rack, Kind::Trait(place), name);
            }
            Record::Flavor { place, name, need } => {
                self.flavors.retain(|flavor| flavor.place != place);
                let _full = self.texts.set(rack, Kind::Flavor(place), name);
                let _full = self.flavors.push(Flavor { place, need });
            }
            Record::FlavorDeleted { place } => {
                self.flavors.retain(|flavor| flavor.place != place);
                let _fits = self.texts.set(rack, Kind::Flavor(place), "");
            }
            Record::Account {
                place,
                name,
                role,
                verifier,
            } => {
                if let (Some(name), Some(role)) = (AccountName::new(name), Role::from_number(role))
                {
                    let other = |known: &Account| known.place != place && known.name != name;
                    self.accounts.retain(other);
                    let _full = self.accounts.push(Account {
                        name,
                        role,
                        verifier,
                        place,
                    });
                }
            }
            Record::AccountDeleted { place } => {
                self.accounts.retain(|known| known.place != place);
            }
            Record::Keys { keys } => {
                let opened = self.opened(Secret::Keys, NO_NODE, &keys);
                self.identity = opened.map(|[noise, signing]| Identity { noise, signing });
            }
            Record::SealingKey { epoch, check, old } => self.sealing.restore(epoch, check, old),
            Record::Relay { place, relay } => self.ipam.restore_relay(place, relay),
            Record::BootDhcp { server } => self.dhcp_server = server,
            Record::Switch {
                place,
                name,
                kind,
                address,
                port,
            } => {
                let _full = self.texts.set(rack, Kind::Switch(place), name);
                let kind = SwitchKind::from_number(kind).filter(|_| !name.is_empty());
                let address = kind.map(|kind| SwitchAddress {
                    kind,
                    address,
                    port,
                });
                match (address, self.ports.switch_mut(place)) {
                    (Some(address), Some(known)) => known.address = address,
                    (Some(address), None) => {
                        let _full = self.ports.switches.push(Switch::new(place, address));
                    }
                    (None, _) => self.ports.switches.retain(|known| known.place != place),
                }
            }
            Record::SwitchLogin {
                place,
                user,
                password,
            } => {
                // Without the board's key the password is lost: the login fails.
                let opened = self.opened(Secret::SwitchLogin(place), NO_NODE, &password);
                if let Some(switch) = self.ports.switch_mut(place) {
                    switch.user = cut(user);
                    switch.password = Password::from_bytes(&opened.unwrap_or_default());
                }
            }
            Record::SwitchHostKey { place, pinned } => {
                if let Some(switch) = self.ports.switch_mut(place) {
                    switch.host_key = pinned.map(HostKey);
                }
            }
            Record::SwitchOptions {
                place,
                makes_vlans,
                trunk,
            } => {
                if let Some(switch) = self.ports.switch_mut(place) {
                    switch.makes_vlans = makes_vlans;
                    switch.trunk_port = cut(trunk);
                }
            }
            Record::SwitchPort {
                slot,
                mac,
                switch,
                name,
                vif,
                at,
                to,
                token,
                sources,
                heard,
                group,
            } => match PortName::try_from(name) {
                Ok(name) if !name.is_empty() => self.ports.restore(SwitchPort {
                    slot,
                    mac,
                    switch,
                    name,
                    vif,
                    at,
                    to,
                    token,
                    sources: Sources::from_bits_truncate(sources),
                    heard,
                    group,
                    control: PortControl::restored(now),
                }),
                _ => self.ports.ports.retain(|known| known.slot != slot),
            },
            Record::PortGroup {
                place,
                address,
                mode,
                name,
            } => {
                self.ports.groups.retain(|known| known.place != place);
                let _full = self.texts.set(rack, Kind::PortGroup(place), name);
                if address.0 != [0; 6]
                    && let Some(mode) = GroupMode::from_number(mode)
                {
                    let _full = self.ports.groups.push(PortGroup {
                        place,
                        address,
                        mode,
                    });
                }
            }
            Record::ImageFloor { name, version } => {
                let _room = self.image_rules.set_floor(name, version);
            }
            Record::KeyRevoked { key } => {
                let _room = self.image_rules.revoke(key);
            }
            Record::StoreAccount { salt } => self.store_account = Some(salt),
            Record::Disk {
                node,
                place,
                serial,
                size,
            } => self.apply_disk(node, place, serial, size),
            Record::Text { node, kind, text } => {
                let mut kinds = TEXTS.into_iter();
                if let Some(index) = self.find(node)
                    && let Some(kind) = kinds.find(|known| known.number() == kind)
                {
                    let _full = self.texts.set(index, kind, text);
                }
            }
            Record::DriverInfo { node, key, value } => {
                if let Some(index) = self.find(node) {
                    let _full = match Setting::named(key) {
                        Some(setting) => self.texts.set(index, Kind::Setting(setting), value),
                        None => self.texts.set_pair(index, Kind::DriverInfo, key, value),
                    };
                }
            }
            Record::BmcSecret {
                node,
                setting,
                former,
                secret,
            } => {
                if let Some(index) = self.find(node)
                    && let Some(setting) = Setting::from_number(setting)
                {
                    self.apply_bmc_secret(node, (index, setting, former), secret.as_ref());
                }
            }
            Record::Waiver { node, device, kept } => {
                if let Some(index) = self.find(node) {
                    let _full = self.texts.set_pair(index, Kind::Waiver, device, kept);
                }
            }
            Record::Interface {
                node,
                mac,
                pxe,
                physical_network,
            } => {
                if let Some(index) = self.find(node) {
                    let said = InterfaceSettings {
                        pxe_enabled: pxe,
                        physical_network,
                    };
                    let _full = self.texts.set_interface(index, mac, said);
                }
            }
            Record::History {
                node,
                sequence,
                run,
                seconds,
                actor,
                account,
                what,
                states: (from, to),
                reason,
            } => {
                if let Some(index) = self.find(node)
                    && let Some(what) = Happening::from_number(what)
                    && let Some((from, to)) =
                        ProvisionState::from_number(from).zip(ProvisionState::from_number(to))
                {
                    let entry = HistoryEntry {
                        sequence,
                        run,
                        seconds,
                        actor: ActorKind::from_number(actor).unwrap_or_default(),
                        account: cut(account),
                        what,
                        from,
                        to,
                        reason: Reason::from_number(reason).unwrap_or(Reason::Requested),
                    };
                    self.history.put(index, entry);
                }
            }
            Record::Name { node, .. }
            | Record::State { node, .. }
            | Record::Instance { node, .. }
            | Record::Flags { node, .. }
            | Record::Steps { node, .. }
            | Record::Traits { node, .. }
            | Record::Identity { node, .. }
            | Record::Ports { node, .. }
            | Record::Error { node, .. }
            | Record::Boot { node, .. }
            | Record::Agent { node, .. }
            | Record::Session { node, .. }
            | Record::Work { node, .. }
            | Record::Hardware { node, .. }
            | Record::InstanceName { node, .. }
            | Record::ConfigDrive { node, .. }
            | Record::Written { node, .. }
            | Record::RequestedTraits { node, .. }
            | Record::Erasure { node, .. }
            | Record::Driver { node, .. }
            | Record::Power { node, .. } => {
                let secrets = match record {
                    Record::Session { keys, .. } => self.opened(Secret::Session, node, keys),
                    Record::ConfigDrive {
                        drive: Some((_, key, ..)),
                        ..
                    } => self.opened(Secret::ConfigDrive, node, key),
                    _ => None,
                };
                if let Some(index) = self.find(node)
                    && let Some(node) = self.nodes.restored().get_mut(index)
                {
                    apply_part(node, record, secrets);
                }
            }
        }
    }

    /// Empties a place: its node is gone.
    fn clear_restored(&mut self, index: usize) {
        if let Some(node) = self.nodes.restored().get_mut(index) {
            node.clear();
        }
        self.forget_slot(index);
        self.nodes.trim();
    }

    fn apply_disk(&mut self, node: NodeId, place: u8, serial: &str, size: u64) {
        let Some(Ok(owner)) = self.find(node).map(u16::try_from) else {
            return;
        };
        self.disks
            .retain(|slot| slot.node != owner || slot.place != place);
        if size > 0 {
            let _full = self.disks.push(DiskSlot::new(owner, place, serial, size));
        }
    }

    fn apply_place(&mut self, now: Instant, place: usize, id: NodeId) {
        if let Some(elsewhere) = self.find(id).filter(|index| *index != place) {
            self.clear_restored(elsewhere);
        }
        if self.nodes.get(place).is_none_or(|node| node.id != id) {
            self.clear_restored(place);
            while self.nodes.len() <= place {
                let mut vacant = Node::enrolled(NodeId([0; 16]), now);
                vacant.flags = Flags::VACANT;
                if self.nodes.restored().push(vacant).is_err() {
                    return;
                }
            }
            if let Some(node) = self.nodes.restored().get_mut(place) {
                *node = Node::enrolled(id, now);
            }
        }
    }
}

/// Puts one part of a node back. Records of the boot before the present one
/// change nothing.
fn apply_part(node: &mut Node, record: &Record<'_>, secrets: Option<[[u8; 32]; 2]>) {
    match *record {
        Record::Name { name, .. } => node.name = cut(name),
        Record::State { state, reason, .. } => {
            if let Some(state) = ProvisionState::from_number(state)
                && let Some(reason) = Reason::from_number(reason)
            {
                node.state = state;
                node.reason = reason;
            }
        }
        Record::Error { text, .. } => node.last_error = cut(text),
        Record::RequestedTraits { wanted, .. } => node.wanted = wanted,
        Record::Flags { flags, .. } => {
            node.flags = Flags::from_bits_truncate(flags) & Flags::LASTING
        }
        Record::Steps { steps, .. } => node.steps = Steps::from_bits(steps),
        Record::Traits { traits, class, .. } => {
            node.traits = traits;
            node.class = class;
        }
        Record::Identity { uuid, serial, .. } => {
            node.system_uuid = uuid;
            node.serial = serial;
        }
        Record::Ports { macs, .. } => {
            node.macs.clear();
            let (all, _) = macs.as_chunks::<6>();
            for mac in all {
                // As many as fitted when it was written.
                let _fits = node.macs.push(Mac(*mac));
            }
        }
        Record::Power { request, .. } => {
            let action = request.and_then(PowerAction::from_number);
            node.power_request = action.map(|action| PowerRequest { action });
        }
        Record::Hardware {
            cpus,
            memory_mib,
            local_gib,
            architecture,
            link,
            parts,
            statement_len,
            unproven,
            ..
        } => {
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
                parts: HardwareFeatures::from_bits_retain(parts),
                statement_len,
                unproven,
            };
        }
        Record::Erasure { boot, .. } => node.erased_in = boot,
        Record::Driver { driver, .. } => {
            node.driver = DriverKind::from_number(driver).unwrap_or_default();
        }
        Record::Instance { image, .. } => node.instance.image_source = cut(image),
        Record::InstanceName { name, uuid, .. } => {
            node.instance.display_name = cut(name);
            node.instance.instance_uuid = uuid;
        }
        Record::ConfigDrive { drive, .. } => {
            // A key of zeros opens nothing: where the board has lost its own, the
            // deployment fails, and does not go on without its drive.
            let [key, _] = secrets.unwrap_or_default();
            node.config_drive = drive.map(|(length, _, format, place)| StoredConfigDrive {
                length,
                key,
                format: match format {
                    1 => ConfigDriveFormat::GzipBase64,
                    _ => ConfigDriveFormat::Json,
                },
                place: DrivePlace::from_number(place),
            });
        }
        Record::Written { written, .. } => {
            node.written = written.map(|(image, fetched, refetched, rss)| Written {
                image_bytes: NonZeroU64::new(image).unwrap_or(NonZeroU64::MIN),
                fetched_bytes: fetched,
                refetched_chunks: refetched,
                peak_rss_kib: rss,
            });
        }
        Record::Boot { boot, ticket, .. } => {
            if node.boot.id != boot {
                node.boot = Boot {
                    id: boot,
                    ..Boot::none()
                };
            }
            node.boot.ticket = ticket.map(|(id, mac, address, network)| GivenTicket {
                id: TicketId(id),
                place: Place {
                    mac,
                    address,
                    network,
                },
            });
        }
        Record::Agent { boot, .. } | Record::Session { boot, .. } | Record::Work { boot, .. } => {
            if node.boot.id == boot {
                apply_boot(node, record, secrets);
            }
        }
        Record::DriverInfo { .. }
        | Record::BmcSecret { .. }
        | Record::Text { .. }
        | Record::Trait { .. }
        | Record::Flavor { .. }
        | Record::FlavorDeleted { .. }
        | Record::Deleted { .. }
        | Record::Network { .. }
        | Record::NetworkDeleted { .. }
        | Record::Place { .. }
        | Record::Disk { .. }
        | Record::Lease { .. }
        | Record::LeaseEnded { .. }
        | Record::Reservation { .. }
        | Record::Waiver { .. }
        | Record::Interface { .. }
        | Record::History { .. }
        | Record::Account { .. }
        | Record::AccountDeleted { .. }
        | Record::Keys { .. }
        | Record::ImageFloor { .. }
        | Record::KeyRevoked { .. }
        | Record::StoreAccount { .. }
        | Record::Switch { .. }
        | Record::SwitchPort { .. }
        | Record::SwitchLogin { .. }
        | Record::SwitchHostKey { .. }
        | Record::SwitchOptions { .. }
        | Record::BootDhcp { .. }
        | Record::Relay { .. }
        | Record::PortGroup { .. }
        | Record::SealingKey { .. } => debug_assert!(false, "no part of a node"),
    }
}

/// Puts a part of a node's present boot back.
fn apply_boot(node: &mut Node, record: &Record<'_>, secrets: Option<[[u8; 32]; 2]>) {
    let boot = &mut node.boot;
    match *record {
        Record::Agent {
            boot_key,
            digest,
            mode,
            ..
        } => {
            boot.boot_key = boot_key;
            boot.init_digest = digest;
            boot.mode = Some(match mode {
                1 => BootMode::Uefi,
                _ => BootMode::Bios,
            });
        }
        Record::Session { session, .. } => {
            let Some([requests, replies]) = secrets else {
                // The board has another key.
                boot.session = None;
                return;
            };
            let id = SessionId(session);
            // A session that is written again has been heard as far as is
            // known. A handshake that was repeated has a session of the same
            // name with other keys.
            let known = |s: &Session| s.id() == id && s.keys() == (&requests, &replies);
            if !boot.session.as_ref().is_some_and(known) {
                boot.session = Some(Session::resume(id, requests, replies));
            }
        }
        Record::Work {
            order,
            last_order,
            last_statement,
            heard,
            erased,
            attempts,
            flags,
            ..
        } => {
            node.attempts = attempts;
            boot.order = order.and_then(|(counter, number)| {
                let mut all = Job::ALL.into_iter();
                let job = all.find(|job| job_number(*job) == number & 0xf)?;
                let batch = number >> 4;
                Some(Issued {
                    counter,
                    job,
                    batch,
                })
            });
            boot.last_order = last_order;
            boot.last_statement = last_statement;
            boot.erased = erased;
            boot.inspected = flags & bits::INSPECTED != 0;
            boot.imaged = flags & bits::IMAGED != 0;
            boot.left = flags & bits::LEFT != 0;
            if flags & bits::SESSION == 0 {
                boot.session = None;
            }
            if let Some(session) = &mut boot.session {
                session.raise_last_counter(heard);
            }
        }
        _ => debug_assert!(false, "no part of a boot"),
    }
}
