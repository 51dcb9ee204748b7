//! `/farrier/v1/networks`: tenants' networks.

use crate::body::{Body, Pairs};
use crate::reply::{self, Cursor};
use crate::resource::{Ask, Call, Out, Route, Takes};
use crate::resources::addresses::address;
use crate::{Error, View};
use farrier_core::interface::Command;
use farrier_core::ipam::Network;
use farrier_http::{Method, Status};

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/farrier/v1/networks", list),
    Route::change(Method::Put, "/farrier/v1/networks/{network}", put)
        .of("network")
        .takes(Takes::Form(&["vlan", "prefix", "pool_first", "pool_len"])),
    Route::change(Method::Delete, "/farrier/v1/networks/{network}", delete).of("network"),
];

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let view = &ask.view;
    let networks = view.ipam.networks();
    reply::list(at, w, "networks", |n| networks.get(n), |network, w| {
        let name = view.texts.network(network.place);
        w.object().key("name").string(name);
        w.key("vlan").number(network.vlan);
        w.key("prefix").number(network.prefix);
        w.key("pool_first").text(network.pool_first);
        w.key("pool_len").number(network.pool_len).end_object();
    });
}

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let pairs = body.pairs();
    let first = address(pairs, "pool_first")?;
    let network = Network {
        // The rack gives it one.
        place: 0,
        prefix: u8::try_from(number(pairs, "prefix", 24, 30)?).unwrap_or(u8::MAX),
        vlan: number(pairs, "vlan", 0, 4094)?,
        pool_len: number(pairs, "pool_len", 0, u16::MAX)?,
        pool_first: first.ok_or_else(|| {
            Error::bad("a network needs a pool_first. Send its pool's first address.")
        })?,
    };
    Ok(Command::PutNetwork {
        name: call.last(),
        network,
    })
}

fn delete<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(Command::DeleteNetwork { name: call.last() })
}

fn number(pairs: &Pairs, key: &str, default: u16, most: u16) -> Result<u16, Error> {
    let text = pairs.get(key);
    if text.is_empty() {
        return Ok(default);
    }
    let number = text.parse().ok().filter(|number| *number <= most);
    number.ok_or_else(|| {
        Error::new(
            Status::BAD_REQUEST,
            format_args!("{key} is {text:?}. Send a whole number up to {most}."),
        )
    })
}
