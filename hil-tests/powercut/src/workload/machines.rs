//! Machines that boot, clients that come and go, agents that work.

use std::net::Ipv4Addr;

use farrier_controller::NotDurable;
use farrier_core::interface::NetworkId;
use farrier_core::{Input, Transport};
use farrier_dhcp::wire::MessageType;
use farrier_protocol::handler::RunnerPoll;
use farrier_protocol::message::Reason;
use farrier_protocol::wire::Datagram;
use farrier_testkit::agent::{Agent, Behaviour};
use farrier_testkit::machine::{Lease, dhcp_message, mac_of};
use farrier_testkit::outcome::{Outcome, Served};

use super::Workload;
use crate::checker::{THIEF, agent};
use crate::store::ChipStore;

/// Machines of the rack; some are more than it has room for.
pub(super) const MACHINES: u64 = 7;
/// Other DHCP clients.
const CLIENTS: u64 = 16;

impl<const WORD: usize, S: ChipStore<WORD>> Workload<WORD, S> {
    fn dhcp(
        &mut self,
        kind: MessageType,
        machine: u8,
        boots: bool,
        address: Option<Ipv4Addr>,
    ) -> Result<Option<(MessageType, Ipv4Addr)>, NotDurable> {
        let from = mac_of(machine);
        let payload = dhcp_message(kind, from, |request| {
            if boots {
                request.user_class = Some(b"iPXE");
                request.class_id = Some(b"PXEClient:Arch:00007:UNDI:003016");
            }
            match kind {
                MessageType::Release => request.ciaddr = address.unwrap_or(request.ciaddr),
                _ => request.requested_ip = address,
            }
        });
        let outcomes = self.step(Input::Dhcp {
            network: NetworkId::PROVISIONING,
            from,
            payload: &payload,
        })?;
        let reply = outcomes.into_iter().find_map(|outcome| match outcome {
            Outcome::Dhcp(_, bytes) => {
                let lease = Lease::parse(&bytes)?;
                if let Some(file) = &lease.file
                    && let Some(path) = file.strip_prefix("http://172.22.0.1/")
                {
                    self.script = path.to_owned();
                }
                Some((lease.kind, lease.address, lease.seconds.unwrap_or(0)))
            }
            _ => None,
        });
        if let Some((MessageType::Ack, address, seconds)) = reply {
            self.promises.lease(self.now, machine, address, seconds);
        }
        Ok(reply.map(|(kind, address, _)| (kind, address)))
    }

    fn lease(&mut self, machine: u8, boots: bool) -> Result<Option<Ipv4Addr>, NotDurable> {
        let Some((_, offered)) = self.dhcp(MessageType::Discover, machine, boots, None)? else {
            return Ok(None);
        };
        let acknowledged = self.dhcp(MessageType::Request, machine, boots, Some(offered))?;
        Ok(acknowledged
            .filter(|(kind, _)| *kind == MessageType::Ack)
            .map(|(_, address)| address))
    }

    /// A machine boots from the network.
    pub(super) fn boot(&mut self) -> Result<(), NotDurable> {
        let machine = 1 + self.random.below(MACHINES) as u8;
        let Some(address) = self.lease(machine, true)? else {
            return Ok(());
        };
        let script = std::mem::take(&mut self.script);
        let outcomes = self.step(Input::Open {
            network: NetworkId::PROVISIONING,
            transport: Transport::Http,
            peer: address,
            path: &script,
        })?;
        self.agents
            .retain(|agent| agent.endpoint.mac != mac_of(machine));
        self.promises.used.retain(|(of, ..)| *of != machine);
        let script = outcomes.into_iter().find_map(|outcome| match outcome {
            Outcome::Serve(Served::Text(script)) => Some(script),
            _ => None,
        });
        let salt = self.random.word() as u8 & !THIEF;
        if let Some(script) = script
            && let Some(mut agent) = agent(machine, address, &script, salt)
        {
            if self.random.below(12) == 0 {
                let scripted = agent.driver.handler_mut();
                scripted.behaviour = Behaviour::Fails(Reason::BadManifest);
                scripted.once = true;
            }
            // The handshake, which uses the ticket up.
            let sessions = self.controller.rack().counters().sessions;
            self.poll(&mut agent, 1)?;
            if self.controller.rack().counters().sessions > sessions {
                self.promises.used.push((machine, address, script));
            }
            self.agents.push(agent);
        }
        Ok(())
    }

    /// A client that boots nothing comes, stays or goes.
    pub(super) fn client(&mut self) -> Result<(), NotDurable> {
        let client = 100 + self.random.below(CLIENTS) as u8;
        let own = self
            .promises
            .leases
            .iter()
            .find(|(_, (owner, _))| *owner == client)
            .map(|(address, _)| *address);
        match (own, self.random.below(10)) {
            (Some(address), 0) => {
                self.promises.leases.remove(&address);
                self.dhcp(MessageType::Release, client, false, Some(address))?;
                self.promises.ended.insert(address);
                Ok(())
            }
            (Some(address), 1) => {
                self.promises.leases.remove(&address);
                self.dhcp(MessageType::Decline, client, false, Some(address))?;
                self.promises.ended.insert(address);
                Ok(())
            }
            (Some(address), 2..=6) => self
                .dhcp(MessageType::Request, client, false, Some(address))
                .map(drop),
            _ => self.lease(client, false).map(drop),
        }
    }

    /// An agent goes on for a while.
    pub(super) fn work(&mut self) -> Result<(), NotDurable> {
        let count = self.agents.len() as u64;
        if count == 0 {
            return self.boot();
        }
        let place = self.random.below(count) as usize;
        let mut agent = self.agents.swap_remove(place);
        let turns = 1 + self.random.below(5);
        let result = self.poll(&mut agent, turns);
        let scripted = agent.driver.handler();
        agent.over |= scripted.left.is_some() || scripted.lost.is_some();
        if !agent.over {
            self.agents.push(agent);
        }
        result
    }

    fn poll(&mut self, agent: &mut Agent, turns: u64) -> Result<(), NotDurable> {
        for _ in 0..turns {
            match agent.driver.poll(self.now) {
                RunnerPoll::Transmit(datagram) => {
                    let datagram = datagram.to_vec();
                    let outcomes = self.step(Input::Agent {
                        from: agent.endpoint,
                        datagram: &datagram,
                    })?;
                    for outcome in outcomes {
                        // Now and then the network loses one.
                        if let Outcome::Agent(_, reply) = outcome
                            && self.random.below(12) > 0
                        {
                            agent.driver.process(self.now, &reply);
                            self.answered(agent.endpoint.mac.0[5], &reply);
                        }
                    }
                    self.now += 10;
                }
                RunnerPoll::Until(until) => self.now = self.now.max(until.min(self.now + 3000)),
                RunnerPoll::Over => {
                    agent.over = true;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// A machine's agent was answered: where it was waiting since a restart,
    /// its session has gone on.
    fn answered(&mut self, machine: u8, reply: &[u8]) {
        let sealed = matches!(Datagram::parse(reply), Ok(Datagram::Reply { .. }));
        if sealed && self.waiting.contains(&machine) {
            self.waiting.retain(|of| *of != machine);
            self.tally.continued += 1;
        }
    }
}
