//! What the drivers of switches answer.

use super::{MOVE_MILLIS, PortOutcome, takes_off};
use crate::interface::{
    Effects, HostKey, Instant, Learned, NAME_LEN, OperationError, OperationId, PowerState, String,
    SwitchAction, SwitchAddress,
};
use crate::node::power::jitter;
use crate::ports::{PortControl, Sources};
use crate::rack::{Rack, count, edit};
use farrier_protocol::message::Mac;

/// How often a port is read that a machine is to be switched off for, in
/// milliseconds.
const WATCH_MILLIS: u64 = 5_000;
/// How long a port has no link until its machine counts as off, in milliseconds: a
/// restart takes the link away for a moment.
const DOWN_MILLIS: u64 = 8_000;
/// The pause behind the first failure of a driver, in milliseconds; it doubles up
/// to [`LONGEST_PAUSE_MILLIS`].
const RETRY_MILLIS: u64 = 5_000;
const LONGEST_PAUSE_MILLIS: u64 = 300_000;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// A driver has read a port.
    pub(crate) fn port_read(
        &mut self,
        now: Instant,
        id: OperationId,
        vlan: Option<u16>,
        (link, learned): (Option<bool>, Learned),
        out: &mut Effects,
    ) {
        let Some(port) = self.ports.in_operation_mut(id) else {
            return;
        };
        let mac = port.mac;
        let is_back = link == Some(true) && port.control.down.is_some();
        port.control.down = match link {
            Some(false) => port.control.down.or(Some(now)),
            Some(true) | None => None,
        };
        let is_off = port
            .control
            .down
            .is_some_and(|down| now.since(down) >= DOWN_MILLIS);
        let action = port.control.operation.map(|(_, action, _)| action);
        let (at, to) = (port.at, port.to);
        if action == Some(SwitchAction::Read) {
            port.control.unread = false;
            match vlan {
                Some(vlan) if to != 0 && vlan == to => {
                    port.control.applied = port.control.applied.or(Some(now));
                }
                Some(vlan) if vlan == at => port.control.applied = None,
                Some(vlan) if at == 0 && to == 0 => {
                    port.at = vlan;
                    port.control.told = false;
                    self.write_port(mac, out);
                }
                // Somebody else has moved it: a person decides.
                Some(_) | None => self.port_astray(mac, vlan),
            }
            self.learned_at(now, mac, learned, out);
        }
        if is_back
            && let Some(index) = self.find_by_mac(mac)
            && let Some(node) = edit!(self, index)
            && node.power == PowerState::Off
        {
            // Somebody has switched it on.
            node.see_power(now, PowerState::On);
        }
        if is_off && let Some(index) = self.find_by_mac(mac) {
            self.link_is_down(now, index);
        }
    }

    /// None of a node's ports has a link: its machine is off.
    fn link_is_down(&mut self, now: Instant, index: usize) {
        let all = self.ports_of(index).all(|port| {
            let down = port.control.down;
            down.is_some_and(|down| now.since(down) >= DOWN_MILLIS)
        });
        if all && let Some(node) = edit!(self, index) {
            node.see_power(now, PowerState::Off);
        }
    }

    /// A switch has another host key than the pinned one, or none is pinned yet: an
    /// admin decides.
    pub(crate) fn host_key_met(&mut self, switch: SwitchAddress, key: HostKey) {
        let mut known = self.ports.switches.iter_mut();
        if let Some(switch) = known.find(|known| known.address == switch) {
            switch.host_key_met = (switch.host_key != Some(key)).then_some(key);
        }
    }

    fn port_astray(&mut self, mac: Mac, vlan: Option<u16>) {
        count(&mut self.counters.ports_astray);
        let Some(port) = self.ports.of_mut(mac) else {
            return;
        };
        port.control.unread = true;
        port.control.failures = port.control.failures.saturating_add(1);
        let name = port.name.clone();
        let (at, to) = (port.at, port.to);
        if let Some(index) = self.find_by_mac(mac)
            && let Some(node) = edit!(self, index)
            && !cfg!(farrier_bug = "moved-by-others")
        {
            match vlan {
                Some(vlan) => node.set_error(format_args!(
                    "port {name} is on VLAN {vlan}, not on {}: somebody has moved it. Nothing is \
                     done with it until it is back",
                    if to == 0 { at } else { to }
                )),
                None => node.set_error(format_args!(
                    "port {name} carries something else than one untagged VLAN. Nothing is done \
                     with it until it is on VLAN {at} again"
                )),
            }
        }
    }

    /// A driver has ended an operation on a port.
    pub(crate) fn port_operation_done(
        &mut self,
        now: Instant,
        id: OperationId,
        result: Result<(), OperationError>,
        out: &mut Effects,
    ) -> Option<PortOutcome> {
        self.ports_due = now;
        let at = self.ports.in_operation_mut(id)?.at;
        let from_tenant = self.is_tenants_vlan(at);
        let port = self.ports.in_operation_mut(id)?;
        let mac = port.mac;
        let (_, action, _) = port.control.operation.take()?;
        let result = match result {
            // A person moves it; the machine's frames show whether.
            Err(OperationError::ByHand) => Ok(()),
            result => result,
        };
        match (action, result) {
            (SwitchAction::Read, Ok(())) => {
                // What its machine is to be switched off for first, or what the switch may
                // still forget and speaks against the move, is watched.
                let hurries = port.is_moving()
                    && match port.control.applied {
                        None => !from_tenant,
                        Some(_) => port.control.looked,
                    };
                port.control.retry_at = now.plus_millis(match port.control.unread {
                    true => pause(port.control.failures),
                    false if hurries => 0,
                    false => WATCH_MILLIS,
                });
            }
            (SwitchAction::Move { .. }, Ok(())) => {
                port.control.applied = Some(now);
                port.control.looked = false;
                port.control.failures = 0;
            }
            (SwitchAction::Keep { to, .. }, Ok(())) => {
                let unproven = port.control.undo;
                let name = port.name.clone();
                let proven = port.control.is_seen_on(to);
                port.at = to;
                port.to = 0;
                port.control.failures = 0;
                port.control.applied = None;
                if proven {
                    port.sources.insert(Sources::MOVED);
                }
                self.write_port(mac, out);
                if unproven {
                    return self.move_unproven(mac, &name, to);
                }
                return self.find_by_mac(mac).map(PortOutcome::Settled);
            }
            (SwitchAction::Undo { .. }, Ok(())) => {
                let name = port.name.clone();
                let to = port.to;
                port.to = 0;
                port.control = PortControl {
                    failures: port.control.failures.saturating_add(1),
                    retry_at: now.plus_millis(pause(port.control.failures)),
                    ..port.control.observed()
                };
                count(&mut self.counters.moves_undone);
                self.write_port(mac, out);
                return self.move_undone(mac, &name, to);
            }
            (_, Err(error)) => self.port_failed(now, mac, error),
        }
        None
    }

    fn port_failed(&mut self, now: Instant, mac: Mac, error: OperationError) {
        count(&mut self.counters.switch_failures);
        let index = self.find_by_mac(mac);
        let jitter = index
            .and_then(|index| self.nodes.get(index))
            .map_or(0, |node| jitter(node.id));
        let Some(port) = self.ports.of_mut(mac) else {
            return;
        };
        port.control.failed(now, jitter);
        // The port may be anywhere by now. One that was to be read still is where its
        // driver had no room.
        port.control.unread |= !matches!(error, OperationError::Busy);
        let name = port.name.clone();
        let switch = port.switch;
        let mut text = String::<NAME_LEN>::new();
        let _fits = text.push_str(self.texts.switch(switch));
        if let Some(index) = index
            && let Some(node) = edit!(self, index)
        {
            node.set_error(format_args!(
                "switch {text} did not move port {name} ({}); it is asked again",
                why(error)
            ));
        }
    }

    /// A move onto a tenant's network was not proven, and the tenant's machine is
    /// left there: the work has failed.
    fn move_unproven(&mut self, mac: Mac, name: &str, to: u16) -> Option<PortOutcome> {
        if let Some(port) = self.ports.of_mut(mac) {
            port.control = port.control.observed();
        }
        self.move_failed(
            mac,
            to,
            format_args!(
                "port {name} was moved to VLAN {to} and nothing of the machine was seen there \
                 within {} minutes. It stays there, since a tenant's system may run on the machine",
                MOVE_MILLIS / 60_000
            ),
        )
    }

    /// A move was taken back: the work that needed it has failed.
    fn move_undone(&mut self, mac: Mac, name: &str, to: u16) -> Option<PortOutcome> {
        self.move_failed(
            mac,
            to,
            format_args!(
                "port {name} was moved to VLAN {to} and back: nothing of the machine was seen \
                 there within {} minutes",
                MOVE_MILLIS / 60_000
            ),
        )
    }

    /// A move has failed: where it is still wanted, its node says why, and the work
    /// that needs it ends.
    fn move_failed(
        &mut self,
        mac: Mac,
        to: u16,
        why: core::fmt::Arguments<'_>,
    ) -> Option<PortOutcome> {
        let index = self.find_by_mac(mac)?;
        let still = self.desired_vlan(index, self.ports.of(mac)?) == Some(to);
        let node = edit!(self, index)?;
        let state = node.state;
        if !still {
            return None;
        }
        node.set_error(why);
        takes_off(state).then_some(PortOutcome::Failed(index))
    }
}

fn pause(failures: u8) -> u64 {
    (RETRY_MILLIS << failures.min(7)).min(LONGEST_PAUSE_MILLIS)
}

impl PortControl {
    /// What was observed of the port, without the move that went on.
    pub(super) fn observed(&self) -> Self {
        PortControl {
            seen: self.seen,
            down: self.down,
            learned: self.learned,
            ..Self::default()
        }
    }

    pub(super) fn failed(&mut self, now: Instant, jitter: u64) {
        self.operation = None;
        self.retry_at = now.plus_millis(pause(self.failures) + jitter);
        self.failures = self.failures.saturating_add(1);
    }
}

/// What an error of a driver means, for people.
fn why(error: OperationError) -> &'static str {
    match error {
        OperationError::NoDriver => "this firmware has no driver for it",
        OperationError::Unreachable => "it does not answer",
        OperationError::Refused => "it refused",
        OperationError::Busy => "its driver is busy",
        OperationError::ByHand => "a person was asked",
        OperationError::Unexpected => "the port is not where it was",
        OperationError::NotApplied => "it says that it did, and the port is elsewhere",
        OperationError::Uncertain => "it may have done so",
        OperationError::NoTrunk => "its trunk_port is no trunk there",
        OperationError::Login => "it does not take the login",
        OperationError::HostKey => "its host key is not pinned by an admin",
        OperationError::Unsupported => "it does not speak as the driver does",
    }
}
