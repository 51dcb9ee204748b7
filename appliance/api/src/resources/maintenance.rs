//! `/v1/nodes/{node}/maintenance`.

use crate::access::Needs;
use crate::body::Body;
use crate::resource::{Call, Route, Takes};
use crate::{Error, View};
use farrier_core::interface::Command;
use farrier_core::interface::{FlagPatch, NodePatch};
use farrier_http::{Method, Status};

const PATH: &str = "/v1/nodes/{node}/maintenance";

pub(crate) const ROUTES: &[Route] = &[
    Route::change(Method::Put, PATH, begin)
        .needs(Needs::Member)
        .takes(Takes::Form(&["reason"]))
        .status(Status::ACCEPTED),
    Route::change(Method::Delete, PATH, end)
        .needs(Needs::Member)
        .status(Status::ACCEPTED),
];

fn begin<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    Ok(set(call, true, Some(body.pairs().get("reason"))))
}

fn end<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(set(call, false, None))
}

fn set<'f>(call: &'f Call, on: bool, reason: Option<&'f str>) -> Command<'f> {
    Command::PatchNode {
        node: call.node_id(),
        patch: NodePatch {
            maintenance: FlagPatch {
                on: Some(on),
                reason,
            },
            ..NodePatch::default()
        },
    }
}
