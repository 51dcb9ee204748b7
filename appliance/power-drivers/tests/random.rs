//! Random faults, and what holds under all of them: an operation ends by its deadline
//! (the rig asserts it), and what it says of a machine is so.

mod common;

use common::{DISK, LOOK, NETWORK, NMI, from, ipmi, outlet, power, redfish};
use farrier_bmc::{Config, Every, Faults};
use farrier_ipmi::Suites;
use farrier_power_drivers::{
    Access, Action, Driver, Instant, MIN_OUT, Mac, OperationError, Order, OutletAccess, Output,
    PowerAction, PowerDriver, PowerState, Report, limits,
};
use farrier_redfish_service::{Fault, Injected, Simulated, Stall, model};
use farrier_snmp::outlet::FAMILIES;
use proptest::prelude::*;

fn order() -> impl Strategy<Value = Order> {
    let action = proptest::sample::select(PowerAction::ALL.to_vec());
    prop_oneof![
        1 => Just(LOOK),
        1 => Just(NMI),
        4 => action.clone().prop_map(power),
        2 => action.clone().prop_map(|action| from(action, NETWORK)),
        1 => action.prop_map(|action| from(action, DISK)),
    ]
}

fn state(on: bool) -> PowerState {
    match on {
        true => PowerState::On,
        false => PowerState::Off,
    }
}

/// Whether an action was done by the machine's own system, which takes its time.
fn is_soft(order: Order) -> bool {
    matches!(
        order.action,
        Action::Power(PowerAction::SoftOff | PowerAction::SoftReboot)
    )
}

/// What a report must not say of a machine that is on, or off. `honest` is a BMC that
/// shows no old states.
fn check(order: Order, report: &Report, on: bool, honest: bool) -> Result<(), TestCaseError> {
    let is = state(on);
    let said = report.power;
    if let (Action::Power(action), Ok(())) = (order.action, report.result) {
        match (action, said) {
            (PowerAction::SoftOff | PowerAction::SoftReboot, PowerState::Unknown) => {}
            _ => {
                prop_assert_eq!(said, action.target(), "{:?} {:?}", order, report);
                prop_assert_eq!(is, said, "{:?} {:?}", order, report);
            }
        }
    }
    if report.result == Err(OperationError::NotApplied) {
        prop_assert!(said != PowerState::Unknown, "{:?}", report);
    }
    if report.result.is_err() {
        prop_assert!(report.reason.is_some(), "{:?} {:?}", order, report);
    }
    if honest && said != PowerState::Unknown {
        prop_assert_eq!(said, is, "{:?} {:?}", order, report);
    }
    Ok(())
}

fn every() -> impl Strategy<Value = Every> {
    prop_oneof![
        5 => Just(Every::default()),
        3 => (1_u32..12).prop_map(Every::new),
        2 => (1_u32..20).prop_map(Every::once),
    ]
}

fn way() -> impl Strategy<Value = Faults> {
    let delays = prop_oneof![3 => Just(0_u64), 1 => 0_u64..3000];
    let bytes = (every(), every(), every(), every());
    (every(), every(), delays, bytes).prop_map(
        |(lose_in, lose_out, delay_ms, (reorder, replay, truncate, corrupt))| Faults {
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
    let answers = (every(), every(), every(), every());
    let resets = (every(), every(), every());
    let flags = proptest::collection::vec(proptest::bool::weighted(0.1), 8);
    let stale = prop_oneof![2 => Just(0_u64), 1 => 0_u64..80_000];
    (way(), answers, resets, flags, stale).prop_map(
        |(way, (session, number, command, plain), (busy, before, after), flags, stale)| Faults {
            other_session: session,
            other_number: number,
            other_command: command,
            unprotected: plain,
            busy,
            reset_before: before,
            reset_after: after,
            silent: flags[0] && flags[1],
            forged_refusals: flags[2],
            strict_opening: flags[3],
            fresh_random: flags[4],
            ignore_boot_flags: flags[5],
            refuse_boot_flags: flags[6],
            no_boot_dance: flags[7],
            lose_boot_flags: flags[1],
            ignore_control: flags[0],
            stale_power_ms: stale,
            ..way
        },
    )
}

fn within() -> impl Strategy<Value = u64> {
    prop_oneof![1 => 0_u64..10_000, 3 => Just(60_000), 1 => Just(150_000)]
}

const STALLS: [Stall; 3] = [Stall::Silent, Stall::Head, Stall::Body];

/// Faults that hide nothing of the machine but for a while.
fn redfish_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::ForgetsBoot),
        Just(Fault::ForgetsUsers),
        Just(Fault::ForgetsSessions),
        Just(Fault::TaskHangs),
        Just(Fault::TaskForgotten),
        Just(Fault::EtagNeverMatches),
        (1_u16..90).prop_map(Fault::Busy),
        Just(Fault::Broken),
        Just(Fault::Html),
        Just(Fault::Empty),
        Just(Fault::NoBody),
        Just(Fault::LinksElsewhere),
        Just(Fault::NoLocation),
        Just(Fault::OtherLocation),
        (-50_i64..50).prop_map(Fault::WrongLength),
        Just(Fault::Gzip),
        (1_usize..20).prop_map(Fault::Interim),
        (0_usize..600).prop_map(Fault::Closes),
        proptest::sample::select(STALLS.to_vec()).prop_map(Fault::Stalls),
        Just(Fault::UntilClose),
        Just(Fault::ClosesEach),
        Just(Fault::Surplus),
    ]
}

/// A service that shows old states, or one that refuses and does nothing: of one that
/// does both, nobody can tell how its machine is.
fn redfish_lie() -> impl Strategy<Value = Vec<Injected>> {
    prop_oneof![
        Just(Vec::new()),
        (0_u64..80_000).prop_map(|lasts| vec![Injected::always(Fault::OldState(lasts))]),
        Just(vec![Injected::always(Fault::DoesNothing)]),
        Just(vec![Injected::always(Fault::ErrorInside)]),
        Just(vec![Injected::always(Fault::TaskFails)]),
    ]
}

fn injected() -> impl Strategy<Value = Injected> {
    let method = proptest::sample::select(vec!["", "GET", "POST", "PATCH", "DELETE"]);
    let path = proptest::sample::select(vec!["", "", "Systems", "Reset", "Sessions", "Task"]);
    let times = prop_oneof![3 => 1_u32..4, 1 => Just(u32::MAX)];
    (redfish_fault(), method, path, times).prop_map(|(fault, method, path, times)| {
        Injected::always(fault)
            .method(method)
            .path(path)
            .times(times)
    })
}

fn outlet_faults() -> impl Strategy<Value = outlet::Faults> {
    let flags = proptest::collection::vec(proptest::bool::weighted(0.1), 6);
    let each = || prop_oneof![2 => Just(0_u32), 1 => 1_u32..6];
    let stale = prop_oneof![2 => Just(0_u64), 1 => 0_u64..80_000];
    (flags, each(), each(), 0_u64..4_000, stale).prop_map(
        |(flags, lose_in, lose_out, delay_ms, stale_ms)| outlet::Faults {
            silent: flags[0],
            lose_in,
            lose_out,
            delay_ms,
            ignores: flags[1],
            mute_sets: flags[5],
            // As above: not both.
            stale_ms: if flags[2] { 0 } else { stale_ms },
            refuses: if flags[2] { 5 } else { 0 },
            empty: flags[3],
            nonsense: flags[4],
            forged: flags[0] || flags[4],
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(300)
    })]

    #[test]
    fn over_ipmi(
        faults in faults(),
        seed in any::<u64>(),
        suites in proptest::sample::select(vec![
            Suites::Strong, Suites::StrongOrSha1, Suites::Sha1,
        ]),
        on in any::<bool>(),
        listens in any::<bool>(),
        silence in (0_u64..150_000, prop_oneof![2 => Just(0_u64), 1 => 0_u64..80_000]),
        orders in proptest::collection::vec((order(), within()), 1..5),
    ) {
        let config = Config { seed, ..Config::default() };
        let mut rig = match on {
            true => ipmi::Rig::on(Faults::default()),
            false => ipmi::Rig::off(Faults::default()),
        };
        rig.bmc.config = config;
        rig.bmc.faults = faults;
        rig.clock.random = seed;
        let from = rig.clock.now + silence.0;
        rig.silence = from..from + silence.1;
        rig.access.suites = suites;
        rig.bmc.machine.shutdown_ms = listens.then_some(2_000);
        for (order, within_ms) in orders {
            rig.within_ms = within_ms;
            let interrupts = |rig: &ipmi::Rig| {
                let done = rig.bmc.machine.done.iter();
                done.filter(|done| {
                    matches!(done, farrier_bmc::Done::Interrupt | farrier_bmc::Done::SoftOff)
                }).count()
            };
            let before = interrupts(&rig);
            let report = rig.does(order);
            let on = rig.is_on();
            // Its own system may have ended it since it was read.
            let honest = faults.stale_power_ms == 0 && !is_soft(order);
            check(order, &report, on, honest)?;
            if order.action == Action::Look && report.result.is_ok() {
                prop_assert!(report.power != PowerState::Unknown);
            }
            prop_assert!(interrupts(&rig) - before <= 1, "never twice");
            if is_soft(order) {
                use farrier_bmc::Machine as _;
                rig.clock.now += 10_000;
                let now = rig.clock.now;
                rig.bmc.machine.elapse(now);
            }
        }
    }

    #[test]
    fn over_redfish(
        model in proptest::sample::select(model::MODELS.to_vec()),
        faults in proptest::collection::vec(injected(), 0..4),
        lies in redfish_lie(),
        on in any::<bool>(),
        deaf in any::<bool>(),
        delay_ms in prop_oneof![Just(0_u64), 0_u64..20_000],
        refuses in proptest::bool::weighted(0.05),
        piece in prop_oneof![Just(usize::MAX), 1_usize..300],
        keeps in any::<bool>(),
        orders in proptest::collection::vec((order(), within()), 1..5),
    ) {
        let mut machine = Simulated::new(on).delay(delay_ms);
        machine.deaf = deaf;
        let mut rig = redfish::Rig::with(model, machine);
        let honest = lies.is_empty();
        for fault in faults.into_iter().chain(lies) {
            rig.line.service.inject(fault);
        }
        rig.line.refuses = refuses;
        rig.line.piece = piece;
        rig.access.keep_session = keeps;
        for (order, within_ms) in orders {
            rig.within_ms = within_ms;
            rig.done();
            let report = rig.does(order);
            let on = rig.is_on();
            // A machine obeys later than it is asked: what was read last is old then.
            let honest = honest && delay_ms == 0 && !is_soft(order);
            check(order, &report, on, honest)?;
            use farrier_redfish_service::PowerAction as Done;
            let once = rig.done().into_iter().filter(|(done, _)| {
                matches!(done, Done::Nmi | Done::SoftOff | Done::Reset)
            });
            prop_assert!(once.count() <= 1, "never twice");
            // Until what was asked for is over.
            rig.clock.now += 30_000;
        }
    }

    #[test]
    fn on_an_outlet(
        family in proptest::sample::select(FAMILIES.to_vec()),
        faults in outlet_faults(),
        seed in any::<u64>(),
        on in any::<bool>(),
        orders in proptest::collection::vec((order(), within()), 1..5),
    ) {
        let mut rig = outlet::Rig::new(family, on);
        rig.pdu.faults = faults;
        rig.clock.random = seed;
        for (order, within_ms) in orders {
            rig.within_ms = within_ms;
            let report = rig.does(order);
            if report.result == Err(OperationError::Unsupported) {
                continue;
            }
            let on = rig.pdu.on;
            check(order, &report, on, faults.stale_ms == 0)?;
        }
    }

    /// An owner that calls anything at any time, and bytes of anybody: each operation
    /// ends by its deadline.
    #[test]
    fn calls_in_any_order_end(
        which in 0_u8..4,
        order in order(),
        within_ms in within(),
        seed in any::<u64>(),
        calls in proptest::collection::vec((0_u8..6, 0_u64..9_000, any::<u8>()), 1..200),
    ) {
        let access = match which {
            0 => Access::Ipmi(ipmi::ACCESS),
            1 => Access::Redfish(redfish::ACCESS),
            2 => Access::Outlet(OutletAccess {
                address: [192, 0, 2, 9].into(),
                port: 161,
                community: "private",
                outlet: outlet::Pdu::new(FAMILIES[0], true).outlet(),
            }),
            _ => Access::WakeOnLan(Mac([2; 6])),
        };
        let (mut clock, mut bmc) = (common::Clock::new(seed), farrier_redfish::Bmc::new());
        let mut now = clock.now;
        let until = now + within_ms;
        let at = Instant::from_millis;
        let Ok(mut driver) = PowerDriver::new(at(now), at(until), order, &access, &mut bmc) else {
            return Ok(());
        };
        let (mut out, mut sent) = ([0; MIN_OUT], Vec::new());
        for (call, pause_ms, byte) in calls {
            match call {
                0 => driver.connected(at(now)),
                1 => driver.closed(at(now)),
                2 => {
                    let mut bytes = vec![0; usize::from(byte)];
                    clock.fill(&mut bytes);
                    driver.input(at(now), &mut bytes);
                }
                3 => {
                    let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_vec();
                    answer.truncate(answer.len() - usize::from(byte % 8));
                    driver.input(at(now), &mut answer);
                }
                // Its own, with a wrong byte.
                4 => {
                    let mut bytes: Vec<u8> = sent.clone();
                    if let Some(place) = bytes.get_mut(usize::from(byte)) {
                        *place ^= byte;
                    }
                    driver.input(at(now), &mut bytes);
                }
                _ => now += pause_ms,
            }
            match driver.poll(at(now), &mut out, &mut |bytes| clock.fill(bytes)) {
                Output::Datagram(length) | Output::Stream(length) => {
                    sent = out[..length].to_vec();
                }
                Output::Connect | Output::Wait => {}
                Output::End => break,
            }
            prop_assert!(now < until || driver.report().is_some(), "it outlives its time");
        }
        let end = at(until.min(now + limits::OPERATION_MILLIS));
        let output = driver.poll(end, &mut out, &mut |bytes| clock.fill(bytes));
        prop_assert_eq!(output, Output::End);
        let report = driver.report().unwrap();
        if which != 3 && !matches!(order.action, Action::Look) {
            prop_assert!(report.result.is_err(), "{:?}", report);
        }
    }
}
