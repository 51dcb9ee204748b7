//! Operations over Redfish, on each model and with the faults of the service.

mod common;

use common::redfish::Rig;
use common::{DISK, LOOK, NETWORK, NMI, UUID, from};
use farrier_power_drivers::PowerAction::{Off, On, Reboot, SoftOff, SoftReboot};
use farrier_power_drivers::{
    BootDevice, BootSeen, Firmware, IpmiDriver, OperationError, OutletDriver, PowerDriver,
    PowerState, RedfishDriver, StartFrom, WakeDriver,
};
use farrier_redfish::Bmc;
use farrier_redfish_service::{
    Fault, Injected, Model, PowerAction as Done, Simulated, Stall, model,
};

/// Without graceful restarts.
const PLAIN: Model = Model {
    resets: &["On", "ForceOff", "GracefulShutdown", "ForceRestart", "Nmi"],
    ..model::STANDARD
};

fn state(on: bool) -> PowerState {
    match on {
        true => PowerState::On,
        false => PowerState::Off,
    }
}

#[test]
fn drivers_are_small() {
    let sizes = [
        ("IPMI", size_of::<IpmiDriver>(), 600),
        ("Redfish", size_of::<RedfishDriver<'_>>(), 1_700),
        ("SNMP", size_of::<OutletDriver<'_>>(), 640),
        ("Wake-on-LAN", size_of::<WakeDriver>(), 200),
        ("any of them", size_of::<PowerDriver<'_>>(), 1_700),
        ("Redfish at rest", size_of::<Bmc>(), 240),
    ];
    for (name, bytes, most) in sizes {
        println!("a driver over {name} takes {bytes} bytes");
        assert!(bytes <= most, "{name}: {bytes}");
    }
}

#[test]
fn a_machine_is_looked_at() {
    for model in model::MODELS {
        for on in [false, true] {
            let mut rig = Rig::new(model, on);
            let report = rig.does(LOOK);
            assert_eq!(report.result, Ok(()), "{}", model.name);
            assert_eq!(report.power, state(on));
            assert_eq!(report.boot_device, BootSeen::Own);
            assert_eq!(report.uuid, Some(UUID));
            assert_eq!(report.is_machine(UUID), Some(true));
            assert_eq!(rig.line.service.open_sessions(), 0, "it is closed");
            assert_eq!(rig.done(), []);
        }
    }
}

#[test]
fn every_action_ends_as_the_machine_is() {
    for model in model::MODELS.into_iter().chain([&PLAIN]) {
        for (action, on, done, after) in [
            (On, false, &[Done::On][..], PowerState::On),
            (On, true, &[], PowerState::On),
            (Off, false, &[], PowerState::Off),
            (Off, true, &[Done::Off], PowerState::Off),
            (Reboot, false, &[Done::On], PowerState::On),
            (Reboot, true, &[Done::Off, Done::On], PowerState::On),
            (SoftOff, false, &[], PowerState::Off),
            (SoftOff, true, &[Done::SoftOff], PowerState::Unknown),
            (SoftReboot, false, &[Done::On], PowerState::On),
        ] {
            let mut rig = Rig::new(model, on);
            let report = rig.power(action);
            let name = model.name;
            assert_eq!(report.result, Ok(()), "{name} {action:?} {on} {report:?}");
            assert_eq!(report.power, after, "{name} {action:?}");
            let found: Vec<_> = rig.done().into_iter().map(|(done, _)| done).collect();
            assert_eq!(found, done, "{name} {action:?} {on}");
            assert_eq!(rig.line.service.open_sessions(), 0);
            if after != PowerState::Unknown {
                assert_eq!(state(rig.is_on()), after);
            }
        }
    }
}

#[test]
fn a_soft_restart_is_the_bmcs_where_it_has_one() {
    let mut rig = Rig::new(&model::STANDARD, true);
    let report = rig.power(SoftReboot);
    assert_eq!((report.result, report.power), (Ok(()), PowerState::Unknown));
    assert_eq!(rig.done(), [(Done::Reset, None)]);
    // Else it is a stop that is seen, and a start.
    for model in [&model::HPE, &PLAIN] {
        let mut rig = Rig::new(model, true);
        let report = rig.does(from(SoftReboot, NETWORK));
        assert_eq!((report.result, report.power), (Ok(()), PowerState::On));
        let expected = [(Done::SoftOff, None), (Done::On, Some("Pxe".into()))];
        assert_eq!(rig.done(), expected, "{}", model.name);
        // Whose system does not listen.
        let mut machine = Simulated::new(true).delay(3_000);
        machine.deaf = true;
        let mut rig = Rig::with(model, machine);
        let report = rig.power(SoftReboot);
        assert_eq!(report.result, Err(OperationError::Uncertain));
        assert_eq!(report.power, PowerState::On);
    }
}

#[test]
fn an_interrupt_is_sent_once() {
    for model in model::MODELS {
        let mut rig = Rig::new(model, true);
        let report = rig.does(NMI);
        assert_eq!((report.result, report.power), (Ok(()), PowerState::On));
        assert_eq!(rig.done(), [(Done::Nmi, None)]);
    }
    for fault in [
        Fault::Closes(0),
        Fault::Closes(20),
        Fault::Stalls(Stall::Silent),
        Fault::Broken,
    ] {
        let fault = Injected::always(fault).method("POST").path("Reset");
        let mut rig = Rig::faulty(&model::STANDARD, true, fault.clone());
        let report = rig.does(NMI);
        assert_eq!(report.result, Err(OperationError::Uncertain), "{fault:?}");
        assert_eq!(report.power, PowerState::On);
        assert!(rig.done().len() <= 1);
    }
    // Whose task never ends.
    let mut rig = Rig::faulty(&model::MODERN, true, Injected::always(Fault::TaskHangs));
    let report = rig.does(NMI);
    assert_eq!(report.result, Err(OperationError::Uncertain));
    assert_eq!(report.power, PowerState::On);
    assert_eq!(rig.done(), [(Done::Nmi, None)]);
    let mut rig = Rig::new(&model::STANDARD, false);
    let report = rig.does(NMI);
    assert_eq!(report.result, Err(OperationError::Refused));
    // A BMC that has none.
    const NONE: Model = Model {
        resets: &["On", "ForceOff"],
        ..model::STANDARD
    };
    let mut rig = Rig::new(&NONE, true);
    assert_eq!(rig.does(NMI).result, Err(OperationError::Unsupported));
    assert_eq!(
        rig.power(SoftOff).result,
        Err(OperationError::Unsupported),
        "the rack goes the hard way"
    );
}

#[test]
fn a_boot_device_is_set_ahead_of_a_start() {
    for model in model::MODELS {
        for (start, target, device) in [
            (NETWORK, "Pxe", BootDevice::Network),
            (
                StartFrom {
                    firmware: Firmware::Uefi,
                    ..DISK
                },
                "Hdd",
                BootDevice::Disk,
            ),
        ] {
            for (action, on) in [(On, false), (Reboot, true), (Reboot, false)] {
                let mut rig = Rig::new(model, on);
                let report = rig.does(from(action, start));
                let name = model.name;
                assert_eq!(report.result, Ok(()), "{name} {report:?}");
                let seen = BootSeen::Device {
                    device,
                    firmware: Some(Firmware::Uefi),
                    once: true,
                };
                assert_eq!(report.boot_device, seen, "{name}");
                assert_eq!(report.reason, None);
                let last = rig.done().pop();
                assert_eq!(last, Some((Done::On, Some(target.into()))), "{name}");
            }
        }
    }
}

#[test]
fn a_mode_that_can_not_be_set_is_told() {
    // It is left out, and what the machine has is in the report.
    let mut rig = Rig::new(&model::HPE, false);
    let report = rig.does(from(On, DISK));
    assert_eq!((report.result, report.power), (Ok(()), PowerState::On));
    assert!(!report.boot_device.is(DISK));
    assert_eq!(
        report.boot_device,
        BootSeen::Device {
            device: BootDevice::Disk,
            firmware: Some(Firmware::Uefi),
            once: true
        }
    );
    assert!(report.reason.is_some());
    assert_eq!(rig.done(), [(Done::On, Some("Hdd".into()))]);
}
