//! Paths, methods and queries of the API, and the things that are made by it.

use crate::api_rig::*;
use crate::common::*;
use farrier_api::is_ours;
use farrier_core::node::{DRIVER_KEY_LEN, DRIVER_VALUE_LEN, MAX_DRIVER_INFO};
use farrier_core::strings::StringPool;
use serde_json::{Value, json};

fn status(lab: &mut Lab, method: &str, target: &str) -> u16 {
    call(lab, method, target, "").status
}

fn create(lab: &mut Lab, more: Value) -> Reply {
    let mut body = json!({"driver": "farrier"});
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    post(lab, "/v1/nodes", body)
}

#[test]
fn api_paths_are_told_from_files() {
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v1/nodes",
        "/farrier/v1",
        "/farrier/v1/status",
    ] {
        assert!(is_ours(path), "{path}");
    }
    for path in ["", "/v1x", "/farrier", "/farrier/v1x", "/boot.ipxe", "/v2"] {
        assert!(!is_ours(path), "{path}");
    }
}

#[test]
fn methods_of_node_resources() {
    let mut lab = rack();
    let patch = r#"[{"op": "add", "path": "/maintenance", "value": true}]"#;
    call(&mut lab, "PATCH", "/v1/nodes/rack-1", patch);
    for (method, target, expected) in [
        ("GET", "states/provision", 200),
        ("GET", "states/power", 200),
        ("POST", "states/provision", 405),
        ("PUT", "traits/GOLD", 204),
        ("GET", "traits/GOLD", 405),
        ("GET", "traits", 200),
        ("GET", "maintenance", 405),
    ] {
        let target = format!("/v1/nodes/rack-1/{target}");
        assert_eq!(
            status(&mut lab, method, &target),
            expected,
            "{method} {target}"
        );
    }
    let node = get(&mut lab, "/v1/nodes/rack-1");
    assert_eq!(
        (&node["traits"], &node["maintenance"]),
        (&json!(["GOLD"]), &json!(true))
    );
    let reply = call(&mut lab, "DELETE", "/v1/nodes/rack-1/traits", "");
    assert_eq!(reply.status, 204);
    assert!(
        reply.head.contains("Content-Length: 0\r\n"),
        "{}",
        reply.head
    );
    assert_eq!(get(&mut lab, "/v1/nodes/rack-1")["traits"], json!([]));
    // `detail` is a list where it is read, and a name otherwise.
    assert_eq!(status(&mut lab, "GET", "/v1/nodes/detail"), 200);
    assert_eq!(status(&mut lab, "DELETE", "/v1/nodes/detail"), 404);
}

#[test]
fn unknown_filters_are_refused_in_lists() {
    let mut lab = rack();
    for (target, expected) in [
        ("/v1/ports?fields=address", 200),
        ("/v1/nodes?fields=wings", 400),
        ("/v1/nodes/rack-1?fields=wings", 400),
        ("/v1/nodes/rack-1?detail=maybe", 200),
        ("/v1/nodes/rack-1?limit=x", 200),
        ("/v1/nodes/rack-1?marker=x", 200),
        ("/v1/nodes/rack-1?x=1", 200),
        ("/v1/nodes?detail=maybe", 400),
        ("/v1/nodes?limit=x", 400),
        ("/v1/nodes?marker=x", 400),
        ("/v1/nodes?sort_key=uuid&sort_dir=asc", 200),
        ("/v1/nodes?node=rack-1", 400),
        ("/v1/ports?node=rack-1", 200),
        ("/v1/nodes?provision_state=active", 200),
        ("/v1/allocations?sort_key=uuid&state=active", 200),
        ("/v1/allocations?resource_class=metal", 400),
        (
            "/v1/allocations?marker=11111111-2222-4333-8444-555555555555",
            400,
        ),
        ("/v1/chassis?x=1", 200),
        ("/v1/ports?x=1", 400),
        ("/v1/ports?address=nobody", 400),
        ("/v1/nodes?state=active", 400),
        ("/v1/ports?owner=me", 400),
        ("/farrier/v1/status?provision_state=active", 400),
        (
            "/farrier/v1/status?instance_uuid=11111111-2222-4333-8444-555555555555",
            400,
        ),
        ("/farrier/v1/status?associated=true", 400),
        ("/farrier/v1/status?maintenance=true", 400),
        ("/farrier/v1/status?retired=true", 400),
        ("/farrier/v1/status?driver=farrier", 400),
    ] {
        assert_eq!(status(&mut lab, "GET", target), expected, "{target}");
    }
    let reply = call(&mut lab, "GET", "/v1/nodes?address=52:54:00:00:00:01", "");
    assert!(reply.fault().contains("no filter"), "{}", reply.fault());
    for (driver, nodes) in [("farrier", 2), ("manual", 2), ("ipmi", 0), ("x", 0)] {
        let list = get(&mut lab, &format!("/v1/nodes?driver={driver}"));
        assert_eq!(list["nodes"].as_array().unwrap().len(), nodes);
    }
    let patch = r#"[{"op": "add", "path": "/retired", "value": true}]"#;
    call(&mut lab, "PATCH", "/v1/nodes/rack-1", patch);
    for (retired, name) in [("true", json!("rack-1")), ("false", Value::Null)] {
        let list = get(&mut lab, &format!("/v1/nodes?retired={retired}"));
        let names: Vec<_> = list["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|n| &n["name"])
            .collect();
        assert_eq!(names, [&name], "retired={retired}");
    }
    let reply = call(&mut lab, "GET", "/v1/allocations/mine", "");
    assert_eq!(
        reply.fault(),
        "Allocation mine could not be found. GET /v1/allocations lists those that there are."
    );
}

#[test]
fn fields_of_a_new_node_are_checked() {
    let key = "k".repeat(DRIVER_KEY_LEN + 1);
    let value = "v".repeat(DRIVER_VALUE_LEN + 1);
    let class = "C".repeat(65);
    let info = |key: &str, value: &str| json!({"driver_info": {key: value}});
    let many = |count: usize| {
        let pairs = (0..count).map(|n| (n.to_string(), Value::from("x")));
        json!({"driver_info": Value::Object(pairs.collect())})
    };
    for (body, expected) in [
        (info(&key, "x"), 400),
        (info("x", &value), 400),
        (info(&key[1..], &value[1..]), 201),
        (many(MAX_DRIVER_INFO), 201),
        (many(MAX_DRIVER_INFO + 1), 400),
        (json!({"resource_class": class}), 400),
        (json!({"resource_class": class[1..]}), 201),
        (json!({"driver": "ipmi"}), 201),
        (json!({"driver": "ipmitool"}), 400),
    ] {
        let mut lab = rack();
        let reply = create(&mut lab, body.clone());
        assert_eq!(reply.status, expected, "{body}: {}", reply.body);
        let nodes = if expected == 201 { 3 } else { 2 };
        assert_eq!(lab.rack().nodes().len(), nodes, "{body}");
    }
}

#[test]
fn key_that_is_too_long_is_refused() {
    let mut lab = rack();
    for length in [25, 96, 97, 500] {
        let reply = create(&mut lab, json!({"k".repeat(length): "x"}));
        assert_eq!(reply.status, 400, "{length}");
        assert!(reply.fault().contains("too long"), "{}", reply.fault());
    }
    let reply = create(&mut lab, json!({"k".repeat(24): "x"}));
    assert!(reply.fault().contains("not supported"), "{}", reply.fault());
}

#[test]
fn node_without_room_for_its_texts_is_refused() {
    let body = json!({"resource_class": "metal", "driver_info": {"key": "value"}});
    let needs = StringPool::cost("metal".len()) + StringPool::cost("key".len() + 1 + "value".len());
    for (spare, expected) in [(0, 201), (1, 503)] {
        let mut lab = rack();
        fill(&mut lab, needs - spare);
        assert!(lab.rack().nodes().len() < 8, "there is a place for it");
        let nodes = lab.rack().nodes().len();
        let reply = create(&mut lab, body.clone());
        assert_eq!(reply.status, expected, "{}", reply.body);
        let made = lab.rack().nodes().len() - nodes;
        assert_eq!(made, usize::from(expected == 201), "nothing is half made");
        forget(lab);
    }
}

#[test]
fn known_class_needs_no_room() {
    let mut lab = rack();
    for number in 0..32 {
        let target = format!("/v1/nodes/rack-1/traits/W{number}");
        assert_eq!(status(&mut lab, "PUT", &target), 204);
    }
    let reply = create(&mut lab, json!({"resource_class": "W33"}));
    assert!(reply.status >= 400, "{}", reply.body);
    let reply = create(&mut lab, json!({"resource_class": "W7"}));
    assert_eq!(reply.status, 201, "{}", reply.body);
}

#[test]
fn new_nodes_get_random_uuids() {
    let mut lab = Lab::new();
    for _ in 0..8 {
        assert_eq!(create(&mut lab, json!({})).status, 201);
    }
    check_identities(&lab);
}

#[test]
fn an_allocation_may_name_its_node() {
    let claim = |lab: &mut Lab, node: &str| post(lab, "/v1/allocations", json!({"node": node}));
    for by_name in [true, false] {
        let mut lab = available();
        let own = id(&lab, 0);
        let reply = claim(&mut lab, if by_name { "rack-1" } else { &own });
        assert_eq!(reply.status, 201, "{}", reply.body);
        assert_eq!(reply.body["node_uuid"], own);
    }
    let mut lab = available();
    assert_eq!(claim(&mut lab, "rack-9").status, 404);
    assert_eq!(claim(&mut lab, "").status, 400);
}

#[test]
fn missing_things_are_not_found() {
    let mut lab = available();
    for method in ["GET", "DELETE"] {
        let target = "/v1/nodes/rack-1/allocation";
        assert_eq!(status(&mut lab, method, target), 404, "{method}");
    }
    let ports = get(&mut lab, "/v1/ports");
    let port = ports["ports"][0]["uuid"].as_str().unwrap().to_owned();
    for (marker, expected) in [(&*port, 200), ("11111111-2222-4333-8444-555555555555", 400)] {
        let target = format!("/v1/ports?marker={marker}");
        assert_eq!(status(&mut lab, "GET", &target), expected);
    }
    // Once it is allocated, and by nobody else.
    let class = r#"[{"op": "add", "path": "/resource_class", "value": "metal"}]"#;
    call(&mut lab, "PATCH", "/v1/nodes/rack-1", class);
    let body = json!({"resource_class": "metal"});
    assert_eq!(post(&mut lab, "/v1/allocations", body).status, 201);
    let other = format!("/v1/nodes/{}/allocation", id(&lab, 1));
    assert_eq!(status(&mut lab, "GET", &other), 404);
    let own = "/v1/nodes/rack-1/allocation";
    assert_eq!(status(&mut lab, "GET", own), 200);
    assert_eq!(status(&mut lab, "DELETE", own), 204);
}

#[test]
fn flavors_come_and_go() {
    let mut lab = rack();
    let target = "/farrier/v1/flavors/big";
    let put = |lab: &mut Lab, body: Value| call(lab, "PUT", target, &body.to_string()).status;
    for body in [
        json!({"cpus": "many"}),
        json!({"cpus": 70_000}),
        json!({"parts": ["wings"]}),
    ] {
        assert_eq!(put(&mut lab, body), 400);
    }
    assert_eq!(get(&mut lab, "/farrier/v1/flavors"), json!({"flavors": []}));
    assert_eq!(put(&mut lab, json!({"cpus": 2})), 204);
    assert_eq!(status(&mut lab, "DELETE", target), 204);
    assert_eq!(get(&mut lab, "/farrier/v1/flavors"), json!({"flavors": []}));
    assert_eq!(status(&mut lab, "DELETE", target), 404);
}
