//! `GET /farrier/v1/status`: what the appliance is doing, for people who
//! watch and for programs that wait.
//!
//! ```json
//! {
//!   "uptime_ms": 81234,
//!   "counters": { "dhcp_offers": 4, "…": 0 },
//!   "services": { "tftp_complete": 1, "nic_rx": 9123, "…": 0 },
//!   "leases": { "pool": 200, "bound": 2 },
//!   "nodes": [ {
//!     "uuid": "…", "name": null, "mac": "52:54:00:…", "address": "172.22.0.20",
//!     "state": "cleaning", "state_ms": 5120, "reason": "…",
//!     "deadline_ms": 294880, "last_error": null,
//!     "power": "on", "boot_mode": "uefi", "boot": 77, "boots": 1,
//!     "agent": true, "agent_heard_ms": 300,
//!     "boot_age_ms": 31000,
//!     "hops": [ { "name": "dhcp discover", "ms": 0 }, … ],
//!     "next_hop": { "name": "kernel", "deadline_ms": 290000, "late": false },
//!     "progress": { "step": "erase", "done": 1048576, "total": 2097152,
//!                   "rate": 104857600, "peak_rss_kib": 9120 },
//!     "written": { "image_bytes": 1073741824, "fetched_bytes": 268435456,
//!                  "refetched_chunks": 0, "peak_rss_kib": 9120 }
//!   } ],
//!   "next": "/farrier/v1/status?limit=8&marker=…"
//! }
//! ```
//!
//! All times are milliseconds: `uptime_ms` since the appliance's reset,
//! `state_ms` since the state began, `deadline_ms` from now (null where the
//! state has none), `boot_age_ms` since the first hop of the present boot,
//! each hop's `ms` from that first hop (to one part in 2048). `next_hop` is
//! the hop that the work at hand waits for, null where it waits for none; its
//! `deadline_ms` is from now, and `late` where that time is over. Rates are bytes a second. `progress`
//! is null where no order is being carried out, `written` until an image was
//! proven to be on the disk. `boots` counts boots since
//! the present work began. `?limit=` and `?marker=` (a UUID) page through the
//! nodes; `next` is there only where a limit cut the list.

use crate::ident::{self, MacText};
use crate::query::{Query, no_filter};
use crate::reply::{Cursor, Stage};
use crate::resource::{Ask, Out, Route};
use crate::resources::nodes::{self, boot_mode};
use crate::View;
use core::net::Ipv4Addr;
use farrier_core::interface::PowerState;
use farrier_core::node::{Hop, Node};
use farrier_core::provisioning::deadlines;
use farrier_protocol::message::AgentStep;

const PATH: &str = "/farrier/v1/status";

pub(crate) const ROUTES: &[Route] = &[Route::read(PATH, show)
    .query(Query::List(no_filter))
    .check(nodes::check_marker)];

fn show(ask: &Ask<'_>, at: &mut Cursor, w: &mut Out<'_>) {
    let (view, list) = (&ask.view, &ask.call.list);
    match at.stage {
        Stage::Head if at.part == 0 => {
            w.object().key("uptime_ms").number(view.now.millis());
            counters(view, w);
            at.part = 1;
        }
        Stage::Head => {
            services(view, w);
            at.part = 0;
            let (pool, bound) = view.leases;
            w.key("leases").object();
            w.key("pool").number(pool as u64);
            w.key("bound").number(bound as u64).end_object();
            w.key("nodes").array();
            at.item = nodes::start(view, list);
            at.stage = Stage::Seek;
        }
        Stage::Seek => {
            if at.seek(view, list) {
                w.object();
            }
        }
        Stage::Item => {
            match (view.nodes.get(at.item), at.part) {
                (Some(node), 0) => identity(node, w),
                (Some(node), 1) => _ = w.key("last_error").string_or_null(&node.last_error),
                (Some(node), 2) => state(view, node, w),
                (Some(node), 3) => hops(view, node, w),
                (Some(node), 4) => {
                    progress(node, w);
                    written(node, w);
                }
                _ => {
                    w.end_object();
                    at.leave();
                    return;
                }
            }
            at.part += 1;
        }
        Stage::Tail | Stage::End => {
            w.end_array();
            nodes::next_page(view, list, at, w, PATH, &"");
            w.end_object();
            at.end();
        }
    }
}

fn counters(view: &View<'_>, w: &mut Out<'_>) {
    let c = view.counters;
    w.key("counters").object();
    for (name, value) in [
        ("dhcp_malformed", c.dhcp_malformed),
        ("dhcp_ignored", c.dhcp_ignored),
        ("dhcp_offers", c.dhcp_offers),
        ("dhcp_acks", c.dhcp_acks),
        ("dhcp_naks", c.dhcp_naks),
        ("pool_exhausted", c.pool_exhausted),
        ("nodes_full", c.nodes_full),
        ("disks_full", c.disks_full),
        ("agent_stray", c.agent_stray),
        ("agent_forged", c.agent_forged),
        ("ticket_reused", c.ticket_reused),
        ("sessions", c.sessions),
        ("statements", c.statements),
        ("statements_refused", c.statements_refused),
        ("files_refused", c.files_refused),
        ("deadlines", c.deadlines),
        ("ports_full", c.ports_full),
        ("identity_conflicts", c.identity_conflicts),
        ("records_lost", c.records_lost),
    ] {
        w.key(name).number(value);
    }
    w.end_object();
}

/// The firmware's counters: network driver, multiplexer, TFTP, HTTP.
fn services(view: &View<'_>, w: &mut Out<'_>) {
    w.key("services").object();
    if let Some(services) = view.services {
        services.counters(&mut |name, value| {
            w.key(name).number(value);
        });
    }
    w.end_object();
}

fn identity(node: &Node, w: &mut Out<'_>) {
    w.key("uuid").text(ident::text(node.id));
    w.key("name").string_or_null(&node.name);
    w.key("mac");
    match node.macs.first() {
        Some(mac) => w.text(MacText(*mac)),
        None => w.null(),
    };
    w.key("address");
    match node.address {
        Ipv4Addr::UNSPECIFIED => w.null(),
        address => w.text(address),
    };
}

fn state(view: &View<'_>, node: &Node, w: &mut Out<'_>) {
    w.key("state").string(node.state.as_str());
    w.key("state_ms").number(view.now.since(node.since));
    w.key("reason").string(node.reason.as_str());
    w.key("deadline_ms");
    match node.deadline {
        Some(deadline) => w.number(deadline.since(view.now)),
        None => w.null(),
    };
    w.key("power").string(match node.power {
        PowerState::On => "on",
        PowerState::Off => "off",
        PowerState::Unknown => "unknown",
    });
    w.key("boot_mode");
    match node.boot.mode {
        Some(mode) => w.string(boot_mode(mode)),
        None => w.null(),
    };
    w.key("boot").number(node.boot.id.0);
    w.key("boots").number(node.attempts);
    w.key("agent").bool(node.agent_is_live(view.now));
    w.key("agent_heard_ms");
    match node.boot.heard {
        Some(heard) => w.number(view.now.since(heard)),
        None => w.null(),
    };
}

fn hops(view: &View<'_>, node: &Node, w: &mut Out<'_>) {
    w.key("boot_age_ms");
    match node.timeline.last() {
        Some(_) => w.number(view.now.since(node.timeline.started())),
        None => w.null(),
    };
    w.key("hops").array();
    for hop in Hop::ALL {
        if let Some(millis) = node.timeline.reached(hop) {
            w.object().key("name").string(hop.as_str());
            w.key("ms").number(millis).end_object();
        }
    }
    w.end_array();
    w.key("next_hop");
    match deadlines::due(node, view.now) {
        Some((hop, until)) => {
            w.object().key("name").string(hop.as_str());
            w.key("deadline_ms").number(until.since(view.now));
            w.key("late").bool(until <= view.now).end_object();
        }
        None => {
            w.null();
        }
    }
}

fn progress(node: &Node, w: &mut Out<'_>) {
    w.key("progress");
    let Some(progress) = node.boot.progress else {
        w.null();
        return;
    };
    w.object().key("step").string(match progress.step {
        AgentStep::Startup => "startup",
        AgentStep::Inspect => "inspect",
        AgentStep::Erase => "erase",
        AgentStep::VerifyErase => "verify erase",
        AgentStep::Write => "write",
        AgentStep::VerifyImage => "verify image",
        AgentStep::Reread => "reread",
        AgentStep::Finish => "finish",
    });
    w.key("done").number(progress.done);
    w.key("total").number(progress.total);
    w.key("rate").number(progress.rate);
    w.key("peak_rss_kib").number(progress.peak_rss_kib);
    w.end_object();
}

fn written(node: &Node, w: &mut Out<'_>) {
    w.key("written");
    let Some(proof) = node.written else {
        w.null();
        return;
    };
    w.object().key("image_bytes").number(proof.image_bytes);
    w.key("fetched_bytes").number(proof.fetched_bytes);
    w.key("refetched_chunks").number(proof.refetched_chunks);
    w.key("peak_rss_kib").number(proof.peak_rss_kib);
    w.end_object();
}
