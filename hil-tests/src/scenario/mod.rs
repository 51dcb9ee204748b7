//! What scenarios work with: a rack, and the appliance's API.

mod api;
mod rack;

pub use api::Api;
pub use rack::{Bench, FIRST_ACCOUNT, Networks, Operator, Rack, StoreWriter};
