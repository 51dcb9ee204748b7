//! `/v1/nodes/{node}/traits`.

use crate::body::Body;
use crate::reply::Cursor;
use crate::resource::{Ask, Call, Out, Route, Takes};
use crate::{Error, View};
use farrier_core::interface::Command;
use farrier_core::strings::KeyValues;
use farrier_http::Method;

const ALL: &str = "/v1/nodes/{node}/traits";
const ONE: &str = "/v1/nodes/{node}/traits/{trait}";

pub(crate) const ROUTES: &[Route] = &[
    Route::read(ALL, list),
    Route::change(Method::Put, ALL, put).takes(Takes::Form(&["traits"])),
    Route::change(Method::Delete, ALL, clear),
    Route::change(Method::Put, ONE, |_, call, _| Ok(set(call, true))),
    Route::change(Method::Delete, ONE, |_, call, _| Ok(set(call, false))),
];

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    w.object().key("traits").array();
    if let Some((_, node)) = ask.node() {
        for word in ask.view.texts.words(node.traits) {
            w.string(word);
        }
    }
    w.end_array().end_object();
    at.end();
}

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    if !body.has_list() {
        return Err(Error::bad(
            "the body has no list of traits. Send {\"traits\": [...]}; an empty list removes all.",
        ));
    }
    Ok(Command::SetTraits {
        node: call.node_id(),
        traits: body.pairs().lists(),
    })
}

fn clear<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(Command::SetTraits {
        node: call.node_id(),
        traits: KeyValues::default(),
    })
}

fn set(call: &Call, on: bool) -> Command<'_> {
    Command::SetTrait {
        node: call.node_id(),
        name: call.last(),
        on,
    }
}
