//! How machines become nodes and find together, how nodes go, and which of
//! them an allocation gets.

use crate::api_rig::*;
use crate::common::*;
use farrier_core::node::Parts;
use farrier_lifecycle::{State, Verb};
use farrier_protocol::message::{LldpNeighbour, Mac, Nic};
use serde_json::{Value, json};

fn nic(mac: u8, driver: &str, speed_mbps: u32) -> Nic {
    Nic {
        name: if driver == "ib_ipoib" { "ib0" } else { "eth0" }
            .try_into()
            .unwrap(),
        mac: mac_of(mac),
        driver: driver.try_into().unwrap(),
        speed_mbps,
        carrier: true,
        ipv4: [0; 4],
        pci: [0; 2],
        lldp: None::<LldpNeighbour>,
    }
}

fn post(lab: &mut Lab, target: &str, body: Value) -> Reply {
    call(lab, "POST", target, &body.to_string())
}

fn inspect(lab: &mut Lab, agent: &mut Agent) {
    let index = lab
        .rack
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
fn the_option_of_the_uuid_joins_interfaces() {
    let mut lab = Lab::new();
    for mac in [1, 2] {
        lab.dhcp(mac, |r| {
            ipxe(r);
            r.machine_id = Some(&[0, 0x4c, 0x4c, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        });
    }
    assert_eq!(lab.rack.nodes().len(), 1);
    assert_eq!(macs(&lab, 0), [mac_of(1), mac_of(2)]);
    // Boards whose makers gave them no UUID are not one machine.
    const FILLER: &[u8] = &[
        0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    ];
    for mac in [10, 11] {
        lab.dhcp(mac, |r| {
            ipxe(r);
            r.machine_id = Some(FILLER);
        });
    }
    assert_eq!(lab.rack.nodes().len(), 3);
}

#[test]
fn the_inventory_joins_nodes_that_are_one_machine() {
    let mut lab = Lab::new();
    lab.dhcp(2, ipxe);
    lab.dhcp(3, ipxe);
    let mut hands = Hands::with_disks(&[8 * GIB]);
    hands.nics = vec![
        nic(1, "e1000e", 1000),
        nic(2, "e1000e", 1000),
        nic(9, "e1000e", 1000),
    ];
    let mut agent = lab.start_agent(1, hands);
    assert_eq!(lab.rack.nodes().len(), 3);
    inspect(&mut lab, &mut agent);
    // The second interface's node is gone, the third's is another machine.
    let own = lab.rack.find_by_mac(mac_of(1)).unwrap();
    assert_eq!(macs(&lab, own), [mac_of(1), mac_of(2), mac_of(9)]);
    assert_eq!(lab.state(own), State::Manageable);
    assert!(lab.node(0).is_vacant());
    let list = get(&mut lab, "/v1/nodes");
    assert_eq!(list["nodes"].as_array().unwrap().len(), 2);
    // The next machine takes the place that is free.
    lab.dhcp(7, ipxe);
    assert_eq!(lab.rack.find_by_mac(mac_of(7)), Some(0));
    assert_eq!(lab.rack.nodes().len(), 3);
}

#[test]
fn an_inventory_joins_a_few_nodes_and_the_next_one_the_others() {
    let mut lab = Lab::new();
    let others = 2..=6;
    for mac in others.clone() {
        lab.dhcp(mac, ipxe);
    }
    let mut hands = Hands::with_disks(&[8 * GIB]);
    hands.nics = others.map(|mac| nic(mac, "e1000e", 1000)).collect();
    let mut agent = lab.start_agent(1, hands);
    let known = |lab: &Lab| lab.rack.nodes().iter().filter(|n| !n.is_vacant()).count();
    assert_eq!(known(&lab), 6);
    inspect(&mut lab, &mut agent);
    assert_eq!(known(&lab), 3, "three in one step");
    let own = lab.rack.find_by_mac(mac_of(1)).unwrap();
    lab.verb(own, Verb::Inspect).unwrap();
    lab.run(&mut agent, 10);
    assert_eq!(known(&lab), 1);
    let own = lab.rack.find_by_mac(mac_of(1)).unwrap();
    assert_eq!(macs(&lab, own).len(), 6);
    assert_eq!(lab.rack.counters().identity_conflicts, 0);
}

#[test]
fn a_twin_is_one_of_the_few_that_are_joined() {
    let mut lab = Lab::new();
    for mac in 2..=5 {
        lab.dhcp(mac, |request| {
            ipxe(request);
            // One tells the UUID that the agent's inventory will tell.
            request.machine_id =
                (mac == 2).then_some(&[0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
        });
    }
    let mut hands = Hands::with_disks(&[8 * GIB]);
    hands.nics = (3..=5).map(|mac| nic(mac, "e1000e", 1000)).collect();
    let mut agent = lab.start_agent(1, hands);
    let known = |lab: &Lab| lab.rack.nodes().iter().filter(|n| !n.is_vacant()).count();
    inspect(&mut lab, &mut agent);
    assert_eq!(known(&lab), 2, "its twin and two more in one step");
}

#[test]
fn a_discovered_node_with_a_name_is_somebodys() {
    let mut lab = Lab::new();
    lab.dhcp(2, ipxe);
    let patch = r#"[{"op":"add","path":"/name","value":"mine"}]"#;
    let target = format!("/v1/nodes/{}", id(&lab, 0));
    assert_eq!(call(&mut lab, "PATCH", &target, patch).status, 200);
    let mut hands = Hands::with_disks(&[8 * GIB]);
    hands.nics = vec![nic(1, "e1000e", 1000), nic(2, "e1000e", 1000)];
    let mut agent = lab.start_agent(1, hands);
    inspect(&mut lab, &mut agent);
    assert_eq!(macs(&lab, 0), [mac_of(2)]);
    assert_eq!(lab.node(0).name, "mine");
    assert_eq!(lab.rack.counters().identity_conflicts, 1);
}

#[test]
fn a_machine_stays_who_it_says_it_is() {
    let mut lab = Lab::new();
    lab.dhcp(2, |request| {
        ipxe(request);
        request.machine_id = Some(&[0, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9]);
    });
    let mut hands = Hands::with_disks(&[8 * GIB]);
    hands.nics = vec![nic(1, "e1000e", 1000), nic(2, "e1000e", 1000)];
    let mut agent = lab.start_agent(1, hands);
    inspect(&mut lab, &mut agent);
    let own = lab.rack.find_by_mac(mac_of(1)).unwrap();
    assert_eq!(macs(&lab, own), [mac_of(1), mac_of(2)]);
    assert_eq!(lab.node(own).system_uuid, [1; 16]);
}

#[test]
fn identities_are_random_as_rfc_9562_has_them() {
    let mut lab = Lab::new();
    for mac in 1..=8 {
        lab.dhcp(mac, ipxe);
    }
    check_identities(&lab);
}

#[test]
fn an_interface_of_a_node_in_use_stays_its() {
    let mut lab = available();
    let mut hands = Hands::with_disks(&[8 * GIB]);
    hands.nics = vec![nic(3, "e1000e", 1000), nic(1, "e1000e", 1000)];
    let mut liar = lab.start_agent(3, hands);
    inspect(&mut lab, &mut liar);
    assert_eq!(lab.rack.find_by_mac(mac_of(1)), Some(0));
    let own = lab.rack.find_by_mac(mac_of(3)).unwrap();
    assert!(lab.node(own).last_error.contains("another node"));
    assert_eq!(lab.rack.counters().identity_conflicts, 1);
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
        (json!({"driver": "ipmi"}), 400, "no driver"),
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
    assert_eq!(lab.rack.nodes().len(), 1);

    let port = json!({"node_uuid": uuid, "address": "52:54:00:00:00:01"});
    let reply = post(&mut lab, "/v1/ports", port.clone());
    assert_eq!(reply.status, 201, "{}", reply.body);
    assert_eq!(reply.body["address"], "52:54:00:00:00:01");
    assert_eq!(post(&mut lab, "/v1/ports", port).status, 409);
    let bad = json!({"node_uuid": uuid, "address": "52:54:00"});
    assert_eq!(post(&mut lab, "/v1/ports", bad).status, 400);
    // The machine comes: it is this node.
    lab.dhcp(1, ipxe);
    assert_eq!(lab.rack.nodes().len(), 1);
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
    let mut hands = Hands::with_disks(&[8 * GIB]);
    hands.nics = vec![nic(1, "e1000e", 1000)];
    let mut agent = lab.start_agent(1, hands);
    let found = lab.rack.find_by_mac(mac_of(1)).unwrap();
    assert_eq!(found, 1, "nobody knows yet");
    lab.verb(1, Verb::Manage).unwrap();
    lab.verb(1, Verb::Inspect).unwrap();
    lab.run(&mut agent, 5);
    // The inventory tells who it is: the discovered node becomes the one
    // that was enrolled.
    assert_eq!(lab.rack.find_by_mac(mac_of(1)), Some(0));
    assert_eq!(lab.node(0).name, "web-1");
    assert_eq!(lab.rack.nodes().len(), 1);
    let mut agent = lab.start_agent(1, Hands::with_disks(&[8 * GIB]));
    lab.verb(0, Verb::Manage).unwrap();
    lab.verb(0, Verb::Inspect).unwrap();
    lab.run(&mut agent, 5);
    assert_eq!(lab.state(0), State::Manageable);
    assert_eq!(lab.rack.counters().identity_conflicts, 0);
}

#[test]
fn a_deployed_node_is_not_deleted() {
    let mut lab = available();
    lab.set_image(0, "debian12").unwrap();
    let mut agent = lab.start_agent(1, Hands::with_disks(&[8 * GIB]));
    lab.verb(0, Verb::Active).unwrap();
    let reply = call(&mut lab, "DELETE", "/v1/nodes/rack-1", "");
    assert_eq!(reply.status, 409);
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), State::Active);
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

/// Three machines that are available: small, large, large with InfiniBand.
fn three() -> Lab {
    let mut lab = Lab::new();
    let machines = [
        (1, 8, vec![nic(1, "e1000e", 1000)]),
        (2, 800, vec![nic(2, "mlx5_core", 100_000)]),
        (
            3,
            800,
            vec![nic(3, "bnxt_en", 25_000), nic(4, "ib_ipoib", 200_000)],
        ),
    ];
    for (mac, gib, nics) in machines {
        let hands = Hands {
            nics,
            ..Hands::with_disks(&[gib * GIB])
        };
        let mut agent = lab.start_agent(mac, hands);
        let index = usize::from(mac) - 1;
        lab.verb(index, Verb::Manage).unwrap();
        lab.verb(index, Verb::Provide).unwrap();
        lab.run(&mut agent, 20);
        assert_eq!(lab.state(index), State::Available);
        let node = id(&lab, index);
        let class = r#"[{"op":"add","path":"/resource_class","value":"metal"}]"#;
        let reply = call(&mut lab, "PATCH", &format!("/v1/nodes/{node}"), class);
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    lab
}

#[test]
fn the_inventory_tells_what_flavors_ask_for() {
    let mut lab = three();
    let hardware = |n| lab.node(n).hardware.clone();
    assert_eq!(hardware(0).link, 10);
    assert!(hardware(0).parts.has(Parts::HDD));
    assert!(!hardware(0).parts.has(Parts::ROCE));
    assert_eq!(hardware(1).link, 1000);
    assert!(hardware(1).parts.has(Parts::ROCE));
    assert!(!hardware(1).parts.has(Parts::INFINIBAND));
    assert_eq!(hardware(2).link, 2000);
    assert!(hardware(2).parts.has(Parts::INFINIBAND));
    lab.check_sweeps();
}

#[test]
fn allocations_are_listed_in_pages() {
    let mut lab = three();
    let all: Vec<Value> = ["a", "b", "c"]
        .map(|name| {
            let ask = json!({"resource_class": "metal", "name": name});
            post(&mut lab, "/v1/allocations", ask).body
        })
        .into();
    let uuid = |n: usize| all[n]["uuid"].as_str().unwrap();
    let mut list = |query: &str| {
        let mut page = get(&mut lab, &format!("/v1/allocations?{query}"));
        let next = page["next"].take().as_str().map(str::to_owned);
        (page["allocations"].take(), next)
    };
    assert_eq!(list("limit=3"), (json!(all), None));
    assert_eq!(list("state=active"), (json!(all), None));
    assert_eq!(list("state=error"), (json!([]), None));
    assert_eq!(list("owner=me"), (json!([]), None));

    let (first, next) = list("limit=2");
    assert_eq!(first, json!(all[..2]));
    let marker = format!("limit=2&marker={}", uuid(1));
    assert_eq!(next, Some(format!("/v1/allocations?{marker}")));
    assert_eq!(list(&marker), (json!(all[2..]), None));
    assert_eq!(list(&format!("marker={}", uuid(2))), (json!([]), None));
}

#[test]
fn an_allocation_gets_the_smallest_that_fits_and_nobody_else_gets_it() {
    let mut lab = three();
    let traits = format!("/v1/nodes/{}/traits", id(&lab, 1));
    let body = r#"{"traits": ["CUSTOM_FAST", "CUSTOM_NEW"]}"#;
    assert_eq!(call(&mut lab, "PUT", &traits, body).status, 204);
    assert_eq!(
        call(&mut lab, "DELETE", &format!("{traits}/CUSTOM_NEW"), "").status,
        204
    );
    assert_eq!(get(&mut lab, &traits), json!({"traits": ["CUSTOM_FAST"]}));
    for (name, body) in [
        ("big", json!({"resource_class": "metal", "local_gb": 500})),
        (
            "net",
            json!({"parts": ["infiniband"], "link_mbps": 100_000}),
        ),
    ] {
        let target = format!("/farrier/v1/flavors/{name}");
        let reply = call(&mut lab, "PUT", &target, &body.to_string());
        assert_eq!(reply.status, 204, "{}", reply.body);
    }
    let flavors = get(&mut lab, "/farrier/v1/flavors");
    assert_eq!(flavors["flavors"][0]["local_gb"], 500);
    assert_eq!(flavors["flavors"][1]["parts"], json!(["infiniband"]));

    let ask = |class: &str, name: &str| json!({"resource_class": class, "name": name});
    let first = post(&mut lab, "/v1/allocations", ask("metal", "a"));
    assert_eq!(first.status, 201, "{}", first.body);
    assert_eq!(first.body["state"], "active");
    assert_eq!(first.body["node_uuid"], id(&lab, 0));
    let target = format!("/v1/nodes/{}", id(&lab, 0));
    let node = get(&mut lab, &target);
    assert_eq!(node["allocation_uuid"], first.body["uuid"]);
    assert_eq!(node["instance_uuid"], first.body["uuid"]);
    assert_eq!(
        post(&mut lab, "/v1/allocations", ask("metal", "a")).status,
        409
    );

    // Large is asked for, and the one without InfiniBand is enough; a trait
    // can ask for it too.
    let mut with_trait = ask("big", "b");
    with_trait["traits"] = json!(["CUSTOM_FAST"]);
    let second = post(&mut lab, "/v1/allocations", with_trait);
    assert_eq!(second.body["node_uuid"], id(&lab, 1), "{}", second.body);
    assert_eq!(second.body["traits"], json!(["CUSTOM_FAST"]));
    let none = post(&mut lab, "/v1/allocations", ask("gold", "x"));
    assert_eq!(none.status, 409);
    assert!(none.fault().contains("No available node"));

    // Nobody gets what is in maintenance.
    let third = id(&lab, 2);
    let target = format!("/v1/nodes/{third}/maintenance");
    call(&mut lab, "PUT", &target, "");
    assert_eq!(
        post(&mut lab, "/v1/allocations", ask("net", "c")).status,
        409
    );
    call(&mut lab, "DELETE", &target, "");
    let last = post(&mut lab, "/v1/allocations", ask("net", "c"));
    assert_eq!(last.body["node_uuid"], third.as_str());
    assert_eq!(
        post(&mut lab, "/v1/allocations", ask("metal", "d")).status,
        409
    );

    let list = get(&mut lab, "/v1/allocations");
    assert_eq!(list["allocations"].as_array().unwrap().len(), 3);
    assert_eq!(get(&mut lab, "/v1/allocations/b"), second.body);
    assert_eq!(
        get(&mut lab, &format!("/v1/nodes/{third}/allocation")),
        last.body
    );
    // A claimed node is neither deleted nor another instance's.
    let node = format!("/v1/nodes/{third}");
    assert_eq!(call(&mut lab, "DELETE", &node, "").status, 409);
    let patch = r#"[{"op":"remove","path":"/instance_uuid"}]"#;
    assert_eq!(call(&mut lab, "PATCH", &node, patch).status, 400);
    assert_eq!(
        call(&mut lab, "DELETE", "/v1/allocations/c", "").status,
        204
    );
    assert_eq!(
        call(&mut lab, "DELETE", "/v1/allocations/c", "").status,
        404
    );
    assert_eq!(get(&mut lab, &node)["allocation_uuid"], Value::Null);
    assert_eq!(
        post(&mut lab, "/v1/allocations", ask("net", "e")).status,
        201
    );
    assert_eq!(
        call(&mut lab, "DELETE", "/farrier/v1/flavors/net", "").status,
        204
    );
    lab.check_sweeps();
}

#[test]
fn releasing_ends_the_allocation_and_cleans() {
    let mut lab = three();
    let body = json!({"resource_class": "metal", "name": "a"});
    assert_eq!(post(&mut lab, "/v1/allocations", body).status, 201);
    let target = format!("/v1/nodes/{}", id(&lab, 0));
    let image = r#"[{"op":"add","path":"/instance_info/image_source","value":"debian12"}]"#;
    assert_eq!(call(&mut lab, "PATCH", &target, image).status, 200);
    let mut agent = lab.start_agent(1, Hands::with_disks(&[8 * GIB]));
    lab.verb(0, Verb::Active).unwrap();
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), State::Active, "{}", lab.node(0).last_error);
    let reply = call(&mut lab, "DELETE", "/v1/allocations/a", "");
    assert_eq!(reply.status, 400, "it is in use");
    lab.verb(0, Verb::Deleted).unwrap();
    assert_eq!(lab.state(0), State::CleanWait);
    assert_eq!(get(&mut lab, "/v1/allocations"), json!({"allocations": []}));
    assert_eq!(lab.node(0).instance.instance_uuid, None);
}

#[test]
fn a_static_address_is_its_owners_alone() {
    let mut lab = rack();
    let put = |lab: &mut Lab, target: &str, body: &str| {
        let target = format!("/farrier/v1/addresses/{target}");
        call(lab, "PUT", &target, body).status
    };
    let mac = "provisioning/52:54:00:00:00:05";
    for (address, status) in [
        ("172.22.0.1", 409),
        ("172.22.0.20", 409),
        ("172.22.0.255", 409),
        ("172.22.0.0", 409),
        ("10.0.0.1", 409),
        ("nowhere", 400),
        ("172.22.0.5", 204),
    ] {
        let body = format!(r#"{{"address": "{address}"}}"#);
        assert_eq!(put(&mut lab, mac, &body), status, "{address}");
    }
    assert_eq!(put(&mut lab, mac, "{}"), 409, "static is named");
    let taken = r#"{"address": "172.22.0.5"}"#;
    assert_eq!(put(&mut lab, "provisioning/52:54:00:00:00:06", taken), 409);
    // The machine gets it at every door, and its node is known by it.
    let lease = lab.dhcp(5, ipxe).unwrap();
    assert_eq!(lease.address, std::net::Ipv4Addr::new(172, 22, 0, 5));
    assert!(matches!(lab.open(lease.address, "boot.ipxe"), Did::Text(_)));
    let other = lab.dhcp(6, ipxe).unwrap();
    assert_ne!(other.address, lease.address);

    let list = get(&mut lab, "/farrier/v1/addresses");
    let node = lab.rack.find_by_mac(mac_of(5)).unwrap();
    assert_eq!(
        list["addresses"],
        json!([{"address": "172.22.0.5", "network": "provisioning",
                "mac": "52:54:00:00:00:05", "node_uuid": id(&lab, node), "named": true}])
    );
    let target = format!("/farrier/v1/addresses/{mac}");
    assert_eq!(call(&mut lab, "DELETE", &target, "").status, 204);
    assert_eq!(call(&mut lab, "DELETE", &target, "").status, 404);
    // A lease of it may live: it is nobody's for as long.
    assert_eq!(put(&mut lab, "provisioning/52:54:00:00:00:06", taken), 409);
    lab.pass(601);
    assert_eq!(put(&mut lab, "provisioning/52:54:00:00:00:06", taken), 204);
}

#[test]
fn tenants_networks_have_pools() {
    let mut lab = active();
    let net = "/farrier/v1/networks/blue";
    for (body, status) in [
        (json!({"pool_first": "172.22.0.10", "pool_len": 5}), 400),
        (json!({"pool_first": "10.1.0.10", "pool_len": 500}), 400),
        (json!({"pool_len": 5}), 400),
        (
            json!({"pool_first": "10.1.0.10", "pool_len": 2, "vlan": 100}),
            204,
        ),
    ] {
        let reply = call(&mut lab, "PUT", net, &body.to_string());
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
    }
    assert_eq!(
        get(&mut lab, "/farrier/v1/networks"),
        json!({"networks": [{"name": "blue", "vlan": 100, "prefix": 24,
                             "pool_first": "10.1.0.10", "pool_len": 2}]})
    );
    let address = |mac: u8| format!("/farrier/v1/addresses/blue/52:54:00:00:00:{mac:02x}");
    assert_eq!(call(&mut lab, "PUT", &address(1), "{}").status, 204);
    let named = r#"{"address": "10.1.0.11"}"#;
    assert_eq!(call(&mut lab, "PUT", &address(2), named).status, 204);
    assert_eq!(call(&mut lab, "PUT", &address(3), "{}").status, 503);
    assert_eq!(
        call(&mut lab, "DELETE", net, "").status,
        400,
        "it is in use"
    );
    // The tenant goes, and its address with it; a named one stays.
    lab.verb(0, Verb::Deleted).unwrap();
    let list = get(&mut lab, "/farrier/v1/addresses");
    assert_eq!(list["addresses"].as_array().unwrap().len(), 1);
    assert_eq!(list["addresses"][0]["address"], "10.1.0.11");
    lab.check_sweeps();
}

#[test]
fn every_network_is_written_down() {
    let mut lab = rack();
    for (third, name) in ["red", "green", "blue", "grey"].into_iter().enumerate() {
        let body = json!({"pool_first": format!("10.1.{third}.10"), "pool_len": 2});
        let target = format!("/farrier/v1/networks/{name}");
        assert_eq!(
            call(&mut lab, "PUT", &target, &body.to_string()).status,
            204
        );
    }
    lab.check_sweeps();
    let target = "/farrier/v1/networks/green";
    assert_eq!(call(&mut lab, "DELETE", target, "").status, 204);
    lab.check_sweeps();
}

fn active() -> Lab {
    let mut lab = available();
    lab.set_image(0, "debian12").unwrap();
    let mut agent = lab.start_agent(1, Hands::with_disks(&[8 * GIB]));
    lab.verb(0, Verb::Active).unwrap();
    lab.run(&mut agent, 30);
    assert_eq!(lab.state(0), State::Active, "{}", lab.node(0).last_error);
    lab
}

#[test]
fn an_instance_that_nobody_allocated_is_no_allocation() {
    let mut lab = available();
    let patch = r#"[{"op":"add","path":"/instance_uuid",
                     "value":"11111111-2222-4333-8444-555555555555"}]"#;
    let reply = call(&mut lab, "PATCH", "/v1/nodes/rack-1", patch);
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(get(&mut lab, "/v1/allocations"), json!({"allocations": []}));
}

#[test]
fn a_flavor_is_shown_as_it_was_defined() {
    let mut lab = rack();
    let mut flavor = json!({"resource_class": "metal", "traits": ["GPU"], "cpus": 3,
                            "memory_mb": 5, "local_gb": 7, "link_mbps": 25000,
                            "parts": ["nvme", "tpm2"]});
    let reply = call(
        &mut lab,
        "PUT",
        "/farrier/v1/flavors/big",
        &flavor.to_string(),
    );
    assert_eq!(reply.status, 204, "{}", reply.body);
    flavor["name"] = "big".into();
    let shown = get(&mut lab, "/farrier/v1/flavors");
    assert_eq!(shown, json!({"flavors": [flavor]}));
}

#[test]
fn a_node_says_why_it_can_be_managed() {
    let reason = |lab: &mut Lab, index: usize| {
        lab.verb(index, Verb::Manage).unwrap();
        lab.node(index).reason
    };
    let mut lab = Lab::new();
    lab.dhcp(1, ipxe);
    assert_eq!(reason(&mut lab, 0), "seen on the provisioning network");
    for (index, mac) in [(1, 2), (2, 3)] {
        let node = post(&mut lab, "/v1/nodes", json!({"driver": "farrier"}));
        let address = format!("52:54:00:00:00:{mac:02x}");
        let port = json!({"node_uuid": node.body["uuid"], "address": address});
        let reply = post(&mut lab, "/v1/ports", port);
        assert_eq!(reply.status, 201, "{}", reply.body);
        let seen = index == 2;
        if seen {
            lab.dhcp(mac, ipxe);
        }
        let expected = match seen {
            true => "seen on the provisioning network",
            false => "enrolled by hand; nothing of it was seen yet",
        };
        assert_eq!(reason(&mut lab, index), expected);
    }
}

#[test]
fn addresses_outlive_a_restart_in_the_middle_of_a_sweep() {
    let mut lab = Lab::new();
    lab.dhcp(1, ipxe);
    let body = json!({"pool_first": "10.1.0.10", "pool_len": 8});
    let target = "/farrier/v1/networks/red";
    assert_eq!(call(&mut lab, "PUT", target, &body.to_string()).status, 204);
    let address = |mac: u8| format!("/farrier/v1/addresses/red/52:54:00:00:00:{mac:02x}");
    for mac in 1..=4 {
        let given = call(&mut lab, "PUT", &address(mac), "{}");
        assert_eq!(given.status, 204, "{}", given.body);
    }
    // Some rest, the last one among them, and one has its address again.
    for mac in [2, 4, 3] {
        assert_eq!(call(&mut lab, "DELETE", &address(mac), "").status, 204);
    }
    lab.check_every_sweep();
    assert_eq!(call(&mut lab, "PUT", &address(3), "{}").status, 204);
    // After their rest nobody remembers them but the records of before.
    lab.pass(700);
    assert_eq!(call(&mut lab, "PUT", &address(5), "{}").status, 204);
    lab.check_every_sweep();
    lab.restart(0);
    lab.check_every_sweep();
}
