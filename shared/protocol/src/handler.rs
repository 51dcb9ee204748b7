//! [`AgentHandler`], which carries out orders, and [`AgentRunner`], which
//! connects it to an [`AgentClient`].
//!
//! The agent that runs as PID 1, the agent in the simulator and the agents of
//! tests implement [`AgentHandler`] and share the client. The caller has the
//! socket and the clock:
//! ```text
//! loop {
//!     match runner.poll(now) {
//!         RunnerPoll::Transmit(datagram) => send it and poll again,
//!         RunnerPoll::Until(time) => wait for a datagram until then,
//!         RunnerPoll::Over => stop,
//!     }
//!     on a datagram: runner.process(now, datagram)
//! }
//! ```

use crate::{
    agent_client::{AgentClient, Event, Lost, Poll},
    message::{
        Failure, FinalReport, HandshakeReply, HeardNeighbour, Order, Progress, Refusal, Report,
    },
};

/// Carries out orders. Times are milliseconds of one monotonic clock.
///
/// No function may block. `begin` starts a long task on a thread; `poll` returns
/// its events.
pub trait AgentHandler {
    /// The session is established.
    fn established(&mut self, now: u64, handshake_reply: &HandshakeReply);

    /// Starts to carry out an order. The client has verified it: the appliance
    /// signed it for this node and boot, and it is newer than every order before.
    /// The handler checks that the disks exist.
    fn begin(&mut self, now: u64, order: &Order);

    /// Returns the next event of the task, `None` if there is none now. The runner
    /// polls while an order is in progress and no statement is in transmission.
    fn poll(&mut self, now: u64) -> Option<TaskEvent>;

    /// Returns what was heard by LLDP on an interface since the last call, `None`
    /// where nothing is left. The runner asks at each poll.
    fn neighbour(&mut self, now: u64) -> Option<HeardNeighbour> {
        let _ = now;
        None
    }

    /// The appliance refused a statement. The order counts as failed, and the
    /// runner does not poll for more of its events.
    fn refused(&mut self, now: u64, refusal: Refusal);

    /// The appliance has the final report or does not answer: reboots or powers
    /// off.
    fn leave(&mut self, now: u64, report: FinalReport);

    /// The session is lost.
    fn lost(&mut self, now: u64, lost: Lost);
}

/// An event of the task that carries out an order.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is no heap to box it on, and one lives at a time"
)]
pub enum TaskEvent {
    /// Progress. The client sends the latest one at most once a second.
    Progress(Progress),
    /// A report. The client signs and sends it; the appliance keeps it as
    /// evidence.
    Report(Report),
    /// The order is done, and all its reports were returned.
    Finished,
    /// The order failed. The client reports the failure and ends the order.
    Failed(Failure),
    /// The server reboots or powers off. The client sends the final report, then
    /// the runner calls [`AgentHandler::leave`].
    Leave(FinalReport),
}

/// The next action of the caller of an [`AgentRunner`].
#[derive(Debug, PartialEq, Eq)]
pub enum RunnerPoll<'a> {
    /// Send this datagram to the appliance, then poll again.
    Transmit(&'a [u8]),
    /// Nothing to send. Poll again at this time, after a datagram, or when the
    /// handler may have an event.
    Until(u64),
    /// The session is over.
    Over,
}

/// A client and the handler of its orders.
#[derive(Debug)]
pub struct AgentRunner<H> {
    client: AgentClient,
    handler: H,
    /// The order ends when its last statement is stored.
    finishing: bool,
}

impl<H: AgentHandler> AgentRunner<H> {
    /// Connects the two. Sends nothing.
    pub fn new(client: AgentClient, handler: H) -> Self {
        Self {
            client,
            handler,
            finishing: false,
        }
    }

    /// Returns the handler.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// Returns the handler for changes.
    pub fn handler_mut(&mut self) -> &mut H {
        &mut self.handler
    }

    /// Returns the client.
    pub fn client(&self) -> &AgentClient {
        &self.client
    }

    /// Processes a datagram from the appliance's address.
    pub fn process(&mut self, now: u64, datagram: &[u8]) {
        if let Some(event) = self.client.process(now, datagram) {
            self.dispatch(now, event);
        }
    }

    /// Polls the handler and the client. Returns the next action.
    pub fn poll(&mut self, now: u64) -> RunnerPoll<'_> {
        while let Some(heard) = self.handler.neighbour(now) {
            self.client.neighbour(heard);
        }
        self.poll_handler(now);
        // An event of `poll` ends the session.
        let event = match self.client.poll(now) {
            Poll::Event(event) => event,
            Poll::Until(time) => return RunnerPoll::Until(time),
            Poll::Over => return RunnerPoll::Over,
            Poll::Transmit => return RunnerPoll::Transmit(self.client.datagram()),
        };
        self.dispatch(now, event);
        RunnerPoll::Over
    }

    /// Passes events of the handler to the client while it accepts them.
    fn poll_handler(&mut self, now: u64) {
        while self.client.is_working() && !self.client.is_reporting() {
            if self.finishing {
                self.finishing = false;
                self.client.finish(now);
                return;
            }
            match self.handler.poll(now) {
                None => return,
                Some(TaskEvent::Progress(progress)) => {
                    self.client.progress(progress);
                    return;
                }
                Some(TaskEvent::Report(report)) => self.report(report),
                Some(TaskEvent::Failed(failure)) => {
                    self.report(Report::Failure(failure));
                    self.finishing = true;
                }
                Some(TaskEvent::Finished) => self.finishing = true,
                Some(TaskEvent::Leave(report)) => {
                    self.client.leave(report);
                    return;
                }
            }
        }
    }

    fn report(&mut self, report: Report) {
        // Does not fail: no statement is in transmission, and every report
        // fits (the sizes are asserted at compile time).
        let reported = self.client.report(report);
        debug_assert!(reported.is_ok(), "{reported:?}");
    }

    fn dispatch(&mut self, now: u64, event: Event) {
        match event {
            Event::Established(handshake_reply) => self.handler.established(now, &handshake_reply),
            Event::Order(order) => {
                self.finishing = false;
                self.handler.begin(now, &order);
            }
            Event::Stored(_) => {}
            Event::Refused(refusal) => {
                self.finishing = false;
                self.handler.refused(now, refusal);
            }
            Event::Closed(report) => self.handler.leave(now, report),
            Event::Lost(lost) => self.handler.lost(now, lost),
        }
    }
}
