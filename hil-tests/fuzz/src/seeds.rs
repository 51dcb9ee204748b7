//! Real messages: what the kept corpora begin with.

use farrier_core::Config;
use farrier_dhcp::wire::{ArchList, MessageType, Reply as DhcpReply, Request as DhcpRequest};
use farrier_ethernet::frame::{self, HEADER_LEN, Header as FrameHeader};
use farrier_protocol::message::{Reply, Report, Request, Statement};
use farrier_testkit::machine::{dhcp_message, disk, inspection, ipxe, mac_of};
use farrier_tftp::wire::{Mode, Options, Packet, Request as TftpRequest};
use std::net::Ipv4Addr;

use crate::{disk as disks, flash, sequences, wire};

type Seed = (&'static str, Vec<u8>);

fn offer() -> Vec<u8> {
    let request = DhcpRequest::new(MessageType::Discover, 7, mac_of(1).0);
    let server = Ipv4Addr::new(172, 22, 0, 1);
    let mut reply = DhcpReply::answering(&request, MessageType::Offer, server);
    reply.yiaddr = Ipv4Addr::new(172, 22, 0, 20);
    reply.mask = Some(Ipv4Addr::new(255, 255, 255, 0));
    reply.lease_secs = Some(600);
    reply.boot_file = Some(b"http://172.22.0.1/boot/x");
    let mut bytes = vec![0; 600];
    let length = reply.emit(&mut bytes).expect("it fits");
    bytes.truncate(length);
    bytes
}

fn discover() -> Vec<u8> {
    dhcp_message(MessageType::Discover, mac_of(1), |request| {
        request.class_id = Some(b"PXEClient:Arch:00007:UNDI:003016");
        request.arch_list = ArchList(&[0, 7]);
        request.machine_id = Some(&[0; 17]);
        request.parameter_list = Some(&[1, 3, 6, 43, 60, 66, 67]);
    })
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_LEN + payload.len()];
    bytes[HEADER_LEN..].copy_from_slice(payload);
    let header = FrameHeader {
        src_mac: mac_of(1).0,
        dst_mac: frame::BROADCAST,
        src: Ipv4Addr::UNSPECIFIED,
        dst: Ipv4Addr::BROADCAST,
        src_port: 68,
        dst_port: 67,
    };
    let length = frame::emit(&mut bytes, &header, payload.len()).expect("it fits");
    bytes.truncate(length);
    bytes
}

/// An update of a port and an interface, and a request to be answered.
const OVSDB_UPDATE: &str = concat!(
    r#"{"id":null,"method":"update","params":["farrier",{"Port":{"#,
    r#""fa440000-0000-4000-8000-000000000012":{"old":{"tag":10},"new":{"name":"xe-0/0/1","#,
    r#""tag":["set",[]],"trunks":["set",[20,30]],"vlan_mode":"trunk"}}},"Interface":{"#,
    r#""fa440000-0000-4000-8000-000000000013":{"new":{"name":"xe-0/0/1","ofport":1,"#,
    r#""mac_in_use":"02:00:00:00:00:01","status":["map",[["driver_name","tun"]]]}}}}]}"#,
    r#"{"id":"echo","method":"echo","params":[]}"#
);

/// A change is committed, applied and read back.
const OVSDB_COMMIT: &str = concat!(
    r#"{"id":4,"error":null,"result":[{},{"count":1},{"count":1},{"rows":[{"next_cfg":2}]}]}"#,
    r#"{"id":null,"method":"update","params":["farrier",{"Open_vSwitch":{"#,
    r#""fa440000-0000-4000-8000-000000000001":{"new":{"cur_cfg":2,"next_cfg":2}}}}]}"#,
    r#"{"id":5,"error":null,"result":[{"rows":[{"tag":1}]}]}"#
);

/// A session in this state, whose bytes come nine at a time.
fn ovsdb(state: u8, text: &str) -> Vec<u8> {
    [&[state, 9], text.as_bytes()].concat()
}

fn tftp() -> Vec<u8> {
    let request = TftpRequest {
        name: "undionly.kpxe",
        mode: Mode::Octet,
        options: Options {
            blksize: Some(1468),
            tsize: Some(0),
            windowsize: Some(4),
            ..Options::default()
        },
    };
    let mut bytes = [0; 256];
    let length = Packet::Rrq(request).emit(&mut bytes).expect("it fits");
    bytes[..length].to_vec()
}

fn statement() -> Vec<u8> {
    let statement = Statement {
        node: farrier_protocol::message::NodeId([0x11; 16]),
        boot: farrier_protocol::message::BootId(300),
        counter: 3,
        order: 2,
        report: Report::Inspection(inspection(&[disk("DISK0", 1 << 30)])),
    };
    postcard::to_stdvec(&statement).expect("it is short")
}

const HEAD: &[u8] = b"GET /v1/nodes?fields=uuid,name HTTP/1.1\r\nHost: 172.22.0.1\r\n\
    Range: bytes=0-99\r\nX-OpenStack-Ironic-API-Version: 1.81\r\n\r\n";
const API: &[u8] = b"POST /v1/nodes HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
    Content-Length: 36\r\n\r\n{\"name\":\"rack-1\",\"driver\":\"farrier\"}\0\
    GET /v1/nodes/detail HTTP/1.1\r\nHost: a\r\n\r\n\0\
    PATCH /v1/nodes/rack-1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
    Content-Length: 53\r\n\r\n[{\"op\":\"add\",\"path\":\"/extra/a\",\"value\":\"rack-one\"}]  \0\
    PUT /v1/nodes/rack-1/states/provision HTTP/1.1\r\nHost: a\r\n\
    Content-Type: application/json\r\nContent-Length: 19\r\n\r\n{\"target\":\"manage\"}";
const LINE: &[u8] =
    b"farrier.appliance=172.22.0.1:8470 farrier.ticket=000102030405060708090a0b0c0d\
    0e0f101112131415161718191a1b1c1d1e1f farrier.mac=52:54:00:00:00:01 nvme.max_retries=3";

/// A GPT with one partition, for a disk of 40 MiB.
fn gpt() -> Vec<u8> {
    let mut disk = vec![0; 2 * 512 + 128 * 4];
    disk[446 + 4] = 0xee;
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let header = &mut disk[512..];
    header[..8].copy_from_slice(b"EFI PART");
    header[8..16].copy_from_slice(&[0, 0, 1, 0, 92, 0, 0, 0]);
    for (at, value) in [(24, 1_u64), (32, 9000), (40, 34), (48, 8000), (72, 2)] {
        header[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    for (at, value) in [(80, 4_u32), (84, 128)] {
        header[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    let entry = &mut disk[1024..];
    entry[..16].fill(7);
    for (at, value) in [(32, 2048_u64), (40, 4095)] {
        entry[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    disks::repair(&mut disk, 512);
    [&[0, 40], &disk[..]].concat()
}

fn store() -> Vec<u8> {
    use farrier_asset_store::{AssetKind, Entry, lay_out};
    let asset = |name: &str| Entry::new(name, AssetKind::Public, 0, 1000, [1; 32]);
    let mut entries = [asset("undionly.kpxe"), asset("kernel")].map(|e| e.expect("a name"));
    let store = lay_out(&mut entries, 4).expect("a store");
    let entries = entries.map(|entry| entry.emit());
    [&store.emit()[..], &entries.concat()].concat()
}

fn manifest() -> Vec<u8> {
    let header = farrier_image::Header {
        name: "debian12".try_into().expect("a name"),
        version: 3,
        raw_size: 1 << 30,
        chunk_shift: 20,
        chunks: 1024,
        data_len: 1 << 28,
        compression: farrier_image::Compression::Zstd,
        tree_root: [5; 32],
    };
    header.emit().expect("it is sound").to_vec()
}

/// The answer of a Junos switch about a port.
const PORT: &[u8] = b"<!-- user farrier --><rpc-reply \
    xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\" message-id='2'><data><configuration \
    xmlns=\"http://xml.juniper.net/xnm/1.1/xnm\"><interfaces><interface>\n<name>ge-0/0/7</name>\
    <description>node &#x37; &amp; <![CDATA[<left>]]></description><unit><name>0</name><family>\
    <ethernet-switching><vlan><members>blue</members></vlan></ethernet-switching></family></unit>\
    </interface></interfaces></configuration></data><ok/></rpc-reply>";

/// A change of a port that goes well: dialect, task, then sent bytes and answers
/// in turn, with the confirmation behind the third reading.
const FLIP: [u8; 20] = [
    0, 255, 4, 255, 0, 255, 4, 255, 0, 255, 0, 255, 5, 0, 255, 0, 255, 5, 255, 0,
];

fn smbios() -> Vec<u8> {
    let mut bytes = vec![0; 32];
    bytes[..9].copy_from_slice(b"_SM3_\0\0\x03\x02");
    bytes.extend([0, 9, 0, 1, 1, 2, 0, 0, 0]);
    bytes.extend(b"SeaBIOS\x001.16\x00\x00");
    bytes.extend([1, 25, 0, 1, 1, 2, 0, 3]);
    bytes.extend(1..=16_u8);
    bytes.push(6);
    bytes.extend(b"QEMU\x00Standard PC\x00SER-1\x00\x00");
    bytes.extend([127, 4, 0, 1, 0, 0]);
    bytes
}

fn listed(records: &[Vec<u8>]) -> Vec<u8> {
    let one = |record: &Vec<u8>| [&[record.len() as u8], &record[..]].concat();
    records.iter().flat_map(one).collect()
}

/// The real messages of a body, with names for their files. Empty where there
/// is no such body.
#[must_use]
pub fn of(body: &str) -> Vec<Seed> {
    let ends = wire::ends();
    match body {
        "frame" => vec![("discover", framed(&discover()))],
        "dhcp-request" => vec![
            ("uefi", discover()),
            ("ipxe", dhcp_message(MessageType::Request, mac_of(1), ipxe)),
        ],
        "dhcp-reply" => vec![("offer", offer())],
        "tftp-packet" => vec![
            ("request", tftp()),
            ("data", b"\0\x03\0\x01data".to_vec()),
            ("error", b"\0\x05\0\x01no\0".to_vec()),
        ],
        "tftp-transfer" => vec![("honest", [&[8, 0, 9], &[4; 40][..]].concat())],
        "tftp-download" => vec![("honest", b"\x07\0\x06tsize\0\x08\0\x03\0\x01data".to_vec())],
        "netconf-document" => vec![("port", PORT.to_vec())],
        "netconf-frames" => vec![
            ("chunks", b"\n#3\n<a>\n#4\n</a>\n##\n".to_vec()),
            ("marks", b"<a>]]]></a>]]>]]><b/>]]>]]>".to_vec()),
        ],
        "netconf-client" => vec![("flip", FLIP.to_vec())],
        "http-head" => vec![("get", HEAD.to_vec())],
        "http-body" => vec![(
            "chunked",
            b"\x09\x005\r\nhello\r\n3;x=y\r\nabc\r\n0\r\n\r\nGET".to_vec(),
        )],
        "ovsdb-session" => vec![
            ("update", ovsdb(3, OVSDB_UPDATE)),
            ("commit", ovsdb(4, OVSDB_COMMIT)),
        ],
        "datagram" => vec![
            ("init", ends.init().to_vec()),
            ("response", ends.response.clone()),
            ("request", ends.request(&Request::Ask)),
            ("reply", ends.reply(&Reply::Ack)),
            ("unknown", vec![6, 4, 3, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0]),
        ],
        "message" => vec![("inspection", statement())],
        "command-line" => vec![
            ("boot", LINE.to_vec()),
            (
                "modules",
                b"alias pci:v00008086d*sv* e1000e\n\0\
                kernel/e1000e.ko: kernel/ptp.ko\nkernel/ptp.ko:\n\0softdep e1000e pre: ptp\n"
                    .to_vec(),
            ),
        ],
        "json" => vec![(
            "document",
            br#"{"a":[1,-2.5e3,"\u00e4\ud83d\ude00 b"],"c":{"d":null,"e":true}}"#.to_vec(),
        )],
        "api" => vec![("node", API.to_vec())],
        "manifest" => vec![("head", manifest())],
        "image-transfer" => vec![("honest", vec![0; 3]), ("once", vec![1, 9, 1, 0, 0, 0])],
        "asset-store" => vec![("store", store())],
        "partitions" => vec![("gpt", gpt())],
        "config-drive" => vec![
            (
                "documents",
                br##"{"meta_data":{"name":"a"},"user_data":"#!/bin/sh","network_data":{}}"##
                    .to_vec(),
            ),
            (
                "image",
                b"\"H4sIAAAAAAAC/8tIzcnJVyjPL8pJAQCFEUoNCwAAAA==\"".to_vec(),
            ),
        ],
        "smbios" => vec![("tables", smbios())],
        "journal" => vec![("whole", vec![0]), ("damaged", vec![2, 40, 0, 1, 1])],
        "records" => vec![("rack", listed(&flash::real_records()))],
        "config" => vec![(
            "default",
            postcard::to_stdvec(&Config::default()).expect("it is short"),
        )],
        "sequences" => sequences::seeds(),
        _ => Vec::new(),
    }
}
