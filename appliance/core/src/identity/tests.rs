use super::*;
use crate::interface::Instant;
use crate::interface::PowerState;
use crate::rack::TestRack;
use farrier_protocol::message::NodeId;
use std::boxed::Box;

#[test]
fn what_a_node_lacks_comes_from_the_one_that_joins_it() {
    for (own, expected) in [
        (([0; 16], 0), ([9; 16], 7)),
        (([1; 16], 5), ([1; 16], 5)),
        (([0; 16], 5), ([9; 16], 5)),
    ] {
        let mut rack = Box::new(TestRack::new());
        for (number, (uuid, serial)) in (1..).zip([own, ([9; 16], 7)]) {
            let mac = Mac([2, 0, 0, 0, 0, number]);
            let mut node = Node::discovered(NodeId([number; 16]), mac, Instant::START);
            (node.system_uuid, node.serial) = (uuid, serial);
            rack.nodes.push(node).unwrap();
        }
        assert_eq!(rack.merge(0, 1), 0);
        let node = &rack.nodes[0];
        assert_eq!((node.system_uuid, node.serial), expected);
        assert_eq!(node.macs.len(), 2);
        assert_eq!(rack.nodes.len(), 1);
    }
}

#[test]
fn the_enrolled_node_stays_when_two_become_one() {
    // The node that stays was enrolled by hand, or is the one whose agent
    // reports. Nothing joins a node in work or in use.
    for (enrolled, stays, nodes) in [
        (Some(ProvisionState::InspectWait), 0, 2),
        (Some(ProvisionState::Cleaning), 0, 2),
        (Some(ProvisionState::Manageable), 1, 1),
        (Some(ProvisionState::Active), 0, 2),
        (None, 0, 1),
    ] {
        let mut rack = Box::new(TestRack::new());
        for number in 0..2 {
            let mac = Mac([2, 0, 0, 0, 0, number]);
            let node = Node::discovered(NodeId([number; 16]), mac, Instant::START);
            rack.nodes.push(node).unwrap();
        }
        if let Some(state) = enrolled {
            rack.nodes[0].state = ProvisionState::Inspecting;
            rack.nodes[1].state = state;
            rack.nodes[1].flags = Flags::BY_HAND;
            rack.nodes[1].power = PowerState::Off;
        }
        assert_eq!(rack.merge(0, 1), stays);
        let there = rack.nodes.iter().filter(|node| !node.is_vacant());
        assert_eq!(there.count(), nodes);
        assert_eq!(rack.nodes[stays].power, PowerState::On);
    }
}

#[test]
fn a_uuid_is_the_same_in_both_byte_orders() {
    let one: [u8; 16] = core::array::from_fn(|at| at as u8);
    let turned = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    assert!(same_uuid(&one, &one) && same_uuid(&one, &turned) && same_uuid(&turned, &one));
    for at in 0..16 {
        for mut other in [one, turned] {
            other[at] ^= 0x80;
            assert!(!same_uuid(&one, &other), "{at}");
        }
    }
}

#[test]
fn what_tells_two_machines_from_one() {
    let (one, turned) = ([7; 16], [8; 16]);
    let cases = [
        ((one, 1), (turned, 1), true),
        ((one, 1), (one, 2), false),
        ((one, 1), ([0; 16], 2), true),
        ((one, 1), ([0; 16], 1), false),
        (([0; 16], 1), ([0; 16], 2), true),
        (([0; 16], 0), ([0; 16], 2), false),
        (([0; 16], 1), ([0; 16], 0), false),
        ((one, 0), ([0; 16], 0), false),
    ];
    for (one, other, two) in cases {
        let mut rack = Box::new(TestRack::new());
        for (number, (uuid, serial)) in (1..).zip([one, other]) {
            let mac = Mac([2, 0, 0, 0, 0, number]);
            let mut node = Node::discovered(NodeId([number; 16]), mac, Instant::START);
            (node.system_uuid, node.serial) = (uuid, serial);
            rack.nodes.push(node).unwrap();
        }
        assert_eq!(rack.are_two(0, 1), two, "{one:?} {other:?}");
        assert_eq!(rack.are_two(1, 0), two, "{one:?} {other:?}");
        assert!(!rack.are_two(0, 2), "nobody is in that place");
    }
}
