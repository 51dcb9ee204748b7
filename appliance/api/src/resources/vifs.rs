//! `/v1/nodes/{node}/vifs`: the tenants' networks that a node's interfaces are for.
//! A VIF's `id` is the name of the network.

use crate::access::Needs;
use crate::body::Body;
use crate::reply::Cursor;
use crate::resource::{Ask, Call, Out, Route, Takes};
use crate::{Error, View};
use farrier_core::interface::Command;
use farrier_http::Method;

const ALL: &str = "/v1/nodes/{node}/vifs";

pub(crate) const ROUTES: &[Route] = &[
    Route::read(ALL, list),
    Route::change(Method::Post, ALL, attach)
        .takes(Takes::Form(&["id"]))
        .needs(Needs::Member),
    Route::change(Method::Delete, "/v1/nodes/{node}/vifs/{vif}", detach).needs(Needs::Member),
];

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    w.object().key("vifs").array();
    if let Some((_, node)) = ask.node() {
        for mac in &node.macs {
            if let Some(port) = ask.view.ports.of(*mac).filter(|port| port.vif != 0) {
                let name = ask.view.texts.network(port.vif);
                w.object().key("id").string(name).end_object();
            }
        }
    }
    w.end_array().end_object();
    at.end();
}

fn attach<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let network = body.pairs().get("id");
    if network.is_empty() {
        return Err(Error::bad(
            "a VIF needs an id. Send the name of a tenants' network.",
        ));
    }
    Ok(Command::AttachVif {
        node: call.node_id(),
        network,
    })
}

fn detach<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(Command::DetachVif {
        node: call.node_id(),
        network: call.last(),
    })
}
