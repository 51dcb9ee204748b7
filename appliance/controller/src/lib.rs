//! The controller: the rack and the store of its records together, sans-IO.
//!
//! [`Controller`] is the only loop around core and journal. The firmware,
//! the simulator, the power-cut checker, the benches and core's tests all
//! drive this one, so what they prove is what ships.
//!
//! A step is [`decide`](Controller::decide) (the rack takes an input), then
//! [`append`](Controller::append) (its records become durable), then
//! [`effects`](Controller::effects) (what is to be done), then
//! [`maintain`](Controller::maintain) (the store stays bounded).
//! [`step`](Controller::step) does the first two. Effects are handed out
//! only when all records of the step are durable. When one append fails or
//! is dropped before its end, the controller withholds every later effect
//! until the appliance restarts, and the rack takes no more inputs: nothing
//! may be built on what is in RAM only.
//!
//! | module | what |
//! |---|---|
//! | `controller` | [`Controller`] |
//! | [`store`] | [`RecordStore`], and [`JournalStore`] on NOR flash |
//! | [`catalogue`] | what start-up finds in the asset store |
//! | `testing` | a store in memory (feature `testing`) |
//!
//! Not here: packets, clocks, block devices, tasks.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "testing"))]
extern crate std;

pub mod catalogue;
mod controller;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use controller::{Controller, ControllerCounters, RackRef};
pub use farrier_journal::{Health, Usage};
pub use store::{JournalStore, KeyStore, MemoryKeys, NotDurable, Opened, RecordStore};
