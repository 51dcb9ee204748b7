//! Nothing stays on a disk unseen: what an inspection can't prove keeps a node from
//! being available, unless an operator waives it; erasures are compared with their
//! orders; and a sample is read again after a restart.

use crate::api_rig::{call, get, id};
use crate::common::*;
use farrier_core::interface::Seen;
use farrier_core::{Command, Config};
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::*;

type Change = fn(&mut Inspection);

/// What `skip` puts into an inspection, as the body of a waiver.
const USB: &str = r#"{"reason": "removable", "size": 1073741824}"#;
/// The same of `controller`.
const PCI: &str = r#"{"kind": "1000:0012 class 010000"}"#;

fn text<const N: usize>(text: &str) -> heapless::String<N> {
    text.try_into().unwrap()
}

fn skip(inspection: &mut Inspection, id: &str, reason: SkipReason) {
    let device = SkippedDevice {
        id: text(id),
        name: text("sdx"),
        size: 1 << 30,
        reason,
    };
    inspection.skipped.push(device).unwrap();
}

fn controller(inspection: &mut Inspection) {
    let controller = Controller {
        id: text("@pci-0000:00:05.0"),
        kind: text("1000:0012 class 010000"),
    };
    inspection.controllers.push(controller).unwrap();
}

fn machine(change: impl FnOnce(&mut Inspection)) -> ScriptedAgent {
    let mut scripted = ScriptedAgent::with_disks(&[8 * GIB]);
    change(&mut scripted.engine.inspection);
    scripted
}

/// A lab whose node was asked to become available, and its agent.
fn cleaned(scripted: ScriptedAgent) -> (Lab, Agent) {
    let mut lab = Lab::new();
    let mut agent = lab.start_agent(1, scripted);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 10);
    (lab, agent)
}

fn node_path(lab: &Lab, rest: &str) -> String {
    let id = uuid::Uuid::from_bytes(lab.node(0).id.0);
    format!("/farrier/v1/nodes/{id}/{rest}")
}

fn shown(lab: &mut Lab, what: &str) -> serde_json::Value {
    let path = node_path(lab, what);
    get(lab, &path)
}

fn erasures(agent: &Agent) -> usize {
    let orders = agent.driver.handler().orders.iter();
    orders
        .filter(|order| matches!(order.task, Task::Erase { .. }))
        .count()
}

#[test]
fn node_with_anything_unproven_is_not_available() {
    let changes: [(Change, &str); 9] = [
        (
            |i| skip(i, "RO-1", SkipReason::ReadOnly),
            "RO-1 (read-only)",
        ),
        (
            |i| skip(i, "USB-1", SkipReason::Removable),
            "USB-1 (removable)",
        ),
        (|i| skip(i, "H-1", SkipReason::Hidden), "H-1 (hidden)"),
        (|i| skip(i, "B-1", SkipReason::BootArea), "B-1 (boot area)"),
        (|i| skip(i, "R-1", SkipReason::Rpmb), "R-1 (replay"),
        (
            |i| skip(i, "N-1", SkipReason::NoSize),
            "N-1 (without a size)",
        ),
        (controller, "@pci-0000:00:05.0 (no driver)"),
        (|i| i.unlisted = 3, "3 devices too many"),
        (|i| i.settled = false, "still initialises"),
    ];
    for (change, named) in changes {
        let (lab, agent) = cleaned(machine(change));
        let error = &lab.node(0).last_error;
        assert_eq!(lab.state(0), ProvisionState::CleanFailed, "{error}");
        assert!(error.contains(named), "{error}");
        assert_eq!(erasures(&agent), 0);
        assert_eq!(lab.node(0).hardware.unproven, 1);
    }
}

#[test]
fn device_that_holds_no_data_does_not_count() {
    let (lab, _) = cleaned(machine(|i| {
        skip(i, "a", SkipReason::NoMedium);
        skip(i, "b", SkipReason::Optical);
        skip(i, "c", SkipReason::Virtual);
        skip(i, "d", SkipReason::Path);
    }));
    assert_eq!(lab.state(0), ProvisionState::Available);
}

#[test]
fn error_counts_what_it_does_not_name() {
    let (mut lab, _) = cleaned(machine(|i| {
        for n in 0..60 {
            skip(i, &format!("RO-{n}"), SkipReason::ReadOnly);
        }
        controller(i);
    }));
    let error = lab.node(0).last_error.clone();
    assert!(error.contains("RO-0") && error.contains("RO-1"), "{error}");
    assert!(error.ends_with(", 59 more"), "{error}");
    assert_eq!(lab.node(0).hardware.unproven, 61);
    lab.restart(0);
    let shown = shown(&mut lab, "erasure");
    assert_eq!(shown["unproven_devices"], 61);
}

#[test]
fn inspection_for_something_else_warns_and_cleaning_looks_again() {
    let mut lab = Lab::new();
    let scripted = machine(|i| skip(i, "USB-1", SkipReason::Removable));
    let mut agent = lab.start_agent(1, scripted);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::Manageable);
    assert!(lab.node(0).last_error.contains("USB-1"));
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    assert!(lab.node(0).last_error.contains("USB-1"));
    // The stick was pulled.
    let engine = &mut agent.driver.handler_mut().engine;
    engine.inspection.skipped.clear();
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::Available);
}

#[test]
fn operator_waives_a_named_device() {
    let (mut lab, mut agent) = cleaned(machine(|i| {
        skip(i, "USB 1", SkipReason::Removable);
        controller(i);
    }));
    let again = |lab: &mut Lab, agent: &mut Agent| {
        lab.verb(0, Verb::Manage).unwrap();
        lab.verb(0, Verb::Provide).unwrap();
        lab.run(agent, 10);
        lab.state(0)
    };
    let usb = node_path(&lab, "waivers/USB%201");
    let pci = node_path(&lab, "waivers/@pci-0000:00:05.0");
    assert_eq!(call(&mut lab, "PUT", &usb, USB).status, 204);
    assert_eq!(again(&mut lab, &mut agent), ProvisionState::CleanFailed);
    let error = &lab.node(0).last_error;
    assert!(!error.contains("USB") && error.contains("@pci"), "{error}");
    assert_eq!(call(&mut lab, "PUT", &pci, PCI).status, 204);
    lab.restart(0);
    assert_eq!(again(&mut lab, &mut agent), ProvisionState::Available);
    let list = shown(&mut lab, "waivers");
    let [usb_waiver, pci_waiver] = [&list["waivers"][0], &list["waivers"][1]];
    assert_eq!(usb_waiver["device"], "USB 1");
    assert_eq!(usb_waiver["reason"], "removable");
    assert_eq!(usb_waiver["size"], 1_u64 << 30);
    assert_eq!(pci_waiver["device"], "@pci-0000:00:05.0");
    assert_eq!(pci_waiver["kind"], "1000:0012 class 010000");

    assert_eq!(call(&mut lab, "DELETE", &usb, "").status, 204);
    assert_eq!(call(&mut lab, "DELETE", &usb, "").status, 404);
    let history = node_path(&lab, "history").replace("/farrier/v1", "/v1");
    let history = get(&mut lab, &history).to_string();
    assert!(
        history.contains("end waiver of USB 1: an operator"),
        "{history}"
    );
    assert_eq!(again(&mut lab, &mut agent), ProvisionState::CleanFailed);
}

#[test]
fn waiver_is_for_the_device_that_was_seen() {
    let changes: [Change; 4] = [
        |i| skip(i, "USB-1", SkipReason::ReadOnly),
        |i| {
            skip(i, "USB-1", SkipReason::Removable);
            i.skipped[0].size += 512;
        },
        |i| {
            controller(i);
            i.controllers[0].id = text("USB-1");
        },
        |i| {
            controller(i);
            i.controllers[0].kind = text("1000:0013 class 010000");
        },
    ];
    for change in changes {
        let (mut lab, mut agent) = cleaned(machine(change));
        for (device, body) in [("USB-1", USB), ("@pci-0000:00:05.0", PCI)] {
            let path = node_path(&lab, &format!("waivers/{device}"));
            assert_eq!(call(&mut lab, "PUT", &path, body).status, 204);
        }
        lab.restart(0);
        lab.verb(0, Verb::Manage).unwrap();
        lab.verb(0, Verb::Provide).unwrap();
        lab.run(&mut agent, 10);
        assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    }
    // It says what it is for.
    let (mut lab, _) = cleaned(machine(|_| {}));
    let usb = node_path(&lab, "waivers/USB-1");
    for body in [
        "",
        r#"{"reason": "removable"}"#,
        r#"{"size": 7}"#,
        r#"{"reason": "nice", "size": 7}"#,
        r#"{"reason": "removable", "size": 7, "kind": "k"}"#,
        r#"{"kind": "1234567890123456789012345"}"#,
    ] {
        assert_eq!(call(&mut lab, "PUT", &usb, body).status, 400, "{body}");
    }
    // Another one takes its place.
    for (body, reason) in [
        (USB, "removable"),
        (r#"{"reason": "read-only", "size": 1}"#, "read-only"),
    ] {
        assert_eq!(call(&mut lab, "PUT", &usb, body).status, 204);
        let list = shown(&mut lab, "waivers");
        assert_eq!(list["waivers"][0]["reason"], reason);
        assert_eq!(list["waivers"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn waivers_are_for_one_machine() {
    let (mut lab, _) = cleaned(machine(|i| skip(i, "USB-1", SkipReason::Removable)));
    let node = lab.node(0).id;
    let usb = node_path(&lab, "waivers/USB-1");
    assert_eq!(call(&mut lab, "PUT", &usb, USB).status, 204);
    lab.operator(Command::Rebind { node }).unwrap();
    let list = shown(&mut lab, "waivers");
    assert_eq!(list["waivers"].as_array().unwrap().len(), 0);
    lab.restart(0);
    assert_eq!(call(&mut lab, "DELETE", &usb, "").status, 404);
}

#[test]
fn waivers_are_bounded_and_ended_ones_give_way() {
    let (mut lab, _) = cleaned(machine(|_| {}));
    let node = lab.node(0).id;
    let seen = Seen::Skipped {
        reason: SkipReason::Removable,
        size: u64::MAX,
    };
    let mut waive = |device: &str, on: bool| {
        let seen = on.then_some(seen);
        lab.operator(Command::Waive { node, device, seen })
    };
    for n in 0..8 {
        waive(&format!("D{n}"), true).unwrap();
    }
    waive("D3", true).unwrap();
    assert_eq!(waive("D8", true), Err("TooManyWaivers".into()));
    waive("D3", false).unwrap();
    waive("D8", true).unwrap();
    assert_eq!(waive("D3", true), Err("TooManyWaivers".into()));
    for name in ["", "t\u{e4}", &"x".repeat(41)] {
        assert_eq!(waive(name, true), Err("BadDevice".into()));
    }
    lab.restart(0);
    let list = shown(&mut lab, "waivers");
    assert_eq!(list["waivers"].as_array().unwrap().len(), 8);
}

#[test]
fn least_method_is_the_racks_and_the_nodes() {
    let (mut lab, mut agent) = cleaned(machine(|_| {}));
    let path = node_path(&lab, "erasure");
    assert_eq!(get(&mut lab, &path)["least_method"], "write_zeroes");
    let wrong = call(&mut lab, "PUT", &path, r#"{"least_method": "hope"}"#);
    assert_eq!(wrong.status, 400);
    let body = r#"{"least_method": "overwrite"}"#;
    assert_eq!(call(&mut lab, "PUT", &path, body).status, 204);
    lab.restart(0);
    let shown = get(&mut lab, &path);
    assert_eq!(shown["least_method"], "overwrite");
    assert_eq!(shown["of_node"], true);
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::Available);
    let least: Vec<EraseMethod> = agent
        .driver
        .handler()
        .orders
        .iter()
        .filter_map(|order| match order.task {
            Task::Erase { least, .. } => Some(least),
            _ => None,
        })
        .collect();
    assert_eq!(least, [EraseMethod::WriteZeroes, EraseMethod::Overwrite]);
    assert_eq!(call(&mut lab, "DELETE", &path, "").status, 204);
    assert_eq!(get(&mut lab, &path)["of_node"], false);
    let weak = r#"{"least_method": "discard"}"#;
    assert_eq!(call(&mut lab, "PUT", &path, weak).status, 204);
    // The history tells a weaker method from a stronger one, also after a start.
    lab.restart(0);
    let path = format!("/v1/nodes/{}/history", id(&lab, 0));
    let history = get(&mut lab, &path);
    let [.., before, last] = &history["history"].as_array().unwrap()[..] else {
        panic!("{history}")
    };
    for (entry, method) in [(before, "that of the rack"), (last, "discard")] {
        let event = format!("least method {method}: an operator asked for it");
        assert_eq!(entry["event"], event.as_str());
    }
}

#[test]
fn weaker_erasure_than_ordered_fails_the_cleaning() {
    for behaviour in [Behaviour::ErasesWeakly, Behaviour::LeavesBytes] {
        let scripted = machine(|_| {}).behaving(behaviour);
        let (lab, _) = cleaned(scripted);
        let error = &lab.node(0).last_error;
        assert_eq!(lab.state(0), ProvisionState::CleanFailed, "{error}");
        assert!(error.contains("DISK0: erased by"), "{error}");
    }
}

/// A lab with the default configuration, and a node that is being cleaned.
fn default_lab(disks: &[u64]) -> (Lab, Agent) {
    let mut lab = Lab::with_config(Config::default());
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(disks));
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Provide).unwrap();
    lab.run(&mut agent, 20);
    (lab, agent)
}

#[test]
fn sample_is_read_again_after_a_restart() {
    let (mut lab, agent) = default_lab(&[8 * GIB; 3]);
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    assert_eq!(agent.driver.handler().left, Some(FinalReport::Reboot));
    let seed = |agent: &Agent| {
        let orders = agent.driver.handler().orders.clone();
        orders.into_iter().find_map(|order| match order.task {
            Task::Erase { seed, .. } | Task::Reread { seed, .. } => Some((seed, order.task)),
            _ => None,
        })
    };
    let (first, _) = seed(&agent).unwrap();
    lab.restart(0);
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB; 3]));
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::Available);
    let (again, task) = seed(&agent).unwrap();
    assert_eq!(first, again);
    assert!(matches!(task, Task::Reread { disks, .. } if disks.len() == 3));
    assert_eq!(erasures(&agent), 0);
}

#[test]
fn content_that_is_back_after_a_restart_fails_the_cleaning() {
    let (mut lab, _) = default_lab(&[8 * GIB]);
    let scripted = ScriptedAgent::with_disks(&[8 * GIB]).behaving(Behaviour::FindsContent);
    let mut agent = lab.start_agent(1, scripted);
    lab.run(&mut agent, 10);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    assert!(lab.node(0).last_error.contains("NotErased"));
}

#[test]
fn other_disks_after_the_restart_are_erased() {
    let (mut lab, _) = default_lab(&[8 * GIB]);
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB, 4 * GIB]));
    lab.run(&mut agent, 20);
    assert_eq!(erasures(&agent), 1);
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB, 4 * GIB]));
    lab.run(&mut agent, 20);
    assert_eq!(lab.state(0), ProvisionState::Available);
}

#[test]
fn many_disks_are_erased_and_read_again_in_batches() {
    let (mut lab, agent) = default_lab(&[GIB; 24]);
    assert_eq!(
        lab.state(0),
        ProvisionState::CleanWait,
        "{}",
        lab.node(0).last_error
    );
    assert_eq!(erasures(&agent), 2);
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[GIB; 24]));
    lab.run(&mut agent, 20);
    assert_eq!(lab.state(0), ProvisionState::Available);
    let named: usize = agent
        .driver
        .handler()
        .orders
        .iter()
        .map(|order| match &order.task {
            Task::Reread { disks, .. } => disks.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(named, 24);
}

#[test]
fn every_disk_of_a_batch_needs_its_certificate() {
    let scripted = ScriptedAgent::with_disks(&[GIB; 24]).behaving(Behaviour::WithholdsCertificate);
    let (lab, _) = cleaned(scripted);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
}
