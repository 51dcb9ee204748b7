//! `PUT /v1/nodes/{node}/states/power`.

use crate::access::Needs;
use crate::body::Body;
use crate::resource::{Call, Route, Takes};
use crate::{Error, View};
use farrier_core::interface::{Command, PowerAction};
use farrier_http::{Method, Status};

pub(crate) const ROUTES: &[Route] =
    &[
        Route::change(Method::Put, "/v1/nodes/{node}/states/power", put)
            .needs(Needs::Member)
            .takes(Takes::Form(&["target", "timeout"]))
            .status(Status::ACCEPTED),
    ];

const TARGETS: [(&str, PowerAction); 5] = [
    ("power on", PowerAction::On),
    ("power off", PowerAction::Off),
    ("rebooting", PowerAction::Reboot),
    ("soft power off", PowerAction::SoftOff),
    ("soft rebooting", PowerAction::SoftReboot),
];

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let target = body.pairs().get("target");
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, action) = found.ok_or_else(|| {
        Error::new(
            Status::BAD_REQUEST,
            format_args!(
                "the power target {target:?} is not known. There are power on, power off, \
                 rebooting, soft power off and soft rebooting."
            ),
        )
    })?;
    Ok(Command::SetPower {
        node: call.node_id(),
        action: *action,
    })
}

/// What Ironic calls an action.
pub(crate) fn name(action: PowerAction) -> &'static str {
    let mut all = TARGETS.iter();
    let found = all.find(|(_, known)| *known == action);
    found.map_or("", |(name, _)| name)
}
