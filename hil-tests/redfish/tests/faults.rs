//! Every lie and fault ends in a clear error within the bounds, or in the truth.

mod common;

use common::{End, PXE_ONCE, Rig, TARGET};
use farrier_redfish::{
    Auth, Bmc, BootEnabled, BootMode, BootOverride, BootTarget, FailureKind, HttpError, LinkError,
    Operation, Outcome, PowerState, Request, ResetType, Settings, Step, Target, Wants,
};
use farrier_redfish_service::{Boot, Fault, Injected, Stall, model};

const RESET: Request<'static> = Request::Reset(ResetType::On);

/// A rig whose service has a fault, its system and session known.
fn rig(injected: Injected) -> Rig {
    let mut rig = Rig::new(&model::STANDARD);
    rig.run(&Request::ReadSystem).ok();
    rig.asked();
    rig.service.inject(injected);
    rig
}

fn failed(rig: &mut Rig, request: &Request<'_>) -> (FailureKind, End) {
    let begun = rig.now;
    let end = rig.run(request);
    assert!(rig.now - begun <= u64::from(rig.settings.total_ms));
    match end.result {
        Err(kind) => (kind, end),
        Ok(outcome) => panic!("{outcome:?}"),
    }
}

#[test]
fn change_that_is_accepted_and_not_made_is_noticed() {
    for model in model::MODELS {
        let mut rig = Rig::new(model);
        rig.service.inject(Injected::always(Fault::DoesNothing));
        for request in [
            PXE_ONCE,
            Request::InsertMedia {
                image: "http://10.0.0.1/x.iso",
            },
            Request::SetSecureBoot(true),
            Request::SetBios(&[("NumLock", farrier_redfish::AttributeValue::Bool(false))]),
        ] {
            let (kind, end) = failed(&mut rig, &request);
            assert_eq!((kind, end.step), (FailureKind::NotApplied, Step::ReadBack));
            assert!(!end.open);
        }
        // Of a reset, only the power tells.
        rig.run(&RESET).ok();
        rig.now += 60_000;
        let Outcome::System(system) = rig.run(&Request::ReadSystem).ok() else {
            panic!()
        };
        assert_eq!(system.power, Some(PowerState::Off));
    }
}

#[test]
fn old_state_is_waited_out() {
    let mut rig = rig(Injected::always(Fault::OldState(9_000)));
    let begun = rig.now;
    rig.run(&PXE_ONCE).ok();
    assert!((9_000..12_000).contains(&(rig.now - begun)));
    rig.service.heal();
    rig.service
        .inject(Injected::always(Fault::OldState(60_000)));
    let (kind, end) = failed(&mut rig, &Request::SetSecureBoot(true));
    assert_eq!((kind, end.step), (FailureKind::NotApplied, Step::ReadBack));
}

#[test]
fn forgotten_boot_override_is_noticed() {
    let mut rig = rig(Injected::always(Fault::ForgetsBoot));
    let (kind, end) = failed(&mut rig, &PXE_ONCE);
    assert_eq!(kind, FailureKind::NotApplied);
    assert_eq!(
        end.system.boot.enabled,
        Some(farrier_redfish::BootEnabled::Disabled)
    );
}

#[test]
fn boot_override_that_is_another_one_is_noticed() {
    let uri = "http://10.0.0.1/boot.efi";
    let asked = Boot {
        enabled: "Once".into(),
        target: "UefiHttp".into(),
        mode: "UEFI".into(),
        http_uri: Some(uri.into()),
    };
    let wanted = |http_uri| {
        Request::SetBoot(BootOverride {
            enabled: BootEnabled::Once,
            target: BootTarget::UefiHttp,
            mode: Some(BootMode::Uefi),
            http_uri,
        })
    };
    let others = [
        Boot {
            enabled: "Continuous".into(),
            ..asked.clone()
        },
        Boot {
            target: "Pxe".into(),
            ..asked.clone()
        },
        Boot {
            mode: "Legacy".into(),
            ..asked.clone()
        },
        Boot {
            http_uri: Some("http://10.0.0.1/boot.efi2".into()),
            ..asked.clone()
        },
        Boot {
            http_uri: None,
            ..asked.clone()
        },
    ];
    for other in others {
        let mut rig = rig(Injected::always(Fault::StoresBoot(other.clone())));
        let (kind, _) = failed(&mut rig, &wanted(Some(uri)));
        assert_eq!(kind, FailureKind::NotApplied, "{other:?}");
    }
    // What DHCP says is asked for, and an earlier URI stays.
    let mut rig = self::rig(Injected::always(Fault::StoresBoot(asked.clone())));
    assert_eq!(failed(&mut rig, &wanted(None)).0, FailureKind::NotApplied);
    rig.run(&wanted(Some(uri))).ok();
    // It stays on where it is to be off.
    let off = Request::SetBoot(BootOverride {
        enabled: BootEnabled::Disabled,
        target: BootTarget::None,
        mode: None,
        http_uri: None,
    });
    assert_eq!(failed(&mut rig, &off).0, FailureKind::NotApplied);
    // Without a target it is off, whatever the rest says.
    let none = Boot {
        target: "None".into(),
        ..asked
    };
    let mut rig = self::rig(Injected::always(Fault::StoresBoot(none)));
    rig.run(&off).ok();
}

#[test]
fn image_that_stays_is_noticed() {
    let mut rig = rig(Injected::always(Fault::DoesNothing).path("Eject"));
    rig.run(&Request::InsertMedia {
        image: "http://10.0.0.1/x.iso",
    })
    .ok();
    let (kind, end) = failed(&mut rig, &Request::EjectMedia);
    assert_eq!((kind, end.step), (FailureKind::NotApplied, Step::ReadBack));
}

#[test]
fn error_inside_a_success_is_an_error() {
    let mut rig = rig(Injected::always(Fault::ErrorInside));
    for request in [PXE_ONCE, RESET] {
        let (kind, end) = failed(&mut rig, &request);
        assert_eq!((kind, end.step), (FailureKind::ErrorInside, Step::Change));
        assert_eq!(
            (end.status, end.message.as_str()),
            (200, "Could not do it.")
        );
        assert!(end.message_id.ends_with("InternalError") && !end.open);
    }
}

#[test]
fn forgotten_users_are_told() {
    let mut rig = rig(Injected::always(Fault::ForgetsUsers));
    let (kind, end) = failed(&mut rig, &RESET);
    assert_eq!((kind, end.step), (FailureKind::Unauthorized, Step::Session));
    let basic = Target {
        auth: Auth::Basic,
        ..TARGET
    };
    rig.asked();
    let end = rig.run_at(&basic, &RESET);
    assert_eq!(end.result, Err(FailureKind::Unauthorized));
    assert_eq!(rig.asked().len(), 1, "an account must not be locked");
}

#[test]
fn tasks_end_or_are_given_up() {
    for (fault, kind, open) in [
        (Fault::TaskHangs, FailureKind::TooSlow, true),
        (Fault::TaskFails, FailureKind::Task, false),
        (Fault::TaskForgotten, FailureKind::TaskLost, true),
    ] {
        let mut rig = Rig::new(&model::MODERN);
        rig.service.inject(Injected::always(fault.clone()));
        let (found, end) = failed(&mut rig, &RESET);
        assert_eq!(
            (found, end.open, end.step),
            (kind, open, Step::Task),
            "{fault:?}"
        );
    }
}

#[test]
fn sessions_and_tasks_are_found_without_a_good_location() {
    for fault in [Fault::NoLocation, Fault::OtherLocation] {
        let mut rig = Rig::new(&model::MODERN);
        rig.service.inject(Injected::always(fault));
        rig.run(&RESET).ok();
        let asked = rig.asked();
        let monitors = asked.iter().filter(|asked| asked.contains("TaskMonitors"));
        assert!(monitors.count() > 2, "{asked:?}");
        rig.run(&Request::CloseSession).ok();
        assert_eq!(rig.service.open_sessions(), 0);
    }
}

#[test]
fn monitor_of_a_task_needs_no_document() {
    let mut rig = Rig::new(&model::MODERN);
    rig.service
        .inject(Injected::always(Fault::NoBody).path("TaskMonitors"));
    let begun = rig.now;
    rig.run(&RESET).ok();
    assert!(rig.now - begun >= 5_000);
}

#[test]
fn busy_bmc_is_asked_again() {
    let busy = Injected::always(Fault::Busy(7));
    let mut rig = rig(busy.clone().method("PATCH").times(2));
    let (begun, connections) = (rig.now, rig.connections);
    rig.run(&PXE_ONCE).ok();
    assert_eq!(rig.now - begun, 14_000);
    // What changes something goes over a connection that has not idled.
    assert_eq!(rig.connections - connections, 3);
    for busy in [busy.clone().method("PATCH"), busy] {
        rig.service.inject(busy);
        let (kind, end) = failed(&mut rig, &PXE_ONCE);
        assert_eq!(
            (kind, end.status, end.open),
            (FailureKind::Refused, 503, false)
        );
    }
}

#[test]
fn internal_error_of_a_change_leaves_it_open() {
    let mut rig = rig(Injected::always(Fault::Broken).times(2));
    // A look is repeated …
    rig.run(&Request::ReadSystem).ok();
    // … a change is not.
    rig.service
        .inject(Injected::always(Fault::Broken).method("POST"));
    let (kind, end) = failed(&mut rig, &RESET);
    assert_eq!(
        (kind, end.status, end.open),
        (FailureKind::Refused, 500, true)
    );
    assert_eq!(
        rig.asked()
            .iter()
            .filter(|asked| asked.starts_with("POST"))
            .count(),
        1
    );
}

#[test]
fn huge_documents_end_the_operation() {
    let mut rig = rig(Injected::always(Fault::Huge(10_000_000)));
    let (kind, _) = failed(&mut rig, &Request::ReadSystem);
    assert_eq!(kind, FailureKind::Http(HttpError::BodyTooLong));
    // Chunked, its length is unknown until it is too long.
    let mut rig = Rig::new(&model::MODERN);
    rig.service
        .inject(Injected::always(Fault::Huge(10_000_000)));
    rig.cuts = vec![1460];
    let (kind, _) = failed(&mut rig, &Request::ReadSystem);
    assert_eq!(kind, FailureKind::Http(HttpError::BodyTooLong));
    assert!(rig.received < 1_200_000, "{}", rig.received);
    // Below the bound it is read.
    rig.service.heal();
    rig.service
        .inject(Injected::always(Fault::Huge(900_000)).path("Systems/"));
    rig.run(&Request::ReadSystem).ok();
}

#[test]
fn documents_that_are_none_end_the_operation() {
    use farrier_redfish::FailureKind as Kind;
    for (fault, kind) in [
        (Fault::Html, Kind::Json(farrier_json::Error::Syntax)),
        (Fault::Deep(60), Kind::Json(farrier_json::Error::Depth)),
        (Fault::NoBody, Kind::NoDocument),
    ] {
        let mut rig = rig(Injected::always(fault.clone()));
        assert_eq!(failed(&mut rig, &Request::ReadSystem).0, kind, "{fault:?}");
        assert_eq!(failed(&mut rig, &Request::ReadSensors).0, kind, "{fault:?}");
    }
    // A page for people in place of an answer to a change.
    let mut rig = rig(Injected::always(Fault::Html).method("POST"));
    let (kind, end) = failed(&mut rig, &RESET);
    assert_eq!(kind, Kind::Json(farrier_json::Error::Syntax));
    assert!(end.open);
}

#[test]
fn resources_that_lack_everything_end_the_operation() {
    for request in [
        RESET,
        Request::ReadSensors,
        Request::ReadBios,
        Request::EjectMedia,
    ] {
        let mut rig = rig(Injected::always(Fault::Empty));
        let (kind, _) = failed(&mut rig, &request);
        assert_eq!(kind, FailureKind::Unsupported);
        rig.bmc.forget_system();
        assert_eq!(failed(&mut rig, &request).0, FailureKind::Unsupported);
    }
    // A system of which nothing is known is a system.
    let mut rig = rig(Injected::always(Fault::Empty));
    let Outcome::System(system) = rig.run(&Request::ReadSystem).ok() else {
        panic!()
    };
    assert_eq!((system.power, system.uuid), (None, None));
}

#[test]
fn links_to_another_host_are_not_followed() {
    let elsewhere = FailureKind::Link(LinkError::Elsewhere);
    for path in ["", "Systems/", "Chassis"] {
        let mut rig = Rig::new(&model::STANDARD);
        rig.service
            .inject(Injected::always(Fault::LinksElsewhere).path(path));
        let (kind, _) = failed(&mut rig, &Request::ReadSensors);
        assert_eq!(kind, elsewhere, "{path}");
        // The target of an action is a link too.
        if path == "Systems/" {
            let (kind, end) = failed(&mut rig, &RESET);
            assert_eq!((kind, end.step), (elsewhere, Step::System));
        }
    }
}

#[test]
fn redirections_stay_within_the_host() {
    for (to, kind) in [
        (
            "http://192.0.2.66/redfish/v1/",
            FailureKind::Link(LinkError::Elsewhere),
        ),
        (
            "https://bmc.test/redfish/v1/",
            FailureKind::Link(LinkError::Elsewhere),
        ),
        (
            "http://bmc.test:8000/redfish/v1/",
            FailureKind::Link(LinkError::Elsewhere),
        ),
        (
            "http://bmc.test@192.0.2.66/",
            FailureKind::Link(LinkError::Elsewhere),
        ),
        (
            "//192.0.2.66/redfish/v1/",
            FailureKind::Link(LinkError::Elsewhere),
        ),
        ("redfish/v1/", FailureKind::Link(LinkError::Malformed)),
        ("", FailureKind::Redirect),
        ("/redfish/v1/Systems/1", FailureKind::Redirect),
    ] {
        let mut rig = rig(Injected::always(Fault::Redirect(to.into())));
        assert_eq!(failed(&mut rig, &Request::ReadSystem).0, kind, "{to}");
        assert!(rig.connections < 8);
    }
    // One that leads somewhere is followed, the root's too.
    let mut rig = rig(Injected::always(Fault::Redirect("HOST/redfish/v1".into())).times(1));
    rig.service.heal();
    for (path, to) in [
        ("/redfish/v1/", "http://BMC.test:80/redfish/v1"),
        ("Systems/", "/redfish/v1/Systems/1/"),
    ] {
        let redirect = Fault::Redirect(to.into());
        rig.service
            .inject(Injected::always(redirect).path(path).times(1));
        rig.run(&Request::Identify).ok();
    }
    // What changes something is not sent elsewhere.
    let redirect = Fault::Redirect("/redfish/v1/Systems/1".into());
    rig.service
        .inject(Injected::always(redirect).method("PATCH").times(1));
    let (kind, end) = failed(&mut rig, &PXE_ONCE);
    assert_eq!((kind, end.open), (FailureKind::Redirect, false));
}

#[test]
fn wrong_lengths_end_the_operation() {
    // Too short: the document is not whole, or the next answer is not one.
    let mut rig = rig(Injected::always(Fault::WrongLength(-3)));
    let (kind, _) = failed(&mut rig, &Request::ReadSystem);
    assert_eq!(kind, FailureKind::Json(farrier_json::Error::Incomplete));
    // Too long: nothing comes any more.
    rig.service.heal();
    rig.service.inject(Injected::always(Fault::WrongLength(5)));
    assert_eq!(
        failed(&mut rig, &Request::ReadSystem).0,
        FailureKind::Timeout
    );
    rig.service.heal();
    for (fault, error) in [
        (Fault::TwoFramings, HttpError::TransferCoding),
        (Fault::Gzip, HttpError::ContentEncoding),
        (Fault::Interim(9), HttpError::Interim),
    ] {
        rig.service.heal();
        rig.service.inject(Injected::always(fault));
        let (kind, _) = failed(&mut rig, &Request::ReadSystem);
        assert_eq!(kind, FailureKind::Http(error));
    }
    rig.service.heal();
    rig.service.inject(Injected::always(Fault::Interim(2)));
    rig.run(&PXE_ONCE).ok();
}

#[test]
fn early_close_ends_the_operation() {
    for behind in [0, 1, 10, 40, 200, 700] {
        let mut rig = rig(Injected::always(Fault::Closes(behind)).path("Systems/"));
        let (kind, _) = failed(&mut rig, &Request::ReadSystem);
        assert_eq!(kind, FailureKind::Closed, "{behind}");
    }
    // A change may have been made, and is not sent again over another connection.
    let mut rig = rig(Injected::always(Fault::Closes(0)).method("PATCH").times(1));
    let (kind, end) = failed(&mut rig, &PXE_ONCE);
    assert_eq!((kind, end.open), (FailureKind::Closed, true));
    assert_eq!(
        rig.asked()
            .iter()
            .filter(|asked| asked.starts_with("PATCH"))
            .count(),
        1
    );
    // A look is, once.
    rig.service
        .inject(Injected::always(Fault::Closes(0)).times(1));
    rig.run(&Request::ReadSystem).result.unwrap_err();
    rig.bmc.forget_system();
    rig.service
        .inject(Injected::always(Fault::Closes(0)).path("Systems/").times(1));
    rig.run(&Request::ReadSystem).ok();
    let mut rig = self::rig(Injected::always(Fault::Closes(20)).method("POST"));
    let (kind, end) = failed(&mut rig, &RESET);
    assert_eq!((kind, end.open), (FailureKind::Closed, true));
}

#[test]
fn stalls_end_by_the_deadline() {
    for stall in [Stall::Silent, Stall::Head, Stall::Body] {
        let mut rig = rig(Injected::always(Fault::Stalls(stall)));
        let begun = rig.now;
        let (kind, end) = failed(&mut rig, &Request::ReadSystem);
        assert_eq!(
            (kind, end.step, end.open),
            (FailureKind::Timeout, Step::System, false)
        );
        assert_eq!(rig.now - begun, u64::from(rig.settings.answer_ms));
        rig.service.heal();
        rig.service
            .inject(Injected::always(Fault::Stalls(stall)).method("POST"));
        let end = rig.run(&RESET);
        if stall != Stall::Body {
            assert_eq!((end.result, end.open), (Err(FailureKind::Timeout), true));
        }
    }
}

#[test]
fn connection_that_was_closed_between_requests_is_made_anew() {
    let mut rig = rig(Injected::always(Fault::ClosesEach));
    rig.run(&PXE_ONCE).ok();
    rig.service.heal();
    let before = rig.connections;
    rig.run(&PXE_ONCE).ok();
    assert_eq!(rig.connections - before, 1);
    rig.settings.keep_alive = false;
    rig.run(&PXE_ONCE).ok();
    assert_eq!(rig.connections - before, 4);
    // An answer may end with its connection.
    rig.service.inject(Injected::always(Fault::UntilClose));
    rig.settings.keep_alive = true;
    rig.run(&PXE_ONCE).ok();
}

#[test]
fn bytes_that_answer_nothing_cost_a_connection() {
    let mut rig = rig(Injected::always(Fault::Surplus));
    let before = rig.connections;
    rig.run(&PXE_ONCE).ok();
    assert_eq!(rig.connections - before, 3);
    // Those that come behind the next request look like its answer.
    for cut in [1, 50] {
        rig.cuts = vec![cut];
        match rig.run(&PXE_ONCE).result {
            Ok(_) | Err(FailureKind::Http(HttpError::Syntax)) => {}
            Err(kind) => panic!("{kind:?}"),
        }
    }
}

#[test]
fn connection_that_is_not_made_ends_by_the_deadline() {
    let settings = Settings::default();
    for connects in [false, true] {
        let mut bmc = Bmc::new();
        let mut operation = Operation::new(&mut bmc, &TARGET, &RESET, &settings, 5);
        assert_eq!(operation.wants(), Wants::Connect);
        if connects {
            operation.connected();
            // The connection takes no more than this.
            assert_eq!(operation.output(&mut [0; 7]), 7);
        }
        let deadline = operation.deadline();
        assert_eq!(deadline, 5 + u64::from(settings.answer_ms));
        operation.tick(deadline - 1);
        assert_ne!(operation.wants(), Wants::Nothing);
        operation.tick(deadline);
        let end = operation
            .end()
            .map(|end| end.map_err(|failure| failure.kind));
        assert_eq!(end, Some(Err(FailureKind::Timeout)));
    }
    let mut bmc = Bmc::new();
    let mut operation = Operation::new(&mut bmc, &TARGET, &RESET, &settings, 5);
    operation.closed(6);
    let end = operation
        .end()
        .map(|end| end.map_err(|failure| failure.kind));
    assert_eq!(end, Some(Err(FailureKind::Closed)));
}

#[test]
fn owner_can_give_up() {
    let mut bmc = farrier_redfish::Bmc::new();
    let settings = farrier_redfish::Settings::default();
    let mut operation = farrier_redfish::Operation::new(&mut bmc, &TARGET, &RESET, &settings, 5);
    operation.abort();
    let end = operation
        .end()
        .map(|end| end.map_err(|failure| failure.kind));
    assert_eq!(end, Some(Err(FailureKind::GivenUp)));
    assert_eq!(operation.output(&mut [0; 10]), 0);
    operation.input(b"x", 6, &mut ());
    operation.tick(u64::MAX);
    operation.closed(7);
}
