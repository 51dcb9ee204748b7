//! What operators did outlives a restart, record by record.

use crate::api_rig::*;
use crate::common::*;

/// What operators see of all this, without what is told anew after a start
/// (times and power).
fn shown(lab: &mut Lab) -> String {
    let fields = "uuid,name,maintenance,maintenance_reason,protected,protected_reason,retired,\
                  retired_reason,driver_info,resource_class,traits,allocation_uuid,instance_uuid,\
                  fault";
    [
        &*format!("/v1/nodes?fields={fields}"),
        "/v1/ports",
        "/v1/allocations",
        "/farrier/v1/flavors",
        "/farrier/v1/networks",
        "/farrier/v1/addresses",
    ]
    .map(|target| get(lab, target).to_string())
    .concat()
}

#[test]
fn a_journal_brings_back_what_operators_did() {
    let mut lab = available();
    let own = id(&lab, 0);
    let spare = "11111111-2222-4333-8444-555555555555";
    let port = format!(r#"{{"node_uuid": "{spare}", "address": "02:00:00:00:00:09"}}"#);
    let node = format!(
        r#"{{"driver": "farrier", "uuid": "{spare}", "resource_class": "small",
            "driver_info": {{"a": "b", "c": "d"}}}}"#
    );
    let to_own = |what: &str| format!("/v1/nodes/{own}{what}");
    let to_spare = |what: &str| format!("/v1/nodes/{spare}{what}");
    let patch = r#"[{"op": "add", "path": "/resource_class", "value": "large"},
        {"op": "add", "path": "/driver_info/x", "value": "y"}]"#;
    let retire = r#"[{"op": "add", "path": "/retired", "value": true},
        {"op": "add", "path": "/retired_reason", "value": "old"},
        {"op": "remove", "path": "/driver_info/c"}]"#;
    let network = r#"{"pool_first": "10.1.0.10", "pool_len": 5, "vlan": 7}"#;
    for (method, target, body, status) in [
        ("PATCH", to_own(""), patch, 200),
        (
            "PUT",
            to_own("/traits"),
            r#"{"traits": ["A", "B", "C"]}"#,
            204,
        ),
        ("DELETE", to_own("/traits/B"), "", 204),
        (
            "PUT",
            "/farrier/v1/flavors/f".into(),
            r#"{"cpus": 0, "traits": ["A"]}"#,
            204,
        ),
        ("PUT", "/farrier/v1/flavors/g".into(), "{}", 204),
        ("DELETE", "/farrier/v1/flavors/g".into(), "", 204),
        ("POST", "/v1/nodes".into(), &node, 201),
        ("POST", "/v1/ports".into(), &port, 201),
        ("PATCH", to_spare(""), retire, 200),
        ("PUT", to_spare("/maintenance"), r#"{"reason": "fan"}"#, 202),
        ("POST", "/v1/nodes".into(), r#"{"driver": "farrier"}"#, 201),
        (
            "POST",
            "/v1/allocations".into(),
            r#"{"resource_class": "f"}"#,
            201,
        ),
        ("DELETE", to_own("/allocation"), "", 204),
        (
            "POST",
            "/v1/allocations".into(),
            r#"{"resource_class": "large", "name": "n", "traits": ["C"]}"#,
            201,
        ),
        ("PUT", "/farrier/v1/networks/blue".into(), network, 204),
        (
            "PUT",
            "/farrier/v1/addresses/blue/02:00:00:00:00:09".into(),
            "{}",
            204,
        ),
        (
            "PUT",
            "/farrier/v1/addresses/blue/02:00:00:00:00:08".into(),
            "{}",
            204,
        ),
        (
            "DELETE",
            "/farrier/v1/addresses/blue/02:00:00:00:00:08".into(),
            "",
            204,
        ),
    ] {
        let reply = call(&mut lab, method, &target, body);
        assert_eq!(reply.status, status, "{method} {target}: {}", reply.body);
    }
    let before = shown(&mut lab);
    assert!(
        before.contains("\"blue\"") && before.contains("fan"),
        "{before}"
    );

    // Twice is as good as once.
    let records = lab.records_mut();
    *records = records
        .iter()
        .flat_map(|r| [r.clone(), r.clone()])
        .collect();
    lab.restart(0);
    assert_eq!(shown(&mut lab), before);
}
