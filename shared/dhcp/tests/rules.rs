//! Tests the rules of RFC 2131 and the conventions of boot clients for replies.

mod common;

use common::*;
use farrier_dhcp::route::{Route, reply_route};
use farrier_dhcp::wire::{
    DhcpOption, Error, IpxeOptions, MessageType, Packet, Reply, Request, classless_route,
    is_ipxe_user_class,
};
use std::net::Ipv4Addr;

const ADDR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 100);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

fn emit(reply: &Reply<'_>) -> Vec<u8> {
    let mut buf = [0xa5; 2048];
    let len = reply.emit(&mut buf).unwrap();
    buf[..len].to_vec()
}

/// Returns the first option with this code as a client without support of option
/// overload finds it.
fn plain_option(bytes: &[u8], code: u8) -> Option<Vec<u8>> {
    let mut rest = &bytes[OPTIONS..];
    loop {
        match rest {
            [255, ..] | [] => return None,
            [0, tail @ ..] => rest = tail,
            [c, len, tail @ ..] => {
                let (value, tail) = tail.split_at(usize::from(*len));
                if *c == code {
                    return Some(value.to_vec());
                }
                rest = tail;
            }
            [_] => panic!("option without a length"),
        }
    }
}

#[test]
fn replies_take_the_route_of_rfc_2131() {
    let base = Request::new(MessageType::Request, XID, MAC);
    let ack = |request: &Request<'_>| {
        let mut reply = Reply::answering(request, MessageType::Ack, SERVER);
        reply.yiaddr = ADDR;
        reply_route(request, &reply)
    };
    let nak = |request: &Request<'_>| {
        reply_route(
            request,
            &Reply::answering(request, MessageType::Nak, SERVER),
        )
    };
    let relayed = Request {
        giaddr: RELAY,
        ..base
    };
    let renewing = Request {
        ciaddr: ADDR,
        ..base
    };
    let flagged = Request {
        broadcast: true,
        ..base
    };

    assert_eq!(ack(&base), Route::RawUnicast { mac: MAC, ip: ADDR });
    assert_eq!(ack(&flagged), Route::Broadcast);
    assert_eq!(ack(&renewing), Route::Unicast(ADDR));
    assert_eq!(ack(&relayed), Route::Relay(RELAY));
    // giaddr has the highest precedence.
    let all = Request {
        giaddr: RELAY,
        ciaddr: ADDR,
        broadcast: true,
        ..base
    };
    assert_eq!(ack(&all), Route::Relay(RELAY));
    // ciaddr precedes the flag.
    assert_eq!(
        ack(&Request {
            broadcast: true,
            ..renewing
        }),
        Route::Unicast(ADDR)
    );
    // A NAK is broadcast, or sent to the relay with the flag set.
    assert_eq!(nak(&base), Route::Broadcast);
    assert_eq!(nak(&renewing), Route::Broadcast);
    assert_eq!(nak(&relayed), Route::Relay(RELAY));
    assert!(Reply::answering(&relayed, MessageType::Nak, SERVER).broadcast);
    assert!(!Reply::answering(&base, MessageType::Nak, SERVER).broadcast);
    // INFORM: the client has an address and gets none.
    let inform = Request {
        message_type: MessageType::Inform,
        ..renewing
    };
    let reply = Reply::answering(&inform, MessageType::Ack, SERVER);
    assert_eq!(reply_route(&inform, &reply), Route::Unicast(ADDR));
    let lost = Request {
        ciaddr: Ipv4Addr::UNSPECIFIED,
        ..inform
    };
    assert_eq!(reply_route(&lost, &reply), Route::Broadcast);
}

#[test]
fn broadcast_flag_is_the_top_bit() {
    let request = Request {
        broadcast: true,
        ..Request::new(MessageType::Discover, XID, MAC)
    };
    let bytes = emit(&Reply::answering(&request, MessageType::Offer, SERVER));
    assert_eq!(bytes[FLAGS..FLAGS + 2], [0x80, 0]);
}

#[test]
fn boot_file_and_server_are_in_fields_and_options() {
    let request = Request::new(MessageType::Discover, XID, MAC);
    let mut reply = Reply::answering(&request, MessageType::Offer, SERVER);
    reply.next_server = Some(Ipv4Addr::new(192, 168, 205, 7));
    reply.boot_file = Some(b"ipxe.efi");
    let bytes = emit(&reply);
    assert_eq!(bytes[SIADDR..SIADDR + 4], [192, 168, 205, 7]);
    assert_eq!(bytes[FILE..FILE + 9], *b"ipxe.efi\0");
    assert_eq!(plain_option(&bytes, 66).unwrap(), b"192.168.205.7");
    assert_eq!(plain_option(&bytes, 67).unwrap(), b"ipxe.efi");

    // 127 bytes and a NUL fill the field; a longer URL is in option 67 only.
    for (len, in_field) in [(127, true), (128, false), (255, false)] {
        let url = vec![b'u'; len];
        let bytes = emit(&Reply {
            boot_file: Some(&url),
            ..reply
        });
        assert_eq!(plain_option(&bytes, 67).unwrap(), url);
        assert_eq!(bytes[FILE] == b'u', in_field, "{len}");
        assert_eq!(bytes[FILE + 127], 0);
        assert_eq!(Reply::parse(&bytes).unwrap().boot_file, Some(&url[..]));
    }
    let url = vec![b'u'; 256];
    let mut buf = [0; 2048];
    let too_long = Reply {
        boot_file: Some(&url),
        ..reply
    };
    assert_eq!(too_long.emit(&mut buf), Err(Error::OptionTooLong));
}

#[test]
fn boot_file_and_server_are_parsed_from_field_or_option() {
    let mut bytes = message(2, &options(&[(53, &[2]), (54, &[10, 0, 0, 1])]));
    bytes[FILE..FILE + 2].copy_from_slice(b"a\0");
    assert_eq!(Reply::parse(&bytes).unwrap().boot_file, Some(&b"a"[..]));
    let both: [(u8, &[u8]); 4] = [
        (53, &[2]),
        (54, &[10, 0, 0, 1]),
        (66, b"10.0.0.9\0"),
        (67, b"b\0"),
    ];
    let bytes = message(2, &options(&both));
    let reply = Reply::parse(&bytes).unwrap();
    assert_eq!(reply.boot_file, Some(&b"b"[..]));
    assert_eq!(reply.next_server, Some(Ipv4Addr::new(10, 0, 0, 9)));
}

#[test]
fn reply_has_the_class_of_the_client() {
    let answer = |class| {
        let class_id = Some(class);
        let request = Request {
            class_id,
            ..Request::new(MessageType::Discover, XID, MAC)
        };
        let bytes = emit(&Reply::answering(&request, MessageType::Offer, SERVER));
        (plain_option(&bytes, 60), plain_option(&bytes, 43))
    };
    let control = Some(vec![6, 1, 8, 255]);
    assert_eq!(
        answer(b"PXEClient:Arch:00000:UNDI:002001"),
        (Some(b"PXEClient".to_vec()), control)
    );
    assert_eq!(
        answer(b"HTTPClient:Arch:00016:UNDI:003001"),
        (Some(b"HTTPClient".to_vec()), None)
    );
    assert_eq!(answer(b"MSFT 5.0"), (None, None));
}

#[test]
fn ipxe_does_not_wait_for_proxydhcp() {
    assert!(is_ipxe_user_class(b"iPXE"));
    assert!(is_ipxe_user_class(b"\x04iPXE"));
    assert!(is_ipxe_user_class(b"\x03foo\x04iPXE"));
    let others: [&[u8]; 6] = [b"", b"ipxe", b"iPXE ", b"\x05iPXE", b"\x03iPXE", b"\x04iPX"];
    for class in others {
        assert!(!is_ipxe_user_class(class), "{class:?}");
    }
    // Option 175 is enough.
    let request = Request {
        ipxe: Some(&[0x13, 1, 1]),
        ..Request::new(MessageType::Discover, XID, MAC)
    };
    assert!(request.is_ipxe());
    let bytes = emit(&Reply::answering(&request, MessageType::Offer, SERVER));
    assert_eq!(plain_option(&bytes, 175).unwrap(), [0xb0, 1, 1]);
    assert!(Reply::parse(&bytes).unwrap().no_pxedhcp);
    // Other clients do not get it.
    let request = Request::new(MessageType::Discover, XID, MAC);
    let bytes = emit(&Reply::answering(&request, MessageType::Offer, SERVER));
    assert_eq!(plain_option(&bytes, 175), None);
}

#[test]
fn ipxe_of_a_nic_is_usable_only_with_http_and_an_image_type() {
    let usable = |value: &[u8]| IpxeOptions::parse(value).is_usable();
    assert!(usable(&[0x13, 1, 1, 0x18, 1, 1]));
    assert!(usable(&[0x13, 1, 1, 0x24, 1, 1]));
    assert!(!usable(&[0x13, 1, 1]));
    assert!(!usable(&[0x18, 1, 1, 0x24, 1, 1]));
    // Version 0 means absent; a malformed sub-option ends the list.
    assert!(!usable(&[0x13, 1, 0, 0x18, 1, 1]));
    assert!(!usable(&[0x18, 1, 1, 0x13, 9, 1]));
    assert!(!usable(&[]));
}

#[test]
fn relay_information_is_echoed_unchanged_and_last() {
    // Circuit id, remote id, and a malformed unknown sub-option, which is echoed
    // unchanged.
    let info = [1, 2, 0xaa, 0xbb, 2, 1, 0xcc, 5, 4, 10, 2, 0, 0, 77, 200];
    let request = Request {
        giaddr: RELAY,
        relay_info: Some(&info),
        ..Request::new(MessageType::Discover, XID, MAC)
    };
    assert_eq!(request.relay_sub_option(1), Some(&[0xaa, 0xbb][..]));
    assert_eq!(request.relay_sub_option(5), Some(&[10, 2, 0, 0][..]));
    assert_eq!(request.relay_sub_option(77), None);
    for kind in [MessageType::Offer, MessageType::Ack, MessageType::Nak] {
        let mut reply = Reply::answering(&request, kind, SERVER);
        reply.boot_file = Some(b"x");
        let bytes = emit(&reply);
        assert_eq!(bytes[GIADDR..GIADDR + 4], RELAY.octets());
        let packet = Packet::new_checked(&bytes[..]).unwrap();
        let last = packet.options().last().unwrap();
        assert_eq!(
            last,
            DhcpOption {
                code: 82,
                data: &info
            }
        );
    }
}

#[test]
fn client_id_and_uuid_are_echoed() {
    let bytes = ipxe_discover();
    let request = Request::parse(&bytes).unwrap();
    let reply = emit(&Reply::answering(&request, MessageType::Offer, SERVER));
    assert_eq!(plain_option(&reply, 61).as_deref(), request.client_id);
    assert_eq!(plain_option(&reply, 97).as_deref(), request.machine_id);
}

/// Returns a reply with the given options.
fn growing<'a>(request: &Request<'a>, extra: &'a [DhcpOption<'a>]) -> Reply<'a> {
    let mut reply = Reply::answering(request, MessageType::Ack, SERVER);
    reply.yiaddr = ADDR;
    reply.lease_secs = Some(600);
    reply.next_server = Some(SERVER);
    reply.boot_file = Some(b"http://10.0.0.1/boot");
    reply.extra = extra;
    reply
}

#[test]
fn message_size_limit_is_kept_with_overload_if_needed() {
    let value = [0x11; 30];
    let extra = [DhcpOption {
        code: 224,
        data: &value,
    }; 40];
    let relay_info = [1, 4, 1, 2, 3, 4];
    // Below 576 the option has no effect: every client accepts 576 bytes.
    for (sent, max) in [
        (None, 548),
        (Some(300), 548),
        (Some(576), 548),
        (Some(1472), 1444),
    ] {
        let request = Request {
            max_message_size: sent,
            relay_info: Some(&relay_info),
            ..Request::new(MessageType::Request, XID, MAC)
        };
        let mut seen = [false; 4];
        let mut longest = 0;
        for count in 0..=extra.len() {
            let reply = growing(&request, &extra[..count]);
            let mut buf = [0xa5; 2048];
            let Ok(len) = reply.emit(&mut buf) else { break };
            longest = len;
            assert!((300..=max).contains(&len), "{len} of {max}");
            let bytes = &buf[..len];
            let packet = Packet::new_checked(bytes).unwrap();
            let mut options = packet.options();
            assert_eq!(options.by_ref().filter(|o| o.code == 224).count(), count);
            assert!(!options.is_malformed());
            let overload = plain_option(bytes, 52).map_or(0, |v| v[0]);
            seen[usize::from(overload)] = true;
            // The options of relays and simple clients are not overloaded.
            assert_eq!(plain_option(bytes, 53).unwrap(), [5]);
            assert_eq!(plain_option(bytes, 54).unwrap(), SERVER.octets());
            assert_eq!(plain_option(bytes, 82).unwrap(), relay_info);
            // The name is in `file` if no options are.
            assert_eq!(bytes[FILE..].starts_with(b"http://"), overload & 1 == 0);
            assert_eq!(Reply::parse(bytes).unwrap().boot_file, reply.boot_file);
        }
        assert_eq!(seen, [true, false, true, true]);
        assert!(longest > max - 32, "{longest} of {max}");
    }
}

#[test]
fn relay_information_always_has_room() {
    // Option 82 has its room for every length of the other options.
    let relay_info = [7; 60];
    let request = Request {
        relay_info: Some(&relay_info),
        ..Request::new(MessageType::Request, XID, MAC)
    };
    let value = [0x11; 255];
    let mut lengths = std::collections::BTreeSet::new();
    for len in 0..value.len() {
        let extra = [DhcpOption {
            code: 224,
            data: &value[..len],
        }];
        let mut buf = [0; 2048];
        let Ok(size) = growing(&request, &extra).emit(&mut buf) else {
            break;
        };
        let bytes = &buf[..size];
        assert_eq!(plain_option(bytes, 82).unwrap(), relay_info, "{len}");
        lengths.insert(bytes.len());
    }
    assert_eq!(
        lengths.last(),
        Some(&548),
        "the message was filled to the last byte"
    );
}

#[test]
fn too_small_buffer_fails() {
    let request = Request::new(MessageType::Request, XID, MAC);
    let reply = growing(&request, &[]);
    for len in [0, 1, 239, 240, 299] {
        let mut buf = vec![0; len];
        assert_eq!(reply.emit(&mut buf), Err(Error::NoRoom));
        assert_eq!(request.emit(&mut buf), Err(Error::NoRoom));
    }
    assert_eq!(reply.emit(&mut [0; 300]).map(|len| len <= 300), Ok(true));
    let info = [0; 255];
    let stuffed = Reply {
        relay_info: Some(&info),
        ..reply
    };
    assert_eq!(stuffed.emit(&mut [0; 300]), Err(Error::NoRoom));
}

#[test]
fn each_side_sends_its_own_types_only() {
    let mut buf = [0; 576];
    let request = Request::new(MessageType::Offer, XID, MAC);
    assert_eq!(request.emit(&mut buf), Err(Error::BadMessageType));
    let request = Request::new(MessageType::Discover, XID, MAC);
    let reply = Reply::answering(&request, MessageType::Discover, SERVER);
    assert_eq!(reply.emit(&mut buf), Err(Error::BadMessageType));
    // A server's message is not a request, and the reverse.
    assert_eq!(
        Reply::parse(&message(1, &options(&[(53, &[2])]))),
        Err(Error::WrongOp)
    );
    assert_eq!(
        Reply::parse(&message(2, &options(&[(53, &[1])]))),
        Err(Error::BadMessageType)
    );
    assert_eq!(
        Reply::parse(&message(2, &options(&[(53, &[2])]))),
        Err(Error::BadOption)
    );
}

/// The examples of RFC 3442.
#[test]
fn a_classless_route_has_the_bytes_that_its_prefix_covers() {
    let router = Ipv4Addr::new(10, 0, 0, 9);
    for (to, prefix, bytes) in [
        ([0, 0, 0, 0], 0, &[0][..]),
        ([10, 0, 0, 0], 8, &[8, 10]),
        ([10, 0, 0, 0], 24, &[24, 10, 0, 0]),
        ([10, 17, 0, 0], 16, &[16, 10, 17]),
        ([10, 27, 129, 0], 24, &[24, 10, 27, 129]),
        ([10, 229, 0, 128], 25, &[25, 10, 229, 0, 128]),
        ([10, 198, 122, 47], 32, &[32, 10, 198, 122, 47]),
    ] {
        let expected: Vec<u8> = bytes.iter().copied().chain(router.octets()).collect();
        let mut out = [0xee; 9];
        let length = classless_route(&mut out, (to.into(), prefix), router);
        assert_eq!(length, Some(expected.len()));
        assert_eq!(out[..expected.len()], expected);
        for short in 0..expected.len() {
            let route = classless_route(&mut out[..short], (to.into(), prefix), router);
            assert_eq!(route, None);
        }
    }
    assert_eq!(classless_route(&mut [0; 20], (router, 33), router), None);
}
