//! Allocations, as Ironic shows them, and our own flavors.

use super::render::{Cursor, Stage};
use super::route::Call;
use super::{Facts, Ident, fields, ident};
use crate::json::{Slice, Writer};
use farrier_core::allocation::Flavor;
use farrier_core::node::flags::Flags;
use farrier_core::node::{HardwareFeatures, Node};
use farrier_core::strings::Kind;
use farrier_protocol::message::NodeId;

/// All allocations: the node's place, the node, the allocation.
pub(super) fn allocations<'a>(
    facts: &Facts<'a>,
) -> impl Iterator<Item = (usize, &'a Node, NodeId)> + use<'a> {
    facts
        .nodes
        .iter()
        .enumerate()
        .filter(|(_, node)| !node.is_vacant() && node.flags.has(Flags::ALLOCATED))
        .filter_map(|(place, node)| Some((place, node, node.instance.instance_uuid?)))
}

/// The allocation of that UUID or name.
pub(super) fn find<'a>(facts: &Facts<'a>, ident: &Ident) -> Option<(usize, &'a Node, NodeId)> {
    let facts = *facts;
    allocations(&facts).find(|(place, _, id)| match ident {
        Ident::Uuid(wanted) => id == wanted,
        Ident::Name(name) => facts.texts.get(*place, Kind::AllocationName) == name,
    })
}

pub(super) fn list(facts: &Facts<'_>, call: &Call, at: &mut Cursor, w: &mut Writer<Slice<'_>>) {
    let listed = |item| {
        let mut all = allocations(facts).filter(|_| !call.list.nothing);
        all.nth(item)
    };
    if at.stage == Stage::Head {
        w.object().key("allocations").array();
        let marked = |marker| allocations(facts).position(|(.., id)| id == marker);
        at.item = call.list.marker.and_then(marked).map_or(0, |at| at + 1);
        at.stage = Stage::Item;
        return;
    }
    let next = listed(at.item);
    if let Some(found) = next
        && at.shown < call.list.limit
    {
        one(facts, found, w);
        at.item += 1;
        at.shown += 1;
        return;
    }
    w.end_array();
    let last = at.item.checked_sub(1).filter(|_| next.is_some());
    if let Some((.., last)) = last.and_then(listed) {
        w.key("next").text(format_args!(
            "/v1/allocations?limit={}&marker={}",
            call.list.limit,
            ident::text(last)
        ));
    }
    w.end_object();
    at.stage = Stage::End;
}

pub(super) fn one(
    facts: &Facts<'_>,
    (place, node, id): (usize, &Node, NodeId),
    w: &mut Writer<Slice<'_>>,
) {
    let text = |kind| facts.texts.get(place, kind);
    w.object().key("uuid").text(ident::text(id));
    w.key("name").string_or_null(text(Kind::AllocationName));
    w.key("node_uuid").text(ident::text(node.id));
    // What can't be had is refused at once: none waits, and none fails.
    w.key("state").string("active");
    w.key("last_error").null();
    w.key("resource_class")
        .string_or_null(text(Kind::AllocationClass));
    w.key("traits").array();
    for word in facts.texts.words(node.wanted) {
        w.string(word);
    }
    w.end_array();
    w.key("candidate_nodes").array().end_array();
    w.key("extra").object().end_object();
    for key in ["owner", "created_at", "updated_at"] {
        w.key(key).null();
    }
    w.key("links");
    fields::links(w, "allocations", id).end_object();
}

pub(super) fn flavors(facts: &Facts<'_>, at: &mut Cursor, w: &mut Writer<Slice<'_>>) {
    if at.stage == Stage::Head {
        w.object().key("flavors").array();
        at.stage = Stage::Item;
    } else if let Some(found) = facts.flavors.get(at.item) {
        flavor(facts, found, w);
        at.item += 1;
    } else {
        w.end_array().end_object();
        at.stage = Stage::End;
    }
}

/// Kinds of parts, as requests and replies name them.
pub(super) const PARTS: [(&str, HardwareFeatures); 6] = [
    ("hdd", HardwareFeatures::HDD),
    ("ssd", HardwareFeatures::SSD),
    ("nvme", HardwareFeatures::NVME),
    ("infiniband", HardwareFeatures::INFINIBAND),
    ("roce", HardwareFeatures::ROCE),
    ("tpm2", HardwareFeatures::TPM2),
];

fn flavor(facts: &Facts<'_>, flavor: &Flavor, w: &mut Writer<Slice<'_>>) {
    let need = &flavor.need;
    w.object().key("name").string(flavor.name(facts.texts));
    w.key("resource_class")
        .string_or_null(facts.texts.class(need.class));
    w.key("traits").array();
    for word in facts.texts.words(need.traits) {
        w.string(word);
    }
    w.end_array();
    w.key("cpus").number(need.cpus);
    w.key("memory_mb").number(need.memory_mib);
    w.key("local_gb").number(need.local_gib);
    w.key("link_mbps").number(u32::from(need.link) * 100);
    w.key("parts").array();
    for (name, part) in PARTS {
        if need.parts.has(part) {
            w.string(name);
        }
    }
    w.end_array().end_object();
}
