//! How drivers log in to switches: what the rack keeps of it, and what it shows.

use crate::api_rig::{call, get};
use crate::common::*;
use farrier_core::Input;
use farrier_core::interface::{HostKey, SwitchAddress, SwitchKind, SwitchSecret};
use serde_json::json;

const ONE: &str = "/farrier/v1/switches/tor";
/// What `ssh-keygen -l` prints for a key whose hash has these bytes.
const PRINTED: &str = "SHA256:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
const KEY: HostKey = HostKey([7; 32]);

fn address() -> SwitchAddress {
    SwitchAddress {
        kind: SwitchKind::Netconf,
        address: "10.0.9.1".parse().unwrap(),
        port: 830,
    }
}

fn define(lab: &mut Lab) {
    let body = json!({
        "kind": "netconf", "address": "10.0.9.1", "user": "farrier", "password": "moves ports",
    });
    let reply = call(lab, "PUT", ONE, &body.to_string());
    assert_eq!(reply.status, 204, "{:?}", reply.body);
}

fn shown(lab: &mut Lab) -> serde_json::Value {
    get(lab, "/farrier/v1/switches")["switches"][0].clone()
}

#[test]
fn a_login_is_sealed_shown_without_its_password_and_survives_a_restart() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    define(&mut lab);
    let password = b"moves ports";
    let told = |bytes: &Vec<u8>| bytes.windows(password.len()).any(|part| part == password);
    assert!(!lab.records().iter().any(told), "a record tells it");
    let known = shown(&mut lab);
    assert_eq!(known["user"], "farrier");
    assert_eq!(known["has_password"], true);
    assert!(!known.to_string().contains("moves"), "{known}");
    lab.restart(0);
    let login = lab.rack().switch_login(address()).expect("a login");
    assert_eq!(login.user, "farrier");
    let expected = SwitchSecret::Password("moves ports".try_into().unwrap());
    assert_eq!(login.secret, expected);
    assert_eq!(login.host_key, None);
}

#[test]
fn a_host_key_is_pinned_by_an_admins_word_and_by_nothing_else() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    define(&mut lab);
    let (switch, key) = (address(), KEY);
    lab.step(Input::HostKey { switch, key });
    let known = shown(&mut lab);
    assert_eq!(known["host_key"], json!(null));
    assert_eq!(known["host_key_met"], PRINTED);
    assert_eq!(lab.rack().switch_login(switch).unwrap().host_key, None);
    let body = json!({ "host_key": PRINTED }).to_string();
    assert_eq!(call(&mut lab, "PATCH", ONE, &body).status, 204);
    lab.restart(0);
    let known = shown(&mut lab);
    assert_eq!(known["host_key"], PRINTED);
    assert_eq!(known["host_key_met"], json!(null));
    let login = lab.rack().switch_login(switch).unwrap();
    assert_eq!(login.host_key, Some(KEY));
    assert_eq!(login.user, "farrier", "the rest stays as it was");
    // Another key is told, and nothing more.
    let key = HostKey([8; 32]);
    lab.step(Input::HostKey { switch, key });
    assert_ne!(shown(&mut lab)["host_key_met"], json!(null));
    assert_eq!(lab.rack().switch_login(switch).unwrap().host_key, Some(KEY));
}

#[test]
fn without_a_password_the_appliances_own_key_is_the_login() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    let body = json!({ "kind": "netconf", "address": "10.0.9.1", "user": "farrier" });
    assert_eq!(call(&mut lab, "PUT", ONE, &body.to_string()).status, 204);
    let login = lab.rack().switch_login(address()).unwrap();
    let SwitchSecret::Key(seed) = login.secret else {
        panic!("{login:?}");
    };
    let public = farrier_protocol::signing::SecretKey::from_bytes(&seed).public();
    assert_eq!(lab.rack().switch_key(), Some(public.0));
    let line = get(&mut lab, "/farrier/v1/switch-key")["public_key"].to_string();
    assert!(
        line.starts_with("\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI"),
        "{line}"
    );
    let before = lab.rack().switch_key();
    lab.restart(0);
    assert_eq!(lab.rack().switch_key(), before);
}

#[test]
fn a_login_that_is_not_whole_is_refused() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    for (body, fault) in [
        (
            json!({ "kind": "netconf", "address": "10.0.9.1" }),
            "needs a user",
        ),
        (
            json!({ "kind": "ovsdb", "address": "10.0.9.1", "password": "p" }),
            "a password needs a user",
        ),
        (
            json!({ "kind": "netconf", "address": "10.0.9.1", "user": "u", "host_key": "x" }),
            "no fingerprint",
        ),
        (
            json!({ "kind": "netconf", "address": "10.0.9.1", "user": "u", "password": "x".repeat(65) }),
            "",
        ),
    ] {
        let reply = call(&mut lab, "PUT", ONE, &body.to_string());
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.fault().contains(fault), "{}", reply.fault());
    }
    assert_eq!(call(&mut lab, "PATCH", ONE, "{}").status, 404);
    assert!(lab.rack().ports().switches().is_empty());
}
