//! What a moved port means for a node's work.

use crate::interface::{Effects, Endpoint, Instant, NetworkId};
use crate::ipam::Domain;
use crate::node::{Node, Reason};
use crate::rack::Rack;
use crate::switch::PortOutcome;
use core::net::Ipv4Addr;
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

    /// Whether the agent of a node was heard right now from this place: its session
    /// has proven whose the datagram is.
    pub fn agent_spoke(&self, mac: Mac, address: Ipv4Addr) -> bool {
        let here = |node: &Node| {
            let place = node.boot.ticket.map(|given| given.place);
            let is_at = place.is_some_and(|p| p.mac == mac && p.address == address.octets());
            is_at && node.boot.session.is_some() && node.boot.heard == Some(self.now)
        };
        self.nodes.iter().any(here)
    }

    /// Sessions and tickets are of the subnet that all networks share on which
    /// servers boot. What comes from behind a relay has its router's hardware address:
    /// its own is that of its lease.
    pub(crate) fn in_boot_domain(&self, from: Endpoint) -> Endpoint {
        Endpoint {
            network: NetworkId::PROVISIONING,
            mac: self.ipam.relayed_owner(from.ip).unwrap_or(from.mac),
            ..from
        }
    }
}
