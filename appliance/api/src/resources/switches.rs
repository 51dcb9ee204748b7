//! `/farrier/v1/switches`: the switches whose ports the appliance moves, and where
//! each of these ports is.

use super::networks::number;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use crate::access::Needs;
use crate::body::{Body, Pairs};
use crate::ident::{self, MacText};
use crate::reply::{self, Cursor};
use crate::resource::{Ask, Call, Out, Route, Takes};
use crate::resources::addresses::address;
use crate::{Error, View};
use core::net::Ipv4Addr;
use farrier_core::interface::{Command, HostKey, Learned, NewLogin, NewOptions, SwitchAddress, SwitchKind};
use farrier_core::ports::{Sources, Switch};
use farrier_http::Method;

/// In front of the hash of a host key.
const HASH: &str = "SHA256:";
const ONE: &str = "/farrier/v1/switches/{switch}";
const FIELDS: Takes = Takes::Form(&[
    "kind",
    "address",
    "port",
    "user",
    "password",
    "host_key",
    "makes_vlans",
    "trunk_port",
]);

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/farrier/v1/switches", list).needs(Needs::WholeRack),
    Route::change(Method::Put, ONE, put)
        .of("switch")
        .takes(FIELDS),
    Route::change(Method::Patch, ONE, patch)
        .of("switch")
        .takes(FIELDS),
    Route::change(Method::Delete, ONE, delete).of("switch"),
    Route::read("/farrier/v1/switch-key", key).needs(Needs::WholeRack),
    Route::read("/farrier/v1/switch-ports", ports).needs(Needs::WholeRack),
];

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let view = &ask.view;
    let all = view.ports.switches();
    reply::list(at, w, "switches", |n| all.get(n), |switch, w| {
        w.object().key("name").string(view.texts.switch(switch.place));
        w.key("kind").string(switch.address.kind.name());
        w.key("address").text(switch.address.address);
        w.key("port").number(switch.address.port);
        w.key("user");
        match switch.user.as_str() {
            "" => w.null(),
            user => w.string(user),
        };
        w.key("has_password").bool(switch.has_password());
        for (name, key) in [
            ("host_key", switch.host_key),
            ("host_key_met", switch.host_key_met),
        ] {
            w.key(name);
            match key {
                Some(key) => w.text(format_args!("{HASH}{}", Base64(&key.0))),
                None => w.null(),
            };
        }
        w.key("makes_vlans").bool(switch.makes_vlans);
        w.key("trunk_port");
        match switch.trunk_port.as_str() {
            "" => w.null(),
            port => w.string(port),
        };
        w.end_object();
    });
}

/// The line that a switch's `authorized_keys` gets.
fn key(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    w.object().key("public_key");
    match ask.view.switch_key {
        Some(key) => {
            // RFC 8709, 4: both strings with their lengths.
            let mut blob = *b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20................................";
            if let Some(end) = blob.last_chunk_mut::<32>() {
                *end = key;
            }
            w.text(format_args!("ssh-ed25519 {} farrier", Base64(&blob)))
        }
        None => w.null(),
    };
    w.end_object();
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
        w.end_array();
        w.key("shut").bool(port.sources.contains(Sources::SHUT));
        w.key("not_moved_because");
        match view.ports.doubt(port.mac) {
            Some(doubt) => w.string(doubt.name()),
            None => w.null(),
        };
        w.key("learned");
        let (learned, on) = match port.learned() {
            Learned::Unknown => (None, 0),
            Learned::Nowhere => (Some("nowhere"), 0),
            Learned::Elsewhere => (Some("another port"), 0),
            Learned::Here(vlan) => (Some("this port"), vlan),
        };
        match learned {
            Some(text) => w.string(text),
            None => w.null(),
        };
        w.key("learned_vlan");
        match on {
            0 => w.null(),
            vlan => w.number(vlan),
        };
        w.end_object();
    });
}

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let pairs = body.pairs();
    let login = NewLogin {
        user: Some(pairs.get("user")),
        password: Some(pairs.get("password")),
        host_key: Some(host_key(pairs)?),
    };
    let options = NewOptions {
        makes_vlans: Some(makes_vlans(pairs)?.unwrap_or(false)),
        trunk_port: Some(pairs.get("trunk_port")),
    };
    define(call, pairs, None, (login, options))
}

/// What the body does not name stays as it is.
fn patch<'f>(view: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let pairs = body.pairs();
    let mut all = view.ports.switches().iter();
    let known = all.find(|switch| view.texts.switch(switch.place) == call.last());
    let known = known.ok_or_else(|| Error::not_found("Switch", call.last(), ONE))?;
    let login = NewLogin {
        user: pairs.find("user"),
        password: pairs.find("password"),
        host_key: match pairs.find("host_key") {
            Some(_) => Some(host_key(pairs)?),
            None => None,
        },
    };
    let options = NewOptions {
        makes_vlans: makes_vlans(pairs)?,
        trunk_port: pairs.find("trunk_port"),
    };
    define(call, pairs, Some(known), (login, options))
}

/// Whether the appliance is to make VLANs, where the body says it.
fn makes_vlans(pairs: &Pairs) -> Result<Option<bool>, Error> {
    match pairs.find("makes_vlans") {
        None | Some("") => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(Error::bad("makes_vlans is no bool. Send true or false.")),
    }
}

fn define<'f>(
    call: &'f Call,
    pairs: &Pairs,
    known: Option<&Switch>,
    (login, options): (NewLogin<'f>, NewOptions<'f>),
) -> Result<Command<'f>, Error> {
    let kind = match (pairs.get("kind"), known) {
        ("", Some(known)) => known.address.kind,
        ("", None) => SwitchKind::ByHand,
        (text, _) => SwitchKind::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| {
                Error::bad("that kind of switch is not known. Send ovsdb, netconf or by-hand.")
            })?,
    };
    let (default, own) = match (known, kind) {
        (Some(known), _) if known.address.kind == kind => {
            (known.address.port, Some(known.address.address))
        }
        (_, SwitchKind::ByHand) => (0, Some(Ipv4Addr::UNSPECIFIED)),
        (_, SwitchKind::Ovsdb) => (6640, None),
        (_, SwitchKind::Netconf) => (830, None),
    };
    let address = address(pairs, "address")?.or(own).ok_or_else(|| {
        Error::bad("a switch needs an address. Send that of its management interface.")
    })?;
    let user = match (login.user, known) {
        (Some(user), _) => user,
        (None, Some(known)) => known.user.as_str(),
        (None, None) => "",
    };
    if kind == SwitchKind::Netconf && user.is_empty() {
        return Err(Error::bad(
            "a switch with NETCONF needs a user. Send its name, with its password, or without \
             one where the user has the key that GET /farrier/v1/switch-key shows.",
        ));
    }
    if user.is_empty() && login.password.is_some_and(|password| !password.is_empty()) {
        return Err(Error::bad("a password needs a user. Send the user's name."));
    }
    Ok(Command::PutSwitch {
        name: call.last(),
        address: SwitchAddress {
            kind,
            address,
            port: number(pairs, "port", default, u16::MAX)?,
        },
        login,
        options,
    })
}

/// The host key to pin; `None` for none.
fn host_key(pairs: &Pairs) -> Result<Option<HostKey>, Error> {
    let text = pairs.get("host_key");
    if text.is_empty() {
        return Ok(None);
    }
    let mut hash = [0; 32];
    let digits = text.strip_prefix(HASH);
    let decoded = digits.map(|digits| STANDARD_NO_PAD.decode_slice(digits, &mut hash));
    match decoded {
        Some(Ok(32)) => Ok(Some(HostKey(hash))),
        _ => Err(Error::bad(
            "host_key is no fingerprint of a host key. Send SHA256: and 43 characters, as \
             ssh-keygen -lf prints it.",
        )),
    }
}

/// Bytes in base64 without padding.
struct Base64<'a>(&'a [u8]);

impl core::fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // Three bytes are four digits: pieces are as good as the whole.
        for piece in self.0.chunks(3) {
            let mut digits = [0; 4];
            let length = STANDARD_NO_PAD.encode_slice(piece, &mut digits);
            let digits = digits.get(..length.unwrap_or(0)).unwrap_or_default();
            f.write_str(core::str::from_utf8(digits).unwrap_or(""))?;
        }
        Ok(())
    }
}

fn delete<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(Command::DeleteSwitch { name: call.last() })
}
