//! Versions of images: what was deployed once is not deployed older again.

use crate::api_rig::*;
use crate::common::*;
use farrier_core::interface::Image;
use farrier_core::{Command, Input};
use farrier_lifecycle::{ProvisionState, Verb};
use farrier_testkit::lab::available_with;
use serde_json::json;

/// The lab's image in another version: another store was put in.
fn store_with(lab: &mut Lab, version: u64) {
    let known = lab.rack().images()[0].clone();
    lab.restart(0);
    // A start learns images anew; the lab's own is version 1.
    lab.step(Input::Image(&Image { version, ..known }));
}

#[test]
fn an_older_image_is_refused_until_an_admin_names_it() {
    let (mut lab, mut agent) = available_with(&[8 * GIB]);
    store_with(&mut lab, 5);
    assert_eq!(lab.set_image(0, "debian12"), Ok(()));
    assert_eq!(lab.verb(0, Verb::Active), Ok(()));
    lab.run(&mut agent, 30);
    assert_eq!(
        lab.state(0),
        ProvisionState::Active,
        "{}",
        lab.node(0).last_error
    );
    // A start with a store of before: its newest version is the lab's own, 1.
    lab.restart(0);
    let images = get(&mut lab, "/farrier/v1/images");
    assert_eq!(images["images"][0]["version"], 1);
    assert_eq!(images["images"][0]["least_version"], 5);
    let node = id(&lab, 0);
    let reply = put(&mut lab, &node, r#"{"target":"rebuild"}"#);
    assert_eq!(reply.status, 409);
    assert!(reply.fault().contains("version 5"), "{}", reply.fault());
    let allow = r#"{"least_version": 1}"#;
    let reply = call(&mut lab, "PUT", "/farrier/v1/images/debian12", allow);
    assert_eq!(reply.status, 204);
    assert_eq!(put(&mut lab, &node, r#"{"target":"rebuild"}"#).status, 202);
    lab.check_every_sweep();
}

#[test]
fn a_mistyped_image_gets_no_least_version() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    let put = |lab: &mut Lab, name: &str, version: u64| {
        let body = format!(r#"{{"least_version": {version}}}"#);
        call(lab, "PUT", &format!("/farrier/v1/images/{name}"), &body)
    };
    for version in [0, 3] {
        let reply = put(&mut lab, "typo1", version);
        assert_eq!(reply.status, 404);
        let text = reply.fault();
        assert!(
            text.starts_with("Image typo1: neither the store nor"),
            "{text}"
        );
    }
    let known = lab.rack().images()[0].clone();
    lab.step(Input::Image(&Image {
        name: "other".try_into().unwrap(),
        ..known
    }));
    assert_eq!(put(&mut lab, "other", 3).status, 204);
    // The next store is without it: its least version is still shown, and can go.
    lab.restart(0);
    let shown = &get(&mut lab, "/farrier/v1/images")["images"];
    assert_eq!(shown[0]["name"], "debian12");
    let other = json!({"name": "other", "version": null, "least_version": 3, "bytes": null});
    assert_eq!(shown[1], other);
    assert_eq!(put(&mut lab, "other", 0).status, 204);
    let shown = get(&mut lab, "/farrier/v1/images");
    assert_eq!(shown["images"].as_array().unwrap().len(), 1);
    assert_eq!(put(&mut lab, "other", 3).status, 404);
}

#[test]
fn a_revoked_key_deploys_nothing() {
    let (mut lab, _) = available_with(&[8 * GIB]);
    assert_eq!(lab.set_image(0, "debian12"), Ok(()));
    lab.step(Input::Start {
        images: Some([0xab; 32]),
    });
    let key = "ab".repeat(32);
    let keys = get(&mut lab, "/farrier/v1/image-keys");
    assert_eq!(keys["image_keys"][0]["key"], key.as_str());
    assert_eq!(keys["image_keys"][0]["revoked"], false);
    for (path, status) in [
        ("/farrier/v1/image-keys/ab".to_owned(), 404),
        (format!("/farrier/v1/image-keys/{key}"), 204),
    ] {
        assert_eq!(call(&mut lab, "DELETE", &path, "").status, status);
    }
    let keys = get(&mut lab, "/farrier/v1/image-keys");
    assert_eq!(keys["image_keys"][0]["revoked"], true);
    let refused = lab.verb(0, Verb::Active);
    assert_eq!(refused, Err("ImageKeyRevoked".into()));
    let lift = Command::RevokeKey { key: [1; 32] };
    assert_eq!(lab.operator(lift), Ok(()), "others can follow");
}
