use super::*;
use crate::output::Output;
use crate::time::Instant;
use crate::walk::TestRack;
use std::boxed::Box;
use std::vec::Vec;

#[test]
fn what_a_node_lacks_comes_from_the_one_that_joins_it() {
    for (own, expected) in [
        (([0; 16], 0), ([9; 16], 7)),
        (([1; 16], 5), ([1; 16], 5)),
        (([0; 16], 5), ([9; 16], 5)),
    ] {
        let mut rack = Box::new(TestRack::new());
        let mut out = Box::new(Outputs::new());
        for (number, (uuid, serial)) in (1..).zip([own, ([9; 16], 7)]) {
            let mac = Mac([2, 0, 0, 0, 0, number]);
            let mut node = Node::discovered(NodeId([number; 16]), mac, Instant::START);
            (node.system_uuid, node.serial) = (uuid, serial);
            rack.nodes.push(node).unwrap();
        }
        assert_eq!(rack.join(0, 1, &mut out), 0);
        let node = &rack.nodes[0];
        assert_eq!((node.system_uuid, node.serial), expected);
        assert_eq!(node.macs.len(), 2);
        assert_eq!(rack.nodes.len(), 1);
    }
}

#[test]
fn a_machine_restarts_where_another_node_took_its_agents_place() {
    // The node that stays was enrolled by hand, or is the one that speaks.
    for (enrolled, stays) in [(true, 1), (false, 0)] {
        let mut rack = Box::new(TestRack::new());
        let mut out = Box::new(Outputs::new());
        for number in 0..2 {
            let mac = Mac([2, 0, 0, 0, 0, number]);
            let node = Node::discovered(NodeId([number; 16]), mac, Instant::START);
            rack.nodes.push(node).unwrap();
        }
        if enrolled {
            rack.nodes[0].state = State::Inspecting;
            rack.nodes[1].state = State::Manageable;
            rack.nodes[1].flags = Flags::BY_HAND;
        }
        assert_eq!(rack.join(0, 1, &mut out), stays);
        let powers: Vec<_> = out
            .effects()
            .filter(|output| matches!(output, Output::Power { .. }))
            .collect();
        let cycle = Output::Power {
            node: NodeId([1; 16]),
            wanted: PowerWanted::Cycle,
        };
        assert_eq!(powers, [cycle][..usize::from(enrolled)]);
    }
}
