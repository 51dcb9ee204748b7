//! What of the rack is durable: the records, the one write path, and the one
//! restore.

mod apply;
mod nodes;
mod parts;
pub mod record;
mod restore;
mod write;

pub(crate) use nodes::Nodes;
pub(crate) use write::{Before, MAX_TOUCHED};
