//! After a restart: the rack reads its records back. How long the restart took
//! is not known.
//!
//! Records come in the order in which they were written, and may begin in
//! the middle: one about a node that is not known yet says nothing, since
//! all of that node comes later. One that was written by newer firmware is
//! passed over and counted.

use crate::interface::Instant;
use crate::ipam::lease::LeaseView;
use crate::node::AGENT_SILENT_MILLIS;
use crate::node::Reason;
use crate::node::flags::Flags;
use crate::node::power::{GRACE_MILLIS, jitter};
use crate::node::{AgentPhase, agent_phase};
use crate::persist::record::Record;
use crate::rack::Rack;
use farrier_lifecycle::ProvisionState;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Takes up a record of before the restart. To be called after
    /// [`configure`](Self::configure) and before the first
    /// [`step`](Self::step), with all records in their order.
    ///
    /// Returns whether the record was understood.
    pub fn restore(&mut self, now: Instant, record: &[u8]) -> bool {
        match postcard::from_bytes::<Record<'_>>(record) {
            Ok(record) => {
                self.apply(now, &record);
                true
            }
            Err(_) => false,
        }
    }

    /// Ends the taking up. What was at work has until its deadline to prove
    /// that it goes on; what can't becomes its failure state with the first
    /// ticks. All other waits begin anew, since how long the restart took
    /// is not known.
    ///
    /// `run` counts the starts of the appliance, from 1, and was never used
    /// before. `lost` counts the steps whose records were there and are not:
    /// where it is not 0, every node [is quarantined](Flags::RECORDS_LOST).
    pub fn restored(&mut self, now: Instant, run: u32, lost: u32) {
        self.disks
            .sort_unstable_by_key(|slot| (slot.node, slot.place));
        for node in self.nodes.restored() {
            if node.is_vacant() {
                continue;
            }
            self.last_boot = self.last_boot.max(node.boot.id.0);
            // The record of the interface by which the agent came was lost: nothing
            // says whose session it is.
            let place = node.boot.ticket.map(|given| given.place);
            if place.is_some_and(|place| !node.macs.contains(&place.mac)) {
                node.boot.session = None;
            }
            node.since = now;
            node.boots_since = now;
            node.boot.heard = None;
            node.power_control.begin(now);
            // Spread: the rack's BMCs are not asked in one instant.
            node.power_control.looks.begin(now, 8 * jitter(node.id));
            let grace = match cfg!(farrier_bug = "power-forgotten") {
                true => u64::MAX,
                false => GRACE_MILLIS,
            };
            node.power_control
                .hold_off(now.plus_millis(grace.saturating_add(jitter(node.id))));
            if let Some(session) = &mut node.boot.session
                && !cfg!(farrier_bug = "restarts")
            {
                session.resumed(run, self.first_reply);
            }
            node.deadline = node.state.deadline().map(|d| now.plus_millis(d.millis));
            if node.boot.imaged {
                continue;
            }
            let goes_on = node.boot.session.is_some() && !node.boot.left;
            match (node.state, agent_phase(node.state)) {
                (_, Some(AgentPhase::Working)) if goes_on => {
                    node.deadline = Some(now.plus_millis(AGENT_SILENT_MILLIS));
                }
                (_, Some(AgentPhase::Working))
                | (
                    ProvisionState::Verifying | ProvisionState::Adopting | ProvisionState::Rescuing,
                    _,
                ) => {
                    node.deadline = Some(now);
                }
                _ => {}
            }
        }
        self.nodes.trim();
        self.sealing.restored(now);
        self.learn_addresses(now);
        self.next_tick = now;
        self.now = now;
        self.run = run;
        if lost > 0 {
            self.counters.records_lost = lost;
            self.quarantine();
        }
    }

    /// Records were lost, of which node is not known: what is known of each
    /// may be of before. A node that seems free may be a tenant's by now, and
    /// an address may be held by a client that was forgotten; work that seems
    /// to go on may be over.
    fn quarantine(&mut self) {
        // Lists of disks may have holes: what is behind one is dropped.
        let (mut node, mut next) = (u16::MAX, 0);
        self.disks.retain(|slot| {
            if slot.node != node {
                (node, next) = (slot.node, 0);
            }
            let keeps = slot.place == next;
            next += u8::from(keeps);
            keeps
        });
        for node in self.nodes.restored() {
            if node.is_vacant() {
                continue;
            }
            node.flags
                .set(Flags::MAINTENANCE.union(Flags::RECORDS_LOST), true);
            // Disks are named from what was seen after this.
            node.boot.inspected = false;
            match node.state {
                ProvisionState::Available => {
                    node.state = ProvisionState::Manageable;
                    node.reason = Reason::RecordsLostOffered;
                }
                // It fails with the next tick; its agent is not listened to.
                state if agent_phase(state).is_some() => {
                    node.boot.session = None;
                }
                _ => {}
            }
            node.power_request = None;
            node.set_error(format_args!(
                "the appliance's journal has lost records: this may be of before"
            ));
        }
        self.quarantined = self.nodes.len();
    }

    /// Each node's address is the one that is leased to it for longest. Once
    /// for all, since a journal may hold thousands of leases of before.
    fn learn_addresses(&mut self, now: Instant) {
        for place in 0..L {
            let Some(LeaseView::Bound {
                client,
                address,
                seconds,
            }) = self.leases.lease_view(now, place)
            else {
                continue;
            };
            let Some(index) = self.find_by_mac(client.mac) else {
                continue;
            };
            let known = self.nodes.get(index).map(|node| node.address);
            let known = known.and_then(|known| self.leases.left(now, known));
            if known.is_none_or(|known| known < seconds)
                && let Some(node) = self.nodes.restored().get_mut(index)
            {
                node.address = address;
            }
        }
    }
}

#[cfg(test)]
mod tests;
