use super::*;
use crate::node::{Architecture, HardwareFeatures, Node};
use crate::rack::DiskSlot;
use crate::rack::TestRack;
use core::net::Ipv4Addr;
use farrier_protocol::message::{Mac, NodeId};
use std::boxed::Box;

const NOW: Instant = Instant::from_millis(50_000);

fn id(number: usize) -> NodeId {
    NodeId([number as u8 + 1; 16])
}

fn rack(states: &[ProvisionState]) -> Box<TestRack> {
    let mut rack = Box::new(TestRack::new());
    rack.config = crate::Config::default();
    rack.leases.configure(rack.config.pool_first, 8, [1, 2]);
    for (number, state) in states.iter().enumerate() {
        let mut node = Node::enrolled(id(number), Instant::START);
        node.state = *state;
        rack.nodes.push(node).unwrap();
    }
    rack
}

#[test]
fn what_nobody_can_go_on_with_ends_at_once() {
    for (state, seconds) in [
        (ProvisionState::Verifying, Some(0)),
        // Its ports leave the tenant's network, which a restart takes up again.
        (ProvisionState::Deleting, Some(300)),
        (ProvisionState::Adopting, Some(0)),
        (ProvisionState::Rescuing, Some(0)),
        // Without a session no agent can prove that it is at work.
        (ProvisionState::Cleaning, Some(0)),
        (ProvisionState::Deploying, Some(0)),
        (ProvisionState::Manageable, None),
        (ProvisionState::Active, None),
    ] {
        let mut rack = rack(&[state]);
        rack.restored(NOW, 2, 0);
        let left = rack.nodes[0].deadline.map(|at| at.since(NOW) / 1000);
        assert_eq!(left, seconds, "{state}");
    }
    let mut waits = rack(&[ProvisionState::CleanWait]);
    waits.restored(NOW, 2, 0);
    let limit = ProvisionState::CleanWait.deadline().unwrap().millis;
    assert_eq!(waits.nodes[0].deadline, Some(NOW.plus_millis(limit)));
}

#[test]
fn a_doubt_drops_disks_behind_a_hole_and_no_others() {
    let mut rack = rack(&[ProvisionState::Manageable, ProvisionState::Manageable]);
    for (node, place) in [(0, 0), (0, 1), (1, 0), (1, 2), (1, 3)] {
        rack.disks.push(DiskSlot::new(node, place, "D", 1)).unwrap();
    }
    rack.restored(NOW, 2, 1);
    let left: std::vec::Vec<_> = rack.disks.iter().map(|d| (d.node, d.place)).collect();
    assert_eq!(left, [(0, 0), (0, 1), (1, 0)]);
}

#[test]
fn architectures_have_numbers() {
    for (number, architecture) in [
        (0, Architecture::Unknown),
        (1, Architecture::X86_64),
        (2, Architecture::Aarch64),
        (3, Architecture::Other),
        (200, Architecture::Other),
    ] {
        let mut rack = rack(&[ProvisionState::Manageable]);
        let record = Record::Hardware {
            node: id(0),
            cpus: 1,
            memory_mib: 2,
            local_gib: 3,
            architecture: number,
            link: 4,
            parts: 5,
            statement_len: 6,
            unproven: 0,
        };
        rack.apply(NOW, &record);
        assert_eq!(rack.nodes[0].hardware.architecture, architecture);
        assert_eq!(
            rack.nodes[0].hardware.parts,
            HardwareFeatures::from_bits_retain(5)
        );
    }
}

#[test]
fn a_nodes_address_is_the_one_that_it_has_for_longest() {
    let macs = [1, 2].map(|last| Mac([2, 0, 0, 0, 0, last]));
    for (seconds, expected) in [([60, 90], 1), ([90, 60], 0), ([60, 60], 0)] {
        let mut rack = rack(&[ProvisionState::Manageable]);
        rack.nodes[0].macs.extend(macs);
        let first = rack.config.pool_first.to_bits();
        let address = |place: usize| Ipv4Addr::from_bits(first + place as u32);
        for (place, (mac, seconds)) in macs.into_iter().zip(seconds).enumerate() {
            let record = Record::Lease {
                mac,
                key: [0; 8],
                address: address(place),
                seconds,
            };
            rack.apply(NOW, &record);
        }
        rack.restored(NOW, 2, 0);
        assert_eq!(rack.nodes[0].address, address(expected), "{seconds:?}");
    }
}
