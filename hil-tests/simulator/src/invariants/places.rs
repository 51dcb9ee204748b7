//! The invariants of who gets what: a session, an order, a boot ticket and a
//! reserved address go to the machine of their node and to no other.

use farrier_core::ipam::PROVISIONING;
use farrier_core::node::flags::Flags;
use farrier_core::{Endpoint, Rack};
use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_protocol::message::{Mac, Order};
use farrier_protocol::wire::Datagram;

use super::Invariants;
use crate::appliance::{Appliance, SimRack};
use crate::machine::Machine;

impl Invariants {
    /// The appliance answers an agent: what belongs to a session goes to the
    /// place that the session's ticket was given to.
    pub(super) fn answers(
        &mut self,
        now: u64,
        appliance: &Appliance,
        to: Endpoint,
        datagram: &[u8],
    ) {
        let (session, response) = match Datagram::parse(datagram) {
            Ok(Datagram::Response { session, .. }) => (session, true),
            Ok(Datagram::Reply { session, .. }) => (session, false),
            Ok(Datagram::Refused { .. } | Datagram::UnknownSession { .. }) => return,
            Ok(Datagram::Init(_) | Datagram::Request { .. }) | Err(_) => {
                self.wrong(now, || format!("{to:?} gets what no appliance sends"));
                return;
            }
        };
        let mut nodes = appliance.rack().nodes().iter();
        let own = nodes.find(|node| {
            let own = node.boot.session.as_ref();
            own.is_some_and(|own| own.id() == session)
        });
        let place = own.and_then(|node| {
            let place = node.boot.ticket?.place;
            node.macs.contains(&to.mac).then_some(place)
        });
        let is_at = place.is_some_and(|place| {
            let address = !response || place.address == to.ip.octets();
            place.mac == to.mac && place.network == to.network.0 && address
        });
        if !is_at {
            let what = if response { "session" } else { "answer" };
            let owner = own.map(|node| (&node.macs, node.boot.ticket.map(|ticket| ticket.place)));
            self.wrong(now, || {
                format!("{to:?} gets another machine's {what}, of {session:?}: {owner:?}")
            });
        }
    }

    /// An agent has taken an order: its node is this machine.
    pub fn order_taken(&mut self, now: u64, rack: &SimRack, machine: &Machine, order: &Order) {
        // An order may be on its way while an operator deletes its node.
        let node = rack
            .find(order.node)
            .and_then(|slot| rack.nodes().get(slot));
        if node.is_some_and(|node| !node.macs.iter().any(|mac| machine.macs.contains(mac))) {
            self.wrong(now, || {
                format!("machine {} takes an order of another one", machine.index)
            });
        }
    }

    /// A DHCP reply: an address that is reserved goes to its owner.
    pub(super) fn reserved(&mut self, now: u64, rack: &SimRack, reply: &[u8]) {
        let Ok(reply) = Reply::parse(reply) else {
            return;
        };
        let owner = rack.ipam().owner(PROVISIONING, reply.yiaddr);
        if owner.is_some_and(|owner| owner.0 != reply.chaddr)
            && reply.message_type != MessageType::Nak
        {
            self.wrong(now, || {
                format!("{:?} is given {}", Mac(reply.chaddr), reply.yiaddr)
            });
        }
    }
}

/// What a machine that says by DHCP that it is another than its interface's node
/// gets of that node; `None` where it gets nothing.
pub fn gets_anothers<const N: usize, const L: usize, const D: usize>(
    rack: &Rack<N, L, D>,
    request: &Request<'_>,
    reply: &[u8],
) -> Option<String> {
    let mac = Mac(request.chaddr);
    let mut nodes = rack.nodes().iter();
    let node = nodes.find(|node| node.macs.contains(&mac))?;
    let said = request.uuid().filter(|uuid| *uuid != [0; 16])?;
    let identified = Flags::IDENTIFIED.union(Flags::DHCP_IDENTIFIED);
    let mut mixed = said;
    // As some firmware sends it: the first three fields in the other order.
    mixed[..4].reverse();
    mixed[4..6].reverse();
    mixed[6..8].reverse();
    let same = [said, mixed].contains(&node.system_uuid);
    if same || !node.flags.contains(identified) {
        return None;
    }
    let reply = Reply::parse(reply).ok()?;
    if rack.ipam().find(PROVISIONING, mac) == Some(reply.yiaddr) {
        return Some(format!("another machine at {mac:?} gets its address"));
    }
    let file = String::from_utf8_lossy(reply.boot_file.unwrap_or_default());
    file.contains("/boot/")
        .then(|| format!("another machine at {mac:?} gets its script"))
}
