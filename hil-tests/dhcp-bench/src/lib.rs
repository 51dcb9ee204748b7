//! DHCP at scale, on the host.
//!
//! What lives here: a client whose messages are the same for every server, an
//! appliance without wires (the shipping brain over the shipping journal over
//! flash in memory), and storms of random requests against an independent
//! record of who was promised what. Counting instructions, preparing other
//! servers and reporting are `xtask`'s.

pub mod appliance;
pub mod client;
pub mod storms;
