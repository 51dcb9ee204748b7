//! Flavors, and which node an allocation gets.

use crate::api_rig::*;
use crate::common::*;
use farrier_core::node::HardwareFeatures;
use farrier_lifecycle::{ProvisionState, Verb};
use serde_json::{Value, json};

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
        let scripted = ScriptedAgent::with_disks(&[gib * GIB]).with_nics(&nics);
        let mut agent = lab.start_agent(mac, scripted);
        let index = usize::from(mac) - 1;
        lab.verb(index, Verb::Manage).unwrap();
        lab.verb(index, Verb::Provide).unwrap();
        lab.run(&mut agent, 20);
        assert_eq!(lab.state(index), ProvisionState::Available);
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
    assert!(hardware(0).parts.contains(HardwareFeatures::HDD));
    assert!(!hardware(0).parts.contains(HardwareFeatures::ROCE));
    assert_eq!(hardware(1).link, 1000);
    assert!(hardware(1).parts.contains(HardwareFeatures::ROCE));
    assert!(!hardware(1).parts.contains(HardwareFeatures::INFINIBAND));
    assert_eq!(hardware(2).link, 2000);
    assert!(hardware(2).parts.contains(HardwareFeatures::INFINIBAND));
    lab.check_sweeps();
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
    let unknown = "/v1/allocations?marker=11111111-2222-4333-8444-555555555555";
    assert_eq!(call(&mut lab, "GET", unknown, "").status, 400);
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
    for body in ["{}", "", r#"{"traits": "CUSTOM_NEW"}"#] {
        assert_eq!(call(&mut lab, "PUT", &traits, body).status, 400, "{body}");
    }
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
    assert!(none.fault().contains("no available node"));

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
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.verb(0, Verb::Active).unwrap();
    lab.run(&mut agent, 30);
    assert_eq!(
        lab.state(0),
        ProvisionState::Active,
        "{}",
        lab.node(0).last_error
    );
    let reply = call(&mut lab, "DELETE", "/v1/allocations/a", "");
    assert_eq!(reply.status, 400, "it is in use");
    lab.verb(0, Verb::Deleted).unwrap();
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    assert_eq!(get(&mut lab, "/v1/allocations"), json!({"allocations": []}));
    assert_eq!(lab.node(0).instance.instance_uuid, None);
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
