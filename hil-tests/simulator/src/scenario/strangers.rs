//! Stories of the network: addresses, tickets, strangers.

use farrier_core::Input;
use farrier_core::interface::NetworkId;
use farrier_dhcp::wire::{MessageType, Request};
use farrier_protocol::message::Mac;

use super::*;
use crate::boot::appliance_address;
use crate::faults::{Fault, Faults};
use crate::switch::{Network, Port};
use crate::world::Event;

/// A stranger on the network asks for an address and takes what it is
/// offered.
fn stranger(world: &mut World, number: u16) {
    let [high, low] = number.to_be_bytes();
    let mac = [0x66, 0, 0, 1, high, low];
    let first = farrier_core::Config::default().pool_first.to_bits();
    // It does not wait for the offer: it asks for every address in turn.
    let wish = std::net::Ipv4Addr::from_bits(first + u32::from(number) % 96);
    for kind in [MessageType::Discover, MessageType::Request] {
        let mut request = Request::new(kind, 77, mac);
        request.requested_ip = Some(wish);
        if kind == MessageType::Request {
            request.server_id = Some(appliance_address());
        }
        let mut buffer = [0; 400];
        if let Ok(len) = request.emit(&mut buffer) {
            world.step(Input::Dhcp {
                network: NetworkId::PROVISIONING,
                from: Mac(mac),
                payload: &buffer[..len],
            });
        }
    }
}

pub(super) fn addresses() -> LeaseView {
    // The first packets are lost: the machine comes anyway.
    let mut world = quiet(1, 10);
    world.machines[0].cut_until = world.now + 10 * 60_000;
    until(&mut world, 0, State::Enroll)?;

    // More clients than addresses, again and again, while servers renew.
    let mut world = quiet(24, 10);
    pass(&mut world, 30 * 60_000)?;
    must(
        world.appliance.rack.nodes().len() == 24,
        "not every machine was discovered",
    )?;
    for round in 0..20 {
        for number in 0..200 {
            stranger(&mut world, round * 7 + number);
        }
        pass(&mut world, 90_000)?;
    }
    must(
        world.appliance.rack.counters().pool_exhausted > 0,
        "the pool should have been exhausted",
    )?;
    // Servers that have an address keep it; the others come when leases end.
    pass(&mut world, HOUR)?;
    let lost = world
        .machines
        .iter()
        .filter(|machine| !matches!(machine.stage, Stage::Ramdisk(_)))
        .count();
    must(lost == 0, "a machine did not come back")
}

pub(super) fn ticket_twice() -> LeaseView {
    let mut world = manageable(11)?;
    // Until the agent stands.
    pass(&mut world, 5 * 60_000)?;
    let Stage::Ramdisk(ramdisk) = &world.machines[0].stage else {
        return Err("no ramdisk runs".into());
    };
    let ticket = ramdisk.ticket;
    let ramdisks = world.ramdisks;
    ask(&mut world, 0, Verb::Provide)?;
    for _ in 0..20 {
        world.thief(0, ticket);
        pass(&mut world, 900)?;
    }
    until(&mut world, 0, State::Available)?;
    must(
        world.ramdisks == ramdisks,
        "the thief cost the agent its session",
    )?;
    must(
        world.appliance.rack.counters().ticket_reused > 0,
        "the second use of the ticket was not counted",
    )?;
    must(
        error_of(&world).contains("second machine"),
        "the operator is not told of the thief",
    )?;

    // Datagrams are lost, repeated, late and broken all the while.
    for seed in 20..26 {
        let mut world = manageable(seed)?;
        for fault in [
            Fault::Loss,
            Fault::Duplicate,
            Fault::Reorder,
            Fault::Corrupt,
            Fault::AgentTwice,
        ] {
            let kinds = world.options.kinds.with(fault);
            world.options.kinds = kinds;
            world.faults = Faults::new(kinds);
        }
        world.machines[0].twice = true;
        ask(&mut world, 0, Verb::Provide)?;
        until(&mut world, 0, State::Available)?;
        deploy(&mut world)?;
    }
    Ok(())
}

pub(super) fn wrong_server() -> LeaseView {
    // The watch reads every reply of a whole life.
    let mut world = active(12)?;
    // A stranger answers first, in one boot of a few: the machine comes all
    // the same.
    world.faults = Faults::new(Kinds::NONE.with(Fault::RogueDhcp));
    for _ in 0..20 {
        ask(&mut world, 0, Verb::Deleted)?;
        until(&mut world, 0, State::Available)?;
        deploy(&mut world)?;
        pass(&mut world, 5 * 60_000)?;
    }
    Ok(())
}

pub(super) fn port_moved() -> LeaseView {
    port_not_moved()?;
    address_at_two_ports()?;
    another_port()?;
    another_interface()?;
    adopted_by_its_label()
}

/// A server's switch ports were left in another network.
fn port_not_moved() -> LeaseView {
    let mut world = manageable(13)?;
    world.switch(0, Act::Off, false);
    for mac in world.machines[0].macs.clone() {
        world.switch.put(Port::Server(mac), Network::Other);
    }
    ask(&mut world, 0, Verb::Provide)?;
    until(&mut world, 0, State::CleanFailed)?;
    must(
        error_of(&world).contains("missing: dhcp discover"),
        "the failure does not say that no DHCP packet came",
    )?;
    world.switch.put_right();
    ask(&mut world, 0, Verb::Manage)?;
    ask(&mut world, 0, Verb::Provide)?;
    until(&mut world, 0, State::Available)
}

/// A clone of the server sends under its address, at another port: answers
/// go astray, and boots begin that nobody sees the end of.
fn address_at_two_ports() -> LeaseView {
    for seed in 14..20 {
        let mut world = manageable(seed)?;
        world.faults = Faults::new(Kinds::NONE.with(Fault::MacAstray));
        let mac = world.machines[0].mac();
        let end = world.now + HOUR;
        world.at(0, Event::Impostor(mac, end));
        ask(&mut world, 0, Verb::Provide)?;
        until(&mut world, 0, State::Available)?;
        deploy(&mut world)?;
        pass(&mut world, HOUR)?;
        let astray = world.faults.counts()[Fault::MacAstray as usize];
        must(astray > 0, "no answer went astray")?;
        must(
            world.appliance.rack.nodes().len() == 1,
            "the clone is a node of its own",
        )?;
    }
    Ok(())
}

/// A rack with one machine, which has two ports and whose ROM tells no UUID.
fn two_ports() -> Result<World, String> {
    let has_two = |seed: &u64| quiet(1, *seed).machines[0].macs.len() == 2;
    let seed = (1..100).find(has_two).ok_or("no machine has two ports")?;
    let mut world = quiet(1, seed);
    world.machines[0].tells_uuid = false;
    Ok(world)
}

/// A server that runs a system was adopted by the address on its label, and
/// boots by its other port: nobody may clean it under that name.
fn adopted_by_its_label() -> LeaseView {
    let mut world = two_ports()?;
    world.machines[0].was_in_use();
    world.enrol(0);
    is(&world, 0, State::Active)?;
    world.machines[0].nic_wish = Some(1);
    until(&mut world, 1, State::Enroll)?;
    ask(&mut world, 1, Verb::Manage)?;
    ask(&mut world, 1, Verb::Provide)?;
    until(&mut world, 1, State::CleanFailed)?;
    is(&world, 0, State::Active)?;
    must(
        world.machines[0].disks[0].holds_tenant(),
        "an adopted machine was erased",
    )
}

/// A server comes by another of its own ports.
fn another_port() -> LeaseView {
    let mut world = two_ports()?;
    world.machines[0].nic_wish = Some(0);
    until(&mut world, 0, State::Enroll)?;
    ask(&mut world, 0, Verb::Manage)?;
    // It comes by its other port before its inventory is known.
    world.machines[0].nic_wish = Some(1);
    restart(&mut world);
    until(&mut world, 1, State::Enroll)?;
    ask(&mut world, 1, Verb::Manage)?;
    world.machines[0].nic_wish = Some(0);
    restart(&mut world);
    ask(&mut world, 0, Verb::Provide)?;
    pass(&mut world, HOUR)?;
    // It is one machine: it may not be given away under both names.
    restart(&mut world);
    world.machines[0].nic_wish = Some(1);
    let second = world.verb(1, Verb::Provide);
    pass(&mut world, HOUR)?;
    let free = |slot| world.state(slot) == Some(State::Available);
    must(
        !(second && free(0) && free(1)),
        "one machine is available twice",
    )
}

/// A tenant's server comes by an interface that nobody knew of, and its ROM
/// tells no UUID: it costs a boot of the ramdisk, and no more.
fn another_interface() -> LeaseView {
    let mut world = active(15)?;
    let machine = &mut world.machines[0];
    machine.tells_uuid = false;
    machine.macs.push(Mac([0x52, 0x54, 0, 9, 0, 1]));
    machine.nic_wish = Some(machine.macs.len() - 1);
    let ramdisks = world.ramdisks;
    restart(&mut world);
    pass(&mut world, 20 * 60_000)?;
    is(&world, 0, State::Active)?;
    tenant_runs(&world)?;
    must(
        world.ramdisks <= ramdisks + 1,
        "the ramdisk came more than once",
    )?;
    let known = world.appliance.rack.nodes().iter();
    must(
        known.filter(|node| !node.is_vacant()).count() == 1,
        "one machine is two nodes",
    )
}
