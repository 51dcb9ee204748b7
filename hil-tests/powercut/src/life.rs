//! A life of a rack: machines that boot, clients that come and go, agents
//! that work, operators who wish, restarts; every step's flash operations
//! are handed to the judge before the life goes on.

use std::net::Ipv4Addr;

use farrier_core::book::Network;
use farrier_core::flags::Mark;
use farrier_core::flavor::Need;
use farrier_core::input::{Allocate, StoredConfigDrive};
use farrier_core::node::{InstanceInfo, Node};
use farrier_core::texts::Pairs;
use farrier_core::{Door, Endpoint, Input, Instant, Operator, Output, Outputs, Serve};
use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_lifecycle::{State, Verb};
use farrier_protocol::handler::Turn;
use farrier_protocol::message::{ConfigDriveFormat, Mac, NodeId};

use crate::agent::{Agent, mac_of};
use crate::judge::{Judge, Ledger, Present, Tally, TestRack, present, start, teach};
use crate::random::Random;
use crate::store::{Chip, Flash, Gone, Store};

/// Machines of the rack; some are more than it has room for.
const MACHINES: u64 = 7;
/// Other DHCP clients.
const CLIENTS: u64 = 16;
/// Sectors of the chip: small, so that sweeps go around it many times.
const SECTORS: usize = 32;

/// What came out of a step.
enum Did {
    Dhcp(Vec<u8>),
    Agent(Vec<u8>),
    Script(String),
    Answer(bool),
}

/// A rack, its store, and everybody around it.
pub struct Life<const WORD: usize, S> {
    rack: Box<TestRack>,
    out: Box<Outputs>,
    store: S,
    chip: Chip<WORD>,
    random: Random,
    judging: Random,
    now: u64,
    present: Present,
    ledger: Ledger,
    agents: Vec<Agent>,
    /// Agents with a session whose appliance restarted since they were
    /// answered last.
    waiting: Vec<u8>,
    tally: Tally,
    most: u64,
}

impl<const WORD: usize, S> std::fmt::Debug for Life<WORD, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Life").finish_non_exhaustive()
    }
}

/// Lives a life of so many cuts at the most, and so many steps. Without cuts
/// (0) all of the steps.
pub fn live<const WORD: usize, S: Store<WORD>>(seed: u64, most: u64, steps: u64) -> Tally {
    let chip = Chip::new(Flash::<WORD>::new(SECTORS));
    let mut random = Random::new(seed);
    let first = Instant::START;
    let Some((rack, store, present)) = start::<WORD, S>(chip.clone(), first, &mut random) else {
        return Tally {
            lost: 1,
            findings: vec!["a new chip does not start".to_owned()],
            ..Tally::default()
        };
    };
    let mut life = Life {
        rack,
        out: Box::new(Outputs::new()),
        store,
        chip,
        judging: Random::new(!seed),
        random,
        now: 1000,
        present,
        ledger: Ledger::default(),
        agents: Vec::new(),
        waiting: Vec::new(),
        tally: Tally::default(),
        most,
    };
    teach(
        &mut life.rack,
        Instant::from_millis(life.now),
        &mut life.random,
        &mut life.out,
    );
    let mut done = 0;
    while done < steps && (most == 0 || life.tally.cut_points < most) {
        if life.act().is_err() {
            life.tally.lost += 1;
            life.tally
                .findings
                .push("the store gave up without a cut".to_owned());
            break;
        }
        done += 1;
    }
    life.tally.operations = life.chip.with(|flash| flash.operations());
    life.tally.wear = life.chip.with(|flash| flash.wear());
    let broken = life.chip.with(|flash| flash.broken_rules());
    if broken > 0 {
        life.tally.lost += u64::from(broken);
        life.tally
            .findings
            .push(format!("{broken} rules of the flash were broken"));
    }
    life.tally
}

impl<const WORD: usize, S: Store<WORD>> Life<WORD, S> {
    /// One step of the brain, as the glue does it.
    fn step(&mut self, input: Input<'_>) -> Result<Vec<Did>, Gone> {
        let now = Instant::from_millis(self.now);
        self.rack.step(now, input, &mut self.random, &mut self.out);
        let records: Vec<Vec<u8>> = self.out.records().map(<[u8]>::to_vec).collect();
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        self.tally.records += records.len() as u64;
        let after = present(&self.rack, now);
        let before = core::mem::replace(&mut self.present, after);
        for node in self.rack.nodes() {
            self.tally.states |= 1 << (node.state as u8);
        }
        let flash = self.chip.with(|flash| {
            let copy = flash.clone();
            flash.start_log();
            copy
        });
        self.store.append(&records)?;
        let operations = self.chip.with(Flash::take_log);
        Judge {
            before: if S::EFFECTS_WAIT {
                &before
            } else {
                &self.present
            },
            after: &self.present,
            ledger: &self.ledger,
            now: self.now,
            most: self.most,
        }
        .cut_all::<WORD, S>(flash, &operations, &mut self.judging, &mut self.tally);
        // Leases end with the time alone.
        if records.is_empty() && !before.same_facts(&self.present) {
            self.tally.lost += 1;
            self.tally.findings.push(format!(
                "a change without a record at {}: {} instead of {}",
                self.now,
                self.present.beside(&before),
                before.beside(&self.present)
            ));
        }

        let did = self
            .out
            .effects()
            .filter_map(|output| match output {
                Output::Dhcp { payload, .. } => Some(Did::Dhcp(payload.to_vec())),
                Output::Agent { datagram, .. } => Some(Did::Agent(datagram.to_vec())),
                Output::Serve(Serve::Text(text)) => {
                    Some(Did::Script(String::from_utf8_lossy(text).into_owned()))
                }
                Output::Answer(answer) => Some(Did::Answer(answer.is_ok())),
                _ => None,
            })
            .collect();

        let flash = self.chip.with(|flash| {
            let copy = flash.clone();
            flash.start_log();
            copy
        });
        let rack = &self.rack;
        self.store
            .tend(|from, room| rack.snapshot(now, from, room))?;
        let operations = self.chip.with(Flash::take_log);
        Judge {
            before: &self.present,
            after: &self.present,
            ledger: &self.ledger,
            now: self.now,
            most: self.most,
        }
        .cut_all::<WORD, S>(flash, &operations, &mut self.judging, &mut self.tally);
        Ok(did)
    }

    fn act(&mut self) -> Result<(), Gone> {
        self.now += 1 + self.random.below(300);
        match self.random.below(100) {
            0..=9 => self.boot(),
            10..=29 => self.client(),
            30..=54 => self.wish(),
            55..=92 => self.work(),
            93..=96 => {
                self.now += self.random.below(4) * 20_000;
                self.step(Input::Tick).map(drop)
            }
            97 if self.random.below(3) == 0 => self.restart(),
            _ => self.step(Input::Tick).map(drop),
        }
    }

    /// The appliance restarts: what is at work goes on.
    fn restart(&mut self) -> Result<(), Gone> {
        self.tally.restarts += 1;
        self.now += 3000;
        let now = Instant::from_millis(self.now);
        let started = start::<WORD, S>(self.chip.clone(), now, &mut self.random);
        let (rack, store, found) = started.ok_or(Gone)?;
        if !found.agrees(&self.present, &self.ledger.ended) {
            self.tally.lost += 1;
            self.tally.findings.push(format!(
                "a restart at {} changed {} into {}",
                self.now,
                self.present.beside(&found),
                found.beside(&self.present)
            ));
        }
        self.rack = rack;
        self.store = store;
        teach(&mut self.rack, now, &mut self.random, &mut self.out);
        self.present = present(&self.rack, now);
        let talking = self.agents.iter().filter(|agent| {
            let hands = agent.driver.handler();
            !hands.left && !hands.lost
        });
        self.waiting = talking.map(|agent| agent.endpoint.mac.0[5]).collect();
        Ok(())
    }

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
    fn boot(&mut self) -> Result<(), Gone> {
        let machine = 1 + self.random.below(MACHINES) as u8;
        let Some(address) = self.lease(machine, true)? else {
            return Ok(());
        };
        let did = self.step(Input::Open {
            door: Door::Http,
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
    fn client(&mut self) -> Result<(), Gone> {
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
    fn work(&mut self) -> Result<(), Gone> {
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
                Turn::Transmit(datagram) => {
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
                Turn::Until(until) => self.now = self.now.max(until.min(self.now + 3000)),
                Turn::Over => return Ok(()),
            }
        }
        Ok(())
    }

    fn operator(&mut self, operator: Operator<'_>) -> Result<bool, Gone> {
        let did = self.step(Input::Operator(operator))?;
        Ok(did.iter().any(|did| matches!(did, Did::Answer(true))))
    }

    /// An operator wishes something.
    fn wish(&mut self) -> Result<(), Gone> {
        let nodes: Vec<(NodeId, State)> = self
            .rack
            .nodes()
            .iter()
            .filter(|node: &&Node| !node.is_vacant())
            .map(|node| (node.id, node.state))
            .collect();
        let dice = self.random.below(26);
        let Some((node, state)) = self.random.pick(&nodes).copied() else {
            return self.enrol();
        };
        let number = self.random.below(6);
        let word = format!("W{number}");
        let text = "why not ".repeat(1 + number as usize);
        let words = ["", "a", "node-7", word.as_str()];
        let name = self.random.pick(&words).copied().unwrap_or("");
        let on = self.random.below(2) == 0;
        let done = match dice {
            0 => self.operator(Operator::Rename { node, name }),
            1 => self.operator(Operator::DriverInfo {
                node,
                key: &word,
                value: if on { &text[..7] } else { "" },
            }),
            2 => self.operator(Operator::Trait {
                node,
                name: &word,
                on,
            }),
            3 => self.operator(Operator::Class { node, name: &word }),
            4 | 5 => {
                let marks = [Mark::Maintenance, Mark::Protected, Mark::Retired];
                let mark = self.random.pick(&marks).copied().unwrap_or(marks[0]);
                self.operator(Operator::Mark {
                    node,
                    mark,
                    on: on && number == 0,
                    reason: &text,
                })
            }
            6 => self.operator(Operator::Flavor {
                name: &word,
                need: Need {
                    cpus: 1,
                    ..Need::default()
                },
                class: "",
                lists: Pairs::default(),
            }),
            7 => self.operator(Operator::FlavorGone { name: &word }),
            8 => {
                let id = NodeId([0x40 | number as u8; 16]);
                self.operator(Operator::Allocate(Allocate {
                    id,
                    name: &word,
                    class: &word,
                    node: None,
                    lists: Pairs::default(),
                }))
            }
            9 => self.operator(Operator::Deallocate {
                allocation: NodeId([0x40 | number as u8; 16]),
            }),
            10 if number == 0 => self.operator(Operator::Delete { node }),
            10 => return self.enrol(),
            11 if on => self.operator(Operator::Network {
                name: "tenants",
                network: Network {
                    place: 0,
                    prefix: 24,
                    vlan: 100 + number as u16,
                    pool_len: 20,
                    pool_first: Ipv4Addr::new(10, 1, number as u8, 10),
                },
            }),
            12 if on => self.operator(Operator::NetworkGone { name: "tenants" }),
            18 => {
                let macs: Vec<Mac> = self
                    .rack
                    .nodes()
                    .iter()
                    .filter_map(|node| node.macs.first().copied())
                    .collect();
                let mac = self.random.pick(&macs).copied().unwrap_or(Mac([2; 6]));
                if number < 4 {
                    self.operator(Operator::Address {
                        network: "tenants",
                        mac,
                        address: None,
                    })
                } else {
                    let network = "tenants";
                    self.operator(Operator::AddressGone { network, mac })
                }
            }
            11 => self.operator(Operator::Port {
                node,
                mac: Mac([2, 0, 0, 0, 9, number as u8]),
            }),
            12 => self.operator(Operator::PortGone {
                mac: Mac([2, 0, 0, 0, 9, number as u8]),
            }),
            _ => return self.verb(node, state, number),
        };
        done.map(drop)
    }

    fn enrol(&mut self) -> Result<(), Gone> {
        let mut id = [0; 16];
        farrier_core::rack::Entropy::fill(&mut self.random, &mut id);
        let serial = format!("M{}", 1 + self.random.below(MACHINES));
        self.operator(Operator::Create {
            node: NodeId(id),
            name: "",
            serial: &serial,
        })
        .map(drop)
    }

    fn verb(&mut self, node: NodeId, state: State, number: u64) -> Result<(), Gone> {
        let verbs: &[Verb] = match state {
            State::Enroll => &[Verb::Manage],
            State::Manageable => &[Verb::Inspect, Verb::Provide, Verb::Provide],
            State::Available => &[Verb::Active, Verb::Active, Verb::Active, Verb::Manage],
            State::Active => &[Verb::Deleted, Verb::Rebuild],
            State::DeployFailed => &[Verb::Deleted, Verb::Active],
            State::CleanFailed | State::InspectFailed => &[Verb::Manage],
            _ => &[Verb::Abort, Verb::Deleted, Verb::Manage],
        };
        let verb = self.random.pick(verbs).copied().unwrap_or(Verb::Manage);
        if verb == Verb::Active {
            let info = InstanceInfo {
                image_source: "debian12".try_into().unwrap_or_default(),
                display_name: "tenant".try_into().unwrap_or_default(),
                ..InstanceInfo::default()
            };
            let mut info = info;
            // An allocation's instance stays its own.
            let known = self.rack.nodes().iter().find(|known| known.id == node);
            info.instance_uuid = known.and_then(|known| known.instance.instance_uuid);
            self.operator(Operator::InstanceInfo { node, info })?;
        }
        let config_drive = (verb == Verb::Active && number < 3).then(|| StoredConfigDrive {
            length: 1000 + number as u32,
            key: [number as u8; 32],
            format: ConfigDriveFormat::Json,
        });
        self.operator(Operator::Verb {
            node,
            verb,
            config_drive,
        })
        .map(drop)
    }
}
