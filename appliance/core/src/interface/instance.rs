//! What a node's next deployment brings.

use super::{NAME_LEN, String};
use farrier_protocol::message::NodeId;

/// What a node's next deployment shall bring.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstanceInfo {
    /// The image's name; empty for none.
    pub image_source: String<64>,
    /// A name for people; empty for none.
    pub display_name: String<NAME_LEN>,
    /// The instance's UUID, where the operator gave one.
    pub instance_uuid: Option<NodeId>,
}
