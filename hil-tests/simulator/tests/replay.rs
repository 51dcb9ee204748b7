//! A run is repeated bit by bit from its seed, and every scenario passes.

use farrier_simulator::faults::{Fault, Kinds};
use farrier_simulator::hostile::Kind;
use farrier_simulator::report::Report;
use farrier_simulator::run::{command, run, run_all, run_frames, shrink};
use farrier_simulator::scenario;
use farrier_simulator::simulation::Options;

fn small(seed: u64) -> Options {
    Options {
        nodes: 6,
        hours: 3,
        ..Options::new(seed)
    }
}

#[test]
fn same_seed_is_the_same_run() {
    let seeds = [1, 2];
    let twice = [1, 2].map(|threads| run_all(small(0), &seeds, threads, &|_| {}));
    for (first, second) in twice[0].iter().zip(&twice[1]) {
        assert_eq!(first.violation, None, "{}", command(&first.options));
        assert_eq!(first.digest, second.digest, "seed {}", first.options.seed);
        assert_eq!(first.events, second.events);
        assert_eq!(first.faults, second.faults);
    }
    assert_ne!(twice[0][0].digest, twice[0][1].digest);
    assert!(twice[0].iter().all(|outcome| outcome.cleaned > 0));
}

#[test]
fn only_allowed_faults_strike() {
    let outcome = run(small(3));
    assert!(outcome.faults[Fault::Loss as usize] > 0);
    assert!(outcome.faults[Fault::Reorder as usize] > 0);
    let outcome = run(Options {
        kinds: Kinds::NONE,
        ..small(3)
    });
    assert_eq!(outcome.faults.iter().sum::<u64>(), 0);
    assert_eq!(outcome.violation, None);
}

#[test]
fn every_kind_of_hostile_frame_is_sent_and_none_accepted() {
    let options = Options {
        hostile_frames: Some(6_000),
        ..small(5)
    };
    let (first, second) = (run(options), run(options));
    assert_eq!(first.violation, None);
    assert_eq!(first.digest, second.digest);
    assert_eq!(first.hostile_frames, second.hostile_frames);
    for ((_, name), count) in Kind::ALL.into_iter().zip(first.hostile_frames) {
        assert!(count > 0, "{name}");
    }
}

#[test]
fn racks_follow_until_all_hostile_frames_are_sent() {
    let options = Options {
        hostile_frames: Some(500),
        ..small(0)
    };
    let one = run(Options { seed: 6, ..options });
    let sent: u64 = one.hostile_frames.iter().sum();
    let outcomes = run_frames(options, &[6], 1, sent + 1, &|_| {});
    let seeds: Vec<u64> = outcomes
        .iter()
        .map(|outcome| outcome.options.seed)
        .collect();
    assert_eq!(seeds, [6, 7, 8]);
    // Without the kind of fault it ends as well.
    let none = Options {
        kinds: Kinds::NONE,
        ..options
    };
    assert!(run_frames(none, &[6], 1, 1_200, &|_| {}).len() <= 3);
}

#[test]
fn failing_run_is_shrunk_and_reported() {
    // The violation is made up.
    let mut outcome = run(small(4));
    outcome.violation = Some((1, "as the test expects".into()));
    let report = Report::new(&[outcome.clone()], std::time::Instant::now());
    assert!(report.json().contains("\"ok\": false"));
    assert!(report.json().contains("--seed 4 --nodes 6 --hours 3"));
    // A run that does not fail again stays as it is.
    assert_eq!(shrink(&outcome, 3).options, outcome.options);
}

#[test]
fn every_scenario_passes() {
    for scenario in scenario::ALL {
        assert_eq!((scenario.run)(), Ok(()), "{}", scenario.name);
    }
}
