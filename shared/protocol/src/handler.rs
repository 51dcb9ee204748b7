//! The one trait behind which the work of an agent is done, and the driver
//! that couples it to a [`AgentClient`].
//!
//! The agent that runs as PID 1, the agent in the simulator and the agents
//! of tests implement [`AgentHandler`]; what they say and when they say it
//! again is the same code for all of them. The caller owns socket and clock:
//! ```text
//! loop {
//!     match driver.poll(now) {
//!         RunnerPoll::Transmit(datagram) => send it and poll again,
//!         RunnerPoll::Until(time) => wait for a datagram until then,
//!         RunnerPoll::Over => stop,
//!     }
//!     on a datagram: driver.process(now, datagram)
//! }
//! ```

use crate::{
    agent_client::{AgentClient, Event, Lost, Poll},
    message::{Failure, FinalReport, HandshakeReply, Order, Progress, Refusal, Report},
};

/// What an agent can do. Times are milliseconds of one monotonic clock.
///
/// Work that takes long belongs on a thread of the handler's own: `begin`
/// starts it, `poll` looks how it goes. No function may block.
pub trait AgentHandler {
    /// The session stands.
    fn established(&mut self, now: u64, handshake_reply: &HandshakeReply);

    /// Begin to carry out an order. It is verified: signed by the appliance,
    /// for this node, this boot, and newer than every order before. That
    /// its disks are there is for the handler to check.
    fn begin(&mut self, now: u64, order: &Order);

    /// What is there to say? Called again and again while an order is under
    /// way; `None` means nothing now. A [`TaskEvent::Report`] is taken only when
    /// the one before it is stored.
    fn poll(&mut self, now: u64) -> Option<TaskEvent>;

    /// The appliance does not take a statement; the order counts as failed
    /// and what is still to be said of it is not asked for any more.
    fn refused(&mut self, now: u64, refusal: Refusal);

    /// The appliance knows that the agent leaves (or can't be told): do it.
    fn leave(&mut self, now: u64, farewell: FinalReport);

    /// The conversation is over without an order to leave.
    fn lost(&mut self, now: u64, lost: Lost);
}

/// Something that a handler has to say.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is no heap to box it on, and one lives at a time"
)]
pub enum TaskEvent {
    /// How far it has come. Told at most once a second, the latest counts.
    Progress(Progress),
    /// A report, to be signed, sent and kept as evidence.
    Report(Report),
    /// The order is carried out and all its facts are told.
    Finished,
    /// The order did not succeed: tells the failure and ends the order.
    Failed(Failure),
    /// The order is carried out by leaving: tell the appliance, then call
    /// [`AgentHandler::leave`].
    Leave(FinalReport),
}

/// What the caller of a [`AgentRunner`] does next.
#[derive(Debug, PartialEq, Eq)]
pub enum RunnerPoll<'a> {
    /// Send this datagram to the appliance, then poll again.
    Transmit(&'a [u8]),
    /// Nothing to send: poll again at this time, or when a datagram has
    /// come, or when the handler may have something to say.
    Until(u64),
    /// The conversation is over.
    Over,
}

/// A conversation and the handler that works for it.
#[derive(Debug)]
pub struct AgentRunner<H> {
    client: AgentClient,
    handler: H,
    /// The order is carried out once its last statement is stored.
    finishing: bool,
}

impl<H: AgentHandler> AgentRunner<H> {
    /// Couples the two; nothing is sent yet.
    pub fn new(client: AgentClient, handler: H) -> Self {
        Self {
            client,
            handler,
            finishing: false,
        }
    }

    /// The handler.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// The handler, to be changed from outside.
    pub fn handler_mut(&mut self) -> &mut H {
        &mut self.handler
    }

    /// The conversation.
    pub fn client(&self) -> &AgentClient {
        &self.client
    }

    /// Takes in a datagram that came from the appliance's address.
    pub fn process(&mut self, now: u64, datagram: &[u8]) {
        if let Some(event) = self.client.process(now, datagram) {
            self.tell(now, event);
        }
    }

    /// Asks the handler, and says what to do next.
    pub fn poll(&mut self, now: u64) -> RunnerPoll<'_> {
        self.gather(now);
        // Twice at the most: an event ends the conversation.
        let event = match self.client.poll(now) {
            Poll::Event(event) => event,
            Poll::Until(time) => return RunnerPoll::Until(time),
            Poll::Over => return RunnerPoll::Over,
            Poll::Transmit => return RunnerPoll::Transmit(self.client.datagram()),
        };
        self.tell(now, event);
        RunnerPoll::Over
    }

    /// Lets the handler say as much as the conversation takes.
    fn gather(&mut self, now: u64) {
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
                Some(TaskEvent::Leave(farewell)) => {
                    self.client.leave(farewell);
                    return;
                }
            }
        }
    }

    fn report(&mut self, report: Report) {
        // Can't fail: nothing is being reported, and every report fits (the
        // sizes are asserted at compile time).
        let reported = self.client.report(report);
        debug_assert!(reported.is_ok(), "{reported:?}");
    }

    fn tell(&mut self, now: u64, event: Event) {
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
            Event::Gone(farewell) => self.handler.leave(now, farewell),
            Event::Lost(lost) => self.handler.lost(now, lost),
        }
    }
}
