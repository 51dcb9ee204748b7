//! `/farrier/v1/strangers`: machines that boot from the network and are no nodes.
//! The appliance forgets the one that it has not seen for longest.

use crate::reply::{self, Cursor};
use crate::ident::MacText;
use crate::resource::{Ask, Out, Route};
use farrier_core::node::Hop;
use uuid::Uuid;

pub(crate) const ROUTES: &[Route] = &[Route::read("/farrier/v1/strangers", list)];

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let strangers = ask.view.strangers.all();
    let now = ask.view.now;
    reply::list(at, w, "strangers", |n| strangers.get(n), |stranger, w| {
        w.object().key("mac").text(MacText(stranger.mac));
        w.key("uuid");
        match stranger.uuid == [0; 16] {
            true => w.null(),
            false => w.text(Uuid::from_bytes(stranger.uuid)),
        };
        w.key("address");
        match stranger.address.is_unspecified() {
            true => w.null(),
            false => w.text(stranger.address),
        };
        w.key("last_hop")
            .string(stranger.timeline.last().map_or("", Hop::as_str));
        w.key("seen_seconds")
            .number(now.since(stranger.seen) / 1000)
            .end_object();
    });
}
