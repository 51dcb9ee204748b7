use super::*;
use crate::interface::PowerAction;
use core::net::Ipv4Addr;
use farrier_protocol::message::Mac;
use std::boxed::Box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::vec;
use std::vec::Vec;

fn to() -> Endpoint {
    Endpoint {
        network: super::super::NetworkId::PROVISIONING,
        mac: Mac([1; 6]),
        ip: Ipv4Addr::new(10, 0, 0, 1),
        port: 9,
    }
}

#[test]
fn what_is_put_in_comes_out_in_its_order_behind_the_records() {
    let mut out = Box::new(Effects::new());
    assert!(out.is_empty());
    let node = NodeId([3; 16]);
    let kept = StatementRef { place: 1, len: 70 };
    out.text_with(|room| {
        room[..2].copy_from_slice(b"hi");
        Some(2)
    });
    out.record(b"one");
    out.serve(Serve::Asset("vmlinuz"));
    out.agent_with(to(), |room| {
        room[..3].copy_from_slice(&[7, 8, 9]);
        Some(3)
    });
    out.record(b"two");
    out.record(b"one");
    out.store_statement(5, SlotPart::Inspection, kept);
    out.serve(Serve::Slot {
        slot: 5,
        part: SlotPart::ConfigDrive(farrier_asset_store::DrivePlace::Second),
        len: 80,
    });
    out.serve(Serve::Text(b"text"));
    out.serve(Serve::NotFound);
    out.serve(Serve::Busy);
    let id = OperationId(4);
    let operation = PowerOperation::Do(PowerAction::Reboot);
    let deadline = Instant::from_millis(9);
    out.power(Operation {
        id,
        node,
        operation,
        deadline,
    });
    let switch = SwitchAddress {
        kind: crate::interface::SwitchKind::Netconf,
        address: Ipv4Addr::new(10, 0, 9, 1),
        port: 830,
    };
    let moved = SwitchAction::Move { from: 10, to: 20 };
    out.switch(
        SwitchOperation {
            id,
            switch,
            action: moved,
            token: 0x5eed,
            make_vlan: true,
            remove_vlan: false,
            at_once: true,
            mac: None,
            deadline,
        },
        "ge-0/0/7",
        "ge-0/0/47",
    );
    out.answer(Ok(()));
    let expected = vec![
        Effect::Record(b"one"),
        Effect::Record(b"two"),
        Effect::Serve(Serve::Text(b"hi")),
        Effect::Serve(Serve::Asset("vmlinuz")),
        Effect::Agent {
            to: to(),
            datagram: &[7, 8, 9],
        },
        Effect::StoreStatement {
            slot: 5,
            part: SlotPart::Inspection,
            statement: kept,
        },
        Effect::Serve(Serve::Slot {
            slot: 5,
            part: SlotPart::ConfigDrive(farrier_asset_store::DrivePlace::Second),
            len: 80,
        }),
        Effect::Serve(Serve::Text(b"text")),
        Effect::Serve(Serve::NotFound),
        Effect::Serve(Serve::Busy),
        Effect::Power {
            id,
            node,
            operation,
            deadline,
        },
        Effect::Switch {
            id,
            switch,
            port: "ge-0/0/7",
            action: moved,
            token: 0x5eed,
            details: crate::interface::SwitchDetails {
                make_vlan: true,
                at_once: true,
                trunk: "ge-0/0/47",
                ..Default::default()
            },
            deadline,
        },
        Effect::Answer(Ok(())),
    ];
    assert_eq!(out.iter().collect::<Vec<_>>(), expected);
    assert_eq!(out.len(), expected.len());
    assert!(!out.is_empty());
    assert_eq!(out.lost(), 0);
    out.clear();
    assert!(out.is_empty());
    assert_eq!(out.iter().count(), 0);
}

#[test]
fn a_boot_script_and_the_records_of_a_step_fit_together() {
    let mut out = Box::new(Effects::new());
    out.text_with(|room| Some(crate::boot::MAX_SCRIPT).filter(|len| *len <= room.len()));
    for number in 0..8 {
        out.record(&[number; crate::persist::record::MAX_RECORD]);
    }
    assert_eq!(out.lost(), 0);
}

#[test]
fn the_arena_is_used_to_its_last_byte_and_no_further() {
    let record = [1; 100];
    let rest = ARENA_LEN - 101;
    for (len, lost) in [(rest, 0), (rest + 1, 1)] {
        let mut out = Box::new(Effects::new());
        out.record(&record);
        // What finds no room is a bug, told by a panic in tests.
        let put = catch_unwind(AssertUnwindSafe(|| out.text_with(|_| Some(len))));
        assert_eq!(put.is_err(), lost == 1);
        assert_eq!(out.lost(), lost);
        assert_eq!(out.records().next(), Some(&record[..]));
    }
    for (len, lost) in [(rest, 0), (rest + 1, 1)] {
        let mut out = Box::new(Effects::new());
        out.text_with(|_| Some(len));
        let put = catch_unwind(AssertUnwindSafe(|| out.record(&record)));
        assert_eq!(put.is_err(), lost == 1);
        assert_eq!(out.lost(), lost);
        assert_eq!(out.effects().count(), 1);
    }
}

#[test]
fn an_effect_too_many_is_counted() {
    let mut out = Box::new(Effects::new());
    for _ in 0..MAX_EFFECTS {
        out.serve(Serve::NotFound);
    }
    assert_eq!(out.lost(), 0);
    let put = catch_unwind(AssertUnwindSafe(|| out.serve(Serve::Busy)));
    assert!(put.is_err());
    assert_eq!((out.lost(), out.len()), (1, MAX_EFFECTS));
}
