//! How long a driver waits for what, and how often it asks.

use farrier_ipmi::Timing;
use farrier_redfish::Settings;

/// Longest operation, in milliseconds: whatever the BMC does, it has ended by then,
/// and earlier where its owner wants that. Large servers take a minute to go off,
/// and some BMCs show it a minute later.
pub const OPERATION_MILLIS: u64 = 240_000;
/// So long before its end an operation stops, whatever it has reached, and ends its
/// session, in milliseconds; at half of its time where that is less. BMCs have few
/// sessions, and one that is not ended is taken for a minute or more.
pub const CLOSE_MILLIS: u64 = 4_000;
/// Longest wait for a look at the machine, the opening of a session among it, in
/// milliseconds. Some BMCs take ten seconds for each resource, and an IPMI client is
/// at the end of its repetitions by then.
pub const READ_MILLIS: u64 = 40_000;
/// Longest wait until a command for the power is accepted, its task among it, in
/// milliseconds. What comes later shows in the machine's power.
pub const COMMAND_MILLIS: u64 = 40_000;
/// Longest wait until the boot device is set, and as long again until it is read
/// back, in milliseconds. A machine that is off waits for it, and can be started
/// without.
pub const BOOT_MILLIS: u64 = 20_000;
/// Pause between two looks at a machine that is not yet as it is to be, in
/// milliseconds. Each one costs a small BMC a connection or a session's message.
pub const POLL_MILLIS: u64 = 2_000;
/// Pause between a stop that was seen and the start behind it, in milliseconds.
/// Some boards ignore a start while their supply still goes down.
pub const OFF_PAUSE_MILLIS: u64 = 2_000;
/// The same for an outlet, in milliseconds: a supply without mains lives from its
/// capacitors for seconds, and a machine that never lost its power does not start.
pub const OUTLET_OFF_PAUSE_MILLIS: u64 = 10_000;
/// How often on or off is asked for where the answers are lost and the machine shows
/// that nothing was done. No other command is asked for twice.
pub const MAX_ASKS: u8 = 3;
/// How often a magic packet is sent, since nothing answers it and switches drop
/// packets while a link changes its speed.
pub const WAKE_PACKETS: u8 = 3;
/// Pause between two of them, in milliseconds.
pub const WAKE_PAUSE_MILLIS: u64 = 500;

/// Pauses and repetitions of IPMI: four datagrams in 15 s. A lost session is noticed
/// early enough to be opened again within a minute. What may do harm when it is
/// carried out twice is sent once.
pub(crate) const IPMI: Timing = Timing {
    first_pause_ms: 1_000,
    longest_pause_ms: 8_000,
    tries: 4,
    unsafe_tries: 1,
    // Longer than the pause between two looks: none is needed.
    keep_alive_ms: 20_000,
    first_reopen_ms: POLL_MILLIS as u32,
    longest_reopen_ms: 8_000,
};

/// Bounds of each Redfish operation; of its whole, the limits above are.
pub(crate) const REDFISH: Settings = Settings {
    // A BMC that is asked for the first time after hours needs that.
    answer_ms: 20_000,
    total_ms: OPERATION_MILLIS as u32,
    poll_ms: POLL_MILLIS as u32,
    // A boot device that is not shown by then does not keep a machine from starting.
    settle_ms: 8_000,
    // A system of a large server has some 100 KiB.
    max_body: 1 << 20,
    keep_alive: true,
    if_match: true,
};

/// How long an outlet has for each answer, in milliseconds.
pub(crate) const SNMP_ANSWER_MILLIS: u32 = 2_000;
/// How many datagrams are sent for it.
pub(crate) const SNMP_ATTEMPTS: u8 = 4;

const _: () = {
    assert!(CLOSE_MILLIS < OPERATION_MILLIS / 2);
    assert!(SNMP_ANSWER_MILLIS as u64 * (SNMP_ATTEMPTS as u64) < READ_MILLIS);
    assert!(POLL_MILLIS < IPMI.keep_alive_ms as u64);
};
