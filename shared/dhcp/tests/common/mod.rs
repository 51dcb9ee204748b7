//! Messages built byte by byte from the figures of the RFCs, independent of the
//! crate.
#![allow(dead_code, reason = "each test binary uses a part of this")]

use std::net::Ipv4Addr;

/// Locally administered address of the client in all captures.
pub const MAC: [u8; 6] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
pub const XID: u32 = 0x1234_5678;
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const UUID: [u8; 16] = *b"\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff\x00";

/// Offsets in RFC 2131 figure 1.
pub const FLAGS: usize = 10;
pub const CIADDR: usize = 12;
pub const YIADDR: usize = 16;
pub const SIADDR: usize = 20;
pub const GIADDR: usize = 24;
pub const SNAME: usize = 44;
pub const FILE: usize = 108;
pub const OPTIONS: usize = 240;

/// Returns a message with these options, which include END.
pub fn message(op: u8, options: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; OPTIONS];
    bytes[..4].copy_from_slice(&[op, 1, 6, 0]);
    bytes[4..8].copy_from_slice(&XID.to_be_bytes());
    bytes[28..34].copy_from_slice(&MAC);
    bytes[236..].copy_from_slice(&[99, 130, 83, 99]);
    bytes.extend_from_slice(options);
    bytes
}

/// Encodes options from codes and values, with END.
pub fn options(list: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (code, value) in list {
        bytes.extend_from_slice(&[*code, value.len() as u8]);
        bytes.extend_from_slice(value);
    }
    bytes.push(255);
    bytes
}

/// A DISCOVER as Debian's OVMF sends it (PXEv4 on x86-64), after a capture in
/// QEMU, with another UUID.
pub fn ovmf_discover() -> Vec<u8> {
    let mut machine_id = vec![0];
    machine_id.extend_from_slice(&UUID);
    let list = [
        1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60,
        66, 67, 97, 128, 129, 130, 131, 132, 133, 134, 135,
    ];
    let mut bytes = message(
        1,
        &options(&[
            (53, &[1]),
            (57, &[0x05, 0xc0]),
            (55, &list),
            (97, &machine_id),
            (94, &[1, 3, 0]),
            (93, &[0, 7]),
            (60, b"PXEClient:Arch:00007:UNDI:003000"),
        ]),
    );
    bytes[FLAGS] = 0x80;
    bytes
}

/// A DISCOVER as the iPXE in Debian's virtio-net ROM sends it, after a capture
/// in QEMU; only the UUID is another one.
pub fn ipxe_discover() -> Vec<u8> {
    let features = [
        0xb1, 5, 1, 0x1a, 0xf4, 0x10, 0x00, // virtio-net on PCI
        0xeb, 3, 1, 0, 0, // version
        0x17, 1, 1, 0x22, 1, 1, 0x13, 1, 1, 0x11, 1, 1, 0x27, 1, 1, 0x19, 1, 1, //
        0x29, 1, 1, 0x10, 1, 1, 0x21, 1, 1, 0x15, 1, 1, 0x18, 1, 1, 0x12, 1, 1,
    ];
    let list = [
        1, 3, 6, 7, 12, 15, 17, 26, 43, 60, 66, 67, 119, 128, 129, 130, 131, 132, 133, 134, 135,
        175, 203,
    ];
    let client_id = [1, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
    let mut machine_id = vec![0];
    machine_id.extend_from_slice(&UUID);
    message(
        1,
        &options(&[
            (53, &[1]),
            (57, &[0x05, 0xc0]),
            (93, &[0, 0]),
            (94, &[1, 2, 1]),
            (60, b"PXEClient:Arch:00000:UNDI:002001"),
            (77, b"iPXE"),
            (55, &list),
            (175, &features),
            (61, &client_id),
            (97, &machine_id),
        ]),
    )
}

/// A DISCOVER of the kind that BIOS ROMs send: 548 bytes, padded after END.
pub fn bios_discover() -> Vec<u8> {
    let mut machine_id = vec![0];
    machine_id.extend_from_slice(&UUID);
    let mut bytes = message(
        1,
        &options(&[
            (53, &[1]),
            (
                55,
                &[
                    1, 2, 3, 5, 6, 11, 12, 13, 15, 16, 17, 18, 43, 54, 60, 67, 128, 129, 130,
                ],
            ),
            (57, &[0x04, 0xec]),
            (97, &machine_id),
            (93, &[0, 0]),
            (94, &[1, 2, 1]),
            (60, b"PXEClient:Arch:00000:UNDI:002001"),
        ]),
    );
    bytes.resize(548, 0);
    bytes
}
