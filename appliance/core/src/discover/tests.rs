use super::*;
use crate::time::Instant;
use crate::walk::TestRack;
use std::boxed::Box;

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
