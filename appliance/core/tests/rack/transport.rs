//! The boot decision and the address book, seen from the wire.

use crate::common::*;
use farrier_asset_store::DrivePlace;
use farrier_core::interface::NetworkId;
use farrier_core::interface::StoredConfigDrive;
use farrier_core::node::Hop;
use farrier_core::{Command, Config, Input, Transport};
use farrier_dhcp::wire::{ArchList, MessageType, Reply, Request};
use farrier_lifecycle::Verb;
use farrier_protocol::message::{ConfigDriveFormat, Mac};

fn pxe(class: &'static [u8], arch: &'static [u8]) -> impl Fn(&mut Request<'_>) {
    move |request| {
        request.class_id = Some(class);
        request.arch_list = ArchList(arch);
    }
}

#[test]
fn each_architecture_gets_its_program() {
    let mut lab = Lab::new();
    let bios = lab
        .dhcp(1, pxe(b"PXEClient:Arch:00000:UNDI:002001", &[0, 0]))
        .unwrap();
    assert_eq!(bios.file.as_deref(), Some("undionly.kpxe"));
    assert_eq!(bios.class.as_deref(), Some(&b"PXEClient"[..]));
    for arch in [&[0, 7], &[0, 9]] {
        let uefi = lab
            .dhcp(2, pxe(b"PXEClient:Arch:00007:UNDI:003000", arch))
            .unwrap();
        assert_eq!(uefi.file.as_deref(), Some("snponly.efi"));
    }
    let http = lab
        .dhcp(3, pxe(b"HTTPClient:Arch:00016:UNDI:003001", &[0, 16]))
        .unwrap();
    assert_eq!(http.file.as_deref(), Some("http://172.22.0.1/snponly.efi"));
    assert_eq!(http.class.as_deref(), Some(&b"HTTPClient"[..]));
    let arm = lab
        .dhcp(4, pxe(b"PXEClient:Arch:00011:UNDI:003000", &[0, 11]))
        .unwrap();
    assert_eq!(arm.file, None, "there is no program for ARM yet");
}

#[test]
fn a_machine_that_does_not_boot_gets_an_address_and_is_no_node() {
    let mut lab = Lab::new();
    let lease = lab.dhcp(1, |_| {}).unwrap();
    assert_eq!(lease.kind, MessageType::Ack);
    assert_eq!(lease.file, None);
    assert!(lab.rack().nodes().is_empty());
}

#[test]
fn a_full_table_forgets_a_machine_that_nobody_has_touched() {
    let mut lab = Lab::new();
    for mac in 1..=8 {
        lab.discover(mac);
    }
    lab.verb(0, Verb::Manage).unwrap();
    lab.discover(9);
    assert_eq!(lab.rack().counters().nodes_forgotten, 1);
    assert_eq!(lab.rack().nodes().len(), 8);
    let place = |lab: &Lab, mac| lab.rack().find_by_mac(mac_of(mac));
    assert_eq!(place(&lab, 1), Some(0), "somebody's");
    assert_eq!(place(&lab, 2), None, "silent for longest");
    assert_eq!(place(&lab, 9), Some(1));
}

#[test]
fn a_full_table_of_nodes_is_counted_and_disturbs_nobody() {
    let mut lab = Lab::new();
    for mac in 1..=8 {
        lab.discover(mac);
        lab.verb(usize::from(mac) - 1, Verb::Manage).unwrap();
    }
    let (address, script) = lab.boot(9);
    let scripted = ScriptedAgent::with_disks(&[]);
    let mut agent = Agent::new(9, address, &script, 0, scripted).unwrap();
    lab.run(&mut agent, 5);
    assert!(agent.driver.handler().welcome.is_none());
    assert!(lab.rack().counters().nodes_full > 0);
    assert_eq!(lab.rack().nodes().len(), 8);
    lab.starts(1);
    assert!(lab.node(0).boot.session.is_some());
}

#[test]
fn a_request_for_an_address_of_another_is_refused() {
    let mut lab = Lab::new();
    let lease = lab.dhcp(1, |_| {}).unwrap();
    let nak = lab
        .dhcp_message(MessageType::Request, 2, |r| {
            r.requested_ip = Some(lease.address)
        })
        .unwrap();
    assert_eq!(nak.kind, MessageType::Nak);
    assert_eq!(lab.rack().counters().dhcp_naks, 1);
}

#[test]
fn a_request_to_another_server_is_left_to_it() {
    let mut lab = Lab::new();
    let silent = lab.dhcp_message(MessageType::Request, 1, |r| {
        r.server_id = Some("172.22.0.9".parse().unwrap());
        r.requested_ip = Some("172.22.0.20".parse().unwrap());
    });
    assert_eq!(silent, None);
}

#[test]
fn nobody_asks_in_the_name_of_another_machine() {
    let mut lab = Lab::new();
    let mut buf = [0; 600];
    let len = Request::new(MessageType::Discover, 1, mac_of(1).0)
        .emit(&mut buf)
        .unwrap();
    let did = lab.step(Input::Dhcp {
        network: NetworkId::PROVISIONING,
        from: Mac([2, 9, 9, 9, 9, 9]),
        payload: &buf[..len],
    });
    assert!(did.is_empty());
    assert_eq!(lab.rack().counters().dhcp_ignored, 1);
}

#[test]
fn a_lease_says_how_long_it_lasts_and_where_its_network_ends() {
    let mut lab = Lab::new();
    let seconds = Config::default().lease_secs;
    for kind in [MessageType::Discover, MessageType::Request] {
        let mut request = Request::new(kind, 5, mac_of(1).0);
        request.requested_ip = Some(Config::default().pool_first);
        let mut buf = [0; 600];
        let len = request.emit(&mut buf).unwrap();
        let did = lab.step(Input::Dhcp {
            network: NetworkId::PROVISIONING,
            from: mac_of(1),
            payload: &buf[..len],
        });
        let payload = did.iter().find_map(|did| match did {
            Outcome::Dhcp(_, payload) => Some(payload),
            _ => None,
        });
        let reply = Reply::parse(payload.unwrap()).unwrap();
        assert_eq!(reply.lease_secs, Some(seconds));
        // RFC 2131, 4.4.5: half of it, and seven eighths.
        assert_eq!(reply.renewal_secs, Some(seconds / 2));
        assert_eq!(reply.rebinding_secs, Some(seconds / 8 * 7));
        assert_eq!(reply.mask, Some([255, 255, 255, 0].into()));
        assert_eq!(reply.server_id, Config::default().address);
    }
}

#[test]
fn who_boots_is_told_the_next_server_and_nobody_else() {
    let mut lab = Lab::new();
    for (mac, boots) in [(1, true), (2, false)] {
        let mut request = Request::new(MessageType::Discover, 5, mac_of(mac).0);
        if boots {
            ipxe(&mut request);
        }
        let mut buf = [0; 600];
        let len = request.emit(&mut buf).unwrap();
        let did = lab.step(Input::Dhcp {
            network: NetworkId::PROVISIONING,
            from: mac_of(mac),
            payload: &buf[..len],
        });
        let told = did.iter().find_map(|did| match did {
            Outcome::Dhcp(_, payload) => Reply::parse(payload).unwrap().next_server,
            _ => None,
        });
        assert_eq!(told, boots.then_some(Config::default().address));
    }
}

#[test]
fn a_script_is_served_on_the_network_of_its_lease_only() {
    let mut lab = Lab::new();
    let (leased, other) = (NetworkId(3), NetworkId::PROVISIONING);
    let peer = Config::default().pool_first;
    let mut request = Request::new(MessageType::Request, 5, mac_of(1).0);
    ipxe(&mut request);
    request.requested_ip = Some(peer);
    let mut buf = [0; 600];
    let len = request.emit(&mut buf).unwrap();
    let did = lab.step(Input::Dhcp {
        network: leased,
        from: mac_of(1),
        payload: &buf[..len],
    });
    let file = did.iter().find_map(|did| match did {
        Outcome::Dhcp(_, payload) => Reply::parse(payload).unwrap().boot_file,
        _ => None,
    });
    let url = std::str::from_utf8(file.unwrap()).unwrap();
    let path = url.strip_prefix("http://172.22.0.1/").unwrap();
    for (network, served) in [(other, false), (leased, true)] {
        let did = lab.step(Input::Open {
            transport: Transport::Http,
            network,
            peer,
            path,
        });
        let text = |did: &Outcome| matches!(did, Outcome::Serve(Served::Text(_)));
        assert_eq!(did.iter().any(text), served, "{network}");
    }
}

#[test]
fn what_does_not_parse_is_counted() {
    let mut lab = Lab::new();
    for payload in [&[][..], &[0xff; 64], &[1; 1500]] {
        assert!(
            lab.step(Input::Dhcp {
                network: NetworkId::PROVISIONING,
                from: mac_of(1),
                payload
            })
            .is_empty()
        );
    }
    assert_eq!(lab.rack().counters().dhcp_malformed, 3);
    for datagram in [&[][..], &[3; 40], &[1; 1200]] {
        let from = farrier_core::Endpoint {
            network: NetworkId::PROVISIONING,
            mac: mac_of(1),
            ip: "172.22.0.20".parse().unwrap(),
            port: 9,
        };
        for did in lab.step(Input::Agent { from, datagram }) {
            assert!(
                matches!(did, Outcome::Agent(_, hint) if hint.len() < 16),
                "only a hint"
            );
        }
    }
    assert_eq!(lab.rack().counters().agent_stray, 3);
}

#[test]
fn a_config_drive_is_for_its_own_machine() {
    let mut lab = Lab::new();
    let (address, _) = lab.boot(1);
    assert_eq!(lab.open(address, "config-drive"), Served::NotFound);
}

#[test]
fn transfers_are_hops_of_their_machines_boot() {
    let mut lab = Lab::new();
    lab.discover(1);
    lab.discover(2);
    let (address, _) = lab.boot(1);
    for (path, hop) in [
        ("undionly.kpxe", Hop::Program),
        ("vmlinuz", Hop::Kernel),
        ("ramdisk.img", Hop::Ramdisk),
    ] {
        let mut sent = |complete| {
            lab.step(Input::Sent {
                network: NetworkId::PROVISIONING,
                peer: address,
                path,
                bytes: 10,
                complete,
            });
            lab.node(0).timeline.reached(hop)
        };
        assert_eq!(sent(false), None, "{path}, broken off");
        assert!(sent(true).is_some(), "{path}");
        assert_eq!(lab.node(1).timeline.reached(hop), None, "{path}");
    }
}

#[test]
fn a_config_drive_goes_by_http_and_to_its_own_machine() {
    let (mut lab, agent) = available_with(&[8 * GIB]);
    let (other, _) = lab.boot(2);
    lab.set_image(0, "debian12").unwrap();
    let node = lab.node(0).id;
    lab.operator(Command::Provision {
        node,
        verb: Verb::Active,
        config_drive: Some(StoredConfigDrive {
            length: 100,
            key: [7; 32],
            format: ConfigDriveFormat::Json,
            place: DrivePlace::First,
        }),
    })
    .unwrap();
    let own = agent.endpoint.ip;
    assert!(matches!(
        lab.open(own, "config-drive"),
        Served::Slot(0, _, length) if length > 100
    ));
    let refused = lab.rack().counters().files_refused;
    assert_eq!(lab.open(other, "config-drive"), Served::NotFound);
    let by_tftp = lab.step(Input::Open {
        network: NetworkId::PROVISIONING,
        transport: Transport::Tftp,
        peer: own,
        path: "config-drive",
    });
    assert_eq!(by_tftp, [Outcome::Serve(Served::NotFound)]);
    assert_eq!(lab.rack().counters().files_refused, refused + 2);
}

#[test]
fn of_an_images_versions_the_newest_is_deployed() {
    let mut lab = Lab::new();
    let mut teach = |version| {
        let known = lab.rack().images().iter().find(|i| i.name == "debian12");
        let image = farrier_core::interface::Image {
            version,
            root: [version as u8; 32],
            ..known.unwrap().clone()
        };
        lab.step(Input::Image(&image));
        let images = lab.rack().images();
        assert_eq!(images.len(), 1);
        (images[0].version, images[0].root[0])
    };
    assert_eq!(teach(3), (3, 3));
    assert_eq!(teach(2), (3, 3));
    assert_eq!(teach(4), (4, 4));
    let mut again = lab.rack().images()[0].clone();
    again.root = [99; 32];
    lab.step(Input::Image(&again));
    assert_eq!(lab.rack().images()[0].root[0], 4, "the first of a version");
    again.name = "debian13".try_into().unwrap();
    lab.step(Input::Image(&again));
    assert_eq!(lab.rack().images().len(), 2);
}

#[test]
fn a_config_drive_comes_with_its_verb() {
    let drive = |first, place| StoredConfigDrive {
        length: 100,
        key: [first; 32],
        format: ConfigDriveFormat::Json,
        place,
    };
    let (one, other) = (DrivePlace::First, DrivePlace::Second);
    let mut lab = active_lab();
    let node = lab.node(0).id;
    let ask = |lab: &mut Lab, verb, config_drive| {
        lab.operator(Command::Provision {
            node,
            verb,
            config_drive,
        })
        .unwrap();
        lab.node(0).config_drive.as_ref().map(|drive| drive.key[0])
    };
    assert_eq!(ask(&mut lab, Verb::Rebuild, Some(drive(1, one))), Some(1));
    lab.verb(0, Verb::Abort).unwrap();
    // What is deployed again is deployed as before, unless it is said anew.
    assert_eq!(ask(&mut lab, Verb::Rebuild, None), Some(1));
    lab.verb(0, Verb::Abort).unwrap();
    assert_eq!(ask(&mut lab, Verb::Rebuild, Some(drive(2, other))), Some(2));
    lab.verb(0, Verb::Abort).unwrap();
    assert_eq!(ask(&mut lab, Verb::Active, None), None);
}

#[test]
fn a_lease_with_more_than_half_of_its_time_is_neither_written_nor_prolonged() {
    let mut lab = Lab::new();
    let seconds = farrier_core::Config::default().lease_secs;
    let renew = |lab: &mut Lab| {
        let before = lab.records().len();
        let lease = lab.dhcp(1, ipxe).unwrap();
        (lease.seconds, lab.records().len() - before)
    };
    assert_eq!(renew(&mut lab), (Some(seconds), 1));
    lab.now += 1000;
    assert_eq!(renew(&mut lab), (Some(seconds - 1), 0));
    lab.now += u64::from(seconds) * 500 - 1000;
    assert_eq!(renew(&mut lab), (Some(seconds), 1));
    // What the client was told lasts over a restart.
    lab.now += 1000;
    renew(&mut lab);
    lab.restart(0);
    let own = lab.dhcp(1, ipxe).unwrap().address;
    lab.now += u64::from(seconds) * 1000 - 2000;
    assert_ne!(
        lab.dhcp(2, |r| r.requested_ip = Some(own)).unwrap().address,
        own
    );
}

#[test]
fn strangers_leave_an_address_for_every_known_machine() {
    let mut lab = Lab::new();
    for mac in 1..=4 {
        lab.discover(mac);
    }
    lab.pass(3600);
    // A flood of forged clients, without an end.
    for mac in 20..=250 {
        lab.dhcp(mac, |_| {});
        lab.dhcp(mac, ipxe);
    }
    assert!(lab.rack().counters().leases_withheld > 0);
    for mac in 1..=4 {
        let (_, script) = lab.boot(mac);
        assert!(script.contains("farrier.ticket="), "{mac}");
    }
}

#[test]
fn one_interface_has_its_share_of_the_pool() {
    let mut lab = Lab::new();
    let leases = (0..=255)
        .filter(|number| {
            let id = [0xff, *number];
            lab.dhcp(1, |r| r.client_id = Some(Box::leak(Box::new(id))))
                .is_some()
        })
        .count();
    assert_eq!(leases, 5);
    assert!(lab.dhcp(2, |_| {}).is_some());
}

#[test]
fn a_client_id_that_is_the_hardware_address_is_no_other_identity() {
    let mut lab = Lab::new();
    let rom = lab.dhcp(1, |_| {}).unwrap().address;
    let mut id = vec![1];
    id.extend(mac_of(1).0);
    let id: &[u8] = Box::leak(id.into());
    let ipxe = lab.dhcp(1, |r| r.client_id = Some(id));
    assert_eq!(ipxe.unwrap().address, rom);
    let other = lab.dhcp(2, |r| r.client_id = Some(id));
    assert_ne!(other.unwrap().address, rom);
}

#[test]
fn declines_and_releases_have_a_budget() {
    let mut lab = Lab::new();
    let (mut declined, mut mac) = (0, 10);
    for _ in 0..64 {
        // Each from another source.
        mac += 1;
        let Some(lease) = lab.dhcp(mac, |_| {}) else {
            break;
        };
        let before = lab.records().len();
        lab.dhcp_message(MessageType::Decline, mac, |r| {
            r.requested_ip = Some(lease.address);
        });
        declined += lab.records().len() - before;
    }
    assert!(declined <= 16, "as many as there are addresses: {declined}");
    // One source alone.
    let mut lab = Lab::new();
    let mut ended = 0;
    for _ in 0..40 {
        let lease = lab.dhcp(1, |_| {}).unwrap();
        let before = lab.records().len();
        lab.dhcp_message(MessageType::Release, 1, |r| r.ciaddr = lease.address);
        ended += lab.records().len() - before;
    }
    assert_eq!(ended, 4);
    assert_eq!(lab.rack().counters().declines_ignored, 36);
}
