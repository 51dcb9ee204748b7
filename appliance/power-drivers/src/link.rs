//! What a protocol is to an operation: it carries out one [`Ask`] at a time and
//! gives its [`Answer`](crate::ask::Answer) to the [`Flow`].

use farrier_core::Instant;

use crate::ask::Ask;
use crate::driver::{Output, Random};
use crate::flow::Flow;

/// What a link does now.
#[derive(Debug)]
pub enum Turn {
    /// Something for the owner.
    Output(Output),
    /// Nothing before [`Link::wake_at`] or a call.
    Wait,
}

/// A protocol's side of an operation.
pub trait Link {
    /// How long a machine stays off ahead of a start, in milliseconds.
    fn off_pause(&self) -> u64;

    /// Whether it can begin.
    fn is_ready(&self) -> bool;

    /// Begins. The flow gets one answer, here or later.
    fn begin(&mut self, now: Instant, ask: Ask, random: Random<'_>, flow: &mut Flow);

    /// Goes on.
    fn poll(&mut self, now: Instant, out: &mut [u8], random: Random<'_>, flow: &mut Flow) -> Turn;

    /// Takes what came.
    fn input(&mut self, now: Instant, bytes: &mut [u8], flow: &mut Flow);

    /// The stream is open.
    fn connected(&mut self) {}

    /// The stream is closed, or could not be opened.
    fn closed(&mut self, _: Instant, _: &mut Flow) {}

    /// Ends what it has begun. The flow takes it for unanswered.
    fn abort(&mut self, now: Instant, flow: &mut Flow);

    /// Begins to end the session.
    fn close(&mut self, now: Instant);

    /// Whether no session is left to end.
    fn is_closed(&self) -> bool;

    /// What the device has said of its last refusal.
    fn message(&self) -> &str {
        ""
    }

    /// When it has something to do.
    fn wake_at(&self) -> Option<Instant>;
}
