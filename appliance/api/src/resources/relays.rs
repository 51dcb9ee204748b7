//! `/farrier/v1/relays`: networks of servers behind relay agents.

use super::networks::number;
use crate::access::Needs;
use crate::body::Body;
use crate::reply::{self, Cursor};
use crate::resource::{Ask, Call, Out, Route, Takes};
use crate::resources::addresses::address;
use crate::{Error, View};
use core::net::Ipv4Addr;
use farrier_core::interface::{Command, Relay};
use farrier_http::Method;

const ONE: &str = "/farrier/v1/relays/{relay}";

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/farrier/v1/relays", list).needs(Needs::WholeRack),
    Route::change(Method::Put, ONE, put)
        .of("relay")
        .takes(Takes::Form(&["prefix", "router", "pool_first", "pool_len"])),
    Route::change(Method::Delete, ONE, delete).of("relay"),
];

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let relays = ask.view.ipam.relays();
    let get = |n: usize| relays.clone().nth(n).map(|(_, relay)| relay);
    reply::list(at, w, "relays", get, |relay, w| {
        w.object().key("giaddr").text(relay.giaddr);
        w.key("prefix").number(relay.prefix);
        w.key("router").text(relay.router);
        w.key("pool_first").text(relay.pool_first);
        w.key("pool_len").number(relay.pool_len).end_object();
    });
}

fn giaddr(call: &Call) -> Result<Ipv4Addr, Error> {
    let parsed = call.last().parse();
    parsed.map_err(|_| Error::bad("a relay is named by its IPv4 address, its giaddr."))
}

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let (pairs, giaddr) = (body.pairs(), giaddr(call)?);
    let prefix = number(pairs, "prefix", 24, 30)?;
    let first = address(pairs, "pool_first")?
        .ok_or_else(|| Error::bad("a relay needs a pool_first. Send its pool's first address."))?;
    Ok(Command::PutRelay {
        relay: Relay {
            giaddr,
            prefix: u8::try_from(prefix).unwrap_or(u8::MAX),
            router: address(pairs, "router")?.unwrap_or(giaddr),
            pool_first: first,
            pool_len: number(pairs, "pool_len", 0, u16::MAX)?,
        },
    })
}

fn delete<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    let giaddr = giaddr(call)?;
    Ok(Command::DeleteRelay { giaddr })
}
