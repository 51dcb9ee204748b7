//! The rack's brain: one value that holds the rack and decides everything.
//!
//! [`Rack::step`] takes the time, one fact, and a source of random bytes,
//! and leaves what shall be done in an [`Effects`]. There is no clock, no
//! socket, no file and no heap in here: the same code runs on the
//! microcontroller, on a Linux host and in a simulator, and the same inputs
//! give the same outputs.
//!
//! # What the glue must do
//!
//! 1. Make one [`Rack`] (its `const fn new` puts it into a static), then
//!    [`Rack::configure`] it, then feed one [`Input::Image`] for every
//!    manifest of the asset store.
//! 2. Turn every packet, request and completion into one [`Input`], call
//!    `step`, and carry out the outputs **in their order**. An
//!    [`Effect::Record`] is to be durable before anything behind it leaves.
//! 3. Call `step` with [`Input::Tick`] at [`Rack::wake_at`], asked anew after
//!    every step; or once a second, without asking.
//!    For a rack that outlives a restart: [`Rack::restore`] every record of
//!    the journal after `configure`, then [`Rack::restored`]; and let the
//!    journal take what is present from [`Rack::snapshot`].
//! 4. The operators' HTTP API is the crate `farrier-api`. For every other HTTP
//!    or TFTP request send [`Input::Open`] and do what [`Effect::Serve`] says.
//!    Report the end of every transfer with [`Input::Sent`].
//! 5. DHCP requests and agent datagrams arrive as UDP payloads with the
//!    sender's Ethernet address; replies go out as raw frames, so that no
//!    ARP entry of a silent peer can hold up anybody else.
//!
//! # Where things live
//!
//! | module | what |
//! |---|---|
//! | [`config`] | addresses, pools, identity keys |
//! | [`input`], [`output`] | facts in, effects out |
//! | [`record`] | what is written down before it has effects |
//! | [`node`] | a server: its state, boot, orders, instance |
//! | [`lease`] | the address book |
//! | `dhcp`, `boot`, `agent`, `life` | the decisions, by door |
//! | [`rack`] | the table of all that, and `step` |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod allocation;
pub mod boot;
pub mod interface;
pub mod ipam;
pub mod node;
pub mod persist;
pub mod power;
pub mod provisioning;
pub mod rack;
pub mod strings;

mod agent;
mod commands;
mod identity;
mod step;

pub use interface::{
    Actor, Command, Config, Effect, Effects, Endpoint, Identity, Input, Instant, NetworkId, Serve,
    Transport,
};
pub use rack::{Counters, Rack};
