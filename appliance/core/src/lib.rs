//! The rack: one value that holds everything that the appliance knows, and
//! decides everything that it does.
//!
//! [`Rack::step`] takes the time, one input and a source of random bytes, and
//! leaves what is to be done in an [`Effects`]. There is no clock, no socket, no
//! file and no heap in here: the same code runs on the microcontroller, on a
//! Linux host and in the simulator, and the same inputs give the same effects.
//!
//! `farrier-controller` drives the rack and its record store; firmware,
//! simulator, power cuts, benches and tests use that one.
//!
//! # Rooms
//!
//! Each room uses rooms above it in this table only; `tests/rooms.rs` checks
//! that, and prints the arrows with
//! `cargo test -p farrier-core --test rooms -- --nocapture`.
//!
//! | room | what |
//! |---|---|
//! | [`interface`] | inputs, commands, effects, errors, configuration: values |
//! | [`node`] | a server: its durable state, timeline, history |
//! | [`strings`] | the string pool and the traits in it |
//! | [`ipam`] | networks, reservations, leases |
//! | [`persist`] | records, and the table of nodes that no step changes without one |
//! | [`rack`] | the tables, the write path, the restore |
//! | [`accounts`] | accounts of operators and their passwords |
//! | [`allocation`] | flavors, traits, allocations |
//! | [`power`] | desired and observed power, operations of drivers |
//! | `identity` | which machine is which node |
//! | [`provisioning`] | verbs, transitions, steps, deadlines |
//! | `agent` | sessions, orders, reports |
//! | [`boot`] | DHCP, the boot decision, the boot script |
//! | `commands` | operators' commands |
//! | `step` | one step from input to records |
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod accounts;
pub mod allocation;
pub mod boot;
pub mod interface;
pub mod ipam;
pub mod node;
pub mod persist;
pub mod ports;
pub mod power;
pub mod provisioning;
pub mod rack;
pub mod strings;
pub mod switch;

mod agent;
mod commands;
mod identity;
mod step;

pub use interface::{
    Actor, Command, Config, Effect, Effects, Endpoint, Identity, Input, Instant, NetworkId, Serve,
    Transport,
};
pub use rack::{Counters, Rack};
