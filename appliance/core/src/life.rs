//! The life cycle: operators' verbs, transitions, deadlines.
//!
//! Which transition exists is `farrier_lifecycle`'s business. Here stands
//! what has to be true before one is taken, and what follows from it.

use crate::input::{Operator, StoredConfigDrive};
use crate::node::{AGENT_SILENT_MILLIS, DriverInfo, InstanceInfo, Job, Node, Power, cut};
use crate::output::{Outputs, PowerWanted};
use crate::rack::{Rack, count};
use crate::record::Record;
use crate::time::Instant;
use farrier_lifecycle::{Event, State, Verb};
use farrier_protocol::message::{DiskId, NodeId};

/// Room that a deployment needs beside the image: config drive, alignment,
/// and the second partition table.
pub(crate) const DEPLOY_MARGIN: u64 = 66 * 1024 * 1024;

/// Why an operator's wish is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is no such node.
    NoSuchNode,
    /// The state has no such verb.
    Verb {
        /// The node's state.
        state: State,
        /// The verb.
        verb: Verb,
    },
    /// This needs a driver that the appliance does not have.
    NotSupported,
    /// `instance_info/image_source` is not set.
    NoImage,
    /// No image of that name is in the asset store.
    UnknownImage,
    /// The node's last inspection found no disk, or there was none.
    NoDisks,
    /// No disk of the node is large enough for the image.
    ImageTooLarge,
    /// Another node has that name.
    NameTaken,
    /// A name has characters other than letters, digits, `-`, `.`, `_`, or
    /// reads as a UUID.
    BadName,
    /// A value is longer than its field.
    TooLong,
    /// No room for another key of `driver_info`.
    TooManyKeys,
    /// What was to be changed is in use: the node is deployed or at work.
    InUse(State),
}

/// What a state's agent has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) job: Job,
    /// The state is the one in which the agent works, not the one in which
    /// it is waited for.
    pub(crate) agent_at_work: bool,
}

/// The work of a state, if it has any.
pub(crate) fn work(state: State) -> Option<Work> {
    let (job, agent_at_work) = match state {
        State::Inspecting => (Job::Inspect, true),
        State::InspectWait => (Job::Inspect, false),
        State::Cleaning => (Job::Erase, true),
        State::CleanWait => (Job::Erase, false),
        State::Deploying => (Job::Deploy, true),
        State::WaitCallBack => (Job::Deploy, false),
        _ => return None,
    };
    Some(Work { job, agent_at_work })
}

/// When a node's wait ends or its agent is to be missed, if nothing comes
/// before.
pub(crate) fn due(node: &Node) -> Option<Instant> {
    let needed = work(node.state).is_some_and(|work| work.agent_at_work) && !node.boot.imaged;
    let missed = needed.then(|| {
        let heard = node.boot.heard.unwrap_or(Instant::START);
        heard.plus_millis(AGENT_SILENT_MILLIS)
    });
    match (node.deadline, missed) {
        (Some(deadline), Some(missed)) => Some(deadline.min(missed)),
        (deadline, missed) => deadline.or(missed),
    }
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    pub(crate) fn operator(
        &mut self,
        now: Instant,
        operator: Operator<'_>,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        match operator {
            Operator::Verb {
                node,
                verb,
                config_drive,
            } => self.verb(now, self.must_find(node)?, verb, config_drive, out),
            Operator::Rename { node, name } => self.rename(self.must_find(node)?, name, out),
            Operator::InstanceInfo { node, info } => {
                self.set_instance(self.must_find(node)?, info, out)
            }
            Operator::DriverInfo { node, key, value } => {
                self.set_driver_info(self.must_find(node)?, key, value)
            }
        }
    }

    fn must_find(&self, id: NodeId) -> Result<usize, Refused> {
        self.find(id).ok_or(Refused::NoSuchNode)
    }

    fn verb(
        &mut self,
        now: Instant,
        index: usize,
        verb: Verb,
        config_drive: Option<StoredConfigDrive>,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        let node = self.nodes.get(index).ok_or(Refused::NoSuchNode)?;
        let refused = Refused::Verb {
            state: node.state,
            verb,
        };
        let event = node.state.event(verb).ok_or(refused)?;
        if node.state.next(event).is_none() {
            return Err(refused);
        }
        match event {
            Event::Deploy | Event::Rebuild => {
                self.can_deploy(index)?;
                if let Some(node) = self.nodes.get_mut(index) {
                    node.written = None;
                    if config_drive.is_some() || event == Event::Deploy {
                        node.config_drive = config_drive;
                    }
                }
            }
            // Work that needs drivers or engines that are not here yet.
            Event::Adopt
            | Event::Clean
            | Event::Hold
            | Event::Rescue
            | Event::Service
            | Event::Unhold
            | Event::Unrescue => return Err(Refused::NotSupported),
            _ => {}
        }
        if let Some(node) = self.nodes.get_mut(index) {
            node.last_error.clear();
            node.attempts = 0;
        }
        self.event(now, index, event, "the operator asked for it", out);
        self.follow(now, index, out);
        Ok(())
    }

    /// What follows at once from a state that was just entered.
    fn follow(&mut self, now: Instant, index: usize, out: &mut Outputs) {
        match self.nodes.get(index).map(|node| node.state) {
            // Without a BMC there is nothing to verify a node's credentials
            // against; its own boot packets have shown that it is there.
            Some(State::Verifying) => {
                self.event(
                    now,
                    index,
                    Event::Done,
                    "seen on the provisioning network",
                    out,
                );
            }
            Some(State::Deleting) => {
                self.event(
                    now,
                    index,
                    Event::Clean,
                    "released; cleaning before anything else",
                    out,
                );
                self.follow(now, index, out);
            }
            Some(state) if work(state).is_some_and(|work| work.agent_at_work) => {
                let live = self
                    .nodes
                    .get(index)
                    .is_some_and(|node| node.agent_is_live(now));
                if !live {
                    self.wait_for_machine(now, index, out);
                }
            }
            _ => {}
        }
    }

    /// The work of a node needs an agent, and there is none: the machine has
    /// to boot from the network.
    fn wait_for_machine(&mut self, now: Instant, index: usize, out: &mut Outputs) {
        let Some(node) = self.nodes.get(index) else {
            return;
        };
        let (wanted, reason) = if node.power == Power::Off {
            (
                PowerWanted::On,
                "power the machine on: it must boot from the network",
            )
        } else {
            (
                PowerWanted::Cycle,
                "restart the machine: it must boot from the network",
            )
        };
        let id = node.id;
        self.event(now, index, Event::Wait, reason, out);
        out.power(id, wanted);
    }

    /// Takes a transition. One that does not exist is a bug here, not the
    /// operator's fault.
    pub(crate) fn event(
        &mut self,
        now: Instant,
        index: usize,
        event: Event,
        reason: &'static str,
        out: &mut Outputs,
    ) -> bool {
        let Some(node) = self.nodes.get_mut(index) else {
            return false;
        };
        let Some(next) = node.state.next(event) else {
            debug_assert!(false, "{:?} has no {event:?}", node.state);
            return false;
        };
        node.state = next;
        node.since = now;
        node.reason = reason;
        node.deadline = next.deadline().map(|d| now.plus_millis(d.millis));
        node.boot.progress = None;
        Record::State {
            node: node.id,
            state: next as u8,
            reason,
        }
        .emit(out);
        self.entered(index, next);
        true
    }

    /// What belongs to a state for as long as it lasts.
    fn entered(&mut self, index: usize, state: State) {
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        match state {
            // The tenant is gone: forget the key of its secrets.
            State::Cleaning | State::Available => {
                if state == State::Available {
                    node.attempts = 0;
                }
                node.config_drive = None;
            }
            State::Active | State::Manageable => node.attempts = 0,
            State::Deleting => {
                node.config_drive = None;
                node.instance = InstanceInfo::default();
            }
            _ => {}
        }
    }

    /// The image is on the disk and proven, and the machine leaves the
    /// ramdisk for it.
    pub(crate) fn deployed(
        &mut self,
        now: Instant,
        index: usize,
        reason: &'static str,
        out: &mut Outputs,
    ) {
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        node.boot.imaged = false;
        if node.state == State::WaitCallBack {
            self.event(now, index, Event::Resume, reason, out);
        }
        self.event(now, index, Event::Done, reason, out);
    }

    /// Ends a node's work in its failure state, with the reason for people
    /// in `last_error` already.
    pub(crate) fn fail(
        &mut self,
        now: Instant,
        index: usize,
        reason: &'static str,
        out: &mut Outputs,
    ) {
        if let Some(node) = self.nodes.get_mut(index) {
            node.boot.order = None;
            if node.state.next(Event::Fail).is_some() {
                self.event(now, index, Event::Fail, reason, out);
            }
        }
    }

    /// Ends waits whose time is over, at most a few a call: the others come
    /// with the next tick.
    pub(crate) fn look_at_deadlines(&mut self, now: Instant, out: &mut Outputs) {
        for index in 0..self.nodes.len() {
            if out.len() + 4 > crate::output::MAX_OUTPUTS {
                self.next_tick = now;
                return;
            }
            let Some(node) = self.nodes.get_mut(index) else {
                return;
            };
            if node.deadline.is_some_and(|deadline| deadline <= now) {
                count(&mut self.counters.deadlines);
                let missing = node
                    .timeline
                    .last()
                    .map_or("no packet of it was seen", crate::node::Hop::as_str);
                let (state, reason) = (node.state.as_str(), node.reason);
                node.set_error(format_args!(
                    "{state} took too long ({reason}); last hop seen: {missing}"
                ));
                self.fail(now, index, "the deadline passed", out);
                if let Some(node) = self.nodes.get_mut(index)
                    && node.deadline.is_some_and(|deadline| deadline <= now)
                {
                    // A state without a way to fail keeps its error only.
                    node.deadline = None;
                }
            } else if work(node.state).is_some_and(|work| work.agent_at_work)
                && !node.boot.imaged
                && !node.agent_is_live(now)
            {
                self.wait_for_machine(now, index, out);
            }
        }
    }

    fn can_deploy(&self, index: usize) -> Result<(), Refused> {
        let node = self.nodes.get(index).ok_or(Refused::NoSuchNode)?;
        if node.instance.image_source.is_empty() {
            return Err(Refused::NoImage);
        }
        let image = self
            .image(&node.instance.image_source)
            .ok_or(Refused::UnknownImage)?;
        if self.disks(index).next().is_none() {
            return Err(Refused::NoDisks);
        }
        self.target_disk(index, image.raw_size)
            .map(|_| ())
            .ok_or(Refused::ImageTooLarge)
    }

    /// The smallest disk of a node on which an image has room; of equal
    /// ones the first.
    pub(crate) fn target_disk(&self, index: usize, raw_size: u64) -> Option<&DiskId> {
        let least = raw_size.saturating_add(DEPLOY_MARGIN);
        self.disks(index)
            .filter(|disk| disk.size >= least)
            .min_by_key(|disk| disk.size)
    }

    fn rename(&mut self, index: usize, name: &str, out: &mut Outputs) -> Result<(), Refused> {
        let looks_like_uuid = name.len() == 36 && name.bytes().filter(|b| *b == b'-').count() == 4;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if looks_like_uuid || !name.bytes().all(allowed) {
            return Err(Refused::BadName);
        }
        if self.find_by_name(name).is_some_and(|other| other != index) {
            return Err(Refused::NameTaken);
        }
        let node = self.nodes.get_mut(index).ok_or(Refused::NoSuchNode)?;
        node.name = name.try_into().map_err(|_| Refused::TooLong)?;
        Record::Named {
            node: node.id,
            name,
        }
        .emit(out);
        Ok(())
    }

    fn set_instance(
        &mut self,
        index: usize,
        info: InstanceInfo,
        out: &mut Outputs,
    ) -> Result<(), Refused> {
        let node = self.nodes.get_mut(index).ok_or(Refused::NoSuchNode)?;
        if changes_in_use(node, &info) {
            return Err(Refused::InUse(node.state));
        }
        Record::Instance {
            node: node.id,
            image: &info.image_source,
        }
        .emit(out);
        node.instance = info;
        Ok(())
    }

    fn set_driver_info(&mut self, index: usize, key: &str, value: &str) -> Result<(), Refused> {
        let node = self.nodes.get_mut(index).ok_or(Refused::NoSuchNode)?;
        if value.is_empty() {
            node.driver_info.retain(|info| info.key != key);
            return Ok(());
        }
        let info = DriverInfo {
            key: key.try_into().map_err(|_| Refused::TooLong)?,
            value: value.try_into().map_err(|_| Refused::TooLong)?,
        };
        if let Some(known) = node.driver_info.iter_mut().find(|i| i.key == key) {
            *known = info;
            return Ok(());
        }
        node.driver_info
            .push(info)
            .map_err(|_| Refused::TooManyKeys)
    }

    /// Notes an error without changing the state: something to look at.
    pub(crate) fn warn(&mut self, index: usize, text: &str) {
        if let Some(node) = self.nodes.get_mut(index) {
            node.last_error = cut(text);
        }
    }
}

/// The image of a machine that is deployed or being deployed stays what it
/// is.
pub(crate) fn changes_in_use(node: &Node, info: &InstanceInfo) -> bool {
    let deployed = matches!(
        node.state,
        State::Active | State::Deploying | State::WaitCallBack | State::Deleting
    );
    deployed
        && (info.image_source != node.instance.image_source
            || info.instance_uuid != node.instance.instance_uuid)
}
