//! The signed protocol between appliance and agent.
//!
//! The crate has both ends of the protocol: the [`message`]s, the [`wire`] layout
//! of a datagram, the boot [`ticket`], the Noise handshake and the sealed session
//! ([`server`], [`client`]), signatures ([`signing`]), fragmentation of long
//! statements ([`parts`]), sealed config drives ([`sealed`]), and the sans-IO
//! client of the agent ([`agent_client`], [`handler`]). It has no sockets, clock
//! or source of entropy: datagrams, times and random bytes are arguments. It
//! does not allocate.
//!
//! # A boot in datagrams
//! ```text
//! agent                                   appliance
//!   | 1 init: ticket id, gate MAC,            |  one look-up, one MAC, then
//!   |   Noise IK message 1                    |  the handshake
//!   |   (secret, AgentHandshake) ->           |
//!   | <- 2 response: session id,              |
//!   |   Noise IK message 2                    |
//!   |   (session id, HandshakeReply)          |
//!   | 3 request: counter, sealed Request ->   |  idempotent
//!   | <- 4 reply: counter, sealed Reply       |
//!   | <- 5 refused: an unauthenticated hint   |
//! ```
//! Only the agent sends requests. It repeats the identical datagram until the
//! appliance answers. A lost or repeated datagram changes nothing.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod crypto;
mod noise;

pub mod agent_client;
pub mod borrowed;
pub mod client;
pub mod credential;
pub mod digest;
pub mod fit;
pub mod handler;
pub mod marks;
pub mod message;
pub mod parts;
pub mod sealed;
pub mod server;
pub mod signing;
pub mod size;
pub mod ticket;
pub mod version;
pub mod wire;

/// Longest datagram of the protocol, in bytes of UDP payload. It fits an MTU of
/// 1,280 bytes without IP fragments.
pub const MAX_DATAGRAM: usize = 1200;
/// Bytes of a statement in every part but the last.
pub const PART_LEN: usize = 1024;
/// Longest encoded and signed statement, in bytes.
pub const MAX_STATEMENT: usize = 15 * 1024;
/// Largest number of parts of a statement.
pub const MAX_PARTS: usize = MAX_STATEMENT / PART_LEN;
