//! What each operation does, on each model, in virtual time.

mod common;

use common::{PXE_ONCE, Rig, TARGET, UUID, UUID_TEXT};
use farrier_redfish::{
    AttributeValue, Auth, Bmc, BootEnabled, BootMode, BootOverride, BootTarget, FailureKind,
    Health, LinkError, Operation, Outcome, PowerState, Request, ResetType, SensorKind, Step,
    Target, Vendor, Which,
};
use farrier_redfish_service::{Fault, Injected, Model, Simulated, model};

const OTHER: &str = "00000000-0000-0000-0000-000000000000";

#[test]
fn a_bmc_and_an_operation_are_small() {
    let (bmc, operation) = (size_of::<Bmc>(), size_of::<Operation<'_>>());
    println!("a BMC at rest takes {bmc} bytes, an operation {operation} bytes");
    assert!(bmc < 256, "{bmc}");
    assert!(operation < 1536, "{operation}");
}

#[test]
fn system_is_found_by_links_and_read() {
    for model in model::MODELS {
        let mut rig = Rig::new(model);
        let Outcome::System(system) = rig.run(&Request::ReadSystem).ok() else {
            panic!("{}", model.name);
        };
        assert_eq!(system.power, Some(PowerState::Off), "{}", model.name);
        assert_eq!(system.uuid, Some(UUID));
        assert_eq!(system.health, Some(Health::Warning));
        assert_eq!(system.boot.enabled, Some(BootEnabled::Disabled));
        assert_eq!(system.boot.has_http_uri, model.http_uri);
        assert!(
            rig.bmc
                .system()
                .is_some_and(|path| path.ends_with(model.system))
        );
        let asked = rig.asked().len();
        // The next time nothing is looked for.
        rig.run(&Request::ReadSystem).ok();
        assert!(asked > 1);
        assert_eq!(rig.asked().len(), 1, "{}", model.name);
    }
}

#[test]
fn vendors_are_recognised() {
    let known = [
        (&model::STANDARD, Vendor::Other),
        (&model::DELL, Vendor::Dell),
        (&model::HPE, Vendor::Hpe),
        (&model::SUPERMICRO, Vendor::Supermicro),
        (&model::AMI, Vendor::Ami),
    ];
    for (model, vendor) in known {
        let mut rig = Rig::new(model);
        rig.run(&Request::Identify).ok();
        assert_eq!(rig.bmc.vendor(), vendor);
    }
}

#[test]
fn power_follows_a_reset() {
    for model in model::MODELS {
        let mut rig = Rig::new(model);
        let on = Request::Reset(ResetType::On);
        assert!(
            matches!(rig.run(&on).ok(), Outcome::Reset(_)),
            "{}",
            model.name
        );
        rig.now += 3_000;
        let Outcome::System(system) = rig.run(&Request::ReadSystem).ok() else {
            panic!();
        };
        assert_eq!(system.power, Some(PowerState::On), "{}", model.name);
        rig.run(&Request::Reset(ResetType::ForceOff)).ok();
        rig.now += 3_000;
        rig.run(&Request::ReadSystem).ok();
        let end = rig.run(&Request::Reset(ResetType::PowerCycle));
        assert_eq!(end.result, Err(FailureKind::NotAllowed), "{}", model.name);
        assert!(!end.open && !end.system.resets.is_empty());
        // Not in this power state: the BMC says so.
        let end = rig.run(&Request::Reset(ResetType::Nmi));
        assert_eq!(end.result, Err(FailureKind::Refused), "{}", model.name);
        assert_eq!((end.status, end.open, end.step), (409, false, Step::Change));
        assert!(
            end.message_id.ends_with("InvalidOperationForSystemState"),
            "{}",
            end.message_id
        );
        assert_eq!(end.message, "Not in this power state.");
    }
}

#[test]
fn task_of_a_reset_is_awaited() {
    let mut rig = Rig::new(&model::MODERN);
    let begun = rig.now;
    rig.run(&Request::Reset(ResetType::On)).ok();
    let asked = rig.asked();
    let monitors = asked
        .iter()
        .filter(|asked| asked.contains("TaskMonitors"))
        .count();
    assert!(monitors >= 2, "{asked:?}");
    assert!(rig.now - begun >= 5_000);
    assert!(
        asked.iter().any(|asked| asked.ends_with("ResetActionInfo")),
        "{asked:?}"
    );
}

#[test]
fn boot_override_is_set_and_read_back() {
    for model in model::MODELS {
        let mut rig = Rig::new(model);
        for (enabled, target) in [
            (BootEnabled::Once, BootTarget::Pxe),
            (BootEnabled::Continuous, BootTarget::Hdd),
            (BootEnabled::Once, BootTarget::UefiHttp),
            (BootEnabled::Disabled, BootTarget::None),
        ] {
            let boot = BootOverride {
                enabled,
                target,
                mode: None,
                http_uri: None,
            };
            let Outcome::System(system) = rig.run(&Request::SetBoot(boot)).ok() else {
                panic!("{}", model.name);
            };
            assert_eq!(system.boot.enabled, Some(enabled), "{}", model.name);
            assert_eq!(system.boot.mode, Some(BootMode::Uefi), "{}", model.name);
            let state = &rig.service.systems()[0].state.boot;
            assert_eq!(state.enabled, enabled.as_str());
            assert_eq!(state.target, target.as_str());
        }
    }
}

#[test]
fn boot_uri_and_mode_are_set() {
    let uri = "http://10.0.0.1/boot/very/long/".to_owned() + &"x".repeat(180) + ".efi";
    let boot = BootOverride {
        enabled: BootEnabled::Once,
        target: BootTarget::UefiHttp,
        mode: Some(BootMode::Uefi),
        http_uri: Some(&uri),
    };
    for model in [
        &model::STANDARD,
        &model::MODERN,
        &model::SUPERMICRO,
        &model::AMI,
        &model::HPE,
    ] {
        let mut rig = Rig::new(model);
        rig.run(&Request::SetBoot(boot)).ok();
        let state = &rig.service.systems()[0].state.boot;
        assert_eq!(state.http_uri.as_deref(), Some(uri.as_str()));
        // Without a URI, the earlier one does not hold.
        let boot = BootOverride {
            http_uri: None,
            ..boot
        };
        rig.run(&Request::SetBoot(boot)).ok();
        assert_eq!(rig.service.systems()[0].state.boot.http_uri, None);
    }
    let mut rig = Rig::new(&model::STANDARD);
    let legacy = BootOverride {
        mode: Some(BootMode::Legacy),
        target: BootTarget::Pxe,
        ..boot
    };
    rig.run(&Request::SetBoot(legacy)).ok();
    assert_eq!(rig.service.systems()[0].state.boot.mode, "Legacy");
    // No HttpBootUri: nothing is sent.
    let mut rig = Rig::new(&model::DELL);
    let end = rig.run(&Request::SetBoot(boot));
    assert_eq!(end.result, Err(FailureKind::Unsupported));
    assert!(rig.asked().iter().all(|asked| !asked.starts_with("PATCH")));
    // A mode that can't be written, and is another one.
    let mut rig = Rig::new(&model::HPE);
    let legacy = BootOverride {
        mode: Some(BootMode::Legacy),
        ..boot
    };
    let end = rig.run(&Request::SetBoot(legacy));
    assert_eq!(end.result, Err(FailureKind::NotAllowed));
}

#[test]
fn cd_of_supermicro_is_a_usb_cd() {
    let boot = BootOverride {
        enabled: BootEnabled::Once,
        target: BootTarget::Cd,
        mode: None,
        http_uri: None,
    };
    let mut rig = Rig::new(&model::SUPERMICRO);
    rig.run(&Request::SetBoot(boot)).ok();
    assert_eq!(rig.service.systems()[0].state.boot.target, "UsbCd");
}

#[test]
fn boot_target_that_is_not_allowed_is_not_sent() {
    let mut rig = Rig::new(&model::STANDARD);
    let boot = BootOverride {
        enabled: BootEnabled::Once,
        target: BootTarget::UsbCd,
        mode: None,
        http_uri: None,
    };
    let end = rig.run(&Request::SetBoot(boot));
    assert_eq!(end.result, Err(FailureKind::NotAllowed));
    assert!(rig.asked().iter().all(|asked| !asked.starts_with("PATCH")));
}

#[test]
fn once_ends_with_the_boot() {
    let mut rig = Rig::new(&model::STANDARD);
    rig.run(&PXE_ONCE).ok();
    rig.run(&Request::Reset(ResetType::On)).ok();
    rig.now += 3_000;
    let Outcome::System(system) = rig.run(&Request::ReadSystem).ok() else {
        panic!();
    };
    assert_eq!(system.boot.enabled, Some(BootEnabled::Disabled));
}

#[test]
fn changed_resource_is_read_again_for_its_etag() {
    for model in [&model::STANDARD, &model::HPE, &model::AMI, &model::MODERN] {
        let mut rig = Rig::new(model);
        let wrong = Injected::always(Fault::EtagNeverMatches);
        rig.service.inject(wrong.clone().times(1));
        rig.run(&PXE_ONCE).ok();
        rig.service.inject(wrong);
        let end = rig.run(&PXE_ONCE);
        assert_eq!(end.result, Err(FailureKind::Conflict), "{}", model.name);
        assert!(!end.open && end.status == 412);
    }
}

#[test]
fn sensors_are_shown() {
    for model in model::MODELS {
        let mut rig = Rig::new(model);
        let end = rig.run(&Request::ReadSensors);
        let rows = end.rows.clone();
        let Outcome::Sensors {
            rows: count,
            health,
        } = end.ok()
        else {
            panic!()
        };
        assert_eq!(usize::from(count), rows.sensors.len(), "{}", model.name);
        // A fan of `Thermal` is broken; metrics have no health of their own.
        let wanted = match model.sensors {
            model::Sensors::Thermal => Health::Critical,
            model::Sensors::Metrics => Health::Ok,
            model::Sensors::Collection => Health::Warning,
        };
        assert_eq!(health, Some(wanted), "{}", model.name);
        let temperatures: Vec<_> = rows
            .sensors
            .iter()
            .filter(|row| row.kind == SensorKind::Temperature)
            .collect();
        assert_eq!(temperatures.len(), 2, "{}", model.name);
        assert_eq!(temperatures[0].name.as_str(), "CPU1 Temp");
        assert_eq!(temperatures[0].reading, Some(41_500));
        assert_eq!(temperatures[1].reading, Some(-3_250));
        if model.sensors != model::Sensors::Metrics {
            assert_eq!(temperatures[0].critical, Some(90_000));
            assert_eq!(temperatures[1].health, Some(Health::Warning));
        }
    }
}

#[test]
fn media_is_inserted_and_ejected() {
    let image = "http://10.0.0.1/images/rescue.iso";
    let insert = Request::InsertMedia { image };
    for model in model::MODELS {
        let mut rig = Rig::new(model);
        assert_eq!(
            rig.run(&insert).ok(),
            Outcome::Media(true),
            "{}",
            model.name
        );
        assert_eq!(rig.service.systems()[0].state.image.as_deref(), Some(image));
        // It is there already.
        assert_eq!(rig.run(&insert).ok(), Outcome::Media(false));
        let other = Request::InsertMedia {
            image: "http://10.0.0.1/images/other.iso",
        };
        assert_eq!(rig.run(&other).result, Err(FailureKind::NoMedia));
        assert_eq!(
            rig.run(&Request::EjectMedia).ok(),
            Outcome::Media(true),
            "{}",
            model.name
        );
        assert_eq!(rig.service.systems()[0].state.image, None);
        assert_eq!(rig.run(&Request::EjectMedia).ok(), Outcome::Media(false));
    }
}

#[test]
fn bios_attributes_are_set_for_the_next_boot() {
    let attributes = [
        ("ProcVirtualization", AttributeValue::Text("Disabled")),
        ("PxeDev1VlanId", AttributeValue::Number(-7)),
        ("NumLock", AttributeValue::Bool(false)),
    ];
    for model in model::MODELS {
        let mut rig = Rig::new(model);
        let end = rig.run(&Request::ReadBios);
        assert_eq!(end.rows.attributes.len(), 5, "{}", model.name);
        assert_eq!(
            rig.run(&Request::SetBios(&attributes)).ok(),
            Outcome::BiosPending
        );
        let before = rig.run(&Request::ReadBios).rows;
        assert!(
            before
                .attributes
                .contains(&("PxeDev1VlanId".into(), "Number(1)".into()))
        );
        rig.run(&Request::Reset(ResetType::On)).ok();
        let after = rig.run(&Request::ReadBios).rows;
        for (name, value) in &attributes {
            let wanted = ((*name).to_owned(), format!("{value:?}"));
            assert!(
                after.attributes.contains(&wanted),
                "{}: {wanted:?}",
                model.name
            );
        }
        assert_eq!(rig.run(&Request::ResetBios).ok(), Outcome::BiosPending);
        rig.now += 3_000;
        rig.run(&Request::Reset(ResetType::ForceRestart)).ok();
        assert_eq!(rig.run(&Request::ReadBios).rows, before, "{}", model.name);
        // An attribute that is none.
        let none = [("NoSuchThing", AttributeValue::Bool(true))];
        let end = rig.run(&Request::SetBios(&none));
        assert_eq!((end.result, end.status), (Err(FailureKind::Refused), 400));
    }
}

#[test]
fn secure_boot_is_read_and_set() {
    for model in model::MODELS {
        let mut rig = Rig::new(model);
        let Outcome::SecureBoot(state) = rig.run(&Request::SetSecureBoot(true)).ok() else {
            panic!();
        };
        assert_eq!((state.enabled, state.current), (Some(true), Some(false)));
        rig.run(&Request::Reset(ResetType::On)).ok();
        let Outcome::SecureBoot(state) = rig.run(&Request::ReadSecureBoot).ok() else {
            panic!();
        };
        assert_eq!((state.enabled, state.current), (Some(true), Some(true)));
    }
}

#[test]
fn session_is_used_again_and_ended() {
    let mut rig = Rig::new(&model::MODERN);
    rig.run(&Request::ReadSystem).ok();
    rig.run(&Request::ReadSystem).ok();
    assert_eq!(rig.service.open_sessions(), 1);
    assert!(rig.bmc.has_session());
    assert_eq!(rig.run(&Request::CloseSession).ok(), Outcome::SessionClosed);
    assert_eq!(rig.service.open_sessions(), 0);
    assert!(!rig.bmc.has_session());
    // The root and the session's own request need no credentials.
    let requests: Vec<&str> = rig.sent.split("\r\n\r\n").collect();
    for request in &requests {
        let open = request.contains("GET /redfish/v1/ ") || request.contains("/Sessions HTTP");
        let has = request.contains("X-Auth-Token") || request.contains("Authorization");
        assert!(open != has || request.len() < 100, "{request}");
    }
    assert_eq!(rig.sent.matches("X-Auth-Token").count(), 4);
    // Without one, nothing is asked.
    rig.asked();
    assert_eq!(rig.run(&Request::CloseSession).ok(), Outcome::SessionClosed);
    assert_eq!(rig.asked(), Vec::<String>::new());
    assert!(!format!("{:?} {TARGET:?}", rig.bmc).contains("s3cret"));
}

#[test]
fn lost_session_is_made_once_more() {
    let mut rig = Rig::new(&model::STANDARD);
    rig.run(&Request::ReadSystem).ok();
    let lost = Injected::always(Fault::ForgetsSessions);
    // In each step, the change too: a 401 says that nothing was done.
    for (method, path) in [("GET", "Systems"), ("PATCH", "Systems")] {
        rig.service
            .inject(lost.clone().method(method).path(path).times(1));
        rig.run(&PXE_ONCE).ok();
        assert_eq!(rig.service.open_sessions(), 1);
    }
    rig.service.inject(lost);
    let end = rig.run(&PXE_ONCE);
    assert_eq!(end.result, Err(FailureKind::Unauthorized));
    assert!(!end.open);
    // One that can't be ended is gone too.
    assert_eq!(rig.run(&Request::CloseSession).ok(), Outcome::SessionClosed);
    rig.service.heal();
    rig.run(&PXE_ONCE).ok();
}

#[test]
fn lost_session_in_a_task_does_not_repeat_the_reset() {
    let mut rig = Rig::new(&model::MODERN);
    let lost = Injected::always(Fault::ForgetsSessions)
        .path("TaskMonitors")
        .times(1);
    rig.service.inject(lost);
    rig.run(&Request::Reset(ResetType::On)).ok();
    let resets = rig
        .asked()
        .iter()
        .filter(|asked| asked.contains("ComputerSystem.Reset"))
        .count();
    assert_eq!(resets, 1);
}

#[test]
fn basic_authentication_is_tried_once() {
    let target = Target {
        auth: Auth::Basic,
        ..TARGET
    };
    for model in model::MODELS {
        let mut rig = Rig::new(model);
        rig.run_at(&target, &PXE_ONCE).ok();
        assert_eq!(rig.service.open_sessions(), 0);
        let root = rig.sent.split("\r\n\r\n").next().unwrap();
        assert!(!root.contains("Authorization"), "{root}");
        assert!(
            rig.sent
                .contains("\r\nAuthorization: Basic YWRtaW46czNjcmV0OiJwYXNz\r\n")
        );
    }
    let mut rig = Rig::new(&model::STANDARD);
    let wrong = Target {
        password: "wrong",
        ..target
    };
    let end = rig.run_at(&wrong, &Request::ReadSystem);
    assert_eq!(
        (end.result, end.status),
        (Err(FailureKind::Unauthorized), 401)
    );
    assert_eq!(rig.asked().len(), 2);
    let wrong = Target {
        auth: Auth::Session,
        ..wrong
    };
    let end = rig.run_at(&wrong, &Request::ReadSystem);
    assert_eq!(
        (end.result, end.step),
        (Err(FailureKind::Unauthorized), Step::Session)
    );
}

#[test]
fn credentials_that_would_end_a_line_are_not_sent() {
    let mut rig = Rig::new(&model::STANDARD);
    let basic = Target {
        auth: Auth::Basic,
        ..TARGET
    };
    let long = "x".repeat(200);
    for target in [
        Target {
            user: "a:b",
            ..basic
        },
        Target {
            password: &long,
            ..basic
        },
        Target {
            host: "bmc\r\nX: y",
            ..TARGET
        },
        Target { host: "", ..TARGET },
    ] {
        let end = rig.run_at(&target, &Request::ReadSystem);
        assert_eq!(end.result, Err(FailureKind::Credentials));
    }
    let target = Target {
        which: Which::Path("/redfish/v1/Systems/1 HTTP/1.1"),
        ..TARGET
    };
    let end = rig.run_at(&target, &Request::ReadSystem);
    assert_eq!(end.result, Err(FailureKind::Link(LinkError::Malformed)));
    assert_eq!(rig.connections, 0);
}

#[test]
fn system_is_chosen_by_path_or_uuid() {
    let other = "def2b1c3-5a0f-3e4d-9b6a-2f6f2f0e8a12";
    for page in [0, 1, 2, 3] {
        chosen_in_pages(
            other,
            &Model {
                page,
                ..model::STANDARD
            },
        );
    }
}

fn chosen_in_pages(other: &str, model: &Model) {
    let mut rig = Rig::new(model);
    let mut service = common::service(model);
    for _ in 0..3 {
        service = service.system(OTHER, Simulated::new(true));
    }
    rig.service = service.system(other, Simulated::new(true));
    let end = rig.run(&Request::ReadSystem);
    assert_eq!(end.result, Err(FailureKind::Ambiguous));
    // The UUID of the last one, in the byte order of SMBIOS.
    let mut uuid = UUID;
    uuid[15] = 0x12;
    for (which, found) in [
        (Which::Uuid(UUID), "/redfish/v1/Systems/1"),
        (Which::Uuid(uuid), "/redfish/v1/Systems/1-4"),
        (
            Which::Path("/redfish/v1/Systems/1-2"),
            "/redfish/v1/Systems/1-2",
        ),
    ] {
        rig.bmc.forget_system();
        let target = Target { which, ..TARGET };
        rig.run_at(&target, &Request::ReadSystem).ok();
        assert_eq!(rig.bmc.system(), Some(found));
    }
    rig.bmc.forget_system();
    let target = Target {
        which: Which::Uuid([1; 16]),
        ..TARGET
    };
    let end = rig.run_at(&target, &Request::ReadSystem);
    assert_eq!(end.result, Err(FailureKind::NoSystem));
    let target = Target {
        which: Which::Path("/redfish/v1/Systems/none"),
        ..TARGET
    };
    let end = rig.run_at(&target, &Request::ReadSystem);
    assert_eq!((end.result, end.status), (Err(FailureKind::Refused), 404));
}

#[test]
fn collections_are_read_up_to_a_bound() {
    let mut rig = Rig::new(&model::STANDARD);
    let mut service = common::service(&model::STANDARD);
    for _ in 0..70 {
        service = service.system(OTHER, Simulated::new(true));
    }
    rig.service = service;
    let which = Which::Uuid([9; 16]);
    let end = rig.run_at(&Target { which, ..TARGET }, &Request::ReadSystem);
    assert_eq!(end.result, Err(FailureKind::NoSystem));
    let looks = rig
        .asked()
        .iter()
        .filter(|asked| asked.ends_with("/Systems"))
        .count();
    assert_eq!(looks, 64);
}

#[test]
fn system_that_moved_is_looked_for() {
    let mut rig = Rig::new(&model::STANDARD);
    rig.run(&Request::ReadSystem).ok();
    rig.service.systems_mut()[0].id = "2".into();
    rig.run(&PXE_ONCE).ok();
    assert_eq!(rig.bmc.system(), Some("/redfish/v1/Systems/2"));
    rig.service = farrier_redfish_service::Service::new(
        model::STANDARD.clone(),
        TARGET.user,
        TARGET.password,
    );
    let end = rig.run(&Request::ReadSystem);
    assert_eq!(end.result, Err(FailureKind::NoSystem));
    let _ = UUID_TEXT;
}
