//! How a session with an agent begins: a ticket, its gate, and the one
//! handshake that it is good for.
//!
//! A boot begins with its handshake. Until then nothing of the boot before it
//! ends, whoever asks for scripts and addresses in the machine's name.

use crate::identity::{agent_contradicts, is_real_uuid, new_node_id, same_uuid};
use crate::interface::{Effects, Endpoint, Instant, PowerState};
use crate::ipam::budget::{HANDSHAKES, STRANGERS_HANDSHAKES};
use crate::node::flags::Flags;
use crate::node::{Boot, GivenTicket, HeardElsewhere, Hop, Node, Reason, agent_phase, cut};
use crate::power::{BootDevice, boot_device};
use crate::rack::{Entropy, Rack, count, edit};
use core::net::Ipv4Addr;
use farrier_protocol::credential::Place;
use farrier_protocol::message::{AgentHandshake, BootId, HandshakeReply, Mac, NodeId};
use farrier_protocol::server::{self, Accepted, HandshakeError};
use farrier_protocol::ticket::Ticket;
use farrier_protocol::version;
use farrier_protocol::wire::{HandshakeRefusal, Init, SessionId, emit_refused};

/// Whose handshake it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The node whose interface it came by.
    Known(usize),
    /// The node that this interface joins: no agent has spoken for it yet.
    Joins(usize),
    /// Nobody's so far: a new node of this name.
    New(NodeId),
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    pub(super) fn handshake(
        &mut self,
        now: Instant,
        from: Endpoint,
        init: &Init<'_>,
        entropy: &mut dyn Entropy,
        out: &mut Effects,
    ) {
        let place = Place {
            mac: from.mac,
            address: from.ip.octets(),
            network: from.network.0,
        };
        // Identifiers are not unique among places: the gate decides.
        if let Some((index, given, used)) = self.holder_of(place, init)
            && (used || given.place != place)
            && let Some(credential) = self.credential(given.id, &given.place)
        {
            if server::verify_gate(init, &credential.ticket) {
                let ticket = &credential.ticket;
                if !used && !self.comes_second(index, from, init) {
                    self.refuse(from, init, HandshakeRefusal::TicketUnknown, out);
                    return;
                }
                self.given_before(now, index, (given, ticket), (from, place), init, out);
                return;
            } else if given.place == place {
                count(&mut self.counters.agent_forged);
                return;
            }
        }
        // The gate comes first: what does not pass it costs little, and
        // touches no node.
        let Some(ticket) = self.ticket_for(place, from, init) else {
            self.refuse(from, init, HandshakeRefusal::TicketUnknown, out);
            return;
        };
        if !server::verify_gate(init, &ticket) {
            count(&mut self.counters.agent_forged);
            return;
        }
        let known = self.find_by_mac(from.mac);
        let refused = self.strangers.find(from.mac).and_then(|s| s.refused);
        if known.is_none() && refused == Some(init.ticket) {
            self.refuse(from, init, HandshakeRefusal::OtherMachine, out);
            return;
        }
        if known.is_none() && self.spent.is_some_and(|of| !self.is_later(init.ticket, of)) {
            // A copy of what a machine sent whose node is gone, or a machine that
            // has to start again.
            count(&mut self.counters.ticket_reused);
            self.refuse(from, init, HandshakeRefusal::TicketUsed, out);
            return;
        }
        if let Some(node) = known.and_then(|index| self.nodes.get(index)) {
            let later = |used: GivenTicket| self.is_later(init.ticket, used.id);
            if !node.boot.ticket.is_none_or(later) {
                count(&mut self.counters.ticket_reused);
                self.refuse(from, init, HandshakeRefusal::TicketUsed, out);
                return;
            }
            if boot_device(node) == BootDevice::Disk {
                // It does when it starts again.
                self.refuse(from, init, HandshakeRefusal::TicketUnknown, out);
                return;
            }
        }
        if let Some(index) = known
            && let Some(other) = self.other_holder(index, init)
        {
            let id = init.ticket;
            self.second_holder(now, index, GivenTicket { id, place }, other, out);
            self.refuse(from, init, HandshakeRefusal::TicketUsed, out);
            return;
        }
        self.begin(now, (from, place), init, &ticket, entropy, out);
    }

    /// A node that the ticket of an init was given to, and whether it is used. The
    /// one at this place comes first.
    fn holder_of(&self, place: Place, init: &Init<'_>) -> Option<(usize, GivenTicket, bool)> {
        let mut elsewhere = None;
        for (index, node) in self.nodes.iter().enumerate() {
            for (given, used) in [(node.boot.ticket, true), (node.offered, false)] {
                match given {
                    Some(given) if given.id == init.ticket && given.place == place => {
                        return Some((index, given, used));
                    }
                    Some(given) if given.id == init.ticket => {
                        elsewhere = Some((index, given, used));
                    }
                    _ => {}
                }
            }
        }
        elsewhere
    }

    /// Whether another handshake than this one came from elsewhere before, with the
    /// same unused ticket. The first is kept until the ticket's own machine speaks:
    /// it may be a copy of that machine's that was faster, and copies stop nobody.
    fn comes_second(&mut self, index: usize, from: Endpoint, init: &Init<'_>) -> bool {
        let digest = short_digest(init);
        let Some(node) = self.nodes.get(index) else {
            return false;
        };
        if let Some(heard) = node.heard_elsewhere {
            return heard.digest != digest;
        }
        let [_, _, _, d, e, f] = from.mac.0;
        if let Some(mut node) = self.nodes.volatile(index) {
            node.set_heard_elsewhere(Some(HeardElsewhere {
                digest,
                mac: [d, e, f],
                ip: from.ip,
            }));
        }
        false
    }

    /// Who else has sent a handshake of its own with the ticket of this one, which
    /// comes from the ticket's machine.
    fn other_holder(&mut self, index: usize, init: &Init<'_>) -> Option<([u8; 3], Ipv4Addr)> {
        let node = self.nodes.get(index)?;
        node.offered.filter(|given| given.id == init.ticket)?;
        let heard = node.heard_elsewhere?;
        if heard.digest != short_digest(init) {
            return Some((heard.mac, heard.ip));
        }
        self.nodes.volatile(index)?.set_heard_elsewhere(None);
        None
    }

    /// The ticket of an init, if it is good now and its sender has the lease that
    /// it may have been given to.
    fn ticket_for(&self, place: Place, from: Endpoint, init: &Init<'_>) -> Option<Ticket> {
        // The cheap questions first: a flood costs no hash.
        if !self.is_fresh(init.ticket) || self.place_at(from.network, from.ip) != Some(place) {
            return None;
        }
        Some(self.credential(init.ticket, &place)?.ticket)
    }

    fn refuse(
        &mut self,
        to: Endpoint,
        init: &Init<'_>,
        reason: HandshakeRefusal,
        out: &mut Effects,
    ) {
        count(&mut self.counters.agent_stray);
        out.agent_with(to, |room| emit_refused(init.ticket, reason, room));
    }

    /// A ticket that was used, or that was given to somebody else. The same
    /// datagram again means that the response was lost, or that somebody has
    /// copied it; another one, that two machines have the ticket.
    fn given_before(
        &mut self,
        now: Instant,
        index: usize,
        (given, ticket): (GivenTicket, &Ticket),
        (from, place): (Endpoint, Place),
        init: &Init<'_>,
        out: &mut Effects,
    ) {
        let digest = server::init_digest(init);
        let Some(node) = self.nodes.get(index) else {
            return;
        };
        let session = node.boot.session.as_ref();
        if node.boot.init_digest == digest {
            match session.filter(|session| session.is_unused() && given.place == place) {
                Some(session) => {
                    let session = session.id();
                    if !self.may_shake_hands(now, from.mac) {
                        return;
                    }
                    self.repeat(index, from, init, ticket, session, out);
                }
                None => count(&mut self.counters.agent_stray),
            }
            return;
        }
        if cfg!(farrier_bug = "ticket-twice") {
            let Some(session) = session.map(server::Session::id) else {
                return;
            };
            self.repeat(index, from, init, ticket, session, out);
            return;
        }
        // Where the boot of this ticket is over there is nothing to stop, and a copy
        // of a second holder's handshake must not end the work after it.
        let over = session.is_none() && node.boot.ticket == Some(given);
        if over {
            count(&mut self.counters.ticket_reused);
        } else {
            let [_, _, _, d, e, f] = from.mac.0;
            self.second_holder(now, index, given, ([d, e, f], from.ip), out);
        }
        self.refuse(from, init, HandshakeRefusal::TicketUsed, out);
    }

    /// Two machines have a boot's ticket: neither gets an order, whoever came
    /// first, and the node's error names the place of the other one.
    fn second_holder(
        &mut self,
        now: Instant,
        index: usize,
        given: GivenTicket,
        ([a, b, c], ip): ([u8; 3], Ipv4Addr),
        out: &mut Effects,
    ) {
        count(&mut self.counters.ticket_reused);
        let Some(node) = edit!(self, index) else {
            return;
        };
        node.boot.ticket_refusals = node.boot.ticket_refusals.saturating_add(1);
        node.boot.ticket = Some(given);
        node.boot.session = None;
        node.offered = None;
        node.heard_elsewhere = None;
        node.set_error(format_args!(
            "a second machine (MAC ending {a:02x}:{b:02x}:{c:02x}, {ip}) has this boot's ticket: \
             no more orders. Find it, then restart the node's machine"
        ));
        if agent_phase(node.state).is_some() {
            self.fail(now, index, Reason::SecondHolder, out);
        }
    }

    /// Whether there is room for a handshake, which costs some millions of
    /// instructions. A good ticket is no reason: every lease comes with one.
    fn may_shake_hands(&mut self, now: Instant, mac: Mac) -> bool {
        let may = match self.find_by_mac(mac) {
            Some(_) => self.handshakes.take(now, mac, &HANDSHAKES),
            None => self.new_handshakes.take(now, mac, &STRANGERS_HANDSHAKES),
        };
        if !may {
            count(&mut self.counters.handshakes_deferred);
        }
        may
    }

    /// Answers a handshake again whose response was lost. It is no sign of life.
    fn repeat(
        &mut self,
        index: usize,
        from: Endpoint,
        init: &Init<'_>,
        ticket: &Ticket,
        session: SessionId,
        out: &mut Effects,
    ) {
        let Some((node, boot)) = self.nodes.get(index).map(|node| (node.id, node.boot.id)) else {
            return;
        };
        let decide = |_: &AgentHandshake| Ok((node, boot));
        let Ok(Some(accepted)) = self.answer(from, init, ticket, session, decide, out) else {
            count(&mut self.counters.agent_forged);
            return;
        };
        count(&mut self.counters.sessions);
        if let Some(node) = edit!(self, index) {
            node.boot.session = Some(accepted.session);
            node.boot.boot_key = accepted.handshake.boot_key;
            node.boot.init_digest = server::init_digest(init);
        }
    }

    /// Runs the handshake and sends its response, or a refusal. `None` where the
    /// datagram was forged.
    fn answer(
        &self,
        from: Endpoint,
        init: &Init<'_>,
        ticket: &Ticket,
        session: SessionId,
        decide: impl FnOnce(&AgentHandshake) -> Result<(NodeId, BootId), HandshakeRefusal>,
        out: &mut Effects,
    ) -> Result<Option<Accepted>, HandshakeRefusal> {
        let mut result = Ok(None);
        let Some(secrets) = &self.secrets else {
            return result;
        };
        out.agent_with(from, |room| {
            let make = |asked: &AgentHandshake| {
                let (node, boot) = decide(asked)?;
                let spoken = version::MIN..=version::CURRENT;
                let version = spoken
                    .rev()
                    .find(|v| (asked.version_min..=asked.version_max).contains(v))
                    .ok_or(HandshakeRefusal::Version)?;
                Ok(HandshakeReply {
                    version,
                    node,
                    boot,
                })
            };
            match server::accept(&secrets.noise, init, ticket, session, make, room) {
                Ok(done) => {
                    let len = done.len;
                    result = Ok(Some(done));
                    Some(len)
                }
                Err(HandshakeError::Refused(reason)) => {
                    result = Err(reason);
                    emit_refused(init.ticket, reason, room)
                }
                Err(_) => Some(0),
            }
        });
        result
    }

    /// A ticket is used up: the boot before it ends, and this one begins.
    fn begin(
        &mut self,
        now: Instant,
        (from, place): (Endpoint, Place),
        init: &Init<'_>,
        ticket: &Ticket,
        entropy: &mut dyn Entropy,
        out: &mut Effects,
    ) {
        if !self.may_shake_hands(now, from.mac) {
            self.refuse(from, init, HandshakeRefusal::Busy, out);
            return;
        }
        let mut session = SessionId(self.last_session.wrapping_add(1));
        // Sessions of before a restart keep their names.
        while self.find_by_session(session).is_some() {
            session = SessionId(session.0.wrapping_add(1));
        }
        let boot = BootId(self.last_boot.wrapping_add(1));
        let known = self.find_by_mac(from.mac);
        let fresh = match known {
            Some(_) => NodeId([0; 16]),
            None => new_node_id(entropy),
        };
        let (mut owner, mut said) = (None, [0; 16]);
        let decide = |asked: &AgentHandshake| {
            said = asked.system_uuid;
            let decided = self.owner(known, &said, fresh)?;
            owner = Some(decided);
            let index = match decided {
                Owner::Known(index) | Owner::Joins(index) => self.nodes.get(index),
                Owner::New(_) => None,
            };
            Ok((index.map_or(fresh, |node| node.id), boot))
        };
        let accepted = match self.answer(from, init, ticket, session, decide, out) {
            Ok(Some(accepted)) => accepted,
            Ok(None) => {
                count(&mut self.counters.agent_forged);
                return;
            }
            Err(reason) => {
                self.refused(now, (known, reason), &said, from, out);
                if reason != HandshakeRefusal::Busy {
                    self.use_up(known, from, place, init);
                }
                return;
            }
        };
        let Some(index) = owner.and_then(|owner| self.place_for(now, owner, from)) else {
            return;
        };
        self.last_session = session.0;
        self.last_boot = boot.0;
        self.strangers.take(from.mac);
        self.restarted(now, index, out);
        let Some(node) = edit!(self, index) else {
            return;
        };
        node.boot = Boot {
            id: boot,
            ticket: Some(GivenTicket {
                id: init.ticket,
                place,
            }),
            session: Some(accepted.session),
            init_digest: server::init_digest(init),
            boot_key: accepted.handshake.boot_key,
            mode: Some(accepted.handshake.boot_mode),
            heard: Some(now),
            ..Boot::none()
        };
        node.offered = None;
        node.address = from.ip;
        node.see_power(now, PowerState::On);
        node.power_control.network = from.network;
        identify_once(node, &said);
        node.timeline.mark(Hop::Handshake, now);
        count(&mut self.counters.sessions);
    }

    /// Whose handshake it is, by the interface and by what the agent says.
    fn owner(
        &self,
        known: Option<usize>,
        uuid: &[u8; 16],
        fresh: NodeId,
    ) -> Result<Owner, HandshakeRefusal> {
        if let Some((index, node)) = known.and_then(|index| Some((index, self.nodes.get(index)?))) {
            return match agent_contradicts(node, uuid, None) {
                true => Err(HandshakeRefusal::OtherMachine),
                false => Ok(Owner::Known(index)),
            };
        }
        match Some(uuid).filter(|uuid| is_real_uuid(uuid)) {
            Some(uuid) if let Some(index) = self.find_by_uuid(uuid) => {
                if self.may_join(index) {
                    return Ok(Owner::Joins(index));
                }
                if self.is_in_use(index) {
                    return Err(HandshakeRefusal::OtherMachine);
                }
            }
            _ => {}
        }
        match self.has_room() {
            true => Ok(Owner::New(fresh)),
            false => Err(HandshakeRefusal::Busy),
        }
    }

    /// The node of a handshake, which it may have to be made for.
    fn place_for(&mut self, now: Instant, owner: Owner, from: Endpoint) -> Option<usize> {
        let id = match owner {
            Owner::Known(index) => return Some(index),
            Owner::Joins(index) => {
                self.add_port(index, from.mac).ok()?;
                return Some(index);
            }
            Owner::New(id) => id,
        };
        let mut node = Node::discovered(id, from.mac, now);
        if let Some(stranger) = self.strangers.find(from.mac) {
            node.system_uuid = stranger.uuid;
            node.timeline = stranger.timeline;
        }
        self.add_node(node).ok()
    }

    /// A holder of a good ticket was refused.
    fn refused(
        &mut self,
        now: Instant,
        (known, reason): (Option<usize>, HandshakeRefusal),
        said: &[u8; 16],
        from: Endpoint,
        out: &mut Effects,
    ) {
        match (reason, known) {
            (HandshakeRefusal::OtherMachine, Some(index)) => {
                self.other_machine(now, index, said, out);
            }
            (HandshakeRefusal::OtherMachine, None) => self.claimed(from, said),
            (HandshakeRefusal::Busy, _) => count(&mut self.counters.nodes_full),
            (_, Some(index)) => {
                count(&mut self.counters.agent_forged);
                if let Some(node) = edit!(self, index) {
                    node.last_error =
                        cut("the agent speaks no protocol version that this appliance knows");
                }
            }
            (_, None) => count(&mut self.counters.agent_forged),
        }
    }

    /// The ticket of a handshake that was refused is good for no other one.
    fn use_up(&mut self, known: Option<usize>, from: Endpoint, place: Place, init: &Init<'_>) {
        let id = init.ticket;
        match known {
            Some(index) => {
                if let Some(node) = edit!(self, index)
                    && node.boot.session.is_none()
                {
                    node.boot.ticket = Some(GivenTicket { id, place });
                    node.boot.init_digest = server::init_digest(init);
                }
            }
            None => {
                if let Some(stranger) = self.strangers.see(self.now, from.mac) {
                    stranger.refused = Some(id);
                }
            }
        }
    }

    /// A machine says the UUID of a node in use and comes by an interface that is
    /// not the node's. Where that is its own, an operator says so.
    fn claimed(&mut self, from: Endpoint, said: &[u8; 16]) {
        count(&mut self.counters.identity_conflicts);
        if let Some(stranger) = self.strangers.see(self.now, from.mac) {
            stranger.uuid = *said;
        }
        let [a, b, c, d, e, f] = from.mac.0;
        if let Some(index) = self.find_by_uuid(said)
            && let Some(node) = edit!(self, index)
            && node.last_error.is_empty()
        {
            node.set_error(format_args!(
                "a machine with this node's UUID booted by another interface and got nothing: if \
                 it is this one, add the port {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"
            ));
        }
    }
}

/// Enough to tell a copy from another handshake: who holds the ticket gains nothing
/// by two that look the same, and knows the machine's only once that was sent.
fn short_digest(init: &Init<'_>) -> [u8; 4] {
    let [a, b, c, d, ..] = server::init_digest(init);
    [a, b, c, d]
}

/// The first agent of a node says which machine it is. What DHCP and operators
/// have claimed before does not count against it.
fn identify_once(node: &mut Node, said: &[u8; 16]) {
    if node.flags.contains(Flags::IDENTIFIED) || !is_real_uuid(said) {
        return;
    }
    let agreed = same_uuid(&node.system_uuid, said);
    node.flags.set(Flags::DHCP_IDENTIFIED, agreed);
    node.system_uuid = *said;
    node.serial = 0;
    node.flags.insert(Flags::IDENTIFIED);
}
