//! What ends, and what stays of it: addresses that are given back, nodes that
//! are deleted or become part of another one, words that nobody uses.

use crate::api_rig::{available, call, rack};
use crate::common::*;
use farrier_core::interface::NodePatch;
use farrier_core::node::flags::AdminFlag;
use farrier_core::{Command, Instant};
use farrier_dhcp::wire::MessageType;
use farrier_lifecycle::{ProvisionState, Verb};

fn bound(lab: &Lab) -> usize {
    lab.rack().lease_usage(Instant::from_millis(lab.now)).1
}

fn delete(lab: &mut Lab) -> Result<(), String> {
    let node = lab.node(0).id;
    lab.operator(Command::DeleteNode { node })
}

#[test]
fn an_address_that_was_given_back_is_free_after_a_restart_too() {
    let mut lab = Lab::new();
    let address = lab.dhcp(9, |_| {}).unwrap().address;
    assert_eq!(bound(&lab), 1);
    // Another client has nothing to give back here.
    for (mac, left) in [(8, 1), (9, 0)] {
        lab.dhcp_message(MessageType::Release, mac, |request| {
            request.ciaddr = address;
        });
        assert_eq!(bound(&lab), left, "{mac}");
    }
    lab.restart(0);
    assert_eq!(bound(&lab), 0);
}

#[test]
fn a_node_that_failed_cleaning_is_deleted_in_maintenance_only() {
    for maintained in [true, false] {
        let mut lab = rack();
        lab.verb(0, Verb::Provide).unwrap();
        lab.pass(1900);
        assert_eq!(lab.state(0), ProvisionState::CleanFailed);
        lab.mark(AdminFlag::Maintenance, maintained, "").unwrap();
        assert_eq!(delete(&mut lab).is_ok(), maintained);
    }
}

#[test]
fn a_node_with_an_instance_is_not_deleted() {
    let mut lab = available();
    let patch = |lab: &mut Lab, op: &str| {
        let body = format!(
            r#"[{{"op": "{op}", "path": "/instance_uuid",
                 "value": "11111111-2222-4333-8444-555555555555"}}]"#
        );
        call(lab, "PATCH", "/v1/nodes/rack-1", &body).status
    };
    assert_eq!(patch(&mut lab, "add"), 200);
    assert_eq!(delete(&mut lab), Err("Associated".into()));
    assert_eq!(patch(&mut lab, "remove"), 200);
    assert_eq!(delete(&mut lab), Ok(()));
}

#[test]
fn nobody_renames_a_node_that_the_appliance_is_at_work_on() {
    let mut lab = rack();
    lab.verb(0, Verb::Provide).unwrap();
    assert_eq!(lab.state(0), ProvisionState::Cleaning);
    let (node, name) = (lab.node(0).id, "other");
    let renamed = lab.operator(Command::PatchNode {
        node,
        patch: NodePatch::name(name),
    });
    assert_eq!(renamed, Err("Locked(Cleaning)".into()));
}

#[test]
fn words_that_nobody_uses_are_forgotten() {
    let mut lab = rack();
    let node = lab.node(0).id;
    let set = |lab: &mut Lab, name: &str, on| {
        lab.operator(Command::SetTrait { node, name, on }).unwrap();
        lab.rack().texts().find_trait(name).is_some()
    };
    assert!(set(&mut lab, "GPU", true));
    assert!(!set(&mut lab, "GPU", false));
    for (name, left) in [("metal", true), ("", false)] {
        lab.operator(Command::PatchNode {
            node,
            patch: NodePatch::resource_class(name),
        })
        .unwrap();
        assert_eq!(lab.rack().texts().find_trait("metal").is_some(), left);
    }
}
