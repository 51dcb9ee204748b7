//! The words of the simulator that command lines may hold: the front refuses a
//! wrong one before the simulator is built. A test of the simulator compares
//! them with its own.

/// Kinds of faults.
pub const FAULTS: &[&str] = &[
    "loss",
    "duplicate",
    "reorder",
    "corrupt",
    "partition",
    "port-astray",
    "mac-astray",
    "rogue-dhcp",
    "appliance-power",
    "server-power",
    "flash-wear",
    "bit-rot",
    "agent-hang",
    "agent-lie",
    "agent-restart",
    "agent-twice",
    "ticket-thief",
    "bmc-nothing",
    "bmc-boot-order",
    "bmc-late",
    "bmc-never",
    "bmc-fails",
    "bmc-twice",
    "bmc-lies",
    "disk-fails",
    "disk-lies",
    "wrong-bytes",
    "operator-conflict",
    "clock-jump",
    "all-at-once",
    "hostile",
];

/// Scenarios.
pub const SCENARIOS: &[&str] = &[
    "life-cycle",
    "failed-clean",
    "old-disk-boots",
    "boots-again",
    "wait-without-end",
    "addresses",
    "ticket-twice",
    "wrong-clock",
    "wrong-server",
    "wrong-image",
    "config-drive",
    "port-moved",
    "restarts",
    "power-forced",
    "power-forgotten",
    "quick-server",
    "other-place",
    "dead-agent",
    "stranger-flood",
];

/// Bugs in the code behind `cfg!(farrier_bug = "NAME")`: each makes the scenario
/// of its name fail. The workspace's `check-cfg` lists them too.
pub const BUGS: &[&str] = &[
    "addresses",
    "boots-again",
    "dead-agent",
    "failed-clean",
    "old-disk-boots",
    "other-place",
    "port-moved",
    "power-forced",
    "power-forgotten",
    "quick-server",
    "restarts",
    "stranger-flood",
    "ticket-twice",
    "wait-without-end",
    "wrong-clock",
    "wrong-image",
    "wrong-server",
];
