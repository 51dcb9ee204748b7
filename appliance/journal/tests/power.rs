//! Every operation of a journal's life is cut: what was appended before is
//! there afterwards, what was being appended is there whole or not at all.

mod owner;

use farrier_journal::sim::Cut;
use owner::{Owner, Random, Small, Table};

const STEPS: usize = 420;

fn with<const WORD: usize>(table: Table, changes: &[(usize, u32)]) -> Table {
    let mut table = table;
    for (key, value) in changes {
        table[*key] = *value;
    }
    let _ = WORD;
    table
}

/// Lives until the cut; returns the flash, what was promised, and what may
/// have come about beside it.
fn live<const WORD: usize>(seed: u64, at: u64, cut: Cut) -> (Small<WORD>, Table, Table, bool) {
    let mut random = Random(seed);
    let mut flash = Small::<WORD>::new(8);
    flash.cut_after(at, cut);
    let Ok(mut owner) = Owner::mount(flash.clone()) else {
        // Cut while the journal was made: the flash is lost with the mount,
        // so the cut is played again by hand.
        return (flash, [0; owner::KEYS], [0; owner::KEYS], true);
    };
    for step in 0..STEPS {
        // Now and then the appliance restarts without a cut in the flash.
        if step % 97 == 96 {
            let promised = owner.table;
            let flash = owner.journal.into_flash();
            owner = match Owner::mount(flash.clone()) {
                Ok(owner) => owner,
                Err(_) => return (flash, promised, promised, true),
            };
            assert_eq!(owner.table, promised, "a restart without a cut");
            assert_eq!(owner.mounted.damaged, 0);
        }
        let changes = random.changes();
        let promised = owner.table;
        if owner.change(&changes).is_err() {
            let may = with::<WORD>(promised, &changes);
            return (owner.journal.into_flash(), promised, may, false);
        }
        if owner.maintain().is_err() {
            let table = owner.table;
            return (owner.journal.into_flash(), table, table, false);
        }
    }
    assert_eq!(owner.journal.flash().broken_rules(), 0);
    let table = owner.table;
    (owner.journal.into_flash(), table, table, true)
}

fn check(table: Table, promised: Table, may: Table, what: &str) {
    assert!(table == promised || table == may, "{what}: lost or torn");
}

fn every_cut<const WORD: usize>(seed: u64) -> (u64, u64) {
    let (whole, ..) = live::<WORD>(seed, u64::MAX / 2, Cut::Clean);
    let total = whole.operations();
    let mut points = 0;
    for at in (seed % 5..total).step_by(5) {
        let cut = match at % 4 {
            0 => Cut::Clean,
            1 | 2 => Cut::Torn(at ^ seed),
            _ => Cut::Weak(at ^ seed),
        };
        let (mut flash, promised, may, lost) = live::<WORD>(seed, at, cut);
        if lost {
            continue;
        }
        flash.power_on();
        points += 1;
        // The recovery is cut as well, at some operation of it.
        let again = at % 37;
        let mut twice = flash.clone();
        twice.cut_after(again, Cut::Weak(at));
        if let Ok(mut owner) = Owner::mount(twice.clone()) {
            check(owner.table, promised, may, "second cut");
            let table = owner.table;
            if owner.maintain().is_ok() {
                let _maybe = owner.change(&[(0, 77)]);
            }
            let mut flash = owner.journal.into_flash();
            flash.power_on();
            let owner = Owner::mount(flash).expect("third mount");
            check(
                owner.table,
                table,
                with::<WORD>(table, &[(0, 77)]),
                "third mount",
            );
        }
        let mut owner = Owner::mount(flash).expect("a mount after a cut");
        check(owner.table, promised, may, "first mount");
        assert_eq!(owner.mounted.damaged, 0, "a cut is no damage, at {at}");
        // What is found once is found for ever, and life goes on.
        let found = owner.table;
        owner.change(&[(1, 5), (2, 6)]).expect("life goes on");
        owner.maintain().expect("life goes on");
        let want = with::<WORD>(found, &[(1, 5), (2, 6)]);
        let flash = owner.journal.into_flash();
        assert_eq!(flash.broken_rules(), 0, "at {at}");
        for _ in 0..3 {
            let owner = Owner::mount(flash.clone()).expect("mounts again");
            assert_eq!(owner.table, want, "at {at}, {cut:?}");
        }
    }
    (points, total)
}

#[test]
fn words_of_four_bytes() {
    let (points, total) = every_cut::<4>(1);
    assert!(points > 700 && total > 3000, "{points} of {total}");
}

#[test]
fn words_of_eight_bytes() {
    let (points, _) = every_cut::<8>(2);
    assert!(points > 400, "{points}");
}

#[test]
fn words_of_thirty_two_bytes() {
    let (points, _) = every_cut::<32>(3);
    assert!(points > 200, "{points}");
}
