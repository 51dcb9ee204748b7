//! What was on the wire of every port, in one file: a pcapng capture whose
//! interfaces are the ports.
//!
//! Each frame has its direction, seen from the switch. The mode of a port, at
//! the beginning and at each change, is a comment on an empty frame of its
//! interface, such as `untagged 10 tagged -`, so that the file tells by itself
//! which frames a port might carry when. Wireshark shows all of it.
//!
//! [`Wires`] reads such a file, and [`Isolation`] checks it: it knows nothing
//! of how the switch forwards.

mod check;
mod read;
mod write;

pub use check::{Isolation, Stay};
pub use read::{Record, What, Wires};
pub(crate) use write::WiresWriter;

/// The way of a frame, seen from the switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The port's peer sent it. The switch may have dropped it.
    In,
    /// It was handed to the port's peer.
    Out,
}

/// Types of pcapng blocks (draft-ietf-opsawg-pcapng).
const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
/// Tells the order of bytes.
const MAGIC: u32 = 0x1A2B_3C4D;
/// Options of every block, of interfaces and of packets.
const COMMENT: u16 = 1;
const NAME: u16 = 2;
const RESOLUTION: u16 = 9;
const FLAGS: u16 = 2;
