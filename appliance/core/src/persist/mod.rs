//! What of the rack is durable, as records; the table of nodes, which no step
//! changes without a record; and how a change is noticed. The rack's write path
//! and its restore are in `rack`.

mod fingerprint;
mod nodes;
pub mod record;
pub mod seal;

pub(crate) use fingerprint::{Before, FINGERPRINTS, Fingerprint, Fingerprints};
pub(crate) use nodes::{Nodes, Touched};
