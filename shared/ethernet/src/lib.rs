//! Ethernet frames as bytes and as values: `no_std`, no heap, no
//! dependencies, no sockets.
//!
//! * [`NetworkId`]: which of the appliance's networks a packet belongs to.
//! * [`frame`]: Ethernet II, IPv4 and UDP headers with their checksums, for
//!   datagrams that are sent and received as whole frames.
//! * [`ndp`]: the answer to an IPv6 router solicitation. It saves iPXE a wait
//!   of 16 s.
//! * [`vlan`]: 802.1Q tags.
//! * [`ipv4`]: whose packet a frame has, and other addresses in place of its own.
//! * [`lldp`]: what a switch says of the port that a cable is in.
//! * [`arp`]: who says which address is whose.
//! * [`tcp`]: the segments that begin a TCP connection or break it off.
//!
//! # Not supported
//! * Double tags (802.1ad), and LLDP beyond what tells a port.
//! * IPv4 fragments and IPv4 options on the way out.
#![no_std]
#![forbid(unsafe_code)]

pub mod arp;
pub mod frame;
pub mod ipv4;
pub mod lldp;
pub mod ndp;
mod network;
pub mod tcp;
pub mod vlan;

pub use network::NetworkId;
