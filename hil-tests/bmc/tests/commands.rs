//! Every command of the client on the BMC, without faults.

mod common;

use common::{Lab, Said, credentials, flags, settings};
use farrier_bmc::{Config, Done, SensorConfig};
use farrier_ipmi::command::chassis::{BootDevice, ChassisControl, RestorePolicy};
use farrier_ipmi::command::device::{GuidOrder, SystemGuid};
use farrier_ipmi::command::{Answer, Command, sel};
use farrier_ipmi::suite::Suite;
use farrier_ipmi::{Completion, Failure, Settings, Suites};

#[test]
fn power_is_switched_and_told() {
    for (suites, suite) in [(Suites::Strong, Suite::Sha256), (Suites::Sha1, Suite::Sha1)] {
        let settings = Settings {
            suites,
            ..settings()
        };
        let mut lab = Lab::with(Config::default(), credentials(), settings);
        let status = lab.status().unwrap();
        assert!(!status.is_on() && !status.has_fault());
        assert_eq!(status.restore_policy(), RestorePolicy::Previous);
        assert_eq!(lab.client.suite(), suite);
        lab.control(ChassisControl::On).unwrap();
        let status = lab.status().unwrap();
        assert!(status.is_on() && status.last_event().by_command());
        lab.control(ChassisControl::HardReset).unwrap();
        lab.control(ChassisControl::DiagnosticInterrupt).unwrap();
        lab.control(ChassisControl::Cycle).unwrap();
        assert!(!lab.status().unwrap().is_on());
        lab.pass(1100);
        assert!(lab.status().unwrap().is_on());
        lab.control(ChassisControl::SoftOff).unwrap();
        assert!(lab.status().unwrap().is_on());
        lab.pass(2100);
        assert!(!lab.status().unwrap().is_on());
        lab.control(ChassisControl::On).unwrap();
        lab.control(ChassisControl::Off).unwrap();
        let device = BootDevice::Default;
        let all = [
            Done::On(device),
            Done::Reset(device),
            Done::Interrupt,
            Done::Off,
            Done::On(device),
            Done::SoftOff,
            Done::Off,
            Done::On(device),
            Done::Off,
        ];
        assert_eq!(lab.bmc.machine.done, all);
        // One session for all of it, and nothing was repeated or dropped.
        let counters = lab.client.counters();
        assert_eq!(counters.sessions, 1);
        assert_eq!(counters.sent, counters.received);
        assert_eq!(counters.repeated, 0);
    }
}

#[test]
fn a_machine_that_is_off_refuses_a_reset() {
    let mut lab = Lab::new();
    let refused = Err(Failure::Completion(Completion::STATE));
    assert_eq!(lab.control(ChassisControl::HardReset), refused);
    assert_eq!(lab.control(ChassisControl::DiagnosticInterrupt), refused);
    assert!(lab.client.is_open());
}

#[test]
fn boot_flags_are_kept_and_count() {
    let mut lab = Lab::new();
    for device in [BootDevice::Pxe, BootDevice::Disk, BootDevice::Setup] {
        for (persistent, uefi) in [(true, true), (true, false), (false, true), (false, false)] {
            let wanted = flags(device, persistent, uefi);
            assert_eq!(lab.ask(Command::SetBootFlags(wanted)), Ok(Answer::Done));
            assert_eq!(lab.boot_flags(), Ok(wanted));
            lab.control(ChassisControl::On).unwrap();
            assert_eq!(lab.bmc.machine.booted, Some(wanted));
            lab.control(ChassisControl::HardReset).unwrap();
            let again = match persistent {
                true => Some(wanted),
                false => Some(common::flags(BootDevice::Default, false, false)),
            };
            let again = again.map(|flags| farrier_ipmi::command::chassis::BootFlags {
                valid: persistent,
                ..flags
            });
            assert_eq!(lab.bmc.machine.booted, again);
            lab.control(ChassisControl::Off).unwrap();
        }
    }
}

#[test]
fn boot_flags_outlast_the_minute() {
    let mut lab = Lab::new();
    let wanted = flags(BootDevice::Pxe, false, true);
    lab.ask(Command::SetBootFlags(wanted)).unwrap();
    lab.pass(90_000);
    assert_eq!(lab.boot_flags(), Ok(wanted));
    // A BMC without that parameter forgets them.
    lab.bmc = farrier_bmc::Bmc::new(Config::default(), farrier_bmc::VirtualMachine::new());
    lab.bmc.faults.no_boot_dance = true;
    lab.client.close();
    lab.pass(5000);
    lab.ask(Command::SetBootFlags(wanted)).unwrap();
    assert_eq!(lab.boot_flags(), Ok(wanted), "it knows the flags alone");
    lab.pass(90_000);
    assert!(!lab.boot_flags().unwrap().valid);
}

#[test]
fn a_claim_that_somebody_left_does_not_keep_flags_away() {
    let mut lab = Lab::new();
    let wanted = flags(BootDevice::Disk, true, true);
    // The messages of a client that was switched off after its first.
    let mut other = Lab::new();
    std::mem::swap(&mut lab.bmc, &mut other.bmc);
    other.status().unwrap();
    other.bmc.faults.lose_in = farrier_bmc::Every::new(2);
    other.client.request(Command::SetBootFlags(wanted)).unwrap();
    other.pass(500);
    other.bmc.faults.lose_in = farrier_bmc::Every::default();
    std::mem::swap(&mut lab.bmc, &mut other.bmc);
    assert_eq!(lab.ask(Command::SetBootFlags(wanted)), Ok(Answer::Done));
    assert_eq!(lab.boot_flags(), Ok(wanted));
}

#[test]
fn the_machine_is_known_by_its_guid() {
    let uuid = *b"\x4c\x4c\x45\x44\x00\x35\x51\x10\x80\x42\xb6\xc0\x4f\x4d\x35\x33";
    for order in [GuidOrder::Smbios, GuidOrder::Ipmi, GuidOrder::Rfc9562] {
        let config = Config::default().uuid(uuid, order);
        let mut lab = Lab::with(config, credentials(), settings());
        let Ok(Answer::SystemGuid(guid)) = lab.ask(Command::SystemGuid) else {
            panic!("a GUID");
        };
        assert_eq!(guid.order_of(uuid), Some(order));
        assert_eq!(guid.order_of([7; 16]), None);
    }
    let mut lab = Lab::new();
    let unset = lab.ask(Command::SystemGuid);
    assert_eq!(unset, Ok(Answer::SystemGuid(SystemGuid([0; 16]))));
}

#[test]
fn the_bmc_says_what_it_is() {
    let mut lab = Lab::new();
    let Ok(Answer::DeviceId(id)) = lab.ask(Command::DeviceId) else {
        panic!("an ID");
    };
    assert_eq!((id.ipmi, id.firmware), ((2, 0), (1, 0)));
    assert!(id.has_log() && id.has_sensors());
}

#[test]
fn the_log_is_read_to_its_end() {
    let mut lab = Lab::new();
    let empty = lab.ask(Command::SelEntry(sel::FIRST));
    assert_eq!(empty, Err(Failure::Completion(Completion::NOT_PRESENT)));
    for at in 0..5 {
        lab.bmc.log.add(0x6000_0000 + at, 1, 2, [0x81, 0x59, 1, 2]);
    }
    let Ok(Answer::SelInfo(info)) = lab.ask(Command::SelInfo) else {
        panic!("the info");
    };
    assert_eq!((info.entries, info.overflow), (5, false));
    assert_eq!(info.last_added_s, Some(0x6000_0004));
    let (mut id, mut times) = (sel::FIRST, Vec::new());
    while id != sel::END {
        let Ok(Answer::SelEntry(entry)) = lab.ask(Command::SelEntry(id)) else {
            panic!("an entry");
        };
        let event = entry.event().unwrap();
        assert_eq!((event.sensor_type, event.sensor), (1, 2));
        times.push(event.time_s - 0x6000_0000);
        id = entry.next;
    }
    assert_eq!(times, [0, 1, 2, 3, 4]);
}

#[test]
fn sensors_are_found_and_read() {
    let mut lab = Lab::new();
    let named = |name: &str, value| (name.to_owned(), value);
    let off = [
        named("Inlet Temp", Some(21_000)),
        named("CPU1 Temp", None),
        named("Fan1", Some(0)),
        named("Pwr Consumption", Some(7_000)),
        named("12V", Some(0)),
        named("PS1 Status", Some(1)),
        named("PS2 Status", Some(1)),
    ];
    assert_eq!(lab.sensors().unwrap(), off);
    lab.control(ChassisControl::On).unwrap();
    let on = [
        named("Inlet Temp", Some(23_000)),
        named("CPU1 Temp", Some(54_000)),
        named("Fan1", Some(8_400_000)),
        named("Pwr Consumption", Some(217_000)),
        named("12V", Some(11_977)),
        named("PS1 Status", Some(1)),
        named("PS2 Status", Some(1)),
    ];
    assert_eq!(lab.sensors().unwrap(), on);
    // A BMC that answers with few bytes, and one whose reservations end.
    lab.bmc.faults.record_part = 10;
    lab.bmc.faults.lose_reservation = farrier_bmc::Every::new(25);
    assert_eq!(lab.sensors().unwrap(), on);
    // They end more often than a record may lose them, in all records together.
    lab.bmc.config.sensors = (0..6).flat_map(|_| SensorConfig::server()).collect();
    assert_eq!(lab.sensors().unwrap().len(), 42);
    lab.bmc.config.sensors.truncate(7);
    // One whose reservations end at once.
    lab.bmc.faults.lose_reservation = farrier_bmc::Every::new(1);
    let ended = Err(Failure::Completion(Completion::RESERVATION));
    assert_eq!(lab.sensors(), ended);
    lab.bmc.faults.lose_reservation = farrier_bmc::Every::default();
    lab.bmc.config.sensors.clear();
    assert_eq!(lab.sensors().unwrap(), []);
}

#[test]
fn a_ping_needs_no_session() {
    let mut lab = Lab::new();
    lab.client.ping().unwrap();
    lab.pass(1000);
    assert_eq!(lab.said, [Said::Present(true)]);
    assert_eq!(lab.client.counters().sessions, 0);
    lab.bmc.faults.silent = true;
    lab.client.ping().unwrap();
    assert!(lab.client.ping().is_err());
    lab.pass(60_000);
    assert_eq!(lab.said[1..], [Said::Absent]);
    assert_eq!(lab.client.wake_at(), None);
}
