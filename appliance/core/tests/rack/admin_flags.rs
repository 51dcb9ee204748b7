//! What operators set on nodes: marks, names, facts about drivers; and the
//! mark that a failed cleaning sets.

use crate::api_rig::{call, id, put};
use crate::common::*;
use farrier_core::Command;
use farrier_core::interface::NodePatch;
use farrier_core::node::flags::{AdminFlag, Flags};
use farrier_core::node::{DRIVER_KEY_LEN, DRIVER_VALUE_LEN, MAX_DRIVER_INFO};
use farrier_core::strings::{KeyValues, TEXT_MAX};
use farrier_lifecycle::{ProvisionState, Verb};

fn has(lab: &Lab, flags: Flags) -> bool {
    lab.node(0).flags.contains(flags)
}

/// A node whose cleaning has failed, with an agent that would do better now.
fn clean_failed() -> (Lab, Agent) {
    let mut lab = Lab::new();
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]).behaving(Behaviour::WithholdsCertificate);
    let mut agent = lab.start_agent(1, scripted);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    assert!(has(&lab, Flags::MAINTENANCE.union(Flags::CLEAN_FAULT)));
    agent.driver.handler_mut().behaviour = Behaviour::Honest;
    lab.verb(0, Verb::Manage).unwrap();
    (lab, agent)
}

#[test]
fn a_clean_fault_ends_with_a_cleaning_that_succeeds() {
    let both = Flags::MAINTENANCE.union(Flags::CLEAN_FAULT);
    let (mut lab, mut agent) = clean_failed();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::Manageable);
    assert!(has(&lab, both), "looking is not cleaning");
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::Available);
    assert!(!has(&lab, Flags::MAINTENANCE) && !has(&lab, Flags::CLEAN_FAULT));
}

#[test]
fn a_clean_fault_ends_with_steps_that_erase_and_with_no_others() {
    for (steps, ends) in [
        (r#"[{"step": "collect_inventory"}]"#, false),
        (r#"[{"step": "erase_devices"}]"#, true),
        (
            r#"[{"step": "erase_devices"}, {"step": "reboot"}, {"step": "collect_inventory"}]"#,
            true,
        ),
    ] {
        let (mut lab, mut agent) = clean_failed();
        let body = format!(r#"{{"target": "clean", "clean_steps": {steps}}}"#);
        let node = id(&lab, 0);
        assert_eq!(put(&mut lab, &node, &body).status, 202);
        lab.run(&mut agent, 20);
        if lab.state(0) == ProvisionState::CleanWait {
            let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
            lab.run(&mut agent, 20);
        }
        assert_eq!(lab.state(0), ProvisionState::Manageable);
        for flag in [Flags::MAINTENANCE, Flags::CLEAN_FAULT] {
            assert_eq!(has(&lab, flag), !ends, "{steps}");
        }
    }
}

#[test]
fn maintenance_of_an_operator_stays_through_a_cleaning() {
    let (mut lab, mut agent) = available_with(&[8 * GIB]);
    lab.verb(0, Verb::Manage).unwrap();
    lab.mark(AdminFlag::Maintenance, true, "disk ordered")
        .unwrap();
    assert!(!has(&lab, Flags::CLEAN_FAULT) && !has(&lab, Flags::RECORDS_LOST));
    lab.verb(0, Verb::Inspect).unwrap();
    lab.run(&mut agent, 10);
    assert!(has(&lab, Flags::MAINTENANCE));
    lab.mark(AdminFlag::Maintenance, false, "").unwrap();
    assert!(!has(&lab, Flags::MAINTENANCE));
}

#[test]
fn other_marks_leave_a_fault_as_it_is() {
    let (mut lab, _agent) = clean_failed();
    lab.mark(AdminFlag::Retired, true, "old").unwrap();
    lab.mark(AdminFlag::Retired, false, "").unwrap();
    assert!(has(&lab, Flags::CLEAN_FAULT));
    lab.mark(AdminFlag::Maintenance, false, "").unwrap();
    assert!(!has(&lab, Flags::CLEAN_FAULT));
}

#[test]
fn what_is_offered_is_not_retired() {
    let (mut lab, _agent) = available_with(&[8 * GIB]);
    assert_eq!(
        lab.mark(AdminFlag::Retired, true, ""),
        Err("NodeAvailable".into())
    );
    assert_eq!(lab.mark(AdminFlag::Retired, false, ""), Ok(()));
    assert!(lab.mark(AdminFlag::Protected, true, "").is_err());
    lab.verb(0, Verb::Manage).unwrap();
    assert_eq!(lab.mark(AdminFlag::Retired, true, ""), Ok(()));
}

#[test]
fn reasons_have_a_longest_length() {
    let (mut lab, _agent) = available_with(&[8 * GIB]);
    let reason = "r".repeat(TEXT_MAX + 2);
    for length in [TEXT_MAX + 1, TEXT_MAX + 2] {
        let set = lab.mark(AdminFlag::Maintenance, true, &reason[..length]);
        assert_eq!(set, Err("TooLong".into()));
        assert!(!has(&lab, Flags::MAINTENANCE));
    }
    let set = lab.mark(AdminFlag::Maintenance, true, &reason[..TEXT_MAX]);
    assert_eq!(set, Ok(()));
}

#[test]
fn work_that_has_ended_well_may_restart_as_often_again() {
    let mut lab = Lab::new();
    lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.verb(0, Verb::Manage).unwrap();
    for verb in [Verb::Inspect, Verb::Provide] {
        lab.verb(0, verb).unwrap();
        lab.starts(1);
        assert_eq!(lab.node(0).attempts, 1);
        let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
        lab.run(&mut agent, 20);
        assert_eq!(lab.node(0).attempts, 0, "{verb}");
    }
    assert_eq!(lab.state(0), ProvisionState::Available);
    lab.set_image(0, "debian12").unwrap();
    lab.verb(0, Verb::Active).unwrap();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut agent, 20);
    assert_eq!(
        (lab.state(0), lab.node(0).attempts),
        (ProvisionState::Active, 0)
    );
}

#[test]
fn a_name_that_could_be_an_identity_is_none() {
    let mut lab = Lab::new();
    lab.discover(1);
    let node = lab.node(0).id;
    for (name, fits) in [
        ("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", false),
        ("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeeee", true),
        ("aaaaaaaa-bbbb-cccc-dddd.eeeeeeeeeeee", true),
        ("a-b-c-d-e", true),
        ("a b", false),
        ("", true),
    ] {
        let set = lab.operator(Command::PatchNode {
            node,
            patch: NodePatch::name(name),
        });
        assert_eq!(set.is_ok(), fits, "{name}");
    }
}

#[test]
fn a_node_has_a_few_facts_for_drivers() {
    let mut lab = Lab::new();
    lab.discover(1);
    let node = lab.node(0).id;
    let mut set = |key: &str, value: &str| {
        let pairs = format!("driver_info/{key}\0{value}\0");
        let patch = NodePatch::driver_info(KeyValues(&pairs));
        lab.operator(Command::PatchNode { node, patch })
    };
    let (key, value) = (
        "k".repeat(DRIVER_KEY_LEN + 1),
        "v".repeat(DRIVER_VALUE_LEN + 1),
    );
    assert_eq!(set(&key, "x"), Err("TooLong".into()));
    assert_eq!(set("x", &value), Err("TooLong".into()));
    assert_eq!(set(&key[1..], &value[1..]), Ok(()));
    for number in 1..MAX_DRIVER_INFO {
        assert_eq!(set(&number.to_string(), "x"), Ok(()));
    }
    assert_eq!(set("more", "x"), Err("TooManyKeys".into()));
    // What is there may be changed, and what is not may be removed.
    assert_eq!(set("1", "y"), Ok(()));
    assert_eq!(set("more", ""), Ok(()));
    assert_eq!(set("1", ""), Ok(()));
    assert_eq!(set("more", "x"), Ok(()));
    let target = format!("/v1/nodes/{}", id(&lab, 0));
    assert_eq!(
        call(&mut lab, "GET", &target, "").body["driver_info"]["more"],
        "x"
    );
}

#[test]
fn words_are_checked() {
    let mut lab = Lab::new();
    lab.discover(1);
    let node = lab.node(0).id;
    let long = "w".repeat(65);
    for (name, fits) in [
        ("", false),
        (&long, false),
        ("a b", false),
        ("CUSTOM_GPU-1.x", true),
    ] {
        let set = lab.operator(Command::SetTrait {
            node,
            name,
            on: true,
        });
        assert_eq!(set.is_ok(), fits, "{name}");
    }
}

#[test]
fn all_traits_go_at_once() {
    let mut lab = Lab::new();
    lab.discover(1);
    let node = lab.node(0).id;
    let set = |lab: &mut Lab, name, on| {
        lab.operator(Command::SetTrait { node, name, on }).unwrap();
        lab.node(0).traits.count_ones()
    };
    assert_eq!(set(&mut lab, "A", true), 1);
    assert_eq!(set(&mut lab, "B", true), 2);
    let gone = lab.operator(Command::SetTrait {
        node,
        name: "C",
        on: false,
    });
    assert_eq!(gone, Err("NoSuchTrait".to_owned()));
    assert_eq!(set(&mut lab, "A", false), 1);
    assert_eq!(set(&mut lab, "A", true), 2);
    assert_eq!(set(&mut lab, "", false), 0);
}

#[test]
fn an_allocated_node_keeps_its_class() {
    let (mut lab, _agent) = available_with(&[8 * GIB]);
    let node = lab.node(0).id;
    let class = |lab: &mut Lab, name| {
        lab.operator(Command::PatchNode {
            node,
            patch: NodePatch::resource_class(name),
        })
    };
    class(&mut lab, "metal").unwrap();
    lab.operator(Command::Allocate(farrier_core::interface::Allocate {
        id: farrier_protocol::message::NodeId([5; 16]),
        name: "",
        class: "metal",
        node: None,
        account: "",
        lists: farrier_core::strings::KeyValues::default(),
    }))
    .unwrap();
    assert_eq!(class(&mut lab, "metal"), Ok(()));
    assert_eq!(class(&mut lab, "gold"), Err("Associated".into()));
    assert_eq!(class(&mut lab, ""), Err("Associated".into()));
}

#[test]
fn a_trait_that_an_allocation_asked_for_keeps_its_name() {
    let (mut lab, _agent) = available_with(&[8 * GIB]);
    let node = lab.node(0).id;
    let set = |lab: &mut Lab, name, on| lab.operator(Command::SetTrait { node, name, on });
    set(&mut lab, "GPU", true).unwrap();
    let name = "metal";
    lab.operator(Command::PatchNode {
        node,
        patch: NodePatch::resource_class(name),
    })
    .unwrap();
    lab.operator(Command::Allocate(farrier_core::interface::Allocate {
        id: farrier_protocol::message::NodeId([5; 16]),
        name: "",
        class: "metal",
        node: None,
        account: "",
        lists: farrier_core::strings::KeyValues("traits\0GPU\0"),
    }))
    .unwrap();
    assert_eq!(lab.node(0).wanted, lab.node(0).traits);
    // Words that nobody uses are forgotten with every change.
    set(&mut lab, "FAST", true).unwrap();
    assert!(lab.rack().texts().find_trait("GPU").is_some());
    // Also when only the allocation still knows it.
    set(&mut lab, "GPU", false).unwrap();
    assert!(lab.rack().texts().find_trait("GPU").is_some());
}
