//! Power through the API, and what a node's history shows.

use crate::api_rig::*;
use crate::common::*;
use farrier_core::Input;
use farrier_core::interface::PowerState;
use farrier_lifecycle::{ProvisionState, Verb};
use serde_json::{Value, json};

fn power(lab: &mut Lab, target: Value) -> Reply {
    let body = json!({ "target": target }).to_string();
    call(lab, "PUT", "/v1/nodes/rack-1/states/power", &body)
}

fn states(lab: &mut Lab) -> (Value, Value) {
    let states = get(lab, "/v1/nodes/rack-1/states");
    (
        states["power_state"].clone(),
        states["target_power_state"].clone(),
    )
}

#[test]
fn power_is_requested_until_it_is_observed() {
    for (target, wanted) in [
        ("power off", "power off"),
        ("rebooting", "power on"),
        ("soft power off", "power off"),
        ("soft rebooting", "power on"),
    ] {
        let mut lab = rack();
        let reply = power(&mut lab, target.into());
        assert_eq!(reply.status, 202, "{target}: {}", reply.body);
        assert_eq!(states(&mut lab).1, wanted, "{target}");
    }
    let mut lab = rack();
    // It runs already.
    assert_eq!(power(&mut lab, "power on".into()).status, 202);
    assert_eq!(states(&mut lab), ("power on".into(), Value::Null));
    power(&mut lab, "power off".into());
    lab.step(Input::Observed {
        node: lab.node(0).id,
        power: PowerState::Off,
    });
    assert_eq!(states(&mut lab), ("power off".into(), Value::Null));
}

#[test]
fn other_power_targets_are_refused() {
    let mut lab = rack();
    for target in [json!("power cycle"), json!(""), json!(7), Value::Null] {
        let reply = power(&mut lab, target.clone());
        assert_eq!(reply.status, 400, "{target}");
        assert!(
            reply.fault().starts_with("Node rack-1: "),
            "{}",
            reply.fault()
        );
        assert!(
            reply.fault().contains("soft rebooting"),
            "{}",
            reply.fault()
        );
    }
    assert_eq!(states(&mut lab).1, Value::Null);
    let reply = call(&mut lab, "PUT", "/v1/nodes/nobody/states/power", "{}");
    assert_eq!(reply.status, 404);
}

#[test]
fn a_history_shows_who_did_what_when() {
    let mut lab = rack();
    lab.verb(0, Verb::Provide).unwrap();
    lab.pass(2000);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    power(&mut lab, "power off".into());
    let maintenance = "/v1/nodes/rack-1/maintenance";
    for _ in 0..2 {
        // What was so before is not in the history again.
        assert_eq!(call(&mut lab, "DELETE", maintenance, "").status, 202);
    }
    let history = get(&mut lab, "/v1/nodes/rack-1/history");
    let entries = history["history"].as_array().unwrap();
    let find = |event: &str| {
        let mut all = entries.iter();
        let begins = |entry: &&Value| entry["event"].as_str().unwrap().starts_with(event);
        all.find(begins)
            .unwrap_or_else(|| panic!("{event} in {history}"))
    };
    let provide = find("provide: manageable to ");
    assert_eq!(provide["user"], "operator");
    assert_eq!(provide["severity"], "INFO");
    assert_eq!(provide["event_type"], "provisioning");
    assert_eq!(provide["conductor"], "farrier");
    assert_eq!(provide["created_at"], Value::Null);
    assert_eq!(provide["from"], "manageable");
    let failed = entries
        .iter()
        .find(|entry| entry["to"] == "clean failed")
        .unwrap();
    assert_eq!(
        (&failed["severity"], &failed["user"]),
        (&json!("ERROR"), &Value::Null)
    );
    let off = find("power off: ");
    assert_eq!(
        (&off["event_type"], &off["user"]),
        (&json!("power"), &json!("operator"))
    );
    assert_eq!(off["reason"], "an operator asked for it");
    let flags = entries.iter().filter(|entry| entry["event_type"] == "flag");
    let flags: Vec<_> = flags.map(|entry| &entry["event"]).collect();
    assert_eq!(
        flags,
        [&json!("maintenance cleared: an operator asked for it")]
    );
    assert!(failed["start_seconds"].as_u64() <= off["start_seconds"].as_u64());

    for entry in entries {
        let link = entry["links"][0]["href"].as_str().unwrap().to_owned();
        assert!(link.ends_with(entry["uuid"].as_str().unwrap()));
        assert_eq!(get(&mut lab, &link), *entry);
    }
    let mut uuids: Vec<_> = entries.iter().map(|entry| entry["uuid"].as_str()).collect();
    uuids.sort_unstable();
    uuids.dedup();
    assert_eq!(uuids.len(), entries.len());

    lab.restart(0);
    let after = get(&mut lab, "/v1/nodes/rack-1/history");
    let after = after["history"].as_array().unwrap();
    assert!(entries.iter().skip(1).all(|entry| after.contains(entry)));
    let reply = call(&mut lab, "GET", "/v1/nodes/rack-1/history/7", "");
    assert_eq!(reply.status, 404);
}

#[test]
fn a_history_is_paged() {
    let mut lab = rack();
    let all = get(&mut lab, "/v1/nodes/rack-1/history")["history"].clone();
    let mut next = "/v1/nodes/rack-1/history?limit=1".to_owned();
    let mut paged = Vec::new();
    loop {
        let page = get(&mut lab, &next);
        paged.extend(page["history"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(link) => next = link.to_owned(),
            None => break,
        }
    }
    assert!(paged.len() > 1);
    assert_eq!(Value::from(paged), all);
}
