//! What a lab has written down is what there is: the records, a snapshot, and
//! sweeps that are cut off and go on are compared with the rack's own tables.

use super::{IDENTITY, Lab, TestRack};
use farrier_core::persist::record::{ERROR_KEPT, MAX_RECORD, Record};
use farrier_core::strings::Kind;
use farrier_core::{Config, Instant};
use farrier_protocol::message::Mac;
use std::net::Ipv4Addr;

/// A snapshot from this place on: the places, and what is told of them.
fn told_from(rack: &TestRack, now: Instant, mut from: u16) -> Vec<(u16, Vec<u8>)> {
    let mut records = Vec::new();
    let mut room = [0; MAX_RECORD];
    while let Some((place, length)) = rack.snapshot(now, from, &mut room) {
        records.push((place, room[..length].to_vec()));
        from = place + 1;
    }
    records
}

fn snapshot_of(rack: &TestRack, now: Instant) -> Vec<Vec<u8>> {
    let told = told_from(rack, now, 0).into_iter();
    told.map(|(_, record)| record).collect()
}

/// How closely sweeps are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sweeps {
    None,
    Some,
    All,
}

/// Who has which address, by records.
fn bound_in(records: &[Vec<u8>]) -> Vec<(Mac, [u8; 8], Ipv4Addr)> {
    let bound = |record: &Vec<u8>| match postcard::from_bytes(record) {
        Ok(Record::Bound {
            mac, key, address, ..
        }) => Some((mac, key, address)),
        _ => None,
    };
    records.iter().filter_map(bound).collect()
}

/// What has to outlive a restart, in words, one line a fact. Read from the
/// rack's own tables, and not from the records that it makes of them.
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
        let ticket = boot.ticket.as_ref().map(|t| (t.id.0, t.secret));
        fact(format!("{:?} {ticket:?}", boot.id));
        fact(format!(
            "{:?} {:?} {:?}",
            boot.order, boot.last_order, boot.last_statement
        ));
        fact(format!("{} {} {}", boot.erased, boot.left, node.attempts));
        fact(format!("{} {}", boot.inspected, boot.imaged));
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
        // Their order is told by their places, which count from `restored` on.
        let mut disks: Vec<_> = rack.disks(index).map(|d| format!("{d:?}")).collect();
        disks.sort_unstable();
        fact(format!("{disks:?}"));
        for kind in [
            Kind::MaintenanceReason,
            Kind::ProtectedReason,
            Kind::RetiredReason,
            Kind::AllocationName,
            Kind::AllocationClass,
        ] {
            fact(rack.texts().get(index, kind).to_owned());
        }
        let mut pairs: Vec<_> = rack.texts().pairs(index, Kind::DriverInfo).collect();
        pairs.sort_unstable();
        fact(format!("{pairs:?}"));
    }
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

/// Addresses of the book that rest. A restart may know more of them: those
/// whose rest is over, which nobody has to write down.
fn resting(rack: &TestRack) -> Vec<(u8, Ipv4Addr, Mac)> {
    let all = rack.ipam().entries().iter();
    all.filter(|entry| !entry.is_held())
        .map(|entry| (entry.network, entry.address, entry.mac))
        .collect()
}

impl Lab {
    /// A rack that takes these records up.
    pub(super) fn started<'a>(&mut self, records: impl Iterator<Item = &'a [u8]>) -> Box<TestRack> {
        let mut rack = Box::new(TestRack::new());
        rack.configure(Config::default(), &IDENTITY, &mut self.entropy)
            .unwrap();
        for record in records {
            assert!(rack.restore(Instant::from_millis(self.now), record));
        }
        rack
    }

    /// The records of a snapshot.
    pub fn snapshot(&self) -> Vec<Vec<u8>> {
        snapshot_of(&self.rack, Instant::from_millis(self.now))
    }

    /// Looks whether the records so far, and a snapshot, tell all of the rack
    /// that has to be durable.
    pub fn check_records(&mut self) {
        self.check(Sweeps::None);
    }

    /// The same, and with a sweep that was cut off after any of its records,
    /// and that goes on after some of them.
    pub fn check_sweeps(&mut self) {
        self.check(Sweeps::Some);
    }

    /// The same with a sweep that goes on after any of its records. It takes
    /// long.
    pub fn check_every_sweep(&mut self) {
        self.check(Sweeps::All);
    }

    fn check(&mut self, sweeps: Sweeps) {
        let (records, snapshot) = (std::mem::take(&mut self.records), self.snapshot());
        let known = durable(&self.rack);
        let rest = resting(&self.rack);
        let now = Instant::from_millis(self.now);
        let (_, leases) = self.rack.lease_usage(now);
        let bound = bound_in(&snapshot);
        let check_leases = |rack: &TestRack| {
            let told = bound_in(&snapshot_of(rack, now));
            let forgotten = bound.iter().find(|lease| !told.contains(lease));
            assert_eq!(forgotten, None);
        };
        let check = |rack: &TestRack, name: &str| {
            // Nobody knows how long the power was gone: leases live on.
            assert!(rack.lease_usage(now).1 >= leases, "by {name}");
            let still = resting(rack);
            let awake = rest.iter().find(|entry| !still.contains(entry));
            assert_eq!(awake, None, "by {name}");
            let told = durable(rack);
            let other = |a: &[String], b: &[String]| -> Vec<String> {
                a.iter().filter(|fact| !b.contains(fact)).cloned().collect()
            };
            let (more, less) = (other(&told, &known), other(&known, &told));
            assert!(
                more.is_empty() && less.is_empty(),
                "by {name}, it is {more:#?} and not {less:#?}"
            );
        };
        check(
            &self.started(snapshot.iter().map(Vec::as_slice)),
            "a snapshot",
        );
        let mut rack = self.started(records.iter().map(Vec::as_slice));
        check(&rack, "what is written down");
        check_leases(&rack);
        for record in snapshot.iter().filter(|_| sweeps != Sweeps::None) {
            assert!(rack.restore(now, record));
            check(&rack, "a part of a snapshot behind that");
        }
        check_leases(&rack);
        // A restart in the middle of a sweep, be it the first or a later one,
        // which goes on behind it; then another one that finds nothing but
        // that sweep.
        let befores: &[&Vec<Vec<u8>>] = match sweeps {
            Sweeps::None => &[],
            Sweeps::Some => &[&snapshot],
            Sweeps::All => &[&records, &snapshot],
        };
        // Of some, each check has others.
        let one_in = match sweeps {
            Sweeps::All => 1,
            _ => snapshot.len() / 4 + 1,
        };
        for before in befores {
            let mut rack = self.started(before.iter().map(Vec::as_slice));
            let mut told: Vec<Vec<u8>> = Vec::new();
            for (place, record) in told_from(&self.rack, now, 0) {
                assert!(rack.restore(now, &record));
                told.push(record);
                if !(told.len() + records.len()).is_multiple_of(one_in) {
                    continue;
                }
                let rest = told_from(&rack, now, place + 1);
                let rest = rest.iter().map(|(_, record)| record);
                let all = told.iter().chain(rest).map(Vec::as_slice);
                check(&self.started(all), "a sweep over a restart");
            }
        }
        self.records = records;
    }
}
