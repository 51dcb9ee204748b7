//! `/v1/nodes/{node}/management`: what the machine boots from, as its BMC says, and an
//! interrupt. A change is asked for, and the BMC is told within moments.

use crate::access::Needs;
use crate::body::Body;
use crate::reply::Cursor;
use crate::resource::{Ask, Call, Out, Route, Takes};
use crate::{Error, View};
use farrier_core::interface::{BootChoice, BootDevice, Command};
use farrier_http::{Method, Status};

const BOOT_DEVICE: &str = "/v1/nodes/{node}/management/boot_device";

pub(crate) const ROUTES: &[Route] = &[
    Route::read(BOOT_DEVICE, show),
    Route::read("/v1/nodes/{node}/management/boot_device/supported", supported),
    Route::change(Method::Put, BOOT_DEVICE, put)
        .needs(Needs::Member)
        .takes(Takes::Form(&["boot_device", "persistent"])),
    Route::change(Method::Put, "/v1/nodes/{node}/management/inject_nmi", nmi)
        .needs(Needs::Member),
];

const DEVICES: [(&str, BootDevice); 2] = [("pxe", BootDevice::Network), ("disk", BootDevice::Disk)];

/// What Ironic calls a device.
pub(crate) fn name(device: BootDevice) -> &'static str {
    match device {
        BootDevice::Network => "pxe",
        BootDevice::Disk => "disk",
    }
}

fn choice(w: &mut Out<'_>, choice: Option<BootChoice>) {
    w.key("boot_device");
    match choice {
        Some(choice) => w.string(name(choice.device)).key("persistent").bool(choice.persistent),
        None => w.null().key("persistent").null(),
    };
}

/// What the BMC said last, and what it is still to be told.
fn show(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    let Some((_, node)) = ask.node() else {
        w.null();
        return;
    };
    let seen = node.power_control.boot_seen();
    w.object();
    choice(w, seen.map(|(choice, _)| choice));
    if let Some((_, when)) = seen {
        w.key("seen_seconds").number(ask.view.now.since(when) / 1000);
    }
    if let Some(wanted) = node.power_control.boot_wanted() {
        w.key("wanted").object();
        choice(w, Some(wanted));
        w.end_object();
    }
    w.end_object();
}

fn supported(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    w.object().key("supported_boot_devices").array();
    if ask.node().is_some_and(|(_, node)| node.driver.manages()) {
        for (name, _) in DEVICES {
            w.string(name);
        }
    }
    w.end_array().end_object();
}

fn put<'f>(_: &View<'_>, call: &'f Call, body: &'f Body) -> Result<Command<'f>, Error> {
    let pairs = body.pairs();
    let wanted = pairs.get("boot_device");
    let found = DEVICES.iter().find(|(name, _)| *name == wanted);
    let (_, device) = found.ok_or_else(|| {
        Error::new(
            Status::BAD_REQUEST,
            format_args!("the boot device {wanted:?} is not known. There are pxe and disk."),
        )
    })?;
    let persistent = match pairs.get("persistent") {
        "true" | "True" => true,
        "" | "false" | "False" => false,
        _ => return Err(Error::bad("persistent is neither true nor false. Send one of them.")),
    };
    Ok(Command::SetBootDevice {
        node: call.node_id(),
        choice: BootChoice::new(*device, persistent),
    })
}

fn nmi<'f>(_: &View<'_>, call: &'f Call, _: &'f Body) -> Result<Command<'f>, Error> {
    Ok(Command::InjectNmi {
        node: call.node_id(),
    })
}
