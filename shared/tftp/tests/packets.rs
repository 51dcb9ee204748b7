//! Tests packets byte by byte with the figures of the RFCs, and file names.

use farrier_tftp::name::{components, normalise, same_file};
use farrier_tftp::wire::{
    Error, ErrorCode, ErrorReply, Mode, Options, Packet, Request, emit_data_header,
};
use proptest::collection::vec;
use proptest::prelude::*;

fn parse(bytes: &[u8]) -> Result<Packet<'_>, Error> {
    Packet::parse(bytes)
}

fn options(bytes: &[u8]) -> Options {
    let packet = [b"\0\x01f\0octet\0", bytes].concat();
    match parse(&packet) {
        Ok(Packet::Rrq(request)) => request.options,
        other => panic!("{other:?}"),
    }
}

fn emit(packet: &Packet<'_>) -> Vec<u8> {
    let mut buf = [0xa5; 1024];
    let len = packet.emit(&mut buf).unwrap();
    buf[..len].to_vec()
}

const NO_OPTIONS: Options = Options {
    blksize: None,
    tsize: None,
    timeout: None,
    windowsize: None,
};

#[test]
fn every_packet_has_the_golden_bytes() {
    let request = Request {
        name: "undionly.kpxe",
        mode: Mode::Octet,
        options: NO_OPTIONS,
    };
    let asking = Request {
        options: Options {
            blksize: Some(1468),
            tsize: Some(0),
            timeout: Some(3),
            windowsize: Some(4),
        },
        ..request
    };
    let granted = Options {
        blksize: Some(1408),
        tsize: Some(u64::MAX),
        ..NO_OPTIONS
    };
    let cases: [(Packet<'_>, &[u8]); 9] = [
        (Packet::Rrq(request), b"\0\x01undionly.kpxe\0octet\0"),
        (Packet::Wrq(request), b"\0\x02undionly.kpxe\0octet\0"),
        (
            Packet::Rrq(asking),
            b"\0\x01undionly.kpxe\0octet\0blksize\x001468\0tsize\x000\0timeout\x003\0windowsize\x004\0",
        ),
        (Packet::Data { block: 0x1234, payload: b"abc" }, b"\0\x03\x12\x34abc"),
        (Packet::Data { block: 1, payload: b"" }, b"\0\x03\0\x01"),
        (Packet::Ack { block: 65535 }, b"\0\x04\xff\xff"),
        (Packet::Error { code: ErrorCode(8), message: b"no" }, b"\0\x05\0\x08no\0"),
        (Packet::Oack(granted), b"\0\x06blksize\x001408\0tsize\x0018446744073709551615\0"),
        (Packet::Oack(NO_OPTIONS), b"\0\x06"),
    ];
    for (packet, bytes) in cases {
        assert_eq!(emit(&packet), bytes, "{packet:?}");
        assert_eq!(parse(bytes), Ok(packet));
        for len in 0..bytes.len() {
            assert_eq!(packet.emit(&mut vec![0; len]), Err(Error::NoRoom));
        }
    }
    let mut head = [0; 4];
    assert_eq!(emit_data_header(&mut head, 0x1234), Ok(()));
    assert_eq!(head, [0, 3, 0x12, 0x34]);
    assert_eq!(emit_data_header(&mut head[..3], 1), Err(Error::NoRoom));
    let mut buf = [0; 64];
    let len = ErrorReply::UNKNOWN_TID.emit(&mut buf).unwrap();
    assert_eq!(&buf[..len], b"\0\x05\0\x05unknown transfer id\0");
}

#[test]
fn modes_and_options_are_case_insensitive() {
    let bytes = b"\0\x01f\0OcTeT\0BLKSIZE\x00512\0TSize\x000\0TimeOut\x001\0WINDOWsize\x002\0";
    let Ok(Packet::Rrq(request)) = parse(bytes) else {
        panic!()
    };
    assert_eq!(request.mode, Mode::Octet);
    let all = Options {
        blksize: Some(512),
        tsize: Some(0),
        timeout: Some(1),
        windowsize: Some(2),
    };
    assert_eq!(request.options, all);
    for (name, mode) in [("NetASCII", Mode::Netascii), ("MAIL", Mode::Mail)] {
        let bytes = [b"\0\x02f\0", name.as_bytes(), b"\0"].concat();
        let Ok(Packet::Wrq(request)) = parse(&bytes) else {
            panic!()
        };
        assert_eq!(request.mode, mode);
    }
}

#[test]
fn invalid_options_are_ignored() {
    // Unknown options, such as those of Intel and Windows, around a known one.
    let windows = options(b"msftwindow\x0031416\0blksize\x00512\0multicast\0\0");
    assert_eq!(
        windows,
        Options {
            blksize: Some(512),
            ..NO_OPTIONS
        }
    );
    // Out of range, signed, not a number, empty.
    let nothing: [&[u8]; 9] = [
        b"blksize\x007\0",
        b"blksize\0-8\0",
        b"blksize\0+8\0",
        b"blksize\0\0",
        b"tsize\x0018446744073709551616\0",
        b"timeout\x000\0",
        b"timeout\x00256\0",
        b"windowsize\x000\0",
        b"windowsize\x0065536\0",
    ];
    for bytes in nothing {
        assert_eq!(options(bytes), NO_OPTIONS, "{bytes:?}");
    }
    // A block size above the limit becomes the largest.
    assert_eq!(options(b"blksize\x0065465\0").blksize, Some(65464));
    assert_eq!(options(b"blksize\x0099999999\0").blksize, Some(65464));
    assert_eq!(options(b"blksize\x008\0").blksize, Some(8));
    // The first of two counts.
    assert_eq!(
        options(b"blksize\x00600\0blksize\x00700\0").blksize,
        Some(600)
    );
    // A name without a value; a last value without its NUL.
    assert_eq!(options(b"tsize\0"), NO_OPTIONS);
    assert_eq!(options(b"tsize"), NO_OPTIONS);
    assert_eq!(options(b"tsize\x0012").tsize, Some(12));
}

#[test]
fn malformed_packets_fail() {
    assert_eq!(parse(b""), Err(Error::Truncated));
    assert_eq!(parse(b"\0"), Err(Error::Truncated));
    for opcode in [0, 7, 255] {
        assert_eq!(parse(&[0, opcode, 0, 0]), Err(Error::BadOpcode));
    }
    assert_eq!(parse(&[1, 1, b'f', 0]), Err(Error::BadOpcode));
    for opcode in 3..=5 {
        assert_eq!(parse(&[0, opcode]), Err(Error::Truncated));
        assert_eq!(parse(&[0, opcode, 0]), Err(Error::Truncated));
    }
    assert_eq!(parse(b"\0\x01"), Err(Error::BadName));
    assert_eq!(parse(b"\0\x01name"), Err(Error::BadName));
    assert_eq!(parse(b"\0\x01\0octet\0"), Err(Error::BadName));
    assert_eq!(parse(b"\0\x01\xff\xfe\0octet\0"), Err(Error::BadName));
    assert_eq!(parse(b"\0\x01name\0"), Err(Error::BadMode));
    assert_eq!(parse(b"\0\x01name\0\0"), Err(Error::BadMode));
    assert_eq!(parse(b"\0\x01name\0octets\0"), Err(Error::BadMode));
    let mut buf = [0; 64];
    for name in ["", "a\0b"] {
        let request = Request {
            name,
            mode: Mode::Octet,
            options: NO_OPTIONS,
        };
        assert_eq!(Packet::Rrq(request).emit(&mut buf), Err(Error::BadName));
    }
}

#[test]
fn packets_without_final_nul_or_with_padding_are_parsed() {
    // A mode and an error text without NUL, an error without text, an ACK with
    // Ethernet padding that was taken for payload.
    assert!(matches!(parse(b"\0\x01f\0octet"), Ok(Packet::Rrq(_))));
    let error = |message| {
        Ok(Packet::Error {
            code: ErrorCode(0),
            message,
        })
    };
    assert_eq!(parse(b"\0\x05\0\0TFTP Aborted"), error(b"TFTP Aborted"));
    assert_eq!(parse(b"\0\x05\0\0"), error(b""));
    assert_eq!(parse(b"\0\x05\0\0\0junk"), error(b""));
    assert_eq!(parse(b"\0\x04\0\x07\0\0\0\0"), Ok(Packet::Ack { block: 7 }));
}

#[test]
fn names_are_normalised() {
    let mut buf = [0; 32];
    let same = [
        "boot/x64/snponly.efi",
        "/boot/x64/snponly.efi",
        "\\boot\\x64\\snponly.efi",
        "\\\\boot//x64\\/snponly.efi",
        "./boot/./x64/snponly.efi",
        "boot/x64/snponly.efi/",
    ];
    for name in same {
        assert_eq!(normalise(name, &mut buf), Some(same[0]), "{name}");
        assert!(same_file(name, same[0]));
        assert!(components(name).eq(["boot", "x64", "snponly.efi"]));
    }
    for refused in [
        "", "/", "\\", ".", "//./", "..", "/../etc", "a\\..\\b", "a\nb", "a\x7fb",
    ] {
        assert_eq!(normalise(refused, &mut buf), None, "{refused:?}");
    }
    // Dots inside a component.
    assert_eq!(normalise("...", &mut buf), Some("..."));
    assert_eq!(normalise("\\a..b", &mut buf), Some("a..b"));
    assert_eq!(normalise("ünï\\ƒ", &mut buf), Some("ünï/ƒ"));
    assert!(!same_file("A", "a"));
    // A name in normal form needs no buffer.
    assert_eq!(normalise("/a/b", &mut []), Some("a/b"));
    assert_eq!(normalise("\\a\\b", &mut [0; 2]), None);
    assert_eq!(normalise("\\a\\b", &mut [0; 3]), Some("a/b"));
}

fn any_options() -> impl Strategy<Value = Options> {
    (
        prop::option::of(8..=65464_u16),
        any::<Option<u64>>(),
        prop::option::of(1..=255_u8),
        prop::option::of(1..=65535_u16),
    )
        .prop_map(|(blksize, tsize, timeout, windowsize)| Options {
            blksize,
            tsize,
            timeout,
            windowsize,
        })
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        name in "[^\\x00]{1,60}",
        mode in prop::sample::select(vec![Mode::Octet, Mode::Netascii, Mode::Mail]),
        options in any_options(),
        block in any::<u16>(),
        payload in vec(any::<u8>(), 0..600),
        message in vec(1..=255_u8, 0..60),
    ) {
        let request = Request { name: &name, mode, options };
        for packet in [
            Packet::Rrq(request),
            Packet::Wrq(request),
            Packet::Data { block, payload: &payload },
            Packet::Ack { block },
            Packet::Error { code: ErrorCode(block), message: &message },
            Packet::Oack(options),
        ] {
            let bytes = emit(&packet);
            prop_assert_eq!(Packet::parse(&bytes), Ok(packet));
        }
    }
}
