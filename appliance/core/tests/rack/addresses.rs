//! The address book by the API: static addresses, and tenants' networks.

use crate::api_rig::*;
use crate::common::*;
use farrier_lifecycle::Verb;
use serde_json::json;

#[test]
fn a_static_address_is_its_owners_alone() {
    let mut lab = rack();
    let put = |lab: &mut Lab, target: &str, body: &str| {
        let target = format!("/farrier/v1/addresses/{target}");
        call(lab, "PUT", &target, body).status
    };
    let mac = "provisioning/52:54:00:00:00:05";
    for (address, status) in [
        ("172.22.0.1", 409),
        ("172.22.0.20", 409),
        ("172.22.0.255", 409),
        ("172.22.0.0", 409),
        ("10.0.0.1", 409),
        ("nowhere", 400),
        ("172.22.0.5", 204),
    ] {
        let body = format!(r#"{{"address": "{address}"}}"#);
        assert_eq!(put(&mut lab, mac, &body), status, "{address}");
    }
    assert_eq!(put(&mut lab, mac, "{}"), 400, "static is named");
    let taken = r#"{"address": "172.22.0.5"}"#;
    assert_eq!(put(&mut lab, "provisioning/52:54:00:00:00:06", taken), 409);
    // The machine gets it at every door, and its node is known by it.
    let lease = lab.dhcp(5, ipxe).unwrap();
    assert_eq!(lease.address, std::net::Ipv4Addr::new(172, 22, 0, 5));
    assert!(matches!(
        lab.open(lease.address, lease.script()),
        Served::Text(_)
    ));
    let other = lab.dhcp(6, ipxe).unwrap();
    assert_ne!(other.address, lease.address);

    lab.starts(5);
    let list = get(&mut lab, "/farrier/v1/addresses");
    let node = lab.rack().find_by_mac(mac_of(5)).unwrap();
    assert_eq!(
        list["addresses"],
        json!([{"address": "172.22.0.5", "network": "provisioning",
                "mac": "52:54:00:00:00:05", "node_uuid": id(&lab, node), "named": true}])
    );
    let target = format!("/farrier/v1/addresses/{mac}");
    assert_eq!(call(&mut lab, "DELETE", &target, "").status, 204);
    assert_eq!(call(&mut lab, "DELETE", &target, "").status, 404);
    // A lease of it may live: it is nobody's for as long.
    assert_eq!(put(&mut lab, "provisioning/52:54:00:00:00:06", taken), 409);
    lab.pass(601);
    assert_eq!(put(&mut lab, "provisioning/52:54:00:00:00:06", taken), 204);
}

#[test]
fn tenants_networks_have_pools() {
    let mut lab = active_lab();
    let net = "/farrier/v1/networks/blue";
    for (body, status) in [
        (json!({"pool_first": "172.22.0.10", "pool_len": 5}), 409),
        (json!({"pool_first": "10.1.0.10", "pool_len": 500}), 400),
        (json!({"pool_len": 5}), 400),
        (json!({"pool_first": "10.1.0.10", "prefix": 99}), 400),
        (json!({"pool_first": "10.1.0.10", "vlan": 4095}), 400),
        (
            json!({"pool_first": "10.1.0.10", "pool_len": 2, "vlan": 100}),
            204,
        ),
    ] {
        let reply = call(&mut lab, "PUT", net, &body.to_string());
        assert_eq!(reply.status, status, "{body}: {}", reply.body);
    }
    assert_eq!(
        get(&mut lab, "/farrier/v1/networks"),
        json!({"networks": [{"name": "blue", "vlan": 100, "prefix": 24,
                             "pool_first": "10.1.0.10", "pool_len": 2,
                             "uses": ["tenant"], "vlans": 1, "address": null,
                             "router": null, "dns": null, "ntp": null, "routes": [], "mtu": 0}]})
    );
    let address = |mac: u8| format!("/farrier/v1/addresses/blue/52:54:00:00:00:{mac:02x}");
    assert_eq!(call(&mut lab, "PUT", &address(1), "{}").status, 204);
    let named = r#"{"address": "10.1.0.11"}"#;
    assert_eq!(call(&mut lab, "PUT", &address(2), named).status, 204);
    assert_eq!(call(&mut lab, "PUT", &address(3), "{}").status, 503);
    assert_eq!(
        call(&mut lab, "DELETE", net, "").status,
        409,
        "it is in use"
    );
    // The tenant goes, and its address with it; a named one stays.
    lab.verb(0, Verb::Deleted).unwrap();
    let list = get(&mut lab, "/farrier/v1/addresses");
    assert_eq!(list["addresses"].as_array().unwrap().len(), 1);
    assert_eq!(list["addresses"][0]["address"], "10.1.0.11");
    lab.check_sweeps();
}

#[test]
fn every_network_is_written_down() {
    let mut lab = rack();
    for (third, name) in ["red", "green", "blue", "grey"].into_iter().enumerate() {
        let body = json!({"pool_first": format!("10.1.{third}.10"), "pool_len": 2});
        let target = format!("/farrier/v1/networks/{name}");
        assert_eq!(
            call(&mut lab, "PUT", &target, &body.to_string()).status,
            204
        );
    }
    lab.check_sweeps();
    let target = "/farrier/v1/networks/green";
    assert_eq!(call(&mut lab, "DELETE", target, "").status, 204);
    lab.check_sweeps();
}

#[test]
fn addresses_outlive_a_restart_in_the_middle_of_a_sweep() {
    let mut lab = Lab::new();
    lab.discover(1);
    let body = json!({"pool_first": "10.1.0.10", "pool_len": 8});
    let target = "/farrier/v1/networks/red";
    assert_eq!(call(&mut lab, "PUT", target, &body.to_string()).status, 204);
    let address = |mac: u8| format!("/farrier/v1/addresses/red/52:54:00:00:00:{mac:02x}");
    for mac in 1..=4 {
        let given = call(&mut lab, "PUT", &address(mac), "{}");
        assert_eq!(given.status, 204, "{}", given.body);
    }
    // Some rest, the last one among them, and one has its address again.
    for mac in [2, 4, 3] {
        assert_eq!(call(&mut lab, "DELETE", &address(mac), "").status, 204);
    }
    lab.check_every_sweep();
    assert_eq!(call(&mut lab, "PUT", &address(3), "{}").status, 204);
    // After their rest nobody remembers them but the records of before.
    lab.pass(700);
    assert_eq!(call(&mut lab, "PUT", &address(5), "{}").status, 204);
    lab.check_every_sweep();
    lab.restart(0);
    lab.check_every_sweep();
}
