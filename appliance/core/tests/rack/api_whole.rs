//! Requests that change several things are carried out whole or not at all.

use crate::api_rig::*;
use crate::common::*;
use farrier_core::Command;
use farrier_core::strings::StringPool;
use serde_json::{Value, json};

const INSTANCE: &str = "11111111-2222-4333-8444-555555555555";

fn add(path: &str, value: &str) -> Value {
    json!({"op": "add", "path": path, "value": value})
}

/// Gives a node so many traits, `T0` and so on.
fn give_traits(lab: &mut Lab, index: usize, count: usize) {
    let node = lab.node(index).id;
    for number in 0..count {
        let name = &format!("T{number}");
        let on = true;
        lab.operator(Command::SetTrait { node, name, on }).unwrap();
    }
}

/// A patch of all that a patch can change, with this in addition, is refused
/// with that status and leaves nothing behind.
fn refuses(lab: &mut Lab, what: Value, status: u16, part: &str) {
    let before = get(lab, "/v1/nodes/rack-1");
    let records = durable(lab.rack());
    let mut patch = vec![
        add("/driver_info/deploy", "x"),
        add("/maintenance", "true"),
        add("/instance_info/display_name", "shown"),
    ];
    let path = what["path"].clone();
    if path != "/name" {
        patch.push(add("/name", "another"));
    }
    if path != "/resource_class" {
        patch.push(add("/resource_class", "metal"));
    }
    patch.push(what.clone());
    let body = Value::from(patch).to_string();
    let reply = call(lab, "PATCH", "/v1/nodes/rack-1", &body);
    assert_eq!(reply.status, status, "{what}: {}", reply.body);
    assert!(reply.fault().contains(part), "{what}: {}", reply.fault());
    assert_eq!(get(lab, "/v1/nodes/rack-1"), before, "{what}");
    assert_eq!(durable(lab.rack()), records, "{what}");
}

#[test]
fn refused_patch_changes_nothing() {
    let mut lab = available();
    lab.discover(7);
    let other = id(&lab, 1);
    let body = json!([add("/name", "taken"), add("/instance_uuid", INSTANCE)]).to_string();
    let target = format!("/v1/nodes/{other}");
    assert_eq!(call(&mut lab, "PATCH", &target, &body).status, 200);
    refuses(&mut lab, add("/name", "taken"), 409, "has that name");
    refuses(&mut lab, add("/name", "a name"), 400, "name");
    refuses(
        &mut lab,
        add("/instance_uuid", INSTANCE),
        409,
        "instance_uuid",
    );
    refuses(&mut lab, add("/resource_class", "a class"), 400, "");
    // Its own name and instance are nobody else's.
    let body = json!([add("/name", "taken"), add("/instance_uuid", INSTANCE)]).to_string();
    assert_eq!(call(&mut lab, "PATCH", &target, &body).status, 200);

    // A node that an allocation has keeps its class.
    let class = json!([add("/resource_class", "metal")]).to_string();
    assert_eq!(
        call(&mut lab, "PATCH", "/v1/nodes/rack-1", &class).status,
        200
    );
    let claim = json!({"resource_class": "metal"});
    let claimed = post(&mut lab, "/v1/allocations", claim);
    assert_eq!(claimed.status, 201, "{}", claimed.body);
    refuses(&mut lab, add("/resource_class", "gold"), 409, "");
    refuses(
        &mut lab,
        json!({"op": "remove", "path": "/resource_class"}),
        409,
        "",
    );
    let reply = call(&mut lab, "PATCH", "/v1/nodes/rack-1", &class);
    assert_eq!(reply.status, 200, "the class that it has: {}", reply.body);
}

#[test]
fn patch_without_room_for_its_class_changes_nothing() {
    let mut lab = available();
    // As many words as there are places.
    give_traits(&mut lab, 0, 32);
    let patch = |class: &str| json!([add("/name", "n"), add("/resource_class", class)]).to_string();
    let before = durable(lab.rack());
    let reply = call(&mut lab, "PATCH", "/v1/nodes/rack-1", &patch("metal"));
    assert_eq!(reply.status, 503, "{}", reply.body);
    assert_eq!(durable(lab.rack()), before);
    let reply = call(&mut lab, "PATCH", "/v1/nodes/rack-1", &patch("T31"));
    assert_eq!(reply.status, 200, "a word that is there: {}", reply.body);
}

#[test]
fn a_patch_needs_room_for_class_and_keys_together() {
    let class = "c".repeat(40);
    let body = json!([
        add("/name", "n"),
        add("/driver_info/key", "value"),
        add("/resource_class", &class),
    ])
    .to_string();
    let needs = StringPool::cost("key=value".len()) + StringPool::cost(class.len());
    for (spare, status) in [(0, 200), (1, 503)] {
        let mut lab = available();
        lab.discover(2);
        fill(&mut lab, needs - spare);
        let before = durable(lab.rack());
        let reply = call(&mut lab, "PATCH", "/v1/nodes/rack-1", &body);
        assert_eq!(reply.status, status, "{}", reply.body);
        assert_eq!(durable(lab.rack()) == before, status == 503);
        forget(lab);
    }
}

#[test]
fn node_is_created_whole_or_not_at_all() {
    let mut lab = Lab::new();
    for class in ["a class", "", "metal"] {
        let body = json!({"driver": "farrier", "resource_class": class});
        let reply = post(&mut lab, "/v1/nodes", body);
        let fits = class != "a class";
        assert_eq!(reply.status, if fits { 201 } else { 400 }, "{}", reply.body);
    }
    assert_eq!(lab.rack().nodes().len(), 2);
}

#[test]
fn traits_are_replaced_whole_or_not_at_all() {
    let mut lab = available();
    let target = "/v1/nodes/rack-1/traits";
    let put = |lab: &mut Lab, traits: &[&str]| {
        let body = json!({ "traits": traits }).to_string();
        call(lab, "PUT", target, &body).status
    };
    assert_eq!(put(&mut lab, &["OLD"]), 204);
    let before = durable(lab.rack());
    assert_eq!(put(&mut lab, &["NEW", "not a word"]), 400);
    assert_eq!(durable(lab.rack()), before);
    // One place of the vocabulary is left.
    lab.discover(7);
    give_traits(&mut lab, 1, 30);
    let before = durable(lab.rack());
    assert_eq!(put(&mut lab, &["OLD", "ONE", "TWO"]), 503);
    assert_eq!(durable(lab.rack()), before);
    assert_eq!(put(&mut lab, &["OLD", "ONE"]), 204);
    assert_eq!(get(&mut lab, target), json!({"traits": ["OLD", "ONE"]}));
}

#[test]
fn traits_need_room_together() {
    let traits = ["A".repeat(64), "B".repeat(40), "C".to_owned()];
    let needs: usize = traits.iter().map(|name| StringPool::cost(name.len())).sum();
    for (spare, status) in [(0, 204), (1, 503)] {
        let mut lab = available();
        lab.discover(2);
        fill(&mut lab, needs - spare);
        let before = durable(lab.rack());
        let body = json!({ "traits": traits }).to_string();
        let reply = call(&mut lab, "PUT", "/v1/nodes/rack-1/traits", &body);
        assert_eq!(reply.status, status, "{}", reply.body);
        assert_eq!(durable(lab.rack()) == before, status == 503);
        forget(lab);
    }
}
