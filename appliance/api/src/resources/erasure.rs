//! `/farrier/v1/nodes/{node}/erasure`: the weakest method by which a node's disks may
//! be erased. Without one of its own, the node has that of the rack.

use crate::body::Body;
use crate::reply::Cursor;
use crate::resource::{Ask, Call, Out, Route, Takes};
use crate::{Error, View};
use farrier_core::interface::{Command, erase_method, erase_method_name};
use farrier_core::provisioning::erasure::own_least_erase;
use farrier_http::{Method, Status};

const PATH: &str = "/farrier/v1/nodes/{node}/erasure";

pub(crate) const ROUTES: &[Route] = &[
    Route::read(PATH, show),
    Route::change(Method::Put, PATH, put).takes(Takes::Form(&["least_method"])),
    Route::change(Method::Delete, PATH, delete),
];

fn show(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    let node = ask.node().map(|(index, _)| index);
    let own = node.and_then(|index| own_least_erase(ask.view.texts, index));
    let rack = ask.view.least_erase;
    w.object().key("least_method");
    w.string(erase_method_name(own.unwrap_or(rack)));
    w.key("of_node").bool(own.is_some());
    w.key("unproven_devices");
    w.number(ask.node().map_or(0, |(_, node)| node.hardware.unproven));
    w.end_object();
}

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let name = body.pairs().get("least_method");
    let least = erase_method(name).ok_or_else(|| {
        Error::new(
            Status::BAD_REQUEST,
            format_args!(
                "the least_method {name:?} is not known. There are discard, write_zeroes and \
                 overwrite."
            ),
        )
    })?;
    Ok(Command::SetLeastErase {
        node: call.node_id(),
        least: Some(least),
    })
}

fn delete<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(Command::SetLeastErase {
        node: call.node_id(),
        least: None,
    })
}
