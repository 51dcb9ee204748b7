//! `/farrier/v1/images`: the images of the asset store, the least version of
//! each that is deployed, and the keys that sign them.

use crate::access::Needs;
use crate::body::Body;
use crate::reply::{self, Cursor};
use crate::resource::{Ask, Call, Out, Route, Takes};
use crate::{Error, View};
use core::fmt;
use farrier_core::interface::Command;
use farrier_http::{Method, Status};

const KEY: &str = "/farrier/v1/image-keys/{key}";

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/farrier/v1/images", list),
    Route::change(Method::Put, "/farrier/v1/images/{image}", put)
        .of("image")
        .takes(Takes::Form(&["least_version"])),
    Route::read("/farrier/v1/image-keys", keys).needs(Needs::WholeRack),
    Route::change(Method::Delete, KEY, revoke)
        .of("key")
        .check(check),
];

/// The images of the store, then the least versions of names that it has not
/// any more.
fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let (images, floors) = (ask.view.images, ask.view.floors);
    let floor_of = |name: &str| floors.iter().find(|floor| floor.name == name);
    let alone = |n: usize| {
        let known = |name: &str| images.iter().any(|image| image.name == name);
        let mut alone = floors
            .iter()
            .filter(|floor| !floor.name.is_empty() && !known(&floor.name));
        alone.nth(n)
    };
    let nth = |n: usize| match images.get(n) {
        Some(image) => Some((Some(image), floor_of(&image.name))),
        None => alone(n - images.len()).map(|floor| (None, Some(floor))),
    };
    reply::list(at, w, "images", nth, |(image, floor), w| {
        let name = image.map(|image| &image.name);
        let name = name.or(floor.map(|floor| &floor.name));
        w.object().key("name");
        w.string(name.map_or("", |name| name));
        w.key("version");
        match image {
            Some(image) => w.number(image.version),
            None => w.null(),
        };
        w.key("least_version")
            .number(floor.map_or(0, |floor| floor.version));
        w.key("bytes");
        match image {
            Some(image) => w.number(image.raw_size),
            None => w.null(),
        };
        w.end_object();
    });
}

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let text = body.pairs().get("least_version");
    let version = text.parse().map_err(|_| {
        Error::new(
            Status::BAD_REQUEST,
            format_args!("least_version is {text:?}. Send a whole number, 0 for any version."),
        )
    })?;
    Ok(Command::SetLeastVersion {
        name: call.last(),
        version,
    })
}

/// The store's key first, then those that were revoked.
fn keys(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let (own, revoked) = (ask.view.images_key, ask.view.revoked);
    let present = own.filter(|own| !revoked.contains(own));
    let all = |n: usize| match (present, n) {
        (Some(key), 0) => Some((key, false)),
        (Some(_), n) => revoked.get(n - 1).map(|key| (*key, true)),
        (None, n) => revoked.get(n).map(|key| (*key, true)),
    };
    reply::list(at, w, "image_keys", all, |(key, revoked), w| {
        w.object().key("key").text(Hex(&key));
        w.key("revoked").bool(revoked).end_object();
    });
}

struct Hex<'k>(&'k [u8; 32]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn key(call: &Call) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    let text = call.last();
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (place, byte) in key.iter_mut().enumerate() {
        let digits = text.get(2 * place..2 * place + 2)?;
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(key)
}

fn check(_: &View<'_>, call: &Call) -> Result<(), Error> {
    match key(call) {
        Some(_) => Ok(()),
        None => Err(Error::not_found("Key", call.last(), KEY)),
    }
}

fn revoke<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    let missing = || Error::not_found("the key", call.last(), KEY);
    Ok(Command::RevokeKey {
        key: key(call).ok_or_else(missing)?,
    })
}
