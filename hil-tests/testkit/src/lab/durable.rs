//! Compares a lab's rack with fresh ones that were restored from its records,
//! from a snapshot, and from sweeps that a restart interrupted.

use super::{Lab, TestController, TestRack, config};
use crate::{IDENTITY, Random};
use farrier_controller::Controller;
use farrier_controller::MemoryKeys;
use farrier_controller::testing::{MemoryStore, ready};
use farrier_core::persist::record::{ERROR_KEPT, MAX_RECORD, Record};
use farrier_core::strings::Kind;
use farrier_core::{Instant, Rack};
use farrier_protocol::message::Mac;
use std::net::Ipv4Addr;

/// A snapshot from this place on: places and records.
fn snapshot_from(rack: &TestRack, now: Instant, mut from: u16) -> Vec<(u16, Vec<u8>)> {
    let mut records = Vec::new();
    let mut room = [0; MAX_RECORD];
    while let Some((place, length)) = rack.snapshot(now, from, &mut room) {
        records.push((place, room[..length].to_vec()));
        from = place + 1;
    }
    records
}

fn snapshot_of(rack: &TestRack, now: Instant) -> Vec<Vec<u8>> {
    let places = snapshot_from(rack, now, 0).into_iter();
    places.map(|(_, record)| record).collect()
}

/// Which interrupted sweeps are tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sweeps {
    None,
    Some,
    All,
}

/// The leases in these records.
fn leases_in(records: &[Vec<u8>]) -> Vec<(Mac, [u8; 8], Ipv4Addr)> {
    let bound = |record: &Vec<u8>| match postcard::from_bytes(record) {
        Ok(Record::Lease {
            mac, key, address, ..
        }) => Some((mac, key, address)),
        _ => None,
    };
    records.iter().filter_map(bound).collect()
}

/// What has to survive a restart, one line a fact. Read from the rack's own
/// tables, and not from the records that it makes of them.
#[must_use]
pub fn durable(rack: &TestRack) -> Vec<String> {
    let mut facts = Vec::new();
    for (index, node) in rack.nodes().iter().enumerate() {
        if node.is_vacant() {
            continue;
        }
        let mut fact = |text: String| facts.push(format!("{index}: {text}"));
        let boot = &node.boot;
        fact(format!("{:?} {} {:?}", node.id, node.name, node.macs));
        fact(format!("{:?} {}", node.system_uuid, node.serial));
        fact(format!("{} {}", node.state, node.reason));
        let kept = node.last_error.len().min(ERROR_KEPT);
        fact(node.last_error.get(..kept).unwrap_or_default().to_owned());
        fact(format!("{:?} {:?}", boot.id, boot.ticket));
        fact(format!(
            "{:?} {:?} {:?}",
            boot.order, boot.last_order, boot.last_statement
        ));
        fact(format!("{} {} {}", boot.erased, boot.left, node.attempts));
        fact(format!("{} {}", boot.inspected, boot.imaged));
        fact(format!("{:?}", node.erased_in));
        fact(format!("{:?}", node.power_request));
        if let Some(session) = &boot.session {
            let heard = session.last_counter().min(1);
            fact(format!("{:?} {:?} {heard}", session.id(), session.keys()));
            fact(format!(
                "{:?} {:?} {:?}",
                boot.boot_key, boot.init_digest, boot.mode
            ));
        }
        fact(format!("{:?}", node.hardware));
        fact(format!(
            "{:?} {:?} {:?}",
            node.instance, node.written, node.config_drive
        ));
        fact(format!("{:?} {:?} {}", node.flags, node.steps, node.class));
        fact(format!("{:b} {:b}", node.traits, node.wanted));
        // A restored rack sorts them by their places in `restored` only.
        for entry in rack.history(index) {
            fact(format!("{entry:?}"));
        }
        let mut disks: Vec<_> = rack.disks(index).map(|d| format!("{d:?}")).collect();
        disks.sort_unstable();
        fact(format!("{disks:?}"));
        for kind in [
            Kind::MaintenanceReason,
            Kind::ProtectedReason,
            Kind::RetiredReason,
            Kind::AllocationName,
            Kind::AllocationClass,
            Kind::Owner,
            Kind::Lessee,
            Kind::LeastErase,
        ] {
            fact(rack.texts().get(index, kind).to_owned());
        }
        fact(format!("{:?}", node.driver));
        for (setting, value) in rack.texts().settings(index) {
            let former = rack.texts().former(index, setting);
            fact(format!("{setting:?} {value} {former}"));
        }
        let mut pairs: Vec<_> = rack.texts().pairs(index, Kind::DriverInfo).collect();
        pairs.sort_unstable();
        fact(format!("{pairs:?}"));
        let mut pairs: Vec<_> = rack.texts().pairs(index, Kind::Waiver).collect();
        pairs.sort_unstable();
        fact(format!("{pairs:?}"));
    }
    let mut accounts: Vec<_> = rack
        .accounts()
        .iter()
        .map(|a| format!("{} {:?} {:?}", a.name, a.role, a.verifier.hash))
        .collect();
    accounts.sort_unstable();
    facts.extend(accounts);
    let mut floors: Vec<_> = rack
        .image_floors()
        .iter()
        .filter(|f| !f.name.is_empty())
        .map(|f| format!("{f:?}"))
        .collect();
    floors.sort_unstable();
    facts.extend(floors);
    let mut revoked: Vec<_> = rack
        .revoked_keys()
        .iter()
        .map(|k| format!("{k:?}"))
        .collect();
    revoked.sort_unstable();
    facts.extend(revoked);
    let mut networks = rack.ipam().networks().to_vec();
    networks.sort_unstable_by_key(|network| network.place);
    facts.push(format!("{networks:?}"));
    for flavor in rack.flavors() {
        facts.push(format!("{} {:?}", flavor.name(rack.texts()), flavor.need));
    }
    facts.push(format!(
        "{:?}",
        rack.texts().words(u32::MAX).collect::<Vec<_>>()
    ));
    let mut entries: Vec<_> = rack
        .ipam()
        .entries()
        .iter()
        .filter(|entry| entry.is_held())
        .map(|e| format!("{e:?}"))
        .collect();
    entries.sort_unstable();
    facts.extend(entries);
    facts
}

/// Quarantined addresses. A restart may know more of them: the end of a
/// quarantine is not recorded.
fn quarantined(rack: &TestRack) -> Vec<(u8, Ipv4Addr, Mac)> {
    let all = rack.ipam().entries().iter();
    all.filter(|entry| !entry.is_held())
        .map(|entry| (entry.network, entry.address, entry.mac))
        .collect()
}

/// A fresh rack that has these records and was not restarted further: waits
/// are as they were recorded.
fn rack_of<'a>(
    now: Instant,
    keys: &MemoryKeys,
    records: impl Iterator<Item = &'a [u8]>,
) -> TestController {
    let mut store = MemoryStore::new();
    store.keys = keys.clone();
    store.records = records.map(<[u8]>::to_vec).collect();
    let mut controller = Controller::new(Box::new(Rack::new()), store, Random::new(2, 0));
    let configured = controller.configure(config(), Some(&IDENTITY));
    assert_eq!(configured, Ok(()), "the default configuration is sound");
    assert!(ready(controller.mount(now)).is_ok());
    assert_eq!(controller.counters().unknown_records, 0);
    controller
}

impl Lab {
    /// The records of a snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Vec<u8>> {
        snapshot_of(self.rack(), self.clock())
    }

    /// Checks that the records so far, and a snapshot, each restore the rack.
    ///
    /// # Panics
    /// Where they do not.
    pub fn check_records(&mut self) {
        self.check(Sweeps::None);
    }

    /// The same, and with a sweep that was interrupted after any of its
    /// records, and that goes on after some of them.
    ///
    /// # Panics
    /// Where a rack differs.
    pub fn check_sweeps(&mut self) {
        self.check(Sweeps::Some);
    }

    /// The same with a sweep that goes on after any of its records. This is
    /// slow.
    ///
    /// # Panics
    /// Where a rack differs.
    pub fn check_every_sweep(&mut self) {
        self.check(Sweeps::All);
    }

    fn check(&mut self, sweeps: Sweeps) {
        let (records, snapshot) = (self.records().to_vec(), self.snapshot());
        let keys = self.controller.store().keys.clone();
        let known = durable(self.rack());
        let rest = quarantined(self.rack());
        let now = self.clock();
        let (_, leases) = self.rack().lease_usage(now);
        let bound = leases_in(&snapshot);
        let check_leases = |rack: &TestRack| {
            let restored = leases_in(&snapshot_of(rack, now));
            let forgotten = bound.iter().find(|lease| !restored.contains(lease));
            assert_eq!(forgotten, None);
        };
        let check = |rack: &TestRack, name: &str| {
            // How long the power was off is not known: leases go on.
            assert!(rack.lease_usage(now).1 >= leases, "by {name}");
            let still = quarantined(rack);
            let forgotten = rest.iter().find(|entry| !still.contains(entry));
            assert_eq!(forgotten, None, "by {name}");
            let restored = durable(rack);
            let other = |a: &[String], b: &[String]| -> Vec<String> {
                a.iter().filter(|fact| !b.contains(fact)).cloned().collect()
            };
            let (more, less) = (other(&restored, &known), other(&known, &restored));
            assert!(
                more.is_empty() && less.is_empty(),
                "by {name}, it is {more:#?} and not {less:#?}"
            );
        };
        check(
            rack_of(now, &keys, snapshot.iter().map(Vec::as_slice)).rack(),
            "a snapshot",
        );
        let (mut rack, ..) = rack_of(now, &keys, records.iter().map(Vec::as_slice)).into_parts();
        check(&rack, "the records");
        check_leases(&rack);
        for record in snapshot.iter().filter(|_| sweeps != Sweeps::None) {
            assert!(rack.restore(now, record));
            check(&rack, "the records and a part of a snapshot");
        }
        check_leases(&rack);
        // A restart interrupts a sweep, the first one or a later one, which
        // then goes on; another restart finds nothing but that sweep.
        let befores: &[&Vec<Vec<u8>>] = match sweeps {
            Sweeps::None => &[],
            Sweeps::Some => &[&snapshot],
            Sweeps::All => &[&records, &snapshot],
        };
        // Each check tries others of them.
        let one_in = match sweeps {
            Sweeps::All => 1,
            _ => snapshot.len() / 4 + 1,
        };
        for before in befores {
            let (mut rack, ..) = rack_of(now, &keys, before.iter().map(Vec::as_slice)).into_parts();
            let mut swept: Vec<Vec<u8>> = Vec::new();
            for (place, record) in snapshot_from(self.rack(), now, 0) {
                assert!(rack.restore(now, &record));
                swept.push(record);
                if !(swept.len() + records.len()).is_multiple_of(one_in) {
                    continue;
                }
                let rest = snapshot_from(&rack, now, place + 1);
                let rest = rest.iter().map(|(_, record)| record);
                let all = swept.iter().chain(rest).map(Vec::as_slice);
                check(rack_of(now, &keys, all).rack(), "an interrupted sweep");
            }
        }
    }
}
