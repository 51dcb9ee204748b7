//! If one of these fails, do not change the test: journals of older firmware
//! must stay readable.

mod owner;

use farrier_journal::format::{Found, Frame, Header};
use farrier_journal::sim::{Cut, Operation, Shared, now};
use farrier_journal::{AppendError, Journal, MAX_RECORD, MountError};
use owner::{KEYS, Owner, Random, Small, record};

/// A sector's header of version 1.
const HEADER_V1: [u8; 32] = [
    b'F',
    b'R',
    b'J',
    1,
    9,
    0,
    0,
    0,
    3,
    0,
    0,
    0,
    7,
    0,
    0,
    0,
    0,
    16,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    HEADER_CRC[0],
    HEADER_CRC[1],
    HEADER_CRC[2],
    HEADER_CRC[3],
];
const HEADER_CRC: [u8; 4] = HEADER_CRC_V1.to_le_bytes();
const HEADER_CRC_V1: u32 = 0x47c0b136;

#[test]
fn header_of_version_1() {
    let header = Header {
        version: 1,
        sector: 9,
        base: 3,
        run: 7,
        size: 4096,
        // As older firmware wrote it.
        before: 0,
    };
    assert_eq!(header.to_bytes(), HEADER_V1);
    let told = Header {
        before: 7,
        ..header
    };
    assert_eq!(told.to_bytes()[20..24], [7, 0, 0, 0]);
    assert_eq!(Header::read(&told.to_bytes()), Found::Header(told));
}

#[test]
fn frame_of_version_1() {
    let mut flash = Small::<4>::new(4);
    flash.start_log();
    let (mut journal, _) = now(Journal::mount(flash, 0, |_| {})).unwrap();
    let records: [&[u8]; 2] = [&[1, 2, 3], &[4]];
    now(journal.append(records.iter().copied())).unwrap();
    // The first sector that is ever opened is number 1.
    let bytes = &journal.flash().bytes()[4096 + 32..4096 + 48];
    let frame = Frame {
        kind: 1,
        index: 1,
        body: 6,
    };
    assert_eq!(bytes[..4], frame.to_bytes());
    assert_eq!(bytes, FRAME_V1);
}

/// Two records in one frame: length, kind, index, records, CRC, padding.
const FRAME_V1: [u8; 16] = [
    6,
    0,
    1,
    1,
    3,
    1,
    2,
    3,
    1,
    4,
    FRAME_CRC[0],
    FRAME_CRC[1],
    FRAME_CRC[2],
    FRAME_CRC[3],
    0xff,
    0xff,
];
const FRAME_CRC: [u8; 4] = FRAME_CRC_V1.to_le_bytes();
const FRAME_CRC_V1: u32 = 0x26ba3b48;

/// The seal behind that frame, since version 2: zeros, kind, index, CRC.
const SEAL_V2: [u8; 8] = [
    0,
    0,
    4,
    1,
    SEAL_CRC[0],
    SEAL_CRC[1],
    SEAL_CRC[2],
    SEAL_CRC[3],
];
const SEAL_CRC: [u8; 4] = SEAL_CRC_V2.to_le_bytes();
const SEAL_CRC_V2: u32 = 0xbae3_2a65;

#[test]
fn a_sector_of_version_2() {
    let (mut journal, _) = now(Journal::mount(Small::<4>::new(4), 0, |_| {})).unwrap();
    let records: [&[u8]; 2] = [&[1, 2, 3], &[4]];
    now(journal.append(records.iter().copied())).unwrap();
    let bytes = &journal.flash().bytes()[4096..4096 + 56];
    assert_eq!(bytes[..4], *b"FRJ\x02");
    // Behind the version, a header is what it was.
    let header = Header {
        version: 1,
        sector: 1,
        base: 1,
        run: 1,
        size: 4096,
        before: 0,
    };
    assert_eq!(bytes[4..28], header.to_bytes()[4..28]);
    assert_eq!(bytes[32..48], FRAME_V1);
    assert_eq!(bytes[48..], SEAL_V2);
    assert_eq!(crc32fast(&[1, 0, 0, 0, 0, 0, 4, 1]), SEAL_CRC_V2);
}

#[test]
fn a_journal_of_version_1_is_read_and_goes_on_in_version_2() {
    let header = Header {
        version: 1,
        sector: 1,
        base: 1,
        run: 6,
        size: 4096,
        before: 0,
    };
    let mut bytes = vec![0xff; 4 * 4096];
    bytes[4096..4096 + 32].copy_from_slice(&header.to_bytes());
    bytes[4096 + 32..4096 + 48].copy_from_slice(&FRAME_V1);
    let mut records: Vec<Vec<u8>> = Vec::new();
    let mut flash = Small::<4>::with_bytes(&bytes);
    for run in 7..10 {
        let mounted = now(Journal::mount(flash, 0, |record| {
            records.push(record.to_vec())
        }));
        let (mut journal, report) = mounted.unwrap();
        assert_eq!((report.damaged, report.torn, journal.run()), (0, 0, run));
        now(journal.append([&[run as u8][..]].into_iter())).unwrap();
        flash = journal.into_flash();
    }
    assert_eq!(
        flash.bytes()[..2 * 4096],
        bytes[..2 * 4096],
        "it is left as it was"
    );
    assert_eq!(flash.bytes()[2 * 4096..2 * 4096 + 4], *b"FRJ\x02");
    let first: [&[u8]; 2] = [&[1, 2, 3], &[4]];
    let known: [&[u8]; 9] = [
        first[0],
        first[1],
        first[0],
        first[1],
        &[7],
        first[0],
        first[1],
        &[7],
        &[8],
    ];
    assert_eq!(records, known);
    assert_eq!(flash.broken_rules(), 0);
}

#[test]
fn a_newer_version_is_refused_and_left_alone() {
    let flash = Owner::mount(Small::<4>::new(4))
        .unwrap()
        .journal
        .into_flash();
    let mut bytes = flash.bytes().to_vec();
    let mut header = bytes[4096..4096 + 32].to_vec();
    header[3] = 3;
    let crc = crc32fast(&header[..28]);
    header[28..].copy_from_slice(&crc.to_le_bytes());
    bytes[4096..4096 + 32].copy_from_slice(&header);
    let mut left = Small::<4>::with_bytes(&bytes);
    let refused = now(Journal::mount(&mut left, 0, |_| {})).err();
    assert_eq!(refused, Some(MountError::Newer(3)));
    assert_eq!(left.bytes(), bytes);
}

/// CRC-32 (ISO-HDLC), written out: the test's own.
fn crc32fast(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

#[test]
fn what_does_not_fit_is_refused_and_breaks_nothing() {
    let mut owner = Owner::mount(Small::<8>::new(4)).unwrap();
    let long = [0; MAX_RECORD + 1];
    let append = |owner: &mut Owner<8>, records: &[&[u8]]| {
        now(owner.journal.append(records.iter().copied()))
    };
    assert_eq!(append(&mut owner, &[&long]), Err(AppendError::TooLong));
    assert_eq!(append(&mut owner, &[&[]]), Err(AppendError::TooLong));
    let many = vec![&long[..MAX_RECORD]; 32];
    assert_eq!(append(&mut owner, &many), Err(AppendError::TooLong));
    owner.change(&[(3, 4)]).unwrap();
    let table = owner.table;
    let owner = Owner::mount(owner.journal.into_flash()).unwrap();
    assert_eq!(owner.table, table);
}

#[test]
fn appending_costs_the_same_however_much_there_is() {
    let mut owner = Owner::mount(Small::<8>::new(64)).unwrap();
    let mut random = Random(9);
    let mut most = 0;
    for _ in 0..20_000 {
        let before = owner.journal.flash().operations();
        owner.change(&[(5, 80)]).unwrap();
        most = most.max(owner.journal.flash().operations() - before);
        owner.change(&random.changes()).unwrap();
        owner.maintain().unwrap();
    }
    // The record's words and its seal, and at times a sector's header with its
    // erase.
    let words = (8 + 1 + record(5, 80).len()).div_ceil(8) as u64 + 1;
    assert!(most <= words + 4 + 1, "{most} operations for {words} words");
    assert!(owner.journal.flash().wear() > 10);
    assert_eq!(owner.journal.usage().given_up, 0);
}

#[test]
fn a_worn_sector_is_given_up_and_nothing_is_lost() {
    let mut flash = Small::<8>::new(16);
    flash.set_endurance(6);
    let mut owner = Owner::mount(flash).unwrap();
    let mut random = Random(4);
    let mut promised = owner.table;
    // Until the chip is at its end, which is told.
    loop {
        let changes = random.changes();
        if owner.change(&changes).is_err() || owner.maintain().is_err() {
            break;
        }
        promised = owner.table;
    }
    assert_eq!(
        owner.change(&[(0, 1)]),
        Err(AppendError::Broken),
        "a broken journal takes nothing any more"
    );
    let mut table = [0; KEYS];
    let mut flash = owner.journal.into_flash();
    flash.set_endurance(u32::MAX);
    let (journal, _) = now(Journal::mount(flash, 7, |record| {
        table[usize::from(record[0])] = u32::from_le_bytes(record[1..5].try_into().unwrap());
    }))
    .unwrap();
    drop(journal);
    let differ = table.iter().zip(&promised).filter(|(a, b)| a != b).count();
    assert!(differ <= 3, "the last change may be there or not: {differ}");
}

/// A journal of 29 changes in its first sector, and its chip.
fn changed<const WORD: usize>() -> Small<WORD> {
    let mut owner = Owner::mount(Small::<WORD>::new(8)).unwrap();
    for key in 1..30 {
        owner.change(&[(key, 80)]).unwrap();
    }
    assert_eq!(owner.journal.usage().opened, 1);
    owner.journal.into_flash()
}

/// How many of those changes are not there.
fn lost<const WORD: usize>(owner: &Owner<WORD>) -> usize {
    owner.table[1..30].iter().filter(|v| **v != 80).count()
}

#[test]
fn lost_bits_are_told_wherever_they_are() {
    lost_bits::<4>();
    lost_bits::<8>();
    lost_bits::<32>();
}

fn lost_bits<const WORD: usize>() {
    let flash = changed::<WORD>();
    let used = flash.bytes()[4096..]
        .iter()
        .rposition(|b| *b != 0xff)
        .unwrap()
        + 1;
    let mut told = 0;
    for byte in 0..used {
        let mut rotten = flash.clone();
        rotten.rot((4096 + byte) * 8 + byte % 8);
        let owner = Owner::mount(rotten).unwrap();
        let (damaged, lost) = (owner.mounted.damaged, lost(&owner));
        if byte < 32 {
            // A header. There is no other sector: all is lost, and told.
            assert_eq!(lost, 29);
            assert_eq!((damaged, owner.mounted.new), (1, true), "byte {byte}");
            continue;
        }
        assert_eq!(damaged as usize, lost, "byte {byte}, words of {WORD}");
        assert!(lost <= 1, "the others are there");
        told += damaged;
    }
    assert!(told > 29 * 80, "most bytes are of frames: {told}");
}

#[test]
fn a_mount_that_is_lost_has_no_successor_of_its_number() {
    let flash = changed::<8>();
    let owner = Owner::mount(flash).unwrap();
    let run = owner.journal.run();
    let mut flash = owner.journal.into_flash();
    // What it wrote stands behind everything else.
    let last = flash.bytes().iter().rposition(|b| *b != 0xff).unwrap();
    flash.rot((last - 16) * 8);
    let owner = Owner::mount(flash).unwrap();
    assert_eq!(owner.mounted.damaged, 1);
    assert_eq!(lost(&owner), 0, "it held a change once more, no other one");
    assert!(owner.journal.run() > run);
}

#[test]
fn a_last_sector_whose_header_is_lost_is_told() {
    for worn in [None, Some(4)] {
        let mut flash = Small::<8>::new(16);
        if let Some(sector) = worn {
            flash.wear_out(sector);
        }
        let mut owner = Owner::mount(flash).unwrap();
        while owner.journal.usage().opened < 5 {
            owner.change(&[(3, 80)]).unwrap();
        }
        owner.change(&[(4, 80)]).unwrap();
        let flash = owner.journal.into_flash();
        for byte in 0..32 {
            let mut rotten = flash.clone();
            rotten.rot((5 * 4096 + byte) * 8 + 2);
            // It is told whatever becomes of mounts that are cut off.
            for operations in (0..24).step_by(5) {
                rotten.power_on();
                rotten.cut_after(operations, Cut::Torn(operations));
                let chip = Shared::new(rotten.clone());
                let _cut = now(Journal::mount(chip.clone(), 7, |_| {}));
                rotten = chip.with(|flash| flash.clone());
            }
            rotten.power_on();
            let mut owner = Owner::mount(rotten).unwrap();
            // That the worn one was given up stood in the header.
            let damaged = 1 + u32::from(worn.is_some());
            assert_eq!(owner.mounted.damaged, damaged, "byte {byte}");
            assert_eq!(owner.table[4], 0, "what is lost is lost");
            owner.change(&[(5, 80)]).unwrap();
            let owner = Owner::mount(owner.journal.into_flash()).unwrap();
            assert_eq!((owner.table[3], owner.table[5]), (80, 80));
        }
    }
}

#[test]
fn a_lost_frame_alone_in_its_sector_is_told_over_cut_mounts() {
    let mut owner = Owner::mount(Small::<8>::new(16)).unwrap();
    while owner.journal.usage().opened < 3 {
        owner.change(&[(3, 80)]).unwrap();
    }
    let mut flash = owner.journal.into_flash();
    flash.rot((3 * 4096 + 32 + 5) * 8);
    for operations in [0, 1, 2, 5, 9] {
        flash.power_on();
        flash.cut_after(operations, Cut::Weak(operations));
        let chip = Shared::new(flash);
        let _cut = now(Journal::mount(chip.clone(), 7, |_| {}));
        flash = chip.with(|flash| flash.clone());
    }
    flash.power_on();
    assert_eq!(Owner::mount(flash).unwrap().mounted.damaged, 1);
}

#[test]
fn worn_out_sectors_are_passed_over_and_no_damage() {
    for worn in [&[2][..], &[3, 4], &[1, 5, 6, 7]] {
        let mut flash = Small::<4>::new(16);
        for sector in worn {
            flash.wear_out(*sector);
        }
        let mut owner = Owner::mount(flash).unwrap();
        for round in 0..40 {
            for key in 1..KEYS {
                owner.change(&[(key, 80 + round)]).unwrap();
                owner.maintain().unwrap();
            }
            let table = owner.table;
            owner = Owner::mount(owner.journal.into_flash()).unwrap();
            assert_eq!(owner.mounted.damaged, 0, "{worn:?}");
            assert!(owner.table == table, "{worn:?}");
        }
    }
}

#[test]
fn a_head_that_wears_out_before_its_first_frame_is_passed_over() {
    let mut owner = Owner::mount(Small::<4>::new(16)).unwrap();
    // Until a sector was opened and has no frame yet.
    let mut key = 0;
    let table = loop {
        let (opened, table) = (owner.journal.usage().opened, owner.table);
        key = key % (KEYS - 1) + 1;
        owner.change(&[(key, 80)]).unwrap();
        if owner.journal.usage().opened > opened && opened > 2 {
            break table;
        }
    };
    let head = owner.journal.usage().opened as usize % 16;
    let mut flash = owner.journal.into_flash();
    // The frame is as if it had not been written.
    let from = head * 4096 + 32;
    let mut bytes = flash.bytes().to_vec();
    bytes[from..(head + 1) * 4096].fill(0xff);
    flash = Small::<4>::with_bytes(&bytes);
    flash.wear_out(head);
    let owner = Owner::mount(flash).unwrap();
    assert_eq!(owner.mounted.damaged, 0);
    let differ = owner.table.iter().zip(&table).filter(|(a, b)| a != b);
    assert!(differ.count() <= 1, "the last change is gone, no other");
}

#[test]
fn a_word_that_a_cut_mount_has_touched_and_left_erased_is_passed_over() {
    let mut owner = Owner::mount(Small::<4>::new(16)).unwrap();
    for key in 1..30 {
        owner.change(&[(key, 80)]).unwrap();
    }
    let table = owner.table;
    let mut flash = owner.journal.into_flash();
    // Where a mount begins to write.
    let mut trial = flash.clone();
    trial.start_log();
    let mut trial = Owner::mount(trial).unwrap().journal.into_flash();
    let at = match trial.take_log().first() {
        Some(Operation::Program { at, .. }) => *at,
        other => panic!("a mount begins with a frame, not with {other:?}"),
    };
    let word = vec![0xff; 4];
    flash.apply(&Operation::Program { at, word }, None);
    for _ in 0..3 {
        let owner = Owner::mount(flash).unwrap();
        assert!(owner.table == table);
        assert_eq!(owner.mounted.damaged, 0);
        flash = owner.journal.into_flash();
    }
}
