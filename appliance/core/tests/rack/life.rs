//! The life of a node, from its first packet to its release, told by an
//! agent that speaks the real protocol; and what goes wrong on the way.

use crate::common::*;
use farrier_core::interface::PowerState;
use farrier_core::node::{AGENT_SILENT_MILLIS, Hop};
use farrier_core::provisioning::restarts::MAX_ATTEMPTS;
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::*;

#[test]
fn from_the_first_packet_to_the_release() {
    let mut lab = Lab::new();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB, 16 * GIB]));
    assert_eq!(lab.state(0), ProvisionState::Enroll);
    assert!(lab.node(0).timeline.reached(Hop::Handshake).is_some());

    lab.verb(0, Verb::Manage).unwrap();
    assert_eq!(lab.state(0), ProvisionState::Manageable);
    lab.verb(0, Verb::Inspect).unwrap();
    assert_eq!(lab.state(0), ProvisionState::Inspecting);
    lab.run(&mut agent, 5);
    assert_eq!(lab.state(0), ProvisionState::Manageable);
    assert_eq!(lab.node(0).hardware.local_gib, 16);
    assert!(lab.node(0).hardware.statement_len > 64);

    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 5);
    assert_eq!(lab.state(0), ProvisionState::Available);

    lab.set_image(0, "debian12").unwrap();
    lab.verb(0, Verb::Active).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::Active);
    assert_eq!(agent.driver.handler().left, Some(FinalReport::Reboot));
    let orders = &agent.driver.handler().orders;
    let deploy = orders.iter().find_map(|o| match &o.task {
        Task::Deploy(deploy) => Some(deploy),
        _ => None,
    });
    assert_eq!(
        deploy.unwrap().disk,
        disk("DISK0", 8 * GIB),
        "the smallest disk that fits"
    );

    // Active machines are sent to their own disk, whatever they ask for.
    let (_, script) = lab.boot(1);
    assert!(
        script.contains("sanboot") && !script.contains("kernel"),
        "{script}"
    );

    lab.verb(0, Verb::Deleted).unwrap();
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    assert_eq!(
        lab.node(0).reason,
        farrier_core::node::Reason::RestartForNetwork
    );
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB, 16 * GIB]));
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::Available);
    assert!(lab.records().len() > 20);
    lab.check_sweeps();
}

#[test]
fn an_order_names_every_disk_by_serial_and_size() {
    let (_, agent) = available_with(&[8 * GIB, 4 * GIB]);
    let erase = agent
        .driver
        .handler()
        .orders
        .iter()
        .find_map(|o| match &o.task {
            Task::Erase { disks, .. } => Some(disks.clone()),
            _ => None,
        });
    assert_eq!(
        erase.unwrap(),
        [disk("DISK0", 8 * GIB), disk("DISK1", 4 * GIB)]
    );
}

#[test]
fn a_missing_certificate_fails_the_cleaning() {
    let mut lab = Lab::new();
    let scripted =
        ScriptedAgent::with_disks(&[8 * GIB, 8 * GIB]).behaving(Behaviour::WithholdsCertificate);
    let mut agent = lab.start_agent(1, scripted);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    assert!(lab.node(0).last_error.contains("certificate"));
}

#[test]
fn a_node_without_disks_fails_with_words() {
    let mut lab = Lab::new();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[]));
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    assert!(lab.node(0).last_error.contains("no disk"));
}

#[test]
fn an_image_larger_than_every_disk_is_refused_before_anything_happens() {
    let (mut lab, _agent) = available_with(&[GIB]);
    lab.set_image(0, "debian12").unwrap();
    assert_eq!(lab.verb(0, Verb::Active), Err("ImageTooLarge".into()));
    assert_eq!(lab.state(0), ProvisionState::Available);
}

#[test]
fn beside_the_image_there_is_room_for_a_config_drive() {
    const ROOM: u64 = 66 << 20;
    for (size, fits) in [(GIB + ROOM, true), (GIB + ROOM - 512, false)] {
        let (mut lab, _agent) = available_with(&[size]);
        lab.set_image(0, "debian12").unwrap();
        assert_eq!(lab.verb(0, Verb::Active).is_ok(), fits, "{size}");
    }
}

#[test]
fn a_deployment_needs_an_image_that_is_there() {
    let (mut lab, _agent) = available_with(&[8 * GIB]);
    assert_eq!(lab.verb(0, Verb::Active), Err("NoImage".into()));
    lab.set_image(0, "windows95").unwrap();
    assert_eq!(lab.verb(0, Verb::Active), Err("UnknownImage".into()));
}

#[test]
fn a_failure_of_the_agent_names_its_number() {
    let (mut lab, mut agent) = available_with(&[8 * GIB]);
    lab.set_image(0, "debian12").unwrap();
    agent.driver.handler_mut().behaviour = Behaviour::Fails(Reason::BadManifest);
    lab.verb(0, Verb::Active).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::DeployFailed);
    let error = &lab.node(0).last_error;
    assert!(error.contains("reason 4 (BadManifest)"), "{error}");
}

#[test]
fn a_proof_of_another_image_is_not_taken() {
    let (mut lab, mut agent) = available_with(&[8 * GIB]);
    lab.set_image(0, "debian12").unwrap();
    agent.driver.handler_mut().behaviour = Behaviour::WrongRoot;
    lab.verb(0, Verb::Active).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::DeployFailed);
}

#[test]
fn a_lost_handshake_response_is_sent_again() {
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
    let farrier_protocol::handler::RunnerPoll::Transmit(init) = agent.driver.poll(lab.now) else {
        panic!("the agent begins");
    };
    let init = init.to_vec();
    let send = |lab: &mut Lab| {
        lab.step(farrier_core::Input::Agent {
            from: agent.endpoint,
            datagram: &init,
        })
    };
    // What the first one wrote down is not written down again.
    let reply = |did: Vec<Outcome>| did.into_iter().find(|d| matches!(d, Outcome::Agent(..)));
    let first = reply(send(&mut lab));
    assert!(first.is_some());
    assert_eq!(first, reply(send(&mut lab)));
    assert_eq!(lab.rack().counters().ticket_reused, 0);
}

#[test]
fn a_power_cycle_in_every_piece_of_work_carries_on() {
    // Cleaning.
    let mut lab = Lab::new();
    let hung = ScriptedAgent::with_disks(&[8 * GIB]).behaving(Behaviour::Hangs);
    let mut agent = lab.start_agent(1, hung);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 5);
    assert_eq!(lab.state(0), ProvisionState::Cleaning);
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::Available);

    // Deploying.
    lab.set_image(0, "debian12").unwrap();
    agent.driver.handler_mut().behaviour = Behaviour::Hangs;
    lab.verb(0, Verb::Active).unwrap();
    lab.run(&mut agent, 5);
    assert_eq!(lab.state(0), ProvisionState::Deploying);
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::Active);
}

#[test]
fn a_machine_that_restarts_for_ever_fails() {
    let mut lab = Lab::new();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.verb(0, Verb::Manage).unwrap();
    lab.run(&mut agent, 1);
    lab.verb(0, Verb::Provide).unwrap();
    for _ in 0..7 {
        lab.starts(1);
    }
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    assert!(lab.node(0).last_error.contains("restarted"));
}

#[test]
fn a_machine_that_never_comes_ends_in_a_failure_that_names_the_hop() {
    let mut lab = active_lab();
    lab.verb(0, Verb::Deleted).unwrap();
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    lab.pass(31 * 60);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    let error = &lab.node(0).last_error;
    assert!(error.contains("clean wait took too long"), "{error}");
    assert!(lab.rack().counters().deadlines > 0);
}

#[test]
fn a_silent_agent_is_waited_for() {
    let (mut lab, mut agent) = available_with(&[8 * GIB]);
    lab.set_image(0, "debian12").unwrap();
    agent.driver.handler_mut().behaviour = Behaviour::Hangs;
    lab.verb(0, Verb::Active).unwrap();
    lab.run(&mut agent, 3);
    assert_eq!(lab.state(0), ProvisionState::Deploying);
    lab.pass(100);
    assert_eq!(lab.state(0), ProvisionState::WaitCallBack);
    assert_eq!(lab.node(0).power, PowerState::On);
}

#[test]
fn a_restart_after_the_proof_is_the_instance_even_without_a_farewell() {
    let (mut lab, mut agent) = available_with(&[8 * GIB]);
    lab.set_image(0, "debian12").unwrap();
    agent.driver.handler_mut().behaviour = Behaviour::Vanishes;
    lab.verb(0, Verb::Active).unwrap();
    lab.run(&mut agent, 30);
    assert!(lab.node(0).boot.imaged, "{}", lab.node(0).reason);
    assert_eq!(lab.state(0), ProvisionState::Deploying);
    let (_, script) = lab.boot(1);
    assert!(!script.contains("kernel"), "{script}");
    assert_eq!(lab.state(0), ProvisionState::Active);
}

#[test]
fn a_verb_that_the_state_has_not_is_refused() {
    let mut lab = Lab::new();
    lab.starts(1);
    for verb in [Verb::Provide, Verb::Active, Verb::Deleted, Verb::Abort] {
        assert!(lab.verb(0, verb).unwrap_err().contains("Verb"), "{verb:?}");
    }
    assert_eq!(lab.verb(0, Verb::Manage), Ok(()));
    assert_eq!(lab.verb(0, Verb::Clean), Err("NoSteps".into()));
}

#[test]
fn the_tenants_key_is_forgotten_on_release() {
    let mut lab = active_lab();
    lab.verb(0, Verb::Deleted).unwrap();
    assert!(lab.node(0).config_drive.is_none());
    assert!(lab.node(0).instance.image_source.is_empty());
}

#[test]
fn a_machine_may_restart_so_often_and_not_once_more() {
    let mut lab = Lab::new();
    lab.starts(1);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    for attempt in 1..=MAX_ATTEMPTS {
        lab.starts(1);
        assert_eq!(lab.state(0), ProvisionState::CleanWait, "start {attempt}");
    }
    lab.starts(1);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    assert!(lab.node(0).last_error.contains("restarted"));
}

#[test]
fn an_agent_is_missed_after_its_silence_and_not_before() {
    let (lab, _agent) = available_with(&[8 * GIB]);
    let node = lab.node(0);
    let heard = node.boot.heard.unwrap();
    let live = |millis| node.agent_is_live(heard.plus_millis(millis));
    assert!(live(AGENT_SILENT_MILLIS - 1));
    assert!(!live(AGENT_SILENT_MILLIS));
}

#[test]
fn an_agent_knows_its_uuid_better_than_dhcp() {
    for claimed in [&[0; 17], &[7; 17], &[0xff; 17]] {
        let mut lab = Lab::new();
        lab.dhcp(1, |request| {
            ipxe(request);
            request.machine_id = Some(claimed);
        });
        lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
        assert_eq!(lab.node(0).system_uuid, [1; 16], "{claimed:?}");
    }
}

#[test]
fn an_agents_uuid_may_be_none() {
    let mut lab = Lab::new();
    lab.start_agent(0xff, ScriptedAgent::with_disks(&[8 * GIB]));
    assert_eq!(lab.node(0).system_uuid, [0; 16], "a filler is no identity");
}
