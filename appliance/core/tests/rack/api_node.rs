//! A node as the API shows it, field by field and in every kind of state.

use crate::api_rig::*;
use crate::common::*;
use farrier_core::node::flags::AdminFlag;
use farrier_lifecycle::{ProvisionState, Verb};
use serde_json::{Value, json};

fn node(lab: &mut Lab) -> Value {
    get(lab, "/v1/nodes/rack-1")
}

#[test]
fn every_field_of_a_node_at_rest() {
    let mut lab = rack();
    lab.now += 7_000;
    let uuid = id(&lab, 0);
    let seconds = (lab.now - lab.node(0).since.millis()) / 1000;
    assert!(seconds > 7);
    let expected = json!({
        "uuid": uuid,
        "name": "rack-1",
        "provision_state": "manageable",
        "target_provision_state": null,
        "power_state": "power on",
        "target_power_state": null,
        "last_error": null,
        "instance_uuid": null,
        "instance_info": {},
        "allocation_uuid": null,
        "driver": "manual",
        "driver_info": {},
        "driver_internal_info": {
            "reason": "the hardware is known",
            "state_seconds": seconds,
            "agent_is_live": true,
            "last_hop": "first order",
            "network_warning": "flat: no port of this node is in a known switch, so it stays on \
                one network while it is cleaned and deployed and while a tenant uses it. Set \
                local_link_connection of its ports",
        },
        "properties": {"cpus": 2, "cpu_arch": "x86_64", "memory_mb": 970, "local_gb": 20},
        "conductor": "farrier",
        "conductor_group": "",
        "reservation": null,
        "maintenance": false,
        "maintenance_reason": null,
        "fault": null,
        "protected": false,
        "protected_reason": null,
        "retired": false,
        "retired_reason": null,
        "boot_mode": "bios",
        "secure_boot": null,
        "console_enabled": false,
        "automated_clean": true,
        "traits": [],
        "resource_class": null,
        "clean_step": {},
        "deploy_step": {},
        "service_step": {},
        "extra": {},
        "raid_config": {},
        "target_raid_config": {},
        "network_data": {},
        "boot_interface": "ipxe",
        "deploy_interface": "direct",
        "inspect_interface": "agent",
        "management_interface": "noop",
        "network_interface": "noop",
        "power_interface": "manual",
        "storage_interface": "noop",
        "bios_interface": "no-bios",
        "console_interface": "no-console",
        "firmware_interface": "no-firmware",
        "raid_interface": "no-raid",
        "rescue_interface": "no-rescue",
        "vendor_interface": "no-vendor",
        "description": null,
        "owner": null,
        "lessee": null,
        "shard": null,
        "chassis_uuid": null,
        "parent_node": null,
        "created_at": null,
        "updated_at": null,
        "provision_updated_at": null,
        "inspection_started_at": null,
        "inspection_finished_at": null,
        "links": [{"href": format!("/v1/nodes/{uuid}"), "rel": "self"}],
    });
    assert_eq!(node(&mut lab), expected);
}

#[test]
fn the_step_of_the_work_at_hand_and_until_when() {
    let mut lab = available();
    let steps = |lab: &mut Lab| {
        let shown = node(lab);
        ["clean_step", "deploy_step", "service_step"].map(|key| {
            let step = shown[key]["step"].as_str().unwrap_or("");
            step.to_owned()
        })
    };
    lab.set_image(0, "debian12").unwrap();
    let body = r#"{"target": "active", "deploy_steps": [{"step": "hold", "priority": 150}]}"#;
    assert_eq!(put(&mut lab, "rack-1", body).status, 202);
    assert_eq!(steps(&mut lab), ["", "hold", ""]);
    lab.now += 100_000;
    let shown = node(&mut lab);
    let info = &shown["driver_internal_info"];
    let deadline = lab.node(0).deadline.unwrap().millis();
    assert_eq!(info["deadline_seconds"], (deadline - lab.now) / 1000);
    assert_eq!(info["next_hop"], "dhcp discover");
    assert_eq!(info["next_hop_seconds"], 800);
    assert_eq!(info["state_seconds"], 100);
    assert_eq!(shown["reservation"], Value::Null, "a machine is waited for");

    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut agent, 5);
    assert_eq!(lab.state(0), ProvisionState::DeployHold);
    lab.verb(0, Verb::Unhold).unwrap();
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), ProvisionState::Active);
    assert_eq!(steps(&mut lab), ["", "", ""]);
    lab.mark(AdminFlag::Protected, true, "").unwrap();
    assert_eq!(node(&mut lab)["protected"], true);
    lab.mark(AdminFlag::Protected, false, "").unwrap();

    let body = r#"{"target": "service", "service_steps": [{"step": "hold"}]}"#;
    assert_eq!(put(&mut lab, "rack-1", body).status, 202);
    assert_eq!(steps(&mut lab), ["", "", "hold"]);
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.run(&mut agent, 5);
    assert_eq!(lab.state(0), ProvisionState::ServiceHold);
}

#[test]
fn fault_has_a_reason() {
    let mut lab = rack();
    put(&mut lab, "rack-1", r#"{"target": "provide"}"#);
    assert_eq!(node(&mut lab)["clean_step"]["step"], "erase_devices");
    lab.pass(200);
    lab.verb(0, Verb::Abort).unwrap();
    let shown = node(&mut lab);
    assert_eq!(shown["fault"], "clean failure");
    let reason = shown["maintenance_reason"].as_str().unwrap();
    assert!(reason.contains("former tenant"), "{reason}");
    lab.mark(AdminFlag::Maintenance, false, "").unwrap();

    lab.restart(1);
    lab.pass(1);
    let shown = node(&mut lab);
    assert_eq!(shown["fault"], "records lost");
    let reason = shown["maintenance_reason"].as_str().unwrap();
    assert!(reason.contains("has lost records"), "{reason}");
}

#[test]
fn an_instance_is_an_allocations_or_nobodys() {
    let mut lab = available();
    let instance = "11111111-2222-4333-8444-555555555555";
    let patch = json!([{"op": "add", "path": "/instance_uuid", "value": instance}]);
    let reply = call(&mut lab, "PATCH", "/v1/nodes/rack-1", &patch.to_string());
    assert_eq!(reply.status, 200);
    let shown = node(&mut lab);
    assert_eq!(shown["instance_uuid"], instance);
    assert_eq!(shown["allocation_uuid"], Value::Null);
}

#[test]
fn what_a_node_comes_from_and_goes_to_is_shown() {
    let mut lab = rack();
    let shown = node(&mut lab);
    assert_eq!(shown["target_provision_state"], Value::Null);
    assert_eq!(shown["last_error"], Value::Null);
    put(&mut lab, "rack-1", r#"{"target": "provide"}"#);
    assert_eq!(node(&mut lab)["target_provision_state"], "available");
    lab.pass(1900);
    let shown = node(&mut lab);
    assert_eq!(shown["provision_state"], "clean failed");
    let error = shown["last_error"].as_str().unwrap();
    assert!(error.contains("took too long"), "{error}");
}

#[test]
fn each_admin_flag_shows_its_own_reason() {
    let mut lab = active_lab();
    for (mark, on, why) in [
        (AdminFlag::Protected, "protected", "protected_reason"),
        (AdminFlag::Retired, "retired", "retired_reason"),
        (AdminFlag::Maintenance, "maintenance", "maintenance_reason"),
    ] {
        lab.mark(mark, true, why).unwrap();
        let target = format!("/v1/nodes/{}", id(&lab, 0));
        let shown = get(&mut lab, &target);
        assert_eq!((&shown[on], &shown[why]), (&json!(true), &json!(why)));
    }
}

#[test]
fn properties_are_empty_before_the_inspection() {
    let mut lab = rack();
    let target = format!("/v1/nodes/{}", id(&lab, 1));
    for key in ["cpus", "cpu_arch", "memory_mb", "local_gb"] {
        assert_eq!(get(&mut lab, &target)["properties"][key], Value::Null);
        assert_ne!(node(&mut lab)["properties"][key], Value::Null);
    }
}

#[test]
fn an_image_may_be_as_large_as_the_largest_disk() {
    for (gib, fits) in [(20, true), (21, false), (400, false)] {
        let mut lab = rack();
        lab.step(farrier_core::Input::Image(
            &farrier_core::interface::Image {
                name: "big".try_into().unwrap(),
                version: 1,
                raw_size: gib * GIB,
                root: [8; 32],
                manifest_path: "/images/big/manifest".try_into().unwrap(),
                data_path: "/images/big/data".try_into().unwrap(),
            },
        ));
        lab.set_image(0, "big").unwrap();
        let deploy = &get(&mut lab, "/v1/nodes/rack-1/validate")["deploy"];
        assert_eq!(deploy["result"], json!(fits), "{gib}: {deploy}");
        let reason = deploy["reason"].as_str().unwrap_or("");
        assert_eq!(reason.contains("larger than every disk"), !fits);
    }
}
