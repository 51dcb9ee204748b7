//! Configuration of the running switch, for whoever does it: a test, or a
//! server behind which the switch is managed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::{Counters, Frame, Mac, PortId, PortMode, Shared, VlanId, signal};

/// A handle that may outlive the switch and then changes nothing.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Control")
    }
}

impl Control {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The addresses that are learnt, in their order: the VLAN, none between
    /// plain ports, and the port.
    pub fn addresses(&self) -> Vec<(Mac, Option<VlanId>, PortId)> {
        let mut addresses: Vec<_> = self
            .shared
            .fabric()
            .learnt(Instant::now())
            .map(|(vlan, mac, port, _)| (mac, vlan, port))
            .collect();
        addresses.sort_unstable();
        addresses
    }

    /// Every port.
    pub fn ports(&self) -> Vec<PortId> {
        (0..self.shared.fabric().ports.len()).map(PortId).collect()
    }

    /// The first port of this name.
    ///
    /// # Errors
    /// There is none.
    pub fn port_named(&self, name: &str) -> Result<PortId> {
        let fabric = self.shared.fabric();
        let place = fabric.ports.iter().position(|port| port.name == name);
        place
            .map(PortId)
            .with_context(|| format!("the switch has no port {name}"))
    }

    /// What a port carries.
    pub fn mode(&self, port: PortId) -> PortMode {
        self.shared.fabric().ports[port.0].mode.clone()
    }

    /// Changes what a port carries, between two frames. What was learnt at the
    /// port is forgotten; frames that wait for its peer are dropped if the new
    /// mode carries less.
    pub fn set_mode(&self, port: PortId, mode: PortMode) {
        self.shared.fabric().set_mode(port, mode);
    }

    /// Makes this switch a patch panel for a port: what its peer sends goes out of
    /// `outside` as it is, whatever the port is said to carry, and the other way
    /// round. Behind `outside` is another switch, whose wire is not in a capture of
    /// all wires. A closed port carries nothing all the same. Hooks and observers do
    /// not see such frames.
    pub fn patch(&self, port: PortId, outside: PortId) {
        self.shared.fabric().patch(port, outside);
    }

    /// Sends LLDP on every port with a link, now and then every so often; with
    /// `None` it stops, as it is in the beginning.
    pub fn set_lldp(&self, every: Option<Duration>) {
        self.shared.fabric().set_lldp(every, Instant::now());
        signal(&self.shared.wake);
    }

    /// Puts a frame, without FCS, on the wire of a port, as if its peer had sent it:
    /// the machine there, or one that shares its cable.
    pub fn inject(&self, port: PortId, frame: &[u8]) {
        self.shared
            .fabric()
            .ingress(port, frame.to_vec(), Instant::now());
        signal(&self.shared.wake);
    }

    /// The last LLDP frame that the port's peer sent since its link came up.
    pub fn neighbour(&self, port: PortId) -> Option<Frame> {
        self.shared.fabric().ports[port.0].neighbour.clone()
    }

    /// Takes the switch's power, or gives it back. Without it, every frame is
    /// dropped, and what was learnt is forgotten. Modes stay as they are: what
    /// a switch starts with is its owner's matter.
    pub fn set_power(&self, on: bool) {
        self.shared.fabric().set_power(on);
    }

    /// Whether a peer is connected to the port.
    pub fn is_linked(&self, port: PortId) -> bool {
        self.shared.fabric().ports[port.0].linked
    }

    /// What the port has carried so far.
    pub fn counters(&self, port: PortId) -> Counters {
        self.shared.fabric().ports[port.0].counters
    }

    /// The name that the port was given.
    pub fn name(&self, port: PortId) -> String {
        self.shared.fabric().ports[port.0].name.clone()
    }
}
