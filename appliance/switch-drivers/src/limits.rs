//! How long a driver waits for what.

use farrier_core::switch::{MOVE_MILLIS, OPERATION_MILLIS as RACK_OPERATION_MILLIS};

/// Longest operation, in milliseconds: whatever the switch does, it has ended by
/// then, and earlier where its owner wants that.
pub const OPERATION_MILLIS: u64 = 240_000;
/// So long before its end an operation that has not come through turns back, in
/// milliseconds; at half of its time where that is less.
pub const WAY_BACK_MILLIS: u64 = 60_000;
/// Longest wait for an answer, but for those below, in milliseconds.
pub const ANSWER_MILLIS: u64 = 10_000;
/// Longest wait for the answer to a commit, in milliseconds. Small switches take
/// half a minute for one.
pub const COMMIT_MILLIS: u64 = 60_000;
/// Longest wait until a switch with OVSDB says that it applied a change, in
/// milliseconds.
pub const APPLY_MILLIS: u64 = 30_000;
/// Longest wait until SSH's channel is open, in milliseconds: a key exchange of a
/// small switch takes seconds.
pub const HANDSHAKE_MILLIS: u64 = 30_000;
/// Pause between NETCONF's hellos and the first request, in milliseconds. Some
/// servers lose a request that comes in one piece with the hello.
pub const PAUSE_MILLIS: u64 = 200;
/// Time after which a switch takes a move back that nobody made permanent, in
/// seconds: longer than the rack waits for its proof. Until then the switch takes
/// no other change from anybody.
pub const CONFIRM_S: u32 = 1_500;

const _: () = {
    // With an operation on either side of the wait.
    let rack = MOVE_MILLIS + 2 * RACK_OPERATION_MILLIS;
    assert!(CONFIRM_S as u64 * 1_000 > rack, "the rack decides before");
};
