//! The number of a network. What the network is called and which VLAN carries
//! it is configuration, not part of this crate.

use core::fmt;

/// One of the appliance's networks, 0 to 255. Every packet and connection
/// carries the number of the network on which it arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct NetworkId(pub u8);

impl NetworkId {
    /// The network on which servers boot and agents work. It always exists.
    pub const PROVISIONING: Self = Self(0);
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    #[test]
    fn network_id_displays_its_number() {
        assert_eq!(NetworkId::PROVISIONING.to_string(), "network 0");
        assert_eq!(NetworkId(17).to_string(), "network 17");
    }

    #[test]
    fn default_network_is_provisioning() {
        assert_eq!(NetworkId::default(), NetworkId::PROVISIONING);
    }
}
