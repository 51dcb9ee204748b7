//! `PUT /farrier/v1/nodes/{node}/rebind`: the node's identity is learned anew.

use crate::body::Body;
use crate::resource::{Call, Route};
use crate::{Error, View};
use farrier_core::interface::Command;
use farrier_http::Method;

pub(crate) const ROUTES: &[Route] = &[Route::change(
    Method::Put,
    "/farrier/v1/nodes/{node}/rebind",
    put,
)];

fn put<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(Command::Rebind {
        node: call.node_id(),
    })
}
