//! `/farrier/v1/addresses`: addresses that belong to an interface.

use crate::access::Needs;
use crate::body::{Body, Pairs};
use crate::ident::{self, MacText};
use crate::reply::{Cursor, Stage};
use crate::resource::{Ask, Call, Out, Route, Takes};
use crate::{Error, View};
use core::net::Ipv4Addr;
use farrier_core::interface::Command;
use farrier_core::strings::PROVISIONING_NAME;
use farrier_http::{Method, Status};
use farrier_protocol::message::Mac;

const ONE: &str = "/farrier/v1/addresses/{network}/{mac}";

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/farrier/v1/addresses", list).needs(Needs::WholeRack),
    Route::change(Method::Put, ONE, put)
        .of("interface")
        .check(check)
        .takes(Takes::Form(&["address"])),
    Route::change(Method::Delete, ONE, delete)
        .of("interface")
        .check(check),
];

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let view = &ask.view;
    if at.stage == Stage::Head {
        w.object().key("addresses").array();
        at.stage = Stage::Item;
    } else if let Some(entry) = view.ipam.entries().get(at.item) {
        at.item += 1;
        // A quarantined address has no owner.
        if entry.is_held() {
            w.object().key("address").text(entry.address);
            w.key("network").string(view.texts.network(entry.network));
            w.key("mac").text(MacText(entry.mac));
            w.key("node_uuid");
            let mut nodes = view.nodes();
            match nodes.find(|(_, node)| node.macs.contains(&entry.mac)) {
                Some((_, node)) => w.text(ident::text(node.id)),
                None => w.null(),
            };
            w.key("named").bool(entry.is_named()).end_object();
        }
    } else {
        w.end_array().end_object();
        at.end();
    }
}

fn mac(call: &Call) -> Option<Mac> {
    ident::parse_mac(call.last())
}

fn check(_: &View<'_>, call: &Call) -> Result<(), Error> {
    match mac(call) {
        Some(_) => Ok(()),
        None => Err(Error::new(
            Status::NOT_FOUND,
            format_args!(
                "Interface {} could not be found. An interface is named by its address, six \
                 pairs of hexadecimal digits.",
                call.last()
            ),
        )),
    }
}

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let (network, address) = (call.parameter(0), address(body.pairs(), "address")?);
    if address.is_none() && network == PROVISIONING_NAME {
        return Err(Error::bad(
            "the pool of the network provisioning is leased, so an address of one's own is not \
             taken out of it. Send an address of the network outside of the pool.",
        ));
    }
    Ok(Command::ReserveAddress {
        network,
        mac: mac(call).unwrap_or(Mac([0; 6])),
        address,
    })
}

fn delete<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(Command::ReleaseAddress {
        network: call.parameter(0),
        mac: mac(call).unwrap_or(Mac([0; 6])),
    })
}

/// An address out of a body, where it has one.
pub(crate) fn address(pairs: &Pairs, key: &str) -> Result<Option<Ipv4Addr>, Error> {
    match pairs.get(key) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            Error::new(
                Status::BAD_REQUEST,
                format_args!("{key} {text:?} is no address. Send four numbers with dots."),
            )
        }),
    }
}
