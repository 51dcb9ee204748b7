//! Systems that run: the ramdisk with its agent, and tenants. DHCP client,
//! conversation and engines are the shipping ones.

use core::net::Ipv4Addr;
use farrier_core::interface::NetworkId;

use farrier_asset_store::SlotPart;
use farrier_core::{Endpoint, Input, Transport};
use farrier_dhcp::client::{Action, Client, Event as Lease};
use farrier_protocol::agent_client::AgentClient;
use farrier_protocol::client::HandshakeEntropy;
use farrier_protocol::handler::{AgentRunner, RunnerPoll};
use farrier_protocol::message::{BootMode, FinalReport, Mac, Task};
use farrier_protocol::ticket::Ticket;
use farrier_testkit::agent::{Behaviour, Boot, LIES, conversation};
use farrier_testkit::outcome::Served;

use crate::agent_model::{Agent, AgentModel};
use crate::faults::Fault;
use crate::image;
use crate::imaging::Wanted;
use crate::machine::{Ramdisk, Stage};
use crate::network::Packet;
use crate::simulation::Simulation;
use crate::switch::Port;

/// UDP port of agents.
pub(crate) const PORT: u16 = 40_000;
/// A crashed agent's machine restarts after a pause, as its PID 1 does it.
const GIVE_UP: u64 = 30_000;
/// How often an agent looks that can't report what it has done, in milliseconds.
const BLOCKED: u64 = 250;

impl Simulation {
    /// The ramdisk's first process runs.
    pub(crate) fn ramdisk(&mut self, index: usize, ticket: Ticket) {
        let machine = &mut self.machines[index];
        machine.ip = Ipv4Addr::UNSPECIFIED;
        self.ramdisks += 1;
        let net = machine.client(b"farrier-agent");
        let (twice, behaviour) = (machine.twice, machine.behaviour);
        machine.stage = Stage::Ramdisk(Box::new(Ramdisk {
            net,
            ticket,
            driver: None,
            arriving: None,
            twice,
            behaviour,
        }));
        self.wake_in(index, 0);
    }

    /// The ramdisk's programs go on.
    pub(crate) fn run_ramdisk(&mut self, index: usize) {
        let stage = std::mem::replace(&mut self.machines[index].stage, Stage::Stuck);
        let Stage::Ramdisk(mut ramdisk) = stage else {
            self.machines[index].stage = stage;
            return;
        };
        let net_due = self.run_client(index, &mut ramdisk.net);
        if ramdisk.driver.is_none() && ramdisk.net.lease().is_some() {
            ramdisk.driver = Some(self.agent(index, &ramdisk));
        }
        let due = match &mut ramdisk.driver {
            None => Some(net_due),
            Some(_) => {
                let due = self.run_agent(index, &mut ramdisk);
                self.invariants.worked(self.now, &self.machines[index]);
                due.map(|due| due.min(net_due))
            }
        };
        match due {
            Some(due) => {
                let machine = &mut self.machines[index];
                // A step of the rack on the way may have switched it.
                if matches!(machine.stage, Stage::Stuck) {
                    machine.stage = Stage::Ramdisk(ramdisk);
                    let delay = due.saturating_sub(self.now).max(1);
                    self.wake_in(index, delay);
                }
            }
            None => self.agent_ended(index, &ramdisk),
        }
    }

    /// A tenant's system goes on: all that is seen of it is its address.
    pub(crate) fn run_tenant(&mut self, index: usize) {
        let stage = std::mem::replace(&mut self.machines[index].stage, Stage::Stuck);
        let Stage::Tenant(mut client) = stage else {
            self.machines[index].stage = stage;
            return;
        };
        let due = self.run_client(index, &mut client);
        self.machines[index].stage = Stage::Tenant(client);
        let delay = due.saturating_sub(self.now).max(1);
        self.wake_in(index, delay);
    }

    /// Lets a DHCP client act; when it wants to act again.
    fn run_client(&mut self, index: usize, client: &mut Client<'static>) -> u64 {
        let mut buffer = [0; 700];
        loop {
            let random = self.random.word() as u32;
            match client.poll(self.now, random, &mut buffer) {
                Ok(Action::Send { len, .. }) => {
                    self.transmit_up(index, &Packet::Dhcp(buffer[..len].to_vec()));
                }
                Ok(Action::Wait(until)) if until > self.now => return until,
                Ok(Action::Wait(_)) => {}
                Ok(Action::Expired) => self.machines[index].ip = Ipv4Addr::UNSPECIFIED,
                Err(_) => return u64::MAX,
            }
        }
    }

    fn agent(&mut self, index: usize, ramdisk: &Ramdisk) -> AgentRunner<Agent> {
        let random = self.random.bytes();
        let client = self.client(index, ramdisk.ticket);
        if self
            .faults
            .strikes(Fault::TicketThief, &mut self.random, 20_000)
        {
            self.thief(index, ramdisk.ticket);
        }
        let machine = &self.machines[index];
        let mut agent = Agent::new(AgentModel::new(
            machine.disks.clone(),
            machine.inspection.clone(),
            machine.rate,
            random,
        ));
        agent.once = true;
        agent.behaviour = ramdisk.behaviour;
        if self
            .faults
            .strikes(Fault::AgentHang, &mut self.random, 20_000)
        {
            agent.behaviour = Behaviour::Hangs;
        } else if self
            .faults
            .strikes(Fault::AgentLie, &mut self.random, 30_000)
        {
            agent.behaviour = self.random.pick(&LIES);
        }
        AgentRunner::new(client, agent)
    }

    fn client(&mut self, index: usize, ticket: Ticket) -> AgentClient {
        let machine = &self.machines[index];
        let (mac, uuid) = (machine.mac(), machine.uuid);
        let boot = Boot {
            mac,
            uuid,
            mode: BootMode::Bios,
            boot_secret: self.random.bytes(),
            entropy: HandshakeEntropy {
                static_secret: self.random.bytes(),
                ephemeral: self.random.bytes(),
            },
        };
        conversation(ticket, &boot)
    }

    /// Another machine has read the ticket and is as quick as its owner.
    pub(crate) fn thief(&mut self, index: usize, ticket: Ticket) {
        let mut client = self.client(index, ticket);
        if client.poll(self.now) == farrier_protocol::agent_client::Poll::Transmit {
            let thief = Endpoint {
                network: NetworkId::PROVISIONING,
                mac: Mac([0x66, 0, 0, 0, 0, 200]),
                ip: Ipv4Addr::new(172, 22, 0, 240),
                port: PORT,
            };
            let datagram = client.datagram().to_vec();
            let delay = self.random.below(8);
            self.switch.comes_in(self.now, Port::Unknown, thief.mac);
            let packet = Packet::Agent(thief, datagram);
            self.at(delay, crate::simulation::Event::Up(thief.mac, packet));
        }
    }

    /// Lets an agent act; when it wants to act again, or `None` when it is
    /// over.
    fn run_agent(&mut self, index: usize, ramdisk: &mut Ramdisk) -> Option<u64> {
        let now = self.now;
        let from = Endpoint {
            network: NetworkId::PROVISIONING,
            mac: self.machines[index].mac(),
            ip: self.machines[index].ip,
            port: PORT,
        };
        let driver = ramdisk.driver.as_mut()?;
        if ramdisk.arriving.as_ref().is_some_and(|(at, _)| *at <= now)
            && let Some((_, bytes)) = ramdisk.arriving.take()
        {
            driver.handler_mut().engine.fetched(now, bytes);
        }
        // The work begins in the next poll, once it is known what is allowed.
        if let Some(order) = driver.handler_mut().orders.pop() {
            self.trace(|| format!("machine {index}: order {:?}", order.task));
            self.ordered(index, &order);
        }
        loop {
            let due = match driver.poll(now) {
                RunnerPoll::Transmit(datagram) => {
                    let packet = Packet::Agent(from, datagram.to_vec());
                    self.transmit_up(index, &packet);
                    if ramdisk.twice {
                        self.faults.count(Fault::AgentTwice);
                        self.transmit_up(index, &packet);
                    }
                    continue;
                }
                RunnerPoll::Until(due) => due,
                RunnerPoll::Over => return None,
            };
            if let Some(wanted) = driver.handler().engine.wanted.clone()
                && ramdisk.arriving.is_none()
            {
                ramdisk.arriving = Some(self.fetch_range(index, &wanted));
            }
            let arrives = ramdisk.arriving.as_ref().map_or(u64::MAX, |(at, _)| *at);
            let works = match driver.handler().engine.due {
                // It goes on once the appliance has taken what it reported.
                at if at <= now => now + BLOCKED,
                at => at,
            };
            return Some(due.min(works).min(arrives));
        }
    }

    /// An agent has taken an order: its disks may be written from now on,
    /// and no other.
    fn ordered(&mut self, index: usize, order: &farrier_protocol::message::Order) {
        self.machines[index].revoke();
        let (rack, machine) = (self.appliance.rack(), &self.machines[index]);
        self.invariants.order_taken(self.now, rack, machine, order);
        let destroys = match &order.task {
            Task::Erase { disks, .. } => disks.as_slice(),
            Task::Deploy(deploy) => std::slice::from_ref(&deploy.disk),
            Task::Inspect | Task::Reread { .. } | Task::Reboot | Task::PowerOff => return,
        };
        for id in destroys {
            if let Some(disk) = self.machines[index].disk(id) {
                disk.permit(true);
            }
        }
        self.invariants
            .destroys(self.now, &self.appliance, &self.machines[index]);
    }

    fn fetch_range(&mut self, index: usize, wanted: &Wanted) -> (u64, Option<Vec<u8>>) {
        let path = wanted.path.trim_start_matches('/');
        let served = self.fetch(index, Transport::Http, path);
        let file = match &served {
            Some(Served::Asset(name)) => image::catalogue().asset(name),
            // Of what lies in slots only config drives are served.
            Some(Served::Slot(slot, SlotPart::ConfigDrive(place), len)) => {
                let (appliance, machine) = (&self.appliance, &self.machines[index]);
                self.invariants
                    .drive_served(self.now, *slot, appliance, machine);
                let drive = appliance
                    .drive(*slot, *place)
                    .filter(|drive| drive.is(*len));
                drive.map(|drive| &drive.sealed[..])
            }
            _ => None,
        };
        let start = usize::try_from(wanted.offset).unwrap_or(usize::MAX);
        let bytes = file.and_then(|file| {
            let end = start.checked_add(wanted.length as usize)?;
            file.get(start..end).map(<[u8]>::to_vec)
        });
        match bytes {
            Some(mut bytes) => {
                let spoilt = self.spare == 0 && self.spoil > 0;
                if self.spare > 0 {
                    self.spare -= 1;
                } else {
                    self.spoil = self.spoil.saturating_sub(1);
                }
                if spoilt
                    || self
                        .faults
                        .strikes(Fault::WrongBytes, &mut self.random, 20_000)
                {
                    let at = self.random.below(bytes.len() as u64) as usize;
                    bytes[at] ^= 1 << self.random.below(8);
                }
                let peer = self.machines[index].ip;
                let network = self.place_of(index).map(|(network, _)| network);
                self.step(Input::Sent {
                    network: network.unwrap_or(NetworkId::PROVISIONING),
                    peer,
                    path,
                    bytes: bytes.len() as u64,
                    complete: true,
                });
                let takes = 5 + bytes.len() as u64 / 1_000;
                (self.now + takes, Some(bytes))
            }
            // A server that does not answer costs the time-out.
            None => (self.now + 10_000, None),
        }
    }

    fn agent_ended(&mut self, index: usize, ramdisk: &Ramdisk) {
        let left = ramdisk.driver.as_ref().and_then(|d| d.handler().left);
        self.trace(|| format!("machine {index}: the agent ends: {left:?}"));
        self.machines[index].revoke();
        match left {
            Some(FinalReport::Reboot) => self.start(index),
            Some(FinalReport::PowerOff) => {
                let machine = &mut self.machines[index];
                machine.stage = Stage::Off;
                machine.wake += 1;
            }
            None => self.give_up(index),
        }
    }

    /// An agent that can't go on says so on its console and restarts its
    /// machine.
    pub(crate) fn give_up(&mut self, index: usize) {
        self.machines[index].revoke();
        self.machines[index].stage = Stage::Stuck;
        self.wake_in(index, GIVE_UP);
    }

    /// A datagram reaches a machine, whatever runs there by now.
    pub(crate) fn down(&mut self, index: usize, packet: &Packet) {
        let now = self.now;
        let machine = &mut self.machines[index];
        match (&mut machine.stage, packet) {
            (Stage::Dhcp(dhcp), Packet::Dhcp(payload)) => {
                let dhcp = dhcp.clone();
                self.boot_reply(index, dhcp, payload);
            }
            (Stage::Ramdisk(ramdisk), Packet::Dhcp(payload)) => {
                let event = ramdisk.net.process(now, payload);
                let ip = ramdisk.net.lease().map(|lease| lease.ip);
                machine.ip = ip.unwrap_or(Ipv4Addr::UNSPECIFIED);
                if event != Lease::Ignored {
                    self.run_ramdisk(index);
                }
            }
            (Stage::Tenant(client), Packet::Dhcp(payload)) => {
                let event = client.process(now, payload);
                machine.ip = client
                    .lease()
                    .map_or(Ipv4Addr::UNSPECIFIED, |lease| lease.ip);
                if event != Lease::Ignored {
                    self.run_tenant(index);
                }
            }
            (Stage::Ramdisk(ramdisk), Packet::Agent(to, datagram)) => {
                if to.ip == machine.ip
                    && let Some(driver) = &mut ramdisk.driver
                {
                    driver.process(now, datagram);
                    self.run_ramdisk(index);
                }
            }
            _ => {}
        }
    }
}
