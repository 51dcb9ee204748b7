//! The network between the appliance and the machines: datagrams go through
//! the switch, and on their way they are lost, late, doubled or broken.

use core::net::Ipv4Addr;
use farrier_core::{Endpoint, Input};
use farrier_dhcp::wire::{MessageType, Request};
use farrier_protocol::message::Mac;

use crate::faults::Fault;
use crate::managed::is_boot;
use crate::simulation::{Event, Simulation};
use crate::switch::{Network, Port};

/// A datagram on its way.
#[derive(Debug, Clone)]
pub(crate) enum Packet {
    Dhcp(Vec<u8>),
    Agent(Endpoint, Vec<u8>),
}

impl Packet {
    /// Becomes a copy of another one, in the memory that it has.
    pub(crate) fn copy_from(&mut self, other: &Packet) {
        match (&mut *self, other) {
            (Packet::Dhcp(bytes), Packet::Dhcp(others)) => bytes.clone_from(others),
            (Packet::Agent(from, bytes), Packet::Agent(others, datagram)) => {
                *from = *others;
                bytes.clone_from(datagram);
            }
            _ => *self = other.clone(),
        }
    }
}

impl Simulation {
    /// The machine with this interface.
    pub(crate) fn owner(&self, mac: Mac) -> Option<usize> {
        // The last byte is the machine's number; unknown clients have others.
        let index = usize::from(mac.0[5]).checked_sub(1)?;
        let machine = self.machines.get(index)?;
        machine.macs.contains(&mac).then_some(index)
    }

    pub(crate) fn up(&mut self, mac: Mac, packet: &Packet) {
        if self.appliance.is_down() {
            return;
        }
        let place = match self.owner(mac) {
            Some(index) => {
                if let Some(managed) = &mut self.managed {
                    managed.learn(index, mac);
                }
                self.place_of(index)
            }
            None => self.place_of_others(),
        };
        // It may have been moved since it was sent.
        let Some((network, vlan)) = place else {
            return;
        };
        self.answers_by(vlan);
        // The second holder of a ticket is no machine: a copy of what it said is as
        // good as its own word.
        // Nor does it hear what is said on tenants' networks.
        if self.owner(mac).is_some() && (vlan == 0 || is_boot(vlan)) {
            self.hostile.hears(packet, self.appliance.run());
        }
        match packet {
            Packet::Dhcp(payload) => {
                self.digest.add_bytes(payload);
                let input = Input::Dhcp {
                    network,
                    from: mac,
                    payload,
                };
                // Where its port leaves, or is not, nobody is answered.
                let boots = vlan == 0 || is_boot(vlan);
                let asks = boots && self.appliance.rack().may_ask_on(mac, vlan);
                if !self.hostile.impersonates() && asks {
                    self.invariants.expects_offer(&self.appliance, &input);
                }
                self.step(input);
                self.saw(mac, vlan, None);
            }
            Packet::Agent(from, datagram) => {
                self.digest.add_bytes(datagram);
                if let Some(slot) = self.appliance.rack().find_by_mac(mac) {
                    self.invariants.lateness.heard(slot, self.now);
                }
                let put_off = |sim: &Self| {
                    let counters = sim.appliance.rack().counters();
                    (counters.nodes_full, counters.handshakes_deferred)
                };
                let before = put_off(self);
                self.step(Input::Agent {
                    from: Endpoint { network, ..*from },
                    datagram,
                });
                self.saw(mac, vlan, Some(from.ip));
                if put_off(self) != before {
                    self.hostile.put_off();
                }
            }
        }
        self.answers_by(0);
    }

    /// What is answered goes out by this tag; 0 for wherever its receiver is.
    pub(crate) fn answers_by(&mut self, vlan: u16) {
        if let Some(managed) = &mut self.managed {
            managed.answering = (vlan != 0).then_some(vlan);
        }
    }

    /// Says where an interface was seen, by the rule of the firmware: behind a DHCP
    /// message, and behind an agent's datagram whose session proves whose it is.
    pub(crate) fn saw(&mut self, mac: Mac, vlan: u16, agent: Option<Ipv4Addr>) {
        if vlan == 0 || self.appliance.is_down() {
            return;
        }
        let rack = self.appliance.rack();
        if agent.is_none_or(|address| rack.agent_spoke(mac, address)) {
            if let Some(index) = self.owner(mac) {
                self.invariants.ports.seen(self.now, index, vlan);
            }
            self.step(Input::Seen { mac, vlan });
        }
    }

    pub(crate) fn dhcp_down(&mut self, to: Option<Mac>, payload: &[u8]) {
        // Replies that are not for one interface reach all of them; the one
        // whose address stands in them is the one that listens.
        let chaddr = payload.get(28..34).and_then(|mac| mac.try_into().ok());
        if let Some(listens) = to.or(chaddr.map(Mac)) {
            self.transmit_down(listens, to, &Packet::Dhcp(payload.to_vec()));
        }
    }

    /// Sends a datagram to the appliance, with what the network makes of it.
    pub(crate) fn transmit_up(&mut self, index: usize, packet: &Packet) {
        if self.reaches(index) {
            let mac = self.machines[index].mac();
            self.race(packet);
            self.transmit(packet, |packet| Event::Up(mac, packet));
        }
    }

    /// Whether what a machine sends now gets to the appliance.
    pub(crate) fn reaches(&mut self, index: usize) -> bool {
        let machine = &self.machines[index];
        let mac = machine.mac();
        if machine.cut_until > self.now {
            self.faults.count(Fault::Partition);
            return false;
        }
        let comes = self.switch.comes_in(self.now, Port::Server(mac), mac);
        if !comes {
            self.faults.count(Fault::PortAstray);
        }
        comes && self.place_of(index).is_some()
    }

    /// Sends a datagram to whoever listens as `listens`, with what the
    /// network makes of it; `to` is who the frame is for, `None` is
    /// everybody.
    pub(crate) fn transmit_down(&mut self, listens: Mac, to: Option<Mac>, packet: &Packet) {
        let Some(index) = self.owner(listens) else {
            return;
        };
        if self.machines[index].cut_until > self.now {
            self.faults.count(Fault::Partition);
            return;
        }
        if !self.is_answered(index) {
            return;
        }
        if let Packet::Agent(..) = packet {
            self.hostile.hears_reply(packet);
        }
        let port = Port::Server(listens);
        let comes = match to {
            Some(mac) => self.switch.goes_out(self.now, mac, port),
            None => self.switch.network(port) == Network::Provisioning,
        };
        if comes {
            self.transmit(packet, |packet| Event::Down(index, packet));
        } else if self.switch.network(port) == Network::Provisioning {
            self.faults.count(Fault::MacAstray);
        } else {
            self.faults.count(Fault::PortAstray);
        }
    }

    fn transmit(&mut self, packet: &Packet, event: impl Fn(Packet) -> Event) {
        let random = &mut self.random;
        if self.faults.strikes(Fault::Loss, random, 10_000) {
            return;
        }
        let mut delay = 1 + random.below(3);
        if self.faults.strikes(Fault::Reorder, random, 5_000) {
            delay += random.between(5, 900);
        }
        let again = self.faults.strikes(Fault::Duplicate, random, 5_000);
        let mut packet = packet.clone();
        if self.faults.strikes(Fault::Corrupt, random, 2_000) {
            let bytes = match &mut packet {
                Packet::Dhcp(bytes) | Packet::Agent(_, bytes) => bytes,
            };
            let at = random.below(bytes.len() as u64) as usize;
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        if again {
            let later = delay + random.below(400);
            self.at(later, event(packet.clone()));
        }
        self.at(delay, event(packet));
    }

    /// Somebody else uses a machine's address, be it a loop in the network or
    /// a clone that boots as well. It goes on until then.
    pub(crate) fn impostor(&mut self, mac: Mac, until: u64) {
        if self.now >= until || !self.faults.may(Fault::MacAstray) {
            return;
        }
        self.switch.comes_in(self.now, Port::Unknown, mac);
        if self.random.below(16) == 0 {
            let xid = self.random.word() as u32;
            let request = Request::new(MessageType::Discover, xid, mac.0);
            let mut buffer = [0; 600];
            let len = request.emit(&mut buffer).unwrap_or(0);
            let packet = Packet::Dhcp(buffer[..len].to_vec());
            self.at(1, Event::Up(mac, packet));
        }
        let pause = self.random.between(20, 200);
        self.at(pause, Event::Impostor(mac, until));
    }
}
