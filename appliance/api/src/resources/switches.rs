//! `/farrier/v1/switches`: the switches whose ports the appliance moves, and where
//! each of these ports is.

use super::networks::number;
use crate::access::Needs;
use crate::body::Body;
use crate::ident::{self, MacText};
use crate::reply::{self, Cursor};
use crate::resource::{Ask, Call, Out, Route, Takes};
use crate::resources::addresses::address;
use crate::{Error, View};
use core::net::Ipv4Addr;
use farrier_core::interface::{Command, SwitchAddress, SwitchKind};
use farrier_core::ports::Sources;
use farrier_http::Method;

const ONE: &str = "/farrier/v1/switches/{switch}";

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/farrier/v1/switches", list).needs(Needs::WholeRack),
    Route::change(Method::Put, ONE, put)
        .of("switch")
        .takes(Takes::Form(&["kind", "address", "port"])),
    Route::change(Method::Delete, ONE, delete).of("switch"),
    Route::read("/farrier/v1/switch-ports", ports).needs(Needs::WholeRack),
];

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let view = &ask.view;
    let all = view.ports.switches();
    reply::list(at, w, "switches", |n| all.get(n), |switch, w| {
        w.object().key("name").string(view.texts.switch(switch.place));
        w.key("kind").string(switch.address.kind.name());
        w.key("address").text(switch.address.address);
        w.key("port").number(switch.address.port).end_object();
    });
}

fn ports(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let view = &ask.view;
    let all = view.ports.all();
    reply::list(at, w, "switch_ports", |n| all.get(n), |port, w| {
        w.object().key("address").text(MacText(port.mac));
        w.key("switch").string(view.texts.switch(port.switch));
        w.key("port").string(&port.name);
        w.key("node_uuid");
        let mut nodes = view.nodes();
        let node = nodes.find(|(_, node)| node.macs.contains(&port.mac));
        match node {
            Some((_, node)) => w.text(ident::text(node.id)),
            None => w.null(),
        };
        // 0 for none that is known.
        w.key("vlan").number(port.at);
        w.key("moving_to");
        match port.is_moving() {
            true => w.number(port.to),
            false => w.null(),
        };
        w.key("sources").array();
        for (source, name) in Sources::NAMED {
            if port.sources.contains(source) {
                w.string(name);
            }
        }
        w.end_array().key("not_moved_because");
        match view.ports.doubt(port.mac) {
            Some(doubt) => w.string(doubt.name()),
            None => w.null(),
        };
        w.end_object();
    });
}

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let pairs = body.pairs();
    let kind = match pairs.get("kind") {
        "" => SwitchKind::ByHand,
        text => SwitchKind::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| {
                Error::bad("that kind of switch is not known. Send ovsdb, netconf or by-hand.")
            })?,
    };
    let (default, own) = match kind {
        SwitchKind::ByHand => (0, Some(Ipv4Addr::UNSPECIFIED)),
        SwitchKind::Ovsdb => (6640, None),
        SwitchKind::Netconf => (830, None),
    };
    let address = address(pairs, "address")?.or(own).ok_or_else(|| {
        Error::bad("a switch needs an address. Send that of its management interface.")
    })?;
    Ok(Command::PutSwitch {
        name: call.last(),
        address: SwitchAddress {
            kind,
            address,
            port: number(pairs, "port", default, u16::MAX)?,
        },
    })
}

fn delete<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(Command::DeleteSwitch { name: call.last() })
}
