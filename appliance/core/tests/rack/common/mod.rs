//! What core's tests use of the test kit.

pub use farrier_testkit::agent::{Agent, Behaviour, ScriptedAgent};
pub use farrier_testkit::lab::{Lab, active_lab, available_with, check_identities, durable};
pub use farrier_testkit::machine::{disk, inspection, ipxe, mac_of, nic};
pub use farrier_testkit::outcome::{Outcome, Served};
pub use farrier_testkit::{GIB, IDENTITY};
