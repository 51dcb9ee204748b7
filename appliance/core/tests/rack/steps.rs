//! Steps, holds and servicing, told by an agent that speaks the real
//! protocol.

use crate::api_rig::*;
use crate::common::*;
use farrier_core::interface::Actor;
use farrier_core::node::Reason;
use farrier_core::node::flags::AdminFlag;
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::Task;

fn jobs(agent: &Agent) -> Vec<&'static str> {
    let orders = agent.driver.handler().orders.iter();
    orders
        .map(|order| match order.task {
            Task::Inspect => "inspect",
            Task::Erase { .. } => "erase",
            Task::Reread { .. } => "reread",
            Task::Deploy(_) => "deploy",
            Task::Reboot => "reboot",
            Task::PowerOff => "power off",
        })
        .collect()
}

fn two_disks() -> ScriptedAgent {
    ScriptedAgent::with_disks(&[8 * GIB, 20 * GIB])
}

#[test]
fn clean_steps_are_carried_out_in_their_order_and_lead_back_to_manageable() {
    let mut lab = rack();
    let body = r#"{"target": "clean", "clean_steps": [
        {"step": "hold"},
        {"interface": "deploy", "step": "erase_devices"},
        {"step": "reboot"},
        {"interface": "deploy", "step": "collect_inventory", "args": {}}]}"#;
    let mut agent = lab.start_agent(1, two_disks());
    assert_eq!(put(&mut lab, "rack-1", body).status, 202);
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::CleanHold);
    assert_eq!(lab.node(0).deadline, None);
    assert_eq!(lab.node(0).reason, Reason::Held);
    assert_eq!(jobs(&agent), [] as [&str; 0], "nothing is erased before");
    lab.run(&mut agent, 3600);
    assert_eq!(
        lab.state(0),
        ProvisionState::CleanHold,
        "a hold has no end of its own"
    );

    lab.verb(0, Verb::Unhold).unwrap();
    lab.run(&mut agent, 20);
    assert_eq!(jobs(&agent), ["inspect", "erase", "reboot"]);
    assert_eq!(
        lab.state(0),
        ProvisionState::CleanWait,
        "{}",
        lab.node(0).last_error
    );
    let mut agent = lab.start_agent(1, two_disks());
    lab.run(&mut agent, 20);
    assert_eq!(jobs(&agent), ["inspect"]);
    assert_eq!(lab.state(0), ProvisionState::Manageable);
    assert!(lab.node(0).steps.is_empty());
    // It was erased, but nobody provided it.
    assert_eq!(
        lab.verb(0, Verb::Active),
        Err("Verb { state: Manageable, verb: Active }".into())
    );
}

#[test]
fn a_lost_farewell_does_not_restart_the_machine_twice() {
    let mut lab = rack();
    let mut agent = lab.start_agent(1, two_disks().behaving(Behaviour::Vanishes));
    let body = r#"{"target": "clean", "clean_steps": [{"step": "reboot"}, {"step": "hold"}]}"#;
    assert_eq!(put(&mut lab, "rack-1", body).status, 202);
    lab.run(&mut agent, 10);
    assert_eq!(jobs(&agent), ["reboot"]);
    let mut agent = lab.start_agent(1, two_disks());
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::CleanHold);
    lab.verb(0, Verb::Abort).unwrap();
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    assert!(lab.node(0).steps.is_empty());
}

#[test]
fn steps_that_are_left_end_with_the_work() {
    let mut lab = rack();
    let body = r#"{"target": "clean",
                   "clean_steps": [{"step": "reboot"}, {"step": "erase_devices"}]}"#;
    assert_eq!(put(&mut lab, "rack-1", body).status, 202);
    assert!(!lab.node(0).steps.is_empty());
    lab.pass(1900);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    assert!(lab.node(0).steps.is_empty());
}

#[test]
fn a_start_that_nobody_ordered_is_no_step() {
    let mut lab = rack();
    let body = r#"{"target": "clean", "clean_steps": [{"step": "reboot"}, {"step": "hold"}]}"#;
    assert_eq!(put(&mut lab, "rack-1", body).status, 202);
    // It starts by itself, before it was told to.
    let mut agent = lab.start_agent(1, two_disks());
    lab.run(&mut agent, 10);
    assert_eq!(jobs(&agent), ["reboot"]);
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    let mut agent = lab.start_agent(1, two_disks());
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::CleanHold);
}

#[test]
fn deploy_steps_stand_around_the_image_by_their_priority() {
    let mut lab = available();
    lab.set_image(0, "debian12").unwrap();
    let mut agent = lab.start_agent(1, two_disks());
    let body = r#"{"target": "active", "deploy_steps": [
        {"step": "hold", "priority": 10}, {"step": "hold", "priority": 150}]}"#;
    let reply = put(&mut lab, "rack-1", body);
    assert_eq!(reply.status, 202, "{}", reply.body);
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::DeployHold);
    assert_eq!(jobs(&agent), [] as [&str; 0]);
    lab.verb(0, Verb::Unhold).unwrap();
    lab.run(&mut agent, 20);
    assert_eq!(lab.state(0), ProvisionState::DeployHold);
    assert_eq!(jobs(&agent), ["inspect", "deploy"]);
    assert!(lab.node(0).written.is_some());
    // The machine is restarted by somebody meanwhile: the image is not
    // written again.
    let mut agent = lab.start_agent(1, two_disks());
    lab.verb(0, Verb::Unhold).unwrap();
    lab.run(&mut agent, 20);
    assert_eq!(jobs(&agent), ["reboot"]);
    assert_eq!(
        lab.state(0),
        ProvisionState::Active,
        "{}",
        lab.node(0).last_error
    );
    lab.check_sweeps();
}

#[test]
fn service_leads_through_the_ramdisk_back_to_the_tenant() {
    let mut lab = available();
    lab.set_image(0, "debian12").unwrap();
    let mut agent = lab.start_agent(1, two_disks());
    lab.verb(0, Verb::Active).unwrap();
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), ProvisionState::Active);
    for (body, part) in [
        (r#"{"target": "service"}"#, "needs steps"),
        (
            r#"{"target": "service", "service_steps": [{"step": "erase_devices"}]}"#,
            "not one of that verb",
        ),
        (
            r#"{"target": "service", "clean_steps": [{"step": "hold"}]}"#,
            "belong to clean",
        ),
    ] {
        let reply = put(&mut lab, "rack-1", body);
        assert_eq!(reply.status, 400);
        assert!(reply.fault().contains(part), "{}", reply.fault());
    }
    let body = r#"{"target": "service", "service_steps": [{"step": "collect_inventory"}]}"#;
    assert_eq!(put(&mut lab, "rack-1", body).status, 202);
    assert_eq!(lab.state(0), ProvisionState::ServiceWait);
    let mut agent = lab.start_agent(1, two_disks());
    lab.run(&mut agent, 20);
    assert_eq!(jobs(&agent), ["inspect", "reboot"]);
    assert_eq!(
        lab.state(0),
        ProvisionState::Active,
        "{}",
        lab.node(0).last_error
    );
    let (_, script) = lab.boot(1);
    assert!(script.contains("sanboot"));
    assert_eq!(lab.node(0).instance.image_source, "debian12");
}

#[test]
fn rebuild_writes_again_and_erases_nothing() {
    let mut lab = available();
    lab.set_image(0, "debian12").unwrap();
    let mut agent = lab.start_agent(1, two_disks());
    lab.verb(0, Verb::Active).unwrap();
    lab.run(&mut agent, 30);
    lab.verb(0, Verb::Rebuild).unwrap();
    assert_eq!(lab.state(0), ProvisionState::WaitCallBack);
    let mut agent = lab.start_agent(1, two_disks());
    lab.run(&mut agent, 30);
    assert_eq!(jobs(&agent), ["inspect", "deploy", "reboot"]);
    assert_eq!(lab.state(0), ProvisionState::Active);
}

#[test]
fn adoption_touches_nothing() {
    let mut lab = rack();
    // An agent runs: this is no tenant's system.
    lab.verb(0, Verb::Adopt).unwrap();
    assert_eq!(lab.state(0), ProvisionState::AdoptFailed);
    assert!(lab.node(0).last_error.contains("deploy agent"));
    lab.pass(100);
    let did = lab.step(farrier_core::Input::Command {
        actor: Actor::OPERATOR,
        command: farrier_core::Command::Provision {
            node: lab.node(0).id,
            verb: Verb::Adopt,
            config_drive: None,
        },
    });
    assert!(
        !did.iter().any(|did| matches!(did, Outcome::Power(..))),
        "no boot"
    );
    assert_eq!(lab.state(0), ProvisionState::Active);
    let (_, script) = lab.boot(1);
    assert!(script.contains("sanboot") && !script.contains("kernel"));
    // And released like any other: cleaning comes first.
    lab.verb(0, Verb::Deleted).unwrap();
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
}

#[test]
fn a_retired_node_is_cleaned_and_not_offered() {
    let mut lab = active_lab();
    lab.mark(AdminFlag::Retired, true, "old").unwrap();
    lab.verb(0, Verb::Deleted).unwrap();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut agent, 30);
    assert_eq!(
        lab.state(0),
        ProvisionState::Manageable,
        "{}",
        lab.node(0).reason
    );
    assert_eq!(lab.node(0).reason, Reason::CleanRetired);
}
