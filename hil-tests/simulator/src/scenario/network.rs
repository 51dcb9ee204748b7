//! Scenarios of the network: addresses, tickets, unknown devices.

use farrier_core::Input;
use farrier_core::interface::NetworkId;
use farrier_dhcp::wire::{MessageType, Request};
use farrier_protocol::message::Mac;

use super::*;
use crate::boot::appliance_address;
use crate::faults::{Fault, Faults};
use crate::simulation::Event;
use crate::switch::{Network, Port};

/// An unknown client on the network asks for an address and takes what it is
/// offered.
fn unknown_client(sim: &mut Simulation, number: u16) {
    let [high, low] = number.to_be_bytes();
    let mac = [0x66, 0, 0, 1, high, low];
    let first = farrier_core::Config::default().pool_first.to_bits();
    // It does not wait for the offer: it asks for every address in turn.
    let wanted = std::net::Ipv4Addr::from_bits(first + u32::from(number) % 96);
    for kind in [MessageType::Discover, MessageType::Request] {
        let mut request = Request::new(kind, 77, mac);
        request.requested_ip = Some(wanted);
        if kind == MessageType::Request {
            request.server_id = Some(appliance_address());
        }
        let mut buffer = [0; 400];
        if let Ok(len) = request.emit(&mut buffer) {
            sim.step(Input::Dhcp {
                network: NetworkId::PROVISIONING,
                from: Mac(mac),
                payload: &buffer[..len],
            });
        }
    }
}

pub(super) fn addresses() -> Verdict {
    // The first packets are lost: the machine comes anyway.
    let mut sim = quiet(1, 10);
    sim.machines[0].cut_until = sim.now + 10 * 60_000;
    until(&mut sim, 0, ProvisionState::Enroll)?;

    // More clients than addresses, again and again, while servers renew.
    let mut sim = quiet(24, 10);
    pass(&mut sim, 30 * 60_000)?;
    must(
        sim.appliance.rack().nodes().len() == 24,
        "not every machine was discovered",
    )?;
    for round in 0..20 {
        for number in 0..200 {
            unknown_client(&mut sim, round * 7 + number);
        }
        pass(&mut sim, 90_000)?;
    }
    must(
        sim.appliance.rack().counters().leases_withheld > 0,
        "strangers should have been refused",
    )?;
    // Servers that have an address keep it; the others come when leases end.
    pass(&mut sim, HOUR)?;
    let lost = sim
        .machines
        .iter()
        .filter(|machine| !matches!(machine.stage, Stage::Ramdisk(_)))
        .count();
    must(lost == 0, "a machine did not come back")
}

pub(super) fn ticket_twice() -> Verdict {
    let mut sim = manageable(11)?;
    // Until the agent stands.
    pass(&mut sim, 5 * 60_000)?;
    let Stage::Ramdisk(ramdisk) = &sim.machines[0].stage else {
        return Err("no ramdisk runs".into());
    };
    let ticket = ramdisk.ticket;
    ask(&mut sim, 0, Verb::Provide)?;
    pass(&mut sim, 5_000)?;
    sim.thief(0, ticket);
    pass(&mut sim, 5_000)?;
    // Whoever came first: nobody with this ticket gets an order any more.
    until(&mut sim, 0, ProvisionState::CleanFailed)?;
    must(
        sim.appliance.rack().counters().ticket_reused > 0,
        "the second use of the ticket was not counted",
    )?;
    must(
        error_of(&sim).contains("second machine"),
        "the node's last error does not name the second machine",
    )?;
    // The machine's next boot has a ticket of its own.
    ask(&mut sim, 0, Verb::Manage)?;
    ask(&mut sim, 0, Verb::Provide)?;
    until(&mut sim, 0, ProvisionState::Available)?;

    // Datagrams are lost, repeated, late and broken all the while.
    for seed in 20..26 {
        let mut sim = manageable(seed)?;
        for fault in [
            Fault::Loss,
            Fault::Duplicate,
            Fault::Reorder,
            Fault::Corrupt,
            Fault::AgentTwice,
        ] {
            let kinds = sim.options.kinds.with(fault);
            sim.options.kinds = kinds;
            sim.faults = Faults::new(kinds);
        }
        sim.machines[0].twice = true;
        ask(&mut sim, 0, Verb::Provide)?;
        until(&mut sim, 0, ProvisionState::Available)?;
        deploy(&mut sim)?;
    }
    Ok(())
}

pub(super) fn wrong_server() -> Verdict {
    // The invariants cover every reply of a whole life cycle.
    let mut sim = active(12)?;
    // A rogue server answers first, in one boot of a few: the machine boots all
    // the same.
    sim.faults = Faults::new(Kinds::NONE.with(Fault::RogueDhcp));
    for _ in 0..20 {
        ask(&mut sim, 0, Verb::Deleted)?;
        until(&mut sim, 0, ProvisionState::Available)?;
        deploy(&mut sim)?;
        pass(&mut sim, 5 * 60_000)?;
    }
    Ok(())
}

pub(super) fn port_moved() -> Verdict {
    port_not_moved()?;
    address_at_two_ports()?;
    another_port()?;
    another_interface()?;
    adopted_by_its_label()
}

/// A server's switch ports were left in another network.
fn port_not_moved() -> Verdict {
    let mut sim = manageable(13)?;
    sim.switch(0, Act::Off, false);
    for mac in sim.machines[0].macs.clone() {
        sim.switch.put(Port::Server(mac), Network::Other);
    }
    ask(&mut sim, 0, Verb::Provide)?;
    until(&mut sim, 0, ProvisionState::CleanFailed)?;
    must(
        error_of(&sim).contains("missing: dhcp discover"),
        "the failure does not say that no DHCP packet came",
    )?;
    sim.switch.put_right();
    ask(&mut sim, 0, Verb::Manage)?;
    ask(&mut sim, 0, Verb::Provide)?;
    until(&mut sim, 0, ProvisionState::Available)
}

/// A clone of the server sends under its address, at another port: answers
/// go astray, and boots begin that do not end.
fn address_at_two_ports() -> Verdict {
    for seed in 14..20 {
        let mut sim = manageable(seed)?;
        sim.faults = Faults::new(Kinds::NONE.with(Fault::MacAstray));
        let mac = sim.machines[0].mac();
        let end = sim.now + HOUR;
        sim.at(0, Event::Impostor(mac, end));
        ask(&mut sim, 0, Verb::Provide)?;
        until(&mut sim, 0, ProvisionState::Available)?;
        deploy(&mut sim)?;
        pass(&mut sim, HOUR)?;
        let astray = sim.faults.counts()[Fault::MacAstray as usize];
        must(astray > 0, "no answer went astray")?;
        must(
            sim.appliance.rack().nodes().len() == 1,
            "the clone is a node of its own",
        )?;
    }
    Ok(())
}

/// A rack with one machine, which has two ports and whose ROM tells no UUID.
fn two_ports() -> Result<Simulation, String> {
    let has_two = |seed: &u64| quiet(1, *seed).machines[0].macs.len() == 2;
    let seed = (1..100).find(has_two).ok_or("no machine has two ports")?;
    let mut sim = quiet(1, seed);
    sim.machines[0].tells_uuid = false;
    Ok(sim)
}

/// A server that runs a system was adopted by the address on its label, and
/// boots by its other port: it may not be cleaned under that name.
fn adopted_by_its_label() -> Verdict {
    let mut sim = two_ports()?;
    sim.machines[0].was_in_use();
    sim.enrol(0);
    is(&sim, 0, ProvisionState::Active)?;
    sim.machines[0].fixed_nic = Some(1);
    until(&mut sim, 1, ProvisionState::Enroll)?;
    ask(&mut sim, 1, Verb::Manage)?;
    ask(&mut sim, 1, Verb::Provide)?;
    until(&mut sim, 1, ProvisionState::CleanFailed)?;
    is(&sim, 0, ProvisionState::Active)?;
    must(
        sim.machines[0].disks[0].holds_tenant(),
        "an adopted machine was erased",
    )
}

/// A server comes by another of its own ports.
fn another_port() -> Verdict {
    let mut sim = two_ports()?;
    sim.machines[0].fixed_nic = Some(0);
    until(&mut sim, 0, ProvisionState::Enroll)?;
    ask(&mut sim, 0, Verb::Manage)?;
    // It comes by its other port before its inventory is known.
    sim.machines[0].fixed_nic = Some(1);
    restart(&mut sim);
    until(&mut sim, 1, ProvisionState::Enroll)?;
    ask(&mut sim, 1, Verb::Manage)?;
    sim.machines[0].fixed_nic = Some(0);
    restart(&mut sim);
    ask(&mut sim, 0, Verb::Provide)?;
    pass(&mut sim, HOUR)?;
    // It is one machine: it may not be given away under both names.
    restart(&mut sim);
    sim.machines[0].fixed_nic = Some(1);
    let second = sim.verb(1, Verb::Provide);
    pass(&mut sim, HOUR)?;
    let free = |slot| sim.state(slot) == Some(ProvisionState::Available);
    must(
        !(second && free(0) && free(1)),
        "one machine is available twice",
    )
}

/// A tenant's server boots by an unknown interface, and its ROM tells no UUID: it costs a boot of the ramdisk, and no more.
fn another_interface() -> Verdict {
    let mut sim = active(15)?;
    let machine = &mut sim.machines[0];
    machine.tells_uuid = false;
    machine.macs.push(Mac([0x52, 0x54, 0, 9, 0, 1]));
    machine.fixed_nic = Some(machine.macs.len() - 1);
    let ramdisks = sim.ramdisks;
    restart(&mut sim);
    pass(&mut sim, 20 * 60_000)?;
    is(&sim, 0, ProvisionState::Active)?;
    tenant_runs(&sim)?;
    must(
        sim.ramdisks <= ramdisks + 1,
        "the ramdisk came more than once",
    )?;
    let known = sim.appliance.rack().nodes().iter();
    must(
        known.filter(|node| !node.is_vacant()).count() == 1,
        "one machine is two nodes",
    )
}
