//! Operations under random splits of the bytes, random faults and random models:
//! how the bytes are cut does not matter, and everything ends within its bounds.

mod common;

use common::{End, PXE_ONCE, Rig};
use farrier_redfish::{
    AttributeValue, BootEnabled, BootMode, BootOverride, BootTarget, Request, ResetType,
};
use farrier_redfish_service::{Fault, Injected, Stall, model};
use proptest::prelude::*;

const REQUESTS: [Request<'static>; 14] = [
    Request::Identify,
    Request::ReadSystem,
    Request::Reset(ResetType::On),
    Request::Reset(ResetType::ForceOff),
    PXE_ONCE,
    Request::SetBoot(BootOverride {
        enabled: BootEnabled::Continuous,
        target: BootTarget::UefiHttp,
        mode: Some(BootMode::Uefi),
        http_uri: Some("http://10.0.0.1/b\"o\\ot.efi"),
    }),
    Request::ReadSensors,
    Request::InsertMedia {
        image: "http://10.0.0.1/x.iso",
    },
    Request::EjectMedia,
    Request::ReadBios,
    Request::SetBios(&[("NumLock", AttributeValue::Bool(false))]),
    Request::ResetBios,
    Request::SetSecureBoot(true),
    Request::CloseSession,
];

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::DoesNothing),
        (0_u64..30_000).prop_map(Fault::OldState),
        Just(Fault::ForgetsBoot),
        Just(Fault::ErrorInside),
        Just(Fault::ForgetsUsers),
        Just(Fault::ForgetsSessions),
        Just(Fault::TaskHangs),
        Just(Fault::TaskFails),
        Just(Fault::TaskForgotten),
        Just(Fault::EtagNeverMatches),
        (0_u16..100).prop_map(Fault::Busy),
        Just(Fault::Broken),
        (0_usize..20_000).prop_map(Fault::Huge),
        (0_usize..30).prop_map(Fault::Deep),
        Just(Fault::Html),
        Just(Fault::Empty),
        Just(Fault::NoBody),
        Just(Fault::LinksElsewhere),
        Just(Fault::Redirect("/redfish/v1/".into())),
        Just(Fault::Redirect("HOST/redfish/v1/Systems".into())),
        (-700_i64..100).prop_map(Fault::WrongLength),
        Just(Fault::TwoFramings),
        Just(Fault::Gzip),
        Just(Fault::NoLocation),
        Just(Fault::OtherLocation),
        (0_usize..7).prop_map(Fault::Interim),
        (0_usize..900).prop_map(Fault::Closes),
        Just(Fault::Stalls(Stall::Silent)),
        Just(Fault::Stalls(Stall::Head)),
        Just(Fault::Stalls(Stall::Body)),
        Just(Fault::UntilClose),
        Just(Fault::ClosesEach),
    ]
}

fn injected() -> impl Strategy<Value = Injected> {
    let methods = prop::sample::select(vec!["", "GET", "POST", "PATCH", "DELETE"]);
    let paths = prop::sample::select(vec!["", "Systems/", "Session", "Chassis", "Task", "Bios"]);
    let times = prop_oneof![Just(u32::MAX), 1_u32..4];
    (fault(), methods, paths, times).prop_map(|(fault, method, path, times)| Injected {
        fault,
        method,
        path,
        times,
    })
}

fn run(model: usize, faults: &[Injected], requests: &[usize], cuts: Vec<usize>) -> Vec<End> {
    let mut rig = Rig::new(model::MODELS[model]);
    rig.cuts = cuts;
    rig.settings.keep_alive = !requests.len().is_multiple_of(3);
    for fault in faults {
        rig.service.inject(fault.clone());
    }
    let ends = requests
        .iter()
        .map(|request| rig.run(&REQUESTS[*request]))
        .collect();
    // Nothing of it harms what comes behind.
    rig.service.heal();
    for _ in 0..2 {
        rig.run(&Request::ReadSystem).ok();
    }
    ends
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn cuts_do_not_matter(
        model in 0..model::MODELS.len(),
        faults in prop::collection::vec(injected(), 0..3),
        requests in prop::collection::vec(0..REQUESTS.len(), 1..5),
        cuts in prop::collection::vec(1_usize..300, 1..20),
    ) {
        let whole = run(model, &faults, &requests, vec![0]);
        let cut = run(model, &faults, &requests, cuts);
        prop_assert_eq!(&whole, &cut);
    }

    #[test]
    fn without_faults_each_operation_ends_well(
        model in 0..model::MODELS.len(),
        requests in prop::collection::vec(0..REQUESTS.len(), 1..8),
        cuts in prop::collection::vec(1_usize..1500, 1..5),
    ) {
        for end in run(model, &[], &requests, cuts) {
            let fails = end.result.is_err();
            // What a model lacks is told ahead of any change.
            let lacks = matches!(end.result, Err(
                farrier_redfish::FailureKind::Unsupported
                    | farrier_redfish::FailureKind::NoMedia
            ));
            prop_assert!(!fails || lacks && !end.open, "{:#?}", end);
        }
    }
}

#[test]
fn single_bytes_do() {
    for model in 0..model::MODELS.len() {
        let all: Vec<usize> = (0..REQUESTS.len()).collect();
        assert_eq!(
            run(model, &[], &all, vec![1]),
            run(model, &[], &all, vec![0])
        );
    }
}
