//! The signed protocol between appliance and agent.
//!
//! This crate holds everything that both ends of the wire must agree on:
//! the [`message`]s, the [`wire`] layout of a datagram, the boot [`ticket`],
//! the Noise handshake and the sealed session ([`server`], [`client`]), who
//! signs what ([`signing`]), how a long statement travels ([`parts`]), how a
//! config drive is sealed ([`sealed`]), and the sans-IO engine of the agent's
//! side ([`agent_client`], [`handler`]). It knows no socket, no clock and no
//! source of entropy: datagrams, times and random bytes are arguments. It
//! allocates nothing.
//!
//! # A boot in datagrams
//! ```text
//! agent                                   appliance
//!   | 1 init: ticket id, gate MAC,            |  look-up, one MAC, then
//!   |   Noise IK message 1 (secret, AgentHandshake) -> |  the expensive handshake
//!   | <- 2 response: session id,              |
//!   |   Noise IK message 2 (id, HandshakeReply)      |
//!   | 3 request: counter, sealed Request ->   |  every one idempotent
//!   | <- 4 reply: counter, sealed Reply       |
//!   | <- 5 refused: an unauthenticated hint   |
//! ```
//! The agent alone starts anything. A lost or repeated datagram changes
//! nothing: the agent repeats the identical bytes until it is answered.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod crypto;
mod noise;

pub mod agent_client;
pub mod borrowed;
pub mod client;
pub mod digest;
pub mod handler;
pub mod message;
pub mod parts;
pub mod sealed;
pub mod server;
pub mod signing;
pub mod size;
pub mod ticket;
pub mod version;
pub mod wire;

/// Longest datagram of the protocol, in bytes of UDP payload: passes every
/// path with an MTU of 1,280 and more without fragments.
pub const MAX_DATAGRAM: usize = 1200;
/// Bytes of a statement's piece in all parts but the last.
pub const PART_LEN: usize = 1024;
/// Longest encoded and signed statement, in bytes.
pub const MAX_STATEMENT: usize = 8 * 1024;
/// Most parts of a statement.
pub const MAX_PARTS: usize = MAX_STATEMENT / PART_LEN;
