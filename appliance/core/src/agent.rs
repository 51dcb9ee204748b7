//! Agents: their handshakes, their questions, their statements, and the
//! orders that they are given.

use crate::discover::is_real_uuid;
use crate::flags::Flags;
use crate::input::Endpoint;
use crate::life::work;
use crate::node::{Architecture, Hop, Issued, Job, Node, Power, Written, cut};
use crate::output::{Kept, Outputs};
use crate::rack::{DiskSlot, PartSlot, REASSEMBLIES, Rack, count};
use crate::record::Record;
use crate::steps::Step;
use crate::time::Instant;
use farrier_lifecycle::{Event, State};
use farrier_protocol::message::{
    ConfigDrive, Deploy, EraseMethod, Failure, Farewell, Order, Part, Progress, Refusal, Reply,
    Request, Task, Welcome,
};
use farrier_protocol::parts::{Arrived, PartError};
use farrier_protocol::server::{self, Freshness, HandshakeError, Session, SessionError};
use farrier_protocol::signing::{self, PublicKey};
use farrier_protocol::summary::{Fact, Inspection, Statement};
use farrier_protocol::wire::{
    Datagram, HandshakeRefusal, Init, SessionId, emit_refused, emit_unknown_session,
};
use farrier_protocol::{MAX_DATAGRAM, size, version};
use farrier_store::SlotPart;
use heapless::Vec;
use sha2::{Digest, Sha256};

/// How often an idle agent asks for work, in milliseconds.
const IDLE_MILLIS: u32 = 2_000;
/// The same once it has been idle for long: three times within the silence
/// after which it counts as gone.
const IDLE_LONG_MILLIS: u32 = 30_000;
/// When an agent is to come again while all places for statements are
/// taken, in milliseconds.
const BUSY_MILLIS: u32 = 500;
/// A statement that does not grow for so long loses its place, in
/// milliseconds.
const STALE_MILLIS: u64 = 5_000;

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
        out: &mut Outputs,
    ) {
        match Datagram::parse(datagram) {
            Ok(Datagram::Init(init)) => self.handshake(now, from, &init, out),
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

    fn handshake(&mut self, now: Instant, from: Endpoint, init: &Init<'_>, out: &mut Outputs) {
        let found = self.nodes.iter().position(|node| {
            node.boot
                .ticket
                .as_ref()
                .is_some_and(|ticket| ticket.id == init.ticket)
        });
        let Some((index, secrets)) = found.zip(self.secrets.as_ref()) else {
            count(&mut self.counters.agent_stray);
            out.agent_with(from, |room| {
                emit_refused(init.ticket, HandshakeRefusal::TicketUnknown, room)
            });
            return;
        };
        let mut fresh = SessionId(self.last_session.wrapping_add(1));
        // Sessions of before a restart keep their names.
        while self.find_by_session(fresh).is_some() {
            fresh = SessionId(fresh.0.wrapping_add(1));
        }
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        let Some(ticket) = node.boot.ticket else {
            return;
        };
        if !server::verify_gate(init, &ticket) {
            count(&mut self.counters.agent_forged);
            return;
        }
        // A ticket is good for one handshake. The same datagram again means
        // that the response was lost; another one, another machine.
        let digest = server::init_digest(init);
        let session = match &node.boot.session {
            Some(session) if node.boot.init_digest == digest => {
                if !session.is_unused() {
                    count(&mut self.counters.agent_stray);
                    return;
                }
                session.id()
            }
            Some(_) => {
                node.boot.ticket_refusals = node.boot.ticket_refusals.saturating_add(1);
                count(&mut self.counters.ticket_reused);
                let [.., a, b, c] = from.mac.0;
                node.set_error(format_args!(
                    "a second machine (MAC ending {a:02x}:{b:02x}:{c:02x}, {}) claimed this \
                     node's boot ticket and was refused",
                    from.ip
                ));
                out.agent_with(from, |room| {
                    emit_refused(init.ticket, HandshakeRefusal::TicketUsed, room)
                });
                return;
            }
            None => {
                self.last_session = fresh.0;
                fresh
            }
        };
        let welcome = Welcome {
            version: version::CURRENT,
            node: node.id,
            boot: node.boot.id,
        };
        let mut refused = None;
        let mut accepted = None;
        out.agent_with(from, |room| {
            let make = |hello: &farrier_protocol::message::Hello| {
                let spoken = version::MIN..=version::CURRENT;
                let version = spoken
                    .rev()
                    .find(|v| (hello.version_min..=hello.version_max).contains(v))
                    .ok_or(HandshakeRefusal::Version)?;
                Ok(Welcome { version, ..welcome })
            };
            match server::accept(&secrets.noise, init, &ticket, session, make, room) {
                Ok(done) => {
                    let len = done.len;
                    accepted = Some(done);
                    Some(len)
                }
                Err(HandshakeError::Refused(reason)) => {
                    refused = Some(reason);
                    emit_refused(init.ticket, reason, room)
                }
                Err(_) => Some(0),
            }
        });
        let Some(accepted) = accepted else {
            count(&mut self.counters.agent_forged);
            if refused.is_some() {
                node.last_error =
                    cut("the agent speaks no protocol version that this appliance knows");
            }
            return;
        };
        node.boot.session = Some(accepted.session);
        node.boot.init_digest = digest;
        node.boot.boot_key = accepted.hello.boot_key;
        node.boot.mode = Some(accepted.hello.boot_mode);
        node.boot.heard = Some(now);
        node.power = Power::On;
        if node.system_uuid == [0; 16] && is_real_uuid(&accepted.hello.system_uuid) {
            node.system_uuid = accepted.hello.system_uuid;
        }
        node.timeline.mark(Hop::Hello, now);
        count(&mut self.counters.sessions);
        // An answer to a node that is gone: the agent is refused at its first
        // question, and starts its machine anew.
        self.is_other(now, index, out);
    }

    fn request(
        &mut self,
        now: Instant,
        index: usize,
        from: Endpoint,
        datagram: &[u8],
        out: &mut Outputs,
    ) {
        let mut buffer = [0; MAX_DATAGRAM];
        // The first word of a session is written down, whatever it says.
        let session = |node: &Node| node.boot.session.as_ref().is_none_or(Session::is_unused);
        let first = self.nodes.get(index).is_none_or(session);
        let before = first.then(|| self.marks(index));
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        let Some(session) = node.boot.session.as_mut() else {
            return;
        };
        let (freshness, request) = match session.open(datagram, &mut buffer) {
            Ok(opened) => (opened.freshness, Some(opened.request)),
            Err(SessionError::Malformed) => (Freshness::New, None),
            Err(_) => {
                count(&mut self.counters.agent_forged);
                return;
            }
        };
        if node.boot.heard.is_none() && work(node.state) == Some(true) {
            // It comes back with the facts of its session after a restart of
            // the appliance: its work goes on.
            node.deadline = node.state.deadline().map(|d| now.plus_millis(d.millis));
        }
        node.boot.heard = Some(now);
        let quiet = match &request {
            Some(Request::Ask) => work(node.state).is_none() && !node.boot.imaged,
            Some(Request::Progress(_)) => true,
            _ => false,
        };
        let before = before.or_else(|| (!quiet).then(|| self.marks(index)));
        let answer = match request {
            None => Answer::Refused(Refusal::Malformed),
            Some(Request::Ask) => self.ask(now, index, out),
            Some(Request::Progress(progress)) => self.progress(now, index, progress),
            Some(Request::Part(part)) => self.part(now, index, &part, out),
            Some(Request::Bye(farewell)) if freshness == Freshness::New => {
                self.bye(now, index, farewell, out)
            }
            Some(Request::Bye(_)) => Answer::Ack,
        };
        self.reply(now, index, from, answer, out);
        if let Some(before) = before {
            self.note(index, &before, out);
        }
    }

    fn reply(
        &mut self,
        now: Instant,
        index: usize,
        from: Endpoint,
        answer: Answer,
        out: &mut Outputs,
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
        if let Some(session) = self
            .nodes
            .get_mut(index)
            .and_then(|n| n.boot.session.as_mut())
        {
            out.agent_with(from, |room| session.seal_reply(&reply, room).ok());
        }
    }

    /// "What shall I do?"
    fn ask(&mut self, now: Instant, index: usize, out: &mut Outputs) -> Answer {
        let Some(node) = self.nodes.get(index) else {
            return Answer::Wait(IDLE_MILLIS);
        };
        if node.boot.imaged {
            return Answer::Order(Job::Reboot);
        }
        let Some(at_work) = work(node.state) else {
            // Who has waited for minutes may wait for seconds more.
            let idle = u32::try_from(now.since(node.since) / 16).unwrap_or(u32::MAX);
            return Answer::Wait(idle.clamp(IDLE_MILLIS, IDLE_LONG_MILLIS));
        };
        if !at_work {
            self.event(now, index, Event::Resume, "the agent is at work", out);
        }
        self.proceed(now, index, out);
        let Some(node) = self.nodes.get(index) else {
            return Answer::Wait(IDLE_MILLIS);
        };
        if node.boot.imaged {
            return Answer::Order(Job::Reboot);
        }
        let due = node.step().and_then(Step::job);
        match due.filter(|_| work(node.state) == Some(true)) {
            // Disks are named from what this very boot has seen.
            Some(Job::Erase | Job::Deploy) if !node.boot.inspected => Answer::Order(Job::Inspect),
            Some(job) => Answer::Order(job),
            None => Answer::Wait(IDLE_MILLIS),
        }
    }

    fn progress(&mut self, now: Instant, index: usize, progress: Progress) -> Answer {
        if let Some(node) = self.nodes.get_mut(index) {
            let current = node.boot.order.map(|order| order.counter);
            if current != Some(progress.order) {
                return Answer::Ack;
            }
            // Work that moves keeps its state alive; work that only talks
            // runs into the deadline.
            let moved = node
                .boot
                .progress
                .is_none_or(|last| last.step != progress.step || last.done < progress.done);
            if moved && let Some(deadline) = node.state.deadline() {
                node.deadline = Some(now.plus_millis(deadline.millis));
            }
            node.boot.progress = Some(progress);
        }
        Answer::Ack
    }

    fn bye(&mut self, now: Instant, index: usize, farewell: Farewell, out: &mut Outputs) -> Answer {
        let Some(node) = self.nodes.get_mut(index) else {
            return Answer::Ack;
        };
        node.boot.left = true;
        node.power = match farewell {
            Farewell::Reboot => Power::On,
            Farewell::PowerOff => Power::Off,
        };
        let ordered = node.boot.order.take().map(|order| order.job);
        let (steps, imaged, state) = (node.steps, node.boot.imaged, node.state);
        if steps.first() == Some(Step::Reboot) && ordered == Some(Job::Reboot) {
            self.set_steps(index, steps.rest(), out);
        }
        if imaged {
            self.deployed(now, index, "all is done and proven", out);
        } else if work(state) == Some(true) {
            self.event(
                now,
                index,
                Event::Wait,
                "the agent left; waiting for it to come back",
                out,
            );
        }
        Answer::Ack
    }

    fn part(&mut self, now: Instant, index: usize, part: &Part<'_>, out: &mut Outputs) -> Answer {
        let Some(node) = self.nodes.get(index) else {
            return Answer::Busy;
        };
        if part.statement <= node.boot.last_statement {
            return Answer::Stored(part.statement);
        }
        let boot_key = PublicKey(node.boot.boot_key);
        let (id, boot) = (node.id, node.boot.id);
        let Some(place) = claim(&self.parts, now, index) else {
            return Answer::Busy;
        };
        let Some(slot) = self.parts.get_mut(place) else {
            return Answer::Busy;
        };
        if slot.owner != Some(index) {
            slot.reassembly.clear();
            slot.owner = Some(index);
        }
        slot.used = now;
        let signed = match slot.reassembly.push(part) {
            Ok(Arrived::Some(have)) => return Answer::Partial(have),
            Ok(Arrived::All(signed)) => signed,
            Err(error) => {
                count(&mut self.counters.statements_refused);
                return Answer::Refused(match error {
                    PartError::TooLong => Refusal::TooLong,
                    _ => Refusal::Malformed,
                });
            }
        };
        let verified = signing::verify_statement_summary(&boot_key, id, boot, signed);
        let refusal = match &verified {
            Ok(statement) if statement.counter == part.statement => None,
            Ok(_) | Err(signing::SigningError::NotOurs) => Some(Refusal::NotYours),
            Err(signing::SigningError::Malformed) => Some(Refusal::Malformed),
            Err(_) => Some(Refusal::BadSignature),
        };
        let (Ok(statement), None) = (verified, refusal) else {
            count(&mut self.counters.statements_refused);
            slot.owner = None;
            return Answer::Refused(refusal.unwrap_or(Refusal::Malformed));
        };
        count(&mut self.counters.statements);
        Record::Stated {
            node: id,
            boot,
            counter: statement.counter,
            digest: Sha256::digest(signed).into(),
        }
        .emit(out);
        let len = u16::try_from(signed.len()).unwrap_or(0);
        let inspection = matches!(statement.fact, Fact::Inspection(_));
        let kept = if inspection {
            SlotPart::Inspection
        } else {
            SlotPart::Statement
        };
        let statement_place = Kept {
            place,
            len: signed.len(),
        };
        out.keep(index, kept, statement_place);
        slot.owner = None;
        if let Some(node) = self.nodes.get_mut(index) {
            node.boot.last_statement = statement.counter;
            if inspection {
                node.hardware.statement_len = len;
            }
        }
        self.learn(now, index, &statement, out);
        Answer::Stored(part.statement)
    }

    /// What follows from a statement that holds.
    fn learn(&mut self, now: Instant, index: usize, statement: &Statement, out: &mut Outputs) {
        let Some(node) = self.nodes.get(index) else {
            return;
        };
        // A statement about an order that is over (a state was aborted or
        // ran into its deadline) is kept as evidence and moves nothing.
        let Some(order) = node.boot.order.filter(|o| o.counter == statement.order) else {
            return;
        };
        let state = node.state;
        match &statement.fact {
            Fact::Inspection(inspection) => {
                self.inspected(now, index, inspection, out);
            }
            Fact::Erased(certificate) if order.job == Job::Erase => {
                let size = certificate.disk.size;
                let place = self
                    .disks
                    .iter()
                    .find(|slot| usize::from(slot.node) == index && slot.id == certificate.disk)
                    .map(|slot| slot.place);
                if let Some(place) = place.filter(|_| certificate.verified_bytes == size)
                    && let Some(node) = self.nodes.get_mut(index)
                {
                    node.boot.erased |= 1u16.checked_shl(place.into()).unwrap_or(0);
                }
            }
            Fact::Done if order.job == Job::Erase => {
                let all = self
                    .disks
                    .iter()
                    .filter(|slot| usize::from(slot.node) == index)
                    .fold(0u16, |all, slot| {
                        all | 1u16.checked_shl(slot.place.into()).unwrap_or(0)
                    });
                let erased = self.nodes.get(index).map_or(0, |n| n.boot.erased);
                if let Some(node) = self.nodes.get_mut(index) {
                    node.boot.order = None;
                }
                if all != 0 && erased & all == all && state == State::Cleaning {
                    self.set_flags(index, Flags::ERASED, true, out);
                    self.step_done(now, index, out);
                } else {
                    self.warn(
                        index,
                        "the agent is done, but not every disk has a certificate",
                    );
                    self.fail(now, index, "certificates are missing", out);
                }
            }
            Fact::ImageWritten(proof) if order.job == Job::Deploy => {
                let expected = self.image_of(index).map(|image| image.root);
                if expected != Some(proof.manifest_root) {
                    self.warn(index, "the agent proved another image than the one ordered");
                    self.fail(now, index, "the proof names another image", out);
                } else if let Some(node) = self.nodes.get_mut(index) {
                    node.written = Some(Written {
                        image_bytes: proof.image_bytes,
                        fetched_bytes: proof.fetched_bytes,
                        refetched_chunks: proof.refetched_chunks,
                        peak_rss_kib: proof.peak_rss_kib,
                    });
                    node.boot.order = None;
                    node.config_drive = None;
                    self.step_done(now, index, out);
                }
            }
            Fact::Failure(failure) => self.failed(now, index, failure, out),
            _ => {}
        }
    }

    fn image_of(&self, index: usize) -> Option<&crate::input::Image> {
        self.image(&self.nodes.get(index)?.instance.image_source)
    }

    fn failed(&mut self, now: Instant, index: usize, failure: &Failure, out: &mut Outputs) {
        if let Some(node) = self.nodes.get_mut(index) {
            node.set_error(format_args!(
                "{:?} failed, reason {} ({:?}): {}",
                failure.step, failure.reason as u8, failure.reason, failure.text
            ));
        }
        self.fail(now, index, "the agent reported a failure", out);
    }

    fn inspected(
        &mut self,
        now: Instant,
        index: usize,
        inspection: &Inspection,
        out: &mut Outputs,
    ) {
        let Ok(owner) = u16::try_from(index) else {
            return;
        };
        if !self.identify(index, inspection, out) {
            // What spoke is a part of another node: its machine has to boot
            // as that one.
            return;
        }
        if self.twin(index).is_some() {
            // Both are in use, and the other one's tenant may be on these
            // disks: nothing is done to them under this name.
            self.fail(now, index, "another node is this machine", out);
            return;
        }
        self.disks.retain(|slot| slot.node != owner);
        let mut full = false;
        for (place, disk) in inspection.disks.iter().enumerate() {
            let slot = DiskSlot {
                node: owner,
                place: u8::try_from(place).unwrap_or(u8::MAX),
                id: disk.id.clone(),
            };
            full |= self.disks.push(slot).is_err();
        }
        let Some(node) = self.nodes.get_mut(index) else {
            return;
        };
        node.boot.inspected = !full;
        node.boot.order = None;
        node.hardware.cpus = inspection.cpu.count;
        node.hardware.memory_mib = inspection.memory_mib;
        node.hardware.architecture = Architecture::new(&inspection.cpu.architecture);
        let largest = inspection.disks.iter().map(|d| d.id.size).max();
        node.hardware.local_gib = u32::try_from(largest.unwrap_or(0) >> 30).unwrap_or(u32::MAX);
        let (link, parts) = crate::inventory::parts(inspection);
        node.hardware.link = link;
        node.hardware.parts = parts;
        let state = node.state;
        let due = work(state).and_then(|_| node.step());
        if full {
            count(&mut self.counters.disks_full);
            self.warn(index, "the appliance's table of disks is full");
            self.fail(now, index, "no room for the node's disks", out);
        } else if inspection.disks.is_empty() && matches!(due, Some(Step::Erase | Step::Write)) {
            self.warn(index, "the machine has no disk that can be written");
            self.fail(now, index, "no disks", out);
        } else if due == Some(Step::Inspect) && matches!(state, State::Inspecting) {
            self.event(now, index, Event::Done, "the hardware is known", out);
        } else if due == Some(Step::Inspect) {
            self.step_done(now, index, out);
        }
    }

    /// Makes the order for a job and signs it into `body`. An order that was
    /// given already and not answered yet is given again as it was.
    fn sign(
        &mut self,
        now: Instant,
        index: usize,
        job: Job,
        body: &mut [u8],
        out: &mut Outputs,
    ) -> Option<(usize, [u8; signing::SIGNATURE_LEN])> {
        let task = match job {
            Job::Inspect => Task::Inspect,
            Job::Reboot => Task::Reboot,
            Job::Erase => {
                let mut disks = Vec::new();
                for disk in self.disks(index) {
                    disks.push(disk.clone()).ok()?;
                }
                Task::Erase {
                    disks,
                    least: EraseMethod::Discard,
                }
            }
            Job::Deploy => match self.deploy_task(index) {
                Ok(deploy) => Task::Deploy(deploy),
                Err(why) => {
                    self.warn(index, why);
                    self.fail(now, index, "the order can't be given", out);
                    return None;
                }
            },
        };
        let secrets = self.secrets.as_ref()?;
        let node = self.nodes.get_mut(index)?;
        let repeated = node.boot.order.filter(|order| order.job == job);
        let counter = match repeated {
            Some(order) => order.counter,
            None => node.boot.last_order.checked_add(1)?,
        };
        let order = Order {
            node: node.id,
            boot: node.boot.id,
            counter,
            task,
        };
        let (encoded, signature) = signing::sign_order(&secrets.orders, &order, body).ok()?;
        let len = encoded.len();
        if repeated.is_none() {
            Record::Ordered {
                node: node.id,
                boot: node.boot.id,
                counter,
                digest: Sha256::digest(encoded).into(),
            }
            .emit(out);
            if job == Job::Erase {
                node.boot.erased = 0;
            }
            node.boot.progress = None;
            node.boot.last_order = counter;
            node.boot.order = Some(Issued { counter, job });
        }
        node.timeline.mark(Hop::Order, now);
        Some((len, signature))
    }

    fn deploy_task(&self, index: usize) -> Result<Deploy, &'static str> {
        let node = self.nodes.get(index).ok_or("no such node")?;
        let image = self
            .image_of(index)
            .ok_or("the image is not in the asset store any more")?;
        let disk = self
            .target_disk(index, image.raw_size)
            .ok_or("the image is larger than every disk of the machine")?;
        let config_drive = match &node.config_drive {
            None => None,
            Some(drive) => Some(ConfigDrive {
                path: "/config-drive".try_into().map_err(|_| "path too long")?,
                length: drive.length,
                key: drive.key,
                format: drive.format,
            }),
        };
        Ok(Deploy {
            disk: disk.clone(),
            manifest_root: image.root,
            manifest_path: image.manifest_path.clone(),
            data_path: image.data_path.clone(),
            config_drive,
        })
    }
}

/// The place where a node's statement is put together: its own, else a free
/// one, else one that was given up.
fn claim(parts: &[PartSlot; REASSEMBLIES], now: Instant, node: usize) -> Option<usize> {
    let find = |wanted: &dyn Fn(&PartSlot) -> bool| parts.iter().position(wanted);
    find(&|slot| slot.owner == Some(node))
        .or_else(|| find(&|slot| slot.owner.is_none()))
        .or_else(|| find(&|slot| now.since(slot.used) >= STALE_MILLIS))
}
