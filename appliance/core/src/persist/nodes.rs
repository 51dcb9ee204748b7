//! The table of nodes. It reads as a slice; a node changes only behind a
//! [`Touched`] key, which the write path gives out once it knows what the node
//! was before, or as [`Volatile`], which reaches nothing that has a record.

use crate::interface::{Instant, NetworkId, PowerState};
use crate::node::{GivenTicket, HeardElsewhere, Node, PowerControl, Timeline};
use core::net::Ipv4Addr;
use farrier_protocol::message::Progress;
use farrier_protocol::server::Session;
use heapless::Vec;

/// The right to change one node within the present step. The step writes the
/// records that differ when it ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Touched(usize);

impl Touched {
    /// For the write path alone, once it keeps what the node was before.
    pub(crate) const fn kept(before: &super::Before) -> Self {
        Touched(before.index)
    }
}

/// At most `N` nodes, each in a place of its own.
#[derive(Debug)]
pub(crate) struct Nodes<const N: usize> {
    nodes: Vec<Node, N>,
    /// When each node is to be looked at next. Whoever can change a node sets
    /// this to [`Instant::START`], and the end of the step computes it anew:
    /// a step costs what it changes, not what the table holds.
    wakes: [Instant; N],
    /// All places that were changed since lie in this range.
    stale: core::ops::Range<usize>,
}

impl<const N: usize> core::ops::Deref for Nodes<N> {
    type Target = [Node];

    fn deref(&self) -> &[Node] {
        &self.nodes
    }
}

impl<const N: usize> Nodes<N> {
    /// No node.
    pub(crate) const fn new() -> Self {
        Nodes {
            nodes: Vec::new(),
            wakes: [Instant::START; N],
            // All zeros, so that the table takes no flash.
            stale: 0..0,
        }
    }

    /// When the node at `index` is to be looked at next; [`Instant::START`]
    /// where it was changed since that was computed.
    pub(crate) fn wake_of(&self, index: usize) -> Instant {
        self.wakes.get(index).copied().unwrap_or(Instant::START)
    }

    /// When the first node is to be looked at; `None` without nodes.
    pub(crate) fn first_wake(&self) -> Option<Instant> {
        self.wakes.iter().take(self.nodes.len()).min().copied()
    }

    /// Computes anew when those nodes are to be looked at that were changed.
    pub(crate) fn refresh_wakes(&mut self, wakes_at: impl Fn(&Node) -> Instant) {
        let stale = core::mem::take(&mut self.stale);
        let (start, count) = (stale.start, stale.len());
        let all = self.nodes.iter().zip(&mut self.wakes);
        for (node, wake) in all.skip(start).take(count) {
            if *wake == Instant::START {
                *wake = wakes_at(node);
            }
        }
    }

    /// The node at `index` is to be looked at anew.
    pub(crate) fn look_again(&mut self, index: usize) {
        if let Some(wake) = self.wakes.get_mut(index) {
            *wake = Instant::START;
            self.stale = match self.stale.is_empty() {
                true => index..index + 1,
                false => self.stale.start.min(index)..self.stale.end.max(index + 1),
            };
        }
    }

    /// The node that was touched.
    pub(crate) fn get_mut(&mut self, key: Touched) -> Option<&mut Node> {
        self.look_again(key.0);
        self.nodes.get_mut(key.0)
    }

    /// Puts a node into the place that was touched: one that is there, or the
    /// next one. `false` where the table is full.
    pub(crate) fn put(&mut self, key: Touched, node: Node) -> bool {
        self.look_again(key.0);
        match self.nodes.get_mut(key.0) {
            Some(place) => {
                *place = node;
                true
            }
            None => self.nodes.push(node).is_ok(),
        }
    }

    /// Forgets vacant places at the end.
    pub(crate) fn trim(&mut self) {
        while self.nodes.last().is_some_and(Node::is_vacant) {
            self.nodes.pop();
        }
    }

    /// What of a node has no record.
    pub(crate) fn volatile(&mut self, index: usize) -> Option<Volatile<'_>> {
        self.look_again(index);
        self.nodes.get_mut(index).map(Volatile)
    }

    /// All nodes, for a restore: what it changes comes from records.
    pub(crate) fn restored(&mut self) -> &mut Vec<Node, N> {
        self.wakes = [Instant::START; N];
        self.stale = 0..N;
        &mut self.nodes
    }
}

/// A node of which only what a restart forgets can be changed.
#[derive(Debug)]
pub(crate) struct Volatile<'a>(&'a mut Node);

impl core::ops::Deref for Volatile<'_> {
    type Target = Node;

    fn deref(&self) -> &Node {
        self.0
    }
}

impl Volatile<'_> {
    /// The timeline of its boot.
    pub(crate) fn timeline(&mut self) -> &mut Timeline {
        &mut self.0.timeline
    }

    /// What is being done about its power.
    pub(crate) fn power_control(&mut self) -> &mut PowerControl {
        &mut self.0.power_control
    }

    /// Its power state was seen.
    pub(crate) fn set_power(&mut self, now: Instant, power: PowerState) {
        self.0.see_power(now, power);
    }

    /// A packet of the machine came by this network: it runs.
    pub(crate) fn seen_on(&mut self, now: Instant, network: NetworkId) {
        self.set_power(now, PowerState::On);
        self.0.power_control.network = network;
    }

    /// Its address in the present boot.
    pub(crate) fn set_address(&mut self, address: Ipv4Addr) {
        self.0.address = address;
    }

    /// The ticket in the boot script that it was served.
    pub(crate) fn set_offered(&mut self, ticket: GivenTicket) {
        if self.0.offered != Some(ticket) {
            self.0.heard_elsewhere = None;
        }
        self.0.offered = Some(ticket);
    }

    /// A handshake with the offered ticket came from elsewhere.
    pub(crate) fn set_heard_elsewhere(&mut self, heard: Option<HeardElsewhere>) {
        self.0.heard_elsewhere = heard;
    }

    /// When its wait ends in a failure.
    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.0.deadline = deadline;
    }

    /// Its agent was heard.
    pub(crate) fn set_heard(&mut self, now: Instant) {
        self.0.boot.heard = Some(now);
    }

    /// How far its order has come.
    pub(crate) fn set_progress(&mut self, progress: Progress) {
        self.0.boot.progress = Some(progress);
    }

    /// The session, for opening requests and sealing replies: the counters of
    /// requests are written now and then only.
    pub(crate) fn session(&mut self) -> Option<&mut Session> {
        self.0.boot.session.as_mut()
    }
}

/// Unit tests of single rules put nodes into any state.
#[cfg(test)]
impl<const N: usize> core::ops::DerefMut for Nodes<N> {
    fn deref_mut(&mut self) -> &mut [Node] {
        self.restored()
    }
}

#[cfg(test)]
impl<const N: usize> Nodes<N> {
    pub(crate) fn push(&mut self, node: Node) -> Result<(), std::boxed::Box<Node>> {
        self.restored().push(node).map_err(std::boxed::Box::new)
    }
}
