//! `/farrier/v1/networks`: the networks beside the one that servers boot on.

use crate::body::{Body, Pairs};
use crate::reply::{self, Cursor};
use crate::resource::{self, Ask, Call, Out, Takes};
use crate::resources::addresses::address;
use crate::{Error, View};
use core::net::Ipv4Addr;
use farrier_core::interface::{Command, MAX_ROUTES, Network, Route, Uses};
use farrier_core::strings::PROVISIONING_NAME;
use farrier_http::{Method, Status};

/// The network of everything that no other network is for. Its addresses are in the
/// appliance's configuration.
const OWN: &str = "/farrier/v1/networks/provisioning";

pub(crate) const ROUTES: &[resource::Route] = &[
    resource::Route::read("/farrier/v1/networks", list),
    resource::Route::read(OWN, show_own),
    resource::Route::change(Method::Put, OWN, put_own)
        .of("network")
        .takes(Takes::Form(&["dhcp", "dhcp_server"])),
    resource::Route::change(Method::Put, "/farrier/v1/networks/{network}", put)
        .of("network")
        .takes(Takes::Form(&[
            "uses", "vlan", "vlans", "prefix", "pool_first", "pool_len", "address", "router",
            "dns", "ntp", "mtu", "routes",
        ])),
    resource::Route::change(Method::Delete, "/farrier/v1/networks/{network}", delete).of("network"),
];

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let view = &ask.view;
    let networks = view.ipam.networks();
    reply::list(at, w, "networks", |n| networks.get(n), |network, w| {
        let name = view.texts.network(network.place);
        w.object().key("name").string(name);
        w.key("uses").array();
        for (name, uses) in Uses::NAMES {
            if network.uses.contains(uses) {
                w.string(name);
            }
        }
        w.end_array();
        w.key("vlan").number(network.vlan);
        w.key("vlans").number(network.vlans);
        w.key("prefix").number(network.prefix);
        w.key("pool_first").text(network.pool_first);
        w.key("pool_len").number(network.pool_len);
        for (key, address) in [
            ("address", network.address),
            ("router", network.router),
            ("dns", network.dns),
            ("ntp", network.ntp),
        ] {
            match address.is_unspecified() {
                true => w.key(key).null(),
                false => w.key(key).text(address),
            };
        }
        w.key("mtu").number(network.mtu);
        w.key("routes").array();
        for route in network.routes() {
            let (to, prefix) = (route.destination, route.prefix);
            w.text(format_args!("{to}/{prefix} {}", route.router));
        }
        w.end_array().end_object();
    });
}

fn show_own(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    let (config, server) = (ask.view.config, ask.view.dhcp_server);
    w.object().key("name").string(PROVISIONING_NAME);
    w.key("address").text(config.address);
    w.key("prefix").number(config.prefix);
    w.key("pool_first").text(config.pool_first);
    w.key("pool_len").number(config.pool_len);
    w.key("dhcp").string(match server {
        None => "server",
        Some(_) => "proxy",
    });
    match server {
        None => w.key("dhcp_server").null(),
        Some(server) => w.key("dhcp_server").text(server),
    };
    w.end_object();
}

fn put_own<'f>(_: &View<'_>, _: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let pairs = body.pairs();
    let server = address(pairs, "dhcp_server")?;
    let server = match (pairs.get("dhcp"), server) {
        ("server", None) => None,
        ("proxy", Some(server)) => Some(server),
        _ => {
            return Err(Error::bad(
                "send dhcp: server, or dhcp: proxy with the address of the DHCP server that is \
                 there as dhcp_server.",
            ));
        }
    };
    Ok(Command::SetBootDhcp { server })
}

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let pairs = body.pairs();
    let mut uses = Uses::empty();
    for name in pairs.all("uses") {
        let known = Uses::NAMES.iter().find(|(known, _)| *known == name);
        let Some((_, known)) = known else {
            return Err(Error::new(
                Status::BAD_REQUEST,
                format_args!(
                    "{name:?} is no use of a network. Send tenant, management, bmc, idle, \
                     inspection, provisioning, cleaning, rescuing, servicing or unused."
                ),
            ));
        };
        uses |= *known;
    }
    if uses.is_empty() {
        uses = Uses::TENANT;
    }
    let first = address(pairs, "pool_first")?;
    let needs_pool = uses == Uses::TENANT;
    if needs_pool && first.is_none() {
        return Err(Error::bad(
            "a tenants' network needs a pool_first. Send its pool's first address.",
        ));
    }
    let own = |key| address(pairs, key).map(|found| found.unwrap_or(Ipv4Addr::UNSPECIFIED));
    let boots = uses.intersects(Uses::BOOT.union(Uses::UNUSED).union(Uses::SHUT));
    let prefix = number(pairs, "prefix", if boots { 0 } else { 24 }, 30)?;
    let network = Network {
        // The rack gives it one.
        place: 0,
        uses,
        prefix: u8::try_from(prefix).unwrap_or(u8::MAX),
        vlan: number(pairs, "vlan", 0, 4094)?,
        vlans: number(pairs, "vlans", 1, 4094)?,
        pool_len: number(pairs, "pool_len", 0, u16::MAX)?,
        pool_first: first.unwrap_or(Ipv4Addr::UNSPECIFIED),
        address: own("address")?,
        router: own("router")?,
        dns: own("dns")?,
        ntp: own("ntp")?,
        mtu: number(pairs, "mtu", 0, 9216)?,
        routes: routes(pairs)?,
    };
    Ok(Command::PutNetwork {
        name: call.last(),
        network,
    })
}

/// Routes, as `10.0.0.0/8 10.80.0.253`.
fn routes(pairs: &Pairs) -> Result<[Route; MAX_ROUTES], Error> {
    let mut all = [Route::NONE; MAX_ROUTES];
    let mut rooms = all.iter_mut();
    for text in pairs.all("routes") {
        let parse = || {
            let (to, router) = text.split_once(' ')?;
            let (destination, prefix) = to.split_once('/')?;
            Some(Route {
                destination: destination.parse().ok()?,
                prefix: prefix.parse().ok()?,
                router: router.parse().ok()?,
            })
        };
        match (rooms.next(), parse()) {
            (Some(room), Some(route)) => *room = route,
            _ => {
                return Err(Error::new(
                    Status::BAD_REQUEST,
                    format_args!(
                        "the route {text:?} can't be taken. Send at most {MAX_ROUTES}, each as \
                         NETWORK/PREFIX ROUTER, such as 10.0.0.0/8 10.80.0.253."
                    ),
                ));
            }
        }
    }
    Ok(all)
}

fn delete<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(Command::DeleteNetwork { name: call.last() })
}

pub(super) fn number(pairs: &Pairs, key: &str, default: u16, most: u16) -> Result<u16, Error> {
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
