//! The life cycle: verbs, transitions, steps, deadlines, and operators'
//! commands about one node.

pub mod commands;
pub mod deadlines;
pub mod patch;
pub mod steps;
mod transitions;

pub use transitions::{agent_phase, changes_in_use, deployed};
