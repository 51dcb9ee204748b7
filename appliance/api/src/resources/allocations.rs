//! `/v1/allocations`, and the allocation of a node.

use crate::access::{Needs, permit_on_quarantined};
use crate::body::Body;
use crate::query::{Key, List, Query, no_marker};
use crate::reply::{Cursor, Page, links};
use crate::resource::{Ask, Call, Ident, Out, Route, Takes};
use crate::{Error, View, ident};
use farrier_core::interface::{Allocate, Command};
use farrier_core::node::Node;
use farrier_core::node::flags::Flags;
use farrier_core::strings::Kind;
use farrier_http::{Method, Status};
use farrier_protocol::message::NodeId;

const ONE: &str = "/v1/allocations/{allocation}";
const OF_NODE: &str = "/v1/nodes/{node}/allocation";

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/v1/allocations", list)
        .query(Query::List(filter))
        .check(check_list),
    Route::change(Method::Post, "/v1/allocations", create)
        .needs(Needs::Member)
        .of("allocation")
        .takes(Takes::Form(&[
            "name",
            "uuid",
            "resource_class",
            "traits",
            "candidate_nodes",
            "node",
        ]))
        .status(Status::CREATED)
        .replies(show_new),
    Route::read(ONE, show).check(check),
    Route::change(Method::Delete, ONE, delete)
        .needs(Needs::Member)
        .of("allocation")
        .check(check),
    Route::read(OF_NODE, show).check(check),
    Route::change(Method::Delete, OF_NODE, delete)
        .needs(Needs::Member)
        .check(check),
];

/// An allocation: the node's place, the node, the allocation's UUID.
type Found<'a> = (usize, &'a Node, NodeId);

fn allocations<'a>(view: &View<'a>) -> impl Iterator<Item = Found<'a>> + use<'a> {
    view.nodes()
        .filter(|(_, node)| node.flags.contains(Flags::ALLOCATED))
        .filter_map(|(place, node)| Some((place, node, node.instance.instance_uuid?)))
}

/// The allocation that a path means: by UUID or name, or by its node.
fn named<'a>(view: &View<'a>, call: &Call) -> Option<Found<'a>> {
    if let Some((own, _)) = call.node {
        return allocations(view).find(|(place, ..)| *place == own);
    }
    let ident = call.ident()?;
    allocations(view).find(|(place, _, id)| match &ident {
        Ident::Uuid(wanted) => id == wanted,
        Ident::Name(name) => view.texts.get(*place, Kind::AllocationName) == name,
    })
}

fn filter(_: &View<'_>, list: &mut List, key: &str, value: &str) -> Result<Key, Error> {
    match key {
        // None is waited for, and none has an owner of its own.
        "state" => list.nothing |= value != "active",
        "owner" => list.nothing = true,
        _ => return Ok(Key::Unknown),
    }
    Ok(Key::Taken)
}

fn check_list(view: &View<'_>, call: &Call) -> Result<(), Error> {
    let known = |marker| allocations(view).any(|(.., id)| id == marker);
    match call.list.marker {
        Some(marker) if !known(marker) => Err(no_marker(marker)),
        _ => Ok(()),
    }
}

fn check(view: &View<'_>, call: &Call) -> Result<(), Error> {
    match named(view, call) {
        Some(_) => Ok(()),
        None if call.node.is_some() => Err(Error::new(
            Status::NOT_FOUND,
            format_args!(
                "Allocation of node {} could not be found. GET /v1/allocations lists those that \
                 there are.",
                call.parameter(0)
            ),
        )),
        None => Err(Error::not_found("Allocation", call.last(), ONE)),
    }
}

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let nothing = ask.call.list.nothing;
    let page = Page {
        key: "allocations",
        nth: |n| allocations(&ask.view).filter(|_| !nothing).nth(n),
        id: |(.., id): &Found<'_>| *id,
        link: format_args!("/v1/allocations?"),
    };
    page.write(ask, at, w, |found, w| one(&ask.view, found, w));
}

fn show(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    match named(&ask.view, ask.call) {
        Some(found) => one(&ask.view, found, w),
        // It was deleted meanwhile.
        None => _ = w.null(),
    }
}

fn show_new(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    let new = ask.call.new_id(ask.pairs).ok();
    match allocations(&ask.view).find(|(.., id)| Some(*id) == new) {
        Some(found) => one(&ask.view, found, w),
        None => _ = w.null(),
    }
}

fn create<'f>(view: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let pairs = body.pairs();
    let (class, named) = (pairs.get("resource_class"), pairs.get("node"));
    if class.is_empty() && named.is_empty() {
        return Err(Error::bad(
            "an allocation needs a resource_class. Send one, or the name of a flavor.",
        ));
    }
    let node = match named {
        "" => None,
        name => {
            let found = Ident::new(name).and_then(|ident| view.find(&ident));
            let missing = || Error::not_found("the node", name, "/v1/nodes/{node}");
            let (place, node) = found.ok_or_else(missing)?;
            permit_on_quarantined(&call.who, place, view)?;
            Some(node.id)
        }
    };
    Ok(Command::Allocate(Allocate {
        id: call.new_id(pairs)?,
        name: pairs.get("name"),
        class,
        node,
        account: call.who.only_name(),
        lists: pairs.lists(),
    }))
}

fn delete<'f>(view: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    let missing = || Error::not_found("the allocation", call.last(), ONE);
    let found = named(view, call).ok_or_else(missing)?;
    permit_on_quarantined(&call.who, found.0, view)?;
    Ok(Command::Deallocate {
        allocation: found.2,
    })
}

fn one(
    view: &View<'_>,
    (place, node, id): (usize, &Node, NodeId),
    w: &mut Out<'_>,
) {
    let text = |kind| view.texts.get(place, kind);
    w.object().key("uuid").text(ident::text(id));
    w.key("name").string_or_null(text(Kind::AllocationName));
    w.key("node_uuid").text(ident::text(node.id));
    // What can't be had is refused at once: none waits, and none fails.
    w.key("state").string("active");
    w.key("last_error").null();
    w.key("resource_class")
        .string_or_null(text(Kind::AllocationClass));
    w.key("traits").array();
    for word in view.texts.words(node.wanted) {
        w.string(word);
    }
    w.end_array();
    w.key("candidate_nodes").array().end_array();
    w.key("extra").object().end_object();
    for key in ["owner", "created_at", "updated_at"] {
        w.key(key).null();
    }
    w.key("links");
    links(w, "allocations", id).end_object();
}

