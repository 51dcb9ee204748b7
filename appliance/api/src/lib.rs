//! The HTTP API: what `baremetal`, the stock client of OpenStack Ironic,
//! speaks, and resources of our own below `/farrier/v1`.
//!
//! A request becomes at most one [`Command`](farrier_core::Command) of the
//! rack, and a reply is written out of a [`View`] of it. Nothing here moves
//! bytes, knows the time or decides anything about the rack. A request takes
//! 2 KiB, however long a list or a config drive is.
//!
//! # How a request is carried through
//!
//! Once [`farrier_http::Head::parse`] gave a head whose path [`is_ours`]:
//!
//! ```text
//! // In whose name: see `access`.
//! let Admission::Granted(who) = gate.admit(&head, peer, …) else { … };
//! let mut exchange = Exchange::begin(&head, random, who, &View::of(&rack, now));
//! loop {
//!     match exchange.need(&View::of(&rack, now)) {
//!         Need::Continue => send(CONTINUE),
//!         Need::Body => { /* read */ exchange.push(bytes, &view); }
//!         Need::Store { slot, part, offset, bytes } => { /* write */ exchange.stored(); }
//!         Need::Work => { exchange.work(); /* let others run */ }
//!         Need::Command(command) => {
//!             let actor = who.actor();
//!             rack.step(now, Input::Command { actor, command }, entropy, effects);
//!             // carry the effects out; one of them is Effect::Answer(answer)
//!             exchange.answered(answer, &view);
//!         }
//!         Need::Statement { slot, length } => { /* read */ exchange.read(); }
//!         Need::Send => { let length = exchange.reply(&view, statement, buffer); /* send */ }
//!         Need::Done { keep_alive } => break,
//!     }
//! }
//! ```
//!
//! [`serve`] is this loop for whoever need not wait. A head's bytes may be
//! dropped behind [`Exchange::begin`]. Between any two calls the rack may
//! change. Requests with a config drive for one node are to be carried
//! through one after the other: a node's slot has one place for a drive
//! beside the present one.
//!
//! # Resources
//!
//! Each is a file in `resources`, with its routes, its fields, its reply and
//! its command; their table is in `resources/mod.rs`. To add one, add the
//! file and its line there.
//!
//! # Where it differs from Ironic
//!
//! - There is no wall clock: `created_at`, `updated_at` and their like are
//!   null. What a node waits for, since when and until when stands in
//!   `driver_internal_info`, in seconds.
//! - Fields are not held back from clients of older microversions.
//! - `power_state` is null where nothing is known.
//! - An allocation is found or refused at once: none is ever `allocating`
//!   or in `error`.
#![no_std]
#![forbid(unsafe_code)]
#![allow(
    clippy::result_large_err,
    reason = "an error carries its text, there is no heap to put it on, and requests are rare"
)]

#[cfg(test)]
extern crate std;

pub mod access;
mod body;
mod drive;
mod error;
mod exchange;
pub mod ident;
mod query;
mod reply;
mod resource;
mod resources;
mod serve;
pub mod version;
mod view;

pub use access::{Admission, Gate, Peer, Principal};
pub use error::Error;
pub use exchange::{Exchange, Need, REPLY_BUFFER, WORK_ROUNDS};
/// JSON without a heap: what reads the bodies and writes the replies.
pub use farrier_json as json;
pub use serve::{Gone, Host, serve};
pub use version::Version;
pub use view::{JournalState, LastCrash, Services, Source, View};

/// Longest config drive in bytes of its JSON text, as it stands in the
/// request.
pub const MAX_CONFIG_DRIVE: u32 = 64 * 1024;
/// Longest body of a `PATCH` in bytes.
pub const MAX_PATCH: usize = 2048;
/// Longest body of any request in bytes: a config drive, and what stands
/// around it.
pub const MAX_BODY: u64 = MAX_CONFIG_DRIVE as u64 + 4096;

/// Whether a path is the API's; any other is a file's.
pub fn is_ours(path: &str) -> bool {
    let below = |prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    path == "/" || below("/v1") || below("/farrier/v1")
}
