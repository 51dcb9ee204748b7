//! The networks as they lie on the appliance's trunk.

use crate::interface::{Link, Network, NetworkId, Services, Uses};
use crate::ipam::PROVISIONING;
use crate::rack::Rack;
use core::net::Ipv4Addr;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Every network, the provisioning network first.
    pub fn links(&self) -> impl Iterator<Item = Link> {
        let others = self.ipam.networks().iter();
        core::iter::once(self.own_link()).chain(others.map(|network| self.link(network)))
    }

    /// The provisioning network: it has every use that no other network has.
    fn own_link(&self) -> Link {
        let taken = |uses: Uses| {
            let mut networks = self.ipam.networks().iter();
            networks.any(|network| network.uses.contains(uses))
        };
        let mut services = Services::empty();
        let boots = Uses::BOOT.iter().any(|uses| !taken(uses));
        services.set(self.boot_services(), boots);
        let staff = Services::API.union(Services::DRIVERS);
        services.set(staff, !taken(Uses::MANAGEMENT));
        Link {
            network: NetworkId(PROVISIONING),
            vlan: 0,
            vlans: 1,
            address: self.config.address,
            prefix: self.config.prefix,
            router: Ipv4Addr::UNSPECIFIED,
            services,
        }
    }

    /// What the appliance does where servers boot.
    fn boot_services(&self) -> Services {
        let mut services = Services::DHCP.union(Services::BOOT);
        services.set(Services::PROXY, self.dhcp_server().is_some());
        services
    }

    fn link(&self, network: &Network) -> Link {
        let own = Link {
            network: NetworkId(network.place),
            vlan: network.vlan,
            vlans: network.vlans,
            address: network.address,
            prefix: network.prefix,
            router: network.router,
            services: Services::empty(),
        };
        let uses = |uses| network.uses.intersects(uses);
        if uses(Uses::BOOT) {
            return Link {
                address: self.config.address,
                prefix: self.config.prefix,
                services: self.boot_services(),
                ..own
            };
        }
        let services = if uses(Uses::MANAGEMENT) {
            Services::API.union(Services::DRIVERS)
        } else if uses(Uses::BMC) {
            Services::DRIVERS
        } else if uses(Uses::TENANT) && !network.address.is_unspecified() {
            Services::DHCP
        } else {
            Services::empty()
        };
        Link { services, ..own }
    }
}
