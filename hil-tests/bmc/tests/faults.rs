//! The client against every fault of the BMC: it gets through, it counts what it
//! drops, and it is not deceived.

mod common;

use common::{Lab, Said, credentials, deploy, flags, settings};
use farrier_bmc::{Config, Every, Faults};
use farrier_ipmi::command::Command;
use farrier_ipmi::command::chassis::{BootDevice, ChassisControl};
use farrier_ipmi::{Completion, Failure, Settings, Suites};

fn each(suite: Suites, faults: Faults) -> Lab {
    let settings = Settings {
        suites: suite,
        ..settings()
    };
    let mut lab = Lab::with(Config::default(), credentials(), settings);
    lab.bmc.faults = faults;
    deploy(&mut lab);
    lab
}

fn both(faults: Faults, check: impl Fn(&Lab)) {
    for suites in [Suites::Strong, Suites::Sha1] {
        check(&each(suites, faults));
    }
}

#[test]
fn lost_datagrams_are_sent_again() {
    for n in 2..=5 {
        let lossy = Every::new(n);
        both(
            Faults {
                lose_in: lossy,
                ..Faults::default()
            },
            |lab| assert!(lab.client.counters().repeated > 1),
        );
        both(
            Faults {
                lose_out: lossy,
                ..Faults::default()
            },
            |lab| assert!(lab.client.counters().repeated > 1),
        );
        both(
            Faults {
                lose_in: Every::new(n),
                lose_out: Every::new(n + 1),
                ..Faults::default()
            },
            |lab| assert!(lab.client.counters().repeated > 2),
        );
    }
}

#[test]
fn a_bmc_that_takes_each_message_once_gets_another_session() {
    for n in 1..=8 {
        for (lose_in, lose_out) in [
            (Every::once(n), Every::default()),
            (Every::default(), Every::once(n)),
            (Every::once(n), Every::once(n + 1)),
        ] {
            both(
                Faults {
                    lose_in,
                    lose_out,
                    strict_opening: true,
                    ..Faults::default()
                },
                |lab| {
                    assert_eq!(lab.client.counters().sessions, 1);
                    assert!(!lab.said.iter().any(|it| matches!(it, Said::Failed(_))));
                },
            );
        }
    }
}

#[test]
fn late_and_disordered_answers_are_taken_once() {
    both(
        Faults {
            delay_ms: 700,
            reorder: Every::new(2),
            ..Faults::default()
        },
        |lab| assert_eq!(lab.client.counters().forged, 0),
    );
    both(
        Faults {
            delay_ms: 2500,
            ..Faults::default()
        },
        |lab| assert!(lab.client.counters().repeated > 5),
    );
}

#[test]
fn repeated_answers_are_dropped() {
    both(
        Faults {
            replay: Every::new(1),
            ..Faults::default()
        },
        |lab| {
            let counters = lab.client.counters();
            assert!(counters.replayed >= 10, "{counters:?}");
            assert_eq!(counters.repeated, 0);
        },
    );
}

#[test]
fn answers_that_are_cut_off_are_dropped() {
    both(
        Faults {
            truncate: Every::new(2),
            ..Faults::default()
        },
        |lab| assert!(lab.client.counters().truncated >= 8),
    );
}

#[test]
fn forged_answers_are_dropped() {
    both(
        Faults {
            corrupt: Every::new(2),
            ..Faults::default()
        },
        |lab| {
            let counters = lab.client.counters();
            assert!(counters.forged >= 4, "{counters:?}");
        },
    );
    both(
        Faults {
            unprotected: Every::new(2),
            ..Faults::default()
        },
        |lab| assert!(lab.client.counters().forged >= 8),
    );
}

#[test]
fn answers_to_others_are_dropped() {
    both(
        Faults {
            other_session: Every::new(2),
            ..Faults::default()
        },
        |lab| assert!(lab.client.counters().other_session >= 8),
    );
    both(
        Faults {
            other_number: Every::new(2),
            ..Faults::default()
        },
        |lab| assert!(lab.client.counters().other_request >= 8),
    );
    both(
        Faults {
            other_command: Every::new(2),
            ..Faults::default()
        },
        |lab| assert!(lab.client.counters().other_request >= 8),
    );
    // Also before there is a session.
    let mut lab = Lab::faulty(Faults {
        other_session: Every::new(2),
        ..Faults::default()
    });
    lab.client.open();
    lab.run(60_000, &mut |event| *event == farrier_ipmi::Event::Up);
    assert!(lab.client.counters().other_session >= 2);
}

#[test]
fn an_answer_to_an_earlier_rakp_1_is_of_no_use() {
    both(
        Faults {
            fresh_random: true,
            delay_ms: 1500,
            ..Faults::default()
        },
        |lab| {
            assert_eq!(lab.client.counters().sessions, 1);
            assert!(!lab.said.iter().any(|it| matches!(it, Said::Failed(_))));
        },
    );
}

#[test]
fn refused_boot_flags_leave_no_claim() {
    let mut lab = Lab::faulty(Faults {
        refuse_boot_flags: true,
        ..Faults::default()
    });
    let refused = lab.ask(Command::SetBootFlags(flags(BootDevice::Pxe, true, true)));
    assert_eq!(refused, Err(Failure::Completion(Completion::INVALID_FIELD)));
    assert!(!lab.bmc.has_boot_claim());
}

#[test]
fn forged_refusals_do_not_end_an_opening() {
    both(
        Faults {
            forged_refusals: true,
            ..Faults::default()
        },
        |lab| {
            let counters = lab.client.counters();
            assert_eq!((counters.sessions, counters.repeated), (1, 0));
        },
    );
}

#[test]
fn all_of_it_at_once_still_ends() {
    for seed in 1..20 {
        let config = Config {
            seed,
            ..Config::default()
        };
        let mut lab = Lab::with(config, credentials(), settings());
        let n = u32::try_from(seed).unwrap();
        lab.bmc.faults = Faults {
            lose_in: Every::new(7 + n % 3),
            lose_out: Every::new(6 + n % 5),
            delay_ms: 100 * seed,
            reorder: Every::new(5),
            replay: Every::new(3),
            truncate: Every::new(11),
            corrupt: Every::new(9),
            other_session: Every::new(8),
            other_number: Every::new(10),
            unprotected: Every::new(12),
            busy: Every::new(6),
            ..Faults::default()
        };
        deploy(&mut lab);
    }
}

#[test]
fn a_busy_bmc_is_asked_again() {
    both(
        Faults {
            busy: Every::new(2),
            ..Faults::default()
        },
        |lab| {
            assert_eq!(lab.client.counters().repeated, 0);
            assert!(!lab.said.iter().any(|it| matches!(it, Said::Failed(_))));
        },
    );
    // One that stays busy says so.
    let mut lab = Lab::faulty(Faults {
        busy: Every::new(1),
        ..Faults::default()
    });
    lab.client.request(Command::ChassisStatus).unwrap();
    lab.pass(120_000);
    // It does not give the session its privilege either.
    let busy = Failure::Completion(Completion::BUSY);
    assert_eq!(lab.said[0], Said::Failed(busy));
    let mut lab = Lab::new();
    lab.status().unwrap();
    lab.bmc.faults.busy = Every::new(1);
    assert_eq!(lab.status(), Err(busy), "bounded");
}

#[test]
fn a_reset_of_the_bmc_is_seen() {
    for (before, after, carried_out) in [(1, 0, 0), (0, 1, 1)] {
        let mut lab = Lab::new();
        lab.status().unwrap();
        lab.bmc.faults.reset_before = Every::new(before);
        lab.bmc.faults.reset_after = Every::new(after);
        // Nobody can tell the two apart.
        assert_eq!(lab.control(ChassisControl::On), Err(Failure::Lost));
        assert_eq!(lab.bmc.machine.done.len(), carried_out);
        assert_eq!(lab.bmc.resets(), 1);
        lab.bmc.faults = Faults::default();
        assert_eq!(lab.status().unwrap().is_on(), carried_out == 1);
        assert_eq!(lab.client.counters().sessions, 2);
    }
}

#[test]
fn resets_of_the_bmc_do_not_end_a_deployment() {
    let mut lab = Lab::faulty(Faults {
        reset_before: Every::new(5),
        reset_after: Every::new(7),
        ..Faults::default()
    });
    deploy(&mut lab);
    assert!(lab.bmc.resets() > 2);
}

#[test]
fn a_bmc_that_only_says_yes_is_found_out_by_its_state() {
    let mut lab = Lab::faulty(Faults {
        ignore_control: true,
        ignore_boot_flags: true,
        ..Faults::default()
    });
    lab.control(ChassisControl::On).unwrap();
    assert!(!lab.status().unwrap().is_on());
    lab.ask(Command::SetBootFlags(flags(BootDevice::Pxe, false, true)))
        .unwrap();
    assert_eq!(lab.boot_flags().unwrap().device, BootDevice::Default);
}

#[test]
fn an_old_state_becomes_the_new_one() {
    let mut lab = Lab::faulty(Faults {
        stale_power_ms: 8000,
        ..Faults::default()
    });
    lab.control(ChassisControl::On).unwrap();
    assert!(!lab.status().unwrap().is_on());
    lab.pass(8000);
    assert!(lab.status().unwrap().is_on());
}

#[test]
fn a_lost_boot_order_shows_in_the_machine_alone() {
    let mut lab = Lab::faulty(Faults {
        lose_boot_flags: true,
        ..Faults::default()
    });
    let pxe = flags(BootDevice::Pxe, true, true);
    lab.ask(Command::SetBootFlags(pxe)).unwrap();
    assert_eq!(lab.boot_flags(), Ok(pxe));
    lab.control(ChassisControl::On).unwrap();
    assert_eq!(
        lab.bmc.machine.booted.map(|flags| flags.device),
        Some(BootDevice::Default)
    );
    assert!(!lab.boot_flags().unwrap().valid);
}
