//! Replies to `GET`: written in fragments, each whole or not at all, into
//! whatever buffer there is.
//!
//! A fragment is a field of a node, a port, a disk, a short document. The
//! cursor between two calls remembers which comes next, so the longest list
//! needs no more memory than its longest fragment, and a reply that began
//! stays well-formed though the rack changes meanwhile: nodes never leave
//! their place, and each field is read when it is written.

use super::fields::{self, Fields, NAMES};
use super::inventory::{self, Inventory};
use super::ports::{self, ports};
use super::route::{Call, List};
use super::target::Target;
use super::{Error, Facts, Ident, documents, ident, status};
use super::{allocations, book};
use crate::json::{Slice, Writer};
use farrier_core::node::Node;
use farrier_core::node::flags::Flags;

/// Least bytes of a buffer to render into: holds the longest fragment.
pub const MIN_BUFFER: usize = 1280;

/// How far a reply has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(super) stage: Stage,
    /// The node at hand.
    pub(super) item: usize,
    /// The part of it that comes next.
    pub(super) part: usize,
    /// Items shown so far.
    pub(super) shown: u16,
    /// The last byte written: tells whether a comma is due.
    last: u8,
}

/// The stages of a document. Short ones have only the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// What comes ahead of the items.
    Head,
    /// Looking for the next item.
    Seek,
    /// Within an item.
    Item,
    /// What comes behind the items.
    Tail,
    /// Nothing is left.
    End,
}

impl Default for Cursor {
    fn default() -> Self {
        Self::new()
    }
}

impl Cursor {
    /// The start of a reply.
    pub const fn new() -> Self {
        Self {
            stage: Stage::Head,
            item: 0,
            part: 0,
            shown: 0,
            last: b':',
        }
    }

    /// Whether the reply is complete.
    pub fn is_at_end(&self) -> bool {
        self.stage == Stage::End
    }
}

/// Whether a call can be answered with 200. Ask ahead of the first
/// [`render`].
///
/// # Errors
///
/// 404 where the node, its inventory or the port is not there, 400 where the
/// marker of a list is not.
pub fn check(facts: &Facts<'_>, call: &Call) -> Result<(), Error> {
    if let Some(ident) = call.target.node() {
        let node = facts.find(ident)?;
        if matches!(call.target, Target::Inventory(_)) && node.1.hardware.statement_len == 0 {
            return Err(Error::new(
                farrier_http::Status::NOT_FOUND,
                format_args!("Node {ident} has no inventory yet: inspect it."),
            ));
        }
    }
    if let Target::Port(port) | Target::DeletePort(port) = call.target
        && ports(facts, None).all(|(_, _, mac)| ident::of_port(mac) != port)
    {
        return Err(Error::new(
            farrier_http::Status::NOT_FOUND,
            format_args!("Port {} could not be found.", ident::text(port)),
        ));
    }
    let allocation = match &call.target {
        Target::Allocation(ident) | Target::DeleteAllocation(ident) => {
            Some((allocations::find(facts, ident).is_some(), ident))
        }
        Target::NodeAllocation(ident) | Target::DeleteNodeAllocation(ident) => {
            let (own, _) = facts.find(ident)?;
            let mut all = allocations::allocations(facts);
            Some((all.any(|(place, ..)| place == own), ident))
        }
        _ => None,
    };
    if let Some((false, ident)) = allocation {
        return Err(Error::new(
            farrier_http::Status::NOT_FOUND,
            format_args!("Allocation {ident} could not be found."),
        ));
    }
    let Some(marker) = call.list.marker else {
        return Ok(());
    };
    let known = match call.target {
        Target::Ports(_) => ports(facts, None).any(|(_, _, mac)| ident::of_port(mac) == marker),
        Target::Allocations => allocations::allocations(facts).any(|(.., id)| id == marker),
        _ => facts.nodes.iter().any(|node| node.id == marker),
    };
    known.then_some(()).ok_or_else(|| {
        Error::new(
            farrier_http::Status::BAD_REQUEST,
            format_args!("The marker {} is not in the list.", ident::text(marker)),
        )
    })
}

/// Writes the next fragments of a reply's body into `buffer`, as many as fit,
/// and moves the cursor. Gives how many bytes were written; 0 at the end.
///
/// `buffer` has at least [`MIN_BUFFER`] bytes. `inspection` is the node's
/// stored inspection statement, needed for [`Target::Inventory`] alone, and
/// the same in every call.
pub fn render(
    facts: &Facts<'_>,
    call: &Call,
    inspection: &[u8],
    cursor: &mut Cursor,
    buffer: &mut [u8],
) -> usize {
    let inventory = match call.target {
        Target::Inventory(_) if !cursor.is_at_end() => Inventory::read(inspection),
        _ => Inventory::NONE,
    };
    let mut used = 0;
    while !cursor.is_at_end() {
        let room = buffer.get_mut(used..).unwrap_or_default();
        let mut next = *cursor;
        let mut writer = Writer::resume(Slice::new(room), cursor.last);
        fragment(facts, call, &inventory, &mut next, &mut writer);
        next.last = writer.last();
        if let Some(written) = writer.finish() {
            used += written.len();
            *cursor = next;
        } else if used > 0 {
            break;
        } else {
            // The one way not to stand here for ever, should a fragment be
            // longer than was thought: leave it out.
            debug_assert!(false, "a fragment must fit the buffer");
            next.last = cursor.last;
            *cursor = next;
        }
    }
    used
}

/// Writes one fragment and moves the cursor behind it.
fn fragment(
    facts: &Facts<'_>,
    call: &Call,
    inventory: &Inventory<'_>,
    at: &mut Cursor,
    w: &mut Writer<Slice<'_>>,
) {
    match &call.target {
        Target::Nodes => nodes(facts, call, at, w),
        Target::Node(ident) | Target::Patch(ident) => {
            one_node(facts, facts.find(ident).ok(), call.list.fields, at, w)
        }
        Target::States(ident) => one_node(facts, facts.find(ident).ok(), states(), at, w),
        Target::Ports(owner) => ports::list(facts, owner.as_ref(), call, at, w),
        Target::Images => documents::images(facts, at, w),
        Target::Status => status::fragment(facts, call, at, w),
        Target::Inventory(_) => inventory::fragment(inventory, at, w),
        Target::NewNode(id) => {
            let node = facts.find(&Ident::Uuid(*id)).ok();
            one_node(facts, node, Fields::ALL, at, w);
        }
        Target::Allocations => allocations::list(facts, call, at, w),
        Target::Flavors => allocations::flavors(facts, at, w),
        Target::Networks => book::networks(facts, at, w),
        Target::Addresses => book::addresses(facts, at, w),
        _ => {
            documents::short(facts, call, w);
            at.stage = Stage::End;
        }
    }
}

impl Cursor {
    /// Looks for the next item of a list of nodes that is to be shown.
    pub(super) fn seek(&mut self, facts: &Facts<'_>, list: &List) -> bool {
        let found = (self.shown < list.limit)
            .then(|| next_node(facts, list, self.item))
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

    /// Leaves an item.
    pub(super) fn leave(&mut self) {
        self.item += 1;
        self.stage = Stage::Seek;
    }
}

/// Where a list begins: behind its marker.
pub(super) fn start(facts: &Facts<'_>, list: &List) -> usize {
    let marked = |marker| facts.nodes.iter().position(|node| node.id == marker);
    list.marker.and_then(marked).map_or(0, |place| place + 1)
}

fn next_node(facts: &Facts<'_>, list: &List, from: usize) -> Option<usize> {
    let fits = |node: &Node| {
        !node.is_vacant()
            && !list.nothing
            && list
                .maintenance
                .is_none_or(|on| node.flags.has(Flags::MAINTENANCE) == on)
            && list
                .retired
                .is_none_or(|on| node.flags.has(Flags::RETIRED) == on)
            && list.state.is_none_or(|state| node.state == state)
            && list
                .instance
                .is_none_or(|id| node.instance.instance_uuid == Some(id))
            && list
                .associated
                .is_none_or(|yes| node.instance.instance_uuid.is_some() == yes)
    };
    let rest = facts.nodes.iter().enumerate().skip(from);
    rest.filter(|(_, node)| fits(node))
        .map(|(place, _)| place)
        .next()
}

fn nodes(facts: &Facts<'_>, call: &Call, at: &mut Cursor, w: &mut Writer<Slice<'_>>) {
    match at.stage {
        Stage::Head => {
            w.object().key("nodes").array();
            at.item = start(facts, &call.list);
            at.stage = Stage::Seek;
        }
        Stage::Seek => {
            if at.seek(facts, &call.list) {
                w.object();
            }
        }
        Stage::Item => {
            let node = facts.nodes.get(at.item);
            match node.and_then(|node| Some((node, call.list.fields.next(at.part)?))) {
                Some((node, place)) => {
                    fields::write(facts, at.item, node, place, w);
                    at.part = place + 1;
                }
                None => {
                    w.end_object();
                    at.leave();
                }
            }
        }
        Stage::Tail | Stage::End => {
            w.end_array();
            more(facts, call, at, w);
            w.end_object();
            at.stage = Stage::End;
        }
    }
}

/// The link to the rest of a list that was cut by its limit.
fn more(facts: &Facts<'_>, call: &Call, at: &Cursor, w: &mut Writer<Slice<'_>>) {
    struct Query<'a>(&'a List);
    impl core::fmt::Display for Query<'_> {
        fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            let list = self.0;
            write!(f, "limit={}", list.limit)?;
            if list.detail {
                f.write_str("&detail=true")?;
            } else if list.fields != Fields::summary() {
                let mut between = "&fields=";
                let mut place = 0;
                while let Some(found) = list.fields.next(place) {
                    write!(f, "{between}{}", NAMES.get(found).unwrap_or(&""))?;
                    between = ",";
                    place = found + 1;
                }
            }
            if let Some(state) = list.state {
                f.write_str("&provision_state=")?;
                for part in state.as_str().split_inclusive(' ') {
                    match part.strip_suffix(' ') {
                        Some(word) => write!(f, "{word}%20")?,
                        None => f.write_str(part)?,
                    }
                }
            }
            for (key, filter) in [
                ("associated", list.associated),
                ("maintenance", list.maintenance),
                ("retired", list.retired),
            ] {
                if let Some(yes) = filter {
                    write!(f, "&{key}={yes}")?;
                }
            }
            Ok(())
        }
    }
    if next_node(facts, &call.list, at.item).is_none() {
        return;
    }
    let last = at
        .item
        .checked_sub(1)
        .and_then(|item| facts.nodes.get(item));
    if let Some(last) = last {
        w.key("next").text(format_args!(
            "/v1/nodes?{}&marker={}",
            Query(&call.list),
            ident::text(last.id)
        ));
    }
}

fn one_node(
    facts: &Facts<'_>,
    node: Option<(usize, &Node)>,
    fields: Fields,
    at: &mut Cursor,
    w: &mut Writer<Slice<'_>>,
) {
    if at.stage == Stage::Head {
        w.object();
        at.stage = Stage::Item;
        return;
    }
    match node.and_then(|(index, node)| Some((index, node, fields.next(at.part)?))) {
        Some((index, node, place)) => {
            fields::write(facts, index, node, place, w);
            at.part = place + 1;
        }
        None => {
            w.end_object();
            at.stage = Stage::End;
        }
    }
}

/// What `GET /v1/nodes/{node}/states` shows.
fn states() -> Fields {
    [
        "provision_state",
        "target_provision_state",
        "provision_updated_at",
        "power_state",
        "target_power_state",
        "last_error",
        "boot_mode",
        "secure_boot",
        "console_enabled",
        "clean_step",
        "deploy_step",
        "service_step",
        "raid_config",
        "target_raid_config",
    ]
    .into_iter()
    .fold(Fields::NONE, |fields, name| {
        fields.with(name).unwrap_or(fields)
    })
}
