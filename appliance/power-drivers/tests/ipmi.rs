//! Operations over IPMI with a BMC that is well.

mod common;

use common::ipmi::Rig;
use common::{DISK, LOOK, NETWORK, NMI, UUID, from};
use farrier_bmc::{Config, Done, Every, Faults};
use farrier_ipmi::command::chassis::BootDevice as Flag;
use farrier_ipmi::command::device::GuidOrder;
use farrier_power_drivers::PowerAction::{Off, On, Reboot, SoftOff, SoftReboot};
use farrier_power_drivers::{
    BootDevice, BootSeen, Firmware, IpmiDriver, OperationError, PowerState, limits,
};

fn once(device: BootDevice, firmware: Firmware) -> BootSeen {
    BootSeen::Device {
        device,
        firmware: Some(firmware),
        once: true,
    }
}

#[test]
fn a_driver_is_small() {
    let bytes = size_of::<IpmiDriver>();
    println!("a driver over IPMI takes {bytes} bytes");
    assert!(bytes <= 600);
}

#[test]
fn a_machine_is_looked_at() {
    for order in [GuidOrder::Ipmi, GuidOrder::Smbios, GuidOrder::Rfc9562] {
        for on in [false, true] {
            let config = Config::default().uuid(UUID, order);
            let mut rig = match on {
                true => Rig::on(Faults::default()),
                false => Rig::off(Faults::default()),
            };
            rig.bmc.config = config;
            let report = rig.does(LOOK);
            assert_eq!(report.result, Ok(()));
            let state = if on { PowerState::On } else { PowerState::Off };
            assert_eq!(report.power, state);
            assert_eq!(report.boot_device, BootSeen::Own);
            assert_eq!(report.is_machine(UUID), Some(true), "{order:?}");
            assert_eq!(report.is_machine([7; 16]), Some(false));
            if order == GuidOrder::Smbios {
                assert_eq!(report.uuid, Some(UUID));
            }
            assert_eq!(rig.bmc.open_sessions(), 0, "the session is closed");
            assert_eq!(rig.bmc.machine.done, [], "nothing is done by a look");
        }
    }
}

#[test]
fn what_a_bmc_does_not_say_is_unknown() {
    let mut rig = Rig::off(Faults::default());
    let report = rig.does(LOOK);
    assert_eq!((report.result, report.uuid), (Ok(()), None));
    assert_eq!(report.is_machine(UUID), None);
}

#[test]
fn every_action_ends_as_the_machine_is() {
    for (action, on, done, after) in [
        (On, false, &[Done::On(Flag::Default)][..], PowerState::On),
        (On, true, &[], PowerState::On),
        (Off, false, &[], PowerState::Off),
        (Off, true, &[Done::Off], PowerState::Off),
        (Reboot, false, &[Done::On(Flag::Default)], PowerState::On),
        (
            Reboot,
            true,
            &[Done::Off, Done::On(Flag::Default)],
            PowerState::On,
        ),
        (SoftOff, false, &[], PowerState::Off),
        (SoftOff, true, &[Done::SoftOff], PowerState::Unknown),
        (
            SoftReboot,
            false,
            &[Done::On(Flag::Default)],
            PowerState::On,
        ),
        (
            SoftReboot,
            true,
            &[Done::SoftOff, Done::Off, Done::On(Flag::Default)],
            PowerState::On,
        ),
    ] {
        let mut rig = match on {
            true => Rig::on(Faults::default()),
            false => Rig::off(Faults::default()),
        };
        let begin = rig.clock.now;
        let report = rig.power(action);
        assert_eq!(report.result, Ok(()), "{action:?} {on}: {report:?}");
        assert_eq!(report.power, after, "{action:?} {on}");
        assert_eq!(report.reason, None);
        assert_eq!(rig.bmc.machine.done, done, "{action:?} {on}");
        assert_eq!(rig.bmc.open_sessions(), 0);
        let took = rig.clock.now - begin;
        let restarts = done.len() > 1;
        let most = if restarts {
            6_000
        } else {
            limits::OFF_PAUSE_MILLIS
        };
        assert!(took <= most, "{action:?} {on} takes {took} ms");
    }
}

#[test]
fn an_interrupt_is_sent_once() {
    let mut rig = Rig::on(Faults::default());
    let report = rig.does(NMI);
    assert_eq!((report.result, report.power), (Ok(()), PowerState::On));
    assert_eq!(rig.bmc.machine.done, [Done::Interrupt]);
    let mut rig = Rig::off(Faults::default());
    let report = rig.does(NMI);
    assert_eq!(report.result, Err(OperationError::Refused));
    assert_eq!(report.power, PowerState::Off);
    // Whose answers are lost: once more would be another interrupt.
    for n in 1..=12 {
        let mut rig = Rig::on(Faults {
            lose_out: Every::once(n),
            ..Faults::default()
        });
        let report = rig.does(NMI);
        let mut done = rig.bmc.machine.done;
        done.dedup();
        assert!(done.len() <= 1);
        match report.result {
            Ok(()) => assert_eq!(done, [Done::Interrupt]),
            Err(error) => assert_eq!(error, OperationError::Uncertain, "{n}"),
        }
    }
}

#[test]
fn a_soft_command_is_not_repeated() {
    for n in 1..=12 {
        for action in [SoftOff, SoftReboot] {
            let mut rig = Rig::on(Faults {
                lose_out: Every::once(n),
                ..Faults::default()
            });
            rig.bmc.machine.shutdown_ms = Some(20_000);
            let report = rig.power(action);
            let done = &rig.bmc.machine.done;
            let asked = done.iter().filter(|done| **done == Done::SoftOff);
            assert!(asked.count() <= 1, "{n}: {done:?}");
            if action == SoftReboot {
                assert_eq!(report.result, Ok(()), "{n} {report:?}");
            }
        }
    }
}

#[test]
fn a_machine_that_ignores_a_soft_restart_is_told() {
    let mut rig = Rig::on(Faults::default());
    rig.bmc.machine.shutdown_ms = None;
    let report = rig.power(SoftReboot);
    // It may still go down.
    assert_eq!(report.result, Err(OperationError::Uncertain));
    assert_eq!(report.power, PowerState::On);
    assert!(rig.is_on());
}

#[test]
fn a_boot_device_is_set_ahead_of_a_start() {
    for (start, flag, seen) in [
        (
            NETWORK,
            Flag::Pxe,
            once(BootDevice::Network, Firmware::Uefi),
        ),
        (DISK, Flag::Disk, once(BootDevice::Disk, Firmware::Bios)),
    ] {
        for (action, on) in [
            (On, false),
            (Reboot, true),
            (Reboot, false),
            (SoftReboot, true),
        ] {
            let mut rig = match on {
                true => Rig::on(Faults::default()),
                false => Rig::off(Faults::default()),
            };
            let report = rig.does(from(action, start));
            assert_eq!((report.result, report.power), (Ok(()), PowerState::On));
            assert_eq!(report.boot_device, seen);
            assert!(report.boot_device.is(start));
            assert_eq!(report.reason, None);
            assert_eq!(rig.bmc.machine.done.last(), Some(&Done::On(flag)));
            let booted = rig.bmc.machine.booted.unwrap();
            assert_eq!(booted.uefi, start.firmware == Firmware::Uefi);
            assert!(!booted.persistent, "for that start alone");
        }
    }
    // It does not start, so nothing is left for a later start.
    let mut rig = Rig::on(Faults::default());
    let report = rig.does(from(On, NETWORK));
    assert_eq!((report.result, report.power), (Ok(()), PowerState::On));
    assert_eq!(rig.bmc.boot_flags(), &[0; 5]);
}
