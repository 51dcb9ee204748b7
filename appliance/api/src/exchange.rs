//! One request and its reply, from the parsed head to the last byte sent.

use super::changes::Changes;
use super::form::Form;
use super::patch::Patch;
use super::provision::{Provision, Wish};
use super::render::{self, Cursor, MIN_BUFFER};
use super::route::{self, Call};
use super::target::{Ident, Target};
use super::{CommandError, Error, Facts, MAX_BODY, Version, version, wish};
use farrier_core::interface::{Command, StoredConfigDrive};
use farrier_core::provisioning::steps::Steps;
use farrier_http::{BodyLength, Framing, Head, Method, ResponseHead, Status, chunked};
use farrier_lifecycle::Verb;
use farrier_protocol::message::{ConfigDriveFormat, NodeId};

/// Least bytes of the buffer for [`Exchange::reply`].
pub const REPLY_BUFFER: usize = MIN_BUFFER + chunked::PREFIX + chunked::SUFFIX;

/// One request and its reply. See the [module](super) for the order of the
/// calls. At most 2 KiB; borrows nothing.
#[derive(Debug)]
pub struct Exchange {
    /// `None` where not even the path was understood.
    call: Option<Call>,
    node: Option<(usize, NodeId)>,
    work: Work,
    taken: u64,
    outcome: Result<(), Error>,
    phase: Phase,
    version: Version,
    http: farrier_http::Version,
    head_only: bool,
    keep_alive: bool,
    gives_up: bool,
}

// There is one for every connection.
const _: () = assert!(size_of::<Exchange>() <= 2048);

/// What is being done about the request, ahead of the reply.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is no heap to box it on, and there are few connections"
)]
enum Work {
    /// Nothing more; a body is dropped.
    None,
    /// The body is read.
    Provision(Provision),
    /// The body is read.
    Patch(Patch),
    /// The body is read; then the brain is to be asked, wish by wish: the
    /// number of the next one.
    Form(Form, Option<usize>),
    /// The brain is to be asked.
    Verb(Verb, Steps, Option<StoredConfigDrive>),
    /// The brain is to be asked, wish by wish.
    Change(Changes, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Body(Cursor),
    /// The chunk that ends the body is still to come.
    LastChunk,
    Done,
}

impl Exchange {
    /// Begins with a request's head.
    pub fn begin(head: &Head<'_>, facts: &Facts<'_>) -> Self {
        let asked = head.header(version::HEADER);
        let mut exchange = Self {
            call: None,
            node: None,
            work: Work::None,
            taken: 0,
            outcome: Ok(()),
            phase: Phase::Head,
            version: Version::negotiate(asked).unwrap_or(Version::MIN),
            http: head.version,
            head_only: head.method == Method::Head,
            keep_alive: head.keep_alive,
            gives_up: false,
        };
        let found = route::route(head.method, head.path, head.query, asked);
        exchange.outcome = found.and_then(|call| exchange.look_up(call, facts));
        if let BodyLength::Known(length) = head.body
            && length > MAX_BODY
        {
            exchange.give_up();
        }
        exchange
    }

    fn look_up(&mut self, mut call: Call, facts: &Facts<'_>) -> Result<(), Error> {
        render::check(facts, &call)?;
        if let Some(ident) = call.target.node_mut() {
            let (place, node) = facts.find(ident)?;
            self.node = Some((place, node.id));
            // A name may be another node's by the time of the reply.
            *ident = Ident::Uuid(node.id);
            match call.target {
                Target::Provision(_) => self.work = Work::Provision(Provision::new(node.state)),
                Target::Patch(_) => self.work = Work::Patch(Patch::new()),
                Target::Power(_) => {
                    return Err(Error::bad(
                        "The node has no power driver: its power is in the hands of whoever \
                         stands at the rack. The agent restarts the machine where the work \
                         asks for it.",
                    ));
                }
                _ => {}
            }
        }
        if wish::takes_form(&call.target) {
            self.work = Work::Form(Form::new(), None);
        }
        self.call = Some(call);
        Ok(())
    }

    /// Whether there is a point in reading the body: a client that waits for
    /// `100 Continue` is sent it only then.
    pub fn wants_body(&self) -> bool {
        self.outcome.is_ok()
    }

    /// Whether the body is too long to be read to its end: reply at once and
    /// close.
    pub fn gives_up(&self) -> bool {
        self.gives_up
    }

    fn give_up(&mut self) {
        self.gives_up = true;
        self.keep_alive = false;
        self.refuse(Error::new(
            Status::CONTENT_TOO_LARGE,
            format_args!("A request's body has at most {MAX_BODY} bytes here."),
        ));
    }

    /// Notes a failure outside of the engine, for instance of the body's
    /// framing or of storage. The connection does not live on.
    pub fn fail(&mut self, error: Error) {
        self.keep_alive = false;
        self.refuse(error);
    }

    fn refuse(&mut self, error: Error) {
        if self.outcome.is_ok() {
            self.outcome = Err(error);
        }
        self.work = Work::None;
    }

    /// Takes bytes of the body (without its framing) out of `input`. Gives a
    /// piece of the config drive's text where there is one: seal it, keep
    /// it in the slot [`Exchange::slot`], and call again. `None` means that
    /// `input` is used up. What a refused request still sends is dropped.
    pub fn push<'b>(&mut self, input: &mut &'b [u8]) -> Option<&'b [u8]> {
        let before = input.len();
        let found = match &mut self.work {
            Work::Provision(provision) => provision.push(input),
            Work::Patch(patch) => patch.push(input).map(|()| None),
            Work::Form(form, None) => form.push(input).map(|()| None),
            Work::None | Work::Verb(..) | Work::Change(..) | Work::Form(..) => Ok(None),
        };
        let piece = found.unwrap_or_else(|error| {
            self.refuse(error);
            None
        });
        if piece.is_none() {
            *input = &[];
        }
        let taken = before.saturating_sub(input.len());
        self.taken = self.taken.saturating_add(taken as u64);
        if self.taken > MAX_BODY {
            self.give_up();
        }
        piece
    }

    /// The slot of the store in which this request's config drive is kept.
    pub fn slot(&self) -> Option<usize> {
        self.node.map(|(place, _)| place)
    }

    /// The slot in which the inspection lies that the reply is made of, and
    /// its length in bytes.
    pub fn inspection(&self, facts: &Facts<'_>) -> Option<(usize, usize)> {
        let wanted = matches!(self.call.as_ref()?.target, Target::Inventory(_));
        let (place, _) = self.node.filter(|_| wanted)?;
        let node = facts.nodes.get(place)?;
        Some((place, usize::from(node.hardware.statement_len)))
    }

    /// Tells that the body is complete (at once, where there is none). `key`
    /// sealed the config drive; it is not looked at where there is none.
    pub fn end(&mut self, key: [u8; 32], facts: &Facts<'_>) {
        let wish = match &mut self.work {
            Work::None | Work::Verb(..) | Work::Change(..) => return,
            Work::Form(form, number) => {
                let Some(call) = &mut self.call else {
                    return;
                };
                match wish::finish(&mut call.target, form, &key, facts) {
                    Ok(()) => *number = Some(0),
                    Err(error) => self.refuse(error),
                }
                return;
            }
            Work::Provision(provision) => provision.finish().map(|wish| {
                let Wish { verb, steps, drive } = wish;
                let stored = |(length, format): (u32, ConfigDriveFormat)| StoredConfigDrive {
                    length,
                    key,
                    format,
                };
                Work::Verb(verb, steps, drive.map(stored))
            }),
            Work::Patch(patch) => {
                let found = self
                    .node
                    .and_then(|(place, _)| Some((place, facts.nodes.get(place)?)));
                patch.finish().and_then(|changes| match found {
                    Some((place, node)) => changes
                        .check(facts, place, node)
                        .map(|()| Work::Change(changes, 0)),
                    None => Err(Error::refused(CommandError::NoSuchNode, None)),
                })
            }
        };
        match wish {
            Ok(wish) => self.work = wish,
            Err(error) => self.refuse(error),
        }
    }

    /// Length of the config drive that was taken in whole, in bytes of its
    /// text. Known behind [`Exchange::end`].
    pub fn config_drive(&self) -> Option<u32> {
        match &self.work {
            Work::Verb(_, _, Some(drive)) => Some(drive.length),
            _ => None,
        }
    }

    /// What the brain is to be asked next, if anything: take the step, carry
    /// its outputs out, hand the answer to [`Exchange::answered`], ask again.
    pub fn operator(&self, facts: &Facts<'_>) -> Option<Command<'_>> {
        match &self.work {
            Work::None | Work::Provision(_) | Work::Patch(_) | Work::Form(_, None) => None,
            Work::Verb(verb, steps, config_drive) => Some(Command::ProvisionSteps {
                node: self.node?.1,
                verb: *verb,
                steps: *steps,
                config_drive: *config_drive,
            }),
            Work::Change(changes, number) => {
                changes.operator(facts.nodes.get(self.node?.0)?, *number)
            }
            Work::Form(form, Some(number)) => {
                let target = &self.call.as_ref()?.target;
                wish::operator(target, self.node.map(|(_, id)| id), form, *number, facts)
            }
        }
    }

    /// Takes the brain's answer to [`Exchange::operator`].
    pub fn answered(&mut self, answer: Result<(), CommandError>, facts: &Facts<'_>) {
        let node = self.node.and_then(|(place, _)| facts.nodes.get(place));
        match (answer, &mut self.work) {
            (Err(refused), _) => self.refuse(Error::refused(refused, node)),
            (Ok(()), Work::Change(_, number) | Work::Form(_, Some(number))) => *number += 1,
            (Ok(()), _) => self.work = Work::None,
        }
    }

    /// Whether the connection lives on behind the reply.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive && self.framing() != Framing::UntilClose
    }

    /// The status of the reply.
    pub fn status(&self) -> Status {
        match (&self.outcome, self.call.as_ref().map(|call| &call.target)) {
            (Err(error), _) => error.status,
            (Ok(()), Some(target)) => target.status(),
            (Ok(()), None) => Status::OK,
        }
    }

    fn framing(&self) -> Framing {
        match (&self.outcome, self.call.as_ref().map(|call| &call.target)) {
            (Err(error), _) => Framing::Length(error.length() as u64),
            (Ok(()), Some(target)) if !target.has_reply() => Framing::Length(0),
            (Ok(()), _) => Framing::streamed(self.http),
        }
    }

    /// Writes the next bytes of the reply, head and framing included, into
    /// `buffer` of at least [`REPLY_BUFFER`] bytes. Gives their number; 0
    /// when the reply is complete. `inspection` is the statement that
    /// [`Exchange::inspection`] asked for, otherwise empty.
    pub fn reply(&mut self, facts: &Facts<'_>, inspection: &[u8], buffer: &mut [u8]) -> usize {
        let mut used = 0;
        if self.phase == Phase::Head {
            used = self.head(buffer);
            self.phase = match self.head_only || self.framing() == Framing::Length(0) {
                true => Phase::Done,
                false => Phase::Body(Cursor::new()),
            };
            if used == 0 {
                // A buffer of the promised length holds every head.
                debug_assert!(false, "a head must fit the buffer");
                self.phase = Phase::Done;
            }
        }
        let room = buffer.get_mut(used..).unwrap_or_default();
        if let (Phase::Body(_), Err(error)) = (self.phase, &self.outcome) {
            if room.len() < error.length() && used > 0 {
                return used;
            }
            used += error.emit(room);
            self.phase = Phase::Done;
        } else if let Phase::Body(mut cursor) = self.phase {
            if room.len() < REPLY_BUFFER && used > 0 {
                return used;
            }
            used += self.piece(facts, inspection, &mut cursor, room);
            self.phase = match (cursor.is_at_end(), self.framing()) {
                (false, _) => Phase::Body(cursor),
                (true, Framing::Chunked) => Phase::LastChunk,
                (true, _) => Phase::Done,
            };
        }
        if self.phase == Phase::LastChunk {
            let end = used + chunked::END.len();
            if let Some(room) = buffer.get_mut(used..end) {
                room.copy_from_slice(chunked::END);
                used = end;
                self.phase = Phase::Done;
            }
        }
        used
    }

    fn piece(
        &self,
        facts: &Facts<'_>,
        inspection: &[u8],
        cursor: &mut Cursor,
        room: &mut [u8],
    ) -> usize {
        let Some(call) = &self.call else {
            return 0;
        };
        let write = |room: &mut [u8]| render::render(facts, call, inspection, cursor, room);
        match self.framing() {
            Framing::Chunked => chunked::frame(room, write),
            _ => {
                let mut write = write;
                write(room)
            }
        }
    }

    fn head(&self, buffer: &mut [u8]) -> usize {
        let (spoken, least, most) = (
            self.version.text(),
            Version::MIN.text(),
            Version::MAX.text(),
        );
        let extra = [
            (version::HEADER, spoken.as_str()),
            (version::HEADER_MIN, least.as_str()),
            (version::HEADER_MAX, most.as_str()),
            ("Cache-Control", "no-store"),
        ];
        let framing = self.framing();
        let head = ResponseHead::new(self.status())
            .framing(framing)
            .keep_alive(self.keep_alive)
            .extra(&extra);
        let head = match framing {
            Framing::Length(0) => head,
            _ => head.content_type("application/json"),
        };
        head.emit(buffer).unwrap_or(0)
    }
}
