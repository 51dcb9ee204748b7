//! A network of the appliance beside the one that it boots servers on.

use bitflags::bitflags;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

bitflags! {
    /// What a network is for. A use that no network has is the provisioning
    /// network's, which is number 0.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
    pub struct Uses: u16 {
        /// Tenants' machines.
        const TENANT = 1 << 0;
        /// Operators and their API.
        const MANAGEMENT = 1 << 1;
        /// BMCs.
        const BMC = 1 << 2;
        /// Machines that have nothing to do, and new ones.
        const IDLE = 1 << 3;
        /// Inspection.
        const INSPECTION = 1 << 4;
        /// Deployment.
        const PROVISIONING = 1 << 5;
        /// Cleaning.
        const CLEANING = 1 << 6;
        /// Rescue.
        const RESCUING = 1 << 7;
        /// Service.
        const SERVICING = 1 << 8;
        /// Ports of a tenant's machine without a network of their own.
        const UNUSED = 1 << 9;
        /// Ports that were shut on an alarm.
        const SHUT = 1 << 10;
    }
}

impl Uses {
    /// Networks on which servers boot: one subnet, each with tags of its own.
    pub const BOOT: Uses = Uses::IDLE
        .union(Uses::INSPECTION)
        .union(Uses::PROVISIONING)
        .union(Uses::CLEANING)
        .union(Uses::RESCUING)
        .union(Uses::SERVICING);
    /// Names, as the API has them.
    pub const NAMES: [(&'static str, Uses); 11] = [
        ("tenant", Uses::TENANT),
        ("management", Uses::MANAGEMENT),
        ("bmc", Uses::BMC),
        ("idle", Uses::IDLE),
        ("inspection", Uses::INSPECTION),
        ("provisioning", Uses::PROVISIONING),
        ("cleaning", Uses::CLEANING),
        ("rescuing", Uses::RESCUING),
        ("servicing", Uses::SERVICING),
        ("unused", Uses::UNUSED),
        ("shut", Uses::SHUT),
    ];
}

/// Most routes of a network beside the default one.
pub const MAX_ROUTES: usize = 2;

/// A route that DHCP names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where it leads to: the network's address.
    pub destination: Ipv4Addr,
    /// Length of that network's prefix, 0 to 32.
    pub prefix: u8,
    /// The router, on the network that the route is of; unspecified for no route.
    pub router: Ipv4Addr,
}

impl Route {
    /// No route.
    pub const NONE: Route = Route {
        destination: Ipv4Addr::UNSPECIFIED,
        prefix: 0,
        router: Ipv4Addr::UNSPECIFIED,
    };
}

/// A network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its place, from 1; its name is among the texts.
    pub place: u8,
    /// What it is for.
    pub uses: Uses,
    /// Length of its prefix, 8 to 30; 0 for networks on which servers boot, which
    /// share the provisioning network's addresses.
    pub prefix: u8,
    /// Its VLAN, 1 to 4094; 0 for none.
    pub vlan: u16,
    /// How many VLANs it has, from that one on: 1, or one for each node.
    pub vlans: u16,
    /// How many addresses its pool has; 0 for no pool.
    pub pool_len: u16,
    /// The first of them.
    pub pool_first: Ipv4Addr,
    /// The appliance's own address; unspecified for none: then it answers nothing
    /// there.
    pub address: Ipv4Addr,
    /// The router that DHCP names; unspecified for none.
    pub router: Ipv4Addr,
    /// The name server that DHCP names; unspecified for none.
    pub dns: Ipv4Addr,
    /// The time server that DHCP names; unspecified for none.
    pub ntp: Ipv4Addr,
    /// The MTU that DHCP names, 576 to 9,216; 0 for none.
    pub mtu: u16,
    /// Routes that DHCP names beside that by [`router`](Self::router).
    pub routes: [Route; MAX_ROUTES],
}

impl Network {
    /// A tenants' network without VLAN and pool, to be filled in.
    pub const EMPTY: Network = Network {
        place: 0,
        uses: Uses::TENANT,
        prefix: 0,
        vlan: 0,
        vlans: 1,
        pool_len: 0,
        pool_first: Ipv4Addr::UNSPECIFIED,
        address: Ipv4Addr::UNSPECIFIED,
        router: Ipv4Addr::UNSPECIFIED,
        dns: Ipv4Addr::UNSPECIFIED,
        ntp: Ipv4Addr::UNSPECIFIED,
        mtu: 0,
        routes: [Route::NONE; MAX_ROUTES],
    };

    /// The routes that there are.
    pub fn routes(&self) -> impl Iterator<Item = &Route> + Clone {
        let all = self.routes.iter();
        all.filter(|route| !route.router.is_unspecified())
    }

    /// The VLAN that the node in this place has of its own, where each node has one;
    /// else the network's.
    pub fn vlan_of_node(&self, index: usize) -> Option<u16> {
        match self.vlans {
            1 => Some(self.vlan),
            vlans => {
                let own = u16::try_from(index).ok().filter(|own| *own < vlans)?;
                self.vlan.checked_add(own)
            }
        }
    }

    /// The place of the node whose own VLAN this is; `None` where all share one.
    pub fn node_of_vlan(&self, vlan: u16) -> Option<usize> {
        let own = self.vlans > 1 && self.has_vlan(vlan);
        own.then(|| usize::from(vlan.saturating_sub(self.vlan)))
    }

    const fn mask(&self) -> u32 {
        match self.prefix {
            0 => 0,
            prefix => u32::MAX << (32 - prefix as u32 % 32),
        }
    }

    /// Its subnet's mask.
    pub fn netmask(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.mask())
    }

    /// An address of its subnet, from which the others follow.
    fn base(&self) -> u32 {
        match self.address.is_unspecified() {
            true => self.pool_first.to_bits(),
            false => self.address.to_bits(),
        }
    }

    /// Whether the fields make sense together.
    pub fn is_sound(&self) -> bool {
        let tags = self.vlan < 4095
            && self.vlans >= 1
            && (self.vlans == 1 || self.vlan > 0)
            && self.vlan.saturating_add(self.vlans) <= 4095
            && (self.mtu == 0 || (576..=9216).contains(&self.mtu));
        let is_boot = Uses::BOOT.union(Uses::UNUSED).contains(self.uses) || self.uses == Uses::SHUT;
        let is_staff = Uses::MANAGEMENT.union(Uses::BMC).contains(self.uses);
        let kind = self.uses == Uses::TENANT || is_boot || is_staff;
        if self.uses.is_empty() || !tags || !kind {
            return false;
        }
        if is_boot {
            let one = self.vlans == 1 || !self.uses.contains(Uses::UNUSED);
            return self.vlan > 0 && self.prefix == 0 && self.pool_len == 0 && one;
        }
        if !(8..=30).contains(&self.prefix) || self.vlans != 1 {
            return false;
        }
        let inside = |address: u32| {
            let host = address & !self.mask();
            address & self.mask() == self.base() & self.mask() && host != 0 && host != !self.mask()
        };
        let first = self.pool_first.to_bits();
        let last = first.checked_add(u32::from(self.pool_len).saturating_sub(1));
        let pool = self.pool_len > 0 && inside(first) && last.is_some_and(inside);
        let own = !self.address.is_unspecified()
            && inside(self.address.to_bits())
            && !self.has(self.address);
        let leads = |route: &Route| {
            let hosts = u32::MAX.checked_shr(u32::from(route.prefix)).unwrap_or(0);
            let whole = route.destination.to_bits() & hosts == 0;
            route.prefix <= 32 && whole && inside(route.router.to_bits())
        };
        if !self.routes().all(leads) {
            return false;
        }
        match is_staff {
            true => own && self.pool_len == 0,
            false => pool && (self.address.is_unspecified() || own),
        }
    }

    /// Whether two networks share an address, a VLAN, or a use that only one has.
    pub fn meets(&self, other: &Network) -> bool {
        let mask = self.mask() & other.mask();
        let addresses = mask != 0 && self.base() & mask == other.base() & mask;
        let tags = |one: &Network, two: &Network| one.vlan != 0 && one.has_vlan(two.vlan);
        let single = Uses::all().difference(Uses::TENANT);
        addresses
            || tags(self, other)
            || tags(other, self)
            || self.uses.intersection(other.uses).intersects(single)
    }

    /// Whether a VLAN carries it.
    pub fn has_vlan(&self, vlan: u16) -> bool {
        vlan == self.vlan || vlan > self.vlan && vlan - self.vlan < self.vlans
    }

    /// Whether the pool has this address.
    pub fn has(&self, address: Ipv4Addr) -> bool {
        let offset = address.to_bits().checked_sub(self.pool_first.to_bits());
        offset.is_some_and(|offset| offset < u32::from(self.pool_len))
    }
}
