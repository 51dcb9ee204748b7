//! Known messages byte for byte.

mod common;

use common::*;
use farrier_dhcp::wire::{
    Arch, ArchList, ClientClass, ClientIdentity, Error, IpxeFeatures, MessageType, Packet,
    Platform, Reply, Request, Undi,
};
use std::net::Ipv4Addr;

#[test]
fn ovmf_discover_is_parsed() {
    let bytes = ovmf_discover();
    let request = Request::parse(&bytes).unwrap();
    assert_eq!(request.message_type, MessageType::Discover);
    assert_eq!(
        (request.xid, request.chaddr, request.broadcast),
        (XID, MAC, true)
    );
    assert_eq!(request.max_message_size, Some(1472));
    assert_eq!(request.uuid(), Some(UUID));
    assert_eq!(request.arch(), Some(Arch::X64_UEFI));
    assert_eq!(request.arch().unwrap().platform(), Platform::X64);
    assert_eq!(
        request.client_class(),
        ClientClass::Pxe {
            arch: Some(Arch(7)),
            undi: Some(Undi { major: 3, minor: 0 })
        }
    );
    assert_eq!(request.identity(), ClientIdentity::Hardware(MAC));
    assert!(!request.is_ipxe());
    assert!(request.wants(54) && !request.wants(82));
}

#[test]
fn ipxe_discover_is_parsed() {
    let bytes = ipxe_discover();
    let request = Request::parse(&bytes).unwrap();
    assert!(request.is_ipxe());
    let options = request.ipxe_options();
    let present =
        IpxeFeatures::HTTP | IpxeFeatures::BZIMAGE | IpxeFeatures::TFTP | IpxeFeatures::NFS;
    let absent = IpxeFeatures::EFI | IpxeFeatures::HTTPS | IpxeFeatures::VLAN;
    assert!(options.features.contains(present));
    assert!(!options.features.intersects(absent));
    assert!(options.is_usable());
    assert_eq!(options.version, Some([1, 0, 0]));
    assert_eq!(options.bus_id, Some((1, 0x1af4, 0x1000)));
    let id = [1, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
    assert_eq!(request.identity(), ClientIdentity::ClientId(&id));
}

#[test]
fn unset_uuid_is_none() {
    let uuid = |id: &[u8]| {
        let bytes = message(1, &options(&[(53, &[1]), (97, id)]));
        let request = Request::parse(&bytes).unwrap();
        assert_eq!(request.machine_id, Some(id), "it is echoed all the same");
        request.uuid()
    };
    // Not present, not set (SMBIOS 3.7 §7.2.1); another type; other lengths.
    assert_eq!(uuid(&[0; 17]), None);
    assert_eq!(uuid(&[&[0][..], &[0xff; 16]].concat()), None);
    assert_eq!(uuid(&[1; 17]), None);
    assert_eq!(uuid(&[&[0][..], &[1; 15]].concat()), None);
    assert_eq!(uuid(&[]), None);
    assert_eq!(uuid(&[&[0][..], &[1; 16]].concat()), Some([1; 16]));
}

#[test]
fn bios_discover_is_parsed() {
    let bytes = bios_discover();
    let request = Request::parse(&bytes).unwrap();
    assert_eq!(request.arch().map(Arch::platform), Some(Platform::Bios));
    assert_eq!(request.max_message_size, Some(1260));
}

#[test]
fn view_reads_every_field() {
    let mut bytes = message(1, &[255]);
    bytes[3] = 2;
    bytes[8..12].copy_from_slice(&[0x01, 0x02, 0x80, 0x00]);
    for (i, at) in [CIADDR, YIADDR, SIADDR, GIADDR].into_iter().enumerate() {
        bytes[at..at + 4].copy_from_slice(&[10, 9, 8, i as u8]);
    }
    bytes[SNAME] = b's';
    bytes[FILE] = b'f';
    let packet = Packet::new_checked(&bytes[..]).unwrap();
    assert_eq!((packet.htype(), packet.hlen(), packet.hops()), (1, 6, 2));
    assert_eq!(
        (packet.xid(), packet.secs(), packet.flags()),
        (XID, 0x102, 0x8000)
    );
    assert_eq!(packet.ciaddr(), Ipv4Addr::new(10, 9, 8, 0));
    assert_eq!(packet.yiaddr(), Ipv4Addr::new(10, 9, 8, 1));
    assert_eq!(packet.siaddr(), Ipv4Addr::new(10, 9, 8, 2));
    assert_eq!(packet.giaddr(), Ipv4Addr::new(10, 9, 8, 3));
    assert_eq!((packet.sname().len(), packet.sname()[0]), (64, b's'));
    assert_eq!((packet.file().len(), packet.file()[0]), (128, b'f'));
    assert_eq!(packet.chaddr()[..6], MAC);
}

#[test]
fn offer_to_ovmf_byte_for_byte() {
    let discover = ovmf_discover();
    let request = Request::parse(&discover).unwrap();
    let mut reply = Reply::answering(&request, MessageType::Offer, SERVER);
    reply.yiaddr = Ipv4Addr::new(10, 0, 0, 100);
    reply.mask = Some(Ipv4Addr::new(255, 255, 255, 0));
    reply.router = Some(SERVER);
    reply.lease_secs = Some(3600);
    reply.renewal_secs = Some(1800);
    reply.rebinding_secs = Some(3150);
    reply.next_server = Some(SERVER);
    reply.boot_file = Some(b"snponly.efi");
    reply.dns = [SERVER].into_iter().collect();

    let mut machine_id = vec![0];
    machine_id.extend_from_slice(&UUID);
    let mut expected = message(
        2,
        &options(&[
            (53, &[2]),
            (54, &[10, 0, 0, 1]),
            (51, &[0, 0, 0x0e, 0x10]),
            (1, &[255, 255, 255, 0]),
            (3, &[10, 0, 0, 1]),
            (60, b"PXEClient"),
            (43, &[6, 1, 8, 255]),
            (66, b"10.0.0.1"),
            (67, b"snponly.efi"),
            (58, &[0, 0, 0x07, 0x08]),
            (59, &[0, 0, 0x0c, 0x4e]),
            (6, &[10, 0, 0, 1]),
            (97, &machine_id),
        ]),
    );
    expected[FLAGS] = 0x80;
    expected[YIADDR..YIADDR + 4].copy_from_slice(&[10, 0, 0, 100]);
    expected[SIADDR..SIADDR + 4].copy_from_slice(&[10, 0, 0, 1]);
    expected[FILE..FILE + 11].copy_from_slice(b"snponly.efi");

    let mut buf = [0xa5; 1500];
    let len = reply.emit(&mut buf).unwrap();
    assert_eq!(buf[..len], expected);
}

#[test]
fn nak_has_only_the_options_of_table_3() {
    // RFC 2131 table 3, plus option 61 (RFC 6842) and option 82.
    let mut bytes = ipxe_discover();
    bytes[CIADDR] = 10;
    let request = Request::parse(&bytes).unwrap();
    let mut reply = Reply::answering(&request, MessageType::Nak, SERVER);
    reply.message = Some(b"wrong network");
    let mut buf = [0; 576];
    let len = reply.emit(&mut buf).unwrap();
    let packet = Packet::new_checked(&buf[..len]).unwrap();
    assert_eq!(packet.ciaddr(), Ipv4Addr::UNSPECIFIED);
    assert_eq!(
        packet.options().map(|o| o.code).collect::<Vec<_>>(),
        [53, 54, 61, 56]
    );
}

#[test]
fn short_messages_are_padded_to_bootp_length() {
    let mut buf = [0xff; 576];
    let len = Request::new(MessageType::Discover, XID, MAC)
        .emit(&mut buf)
        .unwrap();
    assert_eq!(len, 300);
    let mut expected = message(1, &[53, 1, 1, 255]);
    expected.resize(300, 0);
    assert_eq!(buf[..len], expected);
}

#[test]
fn malformed_messages_fail() {
    let good = || message(1, &options(&[(53, &[1])]));
    let parse = |bytes: &[u8]| Request::parse(bytes).map(|_| ());
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good();
        change(&mut bytes);
        parse(&bytes)
    };
    assert_eq!(parse(&good()), Ok(()));
    assert_eq!(parse(&good()[..239]), Err(Error::Truncated));
    assert_eq!(parse(&[]), Err(Error::Truncated));
    assert_eq!(with(&|b| b[0] = 2), Err(Error::WrongOp));
    assert_eq!(with(&|b| b[0] = 3), Err(Error::WrongOp));
    assert_eq!(with(&|b| b[1] = 32), Err(Error::BadHardware));
    assert_eq!(with(&|b| b[2] = 16), Err(Error::BadHardware));
    assert_eq!(with(&|b| b[28] |= 1), Err(Error::BadHardware));
    assert_eq!(with(&|b| b[28..34].fill(0)), Err(Error::BadHardware));
    assert_eq!(with(&|b| b[236] = 0), Err(Error::BadCookie));
    // No type, an unknown one, a server's, one of the wrong length.
    assert_eq!(parse(&message(1, &[255])), Err(Error::BadMessageType));
    assert_eq!(with(&|b| b[242] = 9), Err(Error::BadMessageType));
    assert_eq!(with(&|b| b[242] = 2), Err(Error::BadMessageType));
    assert_eq!(
        parse(&message(1, &[53, 2, 1, 1, 255])),
        Err(Error::BadOption)
    );
    // An option cut off, in its value or before its length.
    assert_eq!(
        parse(&message(1, &[53, 1, 1, 12, 5, b'a'])),
        Err(Error::BadOption)
    );
    assert_eq!(parse(&message(1, &[53, 1, 1, 12])), Err(Error::BadOption));
    // END missing, padding in between, and bytes behind END.
    assert_eq!(parse(&message(1, &[53, 1, 1])), Ok(()));
    assert_eq!(
        parse(&message(1, &[0, 0, 53, 1, 1, 0, 255, 12, 99])),
        Ok(())
    );
}

#[test]
fn first_of_repeated_options_counts() {
    let bytes = message(
        1,
        &options(&[(53, &[3]), (50, &[10, 0, 0, 5]), (50, &[10, 0, 0, 6])]),
    );
    let request = Request::parse(&bytes).unwrap();
    assert_eq!(request.requested_ip, Some(Ipv4Addr::new(10, 0, 0, 5)));
    let packet = Packet::new_checked(&bytes[..]).unwrap();
    assert_eq!(packet.options().count(), 3);
}

#[test]
fn options_in_overloaded_fields_are_parsed() {
    // RFC 2132 §9.3: 1 is file, 2 is sname, 3 both; file comes first.
    for overload in 0..=3 {
        let mut bytes = message(1, &options(&[(52, &[overload]), (53, &[1])]));
        bytes[FILE..FILE + 6].copy_from_slice(&[12, 3, b'o', b'n', b'e', 255]);
        bytes[SNAME..SNAME + 6].copy_from_slice(&[12, 3, b't', b'w', b'o', 255]);
        let request = Request::parse(&bytes).unwrap();
        let expected: [Option<&[u8]>; 4] = [None, Some(b"one"), Some(b"two"), Some(b"one")];
        assert_eq!(request.host_name, expected[usize::from(overload)]);
    }
    // The type can be there, and an option 52 there is ignored.
    let mut bytes = message(1, &options(&[(52, &[1])]));
    bytes[FILE..FILE + 7].copy_from_slice(&[52, 1, 3, 53, 1, 1, 255]);
    bytes[SNAME..SNAME + 4].copy_from_slice(&[12, 1, b'x', 255]);
    let request = Request::parse(&bytes).unwrap();
    assert_eq!(request.host_name, None);
    // An option must not continue in the next field.
    bytes[FILE..FILE + 128].fill(0);
    bytes[FILE + 126..FILE + 128].copy_from_slice(&[12, 1]);
    assert_eq!(Request::parse(&bytes), Err(Error::BadOption));
}

#[test]
fn architecture_lists_are_parsed() {
    let list = ArchList(&[0, 16, 0, 7, 9]);
    assert_eq!(
        list.iter().collect::<Vec<_>>(),
        [Arch::X64_HTTP, Arch::X64_UEFI]
    );
    // Both numbers of x86-64 UEFI.
    assert_eq!(Arch(7).platform(), Platform::X64);
    assert_eq!(Arch(9).platform(), Platform::X64);
    let known = [
        (0, Platform::Bios),
        (6, Platform::Ia32),
        (10, Platform::Arm32),
    ];
    for (number, platform) in known.into_iter().chain([(11, Platform::Arm64)]) {
        assert_eq!(
            (Arch(number).platform(), Arch(number).is_http()),
            (platform, false)
        );
    }
    let http = [
        (15, Platform::Ia32),
        (16, Platform::X64),
        (18, Platform::Arm32),
    ];
    for (number, platform) in http
        .into_iter()
        .chain([(19, Platform::Arm64), (20, Platform::Bios)])
    {
        assert_eq!(
            (Arch(number).platform(), Arch(number).is_http()),
            (platform, true)
        );
    }
    assert_eq!(Arch(99).platform(), Platform::Other);
}

#[test]
fn class_identifiers_are_parsed() {
    let pxe = |arch, undi| ClientClass::Pxe { arch, undi };
    assert_eq!(ClientClass::parse(b"PXEClient"), pxe(None, None));
    assert_eq!(ClientClass::parse(b"PXEClient\0"), pxe(None, None));
    assert_eq!(
        ClientClass::parse(b"HTTPClient:Arch:00016:UNDI:003001"),
        ClientClass::Http {
            arch: Some(Arch::X64_HTTP)
        }
    );
    let other: [&[u8]; 5] = [b"", b":", b"MSFT 5.0", b"PXEClientX", b"pxeclient"];
    for class in other {
        assert_eq!(ClientClass::parse(class), ClientClass::Other);
    }
    // Malformed parts are omitted, the rest is parsed.
    assert_eq!(ClientClass::parse(b"PXEClient:Arch:x"), pxe(None, None));
    assert_eq!(ClientClass::parse(b"PXEClient:Arch:99999"), pxe(None, None));
    assert_eq!(
        ClientClass::parse(b"PXEClient:Arch:00011:UNDI:00"),
        pxe(Some(Arch(11)), None)
    );
    assert_eq!(
        ClientClass::parse(b"PXEClient:Arch:0:UNDI:00311111"),
        pxe(Some(Arch(0)), None)
    );
}
