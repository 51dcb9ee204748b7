//! `/v1/portgroups`: interfaces of a node that a tenant's system uses as one.

use crate::body::{Body, Operation, Pairs, Value};
use crate::query::{Query, any_filter, boolean};
use crate::reply::{self, Cursor, links};
use crate::resource::{Ask, Call, Ident, Out, Route, Takes};
use crate::{Error, View, ident};
use farrier_core::interface::Command;
use farrier_core::node::Node;
use farrier_core::interface::GroupMode;
use farrier_core::ports::PortGroup;
use farrier_http::{Method, Status};
use farrier_protocol::message::Mac;

const ONE: &str = "/v1/portgroups/{portgroup}";

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/v1/portgroups", list).query(Query::List(any_filter)),
    Route::read("/v1/portgroups/detail", list).query(Query::List(any_filter)),
    Route::read("/v1/nodes/{node}/portgroups", list).query(Query::List(any_filter)),
    Route::change(Method::Post, "/v1/portgroups", create)
        .of("port group")
        .takes(Takes::Form(&[
            "node_uuid",
            "address",
            "name",
            "mode",
            "standalone_ports_supported",
        ]))
        .status(Status::CREATED)
        .replies(show_new),
    Route::read(ONE, show).check(check),
    Route::change(Method::Patch, ONE, patch)
        .of("port group")
        .check(check)
        .takes(Takes::Patch(apply))
        .status(Status::OK)
        .replies(show_patched),
    Route::change(Method::Delete, ONE, delete)
        .of("port group")
        .check(check),
];

/// The groups that may be seen, with their nodes.
fn groups<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a Node, PortGroup)> + use<'a> {
    let view = *view;
    let all = view.ports.groups().iter();
    all.filter_map(move |group| {
        let mut nodes = view.nodes();
        let (_, node) = nodes.find(|(_, node)| node.macs.contains(&group.address))?;
        Some((node, *group))
    })
}

pub(super) fn find<'a>(view: &View<'a>, named: &str) -> Option<(&'a Node, PortGroup)> {
    let address = ident::parse(named).and_then(ident::mac_of_group);
    groups(view).find(|(_, group)| {
        let name = view.texts.port_group(group.place);
        Some(group.address) == address || !named.is_empty() && name == named
    })
}

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let view = &ask.view;
    let owner = ask.call.node.map(|(_, id)| id);
    let nth = |n| {
        let of = |(node, _): &(&Node, PortGroup)| owner.is_none_or(|owner| owner == node.id);
        groups(view).filter(of).nth(n)
    };
    reply::list(at, w, "portgroups", nth, |(node, group), w| {
        one(view, node, &group, w);
    });
}

fn check(view: &View<'_>, call: &Call) -> Result<(), Error> {
    match find(view, call.last()) {
        Some(_) => Ok(()),
        None => Err(Error::not_found("Port group", call.last(), ONE)),
    }
}

fn show(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    match find(&ask.view, ask.call.last()) {
        Some((node, group)) => one(&ask.view, node, &group, w),
        // It was deleted meanwhile.
        None => _ = w.null(),
    }
}

/// The group after a patch, which may have another name now.
fn show_patched(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    let known = find(&ask.view, ask.call.last());
    let renamed = || find(&ask.view, ask.pairs.get("name"));
    match known.or_else(renamed) {
        Some((node, group)) => one(&ask.view, node, &group, w),
        None => _ = w.null(),
    }
}

fn show_new(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    let address = ident::parse_mac(ask.pairs.get("address"));
    let found = groups(&ask.view).find(|(_, group)| Some(group.address) == address);
    match found {
        Some((node, group)) => one(&ask.view, node, &group, w),
        None => _ = w.null(),
    }
}

fn create<'f>(view: &View<'_>, _: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let pairs = body.pairs();
    let (address, owner) = (pairs.get("address"), pairs.get("node_uuid"));
    let address = ident::parse_mac(address).ok_or_else(|| {
        Error::bad(
            "a port group needs an address. Send that of one of the node's ports: the group \
             sends under it.",
        )
    })?;
    let found = Ident::new(owner).and_then(|ident| view.find(&ident));
    let (_, node) =
        found.ok_or_else(|| Error::not_found("the node", owner, "/v1/nodes/{node}"))?;
    let mode = match pairs.get("mode") {
        "" => GroupMode::ActiveBackup,
        text => mode(text)?,
    };
    Ok(Command::CreatePortGroup {
        node: node.id,
        address,
        mode,
        name: pairs.get("name"),
    })
}

fn mode(text: &str) -> Result<GroupMode, Error> {
    let mut all = GroupMode::ALL.into_iter();
    all.find(|mode| mode.name() == text).ok_or_else(|| {
        Error::bad("that mode of a port group is not known. Send active-backup or 802.3ad.")
    })
}

/// Takes an operation of a patch.
fn apply(operation: &Operation<'_>, pairs: &mut Pairs) -> Result<(), Error> {
    let text = match operation.value {
        Value::Nothing => "",
        Value::Text(text) => text,
        Value::Object => return Err(operation.refused(format_args!("the value is an object."))),
    };
    match operation.path {
        "name" | "mode" => pairs
            .put(&[operation.path], text)
            .map_err(|_| operation.refused(format_args!("there is no room for it."))),
        "standalone_ports_supported" if boolean(text) == Some(true) => Ok(()),
        "standalone_ports_supported" => Err(operation.refused(format_args!(
            "each port of a group boots by itself. Leave it true."
        ))),
        _ => Err(operation.refused(format_args!(
            "that field can't be changed. Of a port group, name and mode can."
        ))),
    }
}

fn patch<'f>(view: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let group = find(view, call.last());
    let pairs = body.pairs();
    Ok(Command::PatchPortGroup {
        address: group.map_or(Mac([0; 6]), |(_, group)| group.address),
        mode: match pairs.find("mode") {
            Some("") => Some(GroupMode::ActiveBackup),
            text => text.map(mode).transpose()?,
        },
        name: pairs.find("name"),
    })
}

fn delete<'f>(view: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    let group = find(view, call.last());
    Ok(Command::DeletePortGroup {
        address: group.map_or(Mac([0; 6]), |(_, group)| group.address),
    })
}

fn one(view: &View<'_>, node: &Node, group: &PortGroup, w: &mut Out<'_>) {
    let id = ident::of_group(group.address);
    w.object().key("uuid").text(ident::text(id));
    w.key("name").string_or_null(view.texts.port_group(group.place));
    w.key("address").text(ident::MacText(group.address));
    w.key("node_uuid").text(ident::text(node.id));
    w.key("mode").string(group.mode.name());
    w.key("standalone_ports_supported").bool(true);
    for key in ["properties", "extra", "internal_info"] {
        w.key(key).object().end_object();
    }
    w.key("created_at").null().key("updated_at").null();
    w.key("links");
    links(w, "portgroups", id).end_object();
}
