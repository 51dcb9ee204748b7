//! Sizes of every table, queue and buffer of the appliance: constants that the
//! build script takes out of one board's `board.toml`. Core and firmware size
//! their memory with them; no other file gives a number of entries or bytes
//! that a board may want to choose.
//!
//! The build selects the board as [`farrier_board_build`] describes: by
//! `FARRIER_BOARD`, else by the target. On a host that is the board `linux`,
//! so unit tests see its sizes.
//!
//! [`farrier_board_build`]: ../farrier_board_build/index.html
#![no_std]
#![forbid(unsafe_code)]

include!(concat!(env!("OUT_DIR"), "/sizes.rs"));

/// Sockets of the network stack: one a TFTP transfer and one a HTTP
/// connection, the TFTP listener's, and that of the switches' driver.
pub const SOCKETS: usize = TFTP_TRANSFERS + HTTP_CONNECTIONS + 2;
