//! How long a driver waits for what.

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
/// seconds. Until then it takes no other change from anybody.
pub const CONFIRM_S: u32 = 600;
