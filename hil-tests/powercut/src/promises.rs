//! What outsiders were told, kept apart from all records, and what the runs
//! have shown.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use farrier_testkit::machine::mac_of;

use crate::durable::Durable;

/// What outsiders were told.
#[derive(Debug, Clone, Default)]
pub struct Promises {
    /// Acknowledged leases: the machine, and until when in milliseconds.
    pub leases: BTreeMap<Ipv4Addr, (u8, u64)>,
    /// Addresses that their clients have given back.
    pub ended: BTreeSet<Ipv4Addr>,
    /// Boot scripts whose ticket has made a session.
    pub used: Vec<(u8, Ipv4Addr, String)>,
}

impl Promises {
    /// A machine's lease was acknowledged. It lasts as long as its client was
    /// told, and no longer: a renewal in the first half of a lease is told what
    /// is left of it.
    pub fn lease(&mut self, now: u64, machine: u8, address: Ipv4Addr, seconds: u32) {
        let until = now + u64::from(seconds) * 1000;
        self.leases.retain(|_, (owner, _)| *owner != machine);
        self.leases.insert(address, (machine, until));
        self.ended.remove(&address);
    }

    /// A promised lease that is not durable for as long as was promised, and
    /// its owner.
    pub fn broken(&self, now: u64, durable: &Durable) -> Option<(Ipv4Addr, u8)> {
        let mut leases = self.leases.iter();
        let broken = leases.find(|(address, (owner, until))| {
            *until > now && !durable.leases_to(**address, mac_of(*owner), until - now)
        });
        broken.map(|(address, (owner, _))| (*address, *owner))
    }
}

/// What the checker has seen.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Cuts that were made and checked.
    pub cut_points: u64,
    /// Of these, cuts of a recovery from another one.
    pub second_cuts: u64,
    /// Cuts after which something was lost, or came back.
    pub lost: u64,
    /// What the first of them were.
    pub findings: Vec<String>,
    /// Restarts within a run, after which it went on.
    pub restarts: u64,
    /// Sessions of agents that went on over a restart.
    pub continued: u64,
    /// Records that were appended.
    pub records: u64,
    /// Nodes of restored racks that were checked to be asked for power.
    pub power_checks: u64,
    /// Words programmed and sectors erased.
    pub operations: u64,
    /// Erases of the most erased sector of a run.
    pub wear: u32,
    /// Provision states of nodes, one bit each by their number.
    pub states: u32,
}

impl Tally {
    /// Counts a loss.
    pub fn find(&mut self, what: impl FnOnce() -> String) {
        self.lost += 1;
        if self.findings.len() < 5 {
            self.findings.push(what());
        }
    }

    /// Adds what another run has shown.
    pub fn add(&mut self, other: Tally) {
        self.cut_points += other.cut_points;
        self.second_cuts += other.second_cuts;
        self.lost += other.lost;
        self.findings.extend(other.findings);
        self.findings.truncate(5);
        self.restarts += other.restarts;
        self.continued += other.continued;
        self.records += other.records;
        self.power_checks += other.power_checks;
        self.operations += other.operations;
        self.wear = self.wear.max(other.wear);
        self.states |= other.states;
    }
}
