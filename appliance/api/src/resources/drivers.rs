//! `/v1/drivers`: one, `farrier`.

use crate::reply::Cursor;
use crate::resource::{Ask, Out, Route};

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/v1/drivers", list),
    Route::read("/v1/drivers/farrier", one),
];

fn list(_: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    w.object().key("drivers").array();
    driver(w);
    w.end_array().end_object();
    at.end();
}

fn one(_: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    driver(w);
    at.end();
}

fn driver(w: &mut Out<'_>) {
    w.object().key("name").string("farrier");
    w.key("type").string("dynamic");
    w.key("hosts").array().string("farrier").end_array();
    w.key("links").array().object().key("href");
    w.string("/v1/drivers/farrier").key("rel").string("self");
    w.end_object().end_array().end_object();
}
