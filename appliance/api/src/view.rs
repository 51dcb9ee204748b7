//! What the API sees of the rack.

use crate::resource::{Call, Ident};
use farrier_core::allocation::Flavor;
use farrier_core::interface::{Image, Instant};
use farrier_core::ipam::Ipam;
use farrier_core::node::{Histories, Node};
use farrier_core::rack::{Counters, Rack};
use farrier_core::strings::StringPool;
use farrier_protocol::message::EraseMethod;

/// What the services around the rack have counted.
pub trait Services: core::fmt::Debug {
    /// Reports every counter by a name that is the program's own.
    fn counters(&self, report: &mut dyn FnMut(&'static str, u32));
}

/// What the API sees of the rack. Cheap: make a new one for every call.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub(crate) now: Instant,
    pub(crate) nodes: &'a [Node],
    pub(crate) histories: Histories<'a>,
    pub(crate) images: &'a [Image],
    pub(crate) counters: &'a Counters,
    pub(crate) texts: &'a StringPool,
    pub(crate) ipam: &'a Ipam,
    pub(crate) flavors: &'a [Flavor],
    /// Addresses in the pool, and how many of them are bound.
    pub(crate) leases: (usize, usize),
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
            counters: rack.counters(),
            texts: rack.texts(),
            ipam: rack.ipam(),
            flavors: rack.flavors(),
            leases: rack.lease_usage(now),
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

    /// All nodes, with their places.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (usize, &'a Node)> + use<'a> {
        let all = self.nodes.iter().enumerate();
        all.filter(|(_, node)| !node.is_vacant())
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
        (node.id == id && !node.is_vacant()).then_some((place, node))
    }
}
