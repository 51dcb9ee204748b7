//! `/v1/nodes/{node}/validate`: whether each interface has what it needs;
//! `null` for those that are not here.

use crate::reply::Cursor;
use crate::resource::{Ask, Out, Route};
use crate::View;
use farrier_core::node::Node;

pub(crate) const ROUTES: &[Route] = &[Route::read("/v1/nodes/{node}/validate", show)];

fn show(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    at.end();
    let Some((_, node)) = ask.node() else {
        w.null();
        return;
    };
    let missing = missing(&ask.view, node);
    w.object();
    for name in ["boot", "inspect", "management", "network", "power", "storage"] {
        w.key(name).object().key("result").bool(true).end_object();
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
