//! What `driver_internal_info` tells of a node's BMC or outlet.

use crate::View;
use crate::resource::Out;
use farrier_core::interface::{OperationError, PowerState};
use farrier_core::node::Node;

/// What a driver that sees the machine knows of it, how long ago, and since when its
/// BMC or outlet can't be asked.
pub(super) fn write(view: &View<'_>, index: usize, node: &Node, w: &mut Out<'_>) {
    if !node.driver.sees() {
        return;
    }
    let control = &node.power_control;
    if node.power != PowerState::Unknown {
        w.key("power_seen_seconds")
            .number(view.now.since(control.seen()) / 1000);
    }
    if let Some((since, why)) = control.looks.silent() {
        w.key("bmc_silent_seconds").number(view.now.since(since) / 1000);
        w.key("bmc_error").string(match why {
            OperationError::Unreachable => "does not answer",
            OperationError::Login => "does not take user and password",
            OperationError::HostKey => "has another key than expected",
            OperationError::Unsupported => "speaks otherwise than the driver",
            OperationError::Refused
            | OperationError::NoDriver
            | OperationError::Busy
            | OperationError::ByHand
            | OperationError::Unexpected
            | OperationError::NotApplied
            | OperationError::Uncertain
            | OperationError::NoTrunk => "refuses what it is asked for",
        });
    }
    let login = node.driver.login();
    if login.is_some_and(|login| !view.texts.former(index, login).is_empty()) {
        w.key("bmc_login").string("the new secret was not yet seen to work; the one before is kept");
    }
}
