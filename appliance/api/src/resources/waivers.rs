//! `/farrier/v1/nodes/{node}/waivers`: devices that nobody has proven empty and that
//! do not keep the node from being offered.
//!
//! A device is named as the inspection names it, which the node's inventory and its
//! error show: by its serial number, or by `@` and its path. The body says what the
//! inventory says of it, and the waiver holds for a device of that name that is still
//! so.

use crate::body::Body;
use crate::reply::{self, Cursor};
use crate::resource::{Ask, Call, Out, Route, Takes};
use crate::{Error, View};
use farrier_core::interface::{Command, Seen};
use farrier_core::provisioning::waivers::waived;
use farrier_http::Method;
use farrier_protocol::message::SkipReason;

const ONE: &str = "/farrier/v1/nodes/{node}/waivers/{device}";

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/farrier/v1/nodes/{node}/waivers", list),
    Route::change(Method::Put, ONE, put).takes(Takes::Form(&["reason", "size", "kind"])),
    Route::change(Method::Delete, ONE, delete),
];

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let node = ask.node().map(|(index, _)| index);
    let nth = |n| waived(ask.view.texts, node?).nth(n);
    reply::list(at, w, "waivers", nth, |waived, w| {
        w.object().key("device").string(waived.device);
        match waived.seen {
            Seen::Skipped { reason, size } => {
                w.key("reason").string(reason.as_str());
                w.key("size").number(size)
            }
            Seen::Controller { kind } => w.key("kind").string(kind),
        }
        .end_object();
    });
}

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let pairs = body.pairs();
    let seen = match (pairs.find("reason"), pairs.find("size"), pairs.find("kind")) {
        (Some(reason), Some(size), None) => SkipReason::parse(reason)
            .zip(size.parse().ok())
            .map(|(reason, size)| Seen::Skipped { reason, size }),
        (None, None, Some(kind)) => Some(Seen::Controller { kind }),
        _ => None,
    };
    let missing = || {
        Error::bad(
            "a waiver says what it is for. Send reason and size of the device, or the kind of \
             the controller, as the node's inventory shows them.",
        )
    };
    Ok(waive(call, Some(seen.ok_or_else(missing)?)))
}

fn delete<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(waive(call, None))
}

fn waive<'f>(call: &'f Call, seen: Option<Seen<'f>>) -> Command<'f> {
    Command::Waive {
        node: call.node_id(),
        device: call.last(),
        seen,
    }
}
