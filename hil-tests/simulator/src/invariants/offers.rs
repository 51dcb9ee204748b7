//! The invariant of addresses under a flood: a machine that is a node is offered
//! an address when it asks, however many strangers ask.
//!
//! Strangers leave one address for each machine. So one that has a lease by
//! another of its interfaces may have to wait until that ends: who asks first is
//! not known, and addresses for all interfaces of a rack would leave nothing of
//! a small pool for machines that are new.

use std::collections::BTreeMap;

use farrier_core::Input;
use farrier_core::ipam::lease::OFFER_MILLIS;
use farrier_dhcp::wire::{MessageType, Request};
use farrier_protocol::message::Mac;
use farrier_testkit::outcome::Outcome;

use super::Invariants;
use crate::appliance::Appliance;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Offers {
    /// A node's interface that the next step has to offer an address to.
    asked: Option<Mac>,
    /// Steps that were withheld before it.
    withheld: u64,
    /// Until when the last offer to an interface is held.
    held: BTreeMap<Mac, u64>,
}

impl Offers {
    /// An interface was offered an address.
    pub(super) fn offered(&mut self, now: u64, mac: Mac) {
        self.held.insert(mac, now + OFFER_MILLIS);
    }
}

impl Invariants {
    /// A machine's DHCP message, on a network on which it boots, is what the next
    /// step takes.
    pub(crate) fn expects_offer(&mut self, appliance: &Appliance, input: &Input<'_>) {
        let Input::Dhcp { from, payload, .. } = input else {
            return;
        };
        let Ok(request) = Request::parse(payload) else {
            return;
        };
        let whole = request.message_type == MessageType::Discover
            && request.giaddr.is_unspecified()
            && request.chaddr == from.0;
        if whole && appliance.rack().find_by_mac(*from).is_some() {
            self.offers.asked = Some(*from);
            self.offers.withheld = appliance.withheld;
        }
    }

    /// The step was taken. A step whose records are not durable has no effects.
    pub(super) fn check_offer(&mut self, now: u64, appliance: &Appliance, effects: &[Outcome]) {
        let offered = |effect: &Outcome| matches!(effect, Outcome::Dhcp(..));
        let Some(mac) = self.offers.asked.take() else {
            return;
        };
        let withheld = appliance.withheld != self.offers.withheld;
        if appliance.is_down() || withheld || effects.iter().any(offered) {
            return;
        }
        let rack = appliance.rack();
        let node = rack
            .find_by_mac(mac)
            .and_then(|slot| rack.nodes().get(slot));
        let Some(node) = node else {
            return;
        };
        let lives = |(owner, until): (&Mac, &u64)| *until > now && node.macs.contains(owner);
        let has = self
            .promised
            .values()
            .any(|(owner, until)| lives((owner, until)))
            || self.offers.held.iter().any(lives);
        if !has {
            self.wrong(now, || {
                format!("{mac:?} is a node's and is offered no address")
            });
        }
    }
}
