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

#[cfg(test)]
mod tests {
    use crate::every_verb::Bench;
    use farrier_lifecycle::State;
    use std::format;
    use std::string::String;

    /// What operators see of all this, without what other records bring back
    /// (names) and what is told anew (times).
    fn shown(bench: &mut Bench) -> String {
        let fields = "uuid,maintenance,maintenance_reason,protected,protected_reason,retired,\
                      retired_reason,driver_info,resource_class,traits,allocation_uuid,\
                      instance_uuid,fault,power_state";
        let mut all = String::new();
        for target in [
            &*format!("/v1/nodes?fields={fields}"),
            "/v1/ports",
            "/v1/allocations",
            "/farrier/v1/flavors",
            "/farrier/v1/networks",
            "/farrier/v1/addresses",
        ] {
            let (status, reply) = bench.api("GET", target, "");
            assert_eq!(status, 200, "{reply}");
            all += reply.split_once("\r\n\r\n").expect("a body").1;
        }
        all
    }

    #[test]
    fn a_journal_brings_back_what_operators_did() {
        let mut bench = Bench::new(State::Available);
        let own = "07070707-0707-0707-0707-070707070707";
        let spare = "11111111-2222-4333-8444-555555555555";
        let port = format!(r#"{{"node_uuid": "{spare}", "address": "02:00:00:00:00:09"}}"#);
        let node = format!(
            r#"{{"driver": "farrier", "uuid": "{spare}", "resource_class": "small",
                "driver_info": {{"a": "b", "c": "d"}}}}"#
        );
        let to_own = |what: &str| format!("/v1/nodes/{own}{what}");
        let to_spare = |what: &str| format!("/v1/nodes/{spare}{what}");
        let patch = r#"[{"op": "add", "path": "/resource_class", "value": "large"},
            {"op": "add", "path": "/driver_info/x", "value": "y"}]"#;
        let retire = r#"[{"op": "add", "path": "/retired", "value": true},
            {"op": "add", "path": "/retired_reason", "value": "old"},
            {"op": "remove", "path": "/driver_info/c"}]"#;
        let network = r#"{"pool_first": "10.1.0.10", "pool_len": 5, "vlan": 7}"#;
        for (method, target, body, status) in [
            ("PATCH", to_own(""), patch, 200),
            (
                "PUT",
                to_own("/traits"),
                r#"{"traits": ["A", "B", "C"]}"#,
                204,
            ),
            ("DELETE", to_own("/traits/B"), "", 204),
            (
                "PUT",
                "/farrier/v1/flavors/f".into(),
                r#"{"cpus": 0, "traits": ["A"]}"#,
                204,
            ),
            ("PUT", "/farrier/v1/flavors/g".into(), "{}", 204),
            ("DELETE", "/farrier/v1/flavors/g".into(), "", 204),
            ("POST", "/v1/nodes".into(), &node, 201),
            ("POST", "/v1/ports".into(), &port, 201),
            ("PATCH", to_spare(""), retire, 200),
            ("PUT", to_spare("/maintenance"), r#"{"reason": "fan"}"#, 202),
            ("POST", "/v1/nodes".into(), r#"{"driver": "farrier"}"#, 201),
            (
                "POST",
                "/v1/allocations".into(),
                r#"{"resource_class": "f"}"#,
                201,
            ),
            ("DELETE", to_own("/allocation"), "", 204),
            (
                "POST",
                "/v1/allocations".into(),
                r#"{"resource_class": "large", "name": "n", "traits": ["C"]}"#,
                201,
            ),
            ("PUT", "/farrier/v1/networks/blue".into(), network, 204),
            (
                "PUT",
                "/farrier/v1/addresses/blue/02:00:00:00:00:09".into(),
                "{}",
                204,
            ),
            (
                "PUT",
                "/farrier/v1/addresses/blue/02:00:00:00:00:08".into(),
                "{}",
                204,
            ),
            (
                "DELETE",
                "/farrier/v1/addresses/blue/02:00:00:00:00:08".into(),
                "",
                204,
            ),
        ] {
            let (got, reply) = bench.api(method, &target, body);
            assert_eq!(got, status, "{method} {target}: {reply}");
        }
        let before = shown(&mut bench);
        assert!(
            before.contains("\"blue\"") && before.contains("fan"),
            "{before}"
        );

        // Another start: the first node is brought back by its own records.
        let mut again = Bench::new(State::Available);
        assert!(bench.records.len() >= 30);
        for bytes in &bench.records {
            // Twice is as good as once.
            for _ in 0..2 {
                assert!(again.rack.restore(again.now, bytes));
            }
        }
        assert_eq!(shown(&mut again), before);
    }
}
