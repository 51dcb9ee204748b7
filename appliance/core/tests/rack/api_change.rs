//! What operators change through the API: verbs, config drives, patches,
//! and every refusal of them.

use crate::api_rig::*;
use farrier_api::REPLY_BUFFER;
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::ConfigDriveFormat;
use serde_json::{Value, json};

#[test]
fn verbs() {
    let mut lab = rack();
    let reply = put(&mut lab, "rack-1", r#"{"target": "active"}"#);
    assert_eq!(reply.status, 400);
    assert_eq!(
        reply.fault(),
        "Node rack-1: the requested action \"active\" can not be performed while the node is in state \
         \"manageable\". Possible: provide, inspect, clean, adopt."
    );
    let reply = put(&mut lab, "rack-1", r#"{"target": "fly"}"#);
    assert!(
        reply.fault().contains("\"fly\" is unknown"),
        "{}",
        reply.fault()
    );
    for (body, part) in [
        ("{}", "no target"),
        ("[]", "not an object"),
        ("7", "not an object"),
        ("{\"target\":", "ends in its middle"),
        ("", "ends in its middle"),
        (r#"{"target": 7}"#, "not a string"),
        (
            r#"{"target": "provide", "target": "manage"}"#,
            "two targets",
        ),
        (r#"{"target": "provide", "wings": 2}"#, "wings"),
        (r#"{"target": "provide", "runbook": "x"}"#, "runbook"),
        (
            r#"{"target":"clean","clean_steps":[{"interface":"raid","step":"create"}]}"#,
            "erase_devices",
        ),
        (
            r#"{"target":"active","deploy_steps":[{"step":"x"}]}"#,
            "Writing the image needs no step",
        ),
        (
            r#"{"target":"clean","clean_steps":[{"step":"erase_devices","args":{"a":1}}]}"#,
            "no arguments",
        ),
        (
            r#"{"target":"clean","service_steps":[{"step":"hold"}]}"#,
            "belong to service",
        ),
        (
            r#"{"target":"clean","clean_steps":[{"step":"hold","priority":256}]}"#,
            "0 to 255",
        ),
        (r#"{"target":"clean"}"#, "needs steps"),
        (r#"{"target":"rescue"}"#, "Possible: provide"),
    ] {
        let reply = put(&mut lab, "rack-1", body);
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.fault().contains(part), "{body}: {}", reply.fault());
        assert_eq!(lab.state(0), ProvisionState::Manageable);
    }
    let reply = put(
        &mut lab,
        "rack-1",
        r#"{"clean_steps": [{"interface": "deploy", "step": "erase_devices", "args": {}}],
            "disable_ramdisk": false, "deploy_steps": [], "runbook": null, "target": "clean"}"#,
    );
    assert_eq!((reply.status, reply.body), (202, Value::Null));
    assert_eq!(lab.state(0), ProvisionState::Cleaning);
    let node = get(&mut lab, "/v1/nodes/rack-1");
    assert_eq!(node["clean_step"]["step"], "erase_devices");
    assert_eq!(node["reservation"], "farrier");
    // The appliance is at work: everybody else waits.
    let reply = put(&mut lab, "rack-1", r#"{"target": "provide"}"#);
    assert_eq!(reply.status, 409);
    assert!(reply.fault().contains("locked by host farrier"));
    // What is no verb at all is not said to be one of later.
    let reply = put(&mut lab, "rack-1", r#"{"target": "dance"}"#);
    assert_eq!(reply.status, 400);
    let none = "Possible: none; wait until the work is done.";
    assert!(reply.fault().ends_with(none), "{}", reply.fault());
    lab.pass(100);
    put(&mut lab, "rack-1", r#"{"target": "abort"}"#);
    assert_eq!(lab.state(0), ProvisionState::CleanFailed);
    let node = get(&mut lab, "/v1/nodes/rack-1");
    assert_eq!(node["fault"], "clean failure");
    assert_eq!(node["maintenance"], true);
    put(&mut lab, "rack-1", r#"{"target": "manage"}"#);
    lab.pass(100);
    let reply = put(&mut lab, "rack-1", r#"{"target": "provide"}"#);
    assert_eq!((reply.status, reply.body), (202, Value::Null));
    assert_eq!(lab.state(0), ProvisionState::CleanWait);
    let reply = put(&mut lab, "rack-1", r#"{"target": "provide"}"#);
    assert!(reply.fault().ends_with("Possible: abort."));
}

#[test]
fn deploying_with_a_config_drive() {
    let object = r#"{ "meta_data" : {"a": "}\"{"}, "user_data": "x\u00e4\n" }"#;
    for (drive, kept, format) in [
        (format!("  {object} "), object, ConfigDriveFormat::Json),
        (
            "\"H4sI\\nAAAA/+==\"".to_owned(),
            "H4sI\\nAAAA/+==",
            ConfigDriveFormat::GzipBase64,
        ),
    ] {
        for body in [
            format!(r#"{{"target":"active","configdrive":{drive}}}"#),
            format!(r#"{{"configdrive":{drive}, "target":"active"}}"#),
        ] {
            for cut in [1, 3, 1000] {
                let mut lab = available();
                lab.set_image(0, "debian12").unwrap();
                let request = format!(
                    "PUT /v1/nodes/rack-1/states/provision HTTP/1.1\r\nHost: a\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let reply = exchange(&mut lab, request.as_bytes(), cut, REPLY_BUFFER);
                assert_eq!(reply.status, 202, "{}", reply.body);
                assert_eq!(config_drive(&lab, 0).unwrap(), kept.as_bytes());
                let stored = lab.node(0).config_drive.unwrap();
                assert_eq!(stored.length as usize, kept.len());
                assert_eq!((stored.format, stored.key), (format, [7; 32]));
                assert_eq!(
                    get(&mut lab, "/v1/nodes/rack-1")["instance_info"],
                    json!({"image_source": "debian12", "configdrive": "******"})
                );
            }
        }
    }
}

#[test]
fn config_drives_that_are_refused() {
    let mut lab = available();
    lab.set_image(0, "debian12").unwrap();
    let most = "A".repeat(65_536);
    for (body, status, part) in [
        (
            r#"{"configdrive": 7, "target": "active"}"#.to_owned(),
            400,
            "neither a string nor an object",
        ),
        (
            r#"{"configdrive": "QQ==", "target": "manage"}"#.to_owned(),
            400,
            "not to manage",
        ),
        (
            r#"{"configdrive": "QQ==", "configdrive": "QQ=="}"#.to_owned(),
            400,
            "two",
        ),
        (
            format!(r#"{{"configdrive": "{most}A", "target": "active"}}"#),
            413,
            "65536",
        ),
    ] {
        let reply = put(&mut lab, "rack-1", &body);
        assert_eq!(reply.status, status);
        assert!(reply.fault().contains(part), "{}", reply.fault());
        assert!(reply.keep_alive);
        assert_eq!(lab.state(0), ProvisionState::Available);
    }
    // A body that is too long at once is not read.
    let reply = put(&mut lab, "rack-1", &" ".repeat(70_000));
    assert_eq!((reply.status, reply.keep_alive), (413, false));
    // And neither is one that turns out to be in its chunks.
    let mut request = b"PUT /v1/nodes/rack-1/states/provision HTTP/1.1\r\nHost: a\r\n\
        Transfer-Encoding: chunked\r\n\r\n"
        .to_vec();
    (0..80).for_each(|_| {
        request.extend_from_slice(b"400\r\n");
        request.extend_from_slice(&[b' '; 1024]);
        request.extend_from_slice(b"\r\n");
    });
    let reply = exchange(&mut lab, &request, 1000, REPLY_BUFFER);
    assert_eq!((reply.status, reply.keep_alive), (413, false));
    // The longest is taken; an empty one is none.
    let body = format!(r#"{{"configdrive": "{most}", "target": "active"}}"#);
    assert_eq!(put(&mut lab, "rack-1", &body).status, 202);
    assert_eq!(lab.node(0).config_drive.unwrap().length, 65_536);
    // A node that is being deployed keeps the one that it has.
    let reply = put(
        &mut lab,
        "rack-1",
        r#"{"configdrive": "QQ==", "target": "active"}"#,
    );
    assert_eq!(reply.status, 400);
    let mut lab = available();
    lab.set_image(0, "debian12").unwrap();
    for none in ["\"\"", "null"] {
        let body = format!(r#"{{"configdrive": {none}, "target": "active"}}"#);
        assert_eq!(put(&mut lab, "rack-1", &body).status, 202);
        assert!(lab.node(0).config_drive.is_none());
        put(&mut lab, "rack-1", r#"{"target": "abort"}"#);
    }
}

#[test]
fn deploying_without_what_it_needs() {
    let mut lab = available();
    let reply = put(&mut lab, "rack-1", r#"{"target":"active"}"#);
    assert!(reply.fault().contains("image_source"), "{}", reply.fault());
    lab.set_image(0, "beos").unwrap();
    let reply = put(&mut lab, "rack-1", r#"{"target":"active"}"#);
    assert_eq!(reply.status, 400);
    assert!(reply.fault().contains("\"beos\""), "{}", reply.fault());
    let validate = get(&mut lab, "/v1/nodes/rack-1/validate");
    assert_eq!(validate["deploy"]["result"], false);
    lab.set_image(0, "debian12").unwrap();
    let validate = get(&mut lab, "/v1/nodes/rack-1/validate");
    assert_eq!(validate["deploy"]["result"], true);
}

#[test]
fn patches() {
    let mut lab = rack();
    let mut patch = |body: Value| call(&mut lab, "PATCH", "/v1/nodes/rack-1", &body.to_string());
    let instance = "11111111-2222-4333-8444-555555555555";
    let reply = patch(json!([
        {"op": "add", "path": "/instance_info/image_source", "value": "farrier://debian12"},
        {"path": "/instance_info/display_name", "value": "web \"1\" ä", "op": "replace"},
        {"value": instance, "op": "add", "path": "/instance_uuid"},
        {"op": "add", "path": "/driver_info/ipmi_address", "value": "10.0.0.9"},
        {"op": "add", "path": "/driver_info/ipmi_port", "value": 623},
        {"op": "add", "path": "/driver_info/ipmi_password", "value": "geheim"},
    ]));
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(
        reply.body["instance_info"],
        json!({"image_source": "debian12", "display_name": "web \"1\" ä"})
    );
    assert_eq!(reply.body["instance_uuid"], instance);
    assert_eq!(
        reply.body["driver_info"],
        json!({"ipmi_address": "10.0.0.9", "ipmi_port": "623", "ipmi_password": "******"})
    );
    // One goes, one comes: there is room again.
    let reply = patch(json!([
        {"op": "add", "path": "/driver_info/wol", "value": true},
        {"op": "remove", "path": "/driver_info/ipmi_port"},
        {"op": "remove", "path": "/instance_info/display_name"},
        {"op": "remove", "path": "/instance_uuid"},
    ]));
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.body["driver_info"]["wol"], "true");
    assert_eq!(
        reply.body["instance_info"],
        json!({"image_source": "debian12"})
    );
    assert_eq!(reply.body["instance_uuid"], Value::Null);
    // All of instance_info at once.
    let reply = patch(json!([
        {"op": "replace", "path": "/instance_info",
         "value": {"image_source": "http://images/a/beos", "display_name": "b"}},
    ]));
    assert_eq!(
        reply.body["instance_info"],
        json!({"image_source": "beos", "display_name": "b"})
    );
    let reply = patch(json!([{"op": "remove", "path": "/instance_info"}]));
    assert_eq!(reply.body["instance_info"], json!({}));
    // The reply shows the node though the name in the path is gone.
    let reply = patch(json!([{"op": "replace", "path": "/name", "value": "rack-7"}]));
    assert_eq!(reply.body["name"], "rack-7");
    let reply = call(
        &mut lab,
        "PATCH",
        "/v1/nodes/rack-7",
        r#"[{"op":"remove","path":"/name"}]"#,
    );
    assert_eq!(reply.body["name"], Value::Null);
}

#[test]
fn patches_that_are_refused_change_nothing() {
    let mut lab = rack();
    let other = id(&lab, 1);
    let rename = r#"[{"op":"add","path":"/name","value":"taken"}]"#;
    call(&mut lab, "PATCH", &format!("/v1/nodes/{other}"), rename);
    let before = get(&mut lab, "/v1/nodes/rack-1");
    let long = "x".repeat(70);
    let good = json!({"op": "add", "path": "/driver_info/a", "value": "b"});
    for (operation, status, part) in [
        (
            json!({"op": "add", "path": "/name", "value": "taken"}),
            409,
            "has that name",
        ),
        (
            json!({"op": "add", "path": "/name", "value": "a b"}),
            400,
            "letters",
        ),
        (
            json!({"op": "add", "path": "/name", "value": long}),
            400,
            "too long",
        ),
        (
            json!({"op": "add", "path": "/extra/a", "value": "b"}),
            400,
            "does not keep",
        ),
        (
            json!({"op": "add", "path": "/properties/cpus", "value": 9}),
            400,
            "inspection",
        ),
        (
            json!({"op": "add", "path": "/wings", "value": 2}),
            400,
            "can't be changed",
        ),
        (
            json!({"op": "add", "path": "name", "value": "x"}),
            400,
            "can't be changed",
        ),
        (
            json!({"op": "test", "path": "/name", "value": "x"}),
            400,
            "only add",
        ),
        (
            json!({"op": "move", "path": "/name", "from": "/a"}),
            400,
            "from",
        ),
        (
            json!({"op": "add", "path": "/instance_uuid", "value": "7"}),
            400,
            "no UUID",
        ),
        (
            json!({"op": "add", "path": "/instance_info/image_checksum", "value": "abc"}),
            400,
            "signed manifest",
        ),
        (
            json!({"op": "add", "path": "/instance_info/capabilities", "value": {"boot_option": "local"}}),
            400,
            "object",
        ),
        (
            json!({"op": "add", "path": "/instance_info/image_source", "value": long}),
            400,
            "too long",
        ),
        (
            json!({"op": "add", "path": "/driver_info", "value": {}}),
            400,
            "object",
        ),
        (
            json!({"op": "add", "path": "/driver_info/a", "value": [1]}),
            400,
            "neither a text",
        ),
        (
            json!({"op": "add", "path": "/driver_info/b", "value": "a\nb"}),
            400,
            "control",
        ),
        (json!(7), 400, "not a JSON patch"),
    ] {
        let body = json!([good, operation]).to_string();
        let reply = call(&mut lab, "PATCH", "/v1/nodes/rack-1", &body);
        assert_eq!(reply.status, status, "{body}");
        assert!(reply.fault().contains(part), "{body}: {}", reply.fault());
    }
    let four: Vec<Value> = (0..4)
        .map(|n| json!({"op": "add", "path": format!("/driver_info/{n}"), "value": "b"}))
        .collect();
    let reply = call(
        &mut lab,
        "PATCH",
        "/v1/nodes/rack-1",
        &json!(four).to_string(),
    );
    assert!(reply.fault().contains("too many"), "{}", reply.fault());
    for (body, status) in [
        ("{}", 400),
        ("[", 400),
        ("", 400),
        (&*" ".repeat(2049), 413),
    ] {
        let reply = call(&mut lab, "PATCH", "/v1/nodes/rack-1", body);
        assert_eq!(reply.status, status);
    }
    let after = get(&mut lab, "/v1/nodes/rack-1");
    assert_eq!(before, after);
    assert_eq!(
        call(&mut lab, "PATCH", "/v1/nodes/rack-1", "[]").status,
        200
    );
}

#[test]
fn an_image_in_use_stays() {
    let mut lab = available();
    lab.set_image(0, "debian12").unwrap();
    put(&mut lab, "rack-1", r#"{"target":"active"}"#);
    assert_eq!(lab.state(0), ProvisionState::WaitCallBack);
    let body = json!([
        {"op": "add", "path": "/name", "value": "other"},
        {"op": "add", "path": "/instance_info/image_source", "value": "beos"},
    ]);
    let reply = call(&mut lab, "PATCH", "/v1/nodes/rack-1", &body.to_string());
    assert_eq!(reply.status, 400);
    assert!(
        reply.fault().contains("wait call-back"),
        "{}",
        reply.fault()
    );
    assert_eq!(lab.node(0).name, "rack-1");
}
