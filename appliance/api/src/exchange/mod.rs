//! One request and its reply, from the parsed head to the last byte sent: a
//! state machine that says what it needs next.

mod refusal;
mod sending;

pub use sending::REPLY_BUFFER;

use crate::access::{Principal, permit, permit_on_quarantined};
use crate::body::{AccountBody, Body};
use crate::drive::Drive;
use crate::reply::Cursor;
use crate::resource::{self, Call, Route, Takes};
use crate::resources::TABLE;
use crate::resources::provision::Provision;
use crate::{Error, MAX_BODY, Version, View, query, version};
use farrier_asset_store::SlotPart;
use farrier_core::interface::{Command, CommandError, StoredConfigDrive};
use farrier_http::{BodyLength, Head, Method, Piece, Status};

/// The node of a request was deleted while the request came.
fn gone() -> Error {
    Error::bad("the node is gone, or belongs to somebody else by now.")
}

/// Rounds of a password's hash that are computed at once.
pub const WORK_ROUNDS: u32 = 25;

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
    /// The hash of a new password is to be computed: call
    /// [`Exchange::work`], and let others run before the next call.
    Work,
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
    /// The body's password is being hashed.
    Hash,
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
    /// Begins with a request's head, in somebody's name. `random` are 32 bytes that nobody can
    /// guess, fresh for every request: the key of its config drive, and the
    /// identity of what it makes.
    pub fn begin(head: &Head<'_>, random: [u8; 32], who: Principal, view: &View<'_>) -> Self {
        let asked = head.header(version::HEADER);
        let mut exchange = Self {
            route: None,
            call: Call::new(random, who),
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
        if let Err(error) = exchange.look_up(head, asked, &view.seen_by(&who)) {
            // Whoever may not do something does not hold a slot with its body.
            let denied = error.status == Status::FORBIDDEN;
            exchange.refuse(error);
            if denied && head.body != BodyLength::Known(0) {
                exchange.close();
            }
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
        permit(&self.call.who, route.needs, self.call.last(), view)?;
        if route.path.contains("{node}") {
            let text = self.call.parameter(0);
            let found = resource::Ident::new(text).and_then(|ident| view.find(&ident));
            let (place, node) =
                found.ok_or_else(|| Error::not_found("Node", text, "/v1/nodes/{node}"))?;
            // A name may be another node's by the time of the reply.
            self.call.node = Some((place, node.id));
            self.permit_on_quarantined(route, view)?;
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

    /// In whose name the request is carried out.
    pub const fn who(&self) -> Principal {
        self.call.who
    }

    /// Computes a part of what [`Need::Work`] asks for: some 10 ms of a
    /// Cortex-M7 at 25 MHz.
    pub fn work(&mut self) {
        if let Body::Account(account) = &mut self.body
            && account.run(WORK_ROUNDS)
        {
            self.stage = Stage::Command;
        }
    }

    /// Begins with the hash of the password of a body that is complete.
    fn begin_hash(&mut self) -> Result<(), Error> {
        if self.route.is_some_and(|route| route.hashes) {
            let salt = self.call.random.first_chunk();
            let account = AccountBody::read(self.body.pairs(), salt.copied().unwrap_or_default())?;
            self.body = Body::Account(account);
            self.stage = Stage::Hash;
        }
        Ok(())
    }

    /// What the request needs next. Between any two calls the rack may
    /// change: make a new view for each. What a need gives is as it was until
    /// it was done.
    pub fn need(&mut self, view: &View<'_>) -> Need<'_> {
        let view = &view.seen_by(&self.call.who);
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
            Stage::Hash => Need::Work,
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
                let built = build.map(|build| {
                    self.permit(view)?;
                    build(view, &self.call, &self.body).map(drop)
                });
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
            Stage::Hash | Stage::Head | Stage::Reply(_) | Stage::LastChunk | Stage::Done => false,
        }
    }

    /// Whether the command may still be given: accounts and nodes may have
    /// changed while the body came.
    fn permit(&self, view: &View<'_>) -> Result<(), Error> {
        let Some(route) = self.route else {
            return Ok(());
        };
        permit(&self.call.who, route.needs, self.call.last(), view)?;
        match self.call.node {
            Some(_) if view.node(&self.call).is_none() => Err(gone()),
            _ => self.permit_on_quarantined(route, view),
        }
    }

    /// Whether the request may change its node. What the appliance remembers of a
    /// quarantined node may be of before: who was its owner or lessee then may be
    /// nobody to it by now.
    fn permit_on_quarantined(&self, route: &Route, view: &View<'_>) -> Result<(), Error> {
        let node = view.node(&self.call).filter(|_| route.command.is_some());
        match node {
            Some((place, _)) => permit_on_quarantined(&self.call.who, place, view),
            None => Ok(()),
        }
    }

    /// Looks whether the piece at hand may still be written: another request
    /// may have brought the drive that lies in its place. Gives whether
    /// nothing has to be stored.
    fn check_drive(&mut self, sealed: bool, view: &View<'_>) -> bool {
        let Body::Provision(_, drive) = &self.body else {
            return false;
        };
        let node = view.node(&self.call).map(|(_, node)| node.config_drive);
        if !sealed {
            self.storage_failed();
        } else if node.is_none() {
            // Its slot may be another node's by now.
            self.refuse_about(&gone(), view);
            self.close();
            self.stage = Stage::Head;
        } else if node.flatten().is_some_and(|now| now.place == drive.place) {
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
        if let Err(error) = finished.and_then(|()| self.begin_hash()) {
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
}
