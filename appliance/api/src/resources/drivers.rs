//! `/v1/drivers`: what switches machines, with the interfaces of each and the keys of
//! `driver_info` that it understands.

use crate::reply::{Cursor, Stage};
use crate::resource::{Ask, Call, Out, Route};
use crate::{Error, View};
use farrier_core::interface::{DriverKind, Setting};
use heapless::String;

pub(crate) const ROUTES: &[Route] = &[
    Route::read("/v1/drivers", list),
    Route::read("/v1/drivers/{driver}", one).check(check),
    Route::read("/v1/drivers/{driver}/properties", properties).check(check),
];

/// What a node has an interface for, as Ironic names it.
pub(crate) const INTERFACES: [&str; 13] = [
    "bios",
    "boot",
    "console",
    "deploy",
    "firmware",
    "inspect",
    "management",
    "network",
    "power",
    "raid",
    "rescue",
    "storage",
    "vendor",
];

/// The interface of a driver for one of [`INTERFACES`].
pub(crate) fn interface(driver: DriverKind, kind: &str) -> &'static str {
    match kind {
        "power" => driver.name(),
        "management" if driver.manages() => driver.name(),
        "management" | "network" | "storage" => "noop",
        // The machine boots what the appliance gives it, whatever switches it.
        "boot" => "ipxe",
        "deploy" => "direct",
        "inspect" => "agent",
        "bios" => "no-bios",
        "console" => "no-console",
        "firmware" => "no-firmware",
        "raid" => "no-raid",
        "rescue" => "no-rescue",
        _ => "no-vendor",
    }
}

fn named(call: &Call) -> Option<DriverKind> {
    DriverKind::named(call.last())
}

fn check(_: &View<'_>, call: &Call) -> Result<(), Error> {
    match named(call) {
        Some(_) => Ok(()),
        None => Err(Error::not_found("Driver", call.last(), "/v1/drivers")),
    }
}

fn list(_: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    if at.stage == Stage::Head {
        w.object().key("drivers").array();
        at.stage = Stage::Item;
        return;
    }
    match DriverKind::ALL.get(at.item) {
        Some(driver) => {
            if write(*driver, at.part, w) {
                at.part += 1;
            } else {
                at.item += 1;
                at.part = 0;
            }
        }
        None => {
            w.end_array().end_object();
            at.end();
        }
    }
}

fn one(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let more = match named(ask.call) {
        Some(driver) => write(driver, at.part, w),
        None => {
            w.null();
            false
        }
    };
    match more {
        true => at.part += 1,
        false => at.end(),
    }
}

/// Writes a part of a driver. Returns whether there are more.
fn write(driver: DriverKind, part: usize, w: &mut Out<'_>) -> bool {
    let Some(kind) = part.checked_sub(1) else {
        w.object().key("name").string(driver.name());
        w.key("type").string("dynamic");
        w.key("hosts").array().string("farrier").end_array();
        w.key("links").array().object().key("href");
        w.text(format_args!("/v1/drivers/{}", driver.name()));
        w.key("rel").string("self").end_object().end_array();
        w.key("properties").array().object().key("href");
        w.text(format_args!("/v1/drivers/{}/properties", driver.name()));
        w.key("rel").string("self").end_object().end_array();
        return true;
    };
    let Some(kind) = INTERFACES.get(kind) else {
        w.end_object();
        return false;
    };
    let name = interface(driver, kind);
    w.key(&joined(["default_", kind, "_interface"])).string(name);
    w.key(&joined(["enabled_", kind, "_interfaces"]));
    w.array().string(name).end_array();
    true
}

/// A key of parts. The longest kind has ten characters.
fn joined(parts: [&str; 3]) -> String<32> {
    let mut key = String::new();
    let fits = parts.into_iter().try_for_each(|part| key.push_str(part));
    debug_assert!(fits.is_ok(), "keys of interfaces are short");
    key
}

/// The keys of `driver_info` that a driver understands, with what to send.
fn properties(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    w.object();
    let driver = named(ask.call);
    let own = |setting: &Setting| driver.is_some_and(|driver| setting.driver() == driver);
    for setting in Setting::ALL.into_iter().filter(own) {
        w.key(setting.key()).string(setting.expects());
    }
    w.end_object();
    at.end();
}
