//! Machines that boot, clients that come and go, agents that work.

use farrier_core::interface::NetworkId;
use std::net::Ipv4Addr;

use farrier_core::{Endpoint, Input, Transport};
use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_protocol::handler::RunnerPoll;

use super::{Did, Life};
use crate::agent::{Agent, mac_of};
use crate::store::{Gone, Store};

/// Machines of the rack; some are more than it has room for.
pub(super) const MACHINES: u64 = 7;
/// Other DHCP clients.
const CLIENTS: u64 = 16;

impl<const WORD: usize, S: Store<WORD>> Life<WORD, S> {
    fn dhcp(
        &mut self,
        kind: MessageType,
        machine: u8,
        boots: bool,
        address: Option<Ipv4Addr>,
    ) -> Result<Option<(MessageType, Ipv4Addr)>, Gone> {
        let mac = mac_of(machine);
        let mut request = Request::new(kind, 7, mac.0);
        if boots {
            request.user_class = Some(b"iPXE");
            request.class_id = Some(b"PXEClient:Arch:00007:UNDI:003016");
        }
        match kind {
            MessageType::Release => request.ciaddr = address.unwrap_or(request.ciaddr),
            _ => request.requested_ip = address,
        }
        let mut bytes = [0; 600];
        let length = request.emit(&mut bytes).unwrap_or(0);
        let did = self.step(Input::Dhcp {
            network: NetworkId::PROVISIONING,
            from: mac,
            payload: &bytes[..length],
        })?;
        let reply = did.into_iter().find_map(|did| match did {
            Did::Dhcp(bytes) => {
                let reply = Reply::parse(&bytes).ok()?;
                Some((reply.message_type, reply.yiaddr))
            }
            _ => None,
        });
        if let Some((MessageType::Ack, address)) = reply {
            let until = self.now + 600_000;
            self.ledger.leases.retain(|_, (owner, _)| *owner != machine);
            self.ledger.leases.insert(address, (machine, until));
            self.ledger.ended.remove(&address);
        }
        Ok(reply)
    }

    fn lease(&mut self, machine: u8, boots: bool) -> Result<Option<Ipv4Addr>, Gone> {
        let Some((_, offered)) = self.dhcp(MessageType::Discover, machine, boots, None)? else {
            return Ok(None);
        };
        let acknowledged = self.dhcp(MessageType::Request, machine, boots, Some(offered))?;
        Ok(acknowledged
            .filter(|(kind, _)| *kind == MessageType::Ack)
            .map(|(_, address)| address))
    }

    /// A machine boots from the network.
    pub(super) fn boot(&mut self) -> Result<(), Gone> {
        let machine = 1 + self.random.below(MACHINES) as u8;
        let Some(address) = self.lease(machine, true)? else {
            return Ok(());
        };
        let did = self.step(Input::Open {
            network: NetworkId::PROVISIONING,
            transport: Transport::Http,
            peer: address,
            path: "boot.ipxe",
        })?;
        self.agents
            .retain(|agent| agent.endpoint.mac != mac_of(machine));
        self.ledger.used.retain(|(of, ..)| *of != machine);
        let script = did.into_iter().find_map(|did| match did {
            Did::Script(script) => Some(script),
            _ => None,
        });
        let salt = self.random.number() as u8;
        if let Some(script) = script
            && let Some(mut agent) = Agent::new(machine, address, &script, salt & !0x55)
        {
            agent.driver.handler_mut().fail = self.random.below(12) == 0;
            // The handshake, which uses the ticket up.
            let sessions = self.rack.counters().sessions;
            self.talk(&mut agent, 1)?;
            if self.rack.counters().sessions > sessions {
                self.ledger.used.push((machine, address, script));
            }
            self.agents.push(agent);
        }
        Ok(())
    }

    /// A client that boots nothing comes, stays or goes.
    pub(super) fn client(&mut self) -> Result<(), Gone> {
        let client = 100 + self.random.below(CLIENTS) as u8;
        let own = self
            .ledger
            .leases
            .iter()
            .find(|(_, (owner, _))| *owner == client)
            .map(|(address, _)| *address);
        match (own, self.random.below(10)) {
            (Some(address), 0) => {
                self.ledger.leases.remove(&address);
                self.dhcp(MessageType::Release, client, false, Some(address))?;
                self.ledger.ended.insert(address);
                Ok(())
            }
            (Some(address), 1) => {
                self.ledger.leases.remove(&address);
                self.dhcp(MessageType::Decline, client, false, Some(address))?;
                self.ledger.ended.insert(address);
                Ok(())
            }
            (Some(address), 2..=6) => self
                .dhcp(MessageType::Request, client, false, Some(address))
                .map(drop),
            _ => self.lease(client, false).map(drop),
        }
    }

    /// An agent talks for a while.
    pub(super) fn work(&mut self) -> Result<(), Gone> {
        let count = self.agents.len() as u64;
        if count == 0 {
            return self.boot();
        }
        let place = self.random.below(count) as usize;
        let mut agent = self.agents.swap_remove(place);
        let turns = 1 + self.random.below(5);
        let result = self.talk(&mut agent, turns);
        let hands = agent.driver.handler();
        if !hands.left && !hands.lost {
            self.agents.push(agent);
        }
        result
    }

    fn talk(&mut self, agent: &mut Agent, turns: u64) -> Result<(), Gone> {
        for _ in 0..turns {
            match agent.driver.poll(self.now) {
                RunnerPoll::Transmit(datagram) => {
                    let datagram = datagram.to_vec();
                    let from: Endpoint = agent.endpoint;
                    let did = self.step(Input::Agent {
                        from,
                        datagram: &datagram,
                    })?;
                    for did in did {
                        if let Did::Agent(reply) = did {
                            // Now and then the network loses one.
                            if self.random.below(12) > 0 {
                                agent.driver.process(self.now, &reply);
                                let machine = from.mac.0[5];
                                let sealed = matches!(
                                    farrier_protocol::wire::Datagram::parse(&reply),
                                    Ok(farrier_protocol::wire::Datagram::Reply { .. })
                                );
                                if sealed && self.waiting.contains(&machine) {
                                    self.waiting.retain(|of| *of != machine);
                                    self.tally.continued += 1;
                                }
                            }
                        }
                    }
                    self.now += 10;
                }
                RunnerPoll::Until(until) => self.now = self.now.max(until.min(self.now + 3000)),
                RunnerPoll::Over => return Ok(()),
            }
        }
        Ok(())
    }
}
