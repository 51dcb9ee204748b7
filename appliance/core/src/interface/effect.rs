//! Effects that the rack asks the glue for.

use super::{
    CommandError, Endpoint, Instant, OperationId, PORT_NAME_LEN, PowerOperation, String,
    SwitchAction, SwitchAddress, SwitchDetails,
};
use farrier_asset_store::SlotPart;
use farrier_dhcp::route::Route;
use farrier_protocol::message::{MAX_DISKS, Mac, NodeId};

/// Most outputs of one step.
pub const MAX_EFFECTS: usize = 12;
/// Bytes that the outputs of one step carry between them: a boot script or a
/// frame, beside records. The most records come with an inspection: one a disk.
pub const ARENA_LEN: usize = 3 * 1024 + MAX_DISKS * 74;

/// One effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Write this down, durably, before anything that follows.
    Record(&'a [u8]),
    /// Send this DHCP reply (a UDP payload) from the port that was asked: 67, or
    /// 4011 for [`crate::Input::PxeRequest`], whose answer goes back to the port that
    /// it came from.
    Dhcp {
        /// Where to.
        route: Route,
        /// BOOTP header and options.
        payload: &'a [u8],
    },
    /// Send this datagram of the agent protocol.
    Agent {
        /// Where to, as a raw frame.
        to: Endpoint,
        /// Its payload.
        datagram: &'a [u8],
    },
    /// Put a statement into a node's slot of the asset store, behind its
    /// length as 4 bytes little-endian.
    StoreStatement {
        /// The slot.
        slot: usize,
        /// The part of the slot.
        part: SlotPart,
        /// Which: [`crate::Rack::statement`] has the bytes until the next
        /// step.
        statement: StatementRef,
    },
    /// Serve this to the peer that asked in [`crate::Input::Open`].
    Serve(Serve<'a>),
    /// The driver of the node's power shall do this, and answer with
    /// [`crate::Input::OperationDone`] and, as far as it can see,
    /// [`crate::Input::Observed`] and [`crate::Input::BootObserved`].
    /// [`crate::Rack::power_access`] says how it reaches the machine.
    Power {
        /// Names the operation in the answer.
        id: OperationId,
        /// The node.
        node: NodeId,
        /// What is to be done.
        operation: PowerOperation,
        /// The rack gives the operation up then, and asks anew.
        deadline: Instant,
    },
    /// The switch's driver shall do this with one of its ports, and answer with
    /// [`crate::Input::PortRead`], where it could read the port, and then
    /// [`crate::Input::OperationDone`].
    Switch {
        /// Names the operation in the answer.
        id: OperationId,
        /// The switch.
        switch: SwitchAddress,
        /// The port, as the switch calls it.
        port: &'a str,
        /// What shall be done.
        action: SwitchAction,
        /// Names a move on a switch that can take it back by itself: the same in
        /// [`SwitchAction::Move`] and in the [`SwitchAction::Keep`] or
        /// [`SwitchAction::Undo`] that ends it, also after a restart. Random: who
        /// knows it can end the move.
        token: u64,
        /// What else the operation takes.
        details: SwitchDetails<'a>,
        /// The rack gives the operation up then, and asks anew.
        deadline: Instant,
    },
    /// The answer to the actor of [`crate::Input::Command`].
    Answer(Result<(), CommandError>),
}

/// A statement that is to be kept: where it was put together, and its
/// length. Too long to be copied into the outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementRef {
    pub(crate) place: usize,
    pub(crate) len: usize,
}

/// What to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serve<'a> {
    /// This text.
    Text(&'a [u8]),
    /// The asset of this name, if the store has it and may serve it.
    Asset(&'a str),
    /// A part of a node's slot, from its start.
    Slot {
        /// The slot.
        slot: usize,
        /// The part.
        part: SlotPart,
        /// Bytes of it.
        len: u32,
    },
    /// There is no such file for this peer.
    NotFound,
    /// The tables are full; the same question later may be answered.
    Busy,
}

/// The outputs of one step, with room of their own for their bytes.
///
/// Records come first, whenever they were put in: whatever a step does, all
/// that it changed is durable before any of it shows.
#[derive(Debug)]
pub struct Effects {
    items: heapless::Vec<Item, MAX_EFFECTS>,
    /// StringPool and frames from the front; records from the end, each in front
    /// of its length.
    arena: [u8; ARENA_LEN],
    used: usize,
    /// Bytes of records at the arena's end.
    recorded: u16,
    /// How many records these are.
    records: u8,
    /// Effects that found no room: a broken bound, counted and visible.
    lost: u32,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: u16,
    len: u16,
}

/// An operation that a power driver is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) id: OperationId,
    pub(crate) node: NodeId,
    pub(crate) operation: PowerOperation,
    pub(crate) deadline: Instant,
}

/// An operation that a switch's driver is asked for, but for its port's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SwitchOperation {
    pub(crate) id: OperationId,
    pub(crate) switch: SwitchAddress,
    pub(crate) action: SwitchAction,
    pub(crate) token: u64,
    pub(crate) make_vlan: bool,
    pub(crate) remove_vlan: bool,
    pub(crate) at_once: bool,
    pub(crate) mac: Option<Mac>,
    pub(crate) deadline: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Item {
    Dhcp(Route, Span),
    Agent(Endpoint, Span),
    StoreStatement(usize, SlotPart, StatementRef),
    Text(Span),
    Asset(Span),
    Slot(usize, SlotPart, u32),
    NotFound,
    Busy,
    Power(Operation),
    /// The names of the port and of the trunk, and the first one's length.
    Switch(SwitchOperation, Span, u8),
    Answer(Result<(), CommandError>),
}

impl Default for Effects {
    fn default() -> Self {
        Self::new()
    }
}

impl Effects {
    /// Empty outputs.
    pub const fn new() -> Self {
        Effects {
            items: heapless::Vec::new(),
            arena: [0; ARENA_LEN],
            used: 0,
            recorded: 0,
            records: 0,
            lost: 0,
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.items.clear();
        self.used = 0;
        self.recorded = 0;
        self.records = 0;
    }

    /// How many outputs found no room since the start. Not 0 is a bug.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// The records of the step, in their order: durable together, or not at
    /// all.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut end = ARENA_LEN;
        let from = ARENA_LEN - usize::from(self.recorded);
        core::iter::from_fn(move || {
            let place = end.checked_sub(1).filter(|place| *place >= from)?;
            let start = place.checked_sub(usize::from(*self.arena.get(place)?))?;
            end = start;
            self.arena.get(start..place)
        })
    }

    /// The outputs, in the order in which they are to be carried out.
    pub fn iter(&self) -> impl Iterator<Item = Effect<'_>> {
        self.records().map(Effect::Record).chain(self.effects())
    }

    /// The outputs behind the records.
    pub fn effects(&self) -> impl Iterator<Item = Effect<'_>> {
        self.items.iter().map(|item| match *item {
            Item::Dhcp(route, s) => Effect::Dhcp {
                route,
                payload: self.bytes(s),
            },
            Item::Agent(to, s) => Effect::Agent {
                to,
                datagram: self.bytes(s),
            },
            Item::StoreStatement(slot, part, statement) => Effect::StoreStatement {
                slot,
                part,
                statement,
            },
            Item::Text(s) => Effect::Serve(Serve::Text(self.bytes(s))),
            Item::Asset(s) => Effect::Serve(
                core::str::from_utf8(self.bytes(s)).map_or(Serve::NotFound, Serve::Asset),
            ),
            Item::Slot(slot, part, len) => Effect::Serve(Serve::Slot { slot, part, len }),
            Item::NotFound => Effect::Serve(Serve::NotFound),
            Item::Busy => Effect::Serve(Serve::Busy),
            Item::Power(operation) => {
                let Operation {
                    id,
                    node,
                    operation,
                    deadline,
                } = operation;
                Effect::Power {
                    id,
                    node,
                    operation,
                    deadline,
                }
            }
            Item::Switch(operation, names, port) => {
                let SwitchOperation {
                    id,
                    switch,
                    action,
                    token,
                    make_vlan,
                    remove_vlan,
                    at_once,
                    mac,
                    deadline,
                } = operation;
                // They were put in as texts.
                let names = core::str::from_utf8(self.bytes(names)).unwrap_or_default();
                let (port, trunk) = names.split_at_checked(port.into()).unwrap_or_default();
                Effect::Switch {
                    id,
                    switch,
                    port,
                    action,
                    token,
                    details: SwitchDetails {
                        make_vlan,
                        remove_vlan,
                        at_once,
                        trunk,
                        mac,
                    },
                    deadline,
                }
            }
            Item::Answer(answer) => Effect::Answer(answer),
        })
    }

    /// How many outputs there are.
    pub fn len(&self) -> usize {
        self.items.len() + usize::from(self.records)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn bytes(&self, span: Span) -> &[u8] {
        let start = usize::from(span.start);
        self.arena
            .get(start..start + usize::from(span.len))
            .unwrap_or_default()
    }

    /// Lets `write` fill the free rest of the arena; it returns how much it
    /// used, or `None` where that was too little.
    fn put(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
        item: impl FnOnce(Span) -> Item,
    ) -> bool {
        let start = self.used;
        let end = ARENA_LEN - usize::from(self.recorded);
        let room = self.arena.get_mut(start..end).unwrap_or_default();
        let room_len = room.len();
        let span = write(room).filter(|len| *len <= room_len).and_then(|len| {
            Some(Span {
                start: u16::try_from(start).ok()?,
                len: u16::try_from(len).ok()?,
            })
        });
        if let Some(span) = span
            && self.items.push(item(span)).is_ok()
        {
            self.used = start + usize::from(span.len);
            return true;
        }
        self.lost = self.lost.saturating_add(1);
        debug_assert!(false, "outputs of one step must fit");
        false
    }

    fn copy(&mut self, bytes: &[u8], item: impl FnOnce(Span) -> Item) {
        self.put(
            |room| {
                room.get_mut(..bytes.len())?.copy_from_slice(bytes);
                Some(bytes.len())
            },
            item,
        );
    }

    fn plain(&mut self, item: Item) {
        if self.items.push(item).is_err() {
            self.lost = self.lost.saturating_add(1);
            debug_assert!(false, "outputs of one step must fit");
        }
    }

    /// Adds a record, unless the step has the same one already.
    pub(crate) fn record(&mut self, record: &[u8]) {
        if self.records().any(|known| known == record) {
            return;
        }
        let end = ARENA_LEN - usize::from(self.recorded);
        let start = end.checked_sub(record.len() + 1);
        if let Some(start) = start.filter(|start| *start >= self.used)
            && let Some([room @ .., length]) = self.arena.get_mut(start..end)
            && let Ok(len) = u8::try_from(record.len())
        {
            room.copy_from_slice(record);
            *length = len;
            self.recorded += u16::from(len) + 1;
            self.records = self.records.saturating_add(1);
            return;
        }
        self.lost = self.lost.saturating_add(1);
        debug_assert!(false, "outputs of one step must fit");
    }

    pub(crate) fn dhcp_with(
        &mut self,
        route: Route,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) {
        self.put(write, |s| Item::Dhcp(route, s));
    }

    pub(crate) fn agent_with(
        &mut self,
        to: Endpoint,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) {
        self.put(write, |s| Item::Agent(to, s));
    }

    pub(crate) fn store_statement(&mut self, slot: usize, part: SlotPart, statement: StatementRef) {
        self.plain(Item::StoreStatement(slot, part, statement));
    }

    pub(crate) fn text_with(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) {
        self.put(write, Item::Text);
    }

    pub(crate) fn serve(&mut self, serve: Serve<'_>) {
        match serve {
            Serve::Text(text) => self.copy(text, Item::Text),
            Serve::Asset(name) => self.copy(name.as_bytes(), Item::Asset),
            Serve::Slot { slot, part, len } => self.plain(Item::Slot(slot, part, len)),
            Serve::NotFound => self.plain(Item::NotFound),
            Serve::Busy => self.plain(Item::Busy),
        }
    }

    pub(crate) fn power(&mut self, operation: Operation) {
        self.plain(Item::Power(operation));
    }

    pub(crate) fn switch(&mut self, operation: SwitchOperation, port: &str, trunk: &str) {
        let mut names = String::<{ 2 * PORT_NAME_LEN }>::new();
        let _fit = names.push_str(port).and_then(|()| names.push_str(trunk));
        // A name is much shorter than 256 bytes.
        let port = port.len() as u8;
        self.copy(names.as_bytes(), |s| Item::Switch(operation, s, port));
    }

    pub(crate) fn answer(&mut self, answer: Result<(), CommandError>) {
        self.plain(Item::Answer(answer));
    }
}

#[cfg(test)]
mod tests;
