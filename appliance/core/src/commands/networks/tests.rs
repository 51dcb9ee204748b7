use super::*;
use crate::interface::config::Config;
use crate::node::{NAME_LEN, Node};
use crate::rack::TestRack;
use crate::strings::PROVISIONING_NAME;
use farrier_protocol::message::NodeId;
use std::boxed::Box;

const NOW: Instant = Instant::START;

fn network(third: u8) -> Network {
    Network {
        place: 0,
        prefix: 24,
        vlan: 100 + u16::from(third),
        pool_len: 2,
        pool_first: Ipv4Addr::new(10, 0, third, 10),
        ..Network::EMPTY
    }
}

fn mac(number: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, number])
}

fn rack() -> (Box<TestRack>, Box<Effects>) {
    let mut rack = Box::new(TestRack::new());
    rack.config = Config::default();
    (rack, Box::new(Effects::new()))
}

#[test]
fn names_of_networks() {
    let (mut rack, mut out) = rack();
    let long = "n".repeat(NAME_LEN + 1);
    for name in ["", "blue net", "bl\nue", &long, "ä"] {
        let set = rack.set_network(NOW, name, network(1), &mut out);
        assert_eq!(set, Err(CommandError::BadName), "{name:?}");
    }
    let set = rack.set_network(NOW, PROVISIONING_NAME, network(1), &mut out);
    assert_eq!(set, Err(CommandError::NetworkInUse));
    assert!(rack.ipam.networks().is_empty() && out.is_empty());
    let set = rack.set_network(NOW, &long[1..], network(1), &mut out);
    assert_eq!(set, Ok(()));
}

#[test]
fn networks_have_places_of_their_own() {
    let (mut rack, mut out) = rack();
    let names: std::vec::Vec<std::string::String> = (0..crate::ipam::MAX_NETWORKS)
        .map(|number| std::format!("a.b-c_{number}"))
        .collect();
    let names: std::vec::Vec<&str> = names.iter().map(|name| name.as_str()).collect();
    for (third, name) in names.iter().copied().enumerate() {
        let set = rack.set_network(NOW, name, network(third as u8), &mut out);
        assert_eq!(set, Ok(()));
    }
    for (place, name) in (1..).zip(names.iter().copied()) {
        assert_eq!(rack.texts.find_network(name), Some(place));
        assert_eq!(rack.texts.network(place), name);
    }
    let another = rack.set_network(NOW, "another", network(99), &mut out);
    assert_eq!(another, Err(CommandError::NetworksFull));

    // Only the one that is named goes, and its place is the next one's.
    for stranger in ["nobody", PROVISIONING_NAME] {
        let gone = rack.remove_network(NOW, stranger, &mut out);
        assert_eq!(gone, Err(CommandError::NoSuchNetwork), "{stranger}");
    }
    assert_eq!(rack.ipam.networks().len(), crate::ipam::MAX_NETWORKS);
    let third = names[2];
    assert_eq!(rack.remove_network(NOW, third, &mut out), Ok(()));
    assert_eq!(rack.texts.find_network(third), None);
    let another = rack.set_network(NOW, "another", network(99), &mut out);
    assert_eq!(another, Ok(()));
    assert_eq!(rack.texts.find_network("another"), Some(3));
}

#[test]
fn a_network_needs_room_for_its_name() {
    for (spare, expected) in [(0, Ok(())), (1, Err(CommandError::StringsFull))] {
        let (mut rack, mut out) = rack();
        let room = StringPool::cost("blue".len()) - spare;
        crate::strings::tests::fill(&mut rack.texts, 0, room);
        let set = rack.set_network(NOW, "blue", network(1), &mut out);
        assert_eq!(set, expected);
        assert_eq!(rack.ipam.networks().len(), usize::from(expected.is_ok()));
    }
}

#[test]
fn static_addresses_lie_beside_the_pool() {
    let (rack, _) = rack();
    let config = Config::default();
    let first = config.pool_first.to_bits();
    let behind = first + u32::from(config.pool_len);
    for (address, may) in [
        (first - 1, true),
        (first, false),
        (behind - 1, false),
        (behind, true),
        (config.address.to_bits(), false),
        (config.address.to_bits() & !0xff, false),
        (config.address.to_bits() | 0xff, false),
        (config.address.to_bits() + 0x100, false),
    ] {
        let address = Ipv4Addr::from_bits(address);
        assert_eq!(rack.may_be_static(address), may, "{address}");
    }
}

#[test]
fn a_tenant_who_leaves_gives_back_what_is_the_nodes() {
    let (mut rack, mut out) = rack();
    rack.set_network(NOW, "blue", network(1), &mut out).unwrap();
    for number in [1, 2] {
        let node = Node::discovered(NodeId([number; 16]), mac(number), NOW);
        rack.nodes.push(node).unwrap();
        out.clear();
        rack.end_tenant(NOW, usize::from(number) - 1, &mut out);
        assert!(out.is_empty(), "there is nothing to give back");
        rack.give_address(NOW, "blue", mac(number), None, &mut out)
            .unwrap();
    }
    // The other node's address rests already.
    rack.take_address(NOW, "blue", mac(2), &mut out).unwrap();
    out.clear();
    rack.end_tenant(NOW, 0, &mut out);
    let rests =
        out.records()
            .filter_map(|record| match postcard::from_bytes::<Record<'_>>(record) {
                Ok(Record::Reservation {
                    mac,
                    quarantined: true,
                    ..
                }) => Some(mac),
                _ => None,
            });
    assert_eq!(rests.collect::<std::vec::Vec<_>>(), [mac(1)]);
    assert_eq!(out.records().count(), 1);
}
