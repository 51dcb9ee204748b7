//! Attacks from the provisioning network: what a machine that hears everything and
//! says what it likes can't do to others.

use crate::common::*;
use farrier_core::interface::{InterfacePatch, NetworkId, NewNode};
use farrier_core::{Command, Input};
use farrier_dhcp::wire::MessageType;
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::NodeId;

fn by_hand_active() -> Lab {
    let mut lab = Lab::new();
    let node = NodeId([5; 16]);
    lab.operator(Command::CreateNode(NewNode::new(node)))
        .unwrap();
    let mac = mac_of(1);
    lab.operator(Command::CreatePort {
        node,
        mac,
        switch: "",
        port: "",
        patch: InterfacePatch::default(),
        group: None,
    })
    .unwrap();
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_uuid([1; 16]);
    let mut agent = lab.start_agent(1, scripted);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 10);
    if lab.state(0) != ProvisionState::Available {
        let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_uuid([1; 16]);
        let mut agent = lab.start_agent(1, scripted);
        lab.run(&mut agent, 10);
        assert_eq!(
            lab.state(0),
            ProvisionState::Available,
            "{}",
            lab.node(0).last_error
        );
        lab.set_image(0, "debian12").unwrap();
        lab.verb(0, Verb::Active).unwrap();
        lab.run(&mut agent, 20);
    } else {
        lab.set_image(0, "debian12").unwrap();
        lab.verb(0, Verb::Active).unwrap();
        lab.run(&mut agent, 20);
    }
    assert_eq!(
        lab.state(0),
        ProvisionState::Active,
        "{}",
        lab.node(0).last_error
    );
    lab.pass(200);
    lab
}

#[test]
fn an_inventory_joins_no_node_in_use() {
    let mut lab = by_hand_active();
    // The thief says no UUID in the handshake, and the tenant's in the inventory.
    let (address, script) = lab.boot(2);
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_uuid([0; 16]);
    let mut thief = Agent::new(2, address, &script, 0, scripted).unwrap();
    thief.driver.handler_mut().engine.inspection.system_uuid = [1; 16];
    lab.run(&mut thief, 2);
    assert!(thief.driver.handler().welcome.is_some());
    lab.verb(1, Verb::Manage).unwrap();
    lab.verb(1, Verb::Inspect).unwrap();
    lab.run(&mut thief, 10);
    assert_eq!(lab.state(0), ProvisionState::Active);
    eprintln!(
        "macs of node 0: {:?}; error {}",
        lab.node(0).macs,
        lab.node(0).last_error
    );
    // Next: the tenant goes, and the thief's machine answers as this node.
    lab.verb(0, Verb::Deleted).unwrap();
    let (address, script) = lab.boot(2);
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_uuid([1; 16]);
    let agent = Agent::new(2, address, &script, 7, scripted);
    if let Some(mut agent) = agent {
        lab.run(&mut agent, 10);
        if agent.over {
            let (address, script) = lab.boot(2);
            let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_uuid([1; 16]);
            agent = Agent::new(2, address, &script, 8, scripted).unwrap();
            lab.run(&mut agent, 10);
        }
    }
    assert_eq!(
        lab.node(0).macs.len(),
        1,
        "a thief's interface joined a node in use"
    );
}

#[test]
fn a_machine_that_says_nothing_is_not_the_node() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    assert_ne!(lab.node(0).system_uuid, [0; 16]);
    lab.verb(0, Verb::Manage).unwrap();
    lab.pass(200);
    lab.verb(0, Verb::Provide).unwrap();
    let (address, script) = lab.boot(1);
    let mut scripted = ScriptedAgent::with_disks(&[4 * GIB]).with_uuid([0; 16]);
    scripted.engine.inspection.serial = "".try_into().unwrap();
    let mut other = Agent::new(1, address, &script, 9, scripted).unwrap();
    lab.run(&mut other, 10);
    let orders = &other.driver.handler().orders;
    let erases = orders
        .iter()
        .any(|o| matches!(o.task, farrier_protocol::message::Task::Erase { .. }));
    assert!(!erases, "another machine's disk is erased as this node's");
}

/// Three machines that an operator has enrolled and that have no lease.
fn enroll_three(lab: &mut Lab) {
    for n in 0..3u8 {
        let node = NodeId([40 + n; 16]);
        lab.operator(Command::CreateNode(NewNode::new(node)))
            .unwrap();
        lab.operator(Command::CreatePort {
            node,
            mac: mac_of(40 + n),
            switch: "",
            port: "",
            patch: InterfacePatch::default(),
            group: None,
        })
        .unwrap();
    }
}

#[test]
fn strangers_with_many_identities_leave_an_address_for_known_machines() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    enroll_three(&mut lab);
    let (len, _) = lab.rack().lease_usage(lab.clock());
    // One stranger, one interface, many identities: 5 offers, let them lapse, 5 more.
    let ids: Vec<Vec<u8>> = (0..len as u8).map(|n| vec![0, 99, n]).collect();
    for five in ids.chunks(5) {
        for id in five {
            let id: &'static [u8] = Box::leak(id.clone().into_boxed_slice());
            lab.dhcp_message(MessageType::Discover, 200, |r| r.client_id = Some(id));
        }
        lab.pass(31);
    }
    for id in &ids {
        let id: &'static [u8] = Box::leak(id.clone().into_boxed_slice());
        let offer = lab.dhcp_message(MessageType::Discover, 200, |r| r.client_id = Some(id));
        let Some(offer) = offer else { continue };
        lab.dhcp_message(MessageType::Request, 200, |r| {
            r.client_id = Some(id);
            r.requested_ip = Some(offer.address);
        });
    }
    for n in 0..3u8 {
        let lease = lab.dhcp(40 + n, ipxe);
        assert!(lease.is_some(), "known machine {n} gets no address");
    }
}

/// Sends until a part of a statement was sent; gives that datagram.
fn until_part(lab: &mut Lab, agent: &mut Agent) -> Vec<u8> {
    use farrier_protocol::handler::RunnerPoll;
    for _ in 0..1000 {
        match agent.driver.poll(lab.now) {
            RunnerPoll::Transmit(datagram) => {
                let (from, datagram) = (agent.endpoint, datagram.to_vec());
                for outcome in lab.step(Input::Agent {
                    from,
                    datagram: &datagram,
                }) {
                    if let Outcome::Agent(_, reply) = outcome {
                        agent.driver.process(lab.now, &reply);
                    }
                }
                if datagram.len() > 800 {
                    return datagram;
                }
            }
            RunnerPoll::Until(_) => {
                lab.now += 100;
                lab.step(Input::Tick);
            }
            RunnerPoll::Over => panic!("over"),
        }
    }
    panic!("no part")
}

#[test]
fn a_place_for_statements_is_not_held_for_ever() {
    let mut lab = Lab::new();
    let mut held = Vec::new();
    for n in [1u8, 2] {
        let mut scripted = ScriptedAgent::with_disks(&[GIB]).with_uuid([n; 16]);
        let nics: Vec<_> = (0..30u8)
            .map(|k| nic(100 + n * 40 + k, "driver-of-a-long-name", 1000))
            .collect();
        scripted.engine.inspection.nics = nics.iter().take(16).cloned().collect();
        let skipped = (0..60).map(|k| farrier_protocol::message::SkippedDevice {
            id: format!("a-device-with-a-long-name-{k}")
                .as_str()
                .try_into()
                .unwrap(),
            name: format!("sdx{k}").as_str().try_into().unwrap(),
            size: 1,
            reason: farrier_protocol::message::SkipReason::Virtual,
        });
        scripted.engine.inspection.skipped = skipped.take(30).collect();
        let mut agent = lab.start_agent(n, scripted);
        lab.verb(usize::from(n) - 1, Verb::Manage).unwrap();
        lab.verb(usize::from(n) - 1, Verb::Inspect).unwrap();
        let datagram = until_part(&mut lab, &mut agent);
        held.push((agent.endpoint, datagram));
    }
    let mut honest = lab.start_agent(3, ScriptedAgent::with_disks(&[8 * GIB]).with_uuid([3; 16]));
    lab.verb(2, Verb::Manage).unwrap();
    lab.verb(2, Verb::Inspect).unwrap();
    let began = lab.now;
    while lab.now < began + 20 * 60_000 && lab.state(2) == ProvisionState::Inspecting {
        // Whoever has heard the last datagram of two dead agents sends it again.
        for (from, datagram) in &held {
            lab.step(Input::Agent {
                from: *from,
                datagram,
            });
        }
        lab.run(&mut honest, 4);
    }
    assert_eq!(lab.state(2), ProvisionState::Manageable);
    assert!(lab.now - began < 60_000);
}

#[test]
fn statements_that_were_given_up_hold_nobody_up() {
    let mut lab = Lab::new();
    for n in [1u8, 2] {
        let mut scripted = ScriptedAgent::with_disks(&[GIB]).with_uuid([n; 16]);
        let skipped = (0..60).map(|k| farrier_protocol::message::SkippedDevice {
            id: format!("a-device-with-a-long-name-{k}")
                .as_str()
                .try_into()
                .unwrap(),
            name: format!("sdx{k}").as_str().try_into().unwrap(),
            size: 1,
            reason: farrier_protocol::message::SkipReason::Virtual,
        });
        scripted.engine.inspection.skipped = skipped.take(30).collect();
        let mut agent = lab.start_agent(n, scripted);
        lab.verb(usize::from(n) - 1, Verb::Manage).unwrap();
        lab.verb(usize::from(n) - 1, Verb::Inspect).unwrap();
        until_part(&mut lab, &mut agent);
    }
    let mut honest = lab.start_agent(3, ScriptedAgent::with_disks(&[8 * GIB]).with_uuid([3; 16]));
    lab.verb(2, Verb::Manage).unwrap();
    lab.verb(2, Verb::Inspect).unwrap();
    lab.run(&mut honest, 20);
    assert_eq!(lab.state(2), ProvisionState::Manageable);
}

#[test]
fn live_strangers_do_not_keep_operators_from_enrolling() {
    let mut lab = Lab::new();
    let mut agents = Vec::new();
    for n in 0..8u8 {
        agents.push(lab.start_agent(100 + n, ScriptedAgent::with_disks(&[])));
    }
    for _ in 0..40 {
        for agent in &mut agents {
            lab.run(agent, 1);
        }
    }
    let made = lab.operator(Command::CreateNode(NewNode::new(NodeId([5; 16]))));
    assert_eq!(made, Ok(()), "strangers whose agents live fill the table");
}

#[test]
fn a_disk_that_has_gone_is_not_proven() {
    let (mut lab, _) = available_with(&[8 * GIB, 9 * GIB]);
    lab.verb(0, Verb::Manage).unwrap();
    lab.pass(200);
    lab.verb(0, Verb::Provide).unwrap();
    for salt in 1..4 {
        let (address, script) = lab.boot(1);
        // The second disk does not answer any more.
        let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_uuid([1; 16]);
        let mut agent = Agent::new(1, address, &script, salt, scripted).unwrap();
        lab.run(&mut agent, 10);
        lab.now += 10;
    }
    assert_ne!(
        lab.state(0),
        ProvisionState::Available,
        "a known disk is missing, unproven"
    );
}

#[test]
fn a_strangers_handshakes_have_a_budget() {
    let mut lab = Lab::new();
    lab.discover(9);
    let (records, sessions) = (lab.records().len(), lab.rack().counters().sessions);
    for salt in 0..200u8 {
        let (address, script) = lab.boot(9);
        let scripted = ScriptedAgent::with_disks(&[]).with_uuid([0; 16]);
        let mut agent = Agent::new(9, address, &script, salt, scripted).unwrap();
        lab.shake_hands(&mut agent);
        lab.now += 10;
    }
    let written = lab.records().len() - records;
    let sessions = lab.rack().counters().sessions - sessions;
    assert!(
        sessions < 20,
        "one stranger has {sessions} handshakes in two seconds"
    );
    assert!(written < 100, "and costs {written} records");
}

#[test]
fn an_inventory_swallows_no_node_of_another_agent() {
    let mut lab = Lab::new();
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_uuid([1; 16]);
    let mut victim = lab.start_agent(1, scripted);
    lab.run(&mut victim, 3);
    let (address, script) = lab.boot(2);
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_uuid([0; 16]);
    let mut thief = Agent::new(2, address, &script, 0, scripted).unwrap();
    thief.driver.handler_mut().engine.inspection.system_uuid = [1; 16];
    lab.run(&mut thief, 2);
    lab.run(&mut victim, 3);
    lab.verb(1, Verb::Manage).unwrap();
    lab.verb(1, Verb::Inspect).unwrap();
    lab.run(&mut thief, 10);
    let owner = lab.rack().find_by_mac(mac_of(1));
    eprintln!(
        "victim's interface is node {owner:?}'s; macs {:?}",
        lab.node(1).macs
    );
    assert_eq!(owner, Some(0), "another machine's own agent had claimed it");
}

#[test]
fn a_serial_number_alone_joins_no_node_in_use() {
    let mut lab = by_hand_active();
    let (address, script) = lab.boot(2);
    // It says no UUID at all, and the tenant's serial number.
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_uuid([0; 16]);
    let mut thief = Agent::new(2, address, &script, 0, scripted).unwrap();
    lab.run(&mut thief, 2);
    lab.verb(1, Verb::Manage).unwrap();
    lab.verb(1, Verb::Inspect).unwrap();
    lab.run(&mut thief, 10);
    assert_eq!(
        lab.node(0).macs.len(),
        1,
        "a thief's interface joined a node in use"
    );
}

#[test]
fn a_tenants_address_is_a_machines() {
    use farrier_core::ipam::Network;
    let mut lab = active_lab();
    let network = Network {
        place: 0,
        prefix: 24,
        vlan: 7,
        pool_len: 8,
        pool_first: "10.9.0.10".parse().unwrap(),
        ..Network::EMPTY
    };
    lab.operator(Command::PutNetwork {
        name: "blue",
        network,
    })
    .unwrap();
    lab.operator(Command::ReserveAddress {
        network: "blue",
        mac: mac_of(1),
        address: None,
    })
    .unwrap();
    let address = "10.9.0.10".parse().unwrap();
    assert!(lab.rack().ipam().owner(1, address).is_some());
    assert!(
        lab.rack().is_machine(address),
        "a tenant's address is nobody's of the rack"
    );
}

/// Forged interfaces, one identity each: two rounds, then all at once.
#[test]
fn two_rounds_of_forged_interfaces_leave_the_reserve() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    enroll_three(&mut lab);
    for first in [100u8, 150] {
        for n in 0..16 {
            lab.dhcp_message(MessageType::Discover, first + n, |_| {});
        }
        lab.pass(31);
    }
    for mac in (100..116).chain(150..166) {
        lab.dhcp(mac, |_| {});
    }
    for n in 0..3u8 {
        assert!(
            lab.dhcp(40 + n, ipxe).is_some(),
            "known machine {n} gets no address"
        );
    }
}

/// A stranger's own session, with which it says what it likes.
struct Raw {
    session: farrier_protocol::client::Session,
    reply: farrier_protocol::message::HandshakeReply,
    from: farrier_core::Endpoint,
    key: farrier_protocol::signing::SecretKey,
}

fn stranger(lab: &mut Lab, n: u8) -> Raw {
    use farrier_protocol::client::{Handshake, HandshakeEntropy};
    use farrier_protocol::message::{AgentHandshake, BootMode};
    use farrier_protocol::signing::SecretKey;
    let (address, script) = lab.boot(n);
    let ticket = farrier_protocol::ticket::Ticket::from_command_line(&script)
        .unwrap()
        .unwrap();
    let key = SecretKey::from_bytes(&[n; 32]);
    let entropy = HandshakeEntropy {
        static_secret: [n; 32],
        ephemeral: [n ^ 99; 32],
    };
    let hello = AgentHandshake {
        version_min: 1,
        version_max: 1,
        boot_key: key.public().0,
        boot_mac: mac_of(n),
        system_uuid: [n; 16],
        boot_mode: BootMode::Bios,
    };
    let (appliance, _) = *farrier_testkit::agent::appliance_keys();
    let handshake = Handshake::new(&appliance, &ticket, &hello, &entropy).unwrap();
    let from = farrier_core::Endpoint {
        network: NetworkId::PROVISIONING,
        mac: mac_of(n),
        ip: address,
        port: 8471,
    };
    let datagram = handshake.datagram().to_vec();
    let answer = lab.step(Input::Agent {
        from,
        datagram: &datagram,
    });
    let response = answer
        .into_iter()
        .find_map(|o| match o {
            Outcome::Agent(_, b) => Some(b),
            _ => None,
        })
        .unwrap();
    let (session, reply) = handshake.process(&response).unwrap();
    Raw {
        session,
        reply,
        from,
        key,
    }
}

impl Raw {
    fn say(
        &mut self,
        lab: &mut Lab,
        request: &farrier_protocol::message::Request<'_>,
    ) -> Vec<Outcome> {
        let mut room = [0; 1500];
        let len = self.session.seal_request(request, &mut room).unwrap();
        lab.step(Input::Agent {
            from: self.from,
            datagram: &room[..len],
        })
    }
}

#[test]
fn statements_without_an_order_have_a_budget() {
    use farrier_protocol::message::{Report, Request, Statement};
    let mut lab = Lab::new();
    let mut raw = stranger(&mut lab, 9);
    let mut kept = 0;
    for counter in 1..=500 {
        let statement = Statement {
            node: raw.reply.node,
            boot: raw.reply.boot,
            counter,
            order: 0,
            report: Report::Done,
        };
        let mut room = [0; 1024];
        let signed = farrier_protocol::signing::sign_statement(&raw.key, &statement, &mut room)
            .unwrap()
            .to_vec();
        let part = farrier_protocol::parts::cut(counter, &signed, 0).unwrap();
        let outcomes = raw.say(&mut lab, &Request::Part(part));
        kept += outcomes
            .iter()
            .filter(|o| matches!(o, Outcome::Keep(..)))
            .count();
        lab.now += 1;
    }
    assert!(kept < 20);
}

#[test]
fn two_strangers_hold_no_place_for_statements() {
    use farrier_protocol::message::{Part, Request};
    let mut lab = Lab::new();
    let mut honest = lab.start_agent(3, ScriptedAgent::with_disks(&[8 * GIB]).with_uuid([3; 16]));
    let mut two = [stranger(&mut lab, 9), stranger(&mut lab, 10)];
    let bytes = [0; farrier_protocol::PART_LEN];
    let part = Part {
        statement: 1,
        index: 0,
        count: 3,
        bytes: &bytes,
    };
    for raw in &mut two {
        raw.say(&mut lab, &Request::Part(part));
    }
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    let began = lab.now;
    while lab.now < began + 20 * 60_000 && lab.state(0) == ProvisionState::Inspecting {
        for raw in &mut two {
            raw.say(&mut lab, &Request::Part(part));
        }
        lab.run(&mut honest, 4);
    }
    assert_eq!(lab.state(0), ProvisionState::Manageable);
}

#[test]
fn renewals_of_a_reserved_address_are_not_written() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    lab.operator(Command::ReserveAddress {
        network: "provisioning",
        mac: mac_of(1),
        address: Some("172.22.0.5".parse().unwrap()),
    })
    .unwrap();
    lab.dhcp(1, |_| {});
    let before = lab.records().len();
    for _ in 0..100 {
        lab.now += 10;
        lab.dhcp_message(MessageType::Request, 1, |r| {
            r.ciaddr = "172.22.0.5".parse().unwrap()
        });
    }
    assert!(lab.records().len() - before <= 1);
}
