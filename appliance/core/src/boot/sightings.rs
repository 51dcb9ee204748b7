//! What the glue saw on the networks, and what of it is wrong.

use crate::interface::{Instant, NetworkId, Sighting, SightingKind};
use crate::ipam::{Domain, PROVISIONING};
use crate::rack::Rack;
use core::net::Ipv4Addr;
use farrier_dhcp::wire::{MessageType, Request};
use farrier_protocol::message::Mac;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Keeps what is wrong: an answer of a DHCP server that is not the appliance and
    /// not the one that it works beside, a claim of the appliance's address, and a
    /// claim of an address that was given to another interface. Returns whether it is
    /// wrong.
    pub(crate) fn sighted(&mut self, now: Instant, sighting: Sighting) -> bool {
        let Sighting {
            kind,
            network,
            mac,
            address,
            ..
        } = sighting;
        let domain = self.ipam.domain(network.0);
        let is_wrong = match kind {
            SightingKind::OwnAddress => true,
            SightingKind::DhcpServer => match domain {
                // The frame was not the appliance's, whatever server it names.
                Some(Domain::Boot) => self.dhcp_server() != Some(address),
                Some(Domain::Tenant(_)) | None => true,
            },
            SightingKind::Address => {
                let owner = match domain {
                    Some(Domain::Boot) => self
                        .ipam
                        .owner(PROVISIONING, address)
                        .or_else(|| self.leases.holder(now, address)),
                    Some(Domain::Tenant(of)) => self.ipam.owner(of.place, address),
                    None => None,
                };
                // A machine answers for all of its addresses on all of its interfaces.
                let node = self.find_by_mac(mac);
                owner.is_some_and(|owner| {
                    owner != mac && (node.is_none() || node != self.find_by_mac(owner))
                })
            }
        };
        if is_wrong {
            self.alarms.note(now, sighting);
        }
        is_wrong
    }

    /// The first tag of a network; 0 for none.
    fn vlan_of(&self, network: NetworkId) -> u16 {
        let mut networks = self.ipam.networks().iter();
        let known = networks.find(|known| known.place == network.0);
        known.map_or(0, |known| known.vlan)
    }

    /// A client says to all which server's offer it takes. An answer that went to the
    /// client alone is seen by this, without the server's interface.
    pub(super) fn took_offer(
        &mut self,
        now: Instant,
        network: NetworkId,
        own: Ipv4Addr,
        request: &Request<'_>,
    ) {
        if request.message_type == MessageType::Request
            && let Some(address) = request.server_id.filter(|server| *server != own)
        {
            let sighting = Sighting {
                kind: SightingKind::DhcpServer,
                network,
                vlan: self.vlan_of(network),
                mac: Mac([0; 6]),
                address,
            };
            // Nobody knows by whom: no port is shut.
            let _is_wrong = self.sighted(now, sighting);
        }
    }
}
