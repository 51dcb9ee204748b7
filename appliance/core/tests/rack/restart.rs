//! What a restart of the appliance makes of the rack, with all of its records
//! and without some.

use crate::common::*;
use farrier_core::interface::NodePatch;
use farrier_core::node::Reason;
use farrier_core::node::flags::{AdminFlag, Flags};
use farrier_core::persist::record::Record;
use farrier_core::strings::KeyValues;
use farrier_core::{Command, Input};
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::handler::RunnerPoll;
use farrier_protocol::message::{BootMode, Task};

/// Sizes of the node's disks.
const DISKS: [u64; 2] = [8 * GIB, 16 * GIB];

#[test]
fn work_goes_on_with_its_agent() {
    let (mut lab, mut agent) = available_with(&DISKS);
    lab.set_image(0, "debian12").unwrap();
    lab.verb(0, Verb::Active).unwrap();
    assert_eq!(lab.state(0), ProvisionState::Deploying);
    lab.restart(0);
    assert_eq!(lab.state(0), ProvisionState::Deploying);
    lab.run(&mut agent, 30);
    assert_eq!(
        lab.state(0),
        ProvisionState::Active,
        "{}",
        lab.node(0).last_error
    );
    lab.restart(0);
    assert_eq!(lab.state(0), ProvisionState::Active);
    assert!(lab.node(0).written.is_some());
}

#[test]
fn work_whose_agent_stays_away_fails() {
    let (mut lab, agent) = available_with(&DISKS);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    drop(agent);
    lab.restart(0);
    lab.pass(3600);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    assert!(
        lab.node(0).last_error.contains("the appliance restarted"),
        "{}",
        lab.node(0).last_error
    );
}

#[test]
fn a_doubted_node_is_nobodys_until_somebody_has_looked() {
    let (mut lab, mut agent) = available_with(&DISKS);
    lab.restart(3);
    assert_eq!(lab.rack().counters().records_lost, 3);
    // It seemed to be free.
    assert_eq!(lab.state(0), ProvisionState::Manageable);
    let quarantined = Flags::MAINTENANCE.union(Flags::RECORDS_LOST);
    assert!(lab.node(0).flags.contains(quarantined));
    assert!(lab.node(0).last_error.contains("lost records"));
    for verb in [Verb::Provide, Verb::Clean] {
        assert!(lab.verb(0, verb).is_err(), "{verb}");
    }
    // Which was written down.
    lab.restart(0);
    assert!(lab.node(0).flags.contains(quarantined));
    assert_eq!(lab.state(0), ProvisionState::Manageable);

    lab.mark(AdminFlag::Maintenance, false, "").unwrap();
    assert!(!lab.node(0).flags.contains(Flags::RECORDS_LOST));
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 60);
    assert_eq!(
        lab.state(0),
        ProvisionState::Available,
        "{}",
        lab.node(0).last_error
    );
}

#[test]
fn disks_that_were_forgotten_are_found_again_before_anything_is_erased() {
    let (mut lab, mut agent) = available_with(&DISKS);
    // The record of the first disk of two is gone.
    let forgotten = |record: &Vec<u8>| {
        matches!(
            postcard::from_bytes(record),
            Ok(Record::Disk { place: 0, .. })
        )
    };
    lab.records_mut().retain(|record| !forgotten(record));
    lab.restart_with_what_is_left(1);
    assert_eq!(lab.rack().disks(0).count(), 0, "a list with a hole is none");
    lab.mark(AdminFlag::Maintenance, false, "").unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 60);
    assert_eq!(
        lab.state(0),
        ProvisionState::Available,
        "{}",
        lab.node(0).last_error
    );
    assert_eq!(lab.rack().disks(0).count(), 2);
    let erased = agent.driver.handler().orders.iter().rev();
    let erased = erased.clone().find_map(|order| match &order.task {
        Task::Erase { disks, .. } => Some(disks.len()),
        _ => None,
    });
    assert_eq!(erased, Some(2));
    // What the records before tell of the disks is not what there is.
    *lab.records_mut() = lab.snapshot();
}

#[test]
fn doubted_work_fails_and_its_agent_is_not_listened_to() {
    let (mut lab, mut agent) = available_with(&DISKS);
    lab.set_image(0, "debian12").unwrap();
    lab.verb(0, Verb::Active).unwrap();
    lab.restart(1);
    lab.run(&mut agent, 2);
    assert_eq!(lab.state(0), ProvisionState::DeployFailed);
    assert_eq!(lab.node(0).reason, Reason::RecordsLost);
    assert!(lab.verb(0, Verb::Deleted).is_err());
    lab.mark(AdminFlag::Maintenance, false, "").unwrap();
    lab.verb(0, Verb::Deleted).unwrap();
}

#[test]
fn a_doubt_ends_the_sessions_of_work_only() {
    let mut lab = Lab::new();
    let mut idle = lab.start_agent(1, ScriptedAgent::with_disks(&DISKS));
    let mut busy = lab.start_agent(2, ScriptedAgent::with_disks(&[]));
    busy.driver.handler_mut().behaviour = Behaviour::Hangs;
    for index in [0, 1] {
        lab.verb(index, Verb::Manage).unwrap();
    }
    lab.verb(1, Verb::Inspect).unwrap();
    lab.run(&mut idle, 3);
    lab.run(&mut busy, 3);
    lab.restart(1);
    assert!(lab.node(0).boot.session.is_some());
    assert!(lab.node(1).boot.session.is_none());
    lab.step(Input::Tick);
    assert_eq!(lab.state(1), ProvisionState::InspectFailed);
}

#[test]
fn a_doubted_node_that_waits_for_its_agent_is_not_switched_or_erased() {
    let (mut lab, agent) = available_with(&DISKS);
    drop(agent);
    lab.pass(600);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    lab.restart(1);
    for _ in 0..600 {
        lab.now += 1000;
        let outcomes = lab.step(Input::Tick);
        let switched = |outcome: &Outcome| matches!(outcome, Outcome::Power(..));
        assert!(!outcomes.iter().any(switched), "{outcomes:?}");
    }
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    assert!(lab.node(0).boot.session.is_none());
}

#[test]
fn a_rack_full_of_doubts_is_written_down_in_several_ticks() {
    let mut lab = Lab::new();
    for mac in 1..=8 {
        lab.discover(mac);
    }
    lab.restart(1);
    let before = lab.records().len();
    while lab.rack().wake_at().millis() <= lab.now {
        lab.step(Input::Tick);
    }
    assert!(lab.records().len() >= before + 8 * 3);
    lab.restart(0);
    assert!(
        lab.rack()
            .nodes()
            .iter()
            .all(|n| n.flags.contains(Flags::RECORDS_LOST))
    );
}

#[test]
fn a_repeated_handshake_has_its_new_keys_after_a_restart() {
    let mut lab = Lab::new();
    let (address, script) = lab.boot(1);
    let mut agent = Agent::new(
        1,
        address,
        &script,
        0,
        ScriptedAgent::with_disks(&[8 * GIB]),
    )
    .unwrap();
    let RunnerPoll::Transmit(first) = agent.driver.poll(lab.now) else {
        panic!("an agent begins with a handshake");
    };
    let init = first.to_vec();
    // Its answer is lost; the same datagram comes once more, and again after
    // a restart, which answers with other secrets.
    let mut keys = Vec::new();
    for restarts in [false, false, true] {
        if restarts {
            lab.restart(0);
        }
        lab.step(Input::Agent {
            from: agent.endpoint,
            datagram: &init,
        });
        let session = lab.node(0).boot.session.as_ref().unwrap();
        let (requests, replies) = session.keys();
        keys.push((session.id(), *requests, *replies));
        lab.check_sweeps();
    }
    assert_eq!(keys[0], keys[1]);
    assert_eq!(keys[1].0, keys[2].0, "its name stays");
    assert_ne!(keys[1], keys[2]);
    lab.restart(0);
}

#[test]
fn the_kind_of_firmware_is_known_after_a_restart() {
    let mut lab = Lab::new();
    for (mac, uefi) in [(1, true), (2, false)] {
        let mode = if uefi { BootMode::Uefi } else { BootMode::Bios };
        let scripted = ScriptedAgent::with_disks(&[8 * GIB]).with_boot_mode(mode);
        lab.start_agent(mac, scripted);
    }
    for _ in 0..2 {
        assert_eq!(lab.node(0).boot.mode, Some(BootMode::Uefi));
        assert_eq!(lab.node(1).boot.mode, Some(BootMode::Bios));
        lab.restart(0);
    }
}

#[test]
fn driver_info_outlives_a_restart_in_the_middle_of_a_sweep() {
    let mut lab = Lab::new();
    lab.discover(1);
    let node = lab.node(0).id;
    let set = |lab: &mut Lab, key: &str, value: &str| {
        let pairs = format!("driver_info/{key}\0{value}\0");
        let patch = NodePatch::driver_info(KeyValues(&pairs));
        lab.operator(Command::PatchNode { node, patch }).unwrap();
        lab.check_every_sweep();
    };
    for (key, value) in [("a", "1"), ("b", "2"), ("c", "3"), ("b", "4"), ("a", "5")] {
        set(&mut lab, key, value);
    }
    lab.restart(0);
    for (key, value) in [("c", ""), ("b", "6"), ("c", "7"), ("a", ""), ("d", "8")] {
        set(&mut lab, key, value);
    }
}
