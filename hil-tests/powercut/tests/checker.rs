//! The shipping journal survives every cut; stores with a known fault are
//! caught.

use farrier_lifecycle::ProvisionState;
use farrier_powercut::store::{Hasty, Sound, Unchecked};
use farrier_powercut::workload;

#[test]
fn nothing_is_lost() {
    let tally = farrier_powercut::run(1, 2_500, |_| {});
    assert_eq!(tally.lost, 0, "{:#?}", tally.findings);
    assert!(tally.cut_points >= 2_500);
    assert!(tally.second_cuts > 300, "{tally:?}");
    assert!(tally.power_checks > 0, "{tally:?}");
}

#[test]
fn work_goes_on_over_restarts() {
    let tally = workload::run::<8, Sound<8>>(5, 0, 8_000);
    assert_eq!(tally.lost, 0, "{:#?}", tally.findings);
    for state in [
        ProvisionState::Available,
        ProvisionState::Active,
        ProvisionState::CleanFailed,
    ] {
        assert!(
            tally.states >> state as u8 & 1 == 1,
            "never {state}: {tally:?}"
        );
    }
    assert!(tally.restarts > 10 && tally.continued > 20, "{tally:?}");
    assert!(
        tally.wear > 3,
        "the journal went around the chip: {tally:?}"
    );
}

#[test]
fn effects_before_their_records_are_caught() {
    let tally = workload::run::<4, Hasty<4>>(1, 300, 1000);
    assert!(tally.lost > 0, "{tally:?}");
}

#[test]
fn records_without_a_checksum_are_caught() {
    let tally = workload::run::<4, Unchecked<4>>(1, 600, 1000);
    assert!(tally.lost > 0, "{tally:?}");
}
