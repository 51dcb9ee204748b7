//! The provision state machine: states, verbs, events, deadlines.
//!
//! States, names and transitions are Ironic's, so that its clients and its
//! documentation apply. The crate has only the rules: the transitions, the verbs
//! of each state, and the deadlines. The core moves nodes and carries out the work
//! of a state.
//!
//! ```
//! use farrier_lifecycle::{ProvisionEvent, ProvisionState, Verb};
//!
//! let event = ProvisionState::Available.event(Verb::Active).unwrap();
//! assert_eq!(event, ProvisionEvent::Deploy);
//! assert_eq!(ProvisionState::Available.next(event), Some(ProvisionState::Deploying));
//! assert_eq!(ProvisionState::Deploying.as_str(), "deploying");
//! assert_eq!(ProvisionState::Deploying.deadline().unwrap().expired, ProvisionEvent::Fail);
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod deadline;
mod state;
mod transition;
mod verb;

pub use deadline::Deadline;
pub use state::ProvisionState;
pub use transition::ProvisionEvent;
pub use verb::Verb;

/// The text is not the name of a state or verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown;
