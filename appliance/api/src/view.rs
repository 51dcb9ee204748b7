//! What the API sees of the rack.

use crate::access::Principal;
use core::net::Ipv4Addr;

use crate::resource::{Call, Ident};
use farrier_core::Config;
use farrier_core::accounts::{Account, AccountName};
use farrier_core::allocation::Flavor;
use farrier_core::interface::Uplink;
use farrier_core::interface::{Image, Instant};
use farrier_core::ipam::Ipam;
use farrier_core::ipam::watch::Alarms;
use farrier_core::node::{Histories, Node, Strangers};
use farrier_core::ports::Ports;
use farrier_core::rack::{Counters, ImageFloor, Rack};
use farrier_core::strings::StringPool;
use farrier_protocol::message::EraseMethod;

/// What the services around the rack have counted.
pub trait Services: core::fmt::Debug {
    /// Reports every counter by a name that is the program's own.
    fn counters(&self, report: &mut dyn FnMut(&'static str, u32));

    /// Reports what was refused, to whom, and how often.
    fn refusals(&self, report: &mut dyn FnMut(&'static str, Source, u32));

    /// The end of an earlier run that was a crash.
    fn last_crash(&self) -> Option<LastCrash<'_>>;

    /// The journal's state.
    fn journal(&self) -> JournalState;
}

/// A crash of an earlier run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastCrash<'a> {
    /// The number of the start that it ended.
    pub start: u32,
    /// Seconds from that start to its end.
    pub uptime_secs: u32,
    /// Crashes since the appliance was without power.
    pub count: u32,
    /// What ended it: `panic`, `fault` or `watchdog`.
    pub cause: &'a str,
    /// Where, and the message.
    pub text: &'a str,
}

/// The state of the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalState {
    /// The number of this start.
    pub start: u32,
    /// Sectors of the flash.
    pub sectors: u32,
    /// Sectors that a restart reads.
    pub used: u32,
    /// Sectors, or ends of them, that did not keep what was written.
    pub given_up: u32,
    /// Erasures of each sector, on average.
    pub cycles: u32,
    /// `good`, or what is wrong.
    pub health: &'static str,
}

/// Who was refused something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The peer at an address.
    Address(Ipv4Addr),
    /// The interface with a hardware address.
    Mac([u8; 6]),
}

/// What the API sees of the rack. Cheap: make a new one for every call.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(crate) now: Instant,
    pub(crate) nodes: &'a [Node],
    pub(crate) histories: Histories<'a>,
    pub(crate) images: &'a [Image],
    pub(crate) strangers: &'a Strangers,
    pub(crate) counters: &'a Counters,
    pub(crate) texts: &'a StringPool,
    pub(crate) ipam: &'a Ipam,
    pub(crate) ports: &'a Ports,
    pub(crate) alarms: &'a Alarms,
    pub(crate) uplink: Option<&'a (Uplink, Instant)>,
    pub(crate) flavors: &'a [Flavor],
    /// Addresses in the pool, and how many of them are bound.
    pub(crate) leases: (usize, usize),
    pub(crate) accounts: &'a [Account],
    pub(crate) config: &'a Config,
    /// The server that gives addresses to servers that boot, if another one does.
    pub(crate) dhcp_server: Option<Ipv4Addr>,
    pub(crate) floors: &'a [ImageFloor],
    pub(crate) revoked: &'a [[u8; 32]],
    pub(crate) images_key: Option<[u8; 32]>,
    /// The ed25519 key that switches know the appliance by.
    pub(crate) switch_key: Option<[u8; 32]>,
    /// Only nodes that this account owns or leases are seen.
    only: Option<AccountName>,
    /// The weakest erase method of nodes without one of their own.
    pub(crate) least_erase: EraseMethod,
    pub(crate) services: Option<&'a dyn Services>,
}

impl<'a> View<'a> {
    /// The rack as it is now.
    pub fn of<const N: usize, const L: usize, const D: usize>(
        rack: &'a Rack<N, L, D>,
        now: Instant,
    ) -> Self {
        Self {
            now,
            nodes: rack.nodes(),
            histories: rack.histories(),
            images: rack.images(),
            strangers: rack.strangers(),
            counters: rack.counters(),
            texts: rack.texts(),
            ipam: rack.ipam(),
            ports: rack.ports(),
            alarms: rack.alarms(),
            uplink: rack.uplink(),
            flavors: rack.flavors(),
            leases: rack.lease_usage(now),
            accounts: rack.accounts(),
            config: rack.config(),
            dhcp_server: rack.dhcp_server(),
            floors: rack.image_floors(),
            revoked: rack.revoked_keys(),
            images_key: rack.images_key(),
            switch_key: rack.switch_key(),
            only: None,
            least_erase: rack.config().least_erase,
            services: None,
        }
    }

    /// With the counters of the services around the rack, for the status.
    #[must_use]
    pub fn with_services(self, services: &'a dyn Services) -> Self {
        Self {
            services: Some(services),
            ..self
        }
    }

    /// The same, with the nodes alone that this one may see.
    pub(crate) fn seen_by(self, who: &Principal) -> Self {
        Self {
            only: who.only_of(),
            ..self
        }
    }

    /// The account of that name.
    pub(crate) fn account(&self, name: AccountName) -> Option<&'a Account> {
        self.accounts.iter().find(|account| account.name == name)
    }

    /// All nodes that may be seen, with their places.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (usize, &'a Node)> + use<'a> {
        let view = *self;
        let all = self.nodes.iter().enumerate();
        all.filter(move |(place, node)| !node.is_vacant() && view.shows(*place))
    }

    fn shows(&self, place: usize) -> bool {
        self.only
            .is_none_or(|only| self.texts.is_worked_by(place, only.as_str()))
    }

    /// Whether the appliance moves no port of the node: none is in a known switch.
    pub(crate) fn is_flat(&self, node: &Node) -> bool {
        !node.macs.iter().any(|mac| self.ports.of(*mac).is_some())
    }

    /// A node and its place.
    pub(crate) fn find(&self, ident: &Ident) -> Option<(usize, &'a Node)> {
        self.nodes().find(|(_, node)| match ident {
            Ident::Uuid(id) => node.id == *id,
            Ident::Name(name) => node.name == *name,
        })
    }

    /// The node that a request is about, where it is still there.
    pub(crate) fn node(&self, call: &Call) -> Option<(usize, &'a Node)> {
        let (place, id) = call.node?;
        let node = self.nodes.get(place)?;
        (node.id == id && !node.is_vacant() && self.shows(place)).then_some((place, node))
    }
}
