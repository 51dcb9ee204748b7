//! The address book: our own documents.

use super::ident::MacText;
use super::render::{Cursor, Stage};
use super::{Facts, ident};
use crate::json::{Slice, Writer};

pub(super) fn networks(facts: &Facts<'_>, at: &mut Cursor, w: &mut Writer<Slice<'_>>) {
    if at.stage == Stage::Head {
        w.object().key("networks").array();
        at.stage = Stage::Item;
    } else if let Some(network) = facts.ipam.networks().get(at.item) {
        w.object()
            .key("name")
            .string(facts.texts.network(network.place));
        w.key("vlan").number(network.vlan);
        w.key("prefix").number(network.prefix);
        w.key("pool_first").text(network.pool_first);
        w.key("pool_len").number(network.pool_len).end_object();
        at.item += 1;
    } else {
        w.end_array().end_object();
        at.stage = Stage::End;
    }
}

pub(super) fn addresses(facts: &Facts<'_>, at: &mut Cursor, w: &mut Writer<Slice<'_>>) {
    if at.stage == Stage::Head {
        w.object().key("addresses").array();
        at.stage = Stage::Item;
    } else if let Some(entry) = facts.ipam.entries().get(at.item) {
        if entry.is_held() {
            w.object().key("address").text(entry.address);
            w.key("network").string(facts.texts.network(entry.network));
            w.key("mac").text(MacText(entry.mac));
            let owner = |node: &&farrier_core::node::Node| node.macs.contains(&entry.mac);
            w.key("node_uuid");
            match facts.nodes.iter().find(owner) {
                Some(node) => w.text(ident::text(node.id)),
                None => w.null(),
            };
            w.key("named").bool(entry.is_named()).end_object();
        }
        at.item += 1;
    } else {
        w.end_array().end_object();
        at.stage = Stage::End;
    }
}
