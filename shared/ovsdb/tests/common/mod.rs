//! A session and a model of a switch, connected by slices of any length.

use std::collections::BTreeMap;

use farrier_ovsdb::model::{Connection, Switch};
use farrier_ovsdb::{
    Change, Config, Error, Event, InterfaceRow, MAX_NAME, MAX_REQUEST, Outcome, PortName, PortRow,
    PortVlan, Session, Table, Text, Uuid, Visitor,
};

pub const PORTS: usize = 4;

#[derive(Debug, Default, Clone, PartialEq)]
pub struct Seen {
    pub ports: BTreeMap<String, PortVlan>,
    pub interfaces: BTreeMap<String, InterfaceRow>,
    pub statistics: Vec<(String, i64)>,
    pub status: Vec<(String, String)>,
    pub removed: Vec<(Table, String)>,
}

impl Visitor for Seen {
    fn port(&mut self, row: &PortRow) {
        self.ports.insert(row.name.to_string(), row.vlan);
    }
    fn interface(&mut self, row: &InterfaceRow) {
        self.interfaces.insert(row.name.to_string(), *row);
    }
    fn statistic(&mut self, _: &Uuid, name: &str, value: i64) {
        self.statistics.push((name.into(), value));
    }
    fn status(&mut self, _: &Uuid, key: &str, value: &str) {
        self.status.push((key.into(), value.into()));
    }
    fn removed(&mut self, table: Table, _: &Uuid, name: &Text<MAX_NAME>) {
        self.removed.push((table, name.to_string()));
    }
}

pub struct Rig {
    pub switch: Switch<PORTS>,
    pub connection: Connection,
    pub session: Session,
    pub seen: Seen,
    /// Most bytes that pass at once.
    pub slice: usize,
    pub error: Option<Error>,
}

pub fn name(text: &str) -> PortName {
    PortName::new(text).unwrap()
}

pub fn access(vlan: u16) -> PortVlan {
    PortVlan::access(vlan).unwrap()
}

impl Rig {
    /// A switch with `p1` on VLAN 10, `p2` with nothing set, and the trunk `up`.
    pub fn new(slice: usize) -> Self {
        let mut switch = Switch::new();
        assert!(switch.add_port(name("p1"), access(10)));
        assert!(switch.add_port(name("p2"), PortVlan::UNSET));
        assert!(switch.add_port(name("up"), PortVlan::trunk(&[10, 20]).unwrap()));
        let statistics = true;
        let config = Config {
            statistics,
            ..Config::default()
        };
        Self {
            connection: Connection::new(&switch),
            switch,
            session: Session::new(config),
            seen: Seen::default(),
            slice,
            error: None,
        }
    }

    pub fn ready(slice: usize) -> Self {
        let mut rig = Self::new(slice);
        let events = rig.run();
        assert_eq!(events.last(), Some(&Event::Ready));
        rig
    }

    /// Opens another connection.
    pub fn reconnect(&mut self) {
        self.connection = Connection::new(&self.switch);
        self.session = Session::new(Config::default());
        assert_eq!(self.run().last(), Some(&Event::Ready));
    }

    /// Passes bytes until both sides are silent.
    pub fn run(&mut self) -> Vec<Event> {
        let mut events = vec![];
        let mut pending = Vec::new();
        loop {
            let mut out = [0; MAX_REQUEST];
            let len = self.session.send(&mut out).unwrap();
            pending.extend_from_slice(&out[..len]);
            let cut = pending.len().min(self.slice);
            let mut input = &pending[..cut];
            self.connection.receive(&mut self.switch, &mut input);
            let taken = cut - input.len();
            pending.drain(..taken);
            self.connection.poll(&mut self.switch);
            let output = self.connection.output();
            let given = output.len().min(self.slice);
            let mut input = &output[..given];
            let event = self.session.receive(&mut input, &mut self.seen);
            let taken_back = given - input.len();
            self.connection.sent(taken_back);
            match event {
                Ok(Some(event)) => events.push(event),
                Ok(None) if len + taken + taken_back == 0 => return events,
                Ok(None) => {}
                Err(error) => {
                    self.error = Some(error);
                    return events;
                }
            }
        }
    }

    pub fn begin(&mut self, change: &Change) -> Vec<Event> {
        self.session.begin(change).unwrap();
        self.run()
    }

    pub fn change(&mut self, change: &Change) -> Outcome {
        outcome(&self.begin(change))
    }

    pub fn read(&mut self, port: &str) -> Option<PortVlan> {
        self.session.read(&name(port)).unwrap();
        let events = self.run();
        let Some(&Event::Port(found)) = events.last() else {
            panic!("{events:?}");
        };
        found
    }
}

pub fn outcome(events: &[Event]) -> Outcome {
    match events.iter().find(|event| matches!(event, Event::Done(_))) {
        Some(Event::Done(outcome)) => *outcome,
        _ => panic!("no outcome: {events:?}"),
    }
}

/// From VLAN 10 to VLAN 20.
pub fn move_p1() -> Change {
    Change {
        port: name("p1"),
        expected: access(10),
        desired: access(20),
    }
}
