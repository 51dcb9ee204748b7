//! The provision state machine: states, verbs, events, deadlines.
//!
//! The states, their names and their transitions are Ironic's, so that its
//! clients, its operators' habits and its documentation hold here too. What
//! lives in this crate is the rules alone: which event leads from which
//! state to which, what an operator may ask in which state, how long a state
//! may last and what happens then. Who moves a node, and what is done on the
//! way, is the brain's.
//!
//! ```
//! use farrier_lifecycle::{Event, State, Verb};
//!
//! let event = State::Available.event(Verb::Active).unwrap();
//! assert_eq!(event, Event::Deploy);
//! assert_eq!(State::Available.next(event), Some(State::Deploying));
//! assert_eq!(State::Deploying.as_str(), "deploying");
//! assert_eq!(State::Deploying.deadline().unwrap().expired, Event::Fail);
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod deadline;
mod state;
mod transition;
mod verb;

pub use deadline::Deadline;
pub use state::State;
pub use transition::Event;
pub use verb::Verb;

/// A text names nothing that is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown;
