//! Tests signed orders and statements, statements in parts, and sealed config
//! drives.

mod common;

use common::*;
use farrier_protocol::{
    MAX_STATEMENT, PART_LEN,
    message::*,
    parts::{self, Arrived, PartError, Reassembly},
    sealed::{Layout, MAX_PLAIN, PLAIN_PIECE, SEALED_PIECE, SealedError},
    signing::{self, Domain, PublicKey, SigningError},
};

#[test]
fn order_is_valid_for_its_node_and_boot_only() {
    let mut buffer = [0; 1200];
    let order = order(deploy());
    let (body, signature) = signing::sign_order(&order_key(), &order, &mut buffer).unwrap();
    let key = order_key().public();
    let verify = |node, boot, body: &[u8], signature: &[u8]| {
        signing::verify_order(&key, node, boot, body, signature)
    };
    assert_eq!(verify(NODE, BOOT, body, &signature), Ok(order));
    assert_eq!(
        verify(NodeId([0; 16]), BOOT, body, &signature),
        Err(SigningError::Misaddressed)
    );
    assert_eq!(
        verify(NODE, BootId(BOOT.0 - 1), body, &signature),
        Err(SigningError::Misaddressed)
    );
    for at in 0..body.len() {
        let mut forged = body.to_vec();
        forged[at] ^= 1;
        assert_eq!(
            verify(NODE, BOOT, &forged, &signature),
            Err(SigningError::Signature),
            "byte {at}"
        );
    }
    for at in 0..signature.len() {
        let mut forged = signature;
        forged[at] ^= 1;
        assert_eq!(
            verify(NODE, BOOT, body, &forged),
            Err(SigningError::Signature)
        );
        assert_eq!(
            verify(NODE, BOOT, body, &signature[..at]),
            Err(SigningError::Signature)
        );
    }
}

#[test]
fn bytes_behind_a_signed_order_fail() {
    let mut buffer = [0; 1200];
    let len = {
        let (body, _) =
            signing::sign_order(&order_key(), &order(Task::Reboot), &mut buffer).unwrap();
        body.len()
    };
    let longer = &buffer[..len + 1];
    let signature = order_key().sign(Domain::Order, longer);
    assert_eq!(
        signing::verify_order(&order_key().public(), NODE, BOOT, longer, &signature),
        Err(SigningError::Malformed)
    );
}

#[test]
fn signature_is_valid_in_its_domain_only() {
    let signature = order_key().sign(Domain::Order, b"body");
    let key = order_key().public();
    assert_eq!(key.verify(Domain::Order, b"body", &signature), Ok(()));
    assert_eq!(
        key.verify(Domain::Statement, b"body", &signature),
        Err(SigningError::Signature)
    );
}

#[test]
fn key_of_small_order_verifies_nothing() {
    // The neutral element verifies everything without strictness: R = 1,
    // S = 0 is a signature over any body.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    assert!(
        PublicKey(neutral)
            .verify(Domain::Order, b"body", &signature)
            .is_err()
    );
}

#[test]
fn statement_is_reassembled_from_parts_in_any_order() {
    let mut buffer = [0; MAX_STATEMENT];
    let mut long = inspection();
    let mut disk = long.disks[0].clone();
    disk.by_path = text(&"x".repeat(64));
    disk.wwn = text(&"x".repeat(40));
    disk.model = text(&"x".repeat(40));
    while long.disks.push(disk.clone()).is_ok() {}
    let sent = statement(Report::Inspection(long));
    let signed = signing::sign_statement(&boot_key(), &sent, &mut buffer).unwrap();
    let count = parts::count(signed.len()).unwrap();
    assert!(count > 2);

    let mut assembly: Reassembly = Reassembly::new();
    for index in (1..count).rev() {
        let part = parts::cut(3, signed, index).unwrap();
        for _ in 0..2 {
            let Ok(Arrived::Some(have)) = assembly.push(&part) else {
                panic!("part {index}");
            };
            assert_eq!(have, (1 << count) - (1 << index));
        }
    }
    let first = parts::cut(3, signed, 0).unwrap();
    assert_eq!(assembly.push(&first), Ok(Arrived::All(signed)));
    assert_eq!(assembly.push(&first), Ok(Arrived::All(signed)));
    assert_eq!(
        signing::verify_statement(&boot_key().public(), NODE, BOOT, signed),
        Ok(sent)
    );
    assert_eq!(parts::cut(3, signed, count), None);
}

#[test]
fn statement_of_another_boot_or_key_fails() {
    let mut buffer = [0; MAX_STATEMENT];
    let sent = statement(Report::Done);
    let signed = signing::sign_statement(&boot_key(), &sent, &mut buffer).unwrap();
    let key = boot_key().public();
    assert_eq!(
        signing::verify_statement(&order_key().public(), NODE, BOOT, signed),
        Err(SigningError::Signature)
    );
    assert_eq!(
        signing::verify_statement(&key, NODE, BootId(1), signed),
        Err(SigningError::Misaddressed)
    );
    for cut in 0..signed.len() {
        assert!(signing::verify_statement(&key, NODE, BOOT, &signed[..cut]).is_err());
    }
    assert_eq!(
        signing::verify_statement(&key, NODE, BOOT, &[0; MAX_STATEMENT + 1]),
        Err(SigningError::Malformed)
    );
}

fn part(statement: u32, index: u16, count: u16, bytes: &[u8]) -> Part<'_> {
    Part {
        statement,
        index,
        count,
        bytes,
    }
}

#[test]
fn malformed_parts_are_refused() {
    let full = [1; PART_LEN];
    let mut assembly: Reassembly<3000> = Reassembly::new();
    for (part, error) in [
        (part(1, 0, 0, &full), PartError::Malformed),
        (part(1, 2, 2, &full), PartError::Malformed),
        (part(1, 0, 2, &full[1..]), PartError::Malformed),
        (part(1, 0, 1, &[]), PartError::Malformed),
        (part(1, 0, 1, &[0; PART_LEN + 1]), PartError::Malformed),
        (part(1, 0, 9, &full), PartError::TooLong),
        (part(1, 0, u16::MAX, &full), PartError::TooLong),
        // It fits a statement, but not this buffer.
        (part(1, 2, 3, &full), PartError::TooLong),
        (part(1, 0, 4, &full), PartError::TooLong),
    ] {
        assert_eq!(assembly.push(&part), Err(error), "{part:?}");
        assert_eq!(assembly.statement(), None);
    }
}

#[test]
fn later_statement_replaces_the_current_and_older_one_is_refused() {
    let full = [1; PART_LEN];
    let mut assembly: Reassembly = Reassembly::new();
    assert_eq!(assembly.push(&part(5, 0, 2, &full)), Ok(Arrived::Some(1)));
    assert_eq!(
        assembly.push(&part(4, 0, 2, &full)),
        Err(PartError::Old),
        "an older one"
    );
    assert_eq!(
        assembly.push(&part(5, 0, 3, &full)),
        Err(PartError::Contradiction)
    );
    assert_eq!(
        assembly.push(&part(5, 0, 2, &[2; PART_LEN])),
        Err(PartError::Contradiction)
    );
    assert_eq!(assembly.push(&part(6, 1, 2, b"end")), Ok(Arrived::Some(2)));
    assert_eq!(assembly.statement(), Some(6));
    assert_eq!(
        assembly.push(&part(6, 1, 2, b"enD")),
        Err(PartError::Contradiction)
    );
    assembly.clear();
    assert_eq!(assembly.push(&part(1, 0, 1, b"a")), Ok(Arrived::All(b"a")));
}

fn seal(plain: &[u8]) -> Vec<u8> {
    let layout = Layout::new(plain.len() as u32).unwrap();
    let mut sealed = Vec::new();
    for index in 0..layout.pieces() {
        let (at, len) = layout.plain_range(index).unwrap();
        let mut piece = [0; SEALED_PIECE];
        piece[..len].copy_from_slice(&plain[at as usize..][..len]);
        sealed.extend_from_slice(layout.seal(&[7; 32], index, &mut piece).unwrap());
    }
    sealed
}

fn open(layout: Layout, sealed: &[u8]) -> Result<Vec<u8>, SealedError> {
    let mut plain = Vec::new();
    for index in 0..layout.pieces() {
        let (at, len) = layout.sealed_range(index)?;
        let mut piece = sealed
            .get(at as usize..)
            .and_then(|rest| rest.get(..len))
            .ok_or(SealedError::Length)?
            .to_vec();
        plain.extend_from_slice(layout.open(&[7; 32], index, &mut piece)?);
    }
    Ok(plain)
}

#[test]
fn config_drive_of_every_length_opens() {
    for len in [
        0,
        1,
        PLAIN_PIECE - 1,
        PLAIN_PIECE,
        PLAIN_PIECE + 1,
        3 * PLAIN_PIECE,
    ] {
        let plain: Vec<u8> = (0..len).map(|i| i as u8).collect();
        let layout = Layout::new(len as u32).unwrap();
        let sealed = seal(&plain);
        assert_eq!(sealed.len(), layout.sealed_len() as usize, "{len}");
        assert_eq!(open(layout, &sealed), Ok(plain), "{len}");
    }
    assert_eq!(Layout::new(MAX_PLAIN + 1), Err(SealedError::TooLong));
}

#[test]
fn modified_config_drive_does_not_open() {
    let plain = [3; 2 * PLAIN_PIECE + 10];
    let layout = Layout::new(plain.len() as u32).unwrap();
    let sealed = seal(&plain);
    for at in (0..sealed.len()).step_by(97) {
        let mut forged = sealed.clone();
        forged[at] ^= 1;
        assert_eq!(open(layout, &forged), Err(SealedError::Forged), "{at}");
    }
    // Swapped pieces.
    let mut swapped = sealed.clone();
    let (a, b) = swapped.split_at_mut(SEALED_PIECE);
    a.swap_with_slice(&mut b[..SEALED_PIECE]);
    assert_eq!(open(layout, &swapped), Err(SealedError::Forged));
    // Truncated at a whole piece, with a shorter layout.
    let short = Layout::new(2 * PLAIN_PIECE as u32).unwrap();
    assert_eq!(open(short, &sealed), Err(SealedError::Forged));
    // Another key.
    let mut piece = sealed[..SEALED_PIECE].to_vec();
    assert_eq!(
        layout.open(&[8; 32], 0, &mut piece),
        Err(SealedError::Forged)
    );
    assert_eq!(
        layout.open(&[7; 32], 3, &mut piece),
        Err(SealedError::NoSuchPiece)
    );
    assert_eq!(
        layout.open(&[7; 32], 2, &mut piece),
        Err(SealedError::Length)
    );
}

#[test]
fn offset_on_the_wire_gives_its_piece() {
    let layout = Layout::new(PLAIN_PIECE as u32 + 1).unwrap();
    assert_eq!(layout.pieces(), 2);
    assert_eq!(layout.piece_at(0), Ok(0));
    assert_eq!(layout.piece_at(1023), Ok(0));
    assert_eq!(layout.piece_at(1024), Ok(1));
    assert_eq!(layout.piece_at(1024 + 16), Ok(1));
    assert_eq!(layout.piece_at(1024 + 17), Err(SealedError::NoSuchPiece));
}
