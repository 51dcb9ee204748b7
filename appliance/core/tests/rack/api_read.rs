//! What the operator's API shows: every endpoint, and every refusal of a
//! question.

use crate::api_rig::*;
use crate::common::*;
use farrier_api::REPLY_BUFFER;
use farrier_lifecycle::Verb;
use serde_json::{Value, json};

#[test]
fn versions() {
    let mut lab = Lab::new();
    for target in ["/", "/v1", "/v1/"] {
        let root = get(&mut lab, target);
        let version = root.get("default_version").or(root.get("version")).unwrap();
        assert_eq!(version["version"], "1.81");
        assert_eq!(version["min_version"], "1.11");
        assert_eq!(version["status"], "CURRENT");
    }
    let mut ask = |version: &str| {
        let request = format!("GET /v1/nodes HTTP/1.1\r\nHost: a\r\n{version}\r\n");
        exchange(&mut lab, request.as_bytes(), 9, REPLY_BUFFER)
    };
    let header = "X-OpenStack-Ironic-API-Version";
    for (asked, spoken) in [
        (String::new(), "1.11"),
        (format!("{header}: latest\r\n"), "1.81"),
        (format!("{header}: 1.58\r\n"), "1.58"),
    ] {
        let reply = ask(&asked);
        assert_eq!(reply.status, 200);
        assert!(reply.head.contains(&format!("{header}: {spoken}\r\n")));
    }
    for asked in ["1.10", "1.82", "2.0", "1", "x", "1.-1"] {
        let reply = ask(&format!("{header}: {asked}\r\n"));
        assert_eq!(reply.status, 406, "{asked}");
        assert!(reply.fault().contains("1.11 to 1.81"));
    }
}

#[test]
fn lists_of_nodes() {
    let mut lab = rack();
    let (first, second) = (id(&lab, 0), id(&lab, 1));
    let nodes = get(&mut lab, "/v1/nodes");
    let nodes = nodes["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2);
    assert_eq!(
        nodes[0],
        json!({
            "uuid": first, "name": "rack-1", "provision_state": "manageable",
            "power_state": "power on", "maintenance": false, "instance_uuid": null,
            "links": [{"href": format!("/v1/nodes/{first}"), "rel": "self"}],
        })
    );
    assert_eq!(nodes[1]["name"], Value::Null);
    assert_eq!(nodes[1]["provision_state"], "enroll");

    const NONE: [&str; 0] = [];
    let mut uuids = |query: &str| -> Vec<String> {
        let list = get(&mut lab, &format!("/v1/nodes?{query}"));
        let nodes = list["nodes"].as_array().unwrap().iter();
        nodes
            .map(|node| node["uuid"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(uuids("provision_state=manageable"), [&*first]);
    assert_eq!(uuids("provision_state=clean+wait"), NONE);
    assert_eq!(uuids("provision_state=clean%20wait"), NONE);
    assert_eq!(uuids("associated=false&sort_key=uuid").len(), 2);
    assert_eq!(uuids("associated=True"), NONE);
    assert_eq!(uuids("maintenance=true"), NONE);
    assert_eq!(uuids("driver=ipmi"), NONE);
    assert_eq!(uuids(&format!("instance_uuid={first}")), NONE);
    assert_eq!(uuids("limit=0").len(), 2);
    assert_eq!(uuids(&format!("marker={first}")), [&*second]);
    assert_eq!(uuids("detail=true").len(), 2);

    let fields = get(&mut lab, "/v1/nodes?fields=uuid,driver&limit=1");
    assert_eq!(
        fields,
        json!({
            "nodes": [{"uuid": first, "driver": "manual"}],
            "next": format!("/v1/nodes?limit=1&fields=uuid,driver&marker={first}"),
        })
    );
    let next = fields["next"].as_str().unwrap();
    assert_eq!(get(&mut lab, next)["nodes"][0]["uuid"], second.as_str());
    assert_eq!(get(&mut lab, next).get("next"), None);

    for (query, part) in [
        ("fields=uuid,wings", "\"wings\""),
        ("fields=uuid&detail=true", "not both"),
        ("marker=7", "marker"),
        (
            "marker=00000000-0000-4000-8000-000000000000",
            "not in the list",
        ),
        ("limit=many", "limit"),
        ("provision_state=asleep", "asleep"),
        ("colour=red", "colour"),
        ("provision_state=%zz", "percent"),
    ] {
        let reply = call(&mut lab, "GET", &format!("/v1/nodes?{query}"), "");
        assert_eq!(reply.status, 400, "{query}");
        assert!(reply.fault().contains(part), "{}", reply.fault());
        assert!(reply.keep_alive);
    }
}

#[test]
fn one_node() {
    let mut lab = rack();
    let first = id(&lab, 0);
    let node = get(&mut lab, &format!("/v1/nodes/{}", first.to_uppercase()));
    assert_eq!(node, get(&mut lab, "/v1/nodes/rack-1"));
    assert_eq!(
        node["properties"],
        json!({"cpus": 2, "cpu_arch": "x86_64", "memory_mb": 970, "local_gb": 20})
    );
    assert_eq!(node["boot_mode"], "bios");
    assert_eq!(node["driver"], "manual");
    assert_eq!(node["target_provision_state"], Value::Null);
    assert_eq!(node["created_at"], Value::Null);
    assert!(node["driver_internal_info"]["reason"].is_string());
    let detail = get(&mut lab, "/v1/nodes/detail");
    assert_eq!(detail["nodes"][0], node);
    assert_eq!(
        get(&mut lab, "/v1/nodes/rack-1?fields=name"),
        json!({"name": "rack-1"})
    );
    let states = get(&mut lab, "/v1/nodes/rack-1/states");
    assert_eq!(states["provision_state"], "manageable");
    assert_eq!(states.get("driver_info"), None);
    assert_eq!(
        get(&mut lab, "/v1/nodes/rack-1/traits"),
        json!({"traits": []})
    );
    assert_eq!(get(&mut lab, "/v1/nodes/rack-1/vifs"), json!({"vifs": []}));

    let validate = get(&mut lab, "/v1/nodes/rack-1/validate");
    assert_eq!(validate["deploy"]["result"], false);
    assert_eq!(validate["boot"]["result"], true);
    assert_eq!(validate["power"]["result"], true);
    assert_eq!(validate["raid"]["result"], Value::Null);
}

#[test]
fn inventory() {
    let mut lab = rack();
    let found = get(&mut lab, "/v1/nodes/rack-1/inventory");
    let inventory = &found["inventory"];
    assert_eq!(found["plugin_data"], json!({}));
    assert_eq!(inventory["memory"]["physical_mb"], 1024);
    assert_eq!(inventory["memory"]["total"], 970u64 << 20);
    assert_eq!(inventory["cpu"]["count"], 2);
    assert_eq!(inventory["cpu"]["frequency"], "2000");
    assert_eq!(inventory["system_vendor"]["manufacturer"], "QEMU");
    assert_eq!(inventory["boot"]["current_boot_mode"], "bios");
    assert_eq!(
        inventory["interfaces"],
        json!([{
            "name": "eth0", "mac_address": "52:54:00:00:00:01", "ipv4_address": "172.22.0.20",
            "ipv6_address": null, "has_carrier": true, "vendor": "0x15b3", "product": "0x1017",
            "driver": "mlx5_core", "speed_mbps": 25000, "biosdevname": null, "client_id": null,
            "lldp": null, "lldp_chassis": "switch-1", "lldp_port": "ge-0/0/7",
        }, {
            "name": "eth1", "mac_address": "52:54:00:00:00:09", "ipv4_address": null,
            "ipv6_address": null, "has_carrier": false, "vendor": null, "product": null,
            "driver": null, "speed_mbps": null, "biosdevname": null, "client_id": null,
            "lldp": null,
        }])
    );
    assert_eq!(
        inventory["disks"][0],
        json!({
            "name": "/dev/sda", "model": "HARDDISK", "vendor": "ATA", "serial": "DISK0",
            "size": 8 * GIB, "rotational": true, "wwn": null, "wwn_with_extension": null,
            "wwn_vendor_extension": null, "hctl": "0:0:0:0",
            "by_path": "pci-0000:00:1f.2-ata-1", "logical_sectors": 512,
        })
    );
    assert_eq!(inventory["disks"].as_array().unwrap().len(), 2);
    assert_eq!(inventory["disks"][1]["size"], 20 * GIB);
    assert_eq!(inventory["disks"][1]["name"], "/dev/sda");
    assert_eq!(inventory["disks"][1]["wwn"], Value::Null);

    let second = id(&lab, 1);
    let reply = call(
        &mut lab,
        "GET",
        &format!("/v1/nodes/{second}/inventory"),
        "",
    );
    assert_eq!(reply.status, 404);
    assert!(reply.fault().contains("inspect it"));
}

#[test]
fn ports_drivers_and_lists_that_are_empty() {
    let mut lab = rack();
    let first = id(&lab, 0);
    let ports = get(&mut lab, "/v1/ports");
    assert_eq!(ports["ports"].as_array().unwrap().len(), 2);
    assert_eq!(ports["ports"][0]["address"], "52:54:00:00:00:01");
    assert_eq!(ports["ports"][0].get("extra"), None);
    let port = "66617272-6965-8000-8000-525400000001";
    assert_eq!(ports["ports"][0]["uuid"], port);
    let port = get(&mut lab, &format!("/v1/ports/{port}"));
    assert_eq!(port["node_uuid"], first.as_str());
    assert_eq!(port["pxe_enabled"], true);
    for target in [
        "/v1/ports?node=rack-1&detail=True",
        "/v1/ports/detail?node_uuid=rack-1",
    ] {
        assert_eq!(get(&mut lab, target)["ports"], json!([port]));
    }
    let own = get(&mut lab, "/v1/nodes/rack-1/ports");
    assert_eq!(own["ports"].as_array().unwrap().len(), 1);
    let page = get(&mut lab, "/v1/ports?limit=1");
    assert_eq!(page["ports"].as_array().unwrap().len(), 1);
    let page = get(&mut lab, page["next"].as_str().unwrap());
    assert_eq!(page["ports"][0]["address"], "52:54:00:00:00:02");
    assert_eq!(page.get("next"), None);

    let drivers = get(&mut lab, "/v1/drivers");
    assert_eq!(drivers["drivers"][0]["name"], "manual");
    // What it was called when there was no other one.
    assert_eq!(get(&mut lab, "/v1/drivers/farrier"), drivers["drivers"][0]);
    let conductors = get(&mut lab, "/v1/conductors");
    assert_eq!(conductors["conductors"][0]["hostname"], "farrier");
    assert_eq!(
        get(&mut lab, "/v1/conductors/farrier"),
        conductors["conductors"][0]
    );
    for kind in ["chassis", "allocations", "portgroups"] {
        assert_eq!(
            get(&mut lab, &format!("/v1/{kind}?detail=true")),
            json!({ kind: [] })
        );
    }
    assert_eq!(
        get(&mut lab, "/farrier/v1/images"),
        json!({"images": [
            {"name": "debian12", "version": 1, "least_version": 0, "bytes": GIB}
        ]})
    );
}

#[test]
fn status() {
    let mut lab = rack();
    let status = get(&mut lab, "/farrier/v1/status");
    assert_eq!(status["uptime_ms"], lab.now);
    assert_eq!(status["leases"]["bound"], 2);
    assert_eq!(
        status["flat_nodes"],
        status["nodes"].as_array().unwrap().len()
    );
    assert!(status["counters"]["sessions"].as_u64().unwrap() > 0);
    assert_eq!(status["services"]["http_connections"], u32::MAX);
    let node = &status["nodes"][0];
    assert_eq!(node["state"], "manageable");
    assert_eq!(node["mac"], "52:54:00:00:00:01");
    assert_eq!(node["progress"], Value::Null);
    assert_eq!(node["written"], Value::Null);
    let hops: Vec<_> = node["hops"].as_array().unwrap().iter().collect();
    assert!(hops.iter().any(|hop| hop["name"] == "agent handshake"));
    assert!(hops.iter().all(|hop| hop["ms"].is_u64()));
    let page = get(&mut lab, "/farrier/v1/status?limit=1");
    assert_eq!(page["nodes"].as_array().unwrap().len(), 1);
    let page = get(&mut lab, page["next"].as_str().unwrap());
    assert_eq!(page["nodes"][0]["mac"], "52:54:00:00:00:02");
}

#[test]
fn the_status_shows_what_was_written() {
    let mut lab = available();
    lab.set_image(0, "debian12").unwrap();
    lab.verb(0, Verb::Active).unwrap();
    let mut agent = lab.start_agent(1, ScriptedAgent::with_disks(&[8 * GIB, 20 * GIB]));
    lab.run(&mut agent, 30);
    let status = get(&mut lab, "/farrier/v1/status");
    assert_eq!(
        status["nodes"][0]["written"],
        json!({
            "image_bytes": GIB, "fetched_bytes": GIB / 4, "refetched_chunks": 0,
            "peak_rss_kib": 1,
        })
    );
}

#[test]
fn missing_resources_and_methods_are_refused() {
    let mut lab = rack();
    for (method, target, status) in [
        ("GET", "/v1/nodes/rack-9", 404),
        ("GET", "/v1/nodes/%ff", 404),
        ("GET", "/v1/nodes/00000000-0000-4000-8000-000000000000", 404),
        ("GET", "/v1/nodes/rack-1/wings", 404),
        ("GET", "/v1/nodes/rack-1/states/provision/now", 404),
        ("GET", "/v1/wings", 404),
        ("GET", "/v2", 404),
        ("GET", "/v1/ports/7", 404),
        ("GET", "/v1/ports/00000000-0000-4000-8000-000000000000", 404),
        ("GET", "/v1/drivers/ilo", 404),
        ("GET", "/farrier/v1/wings", 404),
        ("PATCH", "/v1/nodes/rack-9", 404),
        ("PUT", "/v1/nodes/rack-9/states/provision", 404),
        ("DELETE", "/v1/nodes/rack-1", 400),
        ("POST", "/v1/nodes/rack-1", 405),
        ("DELETE", "/v1/nodes", 405),
        ("PUT", "/v1", 405),
        ("PUT", "/v1/nodes/rack-1/inventory", 405),
        ("POST", "/v1/nodes", 400),
        ("PUT", "/v1/nodes/rack-1/states/power", 400),
    ] {
        let reply = call(&mut lab, method, target, "{\"what\": [\"ever\"]}");
        assert_eq!(reply.status, status, "{method} {target}");
        assert!(!reply.fault().is_empty());
        assert!(reply.keep_alive, "the body was read to its end");
    }
    let head = call(&mut lab, "HEAD", "/v1/nodes", "");
    assert_eq!((head.status, head.body), (200, Value::Null));
}

#[test]
fn old_clients_get_no_chunks() {
    let mut lab = rack();
    let request = b"GET /v1/nodes HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let reply = exchange(&mut lab, request, 10, REPLY_BUFFER);
    assert_eq!((reply.status, reply.keep_alive), (200, false));
    assert!(!reply.head.contains("Transfer-Encoding"));
    assert_eq!(reply.body["nodes"].as_array().unwrap().len(), 2);
}

/// StringPool of the greatest length, of characters that grow when escaped, fit
/// the smallest buffer that is promised, and any larger one.
#[test]
fn the_longest_fragments_fit() {
    let mut lab = rack();
    let quotes = |n: usize| "\"".repeat(n);
    let driver_info: Vec<Value> = (0..3)
        .map(|n| {
            let key = format!("{}{n}", quotes(23));
            json!({"op": "add", "path": format!("/driver_info/{key}"), "value": quotes(40)})
        })
        .collect();
    let reply = call(
        &mut lab,
        "PATCH",
        "/v1/nodes/rack-1",
        &json!(driver_info).to_string(),
    );
    assert_eq!(reply.status, 200, "{}", reply.body);
    let body = json!([
        {"op": "add", "path": "/name", "value": "n".repeat(48)},
        {"op": "add", "path": "/instance_info/display_name", "value": quotes(48)},
        {"op": "add", "path": "/instance_info/image_source", "value": quotes(64)},
    ]);
    let reply = call(&mut lab, "PATCH", "/v1/nodes/rack-1", &body.to_string());
    assert_eq!(reply.status, 200, "{}", reply.body);
    for target in [
        "/",
        "/v1",
        "/v1/nodes/detail",
        "/v1/nodes/detail?limit=1",
        "/v1/ports/detail",
        "/v1/drivers",
        "/farrier/v1/status",
    ] {
        let mut whole = None;
        for room in [REPLY_BUFFER, REPLY_BUFFER + 1, 1460, 1500, 4000, 60_000] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            let reply = exchange(&mut lab, request.as_bytes(), 10, room);
            assert_eq!(reply.status, 200);
            assert_eq!(*whole.get_or_insert(reply.body.clone()), reply.body);
        }
    }
    // All fields by name, in a list that has a next page.
    let node = get(&mut lab, "/v1/nodes/detail")["nodes"][0].clone();
    let names: Vec<_> = node.as_object().unwrap().keys().cloned().collect();
    let names: Vec<_> = names.into_iter().filter(|name| name != "uuid").collect();
    let list = get(
        &mut lab,
        &format!("/v1/nodes?limit=1&fields={}", names.join("%2C")),
    );
    let next = list["next"].as_str().unwrap().to_owned();
    assert_eq!(get(&mut lab, &next)["nodes"].as_array().unwrap().len(), 1);
}
