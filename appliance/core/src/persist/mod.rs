//! What of the rack is durable: the records, the one write path, and the one
//! restore.

mod apply;
mod parts;
mod reapply;
pub mod record;
mod restore;
mod write;

pub(crate) use apply::reason;
pub(crate) use parts::{bits, job_number};
