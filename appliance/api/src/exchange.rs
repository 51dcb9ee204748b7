//! One request and its reply, from the parsed head to the last byte sent: a
//! state machine that says what it needs next.

use crate::body::Body;
use crate::drive::Drive;
use crate::reply::{self, Cursor, MIN_BUFFER};
use crate::resource::{self, Ask, Call, Route, Subject, Takes};
use crate::resources::TABLE;
use crate::resources::provision::Provision;
use crate::{Error, MAX_BODY, Version, View, query, version};
use farrier_asset_store::SlotPart;
use farrier_core::interface::{Command, CommandError, StoredConfigDrive};
use farrier_http::{BodyLength, Framing, Head, Method, Piece, ResponseHead, Status, chunked};

/// Least bytes of the buffer for [`Exchange::reply`].
pub const REPLY_BUFFER: usize = MIN_BUFFER + chunked::PREFIX + chunked::SUFFIX;

/// What a request needs next. See [`Exchange::need`].
#[derive(Debug)]
pub enum Need<'e> {
    /// The client waits for [`farrier_http::CONTINUE`].
    Continue,
    /// More bytes of the body: read some and hand them to
    /// [`Exchange::push`].
    Body,
    /// A piece of a config drive is to be written to the block device; then
    /// call [`Exchange::stored`].
    Store {
        /// The slot.
        slot: usize,
        /// The part of the slot.
        part: SlotPart,
        /// Where in that part.
        offset: u64,
        /// The bytes.
        bytes: &'e [u8],
    },
    /// The command is to be given to the rack; then call
    /// [`Exchange::answered`]. There is one in a request at most.
    Command(Command<'e>),
    /// The inspection of a node is to be read from its part of the slot,
    /// behind its length, for [`Exchange::reply`]; then call
    /// [`Exchange::read`].
    Statement {
        /// The slot.
        slot: usize,
        /// Its bytes.
        length: usize,
    },
    /// Bytes of the reply are to be fetched from [`Exchange::reply`] and sent.
    Send,
    /// The reply is sent. Close the connection unless it is kept.
    Done {
        /// Whether the client may send another request.
        keep_alive: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Body,
    /// The last piece of the config drive is to be stored.
    LastPiece,
    Command,
    Statement,
    Head,
    Reply(Cursor),
    /// The chunk that ends the body is still to come.
    LastChunk,
    Done,
}

/// One request and its reply. At most 2 KiB; borrows nothing.
#[derive(Debug)]
pub struct Exchange {
    /// `None` where the request was refused before one was found.
    route: Option<&'static Route>,
    call: Call,
    body: Body,
    framing: farrier_http::Body,
    taken: u64,
    outcome: Result<(), Error>,
    stage: Stage,
    version: Version,
    http: farrier_http::Version,
    head_only: bool,
    keep_alive: bool,
    expects_continue: bool,
}

// There is one for every request at a time.
const _: () = assert!(size_of::<Exchange>() <= 2048);

impl Exchange {
    /// Begins with a request's head. `random` are 32 bytes that nobody can
    /// guess, fresh for every request: the key of its config drive, and the
    /// identity of what it makes.
    pub fn begin(head: &Head<'_>, random: [u8; 32], view: &View<'_>) -> Self {
        let asked = head.header(version::HEADER);
        let mut exchange = Self {
            route: None,
            call: Call::new(random),
            body: Body::None,
            framing: farrier_http::Body::new(head.body),
            taken: 0,
            outcome: Ok(()),
            stage: Stage::Body,
            version: Version::negotiate(asked).unwrap_or(Version::MIN),
            http: head.version,
            head_only: head.method == Method::Head,
            keep_alive: head.keep_alive,
            expects_continue: head.expect_continue,
        };
        if let Err(error) = exchange.look_up(head, asked, view) {
            exchange.refuse(error);
        }
        if let BodyLength::Known(length) = head.body
            && length > MAX_BODY
        {
            exchange.give_up();
        }
        exchange
    }

    fn look_up(
        &mut self,
        head: &Head<'_>,
        asked: Option<&str>,
        view: &View<'_>,
    ) -> Result<(), Error> {
        resource::negotiate(asked)?;
        let route = resource::find(TABLE, head.method, head.path, &mut self.call)?;
        if route.path.contains("{node}") {
            let text = self.call.parameter(0);
            let found = resource::Ident::new(text).and_then(|ident| view.find(&ident));
            let (place, node) =
                found.ok_or_else(|| Error::not_found("Node", text, "/v1/nodes/{node}"))?;
            // A name may be another node's by the time of the reply.
            self.call.node = Some((place, node.id));
        }
        self.call.list.detail = route.detail;
        query::read(view, &mut self.call, head.query, route.query)?;
        if let Some(check) = route.check {
            check(view, &self.call)?;
        }
        self.body = match (route.takes, view.node(&self.call)) {
            (Takes::Provision, Some((_, node))) => {
                let place = StoredConfigDrive::free_place(node.config_drive.as_ref());
                let drive = Drive::new(self.call.random, place);
                Body::Provision(Provision::new(node.state), drive)
            }
            _ => route.body(),
        };
        self.route = Some(route);
        Ok(())
    }

    fn give_up(&mut self) {
        self.refuse(Error::new(
            Status::CONTENT_TOO_LARGE,
            format_args!("The body is longer than {MAX_BODY} bytes. Shorten it."),
        ));
        self.close();
    }

    /// Replies at once: what is left of the body is not read.
    fn close(&mut self) {
        self.keep_alive = false;
        if self.stage == Stage::Body {
            self.stage = Stage::Head;
        }
    }

    /// The block device failed to write or to read what was asked of it.
    pub fn storage_failed(&mut self) {
        self.fail("the appliance's block device failed. Look at its console and try again.");
    }

    /// The rack gave no answer: what it decided could not be made durable.
    pub fn not_durable(&mut self) {
        self.fail("the appliance's journal failed. Restart the appliance.");
    }

    fn fail(&mut self, text: &str) {
        self.keep_alive = false;
        self.refuse(Error::about(
            Status::INTERNAL_SERVER_ERROR,
            &self.subject_of(None),
            text,
        ));
        if matches!(
            self.stage,
            Stage::Body | Stage::LastPiece | Stage::Command | Stage::Statement
        ) {
            self.stage = Stage::Head;
        }
    }

    fn refuse(&mut self, error: Error) {
        if self.outcome.is_ok() {
            self.outcome = Err(error);
        }
        self.body = Body::None;
    }

    /// Refuses with an error that does not say yet what it is about.
    fn refuse_about(&mut self, error: &Error, view: &View<'_>) {
        let node = view.node(&self.call).map(|(_, node)| node);
        let error = Error::about(error.status, &self.subject_of(node), &error.text);
        self.refuse(error);
    }

    fn subject_of<'s>(&'s self, node: Option<&'s farrier_core::node::Node>) -> Subject<'s> {
        let pairs = self.body.pairs();
        let named = ["name", "uuid", "address"].map(|key| pairs.get(key));
        let named = named.into_iter().find(|name| !name.is_empty());
        Subject {
            kind: self.route.map_or("", |route| route.kind),
            name: match self.call.last() {
                "" => named.unwrap_or(""),
                text => text,
            },
            node,
        }
    }

    /// What the request needs next. Between any two calls the rack may
    /// change: make a new view for each. What a need gives is as it was until
    /// it was done.
    pub fn need(&mut self, view: &View<'_>) -> Need<'_> {
        while self.advance(view) {}
        match self.stage {
            Stage::Body if self.expects_continue => {
                self.expects_continue = false;
                Need::Continue
            }
            Stage::Body | Stage::LastPiece => match (&self.body, self.call.node) {
                (Body::Provision(_, drive), Some((slot, _))) if self.stores() => {
                    let (offset, bytes) = drive.sealed().unwrap_or_default();
                    Need::Store {
                        slot,
                        part: SlotPart::ConfigDrive(drive.place),
                        offset,
                        bytes,
                    }
                }
                _ => Need::Body,
            },
            Stage::Command => {
                let build = self.route.and_then(|route| route.command);
                match build.map(|build| build(view, &self.call, &self.body)) {
                    Some(Ok(command)) => Need::Command(command),
                    // It was built a moment ago.
                    _ => Need::Send,
                }
            }
            Stage::Statement => {
                let (slot, length) = self.inspection(view).unwrap_or_default();
                Need::Statement { slot, length }
            }
            Stage::Head | Stage::Reply(_) | Stage::LastChunk => Need::Send,
            Stage::Done => Need::Done {
                keep_alive: self.keep_alive(),
            },
        }
    }

    /// Whether a piece of a config drive is to be stored now.
    fn stores(&self) -> bool {
        match &self.body {
            Body::Provision(_, drive) => self.stage == Stage::LastPiece || drive.is_full(),
            _ => false,
        }
    }

    /// Takes a step for which nothing is needed from outside. Gives whether
    /// there may be another one.
    fn advance(&mut self, view: &View<'_>) -> bool {
        match self.stage {
            Stage::Body => {
                if self.outcome.is_err() && self.expects_continue {
                    // The client has not sent the body and need not.
                    self.close();
                    return true;
                }
                if let Body::Provision(_, drive) = &mut self.body
                    && drive.is_full()
                {
                    let sealed = drive.seal(None);
                    return self.check_drive(sealed.is_ok(), view);
                }
                // Its end may be there without another byte.
                if self.framing.next(&mut &[][..]) == Ok(Piece::End) {
                    self.end(view);
                    return true;
                }
                false
            }
            Stage::LastPiece => {
                let Body::Provision(provision, drive) = &mut self.body else {
                    self.stage = Stage::Command;
                    return true;
                };
                let sealed = drive.seal(provision.drive_length());
                self.check_drive(sealed.is_ok(), view)
            }
            Stage::Command => {
                let build = self.route.and_then(|route| route.command);
                let built = build.map(|build| build(view, &self.call, &self.body).map(drop));
                match built {
                    Some(Ok(())) => return false,
                    Some(Err(error)) => self.refuse_about(&error, view),
                    None => {}
                }
                self.stage = Stage::Statement;
                true
            }
            Stage::Statement => {
                if self.inspection(view).is_none() {
                    self.stage = Stage::Head;
                }
                false
            }
            Stage::Head | Stage::Reply(_) | Stage::LastChunk | Stage::Done => false,
        }
    }

    /// Looks whether the piece at hand may still be written: another request
    /// may have brought the drive that lies in its place. Gives whether
    /// nothing has to be stored.
    fn check_drive(&mut self, sealed: bool, view: &View<'_>) -> bool {
        let Body::Provision(_, drive) = &self.body else {
            return false;
        };
        let present = view
            .node(&self.call)
            .and_then(|(_, node)| node.config_drive);
        if !sealed {
            self.storage_failed();
        } else if present.is_some_and(|present| present.place == drive.place) {
            self.answered(Err(CommandError::DrivePlaceTaken), view);
            self.close();
            self.stage = Stage::Head;
        } else {
            return false;
        }
        true
    }

    /// The body is complete.
    fn end(&mut self, view: &View<'_>) {
        self.stage = Stage::Command;
        let finished = match (&mut self.body, self.route.map(|route| route.takes)) {
            (Body::Form(form), Some(Takes::Form(known))) => form.finish(known),
            (Body::Patch(patch), _) => patch.finish(),
            (Body::Provision(provision, _), _) => {
                let finished = provision.finish();
                if finished.is_ok() && provision.drive_length().is_some() {
                    self.stage = Stage::LastPiece;
                }
                finished
            }
            _ => Ok(()),
        };
        if let Err(error) = finished {
            self.refuse_about(&error, view);
        }
        if self.outcome.is_err() {
            self.stage = Stage::Head;
        }
    }

    /// Takes bytes of the body as they come in, framing included. Gives how
    /// many of them were taken: the others are to be handed over again when
    /// more of the body is needed. What a refused request sends is dropped.
    pub fn push(&mut self, input: &[u8], view: &View<'_>) -> usize {
        let mut at = 0;
        while self.stage == Stage::Body {
            let room = self.body.room();
            let rest = input.get(at..).unwrap_or_default();
            let mut window = rest.get(..room).unwrap_or(rest);
            if window.is_empty() {
                break;
            }
            let before = window.len();
            let found = self.framing.next(&mut window);
            at += before - window.len();
            match found {
                Ok(Piece::Data(data)) => {
                    self.taken = self.taken.saturating_add(data.len() as u64);
                    if let Err(error) = self.body.push(data) {
                        self.refuse_about(&error, view);
                    }
                    if self.taken > MAX_BODY {
                        self.give_up();
                    }
                }
                Ok(Piece::More) => {}
                Ok(Piece::End) => break,
                Err(error) => {
                    self.refuse(error.into());
                    self.close();
                }
            }
        }
        at
    }

    /// A piece of the config drive was written.
    pub fn stored(&mut self) {
        if let Body::Provision(_, drive) = &mut self.body {
            drive.stored();
        }
        if self.stage == Stage::LastPiece {
            self.stage = Stage::Command;
        }
    }

    /// Takes the rack's answer to the command.
    pub fn answered(&mut self, answer: Result<(), CommandError>, view: &View<'_>) {
        if let Err(refused) = answer {
            let node = view.node(&self.call).map(|(_, node)| node);
            let error = Error::refused(refused, &self.subject_of(node), node);
            self.refuse(error);
        }
        self.stage = Stage::Statement;
    }

    /// The inspection is read.
    pub fn read(&mut self) {
        self.stage = Stage::Head;
    }

    fn inspection(&self, view: &View<'_>) -> Option<(usize, usize)> {
        let route = self.route.filter(|_| self.outcome.is_ok())?;
        let (place, node) = view.node(&self.call).filter(|_| route.statement)?;
        Some((place, usize::from(node.hardware.statement_len)))
    }

    fn keep_alive(&self) -> bool {
        self.keep_alive && self.framing_of_reply() != Framing::UntilClose
    }

    fn status(&self) -> Status {
        match (&self.outcome, self.route) {
            (Err(error), _) => error.status,
            (Ok(()), Some(route)) => route.status,
            (Ok(()), None) => Status::OK,
        }
    }

    fn framing_of_reply(&self) -> Framing {
        match (&self.outcome, self.route) {
            (Err(error), _) => Framing::Length(error.length() as u64),
            (Ok(()), Some(Route { write: Some(_), .. })) => Framing::streamed(self.http),
            (Ok(()), _) => Framing::Length(0),
        }
    }

    /// Writes the next bytes of the reply, head and framing included, into
    /// `buffer` of at least [`REPLY_BUFFER`] bytes. Gives their number.
    /// `statement` is the inspection that [`Need::Statement`] asked for,
    /// otherwise empty.
    pub fn reply(&mut self, view: &View<'_>, statement: &[u8], buffer: &mut [u8]) -> usize {
        let mut used = 0;
        if self.stage == Stage::Head {
            used = self.head(buffer);
            // A buffer of the promised length holds every head.
            debug_assert!(used > 0, "a head must fit the buffer");
            let is_all = self.head_only || self.framing_of_reply() == Framing::Length(0);
            self.stage = match is_all || used == 0 {
                true => Stage::Done,
                false => Stage::Reply(Cursor::new()),
            };
        }
        let room = buffer.get_mut(used..).unwrap_or_default();
        if let (Stage::Reply(_), Err(error)) = (self.stage, &self.outcome) {
            if room.len() < error.length() && used > 0 {
                return used;
            }
            used += error.emit(room);
            self.stage = Stage::Done;
        } else if let Stage::Reply(mut cursor) = self.stage {
            if room.len() < REPLY_BUFFER && used > 0 {
                return used;
            }
            used += self.piece(view, statement, &mut cursor, room);
            self.stage = match (cursor.is_at_end(), self.framing_of_reply()) {
                (false, _) => Stage::Reply(cursor),
                (true, Framing::Chunked) => Stage::LastChunk,
                (true, _) => Stage::Done,
            };
        }
        if self.stage == Stage::LastChunk {
            let end = used + chunked::END.len();
            if let Some(room) = buffer.get_mut(used..end) {
                room.copy_from_slice(chunked::END);
                used = end;
                self.stage = Stage::Done;
            }
        }
        used
    }

    fn piece(
        &self,
        view: &View<'_>,
        statement: &[u8],
        cursor: &mut Cursor,
        room: &mut [u8],
    ) -> usize {
        let Some(write) = self.route.and_then(|route| route.write) else {
            cursor.end();
            return 0;
        };
        let ask = Ask {
            view: *view,
            call: &self.call,
            pairs: self.body.pairs(),
            statement,
        };
        match self.framing_of_reply() {
            Framing::Chunked => chunked::frame(room, |room| reply::fill(&ask, write, cursor, room)),
            _ => reply::fill(&ask, write, cursor, room),
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
        let framing = self.framing_of_reply();
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
