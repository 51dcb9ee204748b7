//! The rack's switch: a port for every interface, the network that each port
//! is in, and the port at which each address was seen last.
//!
//! The appliance has one network today and orders nothing of a switch; a
//! driver will put ports where it wants them with [`Switch::put`]. What a
//! switch gets wrong without being asked is modelled: a port that is in
//! another network than its server should be, and an address that is seen at
//! two ports, so that answers go to the wrong one.

use std::collections::BTreeMap;

use farrier_protocol::message::Mac;

/// How long an address is remembered that sends nothing: 5 min, as IEEE
/// 802.1Q recommends it.
const AGEING: u64 = 300_000;

/// A network that a port can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// The appliance's own.
    Provisioning,
    /// Any other: the appliance is not there.
    Other,
}

/// A port, by what is plugged into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// An interface of a server of the rack.
    Server(Mac),
    /// A device that is no server of the rack.
    Unknown,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Switch {
    /// Ports that are not in the provisioning network.
    elsewhere: Vec<Port>,
    /// Where addresses were seen, and until when that is believed.
    seen: BTreeMap<Mac, (Port, u64)>,
}

impl Switch {
    /// Puts a port into a network.
    pub fn put(&mut self, port: Port, network: Network) {
        self.elsewhere.retain(|other| *other != port);
        if network != Network::Provisioning {
            self.elsewhere.push(port);
        }
    }

    /// The network that a port is in.
    pub fn network(&self, port: Port) -> Network {
        if self.elsewhere.contains(&port) {
            Network::Other
        } else {
            Network::Provisioning
        }
    }

    /// A frame comes in at a port. Whether the appliance gets it.
    pub fn comes_in(&mut self, now: u64, port: Port, from: Mac) -> bool {
        if self.network(port) != Network::Provisioning {
            return false;
        }
        self.seen.insert(from, (port, now + AGEING));
        true
    }

    /// The appliance sends a frame to an address. Whether it comes out at
    /// this port.
    pub fn goes_out(&self, now: u64, to: Mac, port: Port) -> bool {
        let leads = match self.seen.get(&to) {
            Some((seen, until)) if *until > now => *seen == port,
            // Frames for an unknown address go everywhere.
            _ => true,
        };
        leads && self.network(port) == Network::Provisioning
    }

    /// An operator puts every port where it should be.
    pub fn put_right(&mut self) {
        self.elsewhere.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
    const PORT: Port = Port::Server(MAC);

    #[test]
    fn frames_stay_in_their_network() {
        let mut switch = Switch::default();
        assert!(switch.comes_in(0, PORT, MAC) && switch.goes_out(1, MAC, PORT));
        switch.put(PORT, Network::Other);
        assert!(!switch.comes_in(2, PORT, MAC) && !switch.goes_out(2, MAC, PORT));
        switch.put(PORT, Network::Provisioning);
        assert!(switch.comes_in(3, PORT, MAC));
        switch.put(PORT, Network::Other);
        switch.put_right();
        assert_eq!(switch.network(PORT), Network::Provisioning);
    }

    #[test]
    fn answers_go_where_an_address_was_seen_last() {
        let mut switch = Switch::default();
        // Nobody knows it yet: everybody hears.
        assert!(switch.goes_out(0, MAC, PORT) && switch.goes_out(0, MAC, Port::Unknown));
        switch.comes_in(0, PORT, MAC);
        assert!(switch.goes_out(1, MAC, PORT) && !switch.goes_out(1, MAC, Port::Unknown));
        switch.comes_in(2, Port::Unknown, MAC);
        assert!(!switch.goes_out(3, MAC, PORT) && switch.goes_out(3, MAC, Port::Unknown));
        // It is forgotten after a while.
        assert!(switch.goes_out(2 + AGEING, MAC, PORT));
    }
}
