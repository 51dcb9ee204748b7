//! The command line of `cargo xtask sim` knows this crate's words.

use farrier_simulator::faults::Fault;
use farrier_simulator::scenario;
use xtask::simulator::{BUGS, FAULTS, SCENARIOS};

#[test]
fn the_command_line_has_all_kinds_of_faults_and_all_scenarios() {
    assert_eq!(FAULTS, Fault::ALL.map(Fault::name));
    assert_eq!(SCENARIOS, scenario::ALL.map(|scenario| scenario.name));
}

#[test]
fn every_known_bug_has_its_scenario() {
    for bug in BUGS {
        assert!(SCENARIOS.contains(bug), "{bug}");
    }
}
