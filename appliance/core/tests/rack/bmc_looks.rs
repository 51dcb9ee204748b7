//! Looks of drivers that see machines: when, how many at once, and what follows from
//! them; boot devices and interrupts.

use crate::api_rig::*;
use crate::common::*;
use farrier_core::Input;
use farrier_core::interface::{
    BootChoice, BootDevice, Instant, OperationError, OperationId, PowerAction, PowerOperation,
    PowerState,
};
use farrier_core::node::flags::Flags;
use farrier_core::power::{LOOK_MILLIS, SEEN_MILLIS, SETTLE_MILLIS};
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::NodeId;
use serde_json::{Value, json};

/// What a driver is asked for in a step.
fn asked(outcomes: &[Outcome]) -> Vec<(OperationId, NodeId, PowerOperation)> {
    let of = |outcome: &Outcome| match outcome {
        Outcome::Power(id, node, action) => Some((*id, *node, PowerOperation::Do(*action))),
        Outcome::Beside(id, node, operation) => Some((*id, *node, *operation)),
        _ => None,
    };
    outcomes.iter().filter_map(of).collect()
}

/// All that is asked for within some seconds, with the time of each.
fn within(lab: &mut Lab, seconds: u64) -> Vec<(u64, OperationId, NodeId, PowerOperation)> {
    let mut all = Vec::new();
    for _ in 0..seconds {
        lab.now += 1000;
        // A step does what is due for one node.
        for _ in 0..20 {
            let outcomes = lab.step(Input::Tick);
            let now = lab.now;
            all.extend(
                asked(&outcomes)
                    .into_iter()
                    .map(|(id, node, op)| (now, id, node, op)),
            );
        }
    }
    all
}

/// The first that is asked for within some seconds.
fn next(lab: &mut Lab, seconds: u64) -> (u64, OperationId, NodeId, PowerOperation) {
    for _ in 0..seconds {
        if let Some(first) = within(lab, 1).first() {
            return *first;
        }
    }
    panic!("nothing is asked for within {seconds} s");
}

/// The operation that the first node's driver works on.
fn current(lab: &Lab) -> OperationId {
    let operation = lab.node(0).power_control.operation();
    operation.expect("an operation")
}

fn done(lab: &mut Lab, id: OperationId, result: Result<(), OperationError>) -> Vec<Outcome> {
    lab.step(Input::OperationDone { id, result })
}

fn see(lab: &mut Lab, node: NodeId, power: PowerState) {
    lab.step(Input::Observed { node, power });
}

/// A node with a BMC that is nobody's yet.
fn with_bmc(lab: &mut Lab, name: &str) -> NodeId {
    let body = json!({"driver": "ipmi", "name": name, "driver_info": {
        "ipmi_address": "10.0.0.9", "ipmi_username": "admin", "ipmi_password": "geheim"}});
    let reply = post(lab, "/v1/nodes", body);
    assert_eq!(reply.status, 201, "{}", reply.body);
    lab.rack().nodes().last().unwrap().id
}

/// A tenant's machine with a BMC.
fn active() -> (Lab, NodeId) {
    let mut lab = active_lab();
    let path = format!("/v1/nodes/{}", id(&lab, 0));
    let set = |key: &str, value: Value| json!({"op": "add", "path": key, "value": value});
    let patch = json!([
        set("/name", "rack-1".into()),
        set("/maintenance", true.into()),
        set("/driver", "redfish".into()),
        set("/driver_info/redfish_address", "https://10.0.0.9".into()),
        set("/driver_info/redfish_username", "root".into()),
        set("/driver_info/redfish_password", "geheim".into()),
    ]);
    let reply = call(&mut lab, "PATCH", &path, &patch.to_string());
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(
        call(&mut lab, "DELETE", "/v1/nodes/rack-1/maintenance", "").status,
        202
    );
    let node = lab.node(0).id;
    (lab, node)
}

fn internal(lab: &mut Lab, name: &str) -> Value {
    get(lab, &format!("/v1/nodes/{name}"))["driver_internal_info"].clone()
}

fn power_state(lab: &mut Lab, name: &str) -> Value {
    get(lab, &format!("/v1/nodes/{name}"))["power_state"].clone()
}

#[test]
fn a_machine_is_looked_at_every_five_minutes() {
    let mut lab = Lab::new();
    let node = with_bmc(&mut lab, "db-1");
    let mut last: Option<u64> = None;
    for _ in 0..5 {
        let (at, id, of, operation) = next(&mut lab, 340);
        assert_eq!((of, operation), (node, PowerOperation::Look));
        if let Some(last) = last {
            let pause = at - last;
            assert!(pause.abs_diff(LOOK_MILLIS) < 20_000, "{pause} ms");
        }
        last = Some(at);
        see(&mut lab, node, PowerState::Off);
        done(&mut lab, id, Ok(()));
        assert_eq!(power_state(&mut lab, "db-1"), "power off");
        assert!(internal(&mut lab, "db-1").get("bmc_error").is_none());
    }
}

#[test]
fn nobody_looks_where_nothing_can_be_seen() {
    let mut lab = Lab::new();
    for (name, body) in [
        ("a", json!({"driver": "manual", "name": "a"})),
        ("b", json!({"driver": "wol", "name": "b"})),
        // Its settings are not complete.
        ("c", json!({"driver": "ipmi", "name": "c"})),
    ] {
        assert_eq!(post(&mut lab, "/v1/nodes", body).status, 201, "{name}");
    }
    assert_eq!(within(&mut lab, 1000), []);
    // Who completes them is looked for at once.
    let patch = json!([
        {"op": "add", "path": "/driver_info/ipmi_address", "value": "10.0.0.9"},
        {"op": "add", "path": "/driver_info/ipmi_password", "value": "geheim"},
    ]);
    let reply = call(&mut lab, "PATCH", "/v1/nodes/c", &patch.to_string());
    assert_eq!(reply.status, 200, "{}", reply.body);
    let found = within(&mut lab, 10);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].3, PowerOperation::Look);
}

#[test]
fn a_restart_does_not_ask_all_at_once() {
    let mut lab = Lab::new();
    for number in 0..8 {
        with_bmc(&mut lab, &format!("db-{number}"));
    }
    lab.restart(0);
    let mut times = std::collections::BTreeSet::new();
    for _ in 0..60 {
        for (at, id, ..) in within(&mut lab, 1) {
            times.insert(at);
            done(&mut lab, id, Ok(()));
        }
    }
    assert!(times.len() > 4, "{times:?}");
}

#[test]
fn a_silent_bmc_fails_no_node_and_is_asked_ever_more_rarely() {
    let (mut lab, node) = active();
    see(&mut lab, node, PowerState::On);
    let mut times = Vec::new();
    for _ in 0..4000 {
        for (at, id, ..) in within(&mut lab, 1) {
            times.push(at);
            done(&mut lab, id, Err(OperationError::Unreachable));
        }
    }
    let pauses: Vec<u64> = times.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses.len() > 5, "{pauses:?}");
    assert!(pauses[0] < 60_000, "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause < SETTLE_MILLIS + 60_000));
    let growing = pauses.windows(2).take(4).all(|two| two[0] < two[1]);
    assert!(growing, "{pauses:?}");
    assert_eq!(lab.node(0).state, ProvisionState::Active);
    assert_eq!(lab.node(0).last_error, "");
    assert!(!lab.node(0).flags.contains(Flags::MAINTENANCE));
    let shown = internal(&mut lab, "rack-1");
    assert_eq!(shown["bmc_error"], "does not answer");
    let silent = shown["bmc_silent_seconds"].as_u64().unwrap();
    assert!((3900..=4000).contains(&silent), "{silent}");
    assert!(shown["power_seen_seconds"].as_u64().unwrap() > SEEN_MILLIS / 1000);
    assert_eq!(power_state(&mut lab, "rack-1"), Value::Null);
    assert!(lab.rack().counters().look_failures >= 6);
    // It answers again.
    let (_, id, ..) = next(&mut lab, 700);
    see(&mut lab, node, PowerState::On);
    done(&mut lab, id, Ok(()));
    let shown = internal(&mut lab, "rack-1");
    assert!(shown.get("bmc_error").is_none(), "{shown}");
    assert_eq!(power_state(&mut lab, "rack-1"), "power on");
}

#[test]
fn a_driver_without_an_answer_counts_as_silent() {
    let (mut lab, _) = active();
    let first = within(&mut lab, 10);
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(within(&mut lab, 25), [], "it has its time");
    let again = within(&mut lab, 60);
    assert_eq!(again.len(), 1, "{again:?}");
    let (_, late, ..) = first[0];
    done(&mut lab, late, Ok(()));
    let shown = internal(&mut lab, "rack-1");
    assert_eq!(
        shown["bmc_error"], "does not answer",
        "the answer was too late"
    );
}

#[test]
fn what_was_seen_is_forgotten_after_a_quarter_of_an_hour() {
    let (mut lab, node) = active();
    see(&mut lab, node, PowerState::On);
    lab.now += SEEN_MILLIS;
    assert_eq!(power_state(&mut lab, "rack-1"), "power on");
    lab.now += 1000;
    assert_eq!(power_state(&mut lab, "rack-1"), Value::Null);
    // A person sees nothing again and again: what was seen last is all there is.
    let mut lab = rack();
    lab.now += 10 * SEEN_MILLIS;
    assert_eq!(power_state(&mut lab, "rack-1"), "power on");
}

#[test]
fn a_tenants_machine_that_is_off_is_told_and_left_alone() {
    let (mut lab, node) = active();
    see(&mut lab, node, PowerState::On);
    see(&mut lab, node, PowerState::Off);
    let error = lab.node(0).last_error.clone();
    assert!(error.contains("found switched off"), "{error}");
    let history = get(&mut lab, "/v1/nodes/rack-1/history");
    let entries = history["history"].as_array().unwrap();
    let found = entries
        .iter()
        .filter(|entry| entry["severity"] == "WARNING");
    let found: Vec<_> = found.collect();
    assert_eq!(found.len(), 1, "{history}");
    assert!(found[0]["event"].as_str().unwrap().starts_with("found off"));
    for (_, id, _, operation) in within(&mut lab, 900) {
        assert_eq!(operation, PowerOperation::Look);
        see(&mut lab, node, PowerState::Off);
        done(&mut lab, id, Ok(()));
    }
    assert_eq!(lab.node(0).state, ProvisionState::Active);
    let history = get(&mut lab, "/v1/nodes/rack-1/history");
    let again = history["history"].as_array().unwrap().len();
    assert_eq!(again, entries.len(), "it is told once");
    lab.restart(0);
    let history = get(&mut lab, "/v1/nodes/rack-1/history");
    assert!(history.to_string().contains("found off"));
}

#[test]
fn who_asks_for_it_gets_no_alarm() {
    let (mut lab, node) = active();
    see(&mut lab, node, PowerState::On);
    let body = json!({"target": "power off"}).to_string();
    let reply = call(&mut lab, "PUT", "/v1/nodes/rack-1/states/power", &body);
    assert_eq!(reply.status, 202);
    let off = current(&lab);
    done(&mut lab, off, Ok(()));
    // A look comes soon, as the machine is awaited to be off.
    let looks = within(&mut lab, 40);
    assert!(
        looks.iter().any(|(.., op)| *op == PowerOperation::Look),
        "{looks:?}"
    );
    see(&mut lab, node, PowerState::Off);
    lab.pass(2);
    assert_eq!(lab.node(0).power_request, None);
    assert_eq!(lab.node(0).last_error, "");
}

#[test]
fn a_look_ends_before_the_machine_is_switched() {
    let (mut lab, _) = active();
    let first = within(&mut lab, 10);
    let (_, look, _, PowerOperation::Look) = first[0] else {
        panic!("{first:?}");
    };
    let body = json!({"target": "power off"}).to_string();
    let reply = call(&mut lab, "PUT", "/v1/nodes/rack-1/states/power", &body);
    assert_eq!(reply.status, 202);
    assert_eq!(within(&mut lab, 5), [], "one at a time");
    let then = asked(&done(&mut lab, look, Err(OperationError::Unreachable)));
    let [(off, _, PowerOperation::Do(PowerAction::Off))] = then[..] else {
        panic!("{then:?}");
    };
    done(&mut lab, off, Ok(()));
}

#[test]
fn a_boot_device_is_set_and_read_back() {
    let (mut lab, node) = active();
    let path = "/v1/nodes/rack-1/management/boot_device";
    assert_eq!(
        get(&mut lab, path),
        json!({"boot_device": null, "persistent": null})
    );
    assert_eq!(
        get(&mut lab, &format!("{path}/supported")),
        json!({"supported_boot_devices": ["pxe", "disk"]})
    );
    let body = json!({"boot_device": "pxe", "persistent": true}).to_string();
    assert_eq!(call(&mut lab, "PUT", path, &body).status, 204);
    let choice = BootChoice::new(BootDevice::Network, true);
    let set = PowerOperation::SetBoot(choice);
    assert_eq!(get(&mut lab, path)["wanted"]["boot_device"], "pxe");
    let id = current(&lab);
    // A BMC that is busy is told later.
    done(&mut lab, id, Err(OperationError::Busy));
    let (_, id, _, operation) = next(&mut lab, 10);
    assert_eq!(operation, set);
    let boot = Some(choice);
    lab.step(Input::BootObserved { node, boot });
    done(&mut lab, id, Ok(()));
    lab.now += 3000;
    assert_eq!(
        get(&mut lab, path),
        json!({"boot_device": "pxe", "persistent": true, "seen_seconds": 3})
    );
    // One that the BMC does not take is not asked for again.
    let body = json!({"boot_device": "disk"}).to_string();
    assert_eq!(call(&mut lab, "PUT", path, &body).status, 204);
    let id = current(&lab);
    done(&mut lab, id, Err(OperationError::Refused));
    assert!(lab.node(0).last_error.contains("boot device"));
    assert!(get(&mut lab, path).get("wanted").is_none());
    let body = json!({"boot_device": "cdrom"}).to_string();
    assert_eq!(call(&mut lab, "PUT", path, &body).status, 400);
    let events = get(&mut lab, "/v1/nodes/rack-1/history").to_string();
    assert!(events.contains("boot device pxe for good"), "{events}");
}

#[test]
fn a_machine_is_interrupted_once() {
    let (mut lab, _) = active();
    let path = "/v1/nodes/rack-1/management/inject_nmi";
    let reply = call(&mut lab, "PUT", path, "{}");
    assert_eq!(reply.status, 204, "{}", reply.body);
    let id = current(&lab);
    done(&mut lab, id, Err(OperationError::Refused));
    assert!(lab.node(0).last_error.contains("interrupt"));
    let more = within(&mut lab, 900);
    assert!(
        more.iter().all(|(.., op)| *op != PowerOperation::Nmi),
        "{more:?}"
    );
}

#[test]
fn drivers_without_a_bmc_manage_nothing() {
    let mut lab = rack();
    for (path, body) in [
        ("boot_device", json!({"boot_device": "pxe"})),
        ("inject_nmi", json!({})),
    ] {
        let path = format!("/v1/nodes/rack-1/management/{path}");
        let reply = call(&mut lab, "PUT", &path, &body.to_string());
        assert_eq!(reply.status, 400, "{}", reply.body);
        assert!(
            reply.fault().contains("ipmi and redfish"),
            "{}",
            reply.fault()
        );
    }
    let supported = "/v1/nodes/rack-1/management/boot_device/supported";
    assert_eq!(
        get(&mut lab, supported),
        json!({"supported_boot_devices": []})
    );
}

#[test]
fn the_rack_wakes_up_for_a_look() {
    let mut lab = Lab::new();
    with_bmc(&mut lab, "db-1");
    lab.pass(5);
    let now = Instant::from_millis(lab.now);
    assert!(lab.rack().wake_at().since(now) < 60_000);
}
