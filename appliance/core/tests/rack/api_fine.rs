//! Details of the API: admin flags and their reasons in patches, room that is
//! just enough, config drives, and one exchange step by step.

use crate::api_rig::*;
use crate::common::*;
use farrier_api::{Exchange, MAX_BODY, MAX_PATCH, Need, REPLY_BUFFER, serve};
use farrier_core::accounts::Role;
use farrier_core::strings::StringPool;
use farrier_http::Head;
use farrier_lifecycle::Verb;
use serde_json::{Value, json};

fn patch(lab: &mut Lab, body: &Value) -> Reply {
    call(lab, "PATCH", "/v1/nodes/rack-1", &body.to_string())
}

fn add(path: &str, value: Value) -> Value {
    json!({"op": "add", "path": path, "value": value})
}

fn remove(path: &str) -> Value {
    json!({"op": "remove", "path": path})
}

fn node(lab: &mut Lab) -> Value {
    get(lab, "/v1/nodes/rack-1")
}

#[test]
fn admin_flags_keep_their_own_reasons() {
    let mut lab = rack();
    let reply = patch(
        &mut lab,
        &json!([
            add("/maintenance", true.into()),
            add("/maintenance_reason", "disk ordered".into()),
            add("/retired", "True".into()),
        ]),
    );
    assert_eq!(reply.status, 200, "{}", reply.body);
    let shown = node(&mut lab);
    assert_eq!(shown["maintenance_reason"], "disk ordered");
    assert_eq!(shown["retired_reason"], Value::Null);
    assert_eq!(
        (&shown["maintenance"], &shown["retired"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(shown["protected"], false);
    patch(&mut lab, &json!([add("/retired_reason", "old".into())]));
    let shown = node(&mut lab);
    assert_eq!(shown["retired_reason"], "old");
    assert_eq!(shown["maintenance_reason"], "disk ordered");
    // The ways in which clients say no.
    for no in [json!(false), json!("False"), Value::Null] {
        patch(&mut lab, &json!([add("/retired", true.into())]));
        let reply = patch(&mut lab, &json!([add("/retired", no)]));
        assert_eq!((reply.status, &reply.body["retired"]), (200, &json!(false)));
    }
    let reply = patch(&mut lab, &json!([add("/retired", "perhaps".into())]));
    assert_eq!(reply.status, 400);
    // What is removed has no value, whatever comes with it.
    let with_value = json!({"op": "remove", "path": "/name", "value": "other"});
    let target = format!("/v1/nodes/{}", id(&lab, 0));
    let reply = call(&mut lab, "PATCH", &target, &json!([with_value]).to_string());
    assert_eq!(reply.body["name"], Value::Null);
}

#[test]
fn busy_node_takes_maintenance_only() {
    let mut lab = rack();
    let _agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB]));
    lab.verb(0, Verb::Provide).unwrap();
    assert!(lab.state(0).is_busy());
    let why = add("/maintenance_reason", "smoke".into());
    for (body, status) in [
        (json!([add("/retired", true.into())]), 409),
        (json!([add("/retired_reason", "old".into())]), 409),
        (
            json!([
                add("/maintenance", true.into()),
                add("/retired", true.into())
            ]),
            409,
        ),
        (
            json!([
                add("/maintenance", true.into()),
                add("/resource_class", "a".into())
            ]),
            409,
        ),
        (json!([add("/name", "other".into())]), 409),
        (json!([add("/maintenance", true.into()), why]), 200),
    ] {
        let reply = patch(&mut lab, &body);
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
    }
    assert_eq!(node(&mut lab)["maintenance_reason"], "smoke");
}

#[test]
fn refused_admin_flag_leaves_the_name() {
    let mut lab = available();
    for path in ["/protected", "/retired"] {
        // Together with a change that would be done first.
        let body = json!([add("/name", "rack-2".into()), add(path, true.into())]);
        let reply = patch(&mut lab, &body);
        assert_eq!(reply.status, 409, "{}", reply.body);
        assert_eq!(lab.node(0).name, "rack-1");
        assert_eq!(
            patch(&mut lab, &json!([add(path, false.into())])).status,
            200
        );
    }
}

#[test]
fn patch_without_room_for_its_texts_is_refused() {
    let driver = || add("/driver_info/key", "value".into());
    let reason = || add("/retired_reason", "why".into());
    let (pair, why) = (
        StringPool::cost("key".len() + 1 + "value".len()),
        StringPool::cost("why".len()),
    );
    for (body, needs) in [
        (json!([driver()]), pair),
        (json!([reason()]), why),
        (json!([driver(), reason()]), pair + why),
    ] {
        for (spare, status) in [(0, 200), (1, 503)] {
            let mut lab = rack();
            fill(&mut lab, needs - spare);
            let reply = patch(&mut lab, &body);
            assert_eq!(reply.status, status, "{body}: {}", reply.body);
            if status == 503 {
                assert_eq!(reply.whose_fault(), "Server");
            }
            forget(lab);
        }
    }
}

#[test]
fn whose_fault_an_error_is() {
    let mut lab = rack();
    let reply = patch(&mut lab, &json!([add("/name", "a b".into())]));
    assert_eq!(reply.whose_fault(), "Client");
}

#[test]
fn driver_info_keys_are_counted_after_the_patch() {
    let mut lab = rack();
    let set = |key: &str| add(&format!("/driver_info/{key}"), "x".into());
    let gone = |key: &str| remove(&format!("/driver_info/{key}"));
    for (body, status, left) in [
        (json!([set("a"), set("b"), set("c")]), 200, ["a", "b", "c"]),
        (json!([set("d")]), 400, ["a", "b", "c"]),
        (json!([set("a"), set("b")]), 200, ["a", "b", "c"]),
        (json!([set("d"), gone("a")]), 200, ["b", "c", "d"]),
        (json!([set("e"), set("f"), gone("b")]), 400, ["b", "c", "d"]),
        (json!([set("e"), gone("a")]), 400, ["b", "c", "d"]),
        (json!([set("b"), set("e"), gone("c")]), 200, ["b", "d", "e"]),
    ] {
        let reply = patch(&mut lab, &body);
        assert_eq!(reply.status == 200, status == 200, "{body}: {}", reply.body);
        let shown = node(&mut lab);
        let mut keys: Vec<_> = shown["driver_info"].as_object().unwrap().keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, left, "{body}");
    }
    let reply = patch(&mut lab, &json!([add("/driver_info", "x".into())]));
    assert!(reply.fault().contains("key by key"), "{}", reply.fault());
    // Counted before anything else of the patch is done.
    let body = json!([add("/name", "other".into()), set("z")]);
    assert_eq!(patch(&mut lab, &body).status, 400);
    assert_eq!(node(&mut lab)["name"], "rack-1");
}

#[test]
fn validate_names_what_a_deployment_lacks() {
    let mut lab = rack();
    let reason = |lab: &mut Lab, node: &str| {
        let validate = get(lab, &format!("/v1/nodes/{node}/validate"));
        validate["deploy"]["reason"]
            .as_str()
            .unwrap_or("")
            .to_owned()
    };
    assert!(reason(&mut lab, "rack-1").contains("image_source is not set"));
    let other = id(&lab, 1);
    lab.set_image(1, "debian12").unwrap();
    assert!(reason(&mut lab, &other).contains("no disk is known"));
    lab.set_image(0, "beos").unwrap();
    assert!(reason(&mut lab, "rack-1").contains("no image of that name"));
}

/// What is sent to a client that waits for `100 Continue`.
fn sent_to_patient_client(target: &str, length: u64) -> (String, bool) {
    let mut lab = rack();
    let request = format!(
        "PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    let (head, _) = Head::parse(request.as_bytes()).unwrap().unwrap();
    let mut wire = Vec::new();
    let receive = || Some(vec![b' '; length as usize]);
    let mut rig = Rig::new(&mut lab, receive, |bytes| wire.extend_from_slice(bytes));
    let (mut statement, mut buffer) = ([0; 4096], [0; REPLY_BUFFER]);
    let kept = serve(&head, &mut rig, &mut statement, &mut buffer).unwrap();
    drop(rig);
    (String::from_utf8(wire).unwrap(), kept)
}

#[test]
fn refused_request_is_not_continued() {
    let provision = "/v1/nodes/rack-1/states/provision";
    let (wire, kept) = sent_to_patient_client(provision, 10);
    assert!(wire.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 "));
    assert!(kept);
    for (target, length, status) in [
        ("/v1/nodes/nobody/states/provision", 10, "404"),
        (provision, MAX_BODY + 1, "413"),
    ] {
        let (wire, kept) = sent_to_patient_client(target, length);
        assert!(wire.starts_with(&format!("HTTP/1.1 {status} ")), "{wire}");
        assert!(!kept, "its body was not read");
    }
}

#[test]
fn a_body_of_unknown_length_is_counted() {
    for (length, status, kept) in [(MAX_BODY, 400, true), (MAX_BODY + 1, 413, false)] {
        let mut lab = rack();
        let mut request = "PUT /v1/nodes/rack-1/states/provision HTTP/1.1\r\nHost: a\r\n\
                           Transfer-Encoding: chunked\r\n\r\n"
            .to_owned();
        request += &format!("{length:x}\r\n{}\r\n0\r\n\r\n", " ".repeat(length as usize));
        let reply = exchange(&mut lab, request.as_bytes(), 1000, REPLY_BUFFER);
        assert_eq!((reply.status, reply.keep_alive), (status, kept), "{length}");
    }
}

#[test]
fn port_deleted_during_its_reply_is_null() {
    let mut lab = rack();
    let ports = get(&mut lab, "/v1/ports");
    let port = ports["ports"][0]["uuid"].as_str().unwrap();
    let request = format!("GET /v1/ports/{port} HTTP/1.1\r\nHost: a\r\n\r\n");
    let (head, _) = Head::parse(request.as_bytes()).unwrap().unwrap();
    let mut exchange = Exchange::begin(&head, [0; 32], operator(Role::Admin), &view(&lab));
    let target = format!("/v1/ports/{port}");
    assert_eq!(call(&mut lab, "DELETE", &target, "").status, 204);
    let mut reply = Vec::new();
    let mut buffer = [0; REPLY_BUFFER];
    while let Need::Send = exchange.need(&view(&lab)) {
        let length = exchange.reply(&view(&lab), &[], &mut buffer);
        reply.extend_from_slice(&buffer[..length]);
    }
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.contains("\r\n0004\r\nnull\r\n"), "{reply}");
}

#[test]
fn a_refused_request_leaves_the_present_config_drive() {
    let mut lab = available();
    lab.set_image(0, "debian12").unwrap();
    let text = |name: &str| format!(r#"{{"meta_data": {{"name": "{}"}}}}"#, name.repeat(700));
    let deploy = |lab: &mut Lab, name: &str| {
        let body = format!(r#"{{"target": "active", "configdrive": {}}}"#, text(name));
        put(lab, "rack-1", &body).status
    };
    let present = |lab: &Lab| config_drive(lab, 0).map(|text| String::from_utf8(text).unwrap());
    assert_eq!(deploy(&mut lab, "one"), 202);
    assert_eq!(present(&lab), Some(text("one")));
    put(&mut lab, "rack-1", r#"{"target": "abort"}"#);

    patch(&mut lab, &json!([add("/maintenance", true.into())]));
    for refused in ["two", "three"] {
        assert_eq!(deploy(&mut lab, refused), 400, "it is in maintenance");
        assert_eq!(present(&lab), Some(text("one")));
    }
    patch(&mut lab, &json!([add("/maintenance", false.into())]));
    assert_eq!(deploy(&mut lab, "four"), 202);
    assert_eq!(present(&lab), Some(text("four")));
    lab.restart(0);
    assert_eq!(present(&lab), Some(text("four")));
}

#[test]
fn of_two_config_drives_on_their_way_at_once_one_is_refused() {
    let mut lab = available();
    lab.set_image(0, "debian12").unwrap();
    let body = r#"{"target": "active", "configdrive": {"a": "b"}}"#;
    let request = format!(
        "PUT /v1/nodes/rack-1/states/provision HTTP/1.1\r\nHost: a\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let (head, _) = Head::parse(request.as_bytes()).unwrap().unwrap();
    let mut slow = Exchange::begin(&head, [9; 32], operator(Role::Admin), &view(&lab));
    assert_eq!(slow.push(&body.as_bytes()[..40], &view(&lab)), 40);
    assert_eq!(put(&mut lab, "rack-1", body).status, 202);
    put(&mut lab, "rack-1", r#"{"target": "abort"}"#);
    slow.push(&body.as_bytes()[40..], &view(&lab));
    assert!(
        matches!(slow.need(&view(&lab)), Need::Send),
        "nothing is stored"
    );
    let mut buffer = [0; REPLY_BUFFER];
    let length = slow.reply(&view(&lab), &[], &mut buffer);
    assert!(buffer[..length].starts_with(b"HTTP/1.1 409 "));
    assert_eq!(config_drive(&lab, 0).unwrap(), br#"{"a": "b"}"#);
}

#[test]
fn config_drive_of_a_deleted_node_is_not_stored() {
    let mut lab = available();
    lab.set_image(0, "debian12").unwrap();
    let body = r#"{"target": "active", "configdrive": {"a": "b"}}"#;
    let request = format!(
        "PUT /v1/nodes/rack-1/states/provision HTTP/1.1\r\nHost: a\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let (head, _) = Head::parse(request.as_bytes()).unwrap().unwrap();
    let mut slow = Exchange::begin(&head, [9; 32], operator(Role::Admin), &view(&lab));
    assert_eq!(slow.push(&body.as_bytes()[..40], &view(&lab)), 40);
    put(&mut lab, "rack-1", r#"{"target": "manage"}"#);
    assert_eq!(call(&mut lab, "DELETE", "/v1/nodes/rack-1", "").status, 204);
    // Another node takes its place, and with it its slot.
    let new = post(
        &mut lab,
        "/v1/nodes",
        json!({"driver": "farrier", "name": "new"}),
    );
    assert_eq!(new.status, 201);
    assert_eq!(lab.node(0).name, "new");
    slow.push(&body.as_bytes()[40..], &view(&lab));
    assert!(
        matches!(slow.need(&view(&lab)), Need::Send),
        "nothing is stored"
    );
    let mut buffer = [0; REPLY_BUFFER];
    let length = slow.reply(&view(&lab), &[], &mut buffer);
    assert!(buffer[..length].starts_with(b"HTTP/1.1 400 "));
}

#[test]
fn secrets_of_drivers_are_not_shown() {
    const OPEN: [&str; 4] = [
        "ipmi_bridging",
        "deploy_user",
        "ipmi_target",
        "snmp_version",
    ];
    const SECRET: [&str; 8] = [
        "ipmi_Password",
        "CLIENT_SECRET",
        "snmp_community",
        "ipmi_kg",
        "snmp_auth_key",
        "api_Token",
        "credential",
        "redfish_passwd",
    ];
    let mut lab = rack();
    for (names, shown) in [(&OPEN[..], "geheim"), (&SECRET[..], "******")] {
        for name in names {
            let path = format!("/driver_info/{name}");
            let reply = patch(&mut lab, &json!([add(&path, "geheim".into())]));
            assert_eq!(reply.body["driver_info"][name], shown, "{name}");
            assert_eq!(node(&mut lab)["driver_info"][name], shown, "{name}");
            assert_eq!(patch(&mut lab, &json!([remove(&path)])).status, 200);
        }
    }
}

#[test]
fn malformed_patches_are_refused() {
    let mut lab = rack();
    let mut status = |body: &str| {
        let reply = call(&mut lab, "PATCH", "/v1/nodes/rack-1", body);
        (reply.status, reply)
    };
    for (body, part) in [
        ("[null]", "not a JSON patch"),
        ("[7]", "not a JSON patch"),
        ("[[]]", "not a JSON patch"),
        ("{}", "not a JSON patch"),
        (
            r#"[{"op": "add", "path": "/name", "value": ["a"]}]"#,
            "or one object",
        ),
        (
            r#"[{"op": "add", "path": "/instance_info", "value": {"a": ["b"]}}]"#,
            "or one object",
        ),
    ] {
        let (status, reply) = status(body);
        assert_eq!(status, 400, "{body}");
        assert!(reply.fault().contains(part), "{body}: {}", reply.fault());
    }
    let patch = json!([add("/name", "rack-1".into())]).to_string();
    for (length, expected) in [(MAX_PATCH, 200), (MAX_PATCH + 1, 413)] {
        let body = format!("{patch}{}", " ".repeat(length - patch.len()));
        assert_eq!(status(&body).0, expected, "{length}");
    }
    let ask = r#"{"resource_class": "metal"}"#;
    for (length, expected) in [(2048, 409), (2049, 413)] {
        let body = format!("{ask}{}", " ".repeat(length - ask.len()));
        let reply = call(&mut lab, "POST", "/v1/allocations", &body);
        assert_eq!(reply.status, expected, "{length}");
    }
}

#[test]
fn steps_that_are_refused_and_steps_that_are_not() {
    let mut lab = rack();
    let clean = |steps: &str| format!(r#"{{"target": "clean", "clean_steps": {steps}}}"#);
    for (body, part) in [
        (
            clean(r#"[{"step": null}]"#),
            "than interface, step and priority",
        ),
        (
            clean(r#"[{"step": 7}]"#),
            "than interface, step and priority",
        ),
        (
            clean(r#"[{"step": "hold", "interface": 7}]"#),
            "than interface, step and priority",
        ),
        (
            clean(r#"[{"step": "erase_devices", "interface": "raid"}]"#),
            "There are the steps",
        ),
        (
            clean(r#"[{"step": "hold", "priority": {}}]"#),
            "than interface, step and priority",
        ),
        (clean(r#"[{"step": "write_image"}]"#), "There are the steps"),
        (
            r#"{"target": "clean", "deploy_steps": [{"step": "hold"}]}"#.into(),
            "belong to active",
        ),
    ] {
        let reply = put(&mut lab, "rack-1", &body);
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.fault().contains(part), "{body}: {}", reply.fault());
    }
    let body = clean(r#"[{"step": "hold", "interface": null, "args": null, "priority": 9}]"#);
    assert_eq!(put(&mut lab, "rack-1", &body).status, 202);

    let mut lab = active_lab();
    // No list at all is a list of none, and a rebuild's steps are those of a
    // deployment.
    let body = r#"{"target": "deleted", "clean_steps": null}"#;
    let mut other = active_lab();
    let node = id(&lab, 0);
    assert_eq!(put(&mut other, &node, body).status, 202);
    let body = r#"{"target": "rebuild", "deploy_steps": [{"step": "hold", "priority": 150}]}"#;
    assert_eq!(put(&mut lab, &node, body).status, 202);
}

#[test]
fn removing_an_unknown_key_succeeds() {
    let mut lab = rack();
    let path = "/instance_info/capabilities";
    assert_eq!(patch(&mut lab, &json!([remove(path)])).status, 200);
    let reply = patch(&mut lab, &json!([add(path, "x".into())]));
    assert!(reply.fault().contains("not supported"), "{}", reply.fault());
}

#[test]
fn the_last_of_two_reasons_counts() {
    let mut lab = rack();
    let why = |flag: &str, text: &str| add(&format!("/{flag}_reason"), text.into());
    let on = |flag: &str| add(&format!("/{flag}"), true.into());
    let body = json!([
        on("retired"),
        why("retired", "a"),
        on("maintenance"),
        why("retired", "b"),
        why("maintenance", "c"),
    ]);
    let reply = patch(&mut lab, &body);
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.body["retired_reason"], "b");
    assert_eq!(reply.body["maintenance_reason"], "c");
}

#[test]
fn a_body_that_is_broken_or_too_long_is_refused() {
    let mut lab = rack();
    let broken = "POST /v1/nodes HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    let reply = exchange(&mut lab, broken.as_bytes(), 100, REPLY_BUFFER);
    assert_eq!((reply.status, reply.keep_alive), (400, false));
    let long = format!(r#"{{"driver": "farrier"{}}}"#, " ".repeat(4000));
    let request = format!(
        "POST /v1/nodes HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{long}",
        long.len()
    );
    let reply = exchange(&mut lab, request.as_bytes(), 5000, REPLY_BUFFER);
    assert_eq!(reply.status, 413, "{}", reply.body);
    assert_eq!(lab.rack().nodes().len(), 2);
}

#[test]
fn only_a_reply_with_a_body_says_what_it_is() {
    let mut lab = rack();
    for (method, typed) in [("GET", true), ("DELETE", false)] {
        let reply = call(&mut lab, method, "/v1/nodes/rack-1/traits", "");
        let says = reply.head.contains("Content-Type: application/json\r\n");
        assert_eq!(says, typed, "{}", reply.head);
        assert_eq!(reply.head.contains("Content-Type"), typed);
    }
}
