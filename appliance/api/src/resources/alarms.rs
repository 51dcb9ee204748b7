//! `/farrier/v1/alarms`: what should not be on the appliance's networks: other DHCP
//! servers, and claims of addresses that are somebody else's. The port is the one that
//! the interface is known to be in.

use crate::access::Needs;
use crate::ident::MacText;
use crate::reply::{self, Cursor};
use crate::resource::{Ask, Out, Route};

pub(crate) const ROUTES: &[Route] =
    &[Route::read("/farrier/v1/alarms", list).needs(Needs::WholeRack)];

fn list(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let view = &ask.view;
    let alarms = view.alarms.all();
    reply::list(at, w, "alarms", |n| alarms.get(n), |alarm, w| {
        let seen = alarm.sighting;
        w.object().key("what").string(seen.kind.as_str());
        w.key("mac");
        match seen.mac.0 == [0; 6] {
            true => w.null(),
            false => w.text(MacText(seen.mac)),
        };
        w.key("address").text(seen.address);
        w.key("network").string(view.texts.network(seen.network.0));
        w.key("vlan").number(seen.vlan);
        let mut ports = view.ports.all().iter();
        let port = ports.find(|port| port.mac == seen.mac);
        w.key("switch");
        w.string_or_null(port.map_or("", |port| view.texts.switch(port.switch)));
        w.key("port");
        w.string_or_null(port.map_or("", |port| &port.name));
        w.key("count").number(alarm.count);
        let since = |at| view.now.since(at) / 1000;
        w.key("first_seconds").number(since(alarm.first));
        w.key("seen_seconds").number(since(alarm.last)).end_object();
    });
}
