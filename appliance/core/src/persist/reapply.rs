//! Facts out of records, put back where they were: what the life cycle
//! writes down, read by whoever restores the rack after a restart. Records
//! of other parts (states, leases, boots, orders) are not looked at here.

use crate::allocation::Flavor;
use crate::interface::Instant;
use crate::node::Node;
use crate::node::flags::Flags;
use crate::persist::record::Record;
use crate::provisioning::steps::Steps;
use crate::rack::Rack;
use crate::strings::{Full, Kind, RACK, StringPool};
use farrier_protocol::message::Mac;

impl StringPool {
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
            Record::Deleted { node } => self.on_place(node, Self::clear_slot),
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
            Record::Word { place, word } => self.texts.set(rack, Kind::Trait(place), word).is_ok(),
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
            Record::AddressGone { network, mac } => {
                // How much of its rest is over nobody knows.
                let rest = self.config.lease_secs;
                self.ipam.take(now, network, mac, rest).is_some()
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
