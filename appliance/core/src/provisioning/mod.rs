//! The life cycle: verbs, transitions, steps, deadlines.

pub mod deadlines;
pub mod erasure;
mod links;
mod other_machine;
mod ports;
pub mod restarts;
pub mod steps;
mod transitions;
pub mod waivers;

pub use crate::node::{agent_phase, changes_in_use, deployed};
