//! What a moved port means for a node's work.

use crate::interface::{Effects, Endpoint, Instant, NetworkId};
use crate::ipam::Domain;
use crate::node::Reason;
use crate::rack::Rack;
use crate::switch::PortOutcome;
use farrier_lifecycle::{ProvisionEvent, ProvisionState};
use farrier_protocol::message::Mac;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Goes on with the work that has waited for a port, or ends it.
    pub(crate) fn port_outcome(&mut self, now: Instant, outcome: PortOutcome, out: &mut Effects) {
        let index = match outcome {
            PortOutcome::Failed(index) => {
                self.fail(now, index, Reason::PortNotMoved, out);
                return;
            }
            PortOutcome::Settled(index) => index,
        };
        let Some(node) = self.nodes.get(index) else {
            return;
        };
        let (state, done) = (node.state, node.boot.imaged && node.boot.left);
        if !self.ports_are_settled(index) {
            return;
        }
        match state {
            ProvisionState::Deleting => {
                self.event(now, index, ProvisionEvent::Clean, Reason::Released, out);
                self.advance(now, index, out);
            }
            ProvisionState::Deploying
            | ProvisionState::WaitCallBack
            | ProvisionState::Servicing
            | ProvisionState::ServiceWait
                if done =>
            {
                self.deployed(now, index, Reason::Proven, out);
            }
            _ => {}
        }
    }

    /// What the machines on a network are to the appliance.
    pub(crate) fn domain(&self, network: NetworkId) -> Option<Domain> {
        self.ipam.domain(network.0)
    }

    /// A frame of an interface came by this network: evidence of where its port is.
    pub(crate) fn seen_on(&mut self, now: Instant, network: NetworkId, mac: Mac) {
        if self.ports.all().is_empty() {
            return;
        }
        let mut networks = self.ipam.networks().iter();
        let Some(network) = networks.find(|known| known.place == network.0) else {
            return;
        };
        let vlan = match (network.vlans, self.find_by_mac(mac)) {
            (1, _) => Some(network.vlan),
            (_, Some(index)) => u16::try_from(index)
                .ok()
                .and_then(|own| network.vlan.checked_add(own)),
            (_, None) => None,
        };
        if let Some(vlan) = vlan {
            self.port_seen(now, mac, vlan);
        }
    }

    /// Sessions and tickets are of the subnet that all networks share on which
    /// servers boot.
    pub(crate) fn in_boot_domain(&self, from: Endpoint) -> Endpoint {
        Endpoint {
            network: NetworkId::PROVISIONING,
            ..from
        }
    }
}
