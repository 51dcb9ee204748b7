//! `/farrier/v1/flavors`: names for what allocations ask for.

use crate::body::{Body, Pairs};
use crate::reply::{self, Cursor};
use crate::resource::{Ask, Call, Out, Route, Takes};
use crate::{Error, View};
use farrier_core::allocation::Requirements;
use farrier_core::interface::Command;
use farrier_core::node::HardwareFeatures;
use farrier_http::{Method, Status};

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/farrier/v1/flavors", list),
    Route::change(Method::Put, "/farrier/v1/flavors/{flavor}", put)
        .of("flavor")
        .takes(Takes::Form(&[
            "resource_class",
            "traits",
            "cpus",
            "memory_mb",
            "local_gb",
            "link_mbps",
            "parts",
        ])),
    Route::change(Method::Delete, "/farrier/v1/flavors/{flavor}", delete).of("flavor"),
];

/// Kinds of parts, as requests and replies name them.
const PARTS: [(&str, HardwareFeatures); 6] = [
    ("hdd", HardwareFeatures::HDD),
    ("ssd", HardwareFeatures::SSD),
    ("nvme", HardwareFeatures::NVME),
    ("infiniband", HardwareFeatures::INFINIBAND),
    ("roce", HardwareFeatures::ROCE),
    ("tpm2", HardwareFeatures::TPM2),
];

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let view = &ask.view;
    reply::list(at, w, "flavors", |n| view.flavors.get(n), |flavor, w| {
        let need = &flavor.need;
        w.object().key("name").string(flavor.name(view.texts));
        w.key("resource_class")
            .string_or_null(view.texts.class(need.class));
        w.key("traits").array();
        for word in view.texts.words(need.traits) {
            w.string(word);
        }
        w.end_array();
        w.key("cpus").number(need.cpus);
        w.key("memory_mb").number(need.memory_mib);
        w.key("local_gb").number(need.local_gib);
        w.key("link_mbps").number(u32::from(need.link) * 100);
        w.key("parts").array();
        for (name, part) in PARTS {
            if need.parts.contains(part) {
                w.string(name);
            }
        }
        w.end_array().end_object();
    });
}

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let pairs = body.pairs();
    let mut need = Requirements {
        memory_mib: number(pairs, "memory_mb")?,
        local_gib: number(pairs, "local_gb")?,
        cpus: short(pairs, "cpus", 1)?,
        link: short(pairs, "link_mbps", 100)?,
        ..Requirements::default()
    };
    for name in pairs.all("parts") {
        let part = PARTS.iter().find(|(known, _)| *known == name);
        let (_, part) = part.ok_or_else(|| {
            Error::new(
                Status::BAD_REQUEST,
                format_args!(
                    "the part {name:?} is not known. There are hdd, ssd, nvme, infiniband, roce \
                     and tpm2."
                ),
            )
        })?;
        need.parts.set(*part, true);
    }
    Ok(Command::PutFlavor {
        name: call.last(),
        need,
        class: pairs.get("resource_class"),
        lists: pairs.lists(),
    })
}

fn delete<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(Command::DeleteFlavor { name: call.last() })
}

fn number(pairs: &Pairs, key: &str) -> Result<u32, Error> {
    match pairs.get(key) {
        "" => Ok(0),
        text => text.parse().map_err(|_| {
            Error::new(
                Status::BAD_REQUEST,
                format_args!("{key} is {text:?}. Send a whole number."),
            )
        }),
    }
}

/// A number in units of so many.
fn short(pairs: &Pairs, key: &str, unit: u32) -> Result<u16, Error> {
    u16::try_from(number(pairs, key)?.div_ceil(unit)).map_err(|_| {
        Error::new(
            Status::BAD_REQUEST,
            format_args!("{key} is larger than any machine has. Send a smaller number."),
        )
    })
}
