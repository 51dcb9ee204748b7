//! The rack's words for what the client does, and the client's for what the rack
//! wants.

use crate::limits::CONFIRM_S;
use crate::report::Seen;
use farrier_core::interface::{OperationError, PortName};
use farrier_netconf::{
    Client, Failure, Flip, Observed, Pending, PortVlans, Refusal, Report, Step, VlanChange,
};

/// An access port of this VLAN; without any for 0.
pub(super) fn vlans(vlan: u16) -> Option<PortVlans> {
    match vlan {
        0 => Some(PortVlans::NONE),
        vlan => PortVlans::access(vlan),
    }
}

pub(super) fn seen(observed: &Observed) -> Seen {
    match observed {
        Observed::Unknown => Seen::Unread,
        Observed::Other => Seen::Other,
        Observed::Port(port) => match port.tagged() {
            [] => Seen::Vlan(port.untagged().unwrap_or(0)),
            _ => Seen::Other,
        },
    }
}

/// The trunk that carries the VLANs that are made, where the dialect has trunks.
pub(super) fn trunk_of<'t>(client: &Client, makes_vlans: bool, trunk: &'t str) -> &'t str {
    let dialect = client.dialect();
    match dialect.is_some_and(|dialect| dialect.trunk_edit.is_some()) {
        true if makes_vlans => trunk,
        _ => "",
    }
}

pub(super) fn flip(
    port: &PortName,
    token: u64,
    (expected, to): (Option<u16>, u16),
) -> Result<Flip<'_>, Refusal> {
    let expected = match expected {
        Some(vlan) => Some(vlans(vlan).ok_or(Refusal::NoVlan)?),
        None => None,
    };
    Ok(Flip {
        interface: port,
        desired: vlans(to).ok_or(Refusal::NoVlan)?,
        expected,
        vlan: VlanChange::NONE,
        trunk: "",
        confirm_timeout_s: CONFIRM_S,
        persist_id: token,
    })
}

pub(super) fn failed(failure: Failure, report: &Report<'_>, over: bool) -> OperationError {
    let (at, pending, port) = (report.step, report.pending, seen(report.port));
    let untouched = matches!(
        at,
        Step::Hello | Step::Ready | Step::Lock | Step::ReadBefore | Step::ReadPort
    );
    // The port as it was read last may be the one before the commit.
    let lost = over && !matches!(at, Step::Edit | Step::Validate);
    let unknown = !untouched && (lost || port == Seen::Unread);
    // A session without the lock has done nothing, whatever an earlier one did.
    let locked = failure == Failure::Locked;
    if !locked && (pending != Pending::None || unknown) {
        return OperationError::Uncertain;
    }
    match failure {
        Failure::Refused | Failure::NoAnswer => OperationError::Refused,
        Failure::Locked => OperationError::Busy,
        Failure::Unexpected => OperationError::Unexpected,
        Failure::NotApplied if at == Step::ReadBefore => OperationError::Unexpected,
        Failure::NotApplied | Failure::NotRestored => OperationError::NotApplied,
        Failure::NoTrunk => OperationError::NoTrunk,
        Failure::Aborted | Failure::SessionLost => OperationError::Unreachable,
        Failure::Protocol(_) => OperationError::Unsupported,
    }
}
