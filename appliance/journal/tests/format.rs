//! Golden bytes of format version 1, and damage to the flash.
//!
//! If a golden test fails after a release, do not change the test: the firmware
//! must read journals of released firmware.

mod table;

use embedded_storage_async::nor_flash::NorFlash;
use farrier_journal::format::{Found, Frame, Header};
use farrier_journal::sim::{Cut, Operation, Shared, now};
use farrier_journal::{AppendError, Health, Journal, MAX_RECORD, MountError, Usage};
use table::{KEYS, Random, Small, StoredTable, record};

/// A sector's header.
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
fn header_has_the_golden_bytes() {
    let header = Header {
        sector: 9,
        base: 3,
        run: 7,
        size: 4096,
        before: 0,
    };
    assert_eq!(header.to_bytes(), HEADER_V1);
    let later = Header {
        before: 7,
        ..header
    };
    assert_eq!(later.to_bytes()[20..24], [7, 0, 0, 0]);
    assert_eq!(Header::read(&later.to_bytes()), Found::Header(later));
}

#[test]
fn headers_of_more_sectors_than_the_flash_has_are_refused() {
    // A mount reads all sectors from the base on.
    for (sector, base) in [(9, 3), (0x7fff_fff0, 1)] {
        let mut flash = Small::<4>::new(4);
        let header = Header {
            sector,
            base,
            run: 7,
            size: 4096,
            before: 0,
        };
        now(flash.write((sector % 4) * 4096, &header.to_bytes())).unwrap();
        let mounted = now(Journal::mount(flash, 0, |_| {})).map(|(_, report)| report);
        assert_eq!(mounted, Err(MountError::Header { sector, base }));
    }
}

#[test]
fn frame_has_the_golden_bytes() {
    let mut flash = Small::<4>::new(4);
    flash.start_log();
    let (mut journal, _) = now(Journal::mount(flash, 0, |_| {})).unwrap();
    let records: [&[u8]; 2] = [&[1, 2, 3], &[4]];
    now(journal.append(records.iter().copied())).unwrap();
    // The first sector has the number 1.
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

/// The seal of that frame: zeros, kind, index, CRC.
const SEAL_V1: [u8; 8] = [
    0,
    0,
    4,
    1,
    SEAL_CRC[0],
    SEAL_CRC[1],
    SEAL_CRC[2],
    SEAL_CRC[3],
];
const SEAL_CRC: [u8; 4] = SEAL_CRC_V1.to_le_bytes();
const SEAL_CRC_V1: u32 = 0xbae3_2a65;

#[test]
fn sector_has_the_golden_bytes() {
    let (mut journal, _) = now(Journal::mount(Small::<4>::new(4), 0, |_| {})).unwrap();
    let records: [&[u8]; 2] = [&[1, 2, 3], &[4]];
    now(journal.append(records.iter().copied())).unwrap();
    let bytes = &journal.flash().bytes()[4096..4096 + 56];
    assert_eq!(bytes[..4], *b"FRJ\x01");
    let header = Header {
        sector: 1,
        base: 1,
        run: 1,
        size: 4096,
        before: 0,
    };
    assert_eq!(bytes[4..28], header.to_bytes()[4..28]);
    assert_eq!(bytes[32..48], FRAME_V1);
    assert_eq!(bytes[48..], SEAL_V1);
    assert_eq!(crc32(&[1, 0, 0, 0, 0, 0, 4, 1]), SEAL_CRC_V1);
}

#[test]
fn other_version_is_refused_and_not_written() {
    let flash = StoredTable::mount(Small::<4>::new(4))
        .unwrap()
        .journal
        .into_flash();
    let mut bytes = flash.bytes().to_vec();
    let mut header = bytes[4096..4096 + 32].to_vec();
    header[3] = 3;
    let crc = crc32(&header[..28]);
    header[28..].copy_from_slice(&crc.to_le_bytes());
    bytes[4096..4096 + 32].copy_from_slice(&header);
    let mut left = Small::<4>::with_bytes(&bytes);
    let refused = now(Journal::mount(&mut left, 0, |_| {})).err();
    assert_eq!(refused, Some(MountError::Version(3)));
    assert_eq!(left.bytes(), bytes);
}

/// CRC-32 (ISO-HDLC), independent of the journal's.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

#[test]
fn too_long_records_are_refused_without_damage() {
    let mut stored = StoredTable::mount(Small::<8>::new(4)).unwrap();
    let long = [0; MAX_RECORD + 1];
    let append = |stored: &mut StoredTable<8>, records: &[&[u8]]| {
        now(stored.journal.append(records.iter().copied()))
    };
    assert_eq!(append(&mut stored, &[&long]), Err(AppendError::TooLong));
    assert_eq!(append(&mut stored, &[&[]]), Err(AppendError::TooLong));
    let many = vec![&long[..MAX_RECORD]; 32];
    assert_eq!(append(&mut stored, &many), Err(AppendError::TooLong));
    stored.change(&[(3, 4)]).unwrap();
    let table = stored.table;
    let stored = StoredTable::mount(stored.journal.into_flash()).unwrap();
    assert_eq!(stored.table, table);
}

#[test]
fn append_cost_does_not_depend_on_the_number_of_records() {
    let mut stored = StoredTable::mount(Small::<8>::new(64)).unwrap();
    let mut random = Random(9);
    let mut most = 0;
    for _ in 0..20_000 {
        let before = stored.journal.flash().operations();
        stored.change(&[(5, 80)]).unwrap();
        most = most.max(stored.journal.flash().operations() - before);
        stored.change(&random.changes()).unwrap();
        stored.maintain().unwrap();
    }
    // The words of the record and the seal, and sometimes the header and the
    // erase of a sector.
    let words = (8 + 1 + record(5, 80).len()).div_ceil(8) as u64 + 1;
    assert!(most <= words + 4 + 1, "{most} operations for {words} words");
    assert!(stored.journal.flash().wear() > 10);
    assert_eq!(stored.journal.usage().given_up, 0);
}

#[test]
fn worn_sector_is_given_up_without_loss() {
    let mut flash = Small::<8>::new(16);
    flash.set_endurance(6);
    let mut stored = StoredTable::mount(flash).unwrap();
    let mut random = Random(4);
    let mut promised = stored.table;
    // Until the chip is worn out and the journal reports it.
    loop {
        let changes = random.changes();
        if stored.change(&changes).is_err() || stored.maintain().is_err() {
            break;
        }
        promised = stored.table;
    }
    assert_eq!(
        stored.change(&[(0, 1)]),
        Err(AppendError::Broken),
        "a broken journal accepted an append"
    );
    let mut table = [0; KEYS];
    let mut flash = stored.journal.into_flash();
    flash.set_endurance(u32::MAX);
    let (journal, _) = now(Journal::mount(flash, 7, |record| {
        table[usize::from(record[0])] = u32::from_le_bytes(record[1..5].try_into().unwrap());
    }))
    .unwrap();
    drop(journal);
    let differ = table.iter().zip(&promised).filter(|(a, b)| a != b).count();
    assert!(differ <= 3, "the last change may be there or not: {differ}");
}

/// Returns a chip with a journal of 29 changes in its first sector.
fn changed<const WORD: usize>() -> Small<WORD> {
    let mut stored = StoredTable::mount(Small::<WORD>::new(8)).unwrap();
    for key in 1..30 {
        stored.change(&[(key, 80)]).unwrap();
    }
    assert_eq!(stored.journal.usage().opened, 1);
    stored.journal.into_flash()
}

/// Returns the number of those changes that are missing.
fn lost<const WORD: usize>(stored: &StoredTable<WORD>) -> usize {
    stored.table[1..30].iter().filter(|v| **v != 80).count()
}

#[test]
fn every_lost_bit_is_reported() {
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
    let mut reported = 0;
    for byte in 0..used {
        let mut rotten = flash.clone();
        rotten.rot((4096 + byte) * 8 + byte % 8);
        let stored = StoredTable::mount(rotten).unwrap();
        let (damaged, lost) = (stored.mounted.damaged, lost(&stored));
        if byte < 32 {
            // The header of the only sector: everything is lost and reported.
            assert_eq!(lost, 29);
            assert_eq!((damaged, stored.mounted.new), (1, true), "byte {byte}");
            continue;
        }
        assert_eq!(damaged as usize, lost, "byte {byte}, words of {WORD}");
        assert!(lost <= 1, "another change is missing");
        reported += damaged;
    }
    assert!(reported > 29 * 80, "most bytes are of frames: {reported}");
}

#[test]
fn run_number_of_a_lost_mount_is_not_reused() {
    let flash = changed::<8>();
    let stored = StoredTable::mount(flash).unwrap();
    let run = stored.journal.run();
    let mut flash = stored.journal.into_flash();
    // The mount's frame is the last.
    let last = flash.bytes().iter().rposition(|b| *b != 0xff).unwrap();
    flash.rot((last - 16) * 8);
    let stored = StoredTable::mount(flash).unwrap();
    assert_eq!(stored.mounted.damaged, 1);
    assert_eq!(lost(&stored), 0, "the frame had only a copy of a change");
    assert!(stored.journal.run() > run);
}

#[test]
fn lost_header_of_the_last_sector_is_reported() {
    for worn in [None, Some(4)] {
        let mut flash = Small::<8>::new(16);
        if let Some(sector) = worn {
            flash.wear_out(sector);
        }
        let mut stored = StoredTable::mount(flash).unwrap();
        while stored.journal.usage().opened < 5 {
            stored.change(&[(3, 80)]).unwrap();
        }
        stored.change(&[(4, 80)]).unwrap();
        let flash = stored.journal.into_flash();
        for byte in 0..32 {
            let mut rotten = flash.clone();
            rotten.rot((5 * 4096 + byte) * 8 + 2);
            // The loss is reported also after interrupted mounts.
            for operations in (0..24).step_by(5) {
                rotten.power_on();
                rotten.cut_after(operations, Cut::Torn(operations));
                let chip = Shared::new(rotten.clone());
                let _cut = now(Journal::mount(chip.clone(), 7, |_| {}));
                rotten = chip.with(|flash| flash.clone());
            }
            rotten.power_on();
            let mut stored = StoredTable::mount(rotten).unwrap();
            // The lost header recorded that the worn sector was given up.
            let damaged = 1 + u32::from(worn.is_some());
            assert_eq!(stored.mounted.damaged, damaged, "byte {byte}");
            assert_eq!(stored.table[4], 0, "the lost change is present");
            stored.change(&[(5, 80)]).unwrap();
            let stored = StoredTable::mount(stored.journal.into_flash()).unwrap();
            assert_eq!((stored.table[3], stored.table[5]), (80, 80));
        }
    }
}

#[test]
fn lost_only_frame_of_a_sector_is_reported_after_interrupted_mounts() {
    let mut stored = StoredTable::mount(Small::<8>::new(16)).unwrap();
    while stored.journal.usage().opened < 3 {
        stored.change(&[(3, 80)]).unwrap();
    }
    let mut flash = stored.journal.into_flash();
    flash.rot((3 * 4096 + 32 + 5) * 8);
    for operations in [0, 1, 2, 5, 9] {
        flash.power_on();
        flash.cut_after(operations, Cut::Weak(operations));
        let chip = Shared::new(flash);
        let _cut = now(Journal::mount(chip.clone(), 7, |_| {}));
        flash = chip.with(|flash| flash.clone());
    }
    flash.power_on();
    assert_eq!(StoredTable::mount(flash).unwrap().mounted.damaged, 1);
}

#[test]
fn worn_out_sectors_are_skipped_without_damage() {
    for (sectors, worn) in [
        (16, &[2][..]),
        (16, &[3, 4]),
        (16, &[1, 5, 6, 7]),
        (32, &[7, 8, 9, 10, 11, 12, 13]),
    ] {
        let mut flash = Small::<4>::new(sectors);
        for sector in worn {
            flash.wear_out(*sector);
        }
        let mut stored = StoredTable::mount(flash).unwrap();
        for round in 0..40 {
            for key in 1..KEYS {
                stored.change(&[(key, 80 + round)]).unwrap();
                stored.maintain().unwrap();
            }
            let table = stored.table;
            stored = StoredTable::mount(stored.journal.into_flash()).unwrap();
            assert_eq!(stored.mounted.damaged, 0, "{worn:?}");
            assert!(stored.table == table, "{worn:?}");
        }
    }
}

#[test]
fn current_sector_that_wears_out_before_its_first_frame_is_skipped() {
    let mut stored = StoredTable::mount(Small::<4>::new(16)).unwrap();
    // Until an append opens a sector.
    let mut key = 0;
    let table = loop {
        let (opened, table) = (stored.journal.usage().opened, stored.table);
        key = key % (KEYS - 1) + 1;
        stored.change(&[(key, 80)]).unwrap();
        if stored.journal.usage().opened > opened && opened > 2 {
            break table;
        }
    };
    let head = stored.journal.usage().opened as usize % 16;
    let mut flash = stored.journal.into_flash();
    // Removes the only frame of that sector.
    let from = head * 4096 + 32;
    let mut bytes = flash.bytes().to_vec();
    bytes[from..(head + 1) * 4096].fill(0xff);
    flash = Small::<4>::with_bytes(&bytes);
    flash.wear_out(head);
    let stored = StoredTable::mount(flash).unwrap();
    assert_eq!(stored.mounted.damaged, 0);
    let differ = stored.table.iter().zip(&table).filter(|(a, b)| a != b);
    assert!(differ.count() <= 1, "more than the last change is missing");
}

#[test]
fn word_touched_by_an_interrupted_mount_is_skipped() {
    let mut stored = StoredTable::mount(Small::<4>::new(16)).unwrap();
    for key in 1..30 {
        stored.change(&[(key, 80)]).unwrap();
    }
    let table = stored.table;
    let mut flash = stored.journal.into_flash();
    // The address of the first write of a mount.
    let mut trial = flash.clone();
    trial.start_log();
    let mut trial = StoredTable::mount(trial).unwrap().journal.into_flash();
    let at = match trial.take_log().first() {
        Some(Operation::Program { at, .. }) => *at,
        other => panic!("a mount starts with a frame, not with {other:?}"),
    };
    let word = vec![0xff; 4];
    flash.apply(&Operation::Program { at, word }, None);
    for _ in 0..3 {
        let stored = StoredTable::mount(flash).unwrap();
        assert!(stored.table == table);
        assert_eq!(stored.mounted.damaged, 0);
        flash = stored.journal.into_flash();
    }
}

#[test]
fn wear_is_said_before_the_journal_is_full() {
    let good = Usage {
        sectors: 256,
        used: 40,
        opened: 256 * 79_999,
        given_up: 0,
    };
    assert_eq!((good.health(), good.cycles()), (Health::Good, 79_999));
    let old = Usage {
        opened: 256 * 80_000,
        ..good
    };
    assert_eq!(old.health(), Health::Old);
    let wearing = Usage { given_up: 1, ..old };
    assert_eq!(wearing.health(), Health::Wearing);
    let scarce = Usage {
        used: 129,
        ..wearing
    };
    assert_eq!(scarce.health(), Health::Scarce);
    assert!(Health::Good < Health::Old && Health::Wearing < Health::Scarce);
    assert_eq!(Usage::default().health(), Health::Good);
}

/// A large state: records of 121 bytes, which are a fifth of the flash.
const LARGE: usize = 100;

fn change_large(journal: &mut Journal<Small<8>>, table: &mut [u32; LARGE], key: usize) {
    table[key] += 1;
    let record = large(key, table[key]);
    now(journal.append([record.as_slice()].into_iter())).unwrap();
    let state = |from: u16, room: &mut [u8]| {
        let place = usize::from(from);
        let record = large(place, *table.get(place)?);
        room[..record.len()].copy_from_slice(&record);
        Some((from, record.len()))
    };
    now(journal.maintain(state)).unwrap();
}

fn large(key: usize, value: u32) -> [u8; 121] {
    let mut record = [key as u8; 121];
    record[1..5].copy_from_slice(&value.to_le_bytes());
    record
}

fn mount_large(flash: Small<8>) -> (Journal<Small<8>>, [u32; LARGE]) {
    let mut table = [0; LARGE];
    let (journal, _) = now(Journal::mount(flash, 7, |record| {
        table[usize::from(record[0])] = u32::from_le_bytes(record[1..5].try_into().unwrap());
    }))
    .unwrap();
    (journal, table)
}

#[test]
fn a_flipped_bit_in_a_long_sweep_leaves_room_for_its_end() {
    let (mut journal, mut table) = mount_large(Small::new(16));
    let mut random = Random(9);
    // Where the least room is free, a sweep is nearly complete.
    let mut fullest = (0, journal.flash().clone());
    for _ in 0..3000 {
        change_large(
            &mut journal,
            &mut table,
            random.below(LARGE as u64) as usize,
        );
        let used = journal.usage().used;
        if used >= fullest.0 {
            fullest = (used, journal.flash().clone());
        }
    }
    for byte in (0..16 * 4096).step_by(173) {
        let mut rotten = fullest.1.clone();
        rotten.rot(byte * 8 + byte % 8);
        let (mut journal, mut table) = mount_large(rotten);
        for turn in 0..400 {
            change_large(&mut journal, &mut table, (byte + turn * 7) % LARGE);
        }
        let (_, found) = mount_large(journal.into_flash());
        assert_eq!(found, table, "byte {byte}");
    }
}
