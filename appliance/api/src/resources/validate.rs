//! `/v1/nodes/{node}/validate`: whether each interface has what it needs;
//! `null` for those that are not here.

use crate::reply::Cursor;
use crate::resource::{Ask, Out, Route};
use crate::View;
use core::fmt;
use farrier_core::node::Node;
use farrier_core::power::{Lack, access};

pub(crate) const ROUTES: &[Route] = &[Route::read("/v1/nodes/{node}/validate", show)];

fn show(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    let Some((index, node)) = ask.node() else {
        w.null();
        return;
    };
    let missing = missing(&ask.view, node);
    w.object();
    // A machine boots from the network whatever its BMC can, if somebody or something
    // switches it.
    for name in ["boot", "inspect", "network", "storage"] {
        w.key(name).object().key("result").bool(true).end_object();
    }
    let lack = access(node, index, ask.view.texts).err();
    w.key("power").object().key("result").bool(lack.is_none());
    reason(node, lack, w);
    w.key("management").object();
    if node.driver.manages() {
        w.key("result").bool(lack.is_none());
        reason(node, lack, w);
    } else {
        w.key("result").bool(true).end_object();
    }
    w.key("deploy").object();
    w.key("result").bool(missing.is_empty());
    w.key("reason").string_or_null(missing).end_object();
    for name in ["bios", "console", "firmware", "raid", "rescue"] {
        w.key(name).object().key("result").null();
        w.key("reason").string("not supported").end_object();
    }
    w.end_object();
}

/// Why a driver can't be asked, behind the result.
fn reason(node: &Node, lack: Option<Lack>, w: &mut Out<'_>) {
    let driver = node.driver.name();
    match lack {
        None => {}
        Some(Lack::Setting(setting)) => _ = w.key("reason").text(format_args!(
            "the driver {driver} needs driver_info/{}. Send {}.",
            setting.key(),
            setting.expects()
        )),
        Some(Lack::Outlet(index)) => {
            w.key("reason").text(format_args!(
                "driver_info/snmp_outlet does not fit the snmp_driver. Send {}.",
                Numbers(index)
            ));
        }
        Some(Lack::Interface) => _ = w.key("reason").string(
            "the driver wol needs an interface of the node. Create its port.",
        ),
    }
    w.end_object();
}

/// The names of an outlet's numbers.
struct Numbers(&'static [&'static str]);

impl fmt::Display for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = self.0.iter().enumerate();
        all.try_for_each(|(number, name)| {
            let between = if number == 0 { "" } else { "." };
            write!(f, "{between}<{name}>")
        })
    }
}

/// What a deployment lacks; empty for nothing.
fn missing(view: &View<'_>, node: &Node) -> &'static str {
    let name = &node.instance.image_source;
    let image = view.images.iter().find(|image| image.name == *name);
    match image {
        _ if name.is_empty() => "instance_info/image_source is not set",
        None => "no image of that name is in the appliance's store",
        Some(_) if node.hardware.local_gib == 0 => "no disk is known; inspect the node",
        Some(image) if image.raw_size >> 30 > u64::from(node.hardware.local_gib) => {
            "the image is larger than every disk"
        }
        Some(_) => "",
    }
}
