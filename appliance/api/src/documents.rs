//! Documents that are short, or nearly always the same: versions, drivers,
//! conductors, images, validation.

use super::ports::{port, ports};
use super::render::{Cursor, Stage};
use super::route::Call;
use super::target::Target;
use super::{Facts, Ident, Version, allocations, ident};
use crate::json::{Slice, Writer};
use farrier_core::node::Node;

pub(super) fn images(facts: &Facts<'_>, at: &mut Cursor, w: &mut Writer<Slice<'_>>) {
    if at.stage == Stage::Head {
        w.object().key("images").array();
        at.stage = Stage::Item;
    } else if let Some(image) = facts.images.get(at.item) {
        w.object().key("name").string(&image.name);
        w.key("version").number(image.version);
        w.key("bytes").number(image.raw_size).end_object();
        at.item += 1;
    } else {
        w.end_array().end_object();
        at.stage = Stage::End;
    }
}

/// Documents of one fragment.
pub(super) fn short(facts: &Facts<'_>, call: &Call, w: &mut Writer<Slice<'_>>) {
    match &call.target {
        Target::Root => {
            w.object().key("name").string("OpenStack Ironic API");
            w.key("description")
                .string("Farrier: bare metal without an operating system under its control plane.");
            w.key("default_version");
            version(w);
            w.key("versions").array();
            version(w);
            w.end_array().end_object();
        }
        Target::V1 => {
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
        }
        Target::Traits(ident) => {
            w.object().key("traits").array();
            if let Ok((_, node)) = facts.find(ident) {
                for word in facts.texts.words(node.traits) {
                    w.string(word);
                }
            }
            w.end_array().end_object();
        }
        Target::Allocation(ident) => match allocations::find(facts, ident) {
            Some(found) => allocations::one(facts, found, w),
            None => nothing(w),
        },
        Target::NewAllocation(id) => match allocations::find(facts, &Ident::Uuid(*id)) {
            Some(found) => allocations::one(facts, found, w),
            None => nothing(w),
        },
        Target::NodeAllocation(ident) => {
            let own = facts.find(ident).map_or(usize::MAX, |(place, _)| place);
            let mut all = allocations::allocations(facts);
            match all.find(|(place, ..)| *place == own) {
                Some(found) => allocations::one(facts, found, w),
                None => nothing(w),
            }
        }
        Target::Port(id) | Target::NewPort(id) => {
            match ports(facts, None).find(|(.., mac)| ident::of_port(*mac) == *id) {
                Some((_, node, mac)) => port(node, mac, true, w),
                None => nothing(w),
            }
        }
        Target::Validate(ident) => match facts.find(ident) {
            Ok((_, node)) => validate(facts, node, w),
            Err(_) => nothing(w),
        },
        Target::Drivers => {
            w.object().key("drivers").array();
            driver(w);
            w.end_array().end_object();
        }
        Target::Driver => driver(w),
        Target::Conductors => {
            w.object().key("conductors").array();
            conductor(w);
            w.end_array().end_object();
        }
        Target::Conductor => conductor(w),
        Target::Empty(kind) | Target::NodeEmpty(_, kind) => {
            w.object().key(kind).array().end_array().end_object();
        }
        // The others have replies of their own, or are not read.
        _ => nothing(w),
    }
}

fn nothing(w: &mut Writer<Slice<'_>>) {
    w.null();
}

fn version(w: &mut Writer<Slice<'_>>) {
    w.object().key("id").string("v1");
    w.key("status").string("CURRENT");
    w.key("min_version").text(Version::MIN);
    w.key("version").text(Version::MAX);
    w.key("links").array().object();
    w.key("href").string("/v1/").key("rel").string("self");
    w.end_object().end_array().end_object();
}

fn driver(w: &mut Writer<Slice<'_>>) {
    w.object().key("name").string("farrier");
    w.key("type").string("dynamic");
    w.key("hosts").array().string("farrier").end_array();
    w.key("links").array().object().key("href");
    w.string("/v1/drivers/farrier").key("rel").string("self");
    w.end_object().end_array().end_object();
}

fn conductor(w: &mut Writer<Slice<'_>>) {
    w.object().key("hostname").string("farrier");
    w.key("conductor_group").string("").key("alive").bool(true);
    w.key("drivers").array().string("farrier").end_array();
    w.key("created_at").null().key("updated_at").null();
    w.key("links").array().object().key("href");
    w.string("/v1/conductors/farrier").key("rel").string("self");
    w.end_object().end_array().end_object();
}

/// Whether each interface has what it needs; `null` for those that are not
/// here.
fn validate(facts: &Facts<'_>, node: &Node, w: &mut Writer<Slice<'_>>) {
    let image = facts
        .images
        .iter()
        .find(|image| image.name == node.instance.image_source);
    let missing = match image {
        _ if node.instance.image_source.is_empty() => "instance_info/image_source is not set",
        None => "no image of that name is in the appliance's store",
        Some(_) if node.hardware.local_gib == 0 => "no disk is known; inspect the node",
        Some(image) if image.raw_size >> 30 > u64::from(node.hardware.local_gib) => {
            "the image is larger than every disk"
        }
        Some(_) => "",
    };
    w.object();
    for name in ["boot", "inspect", "management", "network", "storage"] {
        w.key(name).object().key("result").bool(true).end_object();
    }
    w.key("deploy").object();
    w.key("result").bool(missing.is_empty());
    w.key("reason").string_or_null(missing).end_object();
    for name in ["bios", "console", "firmware", "power", "raid", "rescue"] {
        w.key(name).object().key("result").null();
        w.key("reason").string("not supported").end_object();
    }
    w.end_object();
}
