//! The appliance's networks as its one port carries them, and which peer is on
//! which of them. Values and tables only: [`super::fence`] says what passes.
//!
//! Some links share a subnet and an address, and differ by their tags alone. So a
//! peer's address does not tell where it is, and a table of bindings does: DHCP
//! binds an interface and the address that it was given to the tag by which it
//! asked. Where links share a subnet, the first of them is the home of whoever is
//! not bound, if it has one tag. A link with a subnet of its own needs no bindings.

use core::net::Ipv4Addr;

use core::cell::Cell;
use farrier_core::interface::{Link, NetworkId, Relay, Services};
use farrier_core::ipam::MAX_RELAYS;
use farrier_sizes::{NETWORKS, NODES};
use heapless::Vec;

/// Most links: the provisioning network and all others.
pub const LINKS: usize = NETWORKS + 1;
/// Most bindings: a server's own interface, and its BMC's or a second one.
const PEERS: usize = 2 * NODES;

/// What the stack does on a link, if anything.
pub(super) const STACK: Services = Services::BOOT.union(Services::API).union(Services::DRIVERS);

/// One broadcast domain: a network, and the tag that carries it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The network.
    pub network: NetworkId,
    /// The 802.1Q tag, 1 to 4094; 0 for none.
    pub vlan: u16,
}

impl Segment {
    /// The provisioning network without a tag.
    pub const NATIVE: Self = Self {
        network: NetworkId::PROVISIONING,
        vlan: 0,
    };
}

/// Why there is no way to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoWay {
    /// Its address lies on no link.
    NoLink,
    /// Its address lies on several, and it is not bound to one, or another
    /// interface is.
    NoBinding,
}

/// How a frame's source is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It belongs where it is.
    Here,
    /// The address is another interface's.
    Another,
    /// The interface is bound to another tag.
    Elsewhere,
    /// There is no binding, and this is not its home.
    Unbound,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) link: Link,
    /// Whether other tags carry the same addresses.
    shared: bool,
    /// Whether unbound peers are here.
    home: bool,
}

impl Entry {
    /// The segment of one of its tags.
    pub(super) fn segment(&self, vlan: u16) -> Segment {
        let network = self.link.network;
        Segment { network, vlan }
    }
}

#[derive(Debug, Clone, Copy)]
struct Peer {
    mac: [u8; 6],
    ip: Ipv4Addr,
    /// The tag, which says the network.
    vlan: u16,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Links {
    entries: Vec<Entry, LINKS>,
    /// The binding that was renewed least recently first.
    peers: Vec<Peer, PEERS>,
    /// The stack's one address.
    stack: Ipv4Addr,
    behind: Vec<Behind, MAX_RELAYS>,
}

/// A network behind a router of the home network.
#[derive(Debug)]
struct Behind {
    relay: Relay,
    /// The router's hardware address, from the last packet that came by it.
    router: Cell<Option<[u8; 6]>>,
}

impl Links {
    /// No link yet, for a `static`.
    pub(super) const fn new() -> Self {
        Self {
            entries: Vec::new(),
            peers: Vec::new(),
            stack: Ipv4Addr::UNSPECIFIED,
            behind: Vec::new(),
        }
    }

    /// Says what the stack's address is.
    pub(super) fn set_stack(&mut self, address: Ipv4Addr) {
        self.stack = address;
    }

    /// The stack's address.
    pub(super) fn stack(&self) -> Ipv4Addr {
        self.stack
    }

    /// Puts other links in place of the present ones; there is room for one and
    /// for each network of `board.toml`. Bindings stay where their tag still
    /// carries their network.
    pub(super) fn replace(&mut self, links: &[Link]) {
        let Self { entries, peers, .. } = self;
        peers.retain(|peer| {
            let carries = |link: &&Link| link.has_vlan(peer.vlan);
            let before = entries.iter().map(|entry| &entry.link).find(carries);
            let now = links.iter().find(carries);
            let same = |now: &Link| before.is_some_and(|before| before.network == now.network);
            now.is_some_and(|now| same(now) && now.on_link(peer.ip))
        });
        entries.clear();
        for link in links {
            let meets = |other: &Link| link.on_link(other.address) || other.on_link(link.address);
            let before = entries.iter().any(|entry| meets(&entry.link));
            for entry in entries.iter_mut() {
                entry.shared |= meets(&entry.link);
            }
            let entry = Entry {
                link: *link,
                shared: before || link.vlans > 1,
                home: !before && link.vlans <= 1,
            };
            let full = entries.push(entry).is_err();
            debug_assert!(!full, "as many links as networks");
        }
    }

    /// Puts other networks behind routers in place of the present ones.
    pub(super) fn set_relays(&mut self, relays: impl Iterator<Item = Relay> + Clone) {
        // A router that is known stays so.
        if self
            .behind
            .iter()
            .map(|known| known.relay)
            .eq(relays.clone())
        {
            return;
        }
        self.behind.clear();
        for relay in relays {
            let router = Cell::new(None);
            // As many as core has.
            let _room = self.behind.push(Behind { relay, router });
        }
    }

    /// Whether a packet's source is behind a router of this link, the home of servers
    /// that boot. Its router is known from then on.
    pub(super) fn comes_from_behind(&self, entry: &Entry, mac: [u8; 6], ip: Ipv4Addr) -> bool {
        let home = entry.home && entry.link.services.contains(Services::BOOT);
        let mut behind = self.behind.iter().filter(|_| home);
        let known = behind.find(|behind| behind.relay.on_link(ip));
        if let Some(known) = known {
            known.router.set(Some(mac));
        }
        known.is_some()
    }

    /// The router of the way to an address, where that is behind one.
    pub(super) fn router_to(&self, ip: Ipv4Addr) -> Option<[u8; 6]> {
        let mut behind = self.behind.iter();
        behind.find(|behind| behind.relay.on_link(ip))?.router.get()
    }

    /// Whether there is one network, without a tag: there is nothing to keep
    /// apart.
    pub(super) fn is_plain(&self) -> bool {
        self.behind.is_empty()
            && matches!(self.entries.as_slice(), [one] if one.link.vlan == 0 && one.link.vlans <= 1)
    }

    /// Whether any link has a tag.
    pub(super) fn is_tagged(&self) -> bool {
        self.entries.iter().any(|entry| entry.link.vlan != 0)
    }

    /// The link that has a tag; 0 for frames without one.
    #[inline]
    pub(super) fn carried_by(&self, vlan: u16) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.link.has_vlan(vlan))
    }

    /// The link of a segment.
    pub(super) fn at(&self, segment: Segment) -> Option<&Link> {
        let link = &self.carried_by(segment.vlan)?.link;
        (link.network == segment.network).then_some(link)
    }

    /// Binds an interface and its address to a segment on which servers boot, in
    /// place of what either was bound to. All addresses of an interface are
    /// where it is. Without room, the binding that was renewed least recently
    /// ends.
    pub(super) fn bind(&mut self, segment: Segment, mac: [u8; 6], ip: Ipv4Addr) {
        // With one network everybody is at home, and stays so when others come.
        if self.is_plain() {
            return;
        }
        let boots = |link: &Link| link.services.contains(Services::BOOT) && link.on_link(ip);
        if !self.at(segment).is_some_and(boots) {
            return;
        }
        self.peers.retain(|peer| peer.ip != ip);
        for peer in self.peers.iter_mut().filter(|peer| peer.mac == mac) {
            peer.vlan = segment.vlan;
        }
        if self.peers.is_full() {
            self.peers.remove(0);
        }
        // There is room now.
        let vlan = segment.vlan;
        let _room = self.peers.push(Peer { mac, ip, vlan });
    }

    /// The interface that an address is bound to.
    pub(super) fn holder(&self, ip: Ipv4Addr) -> Option<[u8; 6]> {
        Some(self.bound(ip)?.mac)
    }

    fn bound(&self, ip: Ipv4Addr) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.ip == ip)
    }

    /// How the source of a frame is known that came by a tag of this link, from
    /// an address on it.
    pub(super) fn knows(&self, entry: &Entry, vlan: u16, mac: [u8; 6], ip: Ipv4Addr) -> Known {
        if !entry.shared {
            return Known::Here;
        }
        let elsewhere = |peer: &Peer| peer.mac == mac && peer.vlan != vlan;
        match self.bound(ip) {
            Some(peer) if peer.mac != mac => Known::Another,
            Some(peer) if peer.vlan == vlan => Known::Here,
            Some(_) => Known::Elsewhere,
            None if self.peers.iter().any(elsewhere) => Known::Elsewhere,
            None if entry.home => Known::Here,
            None => Known::Unbound,
        }
    }

    /// The way to an address: its segment and link, and the interface that must
    /// have it, if it is bound.
    ///
    /// # Errors
    /// [`NoWay`].
    pub(super) fn way(&self, ip: Ipv4Addr) -> Result<(Segment, &Link, Option<[u8; 6]>), NoWay> {
        if let Some(router) = self.router_to(ip) {
            let home = |entry: &&Entry| entry.home && entry.link.services.contains(Services::BOOT);
            let home = self.entries.iter().find(home).ok_or(NoWay::NoLink)?;
            return Ok((home.segment(home.link.vlan), &home.link, Some(router)));
        }
        let mut on_link = self.entries.iter().filter(|entry| entry.link.on_link(ip));
        let first = on_link.next().ok_or(NoWay::NoLink)?;
        if first.shared
            && let Some(peer) = self.bound(ip)
        {
            let entry = self.carried_by(peer.vlan).ok_or(NoWay::NoBinding)?;
            return Ok((entry.segment(peer.vlan), &entry.link, Some(peer.mac)));
        }
        if !first.home {
            return Err(NoWay::NoBinding);
        }
        let segment = first.segment(first.link.vlan);
        Ok((segment, &first.link, None))
    }
}

/// Whether an address may be a host's on a link: it is neither the network's
/// own one, nor its broadcast, nor the appliance's.
#[inline]
pub(super) fn is_host(link: &Link, ip: Ipv4Addr) -> bool {
    let hosts = host_bits(link);
    let host = ip.to_bits() & hosts;
    link.on_link(ip) && host != 0 && host != hosts && ip != link.address
}

/// Whether a packet for an address is for everybody on a link.
#[inline]
pub(super) fn is_broadcast(link: &Link, ip: Ipv4Addr) -> bool {
    let hosts = host_bits(link);
    ip.is_broadcast() || link.on_link(ip) && ip.to_bits() & hosts == hosts
}

fn host_bits(link: &Link) -> u32 {
    u32::MAX.checked_shr(u32::from(link.prefix)).unwrap_or(0)
}
