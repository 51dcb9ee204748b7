//! A switch with its server, and what of it can be asked and done from outside.

use std::collections::BTreeMap;

use core::net::Ipv4Addr;
use farrier_core::interface::{Mac, SwitchAddress, SwitchKind};
use farrier_core::rack::Entropy as _;
use farrier_netconf::PortVlans;
use farrier_netconf::dialect::{JUNOS, JUNOS_ELS, OPENCONFIG};
use farrier_netconf::hello::Capabilities;
use farrier_netconf::model::{Config, Model as Netconf, Profile, SessionKey};
use farrier_ovsdb::model::{Connection, Pace, Startup, Switch as Ovsdb};
use farrier_ovsdb::{PortName, PortVlan};
use farrier_testkit::Random;

use super::{IDLE, SPARE, SWITCHES, TENANTS, UNUSED};

/// Ports of a switch.
const PORTS: usize = 48 / SWITCHES;

/// What answers for a switch.
#[derive(Debug)]
pub(super) enum Server {
    Ovsdb(Box<Ovsdb<16>>),
    Netconf(Box<Netconf>),
    /// A person moves its ports.
    ByHand(BTreeMap<String, u16>),
}

/// A session of the appliance.
#[derive(Debug)]
pub(super) enum Session {
    /// The connection, and what it has not taken yet.
    Ovsdb(Box<Connection>, Vec<u8>),
    Netconf(SessionKey),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    pub(super) address: SwitchAddress,
    pub(super) server: Server,
    /// It has no power until then.
    pub(super) off_until: u64,
    /// It shows another host key until then.
    pub(super) other_key_until: u64,
    /// Sessions that the appliance has left, and until when the switch keeps them.
    pub(super) left: Vec<(u64, SessionKey)>,
    /// When a commit that waits is looked at.
    pub(super) due: u64,
    /// What it sends next is no JSON, or without end.
    pub(super) nonsense: Option<u64>,
    /// It has taken a commit back that nobody confirmed, since that was asked last.
    pub(super) took_back: bool,
    /// The slowest answer, in milliseconds.
    pub(super) slow: u64,
    waits: bool,
    /// The appliance makes VLANs there, and removes them.
    pub(super) makes_vlans: bool,
}

/// What a switch sends in the place of JSON: lists in lists, a text without end, or
/// random bytes.
fn nonsense(word: u64) -> Vec<u8> {
    let length = 1 + (word >> 8) as usize % 4096;
    match word % 3 {
        0 => vec![b'['; length],
        1 => [b"{\"id\":\"".as_slice(), &vec![b'a'; length]].concat(),
        _ => {
            let mut bytes = vec![0; length];
            Random::new(word, 12).fill(&mut bytes);
            bytes
        }
    }
}

/// Without sessions and their addresses it answers nobody.
fn name_of(name: &str) -> PortName {
    PortName::new(name).expect("a short name")
}

fn access(vlan: u16) -> PortVlans {
    PortVlans::access(vlan).unwrap_or(PortVlans::NONE)
}

impl Device {
    /// A switch with all of its ports on the idle VLAN, as it starts up. It has the
    /// VLANs of the rack, or where the appliance makes them, the idle one only.
    pub(super) fn new(
        number: usize,
        kind: SwitchKind,
        makes_vlans: bool,
        random: &mut Random,
    ) -> Self {
        let own = (0..PORTS).map(|port| format!("xe-0/0/{port}"));
        let ports: Vec<_> = own.chain([SPARE.to_owned()]).collect();
        let mut waits = true;
        let server = match kind {
            SwitchKind::ByHand => Server::ByHand(ports.into_iter().map(|p| (p, IDLE)).collect()),
            SwitchKind::Ovsdb => {
                let mut switch = Ovsdb::new();
                let idle = PortVlan::access(IDLE).expect("a VLAN");
                for port in &ports {
                    let _room = switch.add_port(name_of(port), idle);
                }
                switch.set_pace(random.pick(&[Pace::AfterReply, Pace::AtOnce]));
                Server::Ovsdb(Box::new(switch))
            }
            SwitchKind::Netconf => {
                let dialect = random.pick(&[&JUNOS, &JUNOS_ELS, &OPENCONFIG]);
                let full = Profile::full(dialect);
                let without = random.pick(&[
                    Capabilities::empty(),
                    Capabilities::empty(),
                    Capabilities::CONFIRMED_COMMIT_1_1,
                ]);
                waits = without.is_empty();
                let profile = Profile {
                    capabilities: full.capabilities - without,
                    ..full
                };
                let vlans = (IDLE..=super::SERVICING).chain([UNUSED]);
                let vlans = vlans.chain(TENANTS.map(|(vlan, _)| vlan));
                let vlans = vlans.filter(|vlan| !makes_vlans || *vlan == IDLE);
                let config = vlans.fold(Config::default(), Config::vlan);
                let with = |config: Config, port: &String| config.port(port, &access(IDLE));
                let config = ports.iter().fold(config, with);
                Server::Netconf(Box::new(Netconf::new(profile, config)))
            }
        };
        Device {
            name: format!("tor-{number}"),
            address: SwitchAddress {
                kind,
                address: Ipv4Addr::new(172, 22, 0, 2 + number as u8),
                port: if kind == SwitchKind::Ovsdb { 6640 } else { 830 },
            },
            server,
            off_until: 0,
            other_key_until: 0,
            left: Vec::new(),
            due: 0,
            nonsense: None,
            took_back: false,
            slow: random.pick(&[5, 40, 900]),
            waits,
            makes_vlans,
        }
    }

    /// Whether it takes back what nobody confirms, or its kind can't.
    pub(super) const fn waits(&self) -> bool {
        self.waits
    }

    /// The VLAN that untagged frames of a port are really on; 0 for none.
    pub(super) fn vlan(&self, port: &str) -> u16 {
        if self.off_until > 0 {
            return 0;
        }
        match &self.server {
            Server::Ovsdb(switch) => {
                let port = switch.port(port);
                port.and_then(|port| port.running().tag).unwrap_or(0)
            }
            Server::Netconf(model) => {
                let port = model.carries(port);
                port.and_then(|port| port.untagged()).unwrap_or(0)
            }
            Server::ByHand(ports) => ports.get(port).copied().unwrap_or(0),
        }
    }

    /// Whether a port's frames do not follow what its server says of it.
    pub(super) fn is_beyond(&self, port: &str) -> bool {
        match &self.server {
            Server::Ovsdb(switch) => switch
                .port(port)
                .is_some_and(|port| port.running() != port.vlan()),
            Server::Netconf(_) => false,
            Server::ByHand(_) => true,
        }
    }

    /// Whether a commit waits: then it takes no change of a person.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(&self.server, Server::Netconf(model) if model.is_waiting())
    }

    /// A person puts a port onto a VLAN.
    pub(super) fn put(&mut self, port: &str, vlan: u16) {
        match &mut self.server {
            Server::Ovsdb(switch) => {
                if let Some(vlan) = PortVlan::access(vlan) {
                    switch.set_vlan(port, vlan);
                }
            }
            Server::Netconf(model) => {
                model.add_vlan(vlan);
                model.set_port(port, &access(vlan));
            }
            Server::ByHand(ports) => {
                ports.insert(port.to_owned(), vlan);
            }
        }
    }

    /// A port's link comes up or goes down.
    pub(super) fn set_link(&mut self, port: &str, up: bool) {
        if let Server::Ovsdb(switch) = &mut self.server {
            switch.set_link(port, up);
        }
    }

    /// A frame of an interface comes in by a port. Entries are forgotten only where
    /// others need their room.
    pub(super) fn learn(&mut self, port: &str, mac: Mac, vlan: u16) {
        if let Server::Netconf(model) = &mut self.server {
            model.learned.mac(port, mac.0, vlan);
        }
    }

    /// Opens a session; `None` where it takes none.
    pub(super) fn connect(&mut self) -> Option<Session> {
        match &mut self.server {
            Server::Ovsdb(switch) => {
                let connection = Box::new(Connection::new(switch));
                Some(Session::Ovsdb(connection, Vec::new()))
            }
            Server::Netconf(model) => model.connect().map(Session::Netconf),
            Server::ByHand(_) => None,
        }
    }

    /// Takes bytes of a session.
    pub(super) fn take(&mut self, session: &mut Session, bytes: &[u8]) {
        match (&mut self.server, session) {
            (Server::Ovsdb(switch), Session::Ovsdb(connection, waiting)) => {
                waiting.extend_from_slice(bytes);
                let mut input = &waiting[..];
                connection.receive(switch, &mut input);
                let taken = waiting.len() - input.len();
                waiting.drain(..taken);
            }
            (Server::Netconf(model), Session::Netconf(key)) => model.receive(*key, bytes),
            _ => {}
        }
    }

    /// Gives bytes for a session, at most so many.
    pub(super) fn give(&mut self, session: &mut Session, most: usize) -> Vec<u8> {
        self.take(session, &[]);
        match (&mut self.server, session) {
            (Server::Ovsdb(switch), Session::Ovsdb(connection, _)) => {
                connection.poll(switch);
                let output = connection.output();
                let mut given = output[..output.len().min(most)].to_vec();
                connection.sent(given.len());
                if !given.is_empty()
                    && let Some(word) = self.nonsense.take()
                {
                    given = nonsense(word);
                }
                given
            }
            (Server::Netconf(model), Session::Netconf(key)) => {
                let mut buffer = vec![0; most];
                let length = model.transmit(*key, &mut buffer);
                buffer.truncate(length);
                buffer
            }
            _ => Vec::new(),
        }
    }

    /// Whether a session is open at the switch's end.
    pub(super) fn is_open(&self, session: &Session) -> bool {
        match (&self.server, session) {
            _ if self.off_until > 0 => false,
            (Server::Ovsdb(_), Session::Ovsdb(connection, _)) => !connection.is_closed(),
            (Server::Netconf(model), Session::Netconf(key)) => model.is_open(*key),
            _ => false,
        }
    }

    /// The appliance closes a session; where it is lost, the switch keeps it until
    /// then.
    pub(super) fn disconnect(&mut self, session: Session, keeps_until: Option<u64>) {
        let waits = self.is_waiting();
        if let (Server::Netconf(model), Session::Netconf(key)) = (&mut self.server, session) {
            match keeps_until {
                Some(until) => self.left.push((until, key)),
                None => model.disconnect(key),
            }
        }
        self.took_back |= waits && !self.is_waiting();
    }

    /// The time of its server: sessions that were left end, and commits that
    /// nobody confirmed are taken back.
    pub(super) fn set_time(&mut self, now: u64) {
        let waits = self.is_waiting();
        let Server::Netconf(model) = &mut self.server else {
            return;
        };
        let ended: Vec<_> = self
            .left
            .extract_if(.., |(until, _)| *until <= now)
            .collect();
        for (_, key) in ended {
            model.disconnect(key);
        }
        model.set_time(now);
        self.took_back |= waits && !self.is_waiting();
    }

    /// When its server looks at what waits.
    pub(super) fn wake_at(&self) -> Option<u64> {
        let Server::Netconf(model) = &self.server else {
            return None;
        };
        let left = self.left.iter().map(|(until, _)| *until);
        left.chain(model.due_ms()).min()
    }

    /// It loses power: every session ends. Its configuration stays.
    pub(super) fn power_off(&mut self, until: u64) {
        self.off_until = until;
        for (_, key) in std::mem::take(&mut self.left) {
            if let Server::Netconf(model) = &mut self.server {
                model.disconnect(key);
            }
        }
        if let Server::Ovsdb(switch) = &mut self.server {
            switch.restart(Startup::Kept);
        }
    }

    /// It starts again with the configuration that it was first started with.
    pub(super) fn forget(&mut self) {
        self.left.clear();
        match &mut self.server {
            Server::Ovsdb(switch) => switch.restart(Startup::Lost),
            Server::Netconf(model) => model.power_cycle(),
            Server::ByHand(_) => {}
        }
    }
}
