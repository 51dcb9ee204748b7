//! Interfaces of nodes, which the API calls ports: what an operator says of them.

use crate::api_rig::{call, get};
use crate::common::*;
use crate::ports::*;
use farrier_dhcp::wire::{ArchList, Request};
use farrier_lifecycle::Verb;
use serde_json::{Value, json};

/// The first node, and the path of its port.
fn port(lab: &mut Lab) -> (Value, String) {
    let port = get(lab, "/v1/ports/detail")["ports"][0].clone();
    let path = format!("/v1/ports/{}", port["uuid"].as_str().unwrap());
    (port["node_uuid"].clone(), path)
}

/// A BIOS asks what to boot.
fn bios(request: &mut Request<'_>) {
    request.class_id = Some(b"PXEClient:Arch:00000:UNDI:002001");
    request.arch_list = ArchList(&[0, 0]);
}

fn patch(lab: &mut Lab, path: &str, fields: &[(&str, Value)]) -> u16 {
    let operations: Vec<_> = fields
        .iter()
        .map(|(field, value)| json!({"op": "add", "path": format!("/{field}"), "value": value}))
        .collect();
    call(lab, "PATCH", path, &json!(operations).to_string()).status
}

#[test]
fn a_machine_does_not_boot_by_an_interface_that_an_operator_has_taken_out() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    let (_, path) = port(&mut lab);
    assert_eq!(get(&mut lab, &path)["pxe_enabled"], true);
    let boots = |lab: &mut Lab| lab.dhcp(1, bios).expect("an address").file.is_some();
    assert!(boots(&mut lab));
    let off = [
        ("pxe_enabled", json!(false)),
        ("physical_network", json!("rack-1")),
    ];
    assert_eq!(patch(&mut lab, &path, &off), 200);
    for _ in 0..2 {
        let shown = get(&mut lab, &path);
        assert_eq!(shown["pxe_enabled"], false);
        assert_eq!(shown["physical_network"], "rack-1");
        assert!(!boots(&mut lab), "an address and no boot file");
        lab.restart(0);
    }
    assert_eq!(patch(&mut lab, &path, &[("pxe_enabled", json!(true))]), 200);
    assert!(boots(&mut lab));
    assert_eq!(get(&mut lab, &path)["physical_network"], "rack-1");
    for (field, value) in [
        ("pxe_enabled", json!("perhaps")),
        ("physical_network", json!("two words")),
        ("physical_network", json!("x".repeat(41))),
        ("address", json!("52:54:00:00:00:02")),
    ] {
        assert_eq!(patch(&mut lab, &path, &[(field, value)]), 400, "{field}");
    }
}

#[test]
fn a_port_is_made_with_all_that_is_said_of_it_or_not_at_all() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    let (node, _) = port(&mut lab);
    let group = json!({"node_uuid": node, "address": "52:54:00:00:00:01", "name": "bond0"});
    let group = call(&mut lab, "POST", "/v1/portgroups", &group.to_string()).body;
    let new = |number: u8, group: &Value, switch: &str| {
        json!({
            "node_uuid": node, "address": format!("52:54:00:00:00:{number:02x}"),
            "pxe_enabled": false, "physical_network": "rack-1", "portgroup_uuid": group,
            "local_link_connection": {"switch_info": switch, "port_id": format!("xe-0/0/{number}")},
        })
        .to_string()
    };
    let ports = |lab: &mut Lab| get(lab, "/v1/ports")["ports"].as_array().unwrap().len();
    let other = json!("00000000-0000-8000-8000-000000000001");
    for (group, switch) in [
        (&group["uuid"], "elsewhere"),
        (&other, "tor"),
        (&group["uuid"], ""),
    ] {
        let reply = call(&mut lab, "POST", "/v1/ports", &new(2, group, switch));
        assert!(reply.status >= 400, "{}", reply.body);
        assert_eq!(ports(&mut lab), 1, "{}", reply.body);
    }
    let made = call(
        &mut lab,
        "POST",
        "/v1/ports",
        &new(2, &group["uuid"], "tor"),
    )
    .body;
    assert_eq!(made["portgroup_uuid"], group["uuid"]);
    assert_eq!(
        (&made["pxe_enabled"], &made["physical_network"]),
        (&json!(false), &json!("rack-1"))
    );
    let only = |lab: &mut Lab, query: &str| {
        let all = get(lab, &format!("/v1/ports?{query}"))["ports"].clone();
        let all = all.as_array().unwrap().iter();
        all.map(|port| port["address"].clone()).collect::<Vec<_>>()
    };
    let second = json!("52:54:00:00:00:02");
    assert_eq!(
        only(&mut lab, "portgroup=bond0"),
        std::slice::from_ref(&second)
    );
    assert_eq!(only(&mut lab, "address=52:54:00:00:00:02"), [second]);
    assert_eq!(
        only(&mut lab, "address=52:54:00:00:00:03"),
        [json!(null); 0]
    );

    // Deleted and made anew it is like any other.
    let path = format!("/v1/ports/{}", made["uuid"].as_str().unwrap());
    lab.verb(0, Verb::Manage).unwrap();
    assert_eq!(call(&mut lab, "DELETE", &path, "").status, 204);
    let plain = json!({"node_uuid": node, "address": "52:54:00:00:00:02"}).to_string();
    let made = call(&mut lab, "POST", "/v1/ports", &plain).body;
    assert_eq!(
        (&made["pxe_enabled"], &made["physical_network"]),
        (&json!(true), &json!(null))
    );
}

#[test]
fn a_port_group_gets_another_name_and_another_mode() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    let (node, _) = port(&mut lab);
    let group = json!({"node_uuid": node, "address": "52:54:00:00:00:01", "name": "bond0"});
    assert_eq!(
        call(&mut lab, "POST", "/v1/portgroups", &group.to_string()).status,
        201
    );
    let bond = "/v1/portgroups/bond0";
    let both = [("name", json!("uplink")), ("mode", json!("802.3ad"))];
    assert_eq!(patch(&mut lab, bond, &both), 200);
    lab.restart(0);
    let shown = get(&mut lab, "/v1/portgroups/uplink");
    assert_eq!(
        (&shown["name"], &shown["mode"]),
        (&json!("uplink"), &json!("802.3ad"))
    );
    for (field, value) in [
        ("mode", json!("balance-rr")),
        ("address", json!("52:54:00:00:00:02")),
        ("standalone_ports_supported", json!(false)),
    ] {
        let path = "/v1/portgroups/uplink";
        assert_eq!(patch(&mut lab, path, &[(field, value)]), 400, "{field}");
    }
}
