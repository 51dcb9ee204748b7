//! How machines become nodes and find together, are enrolled by hand, and go.

use crate::api_rig::*;
use crate::common::*;
use farrier_core::node::Reason;
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_protocol::message::Mac;
use serde_json::{Value, json};

fn inspect(lab: &mut Lab, agent: &mut Agent) {
    let index = lab
        .rack()
        .find_by_mac(agent.endpoint.mac)
        .expect("a node has this interface");
    lab.verb(index, Verb::Manage).unwrap();
    lab.verb(index, Verb::Inspect).unwrap();
    lab.run(agent, 10);
}

fn macs(lab: &Lab, index: usize) -> Vec<Mac> {
    lab.node(index).macs.to_vec()
}

#[test]
fn the_inventory_joins_nodes_that_are_one_machine() {
    let mut lab = Lab::new();
    lab.discover(2);
    lab.discover(3);
    let mut scripted = ScriptedAgent::with_disks(&[8 * GIB]);
    scripted = scripted.with_nics(&[
        nic(1, "e1000e", 1000),
        nic(2, "e1000e", 1000),
        nic(9, "e1000e", 1000),
    ]);
    let mut agent = lab.start_agent(1, scripted);
    assert_eq!(lab.rack().nodes().len(), 3);
    inspect(&mut lab, &mut agent);
    // The second interface's node is gone, the third's is another machine.
    let own = lab.rack().find_by_mac(mac_of(1)).unwrap();
    assert_eq!(macs(&lab, own), [mac_of(1), mac_of(2), mac_of(9)]);
    assert_eq!(lab.state(own), ProvisionState::Manageable);
    assert!(lab.node(0).is_vacant());
    let list = get(&mut lab, "/v1/nodes");
    assert_eq!(list["nodes"].as_array().unwrap().len(), 2);
    // The next machine takes the place that is free.
    lab.discover(7);
    assert_eq!(lab.rack().find_by_mac(mac_of(7)), Some(0));
    assert_eq!(lab.rack().nodes().len(), 3);
}

#[test]
fn an_inventory_joins_a_few_nodes_and_the_next_one_the_others() {
    let mut lab = Lab::new();
    let others = 2..=6;
    for mac in others.clone() {
        lab.discover(mac);
    }
    let mut scripted = ScriptedAgent::with_disks(&[8 * GIB]);
    scripted = scripted.with_nics(
        &others
            .map(|mac| nic(mac, "e1000e", 1000))
            .collect::<Vec<_>>(),
    );
    let mut agent = lab.start_agent(1, scripted);
    let known = |lab: &Lab| lab.rack().nodes().iter().filter(|n| !n.is_vacant()).count();
    assert_eq!(known(&lab), 6);
    inspect(&mut lab, &mut agent);
    assert_eq!(known(&lab), 3, "three in one step");
    let own = lab.rack().find_by_mac(mac_of(1)).unwrap();
    lab.verb(own, Verb::Inspect).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(known(&lab), 1);
    let own = lab.rack().find_by_mac(mac_of(1)).unwrap();
    assert_eq!(macs(&lab, own).len(), 6);
    assert_eq!(lab.rack().counters().identity_conflicts, 0);
}

#[test]
fn a_twin_is_one_of_the_few_that_are_joined() {
    let mut lab = Lab::new();
    for mac in 2..=5 {
        // One says the UUID that the agent's inventory will say.
        lab.discover_as(mac, if mac == 2 { [1; 16] } else { [0; 16] });
    }
    let mut scripted = ScriptedAgent::with_disks(&[8 * GIB]);
    scripted = scripted.with_nics(
        &(3..=5)
            .map(|mac| nic(mac, "e1000e", 1000))
            .collect::<Vec<_>>(),
    );
    let mut agent = lab.start_agent(1, scripted);
    let known = |lab: &Lab| lab.rack().nodes().iter().filter(|n| !n.is_vacant()).count();
    inspect(&mut lab, &mut agent);
    assert_eq!(known(&lab), 2, "its twin and two more in one step");
}

#[test]
fn a_discovered_node_with_a_name_is_somebodys() {
    let mut lab = Lab::new();
    lab.discover(2);
    let patch = r#"[{"op":"add","path":"/name","value":"mine"}]"#;
    let target = format!("/v1/nodes/{}", id(&lab, 0));
    assert_eq!(call(&mut lab, "PATCH", &target, patch).status, 200);
    let mut scripted = ScriptedAgent::with_disks(&[8 * GIB]);
    scripted = scripted.with_nics(&[nic(1, "e1000e", 1000), nic(2, "e1000e", 1000)]);
    let mut agent = lab.start_agent(1, scripted);
    inspect(&mut lab, &mut agent);
    assert_eq!(macs(&lab, 0), [mac_of(2)]);
    assert_eq!(lab.node(0).name, "mine");
    assert_eq!(lab.rack().counters().identity_conflicts, 1);
}

#[test]
fn a_machine_stays_who_it_says_it_is() {
    let mut lab = Lab::new();
    lab.dhcp(2, |request| {
        ipxe(request);
        request.machine_id = Some(&[0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
    });
    let mut scripted = ScriptedAgent::with_disks(&[8 * GIB]);
    scripted = scripted.with_nics(&[nic(1, "e1000e", 1000), nic(2, "e1000e", 1000)]);
    let mut agent = lab.start_agent(1, scripted);
    inspect(&mut lab, &mut agent);
    let own = lab.rack().find_by_mac(mac_of(1)).unwrap();
    assert_eq!(macs(&lab, own), [mac_of(1), mac_of(2)]);
    assert_eq!(lab.node(own).system_uuid, [1; 16]);
}

#[test]
fn identities_are_random_as_rfc_9562_has_them() {
    let mut lab = Lab::new();
    for mac in 1..=8 {
        lab.discover(mac);
    }
    check_identities(&lab);
}

#[test]
fn an_interface_of_a_node_in_use_stays_its() {
    let mut lab = available();
    let mut scripted = ScriptedAgent::with_disks(&[8 * GIB]);
    scripted = scripted.with_nics(&[nic(3, "e1000e", 1000), nic(1, "e1000e", 1000)]);
    let mut liar = lab.start_agent(3, scripted);
    inspect(&mut lab, &mut liar);
    assert_eq!(lab.rack().find_by_mac(mac_of(1)), Some(0));
    let own = lab.rack().find_by_mac(mac_of(3)).unwrap();
    assert!(lab.node(own).last_error.contains("another node"));
    assert_eq!(lab.rack().counters().identity_conflicts, 1);
}

#[test]
fn a_node_is_enrolled_by_hand_and_deleted() {
    let mut lab = Lab::new();
    let body = json!({
        "driver": "farrier", "name": "web-1", "resource_class": "large",
        "driver_info": {"ipmi_address": "10.0.0.9", "ipmi_password": "geheim"},
    });
    let reply = post(&mut lab, "/v1/nodes", body.clone());
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert_eq!(reply.body["name"], "web-1");
    assert_eq!(reply.body["provision_state"], "enroll");
    assert_eq!(reply.body["power_state"], Value::Null, "nothing is known");
    assert_eq!(reply.body["resource_class"], "large");
    assert_eq!(
        reply.body["driver_info"],
        json!({"ipmi_address": "10.0.0.9", "ipmi_password": "******"})
    );
    let uuid = reply.body["uuid"].as_str().unwrap().to_owned();
    assert_eq!(post(&mut lab, "/v1/nodes", body).status, 409);
    for (body, status, part) in [
        (json!({"name": "a"}), 400, "needs a driver"),
        (json!({"driver": "ilo"}), 400, "is not here"),
        (json!({"driver": "farrier", "name": "a b"}), 400, "letters"),
        (json!({"driver": "farrier", "uuid": "7"}), 400, "no UUID"),
        (json!({"driver": "farrier", "uuid": uuid}), 409, "that UUID"),
        (json!({"driver": "farrier", "wings": 2}), 400, "wings"),
        (
            json!({"driver": "farrier", "driver_info": {"a": "x".repeat(41)}}),
            400,
            "too long",
        ),
        (
            json!({"driver": "farrier", "resource_class": "x".repeat(70)}),
            400,
            "64",
        ),
    ] {
        let reply = post(&mut lab, "/v1/nodes", body.clone());
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
        assert!(reply.fault().contains(part), "{}", reply.fault());
    }
    assert_eq!(lab.rack().nodes().len(), 1);

    let port = json!({"node_uuid": uuid, "address": "52:54:00:00:00:01"});
    let reply = post(&mut lab, "/v1/ports", port.clone());
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert_eq!(reply.body["address"], "52:54:00:00:00:01");
    assert_eq!(post(&mut lab, "/v1/ports", port).status, 409);
    let bad = json!({"node_uuid": uuid, "address": "52:54:00"});
    assert_eq!(post(&mut lab, "/v1/ports", bad).status, 400);
    // The machine comes: it is this node.
    lab.discover(1);
    assert_eq!(lab.rack().nodes().len(), 1);
    assert_eq!(get(&mut lab, "/v1/nodes/web-1")["power_state"], "power on");

    let port = reply.body["uuid"].as_str().unwrap().to_owned();
    let target = format!("/v1/ports/{port}");
    assert_eq!(call(&mut lab, "DELETE", &target, "").status, 204);
    assert_eq!(call(&mut lab, "DELETE", &target, "").status, 404);
    assert_eq!(call(&mut lab, "DELETE", "/v1/nodes/web-1", "").status, 204);
    assert_eq!(call(&mut lab, "DELETE", "/v1/nodes/web-1", "").status, 404);
    let gone = get(&mut lab, "/v1/nodes");
    assert_eq!(gone, json!({"nodes": []}));
    let nobody = "/v1/nodes/00000000-0000-0000-0000-000000000000";
    assert_eq!(call(&mut lab, "GET", nobody, "").status, 404);
}

#[test]
fn a_serial_number_brings_a_machine_to_the_node_that_waits_for_it() {
    let mut lab = Lab::new();
    let body = json!({"driver": "farrier", "name": "web-1",
                      "properties": {"serial_number": "S1"}});
    assert_eq!(post(&mut lab, "/v1/nodes", body).status, 201);
    let mut scripted = ScriptedAgent::with_disks(&[8 * GIB]);
    scripted = scripted.with_nics(&[nic(1, "e1000e", 1000)]);
    let mut agent = lab.start_agent(1, scripted);
    let found = lab.rack().find_by_mac(mac_of(1)).unwrap();
    assert_eq!(found, 1, "nobody knows yet");
    lab.verb(1, Verb::Manage).unwrap();
    lab.verb(1, Verb::Inspect).unwrap();
    lab.run(&mut agent, 5);
    // The inventory tells who it is: the discovered node becomes the one
    // that was enrolled.
    assert_eq!(lab.rack().find_by_mac(mac_of(1)), Some(0));
    assert_eq!(lab.node(0).name, "web-1");
    assert_eq!(lab.rack().nodes().len(), 1);
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.run(&mut agent, 5);
    assert_eq!(lab.state(0), ProvisionState::Manageable);
    assert_eq!(lab.rack().counters().identity_conflicts, 0);
}

#[test]
fn a_deployed_node_is_not_deleted() {
    let mut lab = available();
    lab.set_image(0, "debian12").unwrap();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.verb(0, Verb::Active).unwrap();
    let reply = call(&mut lab, "DELETE", "/v1/nodes/rack-1", "");
    assert_eq!(reply.status, 409);
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), ProvisionState::Active);
    let reply = call(&mut lab, "DELETE", "/v1/nodes/rack-1", "");
    assert_eq!(reply.status, 409);
    assert!(
        reply.fault().contains("while it is active"),
        "{}",
        reply.fault()
    );
    // Maintenance does not help.
    let target = "/v1/nodes/rack-1/maintenance";
    assert_eq!(call(&mut lab, "PUT", target, "{}").status, 202);
    assert_eq!(call(&mut lab, "DELETE", "/v1/nodes/rack-1", "").status, 409);
    let shown = get(&mut lab, "/v1/nodes?maintenance=true");
    assert_eq!(shown["nodes"].as_array().unwrap().len(), 1);
}

#[test]
fn a_node_says_why_it_can_be_managed() {
    let reason = |lab: &mut Lab, index: usize| {
        lab.verb(index, Verb::Manage).unwrap();
        lab.node(index).reason
    };
    let mut lab = Lab::new();
    lab.discover(1);
    assert_eq!(reason(&mut lab, 0), Reason::Seen);
    for (index, mac) in [(1, 2), (2, 3)] {
        let node = post(&mut lab, "/v1/nodes", json!({"driver": "farrier"}));
        let address = format!("52:54:00:00:00:{mac:02x}");
        let port = json!({"node_uuid": node.body["uuid"], "address": address});
        let reply = post(&mut lab, "/v1/ports", port);
        assert_eq!(reply.status, 201, "{}", reply.body);
        let seen = index == 2;
        if seen {
            lab.discover(mac);
        }
        let expected = match seen {
            true => Reason::Seen,
            false => Reason::EnrolledUnseen,
        };
        assert_eq!(reason(&mut lab, index), expected);
    }
}
