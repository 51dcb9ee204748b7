//! Lists of what there is none of here: clients ask for them all the same.

use crate::query::{Query, any_filter};
use crate::reply::Cursor;
use crate::resource::{Out, Route, Write};

const fn none(path: &'static str, write: Write) -> Route {
    Route::read(path, write).query(Query::List(any_filter))
}

pub(crate) const ROUTES: &[Route] = &[
    none("/v1/chassis", |_, at, w| empty(at, w, "chassis")),
    none("/v1/deploy_templates", |_, at, w| {
        empty(at, w, "deploy_templates");
    }),
    none("/v1/shards", |_, at, w| empty(at, w, "shards")),
    none("/v1/nodes/{node}/bios", |_, at, w| empty(at, w, "bios")),
    none("/v1/nodes/{node}/firmware", |_, at, w| {
        empty(at, w, "firmware");
    }),
];

fn empty(at: &mut Cursor, w: &mut Out<'_>, key: &str) {
    w.object().key(key).array().end_array().end_object();
    at.end();
}
