//! `/v1/ports`: the interfaces of all nodes, one after the other.

use crate::body::{Body, Operation, Pairs, Value};
use super::portgroups;
use crate::query::{Key, List, Query, boolean, no_marker};
use crate::reply::{Cursor, Page, links};
use crate::resource::{Ask, Call, Ident, Out, Route, Takes};
use crate::{Error, View, ident};
use farrier_core::interface::{Command, InterfacePatch};
use farrier_core::node::{Node, String};
use farrier_core::strings::InterfaceSettings;
use farrier_http::{Method, Status};
use farrier_protocol::message::{Mac, NodeId};

const ONE: &str = "/v1/ports/{port}";

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/v1/ports", list)
        .query(Query::List(filter))
        .check(check_list),
    Route::read("/v1/ports/detail", list)
        .detailed()
        .query(Query::List(filter))
        .check(check_list),
    Route::read("/v1/nodes/{node}/ports", list)
        .query(Query::List(filter))
        .check(check_list),
    Route::change(Method::Post, "/v1/ports", create)
        .of("port")
        .takes(Takes::Form(&[
            "node_uuid",
            "address",
            "pxe_enabled",
            "physical_network",
            "portgroup_uuid",
            "local_link_connection/",
        ]))
        .status(Status::CREATED)
        .replies(show_new),
    Route::read(ONE, show).check(check),
    Route::change(Method::Patch, ONE, patch)
        .of("port")
        .check(check)
        .takes(Takes::Patch(apply))
        .status(Status::OK)
        .replies(show),
    Route::change(Method::Delete, ONE, delete)
        .of("port")
        .check(check),
];

/// The ports that a list asks for.
fn listed<'a>(
    view: &View<'a>,
    owner: Option<NodeId>,
    list: &List,
) -> impl Iterator<Item = (&'a Node, Mac)> + use<'a> {
    let (port, group, view) = (list.port, list.group, *view);
    ports(&view, owner).filter(move |(_, mac)| {
        let is_in = |group| view.ports.of(*mac).is_some_and(|port| port.group == group);
        port.is_none_or(|port| port == ident::of_port(*mac)) && (group == 0 || is_in(group))
    })
}

/// All ports: the node and the address.
fn ports<'a>(view: &View<'a>, only: Option<NodeId>) -> impl Iterator<Item = (&'a Node, Mac)> + use<'a> {
    view.nodes()
        .filter(move |(_, node)| only.is_none_or(|only| only == node.id))
        .flat_map(|(_, node)| node.macs.iter().map(move |mac| (node, *mac)))
}

fn find<'a>(view: &View<'a>, id: NodeId) -> Option<(&'a Node, Mac)> {
    ports(view, None).find(|(_, mac)| ident::of_port(*mac) == id)
}

fn filter(view: &View<'_>, list: &mut List, key: &str, value: &str) -> Result<Key, Error> {
    match key {
        "node" | "node_uuid" | "node_ident" => {
            let found = Ident::new(value).and_then(|ident| view.find(&ident));
            let (_, node) =
                found.ok_or_else(|| Error::not_found("Node", value, "/v1/nodes/{node}"))?;
            list.owner = Some(node.id);
            Ok(Key::Taken)
        }
        "address" => {
            list.port = ident::parse_mac(value).map(ident::of_port);
            Ok(list.port.map_or(Key::Unfit, |_| Key::Taken))
        }
        "portgroup" => {
            let (_, group) = portgroups::find(view, value).ok_or_else(|| {
                Error::not_found("the port group", value, "/v1/portgroups/{portgroup}")
            })?;
            list.group = group.place;
            Ok(Key::Taken)
        }
        _ => Ok(Key::Unknown),
    }
}

fn check_list(view: &View<'_>, call: &Call) -> Result<(), Error> {
    match call.list.marker {
        Some(marker) if find(view, marker).is_none() => Err(no_marker(marker)),
        _ => Ok(()),
    }
}

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let list = &ask.call.list;
    let owner = ask.call.node.map(|(_, id)| id).or(list.owner);
    let detail = list.detail;
    let page = Page {
        key: "ports",
        nth: |n| listed(&ask.view, owner, list).nth(n),
        id: |(_, mac): &(&Node, Mac)| ident::of_port(*mac),
        link: format_args!("/v1/ports?detail={detail}{}{}&", Owner(owner), Grouped(&ask.view, list.group)),
    };
    page.write(ask, at, w, |(node, mac), w| {
        port(&ask.view, node, mac, detail, w);
    });
}

/// The node in a link to the next page.
struct Owner(Option<NodeId>);

impl core::fmt::Display for Owner {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(id) => write!(f, "&node={}", ident::text(id)),
            None => Ok(()),
        }
    }
}

/// The port group in a link to the next page.
struct Grouped<'a>(&'a View<'a>, u8);

impl core::fmt::Display for Grouped<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0.ports.group(self.1) {
            Some(group) => write!(f, "&portgroup={}", ident::text(ident::of_group(group.address))),
            None => Ok(()),
        }
    }
}

fn named<'a>(view: &View<'a>, call: &Call) -> Option<(&'a Node, Mac)> {
    find(view, ident::parse(call.last())?)
}

fn check(view: &View<'_>, call: &Call) -> Result<(), Error> {
    match named(view, call) {
        Some(_) => Ok(()),
        None => Err(Error::not_found("Port", call.last(), ONE)),
    }
}

fn show(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    match named(&ask.view, ask.call) {
        Some((node, mac)) => port(&ask.view, node, mac, true, w),
        // It was deleted meanwhile.
        None => _ = w.null(),
    }
}

fn show_new(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    let mac = ident::parse_mac(ask.pairs.get("address"));
    match mac.and_then(|mac| find(&ask.view, ident::of_port(mac))) {
        Some((node, mac)) => port(&ask.view, node, mac, true, w),
        None => _ = w.null(),
    }
}

fn create<'f>(view: &View<'_>, _: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let pairs = body.pairs();
    let (address, owner) = (pairs.get("address"), pairs.get("node_uuid"));
    let mac = ident::parse_mac(address).ok_or_else(|| {
        Error::new(
            Status::BAD_REQUEST,
            format_args!("the address {address:?} is none. Send six pairs of hexadecimal digits."),
        )
    })?;
    let node = ident::parse(owner).ok_or_else(|| {
        Error::new(
            Status::BAD_REQUEST,
            format_args!("node_uuid {owner:?} is no UUID. Send that of the port's node."),
        )
    })?;
    if view.find(&Ident::Uuid(node)).is_none() {
        return Err(Error::not_found("the node", owner, "/v1/nodes/{node}"));
    }
    Ok(Command::CreatePort {
        node,
        mac,
        switch: pairs.get("local_link_connection/switch_info"),
        port: pairs.get("local_link_connection/port_id"),
        patch: InterfacePatch {
            pxe: pxe_enabled(pairs)?,
            physical_network: pairs.find("physical_network"),
        },
        group: match pairs.find("portgroup_uuid") {
            Some(group) => Some(group_address(group)?),
            None => None,
        },
    })
}

fn pxe_enabled(pairs: &Pairs) -> Result<Option<bool>, Error> {
    let said = pairs.find("pxe_enabled");
    said.map(|said| {
        boolean(said).ok_or_else(|| Error::bad("pxe_enabled is no boolean. Send true or false."))
    })
    .transpose()
}

fn group_address(group: &str) -> Result<Mac, Error> {
    let address = ident::parse(group).and_then(ident::mac_of_group);
    address.ok_or_else(|| Error::not_found("the port group", group, "/v1/portgroups/{portgroup}"))
}

/// The keys of `local_link_connection`, as Ironic has them. `switch_info` is the
/// name of the switch; what `switch_id` says is not kept.
const LINK: [&str; 3] = ["switch_info", "port_id", "switch_id"];

/// The fields of a port that a patch can change beside `local_link_connection`.
const FIELDS: [&str; 3] = ["portgroup_uuid", "pxe_enabled", "physical_network"];

/// Takes an operation of a patch.
fn apply(operation: &Operation<'_>, pairs: &mut Pairs) -> Result<(), Error> {
    let no_room = |_| operation.refused(format_args!("there is no room for it."));
    let (field, key) = operation
        .path
        .split_once('/')
        .unwrap_or((operation.path, ""));
    if FIELDS.contains(&operation.path) {
        let text = match operation.value {
            Value::Nothing if operation.path == "pxe_enabled" => "true",
            Value::Nothing => "",
            Value::Text(text) => text,
            Value::Object => return Err(operation.refused(format_args!("the value is an object."))),
        };
        return pairs.put(&[operation.path], text).map_err(no_room);
    }
    if field != "local_link_connection" || !(key.is_empty() || LINK.contains(&key)) {
        return Err(operation.refused(format_args!(
            "that field can't be changed. Of a port, pxe_enabled, physical_network, portgroup_uuid \
             and local_link_connection can: switch_info is the name of a switch, port_id the name of its port."
        )));
    }
    match (key, operation.value) {
        ("", Value::Nothing) => pairs.put(&["switch_info"], "").map_err(no_room),
        ("", Value::Object) => {
            let mut found = [const { String::<96>::new() }; 2];
            for (key, text) in Operation::members(pairs) {
                let place = LINK.iter().position(|known| *known == key);
                if let Some(room) = place.and_then(|place| found.get_mut(place)) {
                    *room = String::try_from(text)
                        .map_err(|_| operation.refused(format_args!("{key} is too long.")))?;
                }
            }
            for (key, text) in LINK.iter().zip(&found) {
                pairs.put(&[key], text).map_err(no_room)?;
            }
            Ok(())
        }
        ("", Value::Text(_)) => Err(operation.refused(format_args!("the value is no object."))),
        (_, Value::Object) => Err(operation.refused(format_args!("the value is an object."))),
        (key, Value::Nothing) => pairs.put(&[key], "").map_err(no_room),
        (key, Value::Text(text)) => pairs.put(&[key], text).map_err(no_room),
    }
}

fn patch<'f>(view: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let mac = named(view, call).map_or(Mac([0; 6]), |(_, mac)| mac);
    let pairs = body.pairs();
    let (switch, port) = (pairs.find("switch_info"), pairs.find("port_id"));
    let patch = InterfacePatch {
        pxe: pxe_enabled(pairs)?,
        physical_network: pairs.find("physical_network"),
    };
    let group = pairs.find("portgroup_uuid");
    let parts = [
        switch.or(port).is_some(),
        group.is_some(),
        patch != InterfacePatch::default(),
    ];
    if parts.into_iter().filter(|part| *part).count() > 1 {
        return Err(Error::bad(
            "portgroup_uuid, local_link_connection, and pxe_enabled with physical_network can't be \
             changed together. Send one patch for each.",
        ));
    }
    if let Some(group) = group {
        let group = match group {
            "" => None,
            group => Some(group_address(group)?),
        };
        return Ok(Command::GroupPort { mac, group });
    }
    if patch != InterfacePatch::default() {
        return Ok(Command::PatchInterface { mac, patch });
    }
    // One of both alone leaves the other one as it is: the names are compared, since
    // a command can't hold what the rack has.
    let (Some(switch), Some(port)) = (switch, port.or(switch.filter(|name| name.is_empty())))
    else {
        return Err(Error::bad(
            "a port of a switch is named by two keys. Send local_link_connection/switch_info and \
             local_link_connection/port_id together.",
        ));
    };
    Ok(Command::LinkPort { mac, switch, port })
}

fn delete<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    let mac = ident::parse(call.last()).and_then(ident::mac_of_port);
    Ok(Command::DeletePort {
        mac: mac.unwrap_or(Mac([0; 6])),
    })
}

fn port(view: &View<'_>, node: &Node, mac: Mac, detail: bool, w: &mut Out<'_>) {
    let id = ident::of_port(mac);
    w.object().key("uuid").text(ident::text(id));
    w.key("address").text(ident::MacText(mac));
    w.key("node_uuid").text(ident::text(node.id));
    if detail {
        let index = view.nodes().find(|(_, known)| known.id == node.id);
        let said = index.map_or(InterfaceSettings::DEFAULT, |(index, _)| {
            view.texts.interface(index, mac)
        });
        w.key("pxe_enabled").bool(said.pxe_enabled);
        w.key("physical_network").string_or_null(said.physical_network);
        w.key("is_smartnic").bool(false);
        w.key("extra").object().end_object();
        let link = view.ports.of(mac);
        w.key("internal_info").object();
        if let Some(link) = link.filter(|link| link.vif != 0) {
            let name = view.texts.network(link.vif);
            w.key("tenant_vif_port_id").string(name);
        }
        w.end_object();
        w.key("local_link_connection").object();
        if let Some(link) = link {
            w.key("switch_info").string(view.texts.switch(link.switch));
            w.key("port_id").string(&link.name);
        }
        w.end_object();
        w.key("portgroup_uuid");
        match link.and_then(|link| view.ports.group(link.group)) {
            Some(group) => w.text(ident::text(ident::of_group(group.address))),
            None => w.null(),
        };
        for key in [
            "name",
            "created_at",
            "updated_at",
        ] {
            w.key(key).null();
        }
    }
    w.key("links");
    links(w, "ports", id).end_object();
}
