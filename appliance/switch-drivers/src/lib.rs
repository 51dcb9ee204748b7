//! Drivers of switches: [`SwitchDriver`] carries out one operation on one port
//! over one byte stream, and ends in a [`Report`]. Sans-IO: it is fed with bytes
//! and the time. `no_std`, without a heap and without policy: the rack decides
//! what is to be done, and when.
//!
//! | | OVSDB | NETCONF |
//! |---|---|---|
//! | `Read` | the port's row, and whether it has a link | the port's running configuration, whether it has a link, and on demand where the switch has learned an address |
//! | `Move` | compare-and-set, applied as the switch says, read back | a confirmed commit with a persist-id, read back; the switch takes it back by itself after [`CONFIRM_S`](limits::CONFIRM_S). Without persist-ids it is permanent at once |
//! | `Keep` | read and compare | the confirming commit, read back, and a lock that shows that no commit waits any more. Read, compare and lock without persist-ids |
//! | `Undo` | compare-and-set back, applied, read back | the commit is cancelled, or a change back; read back |
//!
//! # VLANs
//! In Open vSwitch a VLAN is a number and needs no object. With NETCONF a move makes
//! the VLAN that it leads to and removes the one that it leaves, where the order says
//! so, in the edit that moves the port: one commit has all of it, and takes all of it
//! back. A VLAN that the driver made is known by its name, `farrier-NUMBER`. Where a
//! switch refuses a change with a removal, the change is made without.
//!
//! # What an end means
//! * Done: the switch's own configuration, read again, has the port where it is
//!   to be. A switch whose data path does not follow its configuration is found
//!   out by frames only.
//! * [`Uncertain`](OperationError::Uncertain): the port may be on either VLAN, now
//!   or later. Read it before anything else.
//! * [`Busy`](OperationError::Busy): another session has the switch locked, or a
//!   move of another port waits for its `Keep` or `Undo`. Try again.
//! * Any other error: the port is as [`Report::port`] says, and nothing that the
//!   operation began goes on. A move of an earlier operation that waits still waits
//!   where the port was not read.
//!
//! # SSH
//! With the feature `ssh`, which brings NETCONF, `ssh::SshDriver` is the same over a TCP connection to
//! a switch with NETCONF over SSH (RFC 6242).
//!
//! # Bounds
//! Every wait has a limit ([`limits`]); when it passes, the driver takes the
//! orderly way back, and ends where that takes too long as well. No operation
//! outlives [`limits::OPERATION_MILLIS`].
#![no_std]
#![forbid(unsafe_code)]

pub mod limits;

mod driver;
#[cfg(feature = "netconf")]
mod netconf;
mod ovsdb;
mod report;
#[cfg(feature = "ssh")]
pub mod ssh;

pub use driver::{Driver, MIN_OUT, SwitchDriver};
pub use farrier_core::Instant;
pub use farrier_core::interface::{
    Learned, Mac, OperationError, SwitchAction, SwitchDetails, SwitchKind,
};
pub use report::{Order, Report, Seen};
