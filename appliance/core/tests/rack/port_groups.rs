//! Port groups: two cards of a machine move together, either one proves it, and a
//! tenant's system has one address.

use crate::api_rig::{call, get};
use crate::common::*;
use crate::ports::*;
use farrier_core::Command;
use farrier_core::Input;
use farrier_core::interface::{GroupMode, InterfacePatch};
use farrier_lifecycle::Verb;
use farrier_testkit::lab::LabPort;
use serde_json::json;

const SECOND: &str = "xe-0/0/2";

/// An available node with two cards in two ports and one group.
fn grouped() -> Lab {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    let node = lab.node(0).id;
    let (mac, port) = (mac_of(2), SECOND);
    let at = LabPort {
        vlan: IDLE,
        link: true,
    };
    switch(&mut lab).ports.insert(port.to_owned(), at);
    lab.operator(Command::CreatePort {
        node,
        mac,
        switch: "tor",
        port,
        patch: InterfacePatch::default(),
        group: None,
    })
    .unwrap();
    lab.step(Input::Seen { mac, vlan: IDLE });
    lab.operator(Command::CreatePortGroup {
        node,
        address: mac_of(1),
        mode: GroupMode::Lacp,
        name: "bond0",
    })
    .unwrap();
    for mac in [mac_of(1), mac_of(2)] {
        let group = Some(mac_of(1));
        lab.operator(Command::GroupPort { mac, group }).unwrap();
    }
    lab.pass(5);
    lab
}

fn at(lab: &mut Lab, port: &str) -> u16 {
    switch(lab).ports[port].vlan
}

#[test]
fn the_cards_of_a_group_move_together_and_one_of_them_proves_it() {
    let mut lab = grouped();
    lab.restart(0);
    lab.pass(5);
    for mac in [mac_of(1), mac_of(2)] {
        lab.step(Input::Seen { mac, vlan: IDLE });
    }
    let node = lab.node(0).id;
    let network = "blue";
    lab.operator(Command::AttachVif { node, network }).unwrap();
    assert!(lab.rack().ports().all().iter().all(|port| port.vif != 0));
    let again = lab.operator(Command::AttachVif { node, network });
    assert_eq!(again, Err("NoFreePort".to_owned()));
    let addresses: Vec<_> = lab.rack().ipam().entries().iter().map(|e| e.mac).collect();
    assert_eq!(addresses, [mac_of(1)], "one address, the group's");
    lab.set_image(0, "debian12").unwrap();
    lab.verb(0, Verb::Active).unwrap();
    lab.pass(3);
    assert_eq!(
        [at(&mut lab, PORT), at(&mut lab, SECOND)],
        [PROVISIONING; 2]
    );
    // The machine boots by its second card.
    let mac = mac_of(2);
    lab.step(Input::Seen {
        mac,
        vlan: PROVISIONING,
    });
    lab.pass(3);
    for port in lab.rack().ports().all() {
        assert_eq!((port.at, port.to), (PROVISIONING, 0), "{}", port.name);
    }
}

#[test]
fn a_group_is_made_filled_and_deleted_by_the_api() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    with_switch(&mut lab);
    let ports = get(&mut lab, "/v1/ports/detail");
    let port = &ports["ports"][0];
    let (node, address) = (port["node_uuid"].clone(), port["address"].clone());
    let path = format!("/v1/ports/{}", port["uuid"].as_str().unwrap());
    let new = |mode: &str| {
        json!({"node_uuid": node, "address": address, "name": "bond0", "mode": mode}).to_string()
    };
    for (mode, status) in [("balance-rr", 400), ("802.3ad", 201), ("802.3ad", 409)] {
        let reply = call(&mut lab, "POST", "/v1/portgroups", &new(mode));
        assert_eq!(reply.status, status, "{mode}: {}", reply.body);
    }
    let group = get(&mut lab, "/v1/portgroups/bond0");
    assert_eq!(group["mode"], "802.3ad");
    assert_eq!(
        get(&mut lab, "/v1/portgroups")["portgroups"],
        json!([group])
    );
    let put = |value: &serde_json::Value| {
        json!([{"op": "add", "path": "/portgroup_uuid", "value": value}]).to_string()
    };
    let reply = call(&mut lab, "PATCH", &path, &put(&group["uuid"]));
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(get(&mut lab, &path)["portgroup_uuid"], group["uuid"]);
    let one = format!("/v1/portgroups/{}", group["uuid"].as_str().unwrap());
    assert_eq!(call(&mut lab, "DELETE", &one, "").status, 409);
    let out = r#"[{"op": "remove", "path": "/portgroup_uuid"}]"#;
    assert_eq!(call(&mut lab, "PATCH", &path, out).status, 200);
    assert_eq!(call(&mut lab, "DELETE", &one, "").status, 204);
    assert_eq!(get(&mut lab, "/v1/portgroups"), json!({"portgroups": []}));
}
