//! What is due for each port: a move begins, a driver is asked, a move is taken back.

use super::{Doubt, PortOutcome, takes_off};
use crate::interface::{
    Effects, Instant, OperationId, PowerState, SwitchAction, SwitchKind, SwitchOperation,
};
use crate::node::Node;
use crate::node::flags::Flags;
use crate::node::power::jitter;
use crate::ports::{PortControl, Sources, SwitchPort};
use crate::rack::{Entropy, MAX_TOUCHED, Rack, count, edit};
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::Mac;

/// How long a driver may take for one operation, in milliseconds: a small switch
/// takes seconds for each step of SSH and NETCONF, and half a minute for a commit.
pub const OPERATION_MILLIS: u64 = 120_000;
/// How long a move may take from the first operation to its proof, in
/// milliseconds: a large server tests itself for minutes before its first frame.
pub const MOVE_MILLIS: u64 = 1_200_000;
/// How long it counts that a tenant's machine was seen to be off, in milliseconds:
/// behind a switch that does not answer, a person may have switched it on.
const OFF_MILLIS: u64 = OPERATION_MILLIS;
/// Later than everything.
const NEVER: Instant = Instant::from_millis(u64::MAX);

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Looks at the ports that a step may have to do with: all of them where one is
    /// due or a tick is, or else those of the nodes that the step has touched, since
    /// most datagrams touch a node. Returns a node whose work has failed by that.
    pub(crate) fn look_at_ports(
        &mut self,
        now: Instant,
        entropy: &mut dyn Entropy,
        out: &mut Effects,
    ) -> Option<PortOutcome> {
        let ticks = now >= self.next_tick && self.touched().next().is_some();
        if now >= self.ports_due || ticks {
            return self.reconcile_ports(now, None, entropy, out);
        }
        for index in self.touched() {
            let outcome = self.reconcile_ports(now, Some(index), entropy, out);
            // One operation a step.
            if outcome.is_some() || now >= self.ports_due {
                return outcome;
            }
        }
        None
    }

    /// Looks at every port, or at those of one node: begins what is due, and at most
    /// one operation a step. Returns a node whose work has failed by that.
    fn reconcile_ports(
        &mut self,
        now: Instant,
        only: Option<usize>,
        entropy: &mut dyn Entropy,
        out: &mut Effects,
    ) -> Option<PortOutcome> {
        let mut asked = false;
        for place in 0..self.ports.all().len() {
            if self.touched().count() >= MAX_TOUCHED / 2 {
                // A step touches few nodes: the next one goes on.
                asked = true;
                break;
            }
            let Some(mac) = self.ports.all().get(place).map(|port| port.mac) else {
                break;
            };
            if let Some(index) = self.node_of_port(mac, only) {
                if self.works_stopped(index) {
                    self.ports_due = now;
                    return Some(PortOutcome::Failed(index));
                }
                self.stop_machine(now, index);
                asked = self.reconcile_port(now, index, mac, entropy, out);
            }
            if asked {
                break;
            }
        }
        let wake = self.ports_wake(only).unwrap_or(NEVER);
        self.ports_due = match (asked, only) {
            // The others have their turn at once, in steps of their own.
            (true, _) => now,
            (false, None) => wake,
            (false, Some(_)) => self.ports_due.min(wake),
        };
        None
    }

    /// The node of a port's interface, where it is this one and its ports are looked
    /// at. Of a node whose records are lost they stay as they are: a tenant may have
    /// it, and neither where a move was going nor how it ended is known.
    pub(super) fn node_of_port(&self, mac: Mac, only: Option<usize>) -> Option<usize> {
        let has = |index: &usize| {
            let node = self.nodes.get(*index);
            node.is_some_and(|node| node.macs.contains(&mac))
        };
        let index = match only {
            Some(index) => Some(index).filter(has)?,
            None => self.find_by_mac(mac)?,
        };
        let flags = self.nodes.get(index).map(|node| node.flags)?;
        (!flags.contains(Flags::RECORDS_LOST)).then_some(index)
    }

    /// A tenant's machine is switched off before its ports leave the tenant's
    /// network.
    fn stop_machine(&mut self, now: Instant, index: usize) {
        let Some(node) = self.nodes.get(index) else {
            return;
        };
        let state = node.state;
        let must_stop = self.ports_of(index).any(|port| {
            let opens = self.is_shut_vlan(port.at);
            let desired = self.desired_vlan(index, port);
            // A restart may find a move that the switch has not made, or has
            // taken back.
            (takes_off(state) || opens)
                && (!port.is_moving() || port.control.applied.is_none())
                && desired
                    .is_some_and(|desired| desired != port.at && self.needs_off(port.at, desired))
        });
        let seen = node.power_control.seen;
        if must_stop
            && node.power == PowerState::Off
            && now.since(seen) >= OFF_MILLIS
            && let Some(node) = edit!(self, index)
        {
            // It is asked for again.
            node.see_power(now, PowerState::Unknown);
            node.power_control.hold_off(now);
        }
        let Some(node) = self.nodes.get(index) else {
            return;
        };
        if must_stop != node.power_control.must_stop
            && let Some(node) = edit!(self, index)
        {
            // Something else is needed now, and waits for nothing.
            node.power_control.must_stop = must_stop;
            node.power_control.hold_off(now);
        }
    }

    /// Returns whether a driver was asked for something.
    fn reconcile_port(
        &mut self,
        now: Instant,
        index: usize,
        mac: Mac,
        entropy: &mut dyn Entropy,
        out: &mut Effects,
    ) -> bool {
        let (Some(node), Some(port)) = (self.nodes.get(index), self.ports.of(mac)) else {
            return false;
        };
        let desired = self.desired_vlan(index, port);
        let off = is_off(node);
        if self.begin_move(now, mac, desired, off, entropy) {
            self.write_port(mac, out);
        }
        let Some(action) = self.needed_of_port(mac, desired, off) else {
            return false;
        };
        let id = OperationId(self.last_operation.wrapping_add(1));
        let node_jitter = self.nodes.get(index).map_or(0, |node| jitter(node.id));
        let Some(port) = self.ports.of_mut(mac) else {
            return false;
        };
        if let Some((_, known, deadline)) = port.control.operation {
            if known == action && now < deadline {
                return false;
            }
            if now >= deadline {
                port.control.failed(now, node_jitter);
                port.control.unread = true;
                count(&mut self.counters.switch_timeouts);
                return false;
            }
            port.control.operation = None;
        }
        if now < port.control.retry_at {
            return false;
        }
        let (name, token, place) = (port.name.clone(), port.token, port.switch);
        let deadline = now.plus_millis(OPERATION_MILLIS);
        port.control.operation = Some((id, action, deadline));
        let Some(switch) = self.ports.switch(place) else {
            return false;
        };
        self.last_operation = id.0;
        let left = match action {
            SwitchAction::Move { from, .. } => Some(from),
            SwitchAction::Undo { to, .. } => Some(to),
            SwitchAction::Read | SwitchAction::Keep { .. } => None,
        };
        let makes = switch.makes_vlans;
        // A switch that takes a move back by itself does so when the appliance has no
        // power, too, and the tenant's system may be back by then.
        let at_once = matches!(action, SwitchAction::Move { to, .. }
            if self.is_tenants_vlan(to) && !self.is_new(index));
        // What is shut leads nowhere, and not to the appliance either.
        let trunk = match action {
            SwitchAction::Move { from, to } | SwitchAction::Undo { from: to, to: from }
                if self.is_shut_vlan(to) || self.is_shut_vlan(from) =>
            {
                ""
            }
            _ => switch.trunk_port.as_str(),
        };
        let asks_table = action == SwitchAction::Read && self.asks_table(mac, off);
        let is_needless = |vlan| self.is_needless(mac, vlan);
        out.switch(
            SwitchOperation {
                id,
                switch: switch.address,
                action,
                token,
                make_vlan: makes && left.is_some(),
                remove_vlan: makes && left.is_some_and(is_needless),
                at_once,
                mac: asks_table.then_some(mac),
                deadline,
            },
            &name,
            trunk,
        );
        true
    }

    /// Begins a move that is due and allowed, and takes one back that is not wanted
    /// any more or was not proven in time. Returns whether the port's record differs.
    fn begin_move(
        &mut self,
        now: Instant,
        mac: Mac,
        desired: Option<u16>,
        off: bool,
        entropy: &mut dyn Entropy,
    ) -> bool {
        let Some((at, to, switch)) = self.ports.of(mac).map(|p| (p.at, p.to, p.switch)) else {
            return false;
        };
        let by_hand = self.ports.is_by_hand(switch);
        let needs_off = desired.is_some_and(|desired| self.needs_off(at, desired));
        let is_held = self.is_held(mac, switch);
        let Some(port) = self.ports.of_mut(mac) else {
            return false;
        };
        // What was begun is ended, one way or the other.
        if to != 0 {
            let late = now.since(port.control.begun) >= MOVE_MILLIS;
            if (late || desired != Some(to)) && !port.control.undo {
                port.control.undo = true;
                port.control.retry_at = now;
                // A move that is being carried out may end either way.
                let dropped = port.control.operation.take();
                port.control.unread |= dropped
                    .is_some_and(|(_, action, _)| matches!(action, SwitchAction::Move { .. }));
            }
            return false;
        }
        let Some(desired) = desired.filter(|desired| *desired != at) else {
            return false;
        };
        let unknown = (at == 0 || port.control.unread) && !by_hand;
        if unknown || is_held || needs_off && !may_leave(off) {
            return false;
        }
        if let Some(doubt) = self.doubt(mac) {
            self.say_doubt(mac, doubt);
            return false;
        }
        let Some(port) = self.ports.of_mut(mac) else {
            return false;
        };
        let mut token = [0; 8];
        entropy.fill(&mut token);
        port.to = desired;
        port.token = u64::from_le_bytes(token);
        port.control = PortControl {
            begun: now,
            failures: port.control.failures,
            retry_at: port.control.retry_at,
            ..port.control.observed()
        };
        count(&mut self.counters.port_moves);
        true
    }

    /// Whether it is asked where the switch has learned an interface's address: until
    /// its port is known for certain, and before a move is proven whose machine is off.
    fn asks_table(&self, mac: Mac, off: bool) -> bool {
        let Some(port) = self.ports.of(mac) else {
            return false;
        };
        let known = Sources::MOVED
            .union(Sources::OPERATOR_AGAIN)
            .union(Sources::LLDP);
        !port.sources.intersects(known) || off && port.is_moving()
    }

    /// Whether a VLAN is needed no longer once an interface's port has left it: no
    /// other port is on it, of any switch, since one may lead to the other, and no
    /// network has it. Of a network with a VLAN for each node the VLAN goes with its
    /// node.
    fn is_needless(&self, mac: Mac, vlan: u16) -> bool {
        let mut ports = self.ports.all().iter();
        let mut networks = self.ipam.networks().iter();
        vlan != 0
            && !ports.any(|p| p.mac != mac && p.vlans().contains(&vlan))
            && !networks.any(|network| network.vlans == 1 && network.vlan == vlan)
    }

    /// Whether a switch takes no other move now: while a confirmed commit waits for
    /// its proof, a switch with NETCONF grants its lock to nobody (RFC 6241, 7.5).
    fn is_held(&self, mac: Mac, switch: u8) -> bool {
        let locks = self.is_netconf(switch);
        let mut ports = self.ports.all().iter();
        locks && ports.any(|port| port.mac != mac && port.switch == switch && port.is_moving())
    }

    /// Whether a switch is spoken to by NETCONF. Such switches have tables of hardware
    /// addresses, or say that they have none.
    fn is_netconf(&self, switch: u8) -> bool {
        let known = self.ports.switch(switch);
        known.is_some_and(|known| known.address.kind == SwitchKind::Netconf)
    }

    /// What the driver should do with a port now.
    fn needed_of_port(&self, mac: Mac, desired: Option<u16>, off: bool) -> Option<SwitchAction> {
        let port = self.ports.of(mac)?;
        let (from, to, control) = (port.at, port.to, &port.control);
        let by_hand = self.ports.is_by_hand(port.switch);
        if !by_hand && (control.unread || from == 0 && to == 0) {
            return Some(SwitchAction::Read);
        }
        if to == 0 {
            // Its machine is to be switched off: a link that is gone shows it. And a
            // table that speaks against the port may have been an old one.
            let elsewhere = self.ports.doubt(mac) == Some(Doubt::LearnedElsewhere);
            let waits = desired.is_some_and(|desired| desired != from) && (!off || elsewhere);
            return (waits && !by_hand).then_some(SwitchAction::Read);
        }
        if control.undo && !cfg!(farrier_bug = "move-without-end") {
            return Some(match self.keeps_tenant(port, off) {
                true => SwitchAction::Keep { from, to },
                false => SwitchAction::Undo { from, to },
            });
        }
        let Some(applied) = control.applied else {
            // It may have been switched on since the move began.
            return match self.needs_off(from, to) && !may_leave(off) {
                true => (!by_hand).then_some(SwitchAction::Read),
                false => Some(SwitchAction::Move { from, to }),
            };
        };
        let seen = self.is_seen_behind(port, applied);
        if !seen && off && !control.looked && self.is_netconf(port.switch) {
            return Some(SwitchAction::Read);
        }
        let proven = seen || off || cfg!(farrier_bug = "flip-without-proof");
        proven.then_some(SwitchAction::Keep { from, to })
    }

    /// Whether a move that is to be taken back has put a tenant's own machine onto
    /// its network, where it may run: it stays there. What was written anew is
    /// nobody's before it was proven.
    pub(super) fn keeps_tenant(&self, port: &SwitchPort, off: bool) -> bool {
        let new = self.find_by_mac(port.mac).is_none_or(|i| self.is_new(i));
        port.control.applied.is_some() && self.is_tenants_vlan(port.to) && !off && !new
    }

    /// Whether what a machine would run on its tenant's network was just written, and
    /// is nobody's yet.
    fn is_new(&self, index: usize) -> bool {
        let node = self.nodes.get(index);
        node.is_none_or(|node| {
            matches!(
                node.state,
                ProvisionState::Deploying
                    | ProvisionState::WaitCallBack
                    | ProvisionState::DeployHold
                    | ProvisionState::DeployFailed
            )
        })
    }

    /// When a port is to be looked at next, if nothing comes before.
    fn ports_wake(&self, only: Option<usize>) -> Option<Instant> {
        let ports = self.ports.all().iter();
        ports
            .filter_map(|port| {
                let index = self.node_of_port(port.mac, only)?;
                let off = self.nodes.get(index).is_some_and(is_off);
                let desired = self.desired_vlan(index, port);
                let late = port.is_moving() && !port.control.undo;
                let late = late.then(|| port.control.begun.plus_millis(MOVE_MILLIS));
                let due = self.needed_of_port(port.mac, desired, off).map(|_| {
                    match port.control.operation {
                        Some((_, _, deadline)) => deadline,
                        None => port.control.retry_at,
                    }
                });
                [late, due].into_iter().flatten().min()
            })
            .min()
    }
}

/// Whether a machine may leave its tenant's network: only switched off.
const fn may_leave(off: bool) -> bool {
    off || cfg!(farrier_bug = "clean-while-running")
}

/// Whether a machine was seen to be off since its present state began.
pub(super) fn is_off(node: &Node) -> bool {
    node.power == PowerState::Off && node.power_control.seen >= node.power_control.since
}
