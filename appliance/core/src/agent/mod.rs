//! Agents: requests and replies. Sessions begin in `handshake`; signed reports
//! are taken in `report`; orders are signed in `order`.

use crate::interface::Endpoint;
use crate::interface::Instant;
use crate::interface::{Effects, PowerAction, PowerState};
use crate::node::Reason;
use crate::node::{AgentPhase, agent_phase};
use crate::node::{Hop, Job, Node};
use crate::provisioning::steps::{Step, job_of};
use crate::rack::{Entropy, Rack, count, edit};
use farrier_lifecycle::ProvisionEvent;
use farrier_protocol::message::{BootId, FinalReport, Progress, Refusal, Reply, Request};
use farrier_protocol::server::{Freshness, Session, SessionError};
use farrier_protocol::wire::{Datagram, SessionId, emit_unknown_session};
use farrier_protocol::{MAX_DATAGRAM, size};

mod handshake;
mod order;
mod report;

/// How often an idle agent asks for work, in milliseconds.
const IDLE_MILLIS: u32 = 2_000;
/// The same once it has been idle for long: three times within the silence
/// after which it counts as gone.
const IDLE_LONG_MILLIS: u32 = 30_000;
/// When an agent is to come again while all places for statements are
/// taken, in milliseconds.
const BUSY_MILLIS: u32 = 500;

/// The answer to a request, before it is sealed.
enum Answer {
    Wait(u32),
    Ack,
    Stored(u32),
    Partial(u32),
    Busy,
    Refused(Refusal),
    Order(Job),
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    pub(crate) fn agent(
        &mut self,
        now: Instant,
        from: Endpoint,
        datagram: &[u8],
        entropy: &mut dyn Entropy,
        out: &mut Effects,
    ) {
        match Datagram::parse(datagram) {
            Ok(Datagram::Init(init)) => self.handshake(now, from, &init, entropy, out),
            Ok(Datagram::Request {
                session, counter, ..
            }) => match self.find_by_session(session) {
                Some(index) => self.request(now, index, from, datagram, out),
                None => {
                    count(&mut self.counters.agent_stray);
                    out.agent_with(from, |room| emit_unknown_session(session, counter, room));
                }
            },
            _ => count(&mut self.counters.agent_stray),
        }
    }

    pub(crate) fn find_by_session(&self, session: SessionId) -> Option<usize> {
        self.nodes.iter().position(|node| {
            node.boot
                .session
                .as_ref()
                .is_some_and(|s| s.id() == session)
        })
    }

    fn request(
        &mut self,
        now: Instant,
        index: usize,
        from: Endpoint,
        datagram: &[u8],
        out: &mut Effects,
    ) {
        let mut buffer = [0; MAX_DATAGRAM];
        // The first request of a session is written, whatever it asks for: a
        // restart must know that the session is in use.
        let session = |node: &Node| node.boot.session.as_ref().is_none_or(Session::is_unused);
        let first = self.nodes.get(index).is_none_or(session);
        if first && self.touch(index).is_none() {
            return;
        }
        let Some(mut node) = self.nodes.volatile(index) else {
            return;
        };
        // A copy of a request from elsewhere gets no answer, not even a sealed one.
        let place = node.boot.ticket.map(|given| given.place);
        let elsewhere =
            place.is_none_or(|place| place.mac != from.mac || place.network != from.network.0);
        if elsewhere && !cfg!(farrier_bug = "other-place") {
            count(&mut self.counters.agent_stray);
            return;
        }
        let Some(session) = node.session() else {
            return;
        };
        let (freshness, request) = match session.open(datagram, &mut buffer) {
            Ok(opened) => (opened.freshness, Some(opened.request)),
            Err(SessionError::Malformed) => (Freshness::Repeat, None),
            Err(_) => {
                count(&mut self.counters.agent_forged);
                return;
            }
        };
        // Anybody on the wire can send the last request again. It is answered,
        // because the answer may have been lost, and proves nothing.
        let fresh = freshness == Freshness::New || cfg!(farrier_bug = "dead-agent");
        if fresh
            && node.boot.heard.is_none()
            && agent_phase(node.state) == Some(AgentPhase::Working)
        {
            // It comes back with the facts of its session after a restart of
            // the appliance: its work goes on.
            let deadline = node.state.deadline();
            node.set_deadline(deadline.map(|d| now.plus_millis(d.millis)));
        }
        if fresh {
            node.set_heard(now);
            // Another server's lease is known for as long as its machine is heard.
            if place.is_some_and(|place| place.address == from.ip.octets()) {
                self.has_address(now, from.mac, from.ip, out);
            }
        }
        let answer = match request {
            None => Answer::Refused(Refusal::Malformed),
            Some(Request::Ask) if fresh => self.ask(now, index, out),
            // An order whose answer was lost is given again. Nothing goes on by that.
            Some(Request::Ask) => match self.order_at_work(index) {
                Some(job) => Answer::Order(job),
                None => Answer::Wait(IDLE_MILLIS),
            },
            // Of a dead agent's last one anybody can send a copy.
            Some(Request::Progress(progress)) if fresh => self.progress(now, index, progress),
            Some(Request::Progress(_)) => Answer::Ack,
            Some(Request::Part(part)) => self.part(now, index, &part, fresh, out),
            Some(Request::Neighbour(heard)) => {
                if fresh {
                    self.neighbour(now, index, &heard, out);
                }
                Answer::Ack
            }
            Some(Request::FinalReport(report)) if freshness == Freshness::New => {
                self.final_report(now, index, report, out)
            }
            Some(Request::FinalReport(_)) => Answer::Ack,
        };
        self.reply(now, index, from, answer, out);
    }

    fn reply(
        &mut self,
        now: Instant,
        index: usize,
        from: Endpoint,
        answer: Answer,
        out: &mut Effects,
    ) {
        let mut body = [0; size::ORDER];
        let order = match answer {
            Answer::Order(job) => self.sign(now, index, job, &mut body, out),
            _ => None,
        };
        let reply = match (&answer, &order) {
            (Answer::Order(_), Some((len, signature))) => Reply::Order {
                body: body.get(..*len).unwrap_or_default(),
                signature,
            },
            (Answer::Order(_), None) => Reply::Wait {
                millis: IDLE_MILLIS,
            },
            (Answer::Wait(millis), _) => Reply::Wait { millis: *millis },
            (Answer::Ack, _) => Reply::Ack,
            (Answer::Stored(statement), _) => Reply::Stored {
                statement: *statement,
            },
            (Answer::Partial(have), _) => Reply::Partial { have: *have },
            (Answer::Busy, _) => Reply::Busy {
                millis: BUSY_MILLIS,
            },
            (Answer::Refused(refusal), _) => Reply::Refused(*refusal),
        };
        if let Some(mut node) = self.nodes.volatile(index)
            && let Some(session) = node.session()
        {
            out.agent_with(from, |room| session.seal_reply(&reply, room).ok());
        }
    }

    /// "What shall I do?"
    fn ask(&mut self, now: Instant, index: usize, out: &mut Effects) -> Answer {
        let Some(node) = self.nodes.get(index) else {
            return Answer::Wait(IDLE_MILLIS);
        };
        if node.boot.imaged {
            return Answer::Order(Job::Reboot);
        }
        let request = node.power_request.map(|request| request.action);
        let Some(at_work) = agent_phase(node.state) else {
            // The machine's own system follows soft requests first.
            match request {
                Some(PowerAction::SoftOff) => return Answer::Order(Job::PowerOff),
                Some(PowerAction::SoftReboot) => return Answer::Order(Job::Reboot),
                _ => {}
            }
            // Who has waited for minutes may wait for seconds more.
            let idle = u32::try_from(now.since(node.since) / 16).unwrap_or(u32::MAX);
            return Answer::Wait(idle.clamp(IDLE_MILLIS, IDLE_LONG_MILLIS));
        };
        if at_work == AgentPhase::Waiting {
            if cfg!(farrier_bug = "quick-server") && node.timeline.started() < node.since {
                return Answer::Wait(IDLE_MILLIS);
            }
            self.event(now, index, ProvisionEvent::Resume, Reason::AgentWorks, out);
        }
        self.proceed(now, index, out);
        let Some(node) = self.nodes.get(index) else {
            return Answer::Wait(IDLE_MILLIS);
        };
        if node.boot.imaged {
            return Answer::Order(Job::Reboot);
        }
        // No order before the machine's ports are on the network of its work.
        if !self.ports_are_settled(index) {
            return Answer::Wait(IDLE_MILLIS);
        }
        let due = node.step().and_then(job_of);
        match due.filter(|_| agent_phase(node.state) == Some(AgentPhase::Working)) {
            // Disks are named from what this very boot has seen.
            // The disks are erased: what is on them shows behind a restart.
            Some(Job::Erase) if node.erased_in == node.boot.id => Answer::Order(Job::Reboot),
            Some(Job::Erase | Job::Deploy) if !node.boot.inspected => Answer::Order(Job::Inspect),
            // The inspection was for something else. Another one fails the work and
            // names what it finds.
            Some(Job::Erase) if node.hardware.unproven > 0 => Answer::Order(Job::Inspect),
            Some(Job::Erase) if node.erased_in != BootId(0) => Answer::Order(Job::Reread),
            Some(job) => Answer::Order(job),
            None => Answer::Wait(IDLE_MILLIS),
        }
    }

    /// What a node's agent was ordered for the work that goes on.
    fn order_at_work(&self, index: usize) -> Option<Job> {
        let node = self.nodes.get(index)?;
        let works = agent_phase(node.state) == Some(AgentPhase::Working);
        node.boot.order.filter(|_| works).map(|order| order.job)
    }

    fn progress(&mut self, now: Instant, index: usize, progress: Progress) -> Answer {
        if let Some(mut node) = self.nodes.volatile(index) {
            let current = node.boot.order.map(|order| order.counter);
            if current != Some(progress.order) {
                return Answer::Ack;
            }
            // Work that moves keeps its state alive; work that only talks
            // runs into the deadline.
            let moved = node
                .boot
                .progress
                .is_none_or(|last| last.step != progress.step || last.done < progress.done)
                || cfg!(farrier_bug = "wait-without-end");
            if moved && let Some(deadline) = node.state.deadline() {
                node.set_deadline(Some(now.plus_millis(deadline.millis)));
            }
            node.set_progress(progress);
        }
        Answer::Ack
    }

    fn final_report(
        &mut self,
        now: Instant,
        index: usize,
        report: FinalReport,
        out: &mut Effects,
    ) -> Answer {
        let Some(node) = edit!(self, index) else {
            return Answer::Ack;
        };
        node.boot.left = true;
        let power = match report {
            FinalReport::Reboot => PowerState::On,
            FinalReport::PowerOff => PowerState::Off,
        };
        node.see_power(now, power);
        let ordered = node.boot.order.take().map(|order| order.job);
        let (steps, imaged, state) = (node.steps, node.boot.imaged, node.state);
        if steps.first() == Some(Step::Reboot) && ordered == Some(Job::Reboot) {
            self.set_steps(index, steps.rest());
        }
        // It restarts by itself.
        let back = now.plus_millis(Hop::Discover.limit_millis());
        if report == FinalReport::Reboot
            && let Some(mut node) = self.nodes.volatile(index)
        {
            let control = node.power_control();
            control.set_restarted(now);
            control.hold_off(back);
        }
        if imaged {
            self.deployed(now, index, Reason::Proven, out);
        } else if agent_phase(state) == Some(AgentPhase::Working) {
            self.event(now, index, ProvisionEvent::Wait, Reason::AgentLeft, out);
            // The new state has begun its power control anew.
            if let Some(mut node) = self.nodes.volatile(index) {
                node.power_control().hold_off(back);
            }
        }
        Answer::Ack
    }
}
