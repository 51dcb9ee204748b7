//! Operations over IPMI with every fault of the BMC.

mod common;

use common::ipmi::Rig;
use common::{LOOK, NETWORK, NMI, from, power};
use farrier_bmc::{Config, Done, Every, Faults, User, WrongKey};
use farrier_ipmi::command::chassis::BootDevice as Flag;
use farrier_ipmi::suite::Suite;
use farrier_ipmi::{Privilege, Suites};
use farrier_power_drivers::PowerAction::{Off, On, Reboot, SoftOff, SoftReboot};
use farrier_power_drivers::{BootSeen, OperationError, PowerState, limits};

#[test]
fn a_bmc_that_ignores_the_boot_device_starts_the_machine() {
    for faults in [
        Faults {
            ignore_boot_flags: true,
            ..Faults::default()
        },
        Faults {
            refuse_boot_flags: true,
            ..Faults::default()
        },
    ] {
        for (action, on) in [(On, false), (Reboot, true)] {
            let mut rig = match on {
                true => Rig::on(faults),
                false => Rig::off(faults),
            };
            let report = rig.does(from(action, NETWORK));
            assert_eq!((report.result, report.power), (Ok(()), PowerState::On));
            assert_eq!(report.boot_device, BootSeen::Own);
            assert!(!report.boot_device.is(NETWORK));
            assert!(report.reason.is_some(), "it says why");
            assert!(rig.is_on());
        }
    }
    // Lost at the start, which nothing shows.
    let mut rig = Rig::off(Faults {
        lose_boot_flags: true,
        ..Faults::default()
    });
    let report = rig.does(from(On, NETWORK));
    assert_eq!((report.result, report.power), (Ok(()), PowerState::On));
    assert_eq!(rig.bmc.machine.done, [Done::On(Flag::Default)]);
}

#[test]
fn a_bmc_that_only_accepts_is_found_out() {
    for (action, on) in [(On, false), (Off, true), (Reboot, true)] {
        let faults = Faults {
            ignore_control: true,
            ..Faults::default()
        };
        let mut rig = match on {
            true => Rig::on(faults),
            false => Rig::off(faults),
        };
        let begin = rig.clock.now;
        let report = rig.power(action);
        assert_eq!(report.result, Err(OperationError::NotApplied), "{action:?}");
        let state = if on { PowerState::On } else { PowerState::Off };
        assert_eq!(report.power, state);
        assert!(rig.clock.now - begin >= 50_000, "it had its time");
    }
}

#[test]
fn an_old_state_is_waited_out() {
    for (action, on) in [(On, false), (Off, true)] {
        let faults = Faults {
            stale_power_ms: 60_000,
            ..Faults::default()
        };
        let mut rig = match on {
            true => Rig::on(faults),
            false => Rig::off(faults),
        };
        rig.within_ms = 120_000;
        let begin = rig.clock.now;
        let report = rig.power(action);
        assert_eq!((report.result, report.power), (Ok(()), action.target()));
        assert!((60_000..70_000).contains(&(rig.clock.now - begin)));
        // Not for longer than the order wants.
        let mut rig = match on {
            true => Rig::on(faults),
            false => Rig::off(faults),
        };
        rig.within_ms = 40_000;
        let report = rig.power(action);
        assert_eq!(report.result, Err(OperationError::NotApplied));
        // It says off, and is on; or the other way round. The next operation asks all
        // the same.
        let back = if on { On } else { Off };
        let report = rig.power(back);
        assert_eq!((report.result, report.power), (Ok(()), back.target()));
        assert_eq!(rig.is_on(), on);
    }
}

#[test]
fn a_restart_waits_for_two_old_states() {
    let mut rig = Rig::on(Faults {
        stale_power_ms: 30_000,
        ..Faults::default()
    });
    rig.within_ms = 90_000;
    let report = rig.does(from(Reboot, NETWORK));
    assert_eq!((report.result, report.power), (Ok(()), PowerState::On));
    assert_eq!(rig.bmc.machine.done, [Done::Off, Done::On(Flag::Pxe)]);
}

#[test]
fn lost_packets_are_made_up_for() {
    for faults in [
        Faults {
            lose_in: Every::new(2),
            ..Faults::default()
        },
        Faults {
            lose_out: Every::new(2),
            ..Faults::default()
        },
        Faults {
            lose_in: Every::new(3),
            lose_out: Every::new(3),
            ..Faults::default()
        },
        Faults {
            truncate: Every::new(2),
            ..Faults::default()
        },
        Faults {
            corrupt: Every::new(3),
            ..Faults::default()
        },
        Faults {
            reorder: Every::new(2),
            delay_ms: 700,
            ..Faults::default()
        },
        Faults {
            replay: Every::new(1),
            ..Faults::default()
        },
        Faults {
            other_session: Every::new(2),
            ..Faults::default()
        },
        Faults {
            other_number: Every::new(2),
            ..Faults::default()
        },
        Faults {
            unprotected: Every::new(2),
            ..Faults::default()
        },
        Faults {
            forged_refusals: true,
            ..Faults::default()
        },
        Faults {
            busy: Every::new(3),
            ..Faults::default()
        },
        Faults {
            no_boot_dance: true,
            strict_opening: true,
            fresh_random: true,
            ..Faults::default()
        },
    ] {
        for action in [On, Off, Reboot] {
            for on in [false, true] {
                let mut rig = match on {
                    true => Rig::on(faults),
                    false => Rig::off(faults),
                };
                let report = rig.does(from(action, NETWORK));
                assert_eq!(report.result, Ok(()), "{action:?} {on} {faults:?}");
                assert_eq!(report.power, action.target());
                assert_eq!(rig.is_on(), action.target() == PowerState::On);
            }
        }
    }
}

#[test]
fn a_reset_of_the_bmc_in_the_middle_is_survived() {
    for (before, after) in [(1, 0), (0, 1)] {
        for action in [On, Off, Reboot] {
            let faults = Faults {
                reset_before: Every::once(before),
                reset_after: Every::once(after),
                ..Faults::default()
            };
            let mut rig = match action {
                On => Rig::off(faults),
                _ => Rig::on(faults),
            };
            let report = rig.power(action);
            assert_eq!(rig.bmc.resets(), 1);
            assert_eq!(
                report.result,
                Ok(()),
                "{before} {after} {action:?} {report:?}"
            );
            assert_eq!(report.power, action.target());
            assert_eq!(rig.is_on(), action.target() == PowerState::On);
            let done = &rig.bmc.machine.done;
            let starts = done.iter().filter(|done| matches!(done, Done::On(_)));
            assert_eq!(starts.count(), usize::from(action != Off), "{done:?}");
        }
    }
    // In the middle of a soft command: it is read, and not sent again.
    for after in [0, 1] {
        let mut rig = Rig::on(Faults {
            reset_before: Every::once(1 - after),
            reset_after: Every::once(after),
            ..Faults::default()
        });
        let report = rig.power(SoftOff);
        let carried_out = after == 1;
        let expected = match carried_out {
            true => (Ok(()), PowerState::Off),
            false => (Err(OperationError::Uncertain), PowerState::On),
        };
        assert_eq!((report.result, report.power), expected);
        let asked = rig.bmc.machine.done.contains(&Done::SoftOff);
        assert_eq!(asked, carried_out);
    }
}

#[test]
fn a_bmc_that_resets_at_every_command_ends_uncertain() {
    let mut rig = Rig::off(Faults {
        reset_before: Every::new(1),
        ..Faults::default()
    });
    rig.within_ms = 200_000;
    let report = rig.power(On);
    assert_eq!(report.result, Err(OperationError::Uncertain));
    assert_eq!(report.power, PowerState::Off);
    assert_eq!(rig.bmc.resets(), u32::from(limits::MAX_ASKS));
}

#[test]
fn a_bmc_that_is_not_there_is_unreachable() {
    for order in [LOOK, NMI, power(On), power(Off), power(SoftReboot)] {
        let mut rig = Rig::on(Faults {
            silent: true,
            ..Faults::default()
        });
        let report = rig.does(order);
        assert_eq!(report.result, Err(OperationError::Unreachable));
        assert_eq!(report.power, PowerState::Unknown);
        assert!(report.reason.is_some());
    }
}

#[test]
fn a_bmc_that_falls_silent_behind_a_command_ends_uncertain() {
    let mut failed = false;
    for (n, ignore_control) in (1..30).flat_map(|n| [(n, false), (n, true)]) {
        let rig = Rig::off(Faults {
            ignore_control,
            ..Faults::default()
        });
        let mut device = Silent {
            bmc: rig.bmc,
            left: n,
        };
        let access = farrier_power_drivers::Access::Ipmi(common::ipmi::ACCESS);
        let mut clock = rig.clock;
        let report = clock.carry_out(&mut device, &access, power(On), 30_000);
        use farrier_bmc::Machine as _;
        let on = device.bmc.machine.is_on();
        match report.result {
            Ok(()) => assert!(on),
            Err(OperationError::Unreachable) => assert!(!on, "{n} {report:?}"),
            // Its last look was answered ahead of the silence.
            Err(OperationError::NotApplied) => assert!(ignore_control && n > 7, "{n}"),
            Err(error) => {
                assert_eq!(error, OperationError::Uncertain, "{n} {report:?}");
                assert_eq!(report.power, PowerState::Unknown);
                failed = true;
            }
        }
    }
    assert!(failed);
}

#[test]
fn a_silence_of_the_network_is_survived() {
    // At any moment of the operation.
    for after_ms in (0..9_000).step_by(100) {
        for lasts_ms in [1_000, 10_000, 30_000] {
            let mut rig = Rig::on(Faults {
                delay_ms: 90,
                ..Faults::default()
            });
            let from = rig.clock.now + after_ms;
            rig.silence = from..from + lasts_ms;
            rig.within_ms = 200_000;
            let report = rig.does(self::from(Reboot, NETWORK));
            let case = format!("{after_ms} {lasts_ms} {report:?}");
            match report.result {
                Ok(()) => assert!(rig.is_on(), "{case}"),
                // It was never reached.
                Err(error) => {
                    assert_eq!(error, OperationError::Unreachable, "{case}");
                    assert!(after_ms < 1_000 && lasts_ms >= 10_000, "{case}");
                    assert_eq!(rig.bmc.machine.done, [], "{case}");
                }
            }
        }
    }
}

#[test]
fn a_state_of_before_proves_nothing_of_a_lost_command() {
    let mut rig = Rig::off(Faults {
        stale_power_ms: 400_000,
        ..Faults::default()
    });
    rig.within_ms = 20_000;
    assert_eq!(rig.power(On).result, Err(OperationError::NotApplied));
    assert!(rig.is_on());
    // The BMC still says off, and loses the command.
    rig.bmc.faults.reset_before = Every::once(1);
    rig.within_ms = 120_000;
    let report = rig.power(Off);
    assert_eq!((report.result, report.power), (Ok(()), PowerState::Off));
    assert!(!rig.is_on());
}

/// A BMC of which only so many datagrams come.
struct Silent {
    bmc: farrier_bmc::Bmc<farrier_bmc::VirtualMachine>,
    left: u32,
}

impl common::Device for Silent {
    fn datagram(&mut self, now: u64, bytes: &[u8]) {
        common::Device::datagram(&mut self.bmc, now, bytes);
    }
    fn give(&mut self, now: u64) -> Option<Vec<u8>> {
        let bytes = common::Device::give(&mut self.bmc, now)?;
        self.left = self.left.checked_sub(1)?;
        Some(bytes)
    }
    fn wake_at(&self) -> Option<u64> {
        self.bmc.wake_at()
    }
}

#[test]
fn logins_and_suites_that_do_not_fit_are_told() {
    let login = Err(OperationError::Login);
    let mut rig = Rig::on(Faults::default());
    rig.access.password = b"another";
    assert_eq!(rig.power(Off).result, login);
    assert!(rig.is_on());
    rig.access.password = b"longer than twenty bytes";
    assert_eq!(rig.power(Off).result, login);
    rig.access.password = b"farrier";
    rig.access.user = b"nobody";
    assert_eq!(rig.power(Off).result, login);
    rig.access.user = b"farrier";
    for key in [WrongKey::Rakp2, WrongKey::Rakp4] {
        rig.bmc.faults.wrong_key = Some(key);
        assert_eq!(rig.power(Off).result, login, "{key:?}");
    }
    // Packets that nobody can read are no answers.
    rig.bmc.faults.wrong_key = Some(WrongKey::Session);
    assert_eq!(rig.power(Off).result, Err(OperationError::Unreachable));
    rig.bmc.faults.wrong_key = None;
    rig.bmc.faults.no_users = true;
    assert_eq!(rig.power(Off).result, login);
    rig.bmc.faults.no_users = false;
    rig.bmc.config.kg = Some([7; 20]);
    assert_eq!(rig.power(Off).result, login);
    rig.access.kg = &[7; 20];
    rig.bmc.config.suites = vec![Suite::Sha1];
    let unsupported = Err(OperationError::Unsupported);
    assert_eq!(rig.power(Off).result, unsupported);
    rig.access.suites = Suites::StrongOrSha1;
    assert!(rig.is_on());
    assert_eq!(rig.power(Off).result, Ok(()));
    rig.bmc.faults.no_rmcp_plus = true;
    assert_eq!(rig.power(On).result, unsupported);
    rig.bmc.faults.no_rmcp_plus = false;
    rig.bmc.faults.suite_0 = true;
    assert_eq!(rig.power(On).result, unsupported);
    assert!(!rig.is_on());
}

#[test]
fn a_user_without_the_privilege_is_refused() {
    let config = Config {
        users: vec![User::new("farrier", "farrier", Privilege::User)],
        ..Config::default()
    };
    let mut rig = Rig::with(config, Faults::default());
    let report = rig.power(On);
    assert_eq!(report.result, Err(OperationError::Refused));
    let reason = report.reason.unwrap().to_string();
    assert_eq!(reason, "the user does not have the privilege (0x0a)");
}

#[test]
fn users_that_are_forgotten_behind_a_command_leave_it_uncertain() {
    // The BMC resets at the command, and comes back without its users.
    let mut rig = Rig::off(Faults {
        reset_after: Every::once(1),
        ..Faults::default()
    });
    let access = farrier_power_drivers::Access::Ipmi(common::ipmi::ACCESS);
    let mut device = Forgetful { bmc: rig.bmc };
    let report = rig.clock.carry_out(&mut device, &access, power(On), 60_000);
    assert_eq!(report.result, Err(OperationError::Uncertain));
    assert_eq!(report.power, PowerState::Unknown);
}

struct Forgetful {
    bmc: farrier_bmc::Bmc<farrier_bmc::VirtualMachine>,
}

impl common::Device for Forgetful {
    fn datagram(&mut self, now: u64, bytes: &[u8]) {
        common::Device::datagram(&mut self.bmc, now, bytes);
        self.bmc.faults.no_users = self.bmc.resets() > 0;
    }
    fn give(&mut self, now: u64) -> Option<Vec<u8>> {
        common::Device::give(&mut self.bmc, now)
    }
    fn wake_at(&self) -> Option<u64> {
        self.bmc.wake_at()
    }
}

#[test]
fn sessions_that_are_all_taken_make_it_busy() {
    let config = Config {
        sessions: 0,
        ..Config::default()
    };
    let mut rig = Rig::with(config, Faults::default());
    assert_eq!(rig.power(On).result, Err(OperationError::Busy));
}

#[test]
fn a_deadline_that_is_near_is_kept() {
    for within_ms in [0, 1, 10, 500, 3_000] {
        for order in [LOOK, power(On), from(Reboot, NETWORK)] {
            let mut rig = Rig::on(Faults {
                delay_ms: 900,
                ..Faults::default()
            });
            rig.within_ms = within_ms;
            let report = rig.does(order);
            assert!(report.result.is_err(), "{report:?}");
        }
    }
}

#[test]
fn the_suite_of_the_session_is_told() {
    use farrier_power_drivers::{Instant, IpmiDriver};
    for (has, took_ms) in [(Suite::Sha256, 0), (Suite::Sha1, 3_000)] {
        let mut rig = Rig::on(Faults::default());
        rig.bmc.config.suites = vec![has];
        rig.access.suites = Suites::StrongOrSha1;
        let begin = rig.clock.now;
        let now = Instant::from_millis(begin);
        let deadline = now.plus_millis(60_000);
        let mut driver = IpmiDriver::ipmi(now, deadline, LOOK, &rig.access).unwrap();
        let report = rig.clock.drive(&mut driver, &mut rig.bmc);
        assert_eq!(report.result, Ok(()));
        assert_eq!(driver.suite(), has);
        let took = rig.clock.now - begin;
        assert!((took_ms..took_ms + 1_000).contains(&took), "{took}");
    }
}
