//! `/v1/conductors`: one, the appliance.

use crate::reply::Cursor;
use crate::resource::{Ask, Out, Route};
use farrier_core::interface::DriverKind;

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/v1/conductors", list),
    Route::read("/v1/conductors/farrier", one),
];

fn list(_: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    w.object().key("conductors").array();
    conductor(w);
    w.end_array().end_object();
    at.end();
}

fn one(_: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    conductor(w);
    at.end();
}

fn conductor(w: &mut Out<'_>) {
    w.object().key("hostname").string("farrier");
    w.key("conductor_group").string("").key("alive").bool(true);
    w.key("drivers").array();
    for driver in DriverKind::ALL {
        w.string(driver.name());
    }
    w.end_array();
    w.key("created_at").null().key("updated_at").null();
    w.key("links").array().object().key("href");
    w.string("/v1/conductors/farrier").key("rel").string("self");
    w.end_object().end_array().end_object();
}
