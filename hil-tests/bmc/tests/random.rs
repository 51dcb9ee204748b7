//! Random faults, and what holds under all of them.

mod common;

use common::{Lab, Said, credentials, settings};
use farrier_bmc::{Bmc, Config, Every, Faults, VirtualMachine};
use farrier_ipmi::command::chassis::ChassisControl;
use farrier_ipmi::command::{Answer, Command};
use farrier_ipmi::{Settings, Suites};
use proptest::prelude::*;

/// Seldom often enough that nothing gets through.
fn every() -> impl Strategy<Value = Every> {
    prop_oneof![3 => Just(0_u32), 2 => 3_u32..12].prop_map(Every::new)
}

fn way() -> impl Strategy<Value = Faults> {
    let delays = prop_oneof![Just(0_u64), 0_u64..3000];
    (every(), every(), delays, every(), every(), every(), every()).prop_map(
        |(lose_in, lose_out, delay_ms, reorder, replay, truncate, corrupt)| Faults {
            lose_in,
            lose_out,
            delay_ms,
            reorder,
            replay,
            truncate,
            corrupt,
            ..Faults::default()
        },
    )
}

fn faults() -> impl Strategy<Value = Faults> {
    let of_bmc = (every(), every(), every(), every(), every(), every());
    (way(), of_bmc, any::<bool>(), 0_u64..20_000).prop_map(
        |(way, of_bmc, forged_refusals, stale_power_ms)| {
            let (other_session, other_number, unprotected, busy, before, after) = of_bmc;
            Faults {
                other_session,
                other_number,
                unprotected,
                busy,
                reset_before: before,
                reset_after: after,
                forged_refusals,
                stale_power_ms,
                ..way
            }
        },
    )
}

fn lab(faults: Faults, seed: u64, suites: Suites) -> Lab {
    let config = Config {
        seed,
        ..Config::default()
    };
    let settings = Settings {
        suites,
        ..settings()
    };
    let mut lab = Lab::with(config, credentials(), settings);
    lab.bmc.faults = faults;
    lab
}

fn suites() -> impl Strategy<Value = Suites> {
    prop_oneof![
        Just(Suites::Strong),
        Just(Suites::StrongOrSha1),
        Just(Suites::Sha1)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(200)
    })]

    /// Every command ends, in a time that has a bound. What a status says is true
    /// now or was until the state that the BMC tells became an old one, and a
    /// command that is done reached the machine.
    #[test]
    fn every_command_ends_and_no_answer_is_untrue(
        faults in faults(),
        seed in any::<u64>(),
        suites in suites(),
        verbs in proptest::collection::vec(0_u8..3, 1..12),
    ) {
        let mut lab = lab(faults, seed, suites);
        let mut last_change_ms = 0;
        for verb in verbs {
            let begin_ms = lab.now_ms;
            match verb {
                0 => {
                    if let Ok(status) = lab.status() {
                        let told_ms = faults.stale_power_ms + 20_000;
                        if lab.now_ms > last_change_ms + told_ms {
                            prop_assert_eq!(status.is_on(), is_on(&lab));
                        }
                    }
                }
                1 => {
                    if lab.control(ChassisControl::On).is_ok() {
                        prop_assert!(is_on(&lab));
                    }
                    last_change_ms = lab.now_ms;
                }
                _ => {
                    if lab.control(ChassisControl::Off).is_ok() {
                        prop_assert!(!is_on(&lab));
                    }
                    last_change_ms = lab.now_ms;
                }
            }
            prop_assert!(lab.now_ms - begin_ms < 120_000);
        }
    }

    /// A kept session comes back when the faults end.
    #[test]
    fn a_kept_session_comes_back(
        faults in faults(),
        seed in any::<u64>(),
        suites in suites(),
        silent in any::<bool>(),
    ) {
        let mut lab = lab(Faults { silent, ..faults }, seed, suites);
        lab.client.open();
        lab.pass(200_000);
        lab.bmc.faults = Faults::default();
        let is_final = |said: &Said| matches!(said, Said::Down(_, None));
        if lab.said.iter().any(is_final) {
            // Wrong codes or refusals came twice, and the BMC's own answers got lost:
            // its owner has to say that it may go on.
            prop_assert!(faults.corrupt.each > 0 || faults.forged_refusals, "{:?}", lab.said);
            lab.client.open();
        }
        lab.pass(460_000);
        prop_assert!(lab.client.is_open(), "{:?}", lab.said);
        prop_assert_eq!(lab.ask(Command::ChassisStatus).is_ok(), true);
    }

    /// The console brings every character once and in its order, or ends. What the BMC
    /// gives up after its repetitions it says.
    #[test]
    fn characters_are_neither_lost_nor_doubled(
        way in way(),
        seed in any::<u64>(),
        len in 1_usize..600,
        room in proptest::option::of(1_usize..40),
        payload in 5_u16..250,
    ) {
        let mut lab = lab(Faults::default(), seed, Suites::Strong);
        lab.bmc = Bmc::new(
            Config { console_payload: payload, seed, ..Config::default() },
            VirtualMachine::new(),
        );
        lab.control(ChassisControl::On).unwrap();
        let Ok(Answer::ConsoleActive(_)) = lab.ask(Command::ActivateConsole) else {
            panic!("a console");
        };
        lab.pass(1000);
        lab.console.clear();
        lab.bmc.machine.console_room = room;
        lab.bmc.faults = way;
        let text: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let mut rest = &text[..];
        for _ in 0..100_000 {
            rest = &rest[lab.client.console_write(rest)..];
            if !lab.client.has_console() || rest.is_empty() && lab.client.console_is_flushed() {
                break;
            }
            lab.pass(50);
        }
        lab.pass(120_000);
        prop_assert!(text.starts_with(&lab.bmc.machine.heard));
        if lab.client.has_console() {
            prop_assert_eq!(&lab.bmc.machine.heard, &text);
        }
        // The last characters of all have none behind them.
        lab.bmc.faults = Faults::default();
        lab.bmc.machine.say(b"!");
        lab.pass(10_000);
        if lab.said.contains(&Said::Overrun) {
            // The rest is there once, and in its order.
            let mut all = text.iter();
            let came = lab.console.strip_suffix(b"!").unwrap_or(&lab.console);
            prop_assert!(came.iter().all(|byte| all.any(|it| it == byte)));
        } else if lab.client.has_console() {
            prop_assert_eq!(lab.console.strip_suffix(b"!"), Some(&text[..]));
        } else {
            prop_assert!(text.starts_with(&lab.console));
        }
    }
}

fn is_on(lab: &Lab) -> bool {
    use farrier_bmc::Machine as _;
    lab.bmc.machine.clone().is_on()
}
