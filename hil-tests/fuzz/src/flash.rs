//! What flash and the block device feed to the appliance itself: the journal,
//! the records in it, the configuration.

use std::sync::OnceLock;

use farrier_controller::Controller;
use farrier_controller::testing::{MemoryStore, ready};
use farrier_core::persist::record::MAX_RECORD;
use farrier_core::{Config, Input, Instant, Rack};
use farrier_journal::Journal;
use farrier_journal::sim::{SimFlash, now};
use farrier_testkit::lab::{Lab, TestRack};
use farrier_testkit::{IDENTITY, Random};

const SECTORS: usize = 4;
const SECTOR: usize = 4096;
const WORD: usize = 8;
type Flash = SimFlash<WORD, SECTOR>;

/// A journal that was in use for a while.
fn used() -> &'static [u8] {
    static USED: OnceLock<Vec<u8>> = OnceLock::new();
    USED.get_or_init(|| {
        let mounted = now(Journal::mount(Flash::new(SECTORS), 7, |_| {}));
        let (mut journal, _) = mounted.expect("an erased flash");
        for number in 0..200_u8 {
            let record = [number; 40];
            now(journal.append([&record[..]].into_iter())).expect("room");
            now(journal.maintain(|from, room| {
                room[..8].fill(from as u8);
                (from < 20).then_some((from, 8))
            }))
            .expect("room");
        }
        journal.into_flash().bytes().to_vec()
    })
}

/// A flash with damage: patches of four bytes (place, value, length) on a
/// journal in use, or on an erased flash. It mounts or is refused; where it
/// mounts, what is appended is read after the next restart.
pub fn journal(bytes: &[u8]) {
    let Some((how, patches)) = bytes.split_first() else {
        return;
    };
    let mut content = match how & 1 {
        0 => used().to_vec(),
        _ => vec![0xff; SECTORS * SECTOR],
    };
    let (patches, raw) = patches.split_at(patches.len().min(usize::from(how >> 1) * 4));
    for patch in patches.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([patch[0], patch[1]])) % content.len();
        let length = usize::from(patch[3]) % 64;
        for byte in content.iter_mut().skip(at).take(length) {
            *byte ^= patch[2];
        }
    }
    let length = raw.len().min(content.len());
    content[..length].copy_from_slice(&raw[..length]);

    let mut records = Vec::new();
    let take = |record: &[u8]| records.push(record.to_vec());
    let Ok((mut journal, report)) = now(Journal::mount(Flash::with_bytes(&content), 7, take))
    else {
        return;
    };
    assert_eq!(records.len(), report.records as usize);
    let fresh = b"appended after the damage";
    if now(journal.append([&fresh[..]].into_iter())).is_err() {
        return;
    }
    let mut last = Vec::new();
    let mut flash = journal.into_flash();
    assert_eq!(flash.broken_rules(), 0, "a word was programmed twice");
    flash.power_on();
    let again = now(Journal::mount(flash, 7, |record| last = record.to_vec()));
    assert!(again.is_ok(), "it mounted before: {:?}", again.err());
    assert_eq!(last, fresh, "what was acknowledged is gone");
}

/// A controller that takes up these records.
fn restored(records: Vec<Vec<u8>>, at: Instant) -> Controller<Box<TestRack>, MemoryStore, Random> {
    let mut store = MemoryStore::new();
    store.records = records;
    let mut controller = Controller::new(Box::new(Rack::new()), store, Random::new(1, 0));
    let configured = controller.configure(Config::default(), Some(&IDENTITY));
    assert_eq!(configured, Ok(()));
    assert!(ready(controller.restore(at)).is_ok());
    controller
}

/// Records behind their lengths, as a flash with lost bits or a copy of another
/// journal has them. The rack takes up what it understands, and goes on.
pub fn records(bytes: &[u8]) {
    let mut records = Vec::new();
    let mut rest = bytes;
    while let [length, tail @ ..] = rest {
        let (record, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        records.push(record.to_vec());
        rest = tail;
    }
    let mut at = Instant::from_millis(1000);
    let mut controller = restored(records, at);
    for _ in 0..40 {
        at = at.plus_millis(60_000);
        assert_eq!(ready(controller.step(at, Input::Tick)), Ok(()));
    }
    let mut room = [0; MAX_RECORD];
    let mut from = 0;
    while let Some((place, length)) = controller.rack().snapshot(at, from, &mut room) {
        assert!(length <= room.len() && place >= from);
        let Some(next) = place.checked_add(1) else {
            break;
        };
        from = next;
    }
}

/// The records of a rack in work, for the corpus.
pub(crate) fn real_records() -> Vec<Vec<u8>> {
    let mut lab = Lab::new();
    lab.discover(1);
    lab.records().to_vec()
}

/// A configuration of the asset store: one that is accepted is written as it
/// was read.
pub fn config(bytes: &[u8]) {
    let Ok(config) = postcard::from_bytes::<Config>(bytes) else {
        return;
    };
    let written = postcard::to_stdvec(&config).expect("it is short");
    assert_eq!(
        postcard::from_bytes::<Config>(&written).ok(),
        Some(config.clone())
    );
    if config.check().is_ok() {
        let mut rack: Box<TestRack> = Box::new(Rack::new());
        let configured = rack.configure(config.clone(), Some(&IDENTITY), &mut Random::new(1, 0));
        assert_eq!(configured, Ok(()));
        assert!(config.on_link(config.address));
    }
}
