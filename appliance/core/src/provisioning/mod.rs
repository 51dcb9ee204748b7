//! The life cycle: verbs, transitions, steps, deadlines.

pub mod deadlines;
mod other_machine;
pub mod restarts;
pub mod steps;
mod transitions;

pub use crate::node::{agent_phase, changes_in_use, deployed};
