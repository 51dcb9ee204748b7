//! Facts out of records, put back where they were: what the life cycle
//! writes down, read by whoever restores the rack after a restart. Records
//! of other parts (states, leases, boots, orders) are not looked at here.

use crate::flags::Flags;
use crate::flavor::Flavor;
use crate::node::Node;
use crate::rack::Rack;
use crate::record::Record;
use crate::steps::Steps;
use crate::texts::{Full, Kind, RACK, Texts};
use crate::time::Instant;
use farrier_protocol::message::Mac;

impl Texts {
    /// Puts a text back by the number of its kind; unknown kinds are of a
    /// newer firmware, and dropped.
    fn put_back(&mut self, owner: usize, kind: u8, text: &str) -> Result<(), Full> {
        let kinds = [
            Kind::MaintenanceReason,
            Kind::ProtectedReason,
            Kind::RetiredReason,
            Kind::AllocationName,
            Kind::AllocationClass,
        ];
        match kinds.into_iter().find(|known| known.number() == kind) {
            Some(kind) => self.set(owner, kind, text),
            None => Ok(()),
        }
    }
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Makes a recorded fact true again, without any effect outside. Facts
    /// are taken in the order in which they were recorded; taking one twice
    /// changes nothing. `false` where the record is none of this part, or
    /// speaks of a node that is not there.
    pub fn reapply(&mut self, now: Instant, record: &Record<'_>) -> bool {
        let rack = usize::from(RACK);
        match *record {
            Record::Created { node, serial } => {
                if self.find(node).is_none() {
                    let mut new = Node::enrolled(node, now);
                    new.serial = serial;
                    new.flags.set(Flags::BY_HAND, true);
                    return self.add_node(new).is_ok();
                }
                true
            }
            Record::Deleted { node } => self.on_place(node, Self::vacate),
            Record::Flags { node, flags } => self.on_node(node, |node| {
                node.flags = Flags::from_bits(flags & Flags::LASTING.bits());
            }),
            Record::Steps { node, steps } => {
                self.on_node(node, |node| node.steps = Steps::from_bits(steps))
            }
            Record::Kind {
                node,
                traits,
                class,
            } => self.on_node(node, |node| {
                node.traits = traits;
                node.class = class;
            }),
            Record::Identity { node, uuid, serial } => self.on_node(node, |node| {
                node.system_uuid = uuid;
                node.serial = serial;
            }),
            Record::Ports { node, macs } => self.on_node(node, |node| {
                node.macs.clear();
                let (all, _) = macs.as_chunks::<6>();
                for mac in all {
                    // As many as fitted when it was recorded.
                    let _fits = node.macs.push(Mac(*mac));
                }
            }),
            Record::Text { node, kind, text } => match self.find(node) {
                Some(index) => self.texts.put_back(index, kind, text).is_ok(),
                None => false,
            },
            Record::DriverInfo { node, key, value } => match self.find(node) {
                Some(index) => {
                    let kind = Kind::DriverInfo;
                    self.texts.set_pair(index, kind, key, value).is_ok()
                }
                None => false,
            },
            Record::Word { place, word } => self.texts.set(rack, Kind::Word(place), word).is_ok(),
            Record::Flavor { place, name, need } => {
                self.flavors.retain(|flavor| flavor.place != place);
                self.texts.set(rack, Kind::Flavor(place), name).is_ok()
                    && self.flavors.push(Flavor { place, need }).is_ok()
            }
            Record::FlavorGone { place } => {
                self.flavors.retain(|flavor| flavor.place != place);
                self.texts.set(rack, Kind::Flavor(place), "").is_ok()
            }
            Record::Allocated {
                node,
                allocation,
                wanted,
                name,
                class,
            } => match self.find(node) {
                Some(index) => self
                    .allocated(index, allocation, name, class, wanted)
                    .is_ok(),
                None => false,
            },
            Record::Network { network, name } => {
                let place = network.place;
                self.book.set_network(now, network).is_ok()
                    && self.texts.set(rack, Kind::Network(place), name).is_ok()
            }
            Record::NetworkGone { place } => {
                self.book.remove_network(now, place).is_ok()
                    && self.texts.set(rack, Kind::Network(place), "").is_ok()
            }
            Record::Address {
                network,
                mac,
                address,
                named,
            } => self
                .book
                .put_back(now, network, mac, address, named, self.config.lease_secs),
            Record::AddressGone { network, mac } => {
                // How much of its rest is over nobody knows.
                let rest = self.config.lease_secs;
                self.book.take(now, network, mac, rest).is_some()
            }
            Record::TenantGone { node } => {
                let rest = self.config.lease_secs;
                match self.find(node).and_then(|index| self.nodes.get(index)) {
                    Some(node) => {
                        self.book.end_tenant(now, &node.macs, rest);
                        true
                    }
                    None => false,
                }
            }
            Record::Deallocated { node } => self.on_place(node, Self::deallocated),
            _ => false,
        }
    }

    fn on_node(
        &mut self,
        id: farrier_protocol::message::NodeId,
        change: impl FnOnce(&mut Node),
    ) -> bool {
        let node = self.find(id).and_then(|index| self.nodes.get_mut(index));
        node.map(change).is_some()
    }

    fn on_place(
        &mut self,
        id: farrier_protocol::message::NodeId,
        change: impl FnOnce(&mut Self, usize),
    ) -> bool {
        match self.find(id) {
            Some(index) => {
                change(self, index);
                true
            }
            None => false,
        }
    }
}
