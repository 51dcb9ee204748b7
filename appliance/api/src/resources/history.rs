//! `/v1/nodes/{node}/history`: what happened to a node, the oldest entry
//! first.
//!
//! Beside Ironic's fields an entry has `start`, the number of the appliance's
//! start within which it happened, `start_seconds` since then, the states
//! `from` and `to`, and the `reason`: there is no wall clock for `created_at`.

use crate::query::{Query, no_filter};
use crate::reply::{Cursor, Page};
use crate::resource::{Ask, Call, Out, Route};
use crate::resources::{management, power};
use crate::{Error, View, ident};
use farrier_core::interface::{ActorKind, erase_method_name};
use farrier_core::node::{Happening, HistoryEntry};
use farrier_core::provisioning::waivers::device_of;
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::NodeId;

const ALL: &str = "/v1/nodes/{node}/history";
const ONE: &str = "/v1/nodes/{node}/history/{entry}";

pub(crate) const ROUTES: &[Route] = &[
    Route::read(ALL, list).query(Query::List(no_filter)),
    Route::read(ONE, show).check(check),
];

/// The UUID of an entry: version 8 (RFC 9562, section 5.8), made of the
/// node's and of the entry's number, so that it needs no room.
fn id(node: NodeId, entry: &HistoryEntry) -> NodeId {
    let mut bytes = node.0;
    let number = entry.sequence.to_be_bytes();
    for (byte, number) in bytes.iter_mut().skip(12).zip(number) {
        *byte = number;
    }
    let id = uuid::Builder::from_custom_bytes(bytes).into_uuid();
    NodeId(id.into_bytes())
}

fn entries<'a>(
    view: &View<'a>,
    call: &Call,
) -> impl Iterator<Item = (NodeId, &'a HistoryEntry)> + use<'a> {
    let node = view.node(call);
    let of = |(place, node): (usize, &'a farrier_core::node::Node)| {
        let entries = view.histories.of(place);
        let own = node.id;
        entries.map(move |entry| (own, entry))
    };
    node.map(of).into_iter().flatten()
}

fn named<'a>(view: &View<'a>, call: &Call) -> Option<(NodeId, &'a HistoryEntry)> {
    let wanted = ident::parse(call.last())?;
    entries(view, call).find(|(node, entry)| id(*node, entry) == wanted)
}

fn check(view: &View<'_>, call: &Call) -> Result<(), Error> {
    match named(view, call) {
        Some(_) => Ok(()),
        None => Err(Error::not_found("History entry", call.last(), ALL)),
    }
}

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let page = Page {
        key: "history",
        nth: |n| entries(&ask.view, ask.call).nth(n),
        id: |(node, entry): &(NodeId, &HistoryEntry)| id(*node, entry),
        link: format_args!(
            "/v1/nodes/{}/history?",
            ident::text(ask.call.node_id())
        ),
    };
    page.write(ask, at, w, |(node, entry), w| one(ask, node, entry, w));
}

fn show(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    match named(&ask.view, ask.call) {
        Some((node, entry)) => one(ask, node, entry, w),
        // It made room for a newer one meanwhile.
        None => _ = w.null(),
    }
}

fn one(ask: &Ask<'_>, node: NodeId, entry: &HistoryEntry, w: &mut Out<'_>) {
    let place = ask.node().map(|(place, _)| place);
    let device = place.and_then(|place| device_of(ask.view.texts, place, entry.sequence));
    let (kind, verb) = match entry.what {
        Happening::Transition(event) => ("provisioning", event.as_str()),
        Happening::Power(action) => ("power", power::name(action)),
        Happening::Flag(flag, _) => ("flag", flag.as_str()),
        Happening::Rebind => ("identity", "rebind"),
        Happening::Waiver(true) => ("erasure", "waive"),
        Happening::Waiver(false) => ("erasure", "end waiver of"),
        Happening::LeastErase(_) => ("erasure", "least method"),
        Happening::FoundOff => ("power", "found off"),
        Happening::Nmi => ("management", "inject nmi"),
        Happening::BootDevice(_) => ("management", "boot device"),
    };
    let failed = entry.to == ProvisionState::Error || entry.to.as_str().ends_with("failed");
    let own = id(node, entry);
    w.object().key("uuid").text(ident::text(own));
    w.key("created_at").null();
    let severity = match entry.what {
        Happening::FoundOff => "WARNING",
        _ if failed => "ERROR",
        _ => "INFO",
    };
    w.key("severity").string(severity);
    w.key("event_type").string(kind);
    w.key("event");
    match entry.what {
        Happening::Transition(_) => w.text(format_args!(
            "{verb}: {} to {}, {}",
            entry.from, entry.to, entry.reason
        )),
        Happening::FoundOff => w.string("found off: nobody has asked for it"),
        Happening::BootDevice(choice) => w.text(format_args!(
            "{verb} {}{}: {}",
            management::name(choice.device),
            if choice.persistent { " for good" } else { " once" },
            entry.reason
        )),
        Happening::Power(_) | Happening::Rebind | Happening::Nmi => {
            w.text(format_args!("{verb}: {}", entry.reason))
        }
        Happening::LeastErase(least) => {
            let least = least.map_or("that of the rack", erase_method_name);
            w.text(format_args!("{verb} {least}: {}", entry.reason))
        }
        Happening::Waiver(_) => {
            let device = device.unwrap_or("a device");
            w.text(format_args!("{verb} {device}: {}", entry.reason))
        }
        Happening::Flag(_, on) => {
            let value = if on { "set" } else { "cleared" };
            w.text(format_args!("{verb} {value}: {}", entry.reason))
        }
    };
    w.key("user");
    match entry.actor {
        ActorKind::Account => w.string_or_null(&entry.account),
        ActorKind::Agent => w.string("agent"),
        ActorKind::Rack => w.null(),
    };
    w.key("conductor").string("farrier");
    w.key("start").number(entry.run);
    w.key("start_seconds").number(entry.seconds);
    w.key("from").string(entry.from.as_str());
    w.key("to").string(entry.to.as_str());
    w.key("reason").string(entry.reason.as_str());
    w.key("links").array().object().key("href");
    w.text(format_args!(
        "/v1/nodes/{}/history/{}",
        ident::text(node),
        ident::text(own)
    ));
    w.key("rel").string("self").end_object().end_array();
    w.end_object();
}
