//! What drivers are asked for beside switching: to look whether a machine is on, to
//! tell its BMC what it boots from, to interrupt it. A BMC that can't be asked fails no
//! node: it is asked again, later each time.

use super::needed;
use crate::interface::{
    BootChoice, CommandError, Effects, Instant, OperationError, PowerAction, PowerOperation,
};
use crate::node::power::{AWAITED_LOOK_MILLIS, LOOK_MILLIS, MAX_LOOKS, jitter};
use crate::node::{Happening, Node, Reason, agent_phase};
use crate::rack::{Rack, count, edit};
use farrier_protocol::message::NodeId;

/// A look that found all places taken, or a driver without room, is tried again after
/// this time, in milliseconds.
const BUSY_MILLIS: u64 = 2_000;

/// When a node's driver is to be asked for something beside switching, or has had its
/// time for what it was asked for.
pub(super) fn wakes_at(node: &Node) -> Option<Instant> {
    let control = &node.power_control;
    if node.is_vacant() || !node.driver.sees() && !control.is_beside() {
        return None;
    }
    Some(match control.operation {
        Some((_, _, deadline)) => deadline,
        None if control.nmi => Instant::START,
        None => control.looks.due(),
    })
}

/// What is due beside switching.
fn due(node: &Node, now: Instant) -> Option<PowerOperation> {
    let control = &node.power_control;
    if node.is_vacant() || !node.driver.sees() || control.operation.is_some() {
        return None;
    }
    if control.nmi {
        return Some(PowerOperation::Nmi);
    }
    let wanted = control.boot_wanted().map(PowerOperation::SetBoot);
    (now >= control.looks.due()).then_some(wanted.unwrap_or(PowerOperation::Look))
}

/// Which of both is first. What an operator wants of the BMC is meant for the boot to
/// come; a look is for when nothing else is to be done.
pub(super) fn first(
    action: Option<PowerAction>,
    beside: Option<PowerOperation>,
) -> Option<PowerOperation> {
    let action = action.map(PowerOperation::Do);
    match beside {
        None | Some(PowerOperation::Look) => action.or(beside),
        Some(PowerOperation::SetBoot(_) | PowerOperation::Nmi | PowerOperation::Do(_)) => beside,
    }
}

/// How long until the next look behind one that went well. Looks of a rack that began
/// together drift apart.
fn pause(node: &Node, now: Instant) -> u64 {
    match node.power_request.is_some() || needed(node, now).is_some() {
        true => AWAITED_LOOK_MILLIS,
        false => LOOK_MILLIS - AWAITED_LOOK_MILLIS + 8 * jitter(node.id),
    }
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// What is due beside switching for a node, and can be begun now.
    pub(super) fn beside(&mut self, now: Instant, index: usize) -> Option<PowerOperation> {
        let node = self.nodes.get(index)?;
        let operation = due(node, now)?;
        if operation != PowerOperation::Look {
            return Some(operation);
        }
        let at_work = |node: &&crate::node::Node| {
            node.driver.sees() && node.power_control.operation.is_some()
        };
        let wait = if self.power_access(node.id).is_none() {
            // There is nothing to look at. Who completes the settings is looked for
            // at once.
            LOOK_MILLIS
        } else if self.nodes.iter().filter(at_work).count() >= MAX_LOOKS {
            BUSY_MILLIS + jitter(node.id) / 2
        } else {
            return Some(operation);
        };
        let mut node = self.nodes.volatile(index)?;
        node.power_control().looks.put_off(now.plus_millis(wait));
        None
    }

    /// A driver has ended an operation beside switching.
    pub(super) fn beside_done(
        &mut self,
        now: Instant,
        index: usize,
        operation: PowerOperation,
        result: Result<(), OperationError>,
    ) {
        let Some(node) = edit!(self, index) else {
            return;
        };
        let jitter = jitter(node.id);
        let pause = pause(node, now);
        let control = &mut node.power_control;
        control.operation = None;
        let refused = match result {
            Ok(()) | Err(OperationError::ByHand) => {
                control.looks.answered();
                control.looks.put_off(now.plus_millis(pause));
                None
            }
            Err(OperationError::Busy) => {
                let wait = BUSY_MILLIS + jitter;
                control.looks.put_off(now.plus_millis(wait));
                None
            }
            Err(OperationError::NoDriver) => {
                control.looks.put_off(now.plus_millis(LOOK_MILLIS));
                Some(OperationError::NoDriver)
            }
            Err(error) => {
                control.looks.failed(now, error, jitter);
                count(&mut self.counters.look_failures);
                Some(error)
            }
        };
        match operation {
            PowerOperation::Look | PowerOperation::Do(_) => {}
            // Once, whatever came of it: a second one may end the dump of the first.
            PowerOperation::Nmi => {
                control.nmi = false;
                if let Err(error) = result {
                    node.set_error(format_args!(
                        "the power driver could not interrupt the machine ({error:?}); ask for \
                         it again"
                    ));
                }
            }
            PowerOperation::SetBoot(choice) => {
                let for_good = matches!(
                    refused,
                    Some(
                        OperationError::Refused
                            | OperationError::Unsupported
                            | OperationError::NotApplied
                            | OperationError::NoDriver
                    )
                );
                if (result.is_ok() || for_good) && control.boot_wanted() == Some(choice) {
                    control.set_boot_wanted(None);
                }
                if for_good {
                    node.set_error(format_args!(
                        "the BMC did not take the boot device; see what it supports"
                    ));
                }
            }
        }
    }

    /// A BMC said what its machine boots from.
    pub(crate) fn boot_observed(&mut self, now: Instant, id: NodeId, boot: Option<BootChoice>) {
        if let Some(index) = self.find(id)
            && let Some(mut node) = self.nodes.volatile(index)
        {
            node.power_control().see_boot(now, boot);
        }
    }

    /// An operator says what a machine boots from. The appliance decides it itself
    /// while it works on the node.
    pub(crate) fn set_boot_device(
        &mut self,
        now: Instant,
        index: usize,
        choice: BootChoice,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let node = self.managed(index)?;
        node.power_control.set_boot_wanted(Some(choice));
        node.power_control.looks.put_off(now);
        let why = (node.state, Reason::Requested);
        self.remember(now, index, Happening::BootDevice(choice), why, out);
        Ok(())
    }

    /// An operator has a machine interrupted.
    pub(crate) fn inject_nmi(
        &mut self,
        now: Instant,
        index: usize,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let node = self.managed(index)?;
        node.power_control.nmi = true;
        let why = (node.state, Reason::Requested);
        self.remember(now, index, Happening::Nmi, why, out);
        Ok(())
    }

    /// A node whose BMC takes such requests now.
    fn managed(&mut self, index: usize) -> Result<&mut Node, CommandError> {
        let node = self.nodes.get(index).ok_or(CommandError::NoSuchNode)?;
        if !node.driver.manages() {
            return Err(CommandError::NoManagement);
        }
        if agent_phase(node.state).is_some() {
            return Err(CommandError::PowerInUse(node.state));
        }
        if self.power_access(node.id).is_none() {
            return Err(CommandError::DriverInfoIncomplete);
        }
        edit!(self, index).ok_or(CommandError::NoSuchNode)
    }
}

#[cfg(test)]
mod tests;
