//! `/` and `/v1`: which versions are spoken, and what there is.

use crate::Version;
use crate::access::Needs;
use crate::reply::Cursor;
use crate::resource::{Ask, Out, Route};

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/", root).needs(Needs::Nothing),
    Route::read("/v1", v1).needs(Needs::Nothing),
];

fn root(_: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    w.object().key("name").string("OpenStack Ironic API");
    w.key("description")
        .string("Farrier: bare metal without an operating system under its control plane.");
    w.key("default_version");
    version(w);
    w.key("versions").array();
    version(w);
    w.end_array().end_object();
    at.end();
}

fn v1(_: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    w.object().key("id").string("v1");
    w.key("version");
    version(w);
    for kind in [
        "nodes",
        "ports",
        "drivers",
        "conductors",
        "chassis",
        "allocations",
    ] {
        w.key(kind).array().object().key("href");
        w.text(format_args!("/v1/{kind}"));
        w.key("rel").string("self").end_object().end_array();
    }
    w.end_object();
    at.end();
}

fn version(w: &mut Out<'_>) {
    w.object().key("id").string("v1");
    w.key("status").string("CURRENT");
    w.key("min_version").text(Version::MIN);
    w.key("version").text(Version::MAX);
    w.key("links").array().object();
    w.key("href").string("/v1/").key("rel").string("self");
    w.end_object().end_array().end_object();
}
