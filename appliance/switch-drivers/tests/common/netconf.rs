//! A switch with NETCONF at the other end of the wire.

use super::{OTHER, PORT, Peer, carry_out, order};
use farrier_netconf::hello::Capabilities;
use farrier_netconf::model::{Config, Fault, Model, Profile, SessionKey};
use farrier_netconf::{Dialect, PortVlans};
use farrier_switch_drivers::{
    Learned, Order, Report, Seen, SwitchAction, SwitchDetails, SwitchKind,
};

pub fn access(vlan: u16) -> PortVlans {
    PortVlans::access(vlan).unwrap()
}

/// How an answer that a driver can do without does not come.
pub const NO_ANSWER: [Fault; 5] = [
    Fault::Refuses,
    Fault::HangsBefore,
    Fault::DropsBefore,
    Fault::Garbage,
    Fault::Bomb,
];

pub struct Session<'m> {
    pub model: &'m mut Model,
    pub key: SessionKey,
}

impl Peer for Session<'_> {
    fn take(&mut self, bytes: &[u8]) {
        self.model.receive(self.key, bytes);
    }
    fn give(&mut self, most: usize) -> Vec<u8> {
        let mut buffer = vec![0; most.min(4096)];
        let length = self.model.transmit(self.key, &mut buffer);
        buffer.truncate(length);
        buffer
    }
    fn is_open(&self) -> bool {
        self.model.is_open(self.key)
    }
    fn set_time(&mut self, now: u64) {
        self.model.set_time(now);
    }
}

pub struct Rig {
    pub model: Model,
    pub now: u64,
    pub piece: usize,
    pub details: SwitchDetails<'static>,
    pub profile: Profile,
}

/// The port that leads to the appliance.
pub const TRUNK: &str = "ge-0/0/47";

/// The appliance's own VLANs are made and removed with the moves.
pub const WITH_VLANS: SwitchDetails<'static> = SwitchDetails {
    make_vlan: true,
    at_once: false,
    remove_vlan: true,
    trunk: "",
    mac: None,
};
pub const CARD: [u8; 6] = [2, 0, 0, 0, 0, 7];

impl Rig {
    pub fn new(profile: Profile) -> Self {
        let config = Config::default()
            .vlan(10)
            .vlan(20)
            .vlan(99)
            .port(OTHER, &access(10))
            .port(PORT, &access(10));
        Self {
            model: Model::new(profile, config),
            now: 1_000,
            piece: 4_096,
            details: SwitchDetails::default(),
            profile,
        }
    }

    /// A switch that has none but an operator's VLAN and the appliance's own for the
    /// VLAN that the port is on.
    pub fn with_vlans(profile: Profile) -> Self {
        let config = Config::default()
            .vlan(99)
            .vlan(5)
            .own_vlan(10, true)
            .port(OTHER, &access(99))
            .port(PORT, &access(10));
        Self {
            model: Model::new(profile, config),
            details: WITH_VLANS,
            ..Self::new(profile)
        }
    }

    /// The same, and a trunk that carries what the port is on.
    pub fn with_trunk(profile: Profile) -> Self {
        let mut rig = Self::with_vlans(profile);
        let config = rig.model.running().clone();
        let carries = PortVlans::new(Some(5), &[10, 99]).unwrap();
        rig.model = Model::new(profile, config.port(TRUNK, &carries));
        rig.details.trunk = TRUNK;
        rig
    }

    pub fn has(&self, vlan: u16) -> bool {
        self.model.running().has_vlan(vlan)
    }

    pub fn of(dialect: &'static Dialect) -> Self {
        Self::new(Profile::full(dialect))
    }

    pub fn does(&mut self, action: SwitchAction) -> Report {
        let key = self.model.connect().unwrap();
        let mut session = Session {
            model: &mut self.model,
            key,
        };
        let order = Order {
            details: self.details,
            ..order(SwitchKind::Netconf, action)
        };
        let report = carry_out(&mut session, &order, self.piece, &mut self.now);
        self.model.disconnect(key);
        report
    }

    pub fn vlan(&self) -> u16 {
        let port = self.model.port(PORT).unwrap();
        assert!(port.tagged().is_empty());
        port.untagged().unwrap_or(0)
    }

    pub fn wait(&mut self, seconds: u32) {
        self.now += u64::from(seconds) * 1_000;
        self.model.set_time(self.now);
    }
}

pub fn ok(vlan: u16) -> Report {
    Report {
        result: Ok(()),
        port: Seen::Vlan(vlan),
        link: None,
        learned: Learned::Unknown,
    }
}

/// What is said of a port that has a link and was only read.
pub fn read(vlan: u16) -> Report {
    Report {
        link: Some(true),
        ..ok(vlan)
    }
}

/// What switches can, from confirmed commits with persist-ids down to a running
/// configuration that is edited in place.
pub fn abilities() -> [Capabilities; 4] {
    let full = Capabilities::all() - Capabilities::WRITABLE_RUNNING;
    [
        full,
        full - Capabilities::CONFIRMED_COMMIT_1_1,
        Capabilities::BASE_1_0 | Capabilities::CANDIDATE,
        Capabilities::BASE_1_0 | Capabilities::BASE_1_1 | Capabilities::WRITABLE_RUNNING,
    ]
}
