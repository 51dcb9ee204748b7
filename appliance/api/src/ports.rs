//! Ports: the interfaces of all nodes, one after the other.

use super::render::{Cursor, Stage};
use super::route::Call;
use super::{Facts, Ident, fields, ident};
use crate::json::{Slice, Writer};
use farrier_core::node::Node;
use farrier_protocol::message::Mac;

/// All ports: the node's place, the node, the address.
pub(super) fn ports<'a>(
    facts: &Facts<'a>,
    only: Option<usize>,
) -> impl Iterator<Item = (usize, &'a Node, Mac)> + use<'a> {
    facts
        .nodes
        .iter()
        .enumerate()
        .filter(move |(place, _)| only.is_none_or(|only| only == *place))
        .flat_map(|(place, node)| node.macs.iter().map(move |mac| (place, node, *mac)))
}

pub(super) fn list(
    facts: &Facts<'_>,
    owner: Option<&Ident>,
    call: &Call,
    at: &mut Cursor,
    w: &mut Writer<Slice<'_>>,
) {
    let only = match owner {
        Some(ident) => match facts.find(ident) {
            Ok((place, _)) => Some(place),
            Err(_) => Some(usize::MAX),
        },
        None => None,
    };
    match at.stage {
        Stage::Head => {
            w.object().key("ports").array();
            let marked =
                |marker| ports(facts, only).position(|(_, _, mac)| ident::of_port(mac) == marker);
            at.item = call.list.marker.and_then(marked).map_or(0, |at| at + 1);
            at.stage = Stage::Item;
        }
        _ => match ports(facts, only).nth(at.item) {
            Some((_, node, mac)) if at.shown < call.list.limit => {
                port(node, mac, call.list.detail, w);
                at.item += 1;
                at.shown += 1;
            }
            rest => {
                w.end_array();
                if rest.is_some() {
                    let last = at.item.checked_sub(1);
                    let last = last.and_then(|last| ports(facts, only).nth(last));
                    if let Some((_, _, mac)) = last {
                        w.key("next").text(format_args!(
                            "/v1/ports?limit={}&detail={}&marker={}",
                            call.list.limit,
                            call.list.detail,
                            ident::text(ident::of_port(mac))
                        ));
                    }
                }
                w.end_object();
                at.stage = Stage::End;
            }
        },
    }
}

pub(super) fn port(node: &Node, mac: Mac, detail: bool, w: &mut Writer<Slice<'_>>) {
    let id = ident::of_port(mac);
    w.object().key("uuid").text(ident::text(id));
    w.key("address").text(ident::MacText(mac));
    w.key("node_uuid").text(ident::text(node.id));
    if detail {
        w.key("pxe_enabled").bool(true);
        w.key("is_smartnic").bool(false);
        for key in ["extra", "internal_info", "local_link_connection"] {
            w.key(key).object().end_object();
        }
        for key in [
            "name",
            "physical_network",
            "portgroup_uuid",
            "created_at",
            "updated_at",
        ] {
            w.key(key).null();
        }
    }
    w.key("links");
    fields::links(w, "ports", id).end_object();
}
