//! A PDU with one outlet as a device: an agent of SNMPv2c of its own, which shares no
//! code with the client.

use super::{Clock, Device};
use farrier_power_drivers::{Access, Order, OutletAccess, PowerAction, Report};
use farrier_snmp::outlet::{Family, Outlet, OutletState};
use std::net::Ipv4Addr;

const COMMUNITY: &str = "private";

/// What is wrong with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    pub silent: bool,
    /// Each n-th datagram is lost on its way to it, or from it; 0 for none.
    pub lose_in: u32,
    pub lose_out: u32,
    /// Answers come so much later.
    pub delay_ms: u64,
    /// It never answers a SET.
    pub mute_sets: bool,
    /// It accepts, and does nothing.
    pub ignores: bool,
    /// It shows the state before a change for so long.
    pub stale_ms: u64,
    /// It refuses to set anything, with this status.
    pub refuses: u8,
    /// It says that each object is missing.
    pub empty: bool,
    /// A state that its family does not have.
    pub nonsense: bool,
    /// Answers of others come ahead of its own.
    pub forged: bool,
}

pub struct Pdu {
    family: &'static Family,
    index: Vec<u32>,
    pub on: bool,
    pub faults: Faults,
    shown: Option<(u64, bool)>,
    heard: u32,
    said: u32,
    queue: Vec<(u64, Vec<u8>)>,
    /// Values that were set.
    pub sets: Vec<i64>,
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(content.len()).unwrap();
    let mut all = match length {
        0..=0x7f => vec![tag, length],
        _ => vec![tag, 0x81, length],
    };
    all.extend_from_slice(content);
    all
}

/// Splits the first element off: its tag, its content, the rest.
fn split(bytes: &[u8]) -> (u8, &[u8], &[u8]) {
    let (length, head) = match bytes[1] {
        0x81 => (usize::from(bytes[2]), 3),
        short => (usize::from(short), 2),
    };
    let end = head + length;
    (bytes[0], &bytes[head..end], &bytes[end..])
}

fn oid(arcs: &[u32]) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(arcs[0] * 40 + arcs[1]).unwrap()];
    for arc in &arcs[2..] {
        let mut group = vec![(arc & 0x7f) as u8];
        let mut rest = arc >> 7;
        while rest > 0 {
            group.insert(0, (rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        bytes.extend(group);
    }
    bytes
}

fn integer(content: &[u8]) -> i64 {
    let first = i64::from(content[0].cast_signed());
    content[1..]
        .iter()
        .fold(first, |value, byte| value << 8 | i64::from(*byte))
}

impl Pdu {
    pub fn new(family: &'static Family, on: bool) -> Self {
        Self {
            family,
            index: (1..).take(family.index.len()).collect(),
            on,
            faults: Faults::default(),
            shown: None,
            heard: 0,
            said: 0,
            queue: Vec::new(),
            sets: Vec::new(),
        }
    }

    pub fn outlet(&self) -> Outlet {
        Outlet::new(self.family, &self.index).unwrap()
    }

    fn object(&self, column: &[u32]) -> Vec<u8> {
        oid(&[column, &self.index].concat())
    }

    fn state(&self, now: u64) -> i64 {
        let on = match self.shown {
            Some((until, shown)) if now < until => shown,
            _ => self.on,
        };
        let wanted = if on {
            OutletState::On
        } else {
            OutletState::Off
        };
        let mut states = self.family.states.iter();
        let (value, _) = states.find(|(_, state)| *state == wanted).unwrap();
        match self.faults.nonsense {
            true => 99,
            false => i64::from(*value),
        }
    }

    fn set(&mut self, now: u64, name: &[u8], value: i64) -> bool {
        self.sets.push(value);
        let (on, off) = (self.family.on, self.family.off);
        let is = |command: farrier_snmp::outlet::Command, pdu: &Self| {
            name == pdu.object(command.column) && value == i64::from(command.value)
        };
        let to = match (is(on, self), is(off, self)) {
            (true, _) => true,
            (_, true) => false,
            _ => return false,
        };
        if !self.faults.ignores {
            if self.faults.stale_ms > 0 {
                let before = self.shown.filter(|(until, _)| now < *until);
                let before = before.map_or(self.on, |(_, shown)| shown);
                self.shown = Some((now + self.faults.stale_ms, before));
            }
            self.on = to;
        }
        true
    }
}

fn strikes(count: &mut u32, each: u32) -> bool {
    *count += 1;
    each > 0 && count.is_multiple_of(each)
}

impl Device for Pdu {
    fn datagram(&mut self, now: u64, bytes: &[u8]) {
        if self.faults.silent || strikes(&mut self.heard, self.faults.lose_in) {
            return;
        }
        let (_, message, _) = split(bytes);
        let (_, version, rest) = split(message);
        let (_, community, pdu) = split(rest);
        assert_eq!(version, [1], "SNMPv2c");
        if community != COMMUNITY.as_bytes() {
            return;
        }
        let (tag, pdu, _) = split(pdu);
        let (_, id, rest) = split(pdu);
        let (_, _, rest) = split(rest);
        let (_, _, list) = split(rest);
        let (_, variables, _) = split(list);
        let (_, variable, _) = split(variables);
        let (_, name, value) = split(variable);
        let value = match (tag, self.faults.empty) {
            (_, true) => Ok(element(0x80, &[])),
            (0xa0, _) if name == self.object(self.family.state) => {
                Ok(element(2, &[self.state(now) as u8]))
            }
            (0xa3, _) if self.faults.refuses > 0 => Err(self.faults.refuses),
            (0xa3, _) => {
                let (_, content, _) = split(value);
                match self.set(now, name, integer(content)) {
                    true => Ok(value.to_vec()),
                    false => Err(10),
                }
            }
            _ => Ok(element(0x80, &[])),
        };
        let status = *value.as_ref().err().unwrap_or(&0);
        let variable = [element(6, name), value.unwrap_or(element(5, &[]))].concat();
        let answer = |id: &[u8]| {
            let list = element(0x30, &element(0x30, &variable));
            let head = [element(2, id), element(2, &[status]), element(2, &[0])].concat();
            let pdu = element(0xa2, &[head, list].concat());
            let start = [element(2, &[1]), element(4, community)].concat();
            element(0x30, &[start, pdu].concat())
        };
        let at = now + self.faults.delay_ms;
        if self.faults.forged {
            self.queue.push((at, answer(&[0x55])));
        }
        let mute = tag == 0xa3 && self.faults.mute_sets;
        if !strikes(&mut self.said, self.faults.lose_out) && !mute {
            self.queue.push((at, answer(id)));
        }
    }

    fn give(&mut self, now: u64) -> Option<Vec<u8>> {
        let (at, _) = self.queue.first()?;
        (*at <= now).then(|| self.queue.remove(0).1)
    }

    fn wake_at(&self) -> Option<u64> {
        self.queue.first().map(|(at, _)| *at)
    }
}

pub struct Rig {
    pub pdu: Pdu,
    pub clock: Clock,
    pub community: &'static str,
    pub within_ms: u64,
}

impl Rig {
    pub fn new(family: &'static Family, on: bool) -> Self {
        Self {
            pdu: Pdu::new(family, on),
            clock: Clock::new(1),
            community: COMMUNITY,
            within_ms: 60_000,
        }
    }

    pub fn does(&mut self, order: Order) -> Report {
        let access = Access::Outlet(OutletAccess {
            address: Ipv4Addr::new(192, 0, 2, 9),
            port: 161,
            community: self.community,
            outlet: self.pdu.outlet(),
        });
        self.clock
            .carry_out(&mut self.pdu, &access, order, self.within_ms)
    }

    pub fn power(&mut self, action: PowerAction) -> Report {
        self.does(super::power(action))
    }
}
