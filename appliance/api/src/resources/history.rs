//! `/v1/nodes/{node}/history`.

use crate::query::{Query, any_filter};
use crate::reply::Cursor;
use crate::resource::{Ask, Out, Route};

pub(crate) const ROUTES: &[Route] =
    &[Route::read("/v1/nodes/{node}/history", list).query(Query::List(any_filter))];

fn list(_: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    w.object().key("history").array().end_array().end_object();
    at.end();
}
