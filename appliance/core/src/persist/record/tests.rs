use super::*;
use crate::node::HardwareFeatures;

fn hex(bytes: &[u8]) -> std::string::String {
    bytes
        .iter()
        .map(|byte| std::format!("{byte:02x}"))
        .collect()
}

/// Secrets of a record.
const SEALED: Sealed = Sealed {
    epoch: 3,
    nonce: [7; 12],
    tag: [8; 16],
    body: [[1; 32], [2; 32]],
};

/// Their bytes.
macro_rules! sealed_hex {
    () => {
        concat!(
            "03070707070707070707070707",
            "08080808080808080808080808080808",
            "0101010101010101010101010101010101010101010101010101010101010101",
            "0202020202020202020202020202020202020202020202020202020202020202"
        )
    };
}

/// Every kind of record, in its order. From the first release on: if this
/// fails, do not change the test.
#[test]
fn golden_bytes() {
    let node = NodeId([1; 16]);
    let boot = BootId(300);
    let mac = Mac([2; 6]);
    let address = Ipv4Addr::new(10, 0, 0, 1);
    let need = Requirements {
        memory_mib: 1024,
        local_gib: 10,
        traits: 5,
        cpus: 4,
        link: 100,
        class: 2,
        parts: HardwareFeatures::NVME,
    };
    let network = Network {
        place: 2,
        prefix: 24,
        vlan: 100,
        pool_len: 50,
        pool_first: address,
        ..Network::EMPTY
    };
    let verifier = Verifier {
        salt: [1; 16],
        rounds: 300,
        hash: [2; 32],
    };
    let golden: [(Record<'_>, &str); 53] = [
        (
            Record::Name { node, name: "n" },
            "0001010101010101010101010101010101016e",
        ),
        (
            Record::State {
                node,
                state: 3,
                reason: 4,
            },
            "01010101010101010101010101010101010304",
        ),
        (
            Record::Instance { node, image: "i" },
            "02010101010101010101010101010101010169",
        ),
        (
            Record::Flags { node, flags: 0x201 },
            "03010101010101010101010101010101018104",
        ),
        (
            Record::Text {
                node,
                kind: 4,
                text: "t",
            },
            "0401010101010101010101010101010101040174",
        ),
        (
            Record::DriverInfo {
                node,
                key: "k",
                value: "v",
            },
            "0501010101010101010101010101010101016b0176",
        ),
        (
            Record::Steps {
                node,
                steps: 0x1234,
            },
            "0601010101010101010101010101010101b424",
        ),
        (
            Record::Trait {
                place: 7,
                name: "w",
            },
            "07070177",
        ),
        (
            Record::Traits {
                node,
                traits: 0x8001,
                class: 2,
            },
            "080101010101010101010101010101010181800202",
        ),
        (
            Record::Flavor {
                place: 1,
                name: "f",
                need,
            },
            "0901016680080a0504640204",
        ),
        (Record::FlavorDeleted { place: 1 }, "0a01"),
        (
            Record::Identity {
                node,
                uuid: [8; 16],
                serial: 0xdead_beef,
            },
            "0b0101010101010101010101010101010108080808080808080808080808080808effdb6f50d",
        ),
        (
            Record::Ports {
                node,
                macs: &[2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3],
            },
            "0c010101010101010101010101010101010c020202020202030303030303",
        ),
        (
            Record::Deleted { node },
            "0d01010101010101010101010101010101",
        ),
        (
            Record::Network {
                network,
                name: "net",
            },
            "0e0201186401320a0000010000000000000000000000000000000000000000000000000000000000000000000000036e6574",
        ),
        (Record::NetworkDeleted { place: 2 }, "0f02"),
        (
            Record::Place { place: 300, node },
            "10ac0201010101010101010101010101010101",
        ),
        (
            Record::Error { node, text: "e" },
            "11010101010101010101010101010101010165",
        ),
        (
            Record::Boot {
                node,
                boot,
                ticket: Some(([4; 8], Mac([4; 6]), [4; 4], 4)),
            },
            "1201010101010101010101010101010101ac020104040404040404040404040404040404040404",
        ),
        (
            Record::Agent {
                node,
                boot,
                boot_key: [5; 32],
                digest: [6; 16],
                mode: 1,
            },
            "1301010101010101010101010101010101ac0205050505050505050505050505050505050505050505050505050505050505050606060606060606060606060606060601",
        ),
        (
            Record::Session {
                node,
                boot,
                session: 77,
                keys: SEALED,
            },
            concat!("1401010101010101010101010101010101ac024d", sealed_hex!()),
        ),
        (
            Record::Work {
                node,
                boot,
                order: Some((5, 2)),
                last_order: 5,
                last_statement: 6,
                heard: 300,
                erased: 3,
                attempts: 1,
                flags: 9,
            },
            "1501010101010101010101010101010101ac020105020506ac02030109",
        ),
        (
            Record::Hardware {
                node,
                cpus: 64,
                memory_mib: 262_144,
                local_gib: 960,
                architecture: 1,
                link: 250,
                parts: 5,
                statement_len: 700,
                unproven: 3,
            },
            "160101010101010101010101010101010140808010c00701fa0105bc0503",
        ),
        (
            Record::Disk {
                node,
                place: 1,
                serial: "s",
                size: 1 << 40,
            },
            "1701010101010101010101010101010101010173808080808020",
        ),
        (
            Record::InstanceName {
                node,
                name: "n",
                uuid: Some(NodeId([9; 16])),
            },
            "1801010101010101010101010101010101016e0109090909090909090909090909090909",
        ),
        (
            Record::ConfigDrive {
                node,
                drive: Some((400, SEALED, 1, 1)),
            },
            concat!(
                "1901010101010101010101010101010101019003",
                sealed_hex!(),
                "0101"
            ),
        ),
        (
            Record::Written {
                node,
                written: Some((1 << 32, 1 << 20, 2, 9000)),
            },
            "1a0101010101010101010101010101010101808080801080804002a846",
        ),
        (
            Record::RequestedTraits { node, wanted: 5 },
            "1b0101010101010101010101010101010105",
        ),
        (
            Record::Lease {
                mac,
                key: [1, 2, 3, 4, 5, 6, 7, 8],
                address,
                seconds: 600,
            },
            "1c02020202020201020304050607080a000001d804",
        ),
        (
            Record::LeaseEnded {
                address,
                declined: true,
            },
            "1d0a00000101",
        ),
        (
            Record::Reservation {
                slot: 9,
                network: 2,
                mac,
                address,
                named: true,
                quarantined: false,
            },
            "1e09020202020202020a0000010100",
        ),
        (
            Record::Power {
                node,
                request: Some(3),
            },
            "1f010101010101010101010101010101010103",
        ),
        (
            Record::History {
                node,
                sequence: 9,
                run: 2,
                seconds: 300,
                actor: 1,
                account: "a",
                what: 4,
                states: (3, 5),
                reason: 2,
            },
            "20010101010101010101010101010101010902ac0201016104030502",
        ),
        (
            Record::Account {
                place: 1,
                name: "a",
                role: 3,
                verifier,
            },
            concat!(
                "210101610301010101010101010101010101010101ac02",
                "0202020202020202020202020202020202020202020202020202020202020202"
            ),
        ),
        (Record::AccountDeleted { place: 1 }, "2201"),
        (Record::Keys { keys: SEALED }, concat!("23", sealed_hex!())),
        (
            Record::ImageFloor {
                name: "i",
                version: 300,
            },
            "240169ac02",
        ),
        (
            Record::KeyRevoked { key: [1; 32] },
            "250101010101010101010101010101010101010101010101010101010101010101",
        ),
        (
            Record::StoreAccount { salt: [1; 16] },
            "2601010101010101010101010101010101",
        ),
        (
            Record::Erasure { node, boot },
            "2701010101010101010101010101010101ac02",
        ),
        (
            Record::Waiver {
                node,
                device: "d",
                kept: "7",
            },
            "280101010101010101010101010101010101640137",
        ),
        (
            Record::SealingKey {
                epoch: 300,
                check: [1; 8],
                old: true,
            },
            "29ac02010101010101010101",
        ),
        (
            Record::Switch {
                place: 1,
                name: "tor",
                kind: 1,
                address,
                port: 6640,
            },
            "2a0103746f72010a000001f033",
        ),
        (
            Record::SwitchPort {
                slot: 300,
                mac,
                switch: 1,
                name: "xe-0/0/1",
                vif: 2,
                at: 10,
                to: 300,
                token: 7,
                sources: 5,
                heard: [300, 2],
                group: 3,
            },
            "2bac02020202020202010878652d302f302f31020aac020705ac020203",
        ),
        (
            Record::SwitchLogin {
                place: 1,
                user: "u",
                password: SEALED,
            },
            "2c010175030707070707070707070707070808080808080808080808080808080801010101010101010101010101010101010101010101010101010101010101010202020202020202020202020202020202020202020202020202020202020202",
        ),
        (
            Record::SwitchHostKey {
                place: 1,
                pinned: Some([7; 32]),
            },
            "2d01010707070707070707070707070707070707070707070707070707070707070707",
        ),
        (Record::BootDhcp { server: address }, "2e0a000001"),
        (
            Record::Relay {
                place: 3,
                relay: Relay {
                    giaddr: address,
                    prefix: 24,
                    router: address,
                    pool_first: address,
                    pool_len: 300,
                },
            },
            "2f030a000001180a0000010a000001ac02",
        ),
        (
            Record::PortGroup {
                place: 3,
                address: mac,
                mode: 1,
                name: "bond0",
            },
            "30030202020202020105626f6e6430",
        ),
        (
            Record::SwitchOptions {
                place: 1,
                makes_vlans: true,
                trunk: "xe",
            },
            "310101027865",
        ),
        (
            Record::Interface {
                node,
                mac,
                pxe: true,
                physical_network: "rack",
            },
            "320101010101010101010101010101010102020202020201047261636b",
        ),
        (
            Record::Driver { node, driver: 2 },
            "330101010101010101010101010101010102",
        ),
        (
            Record::BmcSecret {
                node,
                setting: 3,
                former: true,
                secret: Some(SEALED),
            },
            concat!("3401010101010101010101010101010101030101", sealed_hex!()),
        ),
    ];
    for (place, (record, expected)) in golden.into_iter().enumerate() {
        let mut buf = [0; MAX_RECORD];
        let encoded = postcard::to_slice(&record, &mut buf).unwrap();
        assert_eq!(hex(encoded), expected, "{record:?}");
        assert_eq!(usize::from(encoded[0]), place, "{record:?}");
        assert_eq!(postcard::from_bytes::<Record<'_>>(encoded).unwrap(), record);
    }
}

#[test]
fn the_longest_record_fits() {
    let mut buf = [0; MAX_RECORD];
    let long = core::str::from_utf8(&[b'x'; crate::node::NAME_LEN]).unwrap();
    let node = NodeId([0xff; 16]);
    let boot = BootId(u64::MAX);
    let all = [
        Record::Name { node, name: long },
        Record::State {
            node,
            state: 0xff,
            reason: 0xff,
        },
        Record::History {
            node,
            sequence: u32::MAX,
            run: u32::MAX,
            seconds: u32::MAX,
            actor: 1,
            account: &long[..crate::interface::ACCOUNT_LEN],
            what: 0xff,
            states: (0xff, 0xff),
            reason: 0xff,
        },
        Record::Account {
            place: 0xff,
            name: &long[..crate::interface::ACCOUNT_LEN],
            role: 3,
            verifier: Verifier {
                salt: [0xff; 16],
                rounds: u32::MAX,
                hash: [0xff; 32],
            },
        },
        Record::Instance {
            node,
            image: core::str::from_utf8(&[b'x'; 64]).unwrap(),
        },
        Record::Network {
            network: Network {
                place: 0xff,
                uses: crate::interface::Uses::all(),
                prefix: 0xff,
                vlan: u16::MAX,
                vlans: u16::MAX,
                pool_len: u16::MAX,
                mtu: u16::MAX,
                ..Network::EMPTY
            },
            name: long,
        },
        Record::SwitchPort {
            slot: u16::MAX,
            mac: Mac([0xff; 6]),
            switch: 0xff,
            name: &long[..crate::interface::PORT_NAME_LEN],
            vif: 0xff,
            at: u16::MAX,
            to: u16::MAX,
            token: u64::MAX,
            sources: u8::MAX,
            heard: [u32::MAX; 2],
            group: 0xff,
        },
        Record::SwitchLogin {
            place: 0xff,
            user: &long[..crate::interface::SWITCH_USER_LEN],
            password: SEALED,
        },
        Record::Interface {
            node,
            mac: Mac([0xff; 6]),
            pxe: true,
            physical_network: &long[..crate::strings::PHYSICAL_NETWORK_LEN],
        },
        Record::DriverInfo {
            node,
            key: &long[..crate::node::DRIVER_KEY_LEN],
            value: core::str::from_utf8(&[b'x'; crate::interface::SETTING_LEN]).unwrap(),
        },
        Record::BmcSecret {
            node,
            setting: 0xff,
            former: true,
            secret: Some(SEALED),
        },
        Record::Waiver {
            node,
            device: &long[..40],
            kept: "4294967295 11 18446744073709551615",
        },
    ];
    let session = [
        Record::Session {
            node,
            boot,
            session: u32::MAX,
            keys: SEALED,
        },
        Record::Agent {
            node,
            boot,
            boot_key: [0xff; 32],
            digest: [0xff; 16],
            mode: 1,
        },
        Record::Error {
            node,
            text: core::str::from_utf8(&[b'x'; ERROR_KEPT]).unwrap(),
        },
    ];
    for record in all.into_iter().chain(session) {
        assert!(postcard::to_slice(&record, &mut buf).is_ok(), "{record:?}");
    }
}
