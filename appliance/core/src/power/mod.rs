//! What should be true of a machine, what was seen of it, and the operations
//! that drivers are asked for in between.
//!
//! [`desired`] follows from a node's durable state alone, so a restart of the
//! appliance forgets no request: it forgets the operations, and
//! [`Rack::reconcile`] starts them anew.
//!
//! Looks and what else operators ask of BMCs are in `looks`, how a driver reaches a
//! machine is in `access`.

mod access;
mod looks;

pub use crate::interface::BootDevice;
use crate::interface::{
    Effects, Instant, Operation, OperationError, OperationId, PowerAction, PowerOperation,
    PowerState,
};
use crate::node::agent_phase;
use crate::node::flags::Flags;
use crate::node::power::jitter;
pub use crate::node::power::{
    AWAITED_LOOK_MILLIS, GRACE_MILLIS, LOOK_DEADLINE_MILLIS, LOOK_MILLIS, MAX_LOOKS,
    OPERATION_MILLIS, REQUEST_MILLIS, SEEN_MILLIS, SETTLE_MILLIS, SOFT_MILLIS,
};
use crate::node::{AGENT_SILENT_MILLIS, Happening, Node, PowerRequest};
use crate::rack::{Rack, count, edit};
pub use access::{BmcLogin, Lack, PowerAccess, SecretKey, SecretText, access};
use farrier_lifecycle::ProvisionState;
use farrier_protocol::message::NodeId;

/// What a machine's power should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DesiredPower {
    /// As it is.
    Any,
    /// On.
    On,
    /// Off.
    Off,
    /// Started after this time.
    Started(Instant),
}

/// What should be true of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Desired {
    /// Its power.
    pub power: DesiredPower,
    /// What it boots from.
    pub boot_device: BootDevice,
}

/// What should be true of a node's machine. A function of the node's durable
/// state; `now` tells only whether an agent answers.
pub fn desired(node: &Node, now: Instant) -> Desired {
    Desired {
        power: desired_power(node, now),
        boot_device: boot_device(node),
    }
}

fn desired_power(node: &Node, now: Instant) -> DesiredPower {
    if node.is_vacant() || node.flags.contains(Flags::RECORDS_LOST) {
        return DesiredPower::Any;
    }
    if cfg!(farrier_bug = "power-forced") && node.state == ProvisionState::Active {
        return DesiredPower::Started(node.since);
    }
    if node.power_control.must_stop {
        return DesiredPower::Off;
    }
    let waits = agent_phase(node.state).is_some()
        && !node.boot.imaged
        && agent_expected_until(node).is_none_or(|until| now >= until);
    if waits || node.state == ProvisionState::Unrescuing {
        return DesiredPower::Started(node.boots_since);
    }
    match node.power_request {
        None => DesiredPower::Any,
        Some(PowerRequest { action, .. }) if action.restarts() => {
            DesiredPower::Started(node.power_control.since)
        }
        Some(PowerRequest { action, .. }) => match action.target() {
            PowerState::Off => DesiredPower::Off,
            PowerState::On | PowerState::Unknown => DesiredPower::On,
        },
    }
}

/// Until when a node's agent counts as there although nothing is heard of it:
/// for a while behind its last request, or behind a restart of the appliance
/// that has restored its session. `None` where there is no session.
fn agent_expected_until(node: &Node) -> Option<Instant> {
    if node.boot.session.is_none() || node.boot.left {
        return None;
    }
    let from = node.boot.heard.unwrap_or(node.power_control.since);
    Some(from.plus_millis(AGENT_SILENT_MILLIS))
}

/// When a node may need an operation that it does not need now, without any
/// input: its agent falls silent, or the next hop of its boot is late.
fn rechecked_at(node: &Node, now: Instant) -> Option<Instant> {
    let silent = || agent_expected_until(node).filter(|at| *at > now);
    match desired_power(node, now) {
        DesiredPower::Started(since) => node.timeline.due(since).map(|(_, until)| until),
        DesiredPower::Any if agent_phase(node.state).is_some() && !node.boot.imaged => silent(),
        DesiredPower::Any => None,
        DesiredPower::On | DesiredPower::Off => silent(),
    }
    .filter(|at| *at > now)
}

pub(crate) fn boot_device(node: &Node) -> BootDevice {
    match node.state {
        ProvisionState::Active if cfg!(farrier_bug = "boots-again") => BootDevice::Network,
        // The tenant's machine. Nothing that it asks for may bring the
        // installer back.
        ProvisionState::Active
        | ProvisionState::Adopting
        | ProvisionState::AdoptFailed
        | ProvisionState::Rescue
        | ProvisionState::Unrescuing
        | ProvisionState::UnrescueFailed => BootDevice::Disk,
        // All is done and proven: this is the restart into the instance, also
        // when the agent's final report was lost.
        ProvisionState::Deploying
        | ProvisionState::WaitCallBack
        | ProvisionState::Servicing
        | ProvisionState::ServiceWait
            if node.boot.imaged =>
        {
            BootDevice::Disk
        }
        _ => BootDevice::Network,
    }
}

/// What a driver should do now for a node's machine to become as it should
/// be; `None` where it is, or is on its way.
fn needed(node: &Node, now: Instant) -> Option<PowerAction> {
    let control = &node.power_control;
    let seen_off = node.power == PowerState::Off;
    match desired_power(node, now) {
        DesiredPower::Any => None,
        DesiredPower::On => (!is_seen(node, now, PowerState::On)).then_some(PowerAction::On),
        DesiredPower::Off if is_seen(node, now, PowerState::Off) => None,
        DesiredPower::Off => Some(soft_or_hard(node, now, PowerAction::Off)),
        // What was seen before may be wrong by now: a machine that shows
        // nothing of being switched on was on.
        DesiredPower::Started(_) if seen_off && (control.is_fresh() || control.failures == 0) => {
            Some(PowerAction::On)
        }
        DesiredPower::Started(since) => {
            // A boot that began since then is on its way as long as each of
            // its hops is in time.
            let first = crate::node::Hop::Discover;
            match node.timeline.due(since) {
                Some((hop, until)) if hop != first && now < until => None,
                None => None,
                _ if control.restarted().is_some() && node.power_request.is_some() => None,
                _ => Some(soft_or_hard(node, now, PowerAction::Reboot)),
            }
        }
    }
}

/// An operator's soft request is the machine's own system's to follow at
/// first.
fn soft_or_hard(node: &Node, now: Instant, hard: PowerAction) -> PowerAction {
    let Some(request) = node.power_request else {
        return hard;
    };
    let soft = matches!(
        request.action,
        PowerAction::SoftOff | PowerAction::SoftReboot
    );
    if soft && now.since(node.power_control.since) < SOFT_MILLIS {
        request.action
    } else {
        hard
    }
}

/// Whether there is something to do about a node's power now.
pub(crate) fn is_due(node: &Node, now: Instant) -> bool {
    wakes_at(node, now).is_some_and(|at| at <= now)
}

/// When a node's power is to be looked at next, if nothing comes before.
pub(crate) fn wakes_at(node: &Node, now: Instant) -> Option<Instant> {
    let request = node
        .power_request
        .map(|request| match is_reached(node, now, request) {
            true => Instant::START,
            false => node.power_control.since.plus_millis(REQUEST_MILLIS),
        });
    let operation = match needed(node, now) {
        Some(_) => Some(node.power_control.due()),
        None => rechecked_at(node, now),
    };
    let all = [request, operation, looks::wakes_at(node)];
    all.into_iter().flatten().min()
}

/// Whether a machine's power was seen to be so since the present request was
/// made. What was seen before proves nothing: people switch machines too. An
/// agent that answers proves that its machine runs.
fn is_seen(node: &Node, now: Instant, wanted: PowerState) -> bool {
    node.power == wanted
        && (node.power_control.is_fresh() || wanted == PowerState::On && node.agent_is_live(now))
}

/// Whether a request's end was seen since it was made.
fn is_reached(node: &Node, now: Instant, request: PowerRequest) -> bool {
    let control = &node.power_control;
    if !request.action.restarts() {
        return is_seen(node, now, request.action.target());
    }
    let booted = node.timeline.due(control.since);
    let is_on = node.power == PowerState::On;
    booted.is_none_or(|(hop, _)| hop != crate::node::Hop::Discover)
        || is_on && control.restarted().is_some_and(|at| control.seen >= at)
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Compares what a node's machine should be with what was seen of it, and
    /// asks its driver for what is missing: one operation at a time, and not
    /// before its back-off is over.
    pub(crate) fn reconcile(&mut self, now: Instant, index: usize, out: &mut Effects) {
        self.end_power_request(now, index);
        let id = OperationId(self.last_operation.wrapping_add(1));
        let Some(mut node) = self.nodes.volatile(index) else {
            return;
        };
        let action = needed(&node, now);
        let (name, jitter) = (node.id, jitter(node.id));
        let control = node.power_control();
        match control.operation {
            None => {}
            Some((_, PowerOperation::Do(known), deadline)) if action == Some(known) => {
                if now < deadline {
                    return;
                }
                control.failed(now, jitter);
                count(&mut self.counters.power_timeouts);
            }
            // Something else is needed now, or nothing.
            Some((_, PowerOperation::Do(_), _)) => control.operation = None,
            Some((_, operation, deadline)) => {
                if now < deadline {
                    return;
                }
                control.operation = None;
                control.nmi &= operation != PowerOperation::Nmi;
                control
                    .looks
                    .failed(now, OperationError::Unreachable, jitter);
                count(&mut self.counters.look_failures);
            }
        }
        let action = action.filter(|_| now >= control.retry_at);
        let beside = self.beside(now, index);
        let Some(operation) = looks::first(action, beside) else {
            return;
        };
        let millis = match operation {
            PowerOperation::Do(_) => OPERATION_MILLIS,
            PowerOperation::Look | PowerOperation::SetBoot(_) | PowerOperation::Nmi => {
                LOOK_DEADLINE_MILLIS
            }
        };
        let deadline = now.plus_millis(millis);
        if let Some(mut node) = self.nodes.volatile(index) {
            node.power_control().operation = Some((id, operation, deadline));
        }
        self.last_operation = id.0;
        out.power(Operation {
            id,
            node: name,
            operation,
            deadline,
        });
    }

    /// Ends an operator's request once its end was seen, or its time is over.
    fn end_power_request(&mut self, now: Instant, index: usize) {
        let Some(node) = self.nodes.get(index) else {
            return;
        };
        let Some(request) = node.power_request else {
            return;
        };
        let reached = is_reached(node, now, request);
        let over = now.since(node.power_control.since) >= REQUEST_MILLIS;
        if !reached && !over {
            return;
        }
        let Some(node) = edit!(self, index) else {
            return;
        };
        node.power_request = None;
        if !reached {
            node.set_error(format_args!(
                "the power request was not seen to be carried out within {} minutes; look at \
                 the machine and its BMC",
                REQUEST_MILLIS / 60_000
            ));
        }
    }

    /// A driver has ended an operation.
    pub(crate) fn operation_done(
        &mut self,
        now: Instant,
        id: OperationId,
        result: Result<(), OperationError>,
    ) -> Option<usize> {
        let of = |node: &Node| node.power_control.operation() == Some(id);
        let index = self.nodes.iter().position(of)?;
        let node = edit!(self, index)?;
        let jitter = jitter(node.id);
        let control = &mut node.power_control;
        let (_, operation, _) = control.operation?;
        let PowerOperation::Do(action) = operation else {
            self.beside_done(now, index, operation, result);
            return Some(index);
        };
        control.looks.ended(now, result);
        match result {
            // A person may carry it out, or not: what is seen decides.
            Ok(()) | Err(OperationError::ByHand) => {
                control.operation = None;
                if action.restarts() && result.is_ok() {
                    control.set_restarted(now);
                }
                let soft = matches!(action, PowerAction::SoftOff | PowerAction::SoftReboot);
                let pause = match soft {
                    true => SOFT_MILLIS,
                    false => SETTLE_MILLIS << control.failures.min(3),
                };
                control.failures = control.failures.saturating_add(1);
                control.retry_at = now.plus_millis(pause + jitter);
            }
            Err(error) => {
                control.failed(now, jitter);
                count(&mut self.counters.power_failures);
                if matches!(
                    error,
                    OperationError::Refused
                        | OperationError::Unreachable
                        | OperationError::Login
                        | OperationError::NoDriver
                ) {
                    node.set_error(format_args!(
                        "the power driver could not switch the machine ({error:?}); it is asked \
                         again"
                    ));
                }
            }
        }
        Some(index)
    }

    /// A driver saw a machine's power state.
    pub(crate) fn observed(
        &mut self,
        now: Instant,
        id: NodeId,
        power: PowerState,
        out: &mut Effects,
    ) -> Option<usize> {
        let index = self.find(id)?;
        let node = edit!(self, index)?;
        // Whoever works with the machine may have switched it off; whoever does not
        // is to know it. Nothing is changed: it is the tenant's.
        let found_off = node.driver.sees()
            && node.state == ProvisionState::Active
            && (node.power, power) == (PowerState::On, PowerState::Off)
            && node.power_request.is_none()
            && !node.power_control.must_stop;
        node.see_power(now, power);
        if found_off {
            node.set_error(format_args!(
                "the machine was found switched off, and nobody has asked this appliance for \
                 it; switch it on if it should run"
            ));
            let why = (node.state, node.reason);
            self.remember(now, index, Happening::FoundOff, why, out);
        }
        Some(index)
    }
}
