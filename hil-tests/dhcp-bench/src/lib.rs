//! DHCP at scale, on the host.
//!
//! What lives here: a client whose messages are the same for every server, an
//! appliance without a network (the shipping controller over flash in
//! memory), and stress: random requests against an independent list of who
//! was promised what. Counting instructions, preparing other
//! servers and reporting are `xtask`'s.

pub mod appliance;
pub mod client;
pub mod stress;
