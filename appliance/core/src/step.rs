//! One step of the rack: an input goes to the room that it is for, power is
//! reconciled, one node's deadline is looked at, and what changed is written.

use crate::interface::{
    ActorKind, Effects, Input, Instant, NetworkId, OperationId, Serve, SwitchAddress, SwitchLogin,
    SwitchSecret,
};
use crate::ipam::Domain;
use crate::provisioning::deadlines::wakes_at;
use crate::rack::{Entropy, Rack, TICK_MILLIS, count};
use farrier_protocol::message::NodeId;

/// When nothing is due, [`Rack::wake_at`] is so much later, in milliseconds.
const IDLE_MILLIS: u64 = 3_600_000;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Takes one fact in. What shall be done is in `out` afterwards, in the
    /// order in which it is to be done; what was in `out` before is dropped.
    pub fn step(
        &mut self,
        now: Instant,
        input: Input<'_>,
        entropy: &mut dyn Entropy,
        out: &mut Effects,
    ) {
        out.clear();
        self.now = now;
        self.actor = match &input {
            Input::Command { actor, .. } => (actor.kind, actor.kept()),
            Input::Agent { .. } => (ActorKind::Agent, heapless::String::new()),
            _ => (ActorKind::Rack, heapless::String::new()),
        };
        match input {
            Input::Tick => {}
            Input::Start { images } => self.start(images, entropy, out),
            Input::FirstAccount(verifier) => self.take_first_account(verifier, out),
            Input::Image(image) => self.learn_image(image),
            Input::Dhcp {
                network,
                from,
                payload,
            } => match self.domain(network) {
                Some(Domain::Boot) => {
                    self.dhcp(now, NetworkId::PROVISIONING, from, payload, out);
                }
                Some(Domain::Tenant(of)) => self.tenant_dhcp(now, &of, (from, payload), out),
                None => count(&mut self.counters.dhcp_ignored),
            },
            Input::PxeRequest {
                network,
                from,
                source,
                payload,
            } => match self.domain(network) {
                Some(Domain::Boot) => self.pxe_request(now, (from, source), payload, out),
                Some(Domain::Tenant(_)) | None => count(&mut self.counters.dhcp_ignored),
            },
            Input::Agent { from, datagram } if self.domain(from.network) == Some(Domain::Boot) => {
                self.agent(now, self.in_boot_domain(from), datagram, entropy, out);
            }
            Input::Agent { .. } => count(&mut self.counters.agent_stray),
            Input::Sighting(sighting) => {
                if self.sighted(now, sighting) {
                    self.shut_port(now, sighting, out);
                }
            }
            Input::Uplink(heard) => self.uplink = Some((heard.clone(), now)),
            Input::Seen { mac, vlan } => self.port_seen(now, mac, vlan),
            Input::Open {
                transport,
                network,
                peer,
                path,
            } => match self.domain(network) {
                Some(Domain::Boot) => {
                    self.open(now, transport, (NetworkId::PROVISIONING, peer), path, out);
                }
                Some(Domain::Tenant(_)) | None => {
                    count(&mut self.counters.files_refused);
                    out.serve(Serve::NotFound);
                }
            },
            Input::Sent {
                network: _,
                peer,
                path,
                bytes: _,
                complete,
            } => self.sent(now, peer, path, complete),
            Input::Command { actor: _, command } => {
                let answer = self.command(now, command, out);
                out.answer(answer);
            }
            Input::OperationDone { id, result } => {
                if self.operation_done(now, id, result).is_none()
                    && let Some(outcome) = self.port_operation_done(now, id, result, out)
                {
                    self.port_outcome(now, outcome, out);
                }
            }
            Input::PortRead {
                id,
                vlan,
                link,
                learned,
            } => self.port_read(now, id, vlan, (link, learned), out),
            // The operation ends by it, and its error says so.
            Input::HostKey { switch, key } => self.host_key_met(switch, key),
            Input::Observed { node, power } => {
                let _node = self.observed(now, node, power, out);
            }
            Input::BootObserved { node, boot } => self.boot_observed(now, node, boot),
            Input::LoginWorked { node, former } => self.login_worked(node, former, out),
        }
        if !self.ports.all().is_empty()
            && let Some(outcome) = self.look_at_ports(now, entropy, out)
        {
            self.port_outcome(now, outcome, out);
        }
        for index in self.touched() {
            self.reconcile(now, index, out);
        }
        if now >= self.next_tick {
            self.next_tick = now.plus_millis(TICK_MILLIS);
            self.actor = (ActorKind::Rack, heapless::String::new());
            self.look_at_deadlines(now, out);
            self.seal_anew(out);
        }
        self.write_touched(out);
        let far = now.plus_millis(IDLE_MILLIS);
        self.nodes
            .refresh_wakes(|node| wakes_at(node, now).unwrap_or(far));
    }

    /// How the driver of this switch logs in; `None` for a switch that the rack
    /// does not know, and for one without a login.
    pub fn switch_login(&self, switch: SwitchAddress) -> Option<SwitchLogin> {
        let mut known = self.ports.switches().iter();
        let switch = known.find(|known| known.address == switch && !known.user.is_empty())?;
        Some(SwitchLogin {
            user: switch.user.clone(),
            secret: match switch.has_password() {
                true => SwitchSecret::Password(switch.password.0.clone()),
                false => SwitchSecret::Key(self.secrets.as_ref()?.switches.0),
            },
            host_key: switch.host_key,
        })
    }

    /// Whether the rack still waits for the end of this operation on a switch.
    pub fn awaits_switch(&self, id: OperationId) -> bool {
        self.ports.awaits(id)
    }

    /// When [`Input::Tick`] is due next: at the first deadline of any node,
    /// but not more often than once in [`TICK_MILLIS`]. A later step may
    /// bring it forward.
    pub fn wake_at(&self) -> Instant {
        if self.quarantined > 0 {
            return self.next_tick;
        }
        let idle = self.next_tick.plus_millis(IDLE_MILLIS);
        let due = self.nodes.first_wake().unwrap_or(idle);
        let keys = self.sealing.wake_at().unwrap_or(idle);
        let ports = match self.ports.all() {
            [] => idle,
            _ => self.ports_due,
        };
        due.min(keys).min(ports).max(self.next_tick).min(idle)
    }

    /// A node that should have been looked at by now, although nobody would
    /// do so: tests look for one behind their steps.
    #[doc(hidden)]
    pub fn overslept(&self, now: Instant) -> Option<NodeId> {
        let late = |&index: &usize| {
            let node = self.nodes.get(index);
            self.nodes.wake_of(index) > now
                && node.is_some_and(|node| wakes_at(node, now).is_some_and(|at| at <= now))
        };
        let index = (0..self.nodes.len()).find(late)?;
        self.nodes.get(index).map(|node| node.id)
    }
}
