//! Largest encoded sizes of the messages in bytes, with compile-time assertions
//! that they fit their datagrams and buffers.
//!
//! `postcard` encodes integers of more than 8 bits as varints of 7 bits a byte,
//! byte arrays unchanged, and strings and lists with a length prefix. The tests
//! encode the largest value of every message and compare the sizes.

use crate::{
    MAX_STATEMENT, PART_LEN,
    message::{MAX_CONTROLLERS, MAX_DISKS, MAX_NICS, MAX_ORDER_DISKS, MAX_SKIPPED},
    server::{MAX_INIT_PAYLOAD, MAX_RESPONSE_PAYLOAD},
    signing::SIGNATURE_LEN,
    wire::{MAX_REPLY, MAX_REQUEST},
};

const U16: usize = 3;
const U32: usize = 5;
const U64: usize = 10;
const BOOL: usize = 1;
const VARIANT: usize = 1;
const NODE: usize = 16;
const MAC: usize = 6;

/// Size of a string of at most `n` bytes.
const fn string(n: usize) -> usize {
    bytes(n)
}

/// Size of a list of at most `n` bytes.
const fn bytes(n: usize) -> usize {
    n + if n < 128 { 1 } else { 2 }
}

/// [`crate::message::AgentHandshake`].
pub const AGENT_HANDSHAKE: usize = U16 + U16 + 32 + MAC + 16 + VARIANT;
/// [`crate::message::HandshakeReply`].
pub const HANDSHAKE_REPLY: usize = U16 + NODE + U64;
/// [`crate::message::Request::Part`], the longest request.
pub const REQUEST: usize = VARIANT + U32 + U16 + U16 + bytes(PART_LEN);
/// [`crate::message::Request::Neighbour`] with the texts that agents send.
pub const NEIGHBOUR: usize = VARIANT + MAC + 4 * string(40);
/// [`crate::message::DiskId`].
pub const DISK_ID: usize = string(40) + U64;
/// [`crate::message::Deploy`].
pub const DEPLOY: usize = DISK_ID + 32 + 2 * string(96) + BOOL + string(96) + U32 + 32 + VARIANT;
/// Disks, method and seed of [`crate::message::Task::Erase`].
pub const ERASE: usize = 1 + MAX_ORDER_DISKS * DISK_ID + VARIANT + 32;
/// [`crate::message::Order`].
pub const ORDER: usize = NODE + U64 + U32 + VARIANT + if DEPLOY > ERASE { DEPLOY } else { ERASE };
/// [`crate::message::Reply::Order`], the longest reply.
pub const REPLY: usize = VARIANT + bytes(ORDER) + bytes(SIGNATURE_LEN);
/// [`crate::message::Disk`].
pub const DISK: usize = DISK_ID
    + string(16)
    + string(40)
    + string(16)
    + string(40)
    + string(16)
    + string(64)
    + BOOL
    + U16
    + 2 * BOOL;
/// The same without its descriptions, see [`crate::fit`].
pub const SHORT_DISK: usize = DISK - 40 - 16 - 40 - 64;
/// [`crate::message::SkippedDevice`].
pub const SKIPPED: usize = string(40) + string(16) + U64 + VARIANT;
/// [`crate::message::Controller`].
pub const CONTROLLER: usize = string(40) + string(24);
/// [`crate::message::Nic`].
pub const NIC: usize =
    string(16) + MAC + string(24) + U32 + BOOL + 4 + 2 * U16 + BOOL + 2 * string(40);
/// [`crate::message::Inspection`] whose disks have no descriptions.
pub const INSPECTION: usize = 4 * string(64)
    + 16
    + VARIANT
    + (U16 + string(64) + string(16) + U32)
    + U32
    + U32
    + (1 + MAX_DISKS * SHORT_DISK)
    + (1 + MAX_NICS * NIC)
    + BOOL
    + (1 + MAX_SKIPPED * SKIPPED)
    + (1 + MAX_CONTROLLERS * CONTROLLER)
    + U16
    + BOOL;
/// What is around a [`crate::message::Inspection`] in its statement.
pub const AROUND_INSPECTION: usize = NODE + U64 + U32 + U32 + VARIANT;
/// [`crate::message::Statement`] with the longest report, an inspection.
pub const STATEMENT: usize = AROUND_INSPECTION + INSPECTION;

const _: () = {
    assert!(24 + AGENT_HANDSHAKE <= MAX_INIT_PAYLOAD);
    assert!(4 + HANDSHAKE_REPLY <= MAX_RESPONSE_PAYLOAD);
    assert!(REQUEST <= MAX_REQUEST);
    assert!(NEIGHBOUR <= REQUEST);
    assert!(REPLY <= MAX_REPLY);
    assert!(STATEMENT + SIGNATURE_LEN <= MAX_STATEMENT);
};
