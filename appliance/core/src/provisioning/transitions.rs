//! The life cycle: verbs and transitions. Deadlines are in `deadlines`, other
//! commands in the room of commands.
//!
//! Which transition exists is `farrier_lifecycle`'s business. Here stands
//! what has to be true before one is taken, and what follows from it.

use crate::interface::Effects;
use crate::interface::Instant;
use crate::interface::StoredConfigDrive;
use crate::interface::{CommandError, PowerState};
use crate::node::Reason;
use crate::node::flags::Flags;
use crate::node::{AgentPhase, Happening, InstanceInfo, Node, agent_phase, cut};
use crate::persist::record::Record;
use crate::provisioning::steps::{Step, Steps};
use crate::rack::{Rack, edit};
use farrier_lifecycle::{ProvisionEvent, ProvisionState, Verb};
use farrier_protocol::message::{BootId, DiskId};

/// Room that a deployment needs beside the image: config drive, alignment,
/// and the second partition table.
pub(crate) const DEPLOY_MARGIN: u64 = 66 * 1024 * 1024;

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    pub(crate) fn verb(
        &mut self,
        now: Instant,
        index: usize,
        verb: Verb,
        steps: Steps,
        config_drive: Option<StoredConfigDrive>,
        out: &mut Effects,
    ) -> Result<(), CommandError> {
        let event = self.check_verb(index, verb, steps)?;
        let node = edit!(self, index).ok_or(CommandError::NoSuchNode)?;
        let present = node.config_drive.as_ref();
        let free = StoredConfigDrive::free_place(present);
        if present.is_some() && config_drive.is_some_and(|new| new.place != free) {
            return Err(CommandError::DrivePlaceTaken);
        }
        if matches!(event, ProvisionEvent::Deploy | ProvisionEvent::Rebuild) {
            node.written = None;
            if config_drive.is_some() || event == ProvisionEvent::Deploy {
                node.config_drive = config_drive;
            }
        }
        node.last_error.clear();
        node.attempts = 0;
        node.boot.order = None;
        // Behind a hold the work goes on with the steps that it has.
        if event != ProvisionEvent::Unhold {
            let manual = event == ProvisionEvent::Clean;
            self.set_flags(index, Flags::MANUAL_CLEAN, manual);
            self.set_steps(index, steps);
        }
        self.event(now, index, event, Reason::Requested, out);
        self.advance(now, index, out);
        Ok(())
    }

    /// Whether the operator may ask for this now: the event that follows.
    fn check_verb(
        &self,
        index: usize,
        verb: Verb,
        steps: Steps,
    ) -> Result<ProvisionEvent, CommandError> {
        let node = self.nodes.get(index).ok_or(CommandError::NoSuchNode)?;
        let state = node.state;
        if state.is_busy() {
            return Err(CommandError::Locked(state));
        }
        let event = state
            .event(verb)
            .ok_or(CommandError::Verb { state, verb })?;
        let flags = node.flags;
        match event {
            ProvisionEvent::Delete | ProvisionEvent::Rebuild
                if flags.contains(Flags::PROTECTED) =>
            {
                return Err(CommandError::Protected);
            }
            ProvisionEvent::Deploy
            | ProvisionEvent::Rebuild
            | ProvisionEvent::Unrescue
            | ProvisionEvent::Service
                if flags.contains(Flags::MAINTENANCE) =>
            {
                return Err(CommandError::Maintenance);
            }
            // An operator must know first that no tenant's system is on it.
            ProvisionEvent::Provide
            | ProvisionEvent::Clean
            | ProvisionEvent::Delete
            | ProvisionEvent::Unhold
                if flags.contains(Flags::RECORDS_LOST) =>
            {
                return Err(CommandError::Maintenance);
            }
            ProvisionEvent::Deploy | ProvisionEvent::Provide if flags.contains(Flags::RETIRED) => {
                return Err(CommandError::Retired);
            }
            // The agent has no rescue system to start.
            ProvisionEvent::Rescue => return Err(CommandError::NotSupported),
            ProvisionEvent::Clean | ProvisionEvent::Service if steps.is_empty() => {
                return Err(CommandError::NoSteps);
            }
            _ => {}
        }
        let fits = |step: Step| match event {
            ProvisionEvent::Clean => step != Step::Write,
            ProvisionEvent::Service => !matches!(step, Step::Write | Step::Erase),
            ProvisionEvent::Deploy | ProvisionEvent::Rebuild => {
                !matches!(step, Step::Erase | Step::Inspect)
            }
            _ => false,
        };
        if !steps.iter().all(fits) {
            return Err(CommandError::BadStep);
        }
        if matches!(event, ProvisionEvent::Deploy | ProvisionEvent::Rebuild) {
            if !steps.is_empty() && steps.iter().filter(|s| *s == Step::Write).count() != 1 {
                return Err(CommandError::BadStep);
            }
            self.can_deploy(index)?;
        }
        if matches!(
            event,
            ProvisionEvent::Deploy | ProvisionEvent::Rebuild | ProvisionEvent::Service
        ) && self.lacks_network(index)
        {
            return Err(CommandError::NoVif);
        }
        let macs = self.nodes.get(index).map(|node| node.macs.as_slice());
        if event != ProvisionEvent::Manage && self.ports.has_shut(macs.unwrap_or_default()) {
            return Err(CommandError::PortShut);
        }
        Ok(event)
    }

    /// What follows at once from a state that was just entered.
    pub(crate) fn advance(&mut self, now: Instant, index: usize, out: &mut Effects) {
        let settled = self.ports_are_settled(index);
        let Some(node) = edit!(self, index) else {
            return;
        };
        let live = node.agent_is_live(now);
        match node.state {
            // Without a BMC there is nothing to verify a node's credentials
            // against.
            ProvisionState::Verifying => {
                let reason = if node.flags.contains(Flags::BY_HAND) && node.address.is_unspecified()
                {
                    Reason::EnrolledUnseen
                } else {
                    Reason::Seen
                };
                self.event(now, index, ProvisionEvent::Done, reason, out);
            }
            // The tenant's machine is switched off first, and its ports leave.
            ProvisionState::Deleting if !settled => {
                if let Some(node) = edit!(self, index) {
                    node.reason = Reason::PowerOffForNetwork;
                }
            }
            ProvisionState::Deleting => {
                let reason = Reason::Released;
                self.event(now, index, ProvisionEvent::Clean, reason, out);
                self.advance(now, index, out);
            }
            // No boot, no write: the tenant's system is left as it is.
            ProvisionState::Adopting if live => {
                node.last_error = cut("the deploy agent runs on the machine, no tenant's system");
                self.event(
                    now,
                    index,
                    ProvisionEvent::Fail,
                    Reason::NothingToAdopt,
                    out,
                );
            }
            ProvisionState::Adopting => {
                node.boot.session = None;
                node.offered = None;
                let reason = Reason::Adopted;
                self.event(now, index, ProvisionEvent::Done, reason, out);
            }
            ProvisionState::Unrescuing => {
                node.boot.session = None;
                node.offered = None;
                node.reason = Reason::RestartForDisk;
            }
            state if agent_phase(state).is_some() && !live => {
                self.wait_for_machine(now, index, out)
            }
            _ => {}
        }
    }

    /// The work of a node needs an agent, and there is none: the machine has
    /// to boot from the network.
    pub(crate) fn wait_for_machine(&mut self, now: Instant, index: usize, out: &mut Effects) {
        let Some(node) = self.nodes.get(index) else {
            return;
        };
        let at_work = agent_phase(node.state) == Some(AgentPhase::Working);
        let reason = if node.power == PowerState::Off {
            Reason::PowerOnForNetwork
        } else {
            Reason::RestartForNetwork
        };
        if at_work {
            self.event(now, index, ProvisionEvent::Wait, reason, out);
        } else if let Some(node) = edit!(self, index) {
            node.reason = reason;
        }
    }

    /// Takes a transition. One that does not exist is a bug here, not the
    /// operator's fault.
    pub(crate) fn event(
        &mut self,
        now: Instant,
        index: usize,
        event: ProvisionEvent,
        reason: Reason,
        out: &mut Effects,
    ) -> bool {
        let Some(node) = edit!(self, index) else {
            return false;
        };
        let Some(next) = node.state.next(event) else {
            debug_assert!(false, "{:?} has no {event:?}", node.state);
            return false;
        };
        let from = node.state;
        node.state = next;
        node.since = now;
        node.boots_since = now;
        node.reason = reason;
        node.deadline = next.deadline().map(|d| now.plus_millis(d.millis));
        node.boot.progress = None;
        node.power_request = None;
        node.power_control.begin(now);
        self.remember(
            now,
            index,
            Happening::Transition(event),
            (from, reason),
            out,
        );
        self.on_enter(now, index, from, next, out);
        true
    }

    /// What belongs to a state for as long as it lasts.
    fn on_enter(
        &mut self,
        now: Instant,
        index: usize,
        from: ProvisionState,
        state: ProvisionState,
        out: &mut Effects,
    ) {
        let Some(node) = edit!(self, index) else {
            return;
        };
        match state {
            ProvisionState::Cleaning if from != ProvisionState::CleanWait => {
                node.flags.set(Flags::ERASED, false);
                node.erased_in = BootId(0);
                node.config_drive = None;
            }
            ProvisionState::Available => {
                node.attempts = 0;
                // The tenant is gone: forget the key of its secrets.
                node.config_drive = None;
                self.clear_clean_fault(index);
            }
            ProvisionState::Active | ProvisionState::Manageable => {
                node.attempts = 0;
                if from == ProvisionState::Cleaning && node.flags.contains(Flags::ERASED) {
                    self.clear_clean_fault(index);
                }
            }
            ProvisionState::CleanFailed => self.clean_failed(index),
            ProvisionState::Deleting => {
                node.config_drive = None;
                node.written = None;
                self.end_instance(index);
                self.end_tenant(now, index, out);
            }
            _ => {}
        }
        let resting = state.is_stable() || state.is_failure();
        if resting {
            self.set_steps(index, Steps::NONE);
            self.set_flags(index, Flags::MANUAL_CLEAN, false);
        }
    }

    /// A node whose cleaning failed is in maintenance until an operator ends it,
    /// or another cleaning succeeds.
    fn clean_failed(&mut self, index: usize) {
        let maintained = self
            .nodes
            .get(index)
            .is_none_or(|node| node.flags.contains(Flags::MAINTENANCE));
        if maintained {
            return;
        }
        let both = Flags::MAINTENANCE.union(Flags::CLEAN_FAULT);
        self.set_flags(index, both, true);
    }

    fn clear_clean_fault(&mut self, index: usize) {
        let both = Flags::MAINTENANCE.union(Flags::CLEAN_FAULT);
        let set = |node: &Node| node.flags.contains(Flags::CLEAN_FAULT);
        if self.nodes.get(index).is_some_and(set) {
            self.set_flags(index, both, false);
        }
    }

    /// The image is on the disk and proven, and the machine leaves the
    /// ramdisk for it.
    pub(crate) fn deployed(
        &mut self,
        now: Instant,
        index: usize,
        reason: Reason,
        out: &mut Effects,
    ) {
        let Some(node) = edit!(self, index) else {
            return;
        };
        node.boot.left = true;
        // The evidence that the transition needs: the machine's ports were proven to
        // be on the tenant's network. Without it the deadline fails the state.
        if !self.ports_are_settled(index) {
            return;
        }
        let Some(node) = edit!(self, index) else {
            return;
        };
        node.boot.imaged = false;
        if matches!(
            node.state,
            ProvisionState::WaitCallBack | ProvisionState::ServiceWait
        ) {
            self.event(now, index, ProvisionEvent::Resume, reason, out);
        }
        let state = self.nodes.get(index).map(|node| node.state);
        if let Some(
            ProvisionState::Deploying | ProvisionState::Servicing | ProvisionState::Unrescuing,
        ) = state
        {
            self.event(now, index, ProvisionEvent::Done, reason, out);
        }
    }

    /// Ends a node's work in its failure state, with the reason for people
    /// in `last_error` already.
    pub(crate) fn fail(&mut self, now: Instant, index: usize, reason: Reason, out: &mut Effects) {
        if let Some(node) = edit!(self, index) {
            node.boot.order = None;
            node.boot.imaged = false;
            if node.state.next(ProvisionEvent::Fail).is_some() {
                self.event(now, index, ProvisionEvent::Fail, reason, out);
            }
        }
    }

    fn can_deploy(&self, index: usize) -> Result<(), CommandError> {
        let node = self.nodes.get(index).ok_or(CommandError::NoSuchNode)?;
        if node.instance.image_source.is_empty() {
            return Err(CommandError::NoImage);
        }
        let image = self
            .image(&node.instance.image_source)
            .ok_or(CommandError::UnknownImage)?;
        self.check_image(image)?;
        if self.disks(index).next().is_none() {
            return Err(CommandError::NoDisks);
        }
        self.target_disk(index, image.raw_size)
            .map(|_| ())
            .ok_or(CommandError::ImageTooLarge)
    }

    /// The smallest disk of a node on which an image has room; of equal
    /// ones the first.
    pub(crate) fn target_disk(&self, index: usize, raw_size: u64) -> Option<DiskId> {
        let least = raw_size.saturating_add(DEPLOY_MARGIN);
        self.disks(index)
            .filter(|disk| disk.size >= least)
            .min_by_key(|disk| disk.size)
    }

    /// The tenant's use is over: the node belongs to no instance and no
    /// allocation any more.
    pub(crate) fn end_instance(&mut self, index: usize) {
        self.deallocated(index);
        if let Some(node) = edit!(self, index) {
            node.instance = InstanceInfo::default();
        }
    }

    /// The tenant's use of a node is over: addresses out of tenants' pools
    /// go back.
    pub(crate) fn end_tenant(&mut self, now: Instant, index: usize, out: &mut Effects) {
        let rest = self.config.lease_secs;
        for place in 0..self.ports.ports.len() {
            let macs = self.nodes.get(index).map(|node| &node.macs);
            if let Some(port) = self.ports.ports.get_mut(place)
                && port.vif != 0
                && macs.is_some_and(|macs| macs.contains(&port.mac))
            {
                port.vif = 0;
                Record::of_switch_port(port).emit(out);
            }
        }
        if let Some(node) = self.nodes.get(index)
            && self.ipam.end_tenant(now, &node.macs, rest) > 0
        {
            // Each by itself as well: a restart may not know the node's
            // interfaces yet when it reads this.
            for entry in self.ipam.entries() {
                if !entry.is_held() && node.macs.contains(&entry.mac) {
                    Record::of_reservation(entry).emit(out);
                }
            }
        }
    }
}
