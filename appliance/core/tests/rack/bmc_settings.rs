//! Drivers of nodes and their settings: what operators may say, what the rack keeps
//! of it, what it shows, and what a driver gets.

use crate::api_rig::*;
use crate::common::*;
use farrier_core::Input;
use farrier_core::interface::{DriverKind, IpmiPrivilege};
use farrier_core::persist::record::Record;
use farrier_core::power::{BmcLogin, PowerAccess};
use farrier_protocol::message::NodeId;
use serde_json::{Value, json};

const SECRETS: [&str; 3] = ["first secret", "second secret", "third secret"];

/// Creates a node and gives its identity.
fn create(lab: &mut Lab, driver: &str, info: Value) -> NodeId {
    let body = json!({"driver": driver, "name": "db-1", "driver_info": info});
    let reply = call(lab, "POST", "/v1/nodes", &body.to_string());
    assert_eq!(reply.status, 201, "{}", reply.body);
    last(lab)
}

fn last(lab: &Lab) -> NodeId {
    lab.rack().nodes().last().unwrap().id
}

fn ipmi(lab: &mut Lab) -> NodeId {
    let info = json!({
        "ipmi_address": "10.0.0.9", "ipmi_username": "admin", "ipmi_password": SECRETS[0],
    });
    create(lab, "ipmi", info)
}

fn patch(lab: &mut Lab, operations: Value) -> Reply {
    call(lab, "PATCH", "/v1/nodes/db-1", &operations.to_string())
}

fn set(key: &str, value: &str) -> Value {
    json!({"op": "add", "path": format!("/{key}"), "value": value})
}

fn shown(lab: &mut Lab) -> Value {
    get(lab, "/v1/nodes/db-1")
}

fn login<'a>(lab: &'a Lab, node: NodeId) -> Option<BmcLogin<'a>> {
    match lab.rack().power_access(node)? {
        PowerAccess::Manual | PowerAccess::Wol { .. } => None,
        PowerAccess::Ipmi { login, .. }
        | PowerAccess::Redfish { login, .. }
        | PowerAccess::Snmp { login, .. } => Some(login),
    }
}

/// The passwords that a driver is to try, in their order.
fn passwords(lab: &Lab, node: NodeId) -> Vec<String> {
    let Some(login) = login(lab, node) else {
        return Vec::new();
    };
    let all = [Some(login.password), login.former];
    all.into_iter()
        .flatten()
        .map(|secret| secret.reveal().to_owned())
        .collect()
}

/// Whether a record of all that were written has one of the secrets.
fn told(lab: &Lab) -> bool {
    lab.records().iter().any(|record| {
        SECRETS.iter().any(|secret| {
            let secret = secret.as_bytes();
            record.windows(secret.len()).any(|part| part == secret)
        })
    })
}

#[test]
fn a_node_with_a_bmc_is_created_in_one_request() {
    let mut lab = rack();
    let node = ipmi(&mut lab);
    for restarted in [false, true] {
        let shown = shown(&mut lab);
        assert_eq!(shown["driver"], "ipmi");
        assert_eq!(
            shown["driver_info"],
            json!({"ipmi_address": "10.0.0.9", "ipmi_username": "admin",
                "ipmi_password": "******"})
        );
        for (kind, name) in [
            ("power", "ipmi"),
            ("management", "ipmi"),
            ("boot", "ipxe"),
            ("console", "no-console"),
        ] {
            assert_eq!(shown[format!("{kind}_interface")], name);
        }
        let access = lab.rack().power_access(node).unwrap();
        assert_eq!(access.kind(), DriverKind::Ipmi);
        assert!(!format!("{access:?}").contains("secret"), "{access:?}");
        let PowerAccess::Ipmi {
            address,
            port,
            login,
            suite,
            privilege,
            kg,
        } = access
        else {
            panic!("{access:?}");
        };
        assert_eq!(
            (address.to_string().as_str(), port, suite),
            ("10.0.0.9", 623, 17)
        );
        assert_eq!((privilege, kg), (IpmiPrivilege::Administrator, None));
        assert_eq!((login.user, login.password.reveal()), ("admin", SECRETS[0]));
        assert_eq!(login.former, None);
        assert!(!told(&lab), "a record tells the password");
        if !restarted {
            lab.restart(0);
        }
    }
}

#[test]
fn every_driver_gets_what_it_needs() {
    let mut lab = rack();
    let node = create(
        &mut lab,
        "redfish",
        json!({"redfish_address": "https://10.0.0.9:8443", "redfish_username": "root",
            "redfish_password": SECRETS[0], "redfish_system_id": "/redfish/v1/Systems/1"}),
    );
    let Some(PowerAccess::Redfish {
        host,
        login,
        system,
    }) = lab.rack().power_access(node)
    else {
        panic!("no access");
    };
    assert_eq!(
        (host.host, host.https, host.port),
        ("10.0.0.9:8443", true, 8443)
    );
    assert_eq!((login.user, system), ("root", "/redfish/v1/Systems/1"));
    assert_eq!(call(&mut lab, "DELETE", "/v1/nodes/db-1", "").status, 204);

    let node = create(
        &mut lab,
        "snmp",
        json!({"snmp_address": "10.0.0.8", "snmp_community": SECRETS[0],
            "snmp_outlet": "1.8", "snmp_driver": "raritan"}),
    );
    let Some(PowerAccess::Snmp { outlet, port, .. }) = lab.rack().power_access(node) else {
        panic!("no access");
    };
    assert_eq!((outlet.family().name, port), ("raritan", 161));
    let reply = patch(&mut lab, json!([set("driver_info/snmp_outlet", "8")]));
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert!(lab.rack().power_access(node).is_none(), "another family's");
    let why = get(&mut lab, "/v1/nodes/db-1/validate")["power"]["reason"].clone();
    assert!(why.as_str().unwrap().contains("<PDU>.<outlet>"), "{why}");
    assert_eq!(call(&mut lab, "DELETE", "/v1/nodes/db-1", "").status, 204);

    let node = create(&mut lab, "wol", json!({}));
    assert!(lab.rack().power_access(node).is_none(), "no interface");
    let port = json!({"node_uuid": id(&lab, 2), "address": "52:54:00:00:00:99"});
    assert_eq!(
        call(&mut lab, "POST", "/v1/ports", &port.to_string()).status,
        201
    );
    let Some(PowerAccess::Wol { macs }) = lab.rack().power_access(node) else {
        panic!("no access");
    };
    assert_eq!(macs.len(), 1);
}

#[test]
fn a_new_password_is_tried_first_until_it_works() {
    let mut lab = rack();
    let node = ipmi(&mut lab);
    let worked = |lab: &mut Lab, former| _ = lab.step(Input::LoginWorked { node, former });
    for (secret, tried) in [
        (SECRETS[1], vec![SECRETS[1], SECRETS[0]]),
        // The second one may never have worked.
        (SECRETS[2], vec![SECRETS[2], SECRETS[0]]),
    ] {
        let reply = patch(&mut lab, json!([set("driver_info/ipmi_password", secret)]));
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.body["driver_info"]["ipmi_password"], "******");
        assert_eq!(passwords(&lab, node), tried);
        lab.restart(0);
        assert_eq!(passwords(&lab, node), tried);
    }
    worked(&mut lab, true);
    assert_eq!(
        passwords(&lab, node).len(),
        2,
        "the new one is still to come"
    );
    let note = shown(&mut lab)["driver_internal_info"]["bmc_login"].clone();
    assert!(note.is_string(), "{note}");
    worked(&mut lab, false);
    lab.restart(0);
    assert_eq!(passwords(&lab, node), [SECRETS[2]]);
    assert_eq!(
        shown(&mut lab)["driver_internal_info"]["bmc_login"],
        Value::Null
    );
    assert!(!told(&lab));
    // Removed with what was before.
    patch(
        &mut lab,
        json!([set("driver_info/ipmi_password", SECRETS[0])]),
    );
    let gone = json!([{"op": "remove", "path": "/driver_info/ipmi_password"}]);
    assert_eq!(patch(&mut lab, gone).status, 200);
    for _ in 0..2 {
        assert_eq!(passwords(&lab, node), [""; 0]);
        assert!(
            shown(&mut lab)["driver_info"]
                .get("ipmi_password")
                .is_none()
        );
        lab.restart(0);
    }
}

#[test]
fn a_driver_and_its_settings_change_with_the_rest_of_a_patch_or_not_at_all() {
    let mut lab = rack();
    let node = ipmi(&mut lab);
    let before = shown(&mut lab);
    for (bad, part) in [
        (set("driver_info/ipmi_port", "70000"), "ipmi_port"),
        (set("driver_info/redfish_address", "bmc"), "http://"),
        (set("driver", "ilo"), "ilo"),
        (set("name", "a b"), "letters"),
    ] {
        let reply = patch(
            &mut lab,
            json!([
                set("driver", "redfish"),
                set("driver_info/ipmi_password", SECRETS[1]),
                set("resource_class", "large"),
                bad,
            ]),
        );
        assert_eq!(reply.status, 400, "{}", reply.body);
        assert!(reply.fault().contains(part), "{}", reply.fault());
        assert!(!reply.fault().contains("secret"), "{}", reply.fault());
        assert_eq!(shown(&mut lab), before);
        assert_eq!(passwords(&lab, node), [SECRETS[0]]);
    }
    let reply = patch(
        &mut lab,
        json!([
            set("driver", "redfish"),
            set("driver_info/redfish_address", "http://10.0.0.9"),
            set("driver_info/redfish_username", "root"),
            set("driver_info/redfish_password", SECRETS[1]),
            {"op": "remove", "path": "/driver_info/ipmi_address"},
        ]),
    );
    assert_eq!(reply.status, 200, "{}", reply.body);
    for _ in 0..2 {
        let shown = shown(&mut lab);
        assert_eq!(shown["driver"], "redfish");
        assert_eq!(shown["management_interface"], "redfish");
        assert_eq!(passwords(&lab, node), [SECRETS[1]]);
        lab.restart(0);
    }
    assert!(!told(&lab));
}

#[test]
fn a_wrong_value_is_refused_with_what_to_send() {
    for (key, value, part) in [
        ("ipmi_address", "bmc-1", "10.0.0.9"),
        ("ipmi_port", "0", "65535"),
        ("ipmi_username", "a name of 17 byte", "16"),
        ("ipmi_password", "a password of twenty-one", "20 bytes"),
        ("ipmi_cipher_suite", "0", "17, or 3"),
        ("ipmi_priv_level", "USER", "OPERATOR"),
        ("redfish_system_id", "1", "/redfish/v1/Systems/1"),
        ("snmp_outlet", "a", "numbers"),
        ("snmp_driver", "auto", "cyberpower"),
    ] {
        let mut lab = rack();
        let body = json!({"driver": "ipmi", "driver_info": {key: value}});
        let reply = call(&mut lab, "POST", "/v1/nodes", &body.to_string());
        assert_eq!(reply.status, 400, "{key}");
        let fault = reply.fault();
        assert!(fault.contains(&format!("driver_info/{key} ")), "{fault}");
        assert!(fault.contains(part), "{fault}");
        assert_eq!(lab.rack().nodes().len(), 2, "no node was made");
    }
}

#[test]
fn who_works_with_a_machine_keeps_its_driver_until_maintenance() {
    let mut lab = active_lab();
    let path = format!("/v1/nodes/{}", id(&lab, 0));
    let name = json!([set("name", "db-1")]).to_string();
    assert_eq!(call(&mut lab, "PATCH", &path, &name).status, 200);
    let reply = patch(&mut lab, json!([set("driver", "ipmi")]));
    assert_eq!(reply.status, 400, "{}", reply.body);
    let reply = patch(&mut lab, json!([set("driver", "manual")]));
    assert_eq!(reply.status, 200, "it is the same");
    let both = json!([set("driver", "ipmi"), {"op": "add", "path": "/maintenance", "value": true}]);
    let reply = patch(&mut lab, both);
    assert_eq!((reply.status, &reply.body["driver"]), (200, &json!("ipmi")));
}

#[test]
fn validation_says_what_a_driver_lacks() {
    let mut lab = rack();
    create(&mut lab, "ipmi", json!({"ipmi_address": "10.0.0.9"}));
    let valid = get(&mut lab, "/v1/nodes/db-1/validate");
    for interface in ["power", "management"] {
        assert_eq!(valid[interface]["result"], false);
        let why = valid[interface]["reason"].as_str().unwrap();
        assert!(why.contains("driver_info/ipmi_password"), "{why}");
    }
    assert_eq!(valid["boot"]["result"], true);
    assert_eq!(valid["console"]["result"], Value::Null);
    patch(&mut lab, json!([set("driver_info/ipmi_password", "x")]));
    let valid = get(&mut lab, "/v1/nodes/db-1/validate");
    for interface in ["power", "management"] {
        assert_eq!(valid[interface], json!({"result": true}));
    }
}

#[test]
fn drivers_are_listed_with_their_interfaces() {
    let mut lab = rack();
    let drivers = get(&mut lab, "/v1/drivers");
    let drivers = drivers["drivers"].as_array().unwrap();
    let names: Vec<_> = drivers
        .iter()
        .map(|driver| driver["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["manual", "ipmi", "redfish", "wol", "snmp"]);
    for driver in drivers {
        let name = driver["name"].as_str().unwrap();
        assert_eq!(driver["default_power_interface"], name);
        assert_eq!(driver["enabled_power_interfaces"], json!([name]));
        assert_eq!(driver["enabled_boot_interfaces"], json!(["ipxe"]));
        assert_eq!(&get(&mut lab, &format!("/v1/drivers/{name}")), driver);
        let keys = get(&mut lab, &format!("/v1/drivers/{name}/properties"));
        let keys = keys.as_object().unwrap();
        let own = |key: &String| key.starts_with(&format!("{name}_"));
        assert!(keys.keys().all(own), "{keys:?}");
    }
    assert_eq!(call(&mut lab, "GET", "/v1/drivers/ilo", "").status, 404);
}

#[test]
fn the_longest_settings_fit_a_reply() {
    let mut lab = rack();
    create(&mut lab, "ipmi", json!({}));
    let quotes = |count: usize| "\"".repeat(count);
    let system = format!("/{}", quotes(63));
    let values = [
        ("ipmi_address", "110.110.110.110".to_owned()),
        ("ipmi_port", "65535".into()),
        ("ipmi_username", quotes(16)),
        ("ipmi_password", quotes(20)),
        ("ipmi_cipher_suite", "17".into()),
        ("ipmi_priv_level", "ADMINISTRATOR".into()),
        ("ipmi_hex_kg_key", "00".repeat(20)),
        ("redfish_address", "https://110.110.110.110:65535/".into()),
        ("redfish_username", quotes(40)),
        ("redfish_password", quotes(64)),
        ("redfish_system_id", system),
        ("snmp_address", "110.110.110.110".into()),
        ("snmp_port", "65535".into()),
        ("snmp_community", quotes(64)),
        ("snmp_outlet", "4294967295.4294967295.4294967295".into()),
        ("snmp_driver", "servertech_sentry3".into()),
        (&format!("{}1", quotes(23)), quotes(40)),
        (&format!("{}2", quotes(23)), quotes(40)),
        (&format!("{}3", quotes(23)), quotes(40)),
    ];
    for (key, value) in &values {
        let reply = patch(&mut lab, json!([set(&format!("driver_info/{key}"), value)]));
        assert_eq!(reply.status, 200, "{key}: {}", reply.body);
    }
    lab.restart(0);
    let shown = shown(&mut lab);
    let info = shown["driver_info"].as_object().unwrap();
    assert_eq!(info.len(), values.len());
    for (key, value) in &values {
        let value = match info[*key].as_str() {
            Some("******") => continue,
            shown => (shown, value),
        };
        assert_eq!(value.0, Some(value.1.as_str()), "{key}");
    }
}

#[test]
fn secrets_go_with_their_node() {
    let mut lab = rack();
    ipmi(&mut lab);
    patch(
        &mut lab,
        json!([set("driver_info/ipmi_password", SECRETS[1])]),
    );
    let reply = call(&mut lab, "DELETE", "/v1/nodes/db-1", "");
    assert_eq!(reply.status, 204, "{}", reply.body);
    for _ in 0..2 {
        let node = create(&mut lab, "ipmi", json!({"ipmi_address": "10.0.0.9"}));
        assert_eq!(passwords(&lab, node), [""; 0]);
        assert_eq!(
            shown(&mut lab)["driver_info"],
            json!({"ipmi_address": "10.0.0.9"})
        );
        assert_eq!(call(&mut lab, "DELETE", "/v1/nodes/db-1", "").status, 204);
        lab.restart(0);
    }
    assert!(!told(&lab));
}

/// Counts the board's keys.
fn epoch(lab: &Lab) -> u32 {
    let of = |record: &Vec<u8>| match postcard::from_bytes(record) {
        Ok(Record::SealingKey { epoch, .. }) => Some(epoch),
        _ => None,
    };
    lab.records().iter().filter_map(of).max().unwrap_or(0)
}

#[test]
fn secrets_are_sealed_anew_with_the_boards_next_key() {
    let mut lab = rack();
    let node = ipmi(&mut lab);
    let mut before = epoch(&lab);
    for secret in [SECRETS[1], SECRETS[2]] {
        patch(&mut lab, json!([set("driver_info/ipmi_password", secret)]));
        // Within an hour after a secret has ended, or may have.
        for _ in 0..20 {
            lab.pass(300);
            lab.maintain_keys();
        }
        let now = epoch(&lab);
        assert!(now > before, "nothing was sealed anew: {now}");
        before = now;
        lab.restart(0);
        assert_eq!(passwords(&lab, node), [secret, SECRETS[0]]);
    }
    assert!(!told(&lab));
}

#[test]
fn who_switches_a_machine_is_told_what_its_driver_lacks() {
    let mut lab = rack();
    create(&mut lab, "ipmi", json!({}));
    let off = json!({"target": "power off"}).to_string();
    let path = "/v1/nodes/db-1/states/power";
    let reply = call(&mut lab, "PUT", path, &off);
    assert_eq!(reply.status, 400, "{}", reply.body);
    assert!(reply.fault().contains("validate"), "{}", reply.fault());
}
