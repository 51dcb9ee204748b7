//! Every error of the API says what failed, on which thing, and what to do.

use crate::api_rig::*;
use crate::common::*;
use farrier_lifecycle::Verb;
use serde_json::{Value, json};

/// Whether a text has a sentence that says what failed, and another one that
/// says what to do.
fn is_complete(text: &str) -> bool {
    let sentences = text.split_inclusive(['.', ':']).filter(|s| s.len() > 3);
    sentences.count() >= 2 && text.ends_with('.')
}

/// Asks, and looks at the error.
fn refused(lab: &mut Lab, method: &str, target: &str, body: &Value, thing: &str) {
    let body = match body {
        Value::Null => String::new(),
        body => body.to_string(),
    };
    let reply = call(lab, method, target, &body);
    assert!(reply.status >= 400, "{method} {target} {body}");
    let text = reply.fault();
    assert!(text.starts_with(thing), "{method} {target} {body}: {text}");
    assert!(is_complete(&text), "{method} {target} {body}: {text}");
    assert!(text.len() < 288, "it is cut: {text}");
}

fn add(path: &str, value: Value) -> Value {
    json!([{"op": "add", "path": path, "value": value}])
}

#[test]
fn errors_of_nodes_name_the_node_and_what_to_do() {
    let mut lab = rack();
    let other = id(&lab, 1);
    let target = format!("/v1/nodes/{other}");
    call(
        &mut lab,
        "PATCH",
        &target,
        &add("/name", "taken".into()).to_string(),
    );
    let node = "/v1/nodes/rack-1";
    let long = "x".repeat(100);
    for body in [
        add("/name", "taken".into()),
        add("/name", "a b".into()),
        add("/name", long.clone().into()),
        add("/resource_class", "a b".into()),
        add("/instance_uuid", "7".into()),
        add("/instance_info/wings", "2".into()),
        add("/instance_info/image_source", long.clone().into()),
        add("/instance_info", "x".into()),
        add("/driver_info", "x".into()),
        add("/driver_info/key", long.clone().into()),
        add("/driver_info/a", json!({"b": 1})),
        add("/driver_info/a", json!([1])),
        add("/protected", true.into()),
        add("/retired", "perhaps".into()),
        add("/retired_reason", long.clone().into()),
        add("/properties/cpus", 2.into()),
        add("/extra/a", "b".into()),
        add("/wings", 2.into()),
        add("wings", 2.into()),
        json!([{"op": "test", "path": "/name", "value": "x"}]),
        json!([{"op": "add", "path": "/name", "from": "x"}]),
        json!({}),
        json!(" ".repeat(3000)),
    ] {
        refused(&mut lab, "PATCH", node, &body, "Node rack-1: ");
    }
    let provision = "/v1/nodes/rack-1/states/provision";
    for body in [
        Value::Null,
        json!({}),
        json!([]),
        json!({"target": 7}),
        json!({"target": "fly"}),
        json!({"target": "active"}),
        json!({"target": "clean"}),
        json!({"target": "clean", "clean_steps": [{"step": "x"}]}),
        json!({"target": "clean", "clean_steps": [{"wings": "x"}]}),
        json!({"target": "clean", "clean_steps": [{"step": "hold", "priority": 256}]}),
        json!({"target": "clean", "service_steps": [{"step": "hold"}]}),
        json!({"target": "manage", "wings": 2}),
        json!({"target": "manage", "configdrive": 7}),
        json!({"target": "manage", "configdrive": {}}),
    ] {
        refused(&mut lab, "PUT", provision, &body, "Node rack-1: ");
    }
    for (method, target, body) in [
        ("PUT", "states/power", json!({"target": "fly"})),
        ("PUT", "traits", json!({"traits": ["a b"]})),
        (
            "PUT",
            "traits/a b".replace(' ', "%20").as_str(),
            Value::Null,
        ),
        ("PUT", "maintenance", json!({"reasons": "x"})),
    ] {
        let target = format!("/v1/nodes/rack-1/{target}");
        refused(&mut lab, method, &target, &body, "Node rack-1: ");
    }
    let _agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.verb(0, Verb::Provide).unwrap();
    refused(
        &mut lab,
        "PATCH",
        node,
        &add("/name", "b".into()),
        "Node rack-1 is locked",
    );
    refused(
        &mut lab,
        "DELETE",
        node,
        &Value::Null,
        "Node rack-1 is locked",
    );
}

#[test]
fn errors_of_other_things_name_the_thing() {
    let mut lab = rack();
    let uuid = id(&lab, 0);
    let none = "11111111-2222-4333-8444-555555555555";
    for (method, target, body, thing) in [
        ("GET", "/v1/nodes/nobody", Value::Null, "Node nobody "),
        (
            "GET",
            &format!("/v1/nodes/{none}"),
            Value::Null,
            "Node 11111111-",
        ),
        (
            "GET",
            "/v1/nodes/rack-1/history/7",
            Value::Null,
            "History entry 7 ",
        ),
        (
            "GET",
            "/v1/nodes/rack-1/allocation",
            Value::Null,
            "Allocation of node rack-1 ",
        ),
        (
            "GET",
            &format!("/v1/nodes/{}/inventory", id(&lab, 1)),
            Value::Null,
            "Node ",
        ),
        ("POST", "/v1/nodes", json!({}), "New node: "),
        (
            "POST",
            "/v1/nodes",
            json!({"driver": "ilo", "name": "a"}),
            "Node a: ",
        ),
        (
            "POST",
            "/v1/nodes",
            json!({"driver": "farrier", "uuid": "7"}),
            "Node 7: ",
        ),
        (
            "POST",
            "/v1/nodes",
            json!({"driver": "farrier", "uuid": uuid}),
            "Node ",
        ),
        (
            "POST",
            "/v1/nodes",
            json!({"driver": "farrier", "wings": 2}),
            "New node: ",
        ),
        ("POST", "/v1/ports", json!({}), "New port: "),
        (
            "POST",
            "/v1/ports",
            json!({"address": "52:54:00:00:00:09"}),
            "Port 52:54:",
        ),
        (
            "POST",
            "/v1/ports",
            json!({"address": "52:54:00:00:00:02", "node_uuid": uuid}),
            "Port 52:54:",
        ),
        (
            "GET",
            &format!("/v1/ports/{none}"),
            Value::Null,
            "Port 11111111-",
        ),
        ("DELETE", "/v1/ports/7", Value::Null, "Port 7 "),
        (
            "POST",
            "/v1/allocations",
            json!({"name": "web"}),
            "Allocation web: ",
        ),
        (
            "POST",
            "/v1/allocations",
            json!({"resource_class": "gold"}),
            "New allocation: ",
        ),
        (
            "POST",
            "/v1/allocations",
            json!({"node": "nobody"}),
            "New allocation: ",
        ),
        (
            "DELETE",
            "/v1/allocations/web",
            Value::Null,
            "Allocation web ",
        ),
        (
            "PUT",
            "/farrier/v1/flavors/big",
            json!({"cpus": "many"}),
            "Flavor big: ",
        ),
        (
            "PUT",
            "/farrier/v1/flavors/big",
            json!({"cpus": 70_000}),
            "Flavor big: ",
        ),
        (
            "PUT",
            "/farrier/v1/flavors/big",
            json!({"parts": ["wings"]}),
            "Flavor big: ",
        ),
        (
            "DELETE",
            "/farrier/v1/flavors/big",
            Value::Null,
            "Flavor big: ",
        ),
        (
            "PUT",
            "/farrier/v1/networks/blue",
            json!({}),
            "Network blue: ",
        ),
        (
            "PUT",
            "/farrier/v1/networks/blue",
            json!({"vlan": "x"}),
            "Network blue: ",
        ),
        (
            "DELETE",
            "/farrier/v1/networks/blue",
            Value::Null,
            "Network blue: ",
        ),
        (
            "PUT",
            "/farrier/v1/addresses/blue/7",
            json!({}),
            "Interface 7 ",
        ),
        (
            "PUT",
            "/farrier/v1/addresses/blue/02:00:00:00:00:09",
            json!({}),
            "Interface 02:00:00:00:00:09: ",
        ),
        (
            "PUT",
            "/farrier/v1/addresses/provisioning/02:00:00:00:00:09",
            json!({"address": "7"}),
            "Interface 02:00:00:00:00:09: ",
        ),
        (
            "GET",
            "/v1/nodes?fields=wings",
            Value::Null,
            "A node has no field \"wings\"",
        ),
        (
            "GET",
            "/v1/nodes?limit=x",
            Value::Null,
            "Invalid value \"x\" of limit",
        ),
        (
            "GET",
            "/v1/nodes?wings=2",
            Value::Null,
            "There is no filter \"wings\"",
        ),
        (
            "GET",
            &format!("/v1/nodes?marker={none}"),
            Value::Null,
            "The marker 11111111-",
        ),
        ("GET", "/v1/wings", Value::Null, "Resource /v1/wings "),
        (
            "PUT",
            "/v1/nodes",
            Value::Null,
            "/v1/nodes has no method PUT. It has GET, POST.",
        ),
    ] {
        refused(&mut lab, method, target, &body, thing);
    }
}
