//! `GET /farrier/v1/status`: what the appliance is doing, for people who
//! watch and for programs that wait.
//!
//! ```json
//! {
//!   "uptime_ms": 81234,
//!   "counters": { "dhcp_offers": 4, "…": 0 },
//!   "services": { "tftp_complete": 1, "nic_rx": 9123, "…": 0 },
//!   "refusals": [ { "what": "http connection", "source": "172.22.0.9", "count": 7 }, … ],
//!   "start": 12,
//!   "last_crash": { "start": 11, "uptime_s": 86012, "count": 1, "cause": "panic",
//!                   "text": "src/http.rs:12: …" },
//!   "journal": { "health": "good", "sectors": 256, "used": 12, "given_up": 0, "cycles": 3 },
//!   "leases": { "pool": 200, "bound": 2 },
//!   "flat_nodes": 0,
//!   "uplink": { "chassis": "…", "port": "ge-0/0/47", "system": "tor", "heard_seconds": 7 },
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
//! `last_crash` is null where the appliance has not crashed since it got power.
//! `health` is `good`, `old`, `wearing` or `scarce`.
//!
//! `flat_nodes` counts nodes without a port in a known switch: they are on one
//! network for all of their life, and tenants meet there.
//!
//! `uplink` is what the switch says by LLDP on the appliance's own cable; null where
//! nothing was heard.
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

use crate::access::Needs;
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
use crate::view::Source;
use farrier_protocol::message::{AgentStep, Mac};

const PATH: &str = "/farrier/v1/status";

/// Counters of services that are written at once.
const COUNTERS: usize = 24;
/// The part behind those with counters.
const REFUSALS: usize = usize::MAX - 1;

pub(crate) const ROUTES: &[Route] = &[Route::read(PATH, show)
    .needs(Needs::WholeRack)
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
        Stage::Head if at.part < REFUSALS => {
            let last = services(view, at.part, w);
            at.part = if last { REFUSALS } else { at.part + 1 };
        }
        Stage::Head if at.part == REFUSALS => {
            refusals(view, w);
            at.part += 1;
        }
        Stage::Head => {
            health(view, w);
            at.part = 0;
            let (pool, bound) = view.leases;
            w.key("leases").object();
            w.key("pool").number(pool as u64);
            w.key("bound").number(bound as u64).end_object();
            let flat = view.nodes().filter(|(_, node)| view.is_flat(node)).count();
            w.key("flat_nodes").number(flat as u64);
            w.key("uplink");
            match view.uplink {
                Some((heard, when)) => {
                    w.object().key("chassis").string(&heard.chassis);
                    w.key("port").string(&heard.port);
                    w.key("system").string_or_null(&heard.system);
                    w.key("description").string_or_null(&heard.description);
                    let since = view.now.since(*when) / 1000;
                    w.key("heard_seconds").number(since).end_object();
                }
                None => _ = w.null(),
            }
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
        ("nodes_forgotten", c.nodes_forgotten),
        ("strangers", c.strangers),
        ("leases_withheld", c.leases_withheld),
        ("declines_ignored", c.declines_ignored),
        ("proxy_refused", c.proxy_refused),
        ("disks_full", c.disks_full),
        ("agent_stray", c.agent_stray),
        ("agent_forged", c.agent_forged),
        ("ticket_reused", c.ticket_reused),
        ("sessions", c.sessions),
        ("statements", c.statements),
        ("statements_refused", c.statements_refused),
        ("handshakes_deferred", c.handshakes_deferred),
        ("files_refused", c.files_refused),
        ("deadlines", c.deadlines),
        ("ports_full", c.ports_full),
        ("identity_conflicts", c.identity_conflicts),
        ("records_lost", c.records_lost),
        ("power_failures", c.power_failures),
        ("power_timeouts", c.power_timeouts),
        ("look_failures", c.look_failures),
        ("port_moves", c.port_moves),
        ("moves_undone", c.moves_undone),
        ("ports_astray", c.ports_astray),
        ("ports_contradicted", c.ports_contradicted),
        ("ports_shut", c.ports_shut),
        ("switch_failures", c.switch_failures),
        ("switch_timeouts", c.switch_timeouts),
    ] {
        w.key(name).number(value);
    }
    w.end_object();
}

/// The firmware's counters: network driver, multiplexer, TFTP, HTTP. They are
/// many: a part writes some of them. Returns whether these were the last.
fn services(view: &View<'_>, part: usize, w: &mut Out<'_>) -> bool {
    if part == 1 {
        w.key("services").object();
    }
    let first = (part - 1) * COUNTERS;
    let mut count = 0;
    if let Some(services) = view.services {
        services.counters(&mut |name, value| {
            if (first..first + COUNTERS).contains(&count) {
                w.key(name).number(value);
            }
            count += 1;
        });
    }
    let last = count <= first + COUNTERS;
    if last {
        w.end_object();
    }
    last
}

/// The crash before this start, and the journal.
fn health(view: &View<'_>, w: &mut Out<'_>) {
    let Some(services) = view.services else {
        return;
    };
    let journal = services.journal();
    w.key("start").number(journal.start);
    w.key("last_crash");
    match services.last_crash() {
        Some(crash) => {
            w.object().key("start").number(crash.start);
            w.key("uptime_s").number(crash.uptime_secs);
            w.key("count").number(crash.count);
            w.key("cause").string(crash.cause);
            w.key("text").string(crash.text).end_object();
        }
        None => _ = w.null(),
    }
    w.key("journal").object();
    w.key("health").string(journal.health);
    w.key("sectors").number(journal.sectors);
    w.key("used").number(journal.used);
    w.key("given_up").number(journal.given_up);
    w.key("cycles").number(journal.cycles).end_object();
}

/// Who was refused what for now, in no order.
fn refusals(view: &View<'_>, w: &mut Out<'_>) {
    w.key("refusals").array();
    if let Some(services) = view.services {
        services.refusals(&mut |what, source, count| {
            w.object().key("what").string(what);
            w.key("source");
            match source {
                Source::Address(address) => w.text(address),
                Source::Mac(mac) => w.text(MacText(Mac(mac))),
            };
            w.key("count").number(count).end_object();
        });
    }
    w.end_array();
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
