//! Cuts the power at every operation of a journal: after the mount, all earlier
//! appends are present, and the interrupted append is present as a whole or not
//! at all.

mod table;

use farrier_journal::sim::{Cut, now};
use table::{Random, Small, StoredTable, Table};

const STEPS: usize = 420;

fn with<const WORD: usize>(table: Table, changes: &[(usize, u32)]) -> Table {
    let mut table = table;
    for (key, value) in changes {
        table[*key] = *value;
    }
    let _ = WORD;
    table
}

/// Runs the workload until the cut. Returns the flash, the acknowledged table, the
/// table with the interrupted append, and whether the cut happened.
fn run_until_cut<const WORD: usize>(
    seed: u64,
    at: u64,
    cut: Cut,
) -> (Small<WORD>, Table, Table, bool) {
    let mut random = Random(seed);
    let mut flash = Small::<WORD>::new(8);
    flash.cut_after(at, cut);
    let Ok(mut stored) = StoredTable::mount(flash.clone()) else {
        // The cut hit the creation of the journal. The mount dropped the flash,
        // so the test applies the operations again.
        return (flash, [0; table::KEYS], [0; table::KEYS], true);
    };
    for step in 0..STEPS {
        // Sometimes the appliance restarts without a cut.
        if step % 97 == 96 {
            let acknowledged = stored.table;
            let flash = stored.journal.into_flash();
            stored = match StoredTable::mount(flash.clone()) {
                Ok(stored) => stored,
                Err(_) => return (flash, acknowledged, acknowledged, true),
            };
            assert_eq!(stored.table, acknowledged, "a restart without a cut");
            assert_eq!(stored.mounted.damaged, 0);
        }
        let changes = random.changes();
        let acknowledged = stored.table;
        if stored.change(&changes).is_err() {
            let may = with::<WORD>(acknowledged, &changes);
            return (stored.journal.into_flash(), acknowledged, may, false);
        }
        if stored.maintain().is_err() {
            let table = stored.table;
            return (stored.journal.into_flash(), table, table, false);
        }
    }
    assert_eq!(stored.journal.flash().broken_rules(), 0);
    let table = stored.table;
    (stored.journal.into_flash(), table, table, true)
}

fn check(table: Table, acknowledged: Table, may: Table, what: &str) {
    assert!(
        table == acknowledged || table == may,
        "{what}: lost or torn"
    );
}

fn every_cut<const WORD: usize>(seed: u64) -> (u64, u64) {
    let (whole, ..) = run_until_cut::<WORD>(seed, u64::MAX / 2, Cut::Clean);
    let total = whole.operations();
    let mut points = 0;
    for at in (seed % 5..total).step_by(5) {
        let cut = match at % 4 {
            0 => Cut::Clean,
            1 | 2 => Cut::Torn(at ^ seed),
            _ => Cut::Weak(at ^ seed),
        };
        let (mut flash, acknowledged, may, lost) = run_until_cut::<WORD>(seed, at, cut);
        if lost {
            continue;
        }
        flash.power_on();
        points += 1;
        // A second cut hits the recovery.
        let again = at % 37;
        let mut twice = flash.clone();
        twice.cut_after(again, Cut::Weak(at));
        if let Ok(mut stored) = StoredTable::mount(twice.clone()) {
            check(stored.table, acknowledged, may, "second cut");
            let table = stored.table;
            if stored.maintain().is_ok() {
                let _maybe = stored.change(&[(0, 77)]);
            }
            let mut flash = stored.journal.into_flash();
            flash.power_on();
            let stored = StoredTable::mount(flash).expect("third mount");
            check(
                stored.table,
                table,
                with::<WORD>(table, &[(0, 77)]),
                "third mount",
            );
        }
        let mut stored = StoredTable::mount(flash).expect("a mount after a cut");
        check(stored.table, acknowledged, may, "first mount");
        assert_eq!(stored.mounted.damaged, 0, "a cut is no damage, at {at}");
        // Later mounts find the same table, and appends continue.
        let found = stored.table;
        stored
            .change(&[(1, 5), (2, 6)])
            .expect("an append after the recovery");
        stored.maintain().expect("an append after the recovery");
        let want = with::<WORD>(found, &[(1, 5), (2, 6)]);
        let flash = stored.journal.into_flash();
        assert_eq!(flash.broken_rules(), 0, "at {at}");
        for _ in 0..3 {
            let stored = StoredTable::mount(flash.clone()).expect("mounts again");
            assert_eq!(stored.table, want, "at {at}, {cut:?}");
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

/// One bit in the last word of an append reads differently each time, so a
/// mount may take the append for valid, then for void, and the next one for
/// valid again. The append before it was acknowledged.
#[test]
fn a_frame_that_wavers_does_not_take_the_one_before_it_away() {
    for seed in 0..8_000 {
        let mut stored = StoredTable::mount(Small::<8>::new(8)).expect("a new journal");
        stored.change(&[(0, 7)]).expect("an append");
        let acknowledged = stored.table;
        let may = with::<8>(acknowledged, &[(1, 8)]);
        let mut long = vec![1, 8, 0, 0, 0];
        long.resize(13 + (seed % 8) as usize, 0xff);
        long.push(0xfe);
        let flash = stored.journal.flash_mut();
        flash.cut_after(2 + seed / 8 % 4, Cut::Weak(seed));
        if now(stored.journal.append([&long[..]].into_iter())).is_ok() {
            continue;
        }
        let mut flash = stored.journal.into_flash();
        flash.power_on();
        for mount in 0..5 {
            let stored = StoredTable::mount(flash).expect("a mount after a cut");
            let what = format!("seed {seed}, mount {mount}");
            check(stored.table, acknowledged, may, &what);
            flash = stored.journal.into_flash();
        }
    }
}
