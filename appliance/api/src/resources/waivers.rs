//! `/farrier/v1/nodes/{node}/waivers`: devices that nobody has proven empty and that
//! do not keep the node from being offered.
//!
//! A device is named as the inspection names it, which the node's inventory and its
//! error show: by its serial number, or by `@` and its path.

use crate::body::Body;
use crate::reply::{self, Cursor};
use crate::resource::{Ask, Call, Out, Route};
use crate::{Error, View};
use farrier_core::interface::Command;
use farrier_core::provisioning::waivers::waived;
use farrier_http::Method;

const ONE: &str = "/farrier/v1/nodes/{node}/waivers/{device}";

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/farrier/v1/nodes/{node}/waivers", list),
    Route::change(Method::Put, ONE, put),
    Route::change(Method::Delete, ONE, delete),
];

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let node = ask.node().map(|(index, _)| index);
    let nth = |n| waived(ask.view.texts, node?).nth(n);
    reply::list(at, w, "waivers", nth, |device, w| {
        w.object().key("device").string(device).end_object();
    });
}

fn put<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(waive(call, true))
}

fn delete<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(waive(call, false))
}

fn waive(call: &Call, on: bool) -> Command<'_> {
    Command::Waive {
        node: call.node_id(),
        device: call.last(),
        on,
    }
}
