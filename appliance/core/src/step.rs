//! One step of the rack: an input goes to the room that it is for, power is
//! reconciled, one node's deadline is looked at, and what changed is written.

use crate::interface::{
    ActorKind, Effects, Input, Instant, OperationId, SwitchAddress, SwitchLogin,
};
use crate::provisioning::deadlines::wakes_at;
use crate::rack::{Entropy, Rack, TICK_MILLIS};
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
            } => self.dhcp(now, network, from, payload, out),
            Input::Agent { from, datagram } => self.agent(now, from, datagram, entropy, out),
            Input::Open {
                transport,
                network,
                peer,
                path,
            } => self.open(now, transport, (network, peer), path, out),
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
                let _node = self.operation_done(now, id, result);
            }
            // No node's ports are moved yet.
            Input::PortRead { id: _, vlan: _ } | Input::HostKey { switch: _, key: _ } => {}
            Input::Observed { node, power } => {
                let _node = self.observed(now, node, power);
            }
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
    pub fn switch_login(&self, _switch: SwitchAddress) -> Option<SwitchLogin> {
        None
    }

    /// Whether the rack still waits for the end of this operation on a switch.
    pub fn awaits_switch(&self, _id: OperationId) -> bool {
        false
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
        due.min(keys).max(self.next_tick).min(idle)
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
