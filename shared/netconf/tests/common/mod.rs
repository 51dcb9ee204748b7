//! A client and the model server on one wire.
#![allow(dead_code, reason = "each test uses a part of it")]

use farrier_netconf::model::{Config, Model, Profile, SessionKey};
use farrier_netconf::{
    Client, Dialect, Flip, LinkState, MacEntry, Neighbour, PortVlans, Settings, Step, Visitor,
    VlanChange,
};

pub const PORT: &str = "ge-0/0/7";
pub const OTHER: &str = "ge-0/0/8";

pub fn access(vlan: u16) -> PortVlans {
    PortVlans::access(vlan).unwrap()
}

pub fn flip(desired: PortVlans) -> Flip<'static> {
    Flip {
        interface: PORT,
        desired,
        expected: None,
        vlan: VlanChange::NONE,
        trunk: "",
        confirm_timeout_s: 120,
        persist_id: 0x1234_5678_9abc_def0,
    }
}

pub fn config() -> Config {
    Config::default()
        .vlan(10)
        .vlan(20)
        .vlan(30)
        .port(OTHER, &access(10))
        .port(PORT, &access(10))
}

/// Rows that arrived.
#[derive(Debug, Default)]
pub struct Rows {
    pub macs: Vec<(String, [u8; 6], String)>,
    pub neighbours: Vec<[String; 4]>,
    pub links: Vec<(String, bool)>,
}

impl Visitor for Rows {
    fn mac(&mut self, entry: &MacEntry<'_>) {
        let row = (entry.port.to_owned(), entry.mac, entry.vlan.to_owned());
        self.macs.push(row);
    }

    fn neighbour(&mut self, row: &Neighbour<'_>) {
        let texts = [row.port, row.chassis, row.remote_port, row.system_name];
        self.neighbours.push(texts.map(str::to_owned));
    }

    fn link(&mut self, row: &LinkState<'_>) {
        self.links.push((row.port.to_owned(), row.up));
    }
}

pub struct Wire {
    pub model: Model,
    pub client: Client,
    pub key: SessionKey,
    /// Bytes that pass at a time.
    pub piece: usize,
    /// What the client sent.
    pub log: Vec<u8>,
    /// The steps that the client took.
    pub steps: Vec<Step>,
    /// Rows that arrived.
    pub rows: Rows,
}

impl Wire {
    pub fn new(model: Model, settings: Settings) -> Self {
        let mut model = model;
        let key = model.connect().unwrap();
        let mut wire = Self {
            model,
            client: Client::new(settings),
            key,
            piece: 1000,
            log: Vec::new(),
            steps: Vec::new(),
            rows: Rows::default(),
        };
        wire.run();
        wire
    }

    pub fn of(profile: Profile) -> Self {
        let dialect = profile.dialect;
        let settings = Settings {
            dialect: Some(dialect),
            ..Settings::default()
        };
        Self::new(Model::new(profile, config()), settings)
    }

    pub fn full(dialect: &'static Dialect) -> Self {
        Self::of(Profile::full(dialect))
    }

    /// Carries bytes until nothing moves, and tells the client of a closed channel.
    pub fn run(&mut self) {
        let mut buffer = vec![0; self.piece];
        loop {
            let mut moved = false;
            let step = self.client.step();
            if self.steps.last() != Some(&step) {
                self.steps.push(step);
            }
            let length = self.client.peek(&mut buffer);
            if length > 0 {
                self.log.extend_from_slice(&buffer[..length]);
                self.client.sent(length);
                self.model.receive(self.key, &buffer[..length]);
                moved = true;
            }
            let length = self.model.transmit(self.key, &mut buffer);
            if length > 0 {
                self.client.receive(&buffer[..length], &mut self.rows);
                moved = true;
            }
            if !self.model.is_open(self.key) && self.client.step() != Step::Over {
                self.client.closed();
            }
            if !moved {
                return;
            }
        }
    }

    /// Begins a new session after the last one ended.
    pub fn reconnect(&mut self, settings: Settings) {
        self.model.disconnect(self.key);
        self.key = self.model.connect().unwrap();
        self.client = Client::new(settings);
        self.run();
    }

    pub fn flip(&mut self, flip: &Flip<'_>) {
        self.client.flip(flip).unwrap();
        self.run();
    }

    pub fn port(&self) -> PortVlans {
        self.model.port(PORT).unwrap()
    }

    /// The operations that the client sent, without framing.
    pub fn sent(&self) -> String {
        String::from_utf8(self.log.clone()).unwrap()
    }
}
