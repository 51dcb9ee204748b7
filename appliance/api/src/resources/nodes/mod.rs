//! `/v1/nodes`: the list, and nodes one by one.

mod bmc;
mod fields;
mod patch;

pub(crate) use fields::Fields;
pub(crate) use fields::boot_mode;

use crate::access::Needs;
use crate::body::Body;
use crate::ident;
use crate::query::{Key, List, Query, boolean, no_marker};
use crate::reply::{Cursor, Stage};
use crate::resource::{Ask, Call, Ident, Out, Route, Takes};
use crate::{Error, View};
use core::fmt;
use core::str::FromStr;
use farrier_core::interface::{Command, DriverKind};
use farrier_core::node::Node;
use farrier_core::node::flags::Flags;
use farrier_core::interface::NewNode;
use farrier_http::{Method, Status};
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::NodeId;

const ONE: &str = "/v1/nodes/{node}";

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/v1/nodes", list)
        .query(Query::List(filter))
        .check(check_list),
    Route::read("/v1/nodes/detail", list)
        .detailed()
        .query(Query::List(filter))
        .check(check_list),
    Route::change(Method::Post, "/v1/nodes", create)
        .of("node")
        .takes(Takes::Form(&[
            "driver",
            "name",
            "uuid",
            "resource_class",
            "owner",
            "driver_info/",
            "properties/serial_number",
        ]))
        .status(Status::CREATED)
        .replies(show_new),
    Route::read(ONE, show).query(Query::Of(fields_only)),
    Route::change(Method::Patch, ONE, patch::command)
        .needs(Needs::Member)
        .takes(Takes::Patch(patch::apply))
        .status(Status::OK)
        .replies(show),
    Route::change(Method::Delete, ONE, delete),
];

/// Reasons of the flags that operators set.
const REASONS: [&str; 3] = ["maintenance_reason", "protected_reason", "retired_reason"];

/// Which nodes are wanted, and which fields of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filter {
    fields: Option<Fields>,
    state: Option<ProvisionState>,
    instance: Option<NodeId>,
    associated: Option<bool>,
    maintenance: Option<bool>,
    retired: Option<bool>,
    driver: Option<DriverKind>,
}

impl Filter {
    pub(crate) const ALL: Self = Self {
        fields: None,
        state: None,
        instance: None,
        associated: None,
        maintenance: None,
        retired: None,
        driver: None,
    };

    fn passes(&self, node: &Node) -> bool {
        let has = |wanted: Option<bool>, flag| wanted.is_none_or(|on| node.flags.contains(flag) == on);
        let instance = node.instance.instance_uuid;
        !node.is_vacant()
            && has(self.maintenance, Flags::MAINTENANCE)
            && has(self.retired, Flags::RETIRED)
            && self.driver.is_none_or(|driver| node.driver == driver)
            && self.state.is_none_or(|state| node.state == state)
            && self.instance.is_none_or(|id| instance == Some(id))
            && self.associated.is_none_or(|yes| instance.is_some() == yes)
    }
}

fn filter(_: &View<'_>, list: &mut List, key: &str, value: &str) -> Result<Key, Error> {
    let nodes = &mut list.nodes;
    let on = match key {
        "associated" => &mut nodes.associated,
        "maintenance" => &mut nodes.maintenance,
        "retired" => &mut nodes.retired,
        "fields" => return take_fields(list, value),
        "provision_state" => {
            nodes.state = ProvisionState::from_str(value).ok();
            let known = nodes.state.is_some();
            return Ok(if known { Key::Taken } else { Key::Unfit });
        }
        "instance_uuid" => {
            nodes.instance = ident::parse(value);
            let known = nodes.instance.is_some();
            return Ok(if known { Key::Taken } else { Key::Unfit });
        }
        "driver" => {
            nodes.driver = DriverKind::named(value);
            list.nothing |= nodes.driver.is_none();
            return Ok(Key::Taken);
        }
        _ => return Ok(Key::Unknown),
    };
    *on = boolean(value);
    Ok(if on.is_some() { Key::Taken } else { Key::Unfit })
}

fn fields_only(_: &View<'_>, list: &mut List, key: &str, value: &str) -> Result<Key, Error> {
    match key {
        "fields" => take_fields(list, value),
        _ => Ok(Key::Taken),
    }
}

fn take_fields(list: &mut List, value: &str) -> Result<Key, Error> {
    let mut wanted = list.nodes.fields.unwrap_or(Fields::NONE);
    for name in value.split(',').map(str::trim) {
        wanted = wanted.with(name).ok_or_else(|| {
            Error::new(
                Status::BAD_REQUEST,
                format_args!("A node has no field {name:?}. Leave it out."),
            )
        })?;
    }
    list.nodes.fields = Some(wanted);
    Ok(Key::Taken)
}

fn check_list(view: &View<'_>, call: &Call) -> Result<(), Error> {
    let list = &call.list;
    if list.detail && list.nodes.fields.is_some() {
        return Err(Error::bad(
            "The query has both fields and detail. Send one of them, not both.",
        ));
    }
    check_marker(view, call)
}

/// A marker has to be a node's.
pub(crate) fn check_marker(view: &View<'_>, call: &Call) -> Result<(), Error> {
    match call.list.marker {
        Some(marker) if view.find(&Ident::Uuid(marker)).is_none() => Err(no_marker(marker)),
        _ => Ok(()),
    }
}

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let list = &ask.call.list;
    let default = if list.detail { Fields::ALL } else { Fields::SUMMARY };
    let fields = list.nodes.fields.unwrap_or(default);
    match at.stage {
        Stage::Head => {
            w.object().key("nodes").array();
            at.item = start(&ask.view, list);
            at.stage = Stage::Seek;
        }
        Stage::Seek => {
            if at.seek(&ask.view, list) {
                w.object();
            }
        }
        Stage::Item => {
            let node = ask.view.nodes.get(at.item);
            match node.and_then(|node| Some((node, fields.next(at.part)?))) {
                Some((node, field)) => {
                    fields::write(&ask.view, at.item, node, field, w);
                    at.part = field + 1;
                }
                None => {
                    w.end_object();
                    at.leave();
                }
            }
        }
        Stage::Tail | Stage::End => {
            w.end_array();
            let link = Link(list);
            next_page(&ask.view, list, at, w, "/v1/nodes", &link);
            w.end_object();
            at.end();
        }
    }
}

impl Cursor {
    /// Looks for the next node of a list that is to be shown.
    pub(crate) fn seek(&mut self, view: &View<'_>, list: &List) -> bool {
        let found = (self.shown < list.limit)
            .then(|| next(view, list, self.item))
            .flatten();
        self.stage = match found {
            Some(item) => {
                self.item = item;
                self.part = 0;
                self.shown += 1;
                Stage::Item
            }
            None => Stage::Tail,
        };
        found.is_some()
    }

    /// Leaves a node of a list.
    pub(crate) fn leave(&mut self) {
        self.item += 1;
        self.stage = Stage::Seek;
    }
}

/// Where a list of nodes begins: behind its marker.
pub(crate) fn start(view: &View<'_>, list: &List) -> usize {
    let marked = |marker| view.nodes.iter().position(|node| node.id == marker);
    list.marker.and_then(marked).map_or(0, |place| place + 1)
}

fn next(view: &View<'_>, list: &List, from: usize) -> Option<usize> {
    let mut rest = view.nodes().filter(|(place, _)| *place >= from);
    rest.find(|(_, node)| !list.nothing && list.nodes.passes(node))
        .map(|(place, _)| place)
}

/// The link to the rest of a list of nodes that was cut by its limit.
pub(crate) fn next_page(
    view: &View<'_>,
    list: &List,
    at: &Cursor,
    w: &mut Out<'_>,
    path: &str,
    more: &impl fmt::Display,
) {
    let last = at.item.checked_sub(1);
    let last = last.and_then(|item| view.nodes.get(item));
    if let (Some(last), Some(_)) = (last, next(view, list, at.item)) {
        w.key("next").text(format_args!(
            "{path}?limit={}{more}&marker={}",
            list.limit,
            ident::text(last.id)
        ));
    }
}

/// What a link to the next page says of fields and filters.
struct Link<'a>(&'a List);

impl fmt::Display for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = &self.0.nodes;
        if self.0.detail {
            f.write_str("&detail=true")?;
        } else if let Some(fields) = nodes.fields {
            let mut between = "&fields=";
            for name in fields.names() {
                write!(f, "{between}{name}")?;
                between = ",";
            }
        }
        if let Some(state) = nodes.state {
            f.write_str("&provision_state=")?;
            for part in state.as_str().split_inclusive(' ') {
                match part.strip_suffix(' ') {
                    Some(word) => write!(f, "{word}%20")?,
                    None => f.write_str(part)?,
                }
            }
        }
        if let Some(driver) = nodes.driver {
            write!(f, "&driver={}", driver.name())?;
        }
        for (key, filter) in [
            ("associated", nodes.associated),
            ("maintenance", nodes.maintenance),
            ("retired", nodes.retired),
        ] {
            if let Some(yes) = filter {
                write!(f, "&{key}={yes}")?;
            }
        }
        Ok(())
    }
}

fn show(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let fields = ask.call.list.nodes.fields.unwrap_or(Fields::ALL);
    one(&ask.view, ask.node(), fields, at, w);
}

fn show_new(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let id = ask.call.new_id(ask.pairs).ok();
    let node = id.and_then(|id| ask.view.find(&Ident::Uuid(id)));
    one(&ask.view, node, Fields::ALL, at, w);
}

/// Writes the next fragment of one node.
pub(crate) fn one(
    view: &View<'_>,
    node: Option<(usize, &Node)>,
    fields: Fields,
    at: &mut Cursor,
    w: &mut Out<'_>,
) {
    if at.stage == Stage::Head {
        w.object();
        at.stage = Stage::Item;
        return;
    }
    match node.and_then(|(index, node)| Some((index, node, fields.next(at.part)?))) {
        Some((index, node, field)) => {
            fields::write(view, index, node, field, w);
            at.part = field + 1;
        }
        None => {
            w.end_object();
            at.end();
        }
    }
}

fn create<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let pairs = body.pairs();
    let name = pairs.get("driver");
    let driver = DriverKind::named(name).ok_or_else(|| match name {
        "" => Error::bad("a node needs a driver. Send driver ipmi, redfish, wol, snmp or manual."),
        name => patch::no_driver(name),
    })?;
    Ok(Command::CreateNode(NewNode {
        id: call.new_id(pairs)?,
        name: pairs.get("name"),
        serial: pairs.get("properties/serial_number"),
        resource_class: pairs.get("resource_class"),
        owner: pairs.get("owner"),
        driver,
        driver_info: pairs.lists(),
    }))
}

fn delete<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(Command::DeleteNode {
        node: call.node_id(),
    })
}
