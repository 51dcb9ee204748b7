//! A blocking owner of a session.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use farrier_ovsdb::{
    Change, Config, Event, InterfaceRow, MAX_REQUEST, Outcome, PortName, PortRow, PortVlan,
    Session, State, Uuid, Visitor,
};

#[derive(Default)]
pub struct Seen {
    pub ports: BTreeMap<String, PortVlan>,
    pub interfaces: BTreeMap<String, InterfaceRow>,
    pub statistics: usize,
    pub statuses: usize,
    pub echoes: usize,
}

impl Visitor for Seen {
    fn port(&mut self, row: &PortRow) {
        self.ports.insert(row.name.to_string(), row.vlan);
    }
    fn interface(&mut self, row: &InterfaceRow) {
        self.interfaces.insert(row.name.to_string(), *row);
    }
    fn statistic(&mut self, _: &Uuid, name: &str, _: i64) {
        assert!(!name.is_empty());
        self.statistics += 1;
    }
    fn status(&mut self, _: &Uuid, key: &str, _: &str) {
        assert!(!key.is_empty());
        self.statuses += 1;
    }
}

pub struct Client {
    pub session: Session,
    pub seen: Seen,
    pub received: usize,
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn connect(port: u16, config: Config) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let timeout = Some(Duration::from_millis(200));
        stream.set_read_timeout(timeout).unwrap();
        Self {
            session: Session::new(config),
            seen: Seen::default(),
            received: 0,
            stream,
            buffer: Vec::new(),
        }
    }

    /// Sends what is to be sent; receives at most once. `None` after a while
    /// without a message.
    fn step(&mut self) -> Option<Event> {
        let mut out = [0; MAX_REQUEST];
        loop {
            match self.session.send(&mut out).unwrap() {
                0 => break,
                len => self.stream.write_all(&out[..len]).unwrap(),
            }
        }
        if self.buffer.is_empty() {
            let mut bytes = [0; 700];
            match self.stream.read(&mut bytes) {
                Ok(0) => panic!("the switch closed the connection"),
                Ok(len) => {
                    self.received += len;
                    self.buffer.extend_from_slice(&bytes[..len]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => panic!("{error}"),
            }
        }
        let mut input = self.buffer.as_slice();
        let event = self.session.receive(&mut input, &mut self.seen).unwrap();
        let rest = input.to_vec();
        self.buffer = rest;
        if event == Some(Event::Send) && self.session.state() == State::Ready {
            self.seen.echoes += 1;
        }
        event
    }

    pub fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(event) = self.step()
                && wanted(&event)
            {
                return event;
            }
        }
        panic!("nothing came in {:?}", self.session.state());
    }

    pub fn until_ready(&mut self) {
        self.until(|event| *event == Event::Ready);
    }

    pub fn idle(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while Instant::now() < deadline {
            self.step();
        }
    }

    pub fn change(&mut self, change: &Change) -> Outcome {
        self.session.begin(change).unwrap();
        self.outcome()
    }

    pub fn outcome(&mut self) -> Outcome {
        match self.until(|event| matches!(event, Event::Done(_))) {
            Event::Done(outcome) => outcome,
            _ => unreachable!(),
        }
    }

    pub fn read(&mut self, port: &str) -> Option<PortVlan> {
        self.session.read(&PortName::new(port).unwrap()).unwrap();
        match self.until(|event| matches!(event, Event::Port(_))) {
            Event::Port(found) => found,
            _ => unreachable!(),
        }
    }
}
