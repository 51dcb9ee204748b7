//! How a session with an agent begins: a ticket, its gate, and the one
//! handshake that it is good for.

use crate::identity::{contradicts, is_real_uuid, same_uuid};
use crate::interface::Endpoint;
use crate::interface::Instant;
use crate::interface::{Effects, PowerState};
use crate::node::flags::Flags;
use crate::node::{Hop, cut};
use crate::rack::{Rack, count, edit};
use farrier_protocol::message::HandshakeReply;
use farrier_protocol::server::{self, HandshakeError};
use farrier_protocol::version;
use farrier_protocol::wire::{HandshakeRefusal, Init, SessionId, emit_refused};

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    pub(super) fn handshake(
        &mut self,
        now: Instant,
        from: Endpoint,
        init: &Init<'_>,
        out: &mut Effects,
    ) {
        let found = self.nodes.iter().position(|node| {
            node.boot
                .ticket
                .as_ref()
                .is_some_and(|ticket| ticket.id == init.ticket)
        });
        let Some(index) = found.filter(|_| self.secrets.is_some()) else {
            count(&mut self.counters.agent_stray);
            out.agent_with(from, |room| {
                emit_refused(init.ticket, HandshakeRefusal::TicketUnknown, room)
            });
            return;
        };
        // The gate comes first: what does not pass it costs little, and
        // touches no node.
        let Some(ticket) = self.nodes.get(index).and_then(|node| node.boot.ticket) else {
            return;
        };
        if !server::verify_gate(init, &ticket) {
            count(&mut self.counters.agent_forged);
            return;
        }
        let mut fresh = SessionId(self.last_session.wrapping_add(1));
        // Sessions of before a restart keep their names.
        while self.find_by_session(fresh).is_some() {
            fresh = SessionId(fresh.0.wrapping_add(1));
        }
        let Some(node) = edit!(self, index) else {
            return;
        };
        let Some(secrets) = &self.secrets else {
            return;
        };
        // A ticket is good for one handshake. The same datagram again means
        // that the response was lost; another one, another machine.
        let digest = server::init_digest(init);
        let repeated = node.boot.session.is_some() && node.boot.init_digest == digest;
        let session = match &node.boot.session {
            Some(session) if node.boot.init_digest == digest => {
                if !session.is_unused() {
                    count(&mut self.counters.agent_stray);
                    return;
                }
                session.id()
            }
            Some(_) if !cfg!(farrier_bug = "ticket-twice") => {
                node.boot.ticket_refusals = node.boot.ticket_refusals.saturating_add(1);
                count(&mut self.counters.ticket_reused);
                let [.., a, b, c] = from.mac.0;
                node.set_error(format_args!(
                    "a second machine (MAC ending {a:02x}:{b:02x}:{c:02x}, {}) claimed this \
                     node's boot ticket and was refused",
                    from.ip
                ));
                out.agent_with(from, |room| {
                    emit_refused(init.ticket, HandshakeRefusal::TicketUsed, room)
                });
                return;
            }
            Some(_) | None => {
                self.last_session = fresh.0;
                fresh
            }
        };
        let welcome = HandshakeReply {
            version: version::CURRENT,
            node: node.id,
            boot: node.boot.id,
        };
        let mut refused = None;
        let mut accepted = None;
        let mut other = None;
        let known = &*node;
        out.agent_with(from, |room| {
            let make = |asked: &farrier_protocol::message::AgentHandshake| {
                if contradicts(known, &asked.system_uuid, 0) {
                    other = Some(asked.system_uuid);
                    return Err(HandshakeRefusal::OtherMachine);
                }
                let spoken = version::MIN..=version::CURRENT;
                let version = spoken
                    .rev()
                    .find(|v| (asked.version_min..=asked.version_max).contains(v))
                    .ok_or(HandshakeRefusal::Version)?;
                Ok(HandshakeReply { version, ..welcome })
            };
            match server::accept(&secrets.noise, init, &ticket, session, make, room) {
                Ok(done) => {
                    let len = done.len;
                    accepted = Some(done);
                    Some(len)
                }
                Err(HandshakeError::Refused(reason)) => {
                    refused = Some(reason);
                    emit_refused(init.ticket, reason, room)
                }
                Err(_) => Some(0),
            }
        });
        if let Some(uuid) = other {
            self.other_machine(now, index, &uuid, out);
            return;
        }
        let Some(accepted) = accepted else {
            count(&mut self.counters.agent_forged);
            if refused.is_some() {
                node.last_error =
                    cut("the agent speaks no protocol version that this appliance knows");
            }
            return;
        };
        node.boot.session = Some(accepted.session);
        node.boot.init_digest = digest;
        node.boot.boot_key = accepted.handshake.boot_key;
        node.boot.mode = Some(accepted.handshake.boot_mode);
        if !repeated {
            // A copy of an old handshake is no sign of life.
            node.boot.heard = Some(now);
        }
        node.see_power(now, PowerState::On);
        if !node.flags.contains(Flags::IDENTIFIED) && is_real_uuid(&accepted.handshake.system_uuid)
        {
            // What DHCP and the operator have claimed before does not count
            // against it.
            let agreed = same_uuid(&node.system_uuid, &accepted.handshake.system_uuid);
            node.flags.set(Flags::DHCP_IDENTIFIED, agreed);
            node.system_uuid = accepted.handshake.system_uuid;
            node.serial = 0;
            node.flags.insert(Flags::IDENTIFIED);
        }
        node.timeline.mark(Hop::Handshake, now);
        count(&mut self.counters.sessions);
        // An answer to a node that is gone: the agent is refused at its first
        // question, and starts its machine anew.
        self.merge_known(now, index);
    }
}
