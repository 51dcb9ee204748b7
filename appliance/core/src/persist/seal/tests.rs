use super::*;

const SECRETS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

/// With a first key.
fn begun() -> Sealing {
    let mut sealing = Sealing::new();
    sealing.set_keys(&[NO_KEY; 2]);
    assert_eq!(sealing.change(Instant::START), Some(KeyChange::Write(1)));
    sealing.changed(1, &[9; 32]);
    assert_eq!(sealing.change(Instant::START), None, "a record comes first");
    assert!(sealing.begin(Instant::START).is_some());
    assert!(sealing.resealed().is_some());
    sealing
}

#[test]
fn opens_with_the_same_key_for_the_same_thing_only() {
    let sealing = begun();
    let sealed = sealing.seal(b"node 1", SECRETS).unwrap();
    assert_ne!(sealed.body, SECRETS);
    assert_eq!(sealing.open(b"node 1", &sealed), Some(SECRETS));
    assert_eq!(sealing.open(b"node 2", &sealed), None);
    let mut changed = sealed;
    changed.body[1][31] ^= 1;
    assert_eq!(sealing.open(b"node 1", &changed), None);
    let mut other = Sealing::new();
    other.set_keys(&[NO_KEY, [8; 32]]);
    assert_eq!(other.open(b"node 1", &sealed), None);
    other.set_keys(&[NO_KEY, [9; 32]]);
    assert_eq!(other.open(b"node 1", &sealed), Some(SECRETS));
}

#[test]
fn equal_content_is_sealed_equally_and_other_content_with_another_nonce() {
    let sealing = begun();
    let sealed = sealing.seal(b"a", SECRETS).unwrap();
    assert_eq!(sealing.seal(b"a", SECRETS), Some(sealed));
    let other = sealing.seal(b"a", [[1; 32], [3; 32]]).unwrap();
    assert_ne!(other.nonce, sealed.nonce);
    assert_ne!(sealing.seal(b"b", SECRETS).unwrap().nonce, sealed.nonce);
}

#[test]
fn seals_nothing_without_a_key() {
    let mut sealing = Sealing::new();
    assert_eq!(sealing.seal(b"a", SECRETS), None);
    // A place whose write was torn, and a record that knows another key.
    sealing.set_keys(&[[1; 32], [2; 32]]);
    sealing.restore(1, [0; 8], false);
    sealing.restored(Instant::START);
    assert_eq!(sealing.seal(b"a", SECRETS), None);
    assert_eq!(sealing.change(Instant::START), Some(KeyChange::Write(0)));
}

#[test]
fn a_key_without_a_record_is_erased() {
    let begun = begun();
    let mut sealing = Sealing::new();
    sealing.set_keys(&[[1; 32], [9; 32]]);
    sealing.restore(1, begun.check, false);
    sealing.restored(Instant::START);
    assert_eq!(sealing.change(Instant::START), Some(KeyChange::Erase(0)));
    sealing.changed(0, &NO_KEY);
    assert_eq!(sealing.change(Instant::START), None);
}

#[test]
fn the_key_before_stays_until_all_is_sealed_anew() {
    let mut sealing = begun();
    let old = sealing.seal(b"a", SECRETS).unwrap();
    sealing.note_end();
    assert_eq!(sealing.change(Instant::START), None, "not more than hourly");
    let later = Instant::from_millis(LEAST_EPOCH_MILLIS);
    assert_eq!(sealing.wake_at(), Some(later));
    assert_eq!(sealing.change(later), Some(KeyChange::Write(0)));
    sealing.changed(0, &[7; 32]);
    let Some(Record::SealingKey {
        epoch,
        check,
        old: both,
    }) = sealing.begin(later)
    else {
        panic!("no record");
    };
    assert_eq!((epoch, both), (2, true));
    assert_eq!(sealing.change(later), None);
    // After a restart both are needed.
    let mut restarted = Sealing::new();
    restarted.set_keys(&[[7; 32], [9; 32]]);
    assert_eq!(restarted.open(b"a", &old), Some(SECRETS));
    restarted.restore(epoch, check, both);
    restarted.restored(Instant::START);
    assert_eq!(restarted.resealing, Resealing::At(0));
    assert_eq!(restarted.change(Instant::START), None);
    restarted.resealed();
    assert_eq!(restarted.change(Instant::START), Some(KeyChange::Erase(1)));
    restarted.changed(1, &NO_KEY);
    assert_eq!(restarted.open(b"a", &old), None, "for good");
}
