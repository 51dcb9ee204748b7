use super::*;
use crate::interface::{DriverKind, Setting};
use crate::rack::Rack;
use std::boxed::Box;
use std::vec::Vec;

const NODES: usize = 2 * MAX_LOOKS + 4;
type Big = Rack<NODES, 8, 16>;

/// A rack of nodes with complete settings.
fn rack() -> Box<Big> {
    let mut rack = Box::new(Big::new());
    for number in 0..NODES {
        let id = NodeId([number as u8 + 1; 16]);
        let mut node = Node::enrolled(id, Instant::START);
        node.driver = DriverKind::Ipmi;
        rack.nodes.push(node).unwrap();
        for (setting, value) in [
            (Setting::IpmiAddress, "10.0.0.9"),
            (Setting::IpmiPassword, "x"),
        ] {
            rack.texts.set_setting(number, setting, value).unwrap();
        }
    }
    rack
}

fn asked(out: &Effects) -> Vec<(crate::interface::OperationId, NodeId)> {
    let of = |effect| match effect {
        crate::Effect::Power {
            id,
            node,
            operation: PowerOperation::Look,
            ..
        } => Some((id, node)),
        _ => None,
    };
    out.effects().filter_map(of).collect()
}

#[test]
fn so_many_looks_at_once_and_one_a_node() {
    let mut rack = rack();
    let mut out = Effects::new();
    let mut open = Vec::new();
    let mut looked = std::collections::BTreeSet::new();
    for second in 1..200 {
        let now = Instant::from_millis(1000 * second);
        for index in 0..NODES {
            out.clear();
            rack.reconcile(now, index, &mut out);
            rack.touched.clear();
            for (id, node) in asked(&out) {
                assert!(open.iter().all(|(_, other)| *other != node), "two at once");
                open.push((id, node));
                looked.insert(node.0);
            }
            assert!(open.len() <= MAX_LOOKS, "{} at once", open.len());
        }
        // Each takes a while.
        if second % 3 == 0 && !open.is_empty() {
            let (id, _) = open.remove(0);
            rack.operation_done(now, id, Ok(()));
            rack.touched.clear();
        }
        assert!(second > 3 || open.len() >= MAX_LOOKS - 1, "places are used");
        open.retain(|(id, _)| {
            let mut nodes = rack.nodes.iter();
            nodes.any(|node| node.power_control.operation() == Some(*id))
        });
    }
    assert_eq!(looked.len(), NODES, "every one had its turn");
}

#[test]
fn what_an_operator_wants_of_a_bmc_is_ahead_of_switching() {
    let look = Some(PowerOperation::Look);
    let on = PowerOperation::Do(PowerAction::On);
    assert_eq!(first(Some(PowerAction::On), look), Some(on));
    assert_eq!(first(None, look), look);
    assert_eq!(first(Some(PowerAction::On), None), Some(on));
    let nmi = Some(PowerOperation::Nmi);
    assert_eq!(first(Some(PowerAction::On), nmi), nmi);
    assert_eq!(first(None, None), None);
}
