//! TFTP: a listener on port 69, and a set of workers with one socket each,
//! so that a transfer has its own transfer id (port) and a silent peer holds
//! up nobody else. `farrier-tftp` speaks the protocol and decides who gets a
//! worker, who waits, and which transfer is given up; the rack says which file
//! a machine gets.

use core::cell::{Cell, RefCell};
use core::net::SocketAddrV4;

use embassy_futures::select::{Either, select};
use embassy_sync::blocking_mutex::raw::NoopRawMutex;
use embassy_sync::signal::Signal;
use embassy_time::{Duration, Instant, Timer, with_timeout};
use farrier_asset_store::SECTOR;
use farrier_core::Transport;
use farrier_http::places::Class;
use farrier_sizes::{
    TFTP_BLOCK, TFTP_LISTENER, TFTP_RECEIVE, TFTP_REQUESTS, TFTP_TRANSFERS, TFTP_WAITING,
};
use farrier_tftp::name::normalise;
use farrier_tftp::places::{Admission, Places, Policy};
use farrier_tftp::server::{Action, Limits, Outcome, Transfer};
use farrier_tftp::wire::{
    DATA_HEADER_LEN, ErrorCode, ErrorReply, Mode, Options, Packet, Request, emit_data_header,
};
use heapless::String;

use crate::assets::PIECE;
use crate::fmt::{Show, debug, error, info};
use crate::net::{Classes as _, Udp, UdpBuffers, UdpError};
use crate::queues::{Served, bump};
use crate::refusals::Refusal;
use crate::{Board, Context};

/// The well-known port.
const PORT: u16 = 69;
/// Longest request that is read: the options of real clients take under 100
/// bytes, names as much.
const REQUEST: usize = 256;
/// Longest file name, in the form that the rack is asked with.
const NAME: usize = 80;
/// Longest text that is served from memory: a line or two that lead a boot
/// program to HTTP.
const TEXT: usize = 160;
/// Longest packet that is sent.
const PACKET: usize = DATA_HEADER_LEN + TFTP_BLOCK;
const _: () = assert!(
    TFTP_BLOCK >= 512 && TFTP_BLOCK <= 1468 && TFTP_BLOCK + SECTOR <= PIECE + 1,
    "buffers.tftp_block in board.toml must hold the default block, fit a frame and one read of the store"
);

/// A packet that could not be queued for so long counts as lost on the wire:
/// the peer's hardware address is not known yet, or never will be.
const QUEUE_LIMIT: Duration = Duration::from_secs(2);
/// How long a last packet may take to leave.
const FLUSH_LIMIT: Duration = Duration::from_millis(500);

/// Memory of the listener's socket: a storm of requests, one short answer.
pub type ListenerBuffers = UdpBuffers<TFTP_LISTENER, 128, TFTP_REQUESTS, 2>;
/// Longest option acknowledgement.
const OACK: usize = 64;
/// Memory of a worker's socket: acknowledgements, one packet at a time. The
/// stack's ring starts at its front again when a packet is queued whole into
/// an empty one ([`Udp::send`]); written in place, it would not, and a block
/// behind a short packet would wait for room for ever.
pub type WorkerBuffers = UdpBuffers<TFTP_RECEIVE, PACKET, 3, 1>;

/// Workers.
const WORKERS: usize = TFTP_TRANSFERS;
/// A client acknowledges so many bytes a second, at least.
const RATE: u32 = 2_048;
/// How long it may acknowledge nothing new.
const PAUSE_MILLIS: u32 = 15_000;
/// How often the listener looks for a transfer to give up while requests wait.
const LOOK: Duration = Duration::from_millis(250);

/// What the listener hands to a worker: a read request without its text.
#[derive(Debug)]
struct Job {
    peer: SocketAddrV4,
    name: String<NAME>,
    mode: Mode,
    options: Options,
}

impl Job {
    /// Takes a request over, its name normalised; `None` for a name that no
    /// file can have.
    fn new(peer: SocketAddrV4, request: &Request<'_>) -> Option<Self> {
        let mut room = [0; NAME];
        Some(Self {
            peer,
            name: String::try_from(normalise(request.name, &mut room)?).ok()?,
            mode: request.mode,
            options: request.options,
        })
    }
}

/// What has happened since start. All wrap.
#[derive(Debug, Default)]
pub struct TftpCounters {
    /// Transfers that ended with every byte acknowledged.
    pub complete: Cell<u32>,
    /// Requests for the size alone.
    pub probes: Cell<u32>,
    /// Transfers that ended otherwise.
    pub failed: Cell<u32>,
    /// Requests that waited for a worker.
    pub waited: Cell<u32>,
    /// Requests that were ignored: their source had its share, or too many
    /// waited. Their clients repeat them.
    pub ignored: Cell<u32>,
    /// Transfers whose first packet was not answered, given up for others.
    pub unanswered: Cell<u32>,
    /// Transfers below the least rate.
    pub slow: Cell<u32>,
    /// Packets to port 69 that are no readable request.
    pub malformed: Cell<u32>,
}

/// How the listener hands requests to workers. A worker's number is its place.
pub struct Tftp {
    places: RefCell<Places<WORKERS, TFTP_WAITING>>,
    /// Requests that wait.
    waiting: RefCell<[Option<Job>; TFTP_WAITING]>,
    /// What each worker is called for.
    jobs: RefCell<[Option<Job>; WORKERS]>,
    /// Calls one worker each. Not one channel for all of them: embassy's
    /// channels remember one waiting task, and several that wait would wake
    /// one another without end.
    calls: [Signal<NoopRawMutex, ()>; WORKERS],
    /// Ends a worker's transfer.
    give_up: [Signal<NoopRawMutex, ()>; WORKERS],
    /// Workers that have started.
    workers: Cell<usize>,
    /// Counters.
    pub counters: TftpCounters,
}

impl core::fmt::Debug for Tftp {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tftp")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl Tftp {
    pub(crate) fn new() -> Self {
        Self {
            places: RefCell::new(Places::new(Policy::DEFAULT)),
            waiting: RefCell::new([const { None }; TFTP_WAITING]),
            jobs: RefCell::new([const { None }; WORKERS]),
            calls: [const { Signal::new() }; WORKERS],
            give_up: [const { Signal::new() }; WORKERS],
            workers: Cell::new(0),
            counters: TftpCounters::default(),
        }
    }

    /// Takes a request. Returns whether it is to be noted as refused.
    fn request(&self, job: Job, known: bool) -> bool {
        let admission = self.places.borrow_mut().request(millis(), job.peer, known);
        match admission {
            Admission::Wait(slot) => {
                if let Some(waiting) = self.waiting.borrow_mut().get_mut(slot) {
                    *waiting = Some(job);
                }
                self.start();
                if self.places.borrow().waits(slot) {
                    bump(&self.counters.waited);
                }
                false
            }
            Admission::Repeated => false,
            Admission::Ignored => {
                bump(&self.counters.ignored);
                true
            }
        }
    }

    /// Calls workers for the requests that may start.
    fn start(&self) {
        loop {
            let next = self.places.borrow_mut().next(millis());
            let Some((slot, place)) = next else {
                return;
            };
            let job = self
                .waiting
                .borrow_mut()
                .get_mut(slot)
                .and_then(Option::take);
            if let (Some(at), Some(call)) =
                (self.jobs.borrow_mut().get_mut(place), self.calls.get(place))
            {
                *at = job;
                call.signal(());
            }
        }
    }

    /// Gives up transfers for requests that wait. Returns whether any waits.
    fn look(&self) -> bool {
        loop {
            let victim = self.places.borrow_mut().tick(millis());
            match victim.and_then(|place| self.give_up.get(place)) {
                Some(give_up) => give_up.signal(()),
                None => return self.places.borrow().is_crowded(),
            }
        }
    }

    /// Waits for the listener's call.
    async fn next_job(&self, me: usize) -> Job {
        loop {
            match self.calls.get(me) {
                Some(call) => call.wait().await,
                // More workers than places: this one has nothing to do.
                None => core::future::pending().await,
            }
            let job = self.jobs.borrow_mut().get_mut(me).and_then(Option::take);
            if let Some(job) = job {
                return job;
            }
        }
    }

    async fn given_up(&self, me: usize) {
        loop {
            match self.give_up.get(me) {
                Some(give_up) => give_up.wait().await,
                None => core::future::pending().await,
            }
            // An answer may have come at the last moment.
            if self.places.borrow().is_given_up(me) {
                return;
            }
        }
    }
}

fn millis() -> u64 {
    Instant::now().as_millis()
}

/// Where the bytes of a transfer come from.
enum Source {
    Text(usize),
    Device(u64, u64),
}

impl Source {
    fn length(&self) -> u64 {
        match self {
            Source::Text(length) => *length as u64,
            Source::Device(_, length) => *length,
        }
    }
}

impl<B: Board, const N: usize, const L: usize, const D: usize> Context<B, N, L, D> {
    /// Takes requests on port 69 and finds workers for them.
    pub async fn run_tftp_listener(&self, buffers: &'static mut ListenerBuffers) -> ! {
        let mut socket = Udp::new(self.network, buffers);
        if socket.bind(PORT).is_err() {
            error!("TFTP: port {} is taken", PORT);
        }
        let tftp = &self.tftp;
        let mut packet = [0; REQUEST];
        let mut crowded = false;
        loop {
            let received = if crowded {
                match select(socket.receive(&mut packet), Timer::after(LOOK)).await {
                    Either::First(received) => Some(received),
                    Either::Second(()) => None,
                }
            } else {
                Some(socket.receive(&mut packet).await)
            };
            match received {
                Some(Ok((length, peer))) => {
                    let bytes = packet.get(..length).unwrap_or_default();
                    self.tftp_request(&mut socket, peer, bytes).await;
                }
                Some(Err(_)) => bump(&tftp.counters.malformed),
                None => {}
            }
            crowded = tftp.look();
        }
    }

    async fn tftp_request(&self, socket: &mut Udp, peer: SocketAddrV4, packet: &[u8]) {
        let tftp = &self.tftp;
        let refused = match Packet::parse(packet) {
            Ok(Packet::Rrq(request)) => match Job::new(peer, &request) {
                None => ErrorReply::NOT_FOUND,
                Some(job) => {
                    let known = self.shared.class(*peer.ip()) != Class::Operator;
                    if tftp.request(job, known) {
                        let refusals = self.network.gate().refusals();
                        refusals.note(Refusal::TftpTransfer, *peer.ip());
                    }
                    return;
                }
            },
            Ok(Packet::Wrq(_)) => ErrorReply::READ_ONLY,
            _ => {
                bump(&tftp.counters.malformed);
                return;
            }
        };
        answer(socket, peer, &refused).await;
    }

    /// Serves one transfer after the other.
    pub async fn run_tftp_worker(&self, buffers: &'static mut WorkerBuffers) -> ! {
        let mut socket = Udp::new(self.network, buffers);
        let tftp = &self.tftp;
        let me = tftp.workers.replace(tftp.workers.get() + 1);
        loop {
            let job = tftp.next_job(me).await;
            if let Some(give_up) = tftp.give_up.get(me) {
                give_up.reset();
            }
            // A port of its own: the transfer's id.
            if socket.bind(0).is_ok() {
                let transfer = self.transfer(&mut socket, &job, me);
                match select(transfer, tftp.given_up(me)).await {
                    Either::First(()) => {
                        // Closing drops what is queued, be it an error's text.
                        if with_timeout(FLUSH_LIMIT, socket.flush()).await.is_err() {
                            debug!("TFTP: {} does not answer ARP", Show(job.peer));
                        }
                    }
                    Either::Second(()) => {
                        bump(&tftp.counters.unanswered);
                        let refusals = self.network.gate().refusals();
                        refusals.note(Refusal::TftpAnswer, *job.peer.ip());
                    }
                }
            }
            socket.close();
            tftp.places.borrow_mut().freed(me);
            tftp.start();
        }
    }

    async fn transfer(&self, socket: &mut Udp, job: &Job, me: usize) {
        let path = job.name.as_str();
        let peer = *job.peer.ip();
        let mut text = [0; TEXT];
        let source = match self.open_file(Transport::Tftp, peer, path, &mut text).await {
            Served::Text(length) => Ok(Source::Text(length)),
            Served::Slot(at, length) => Ok(Source::Device(at, length)),
            Served::Asset(name) => match self.store.find(&name).await {
                Ok(Some(entry)) if entry.kind.is_served() => {
                    Ok(Source::Device(entry.offset, entry.len))
                }
                _ => Err(ErrorReply::NOT_FOUND),
            },
            Served::NotFound => Err(ErrorReply::NOT_FOUND),
            // An error would send the machine to its disk; it repeats its
            // request.
            Served::Busy => return,
        };
        let request = Request {
            name: path,
            mode: job.mode,
            options: job.options,
        };
        let started = source.and_then(|source| {
            let now = Instant::now().as_millis();
            let limits = Limits {
                max_blksize: TFTP_BLOCK as u16,
                least_rate: RATE,
                pause_ms: PAUSE_MILLIS,
                ..Limits::default()
            };
            let transfer = Transfer::new(now, &request, source.length(), &limits)?;
            Ok((source, transfer))
        });
        let (source, mut transfer) = match started {
            Ok(started) => started,
            Err(refused) => {
                answer(socket, job.peer, &refused).await;
                return;
            }
        };
        let outcome = self
            .exchange(socket, (job.peer, me), &mut transfer, &source, &text)
            .await;
        let counters = &self.tftp.counters;
        match outcome {
            Outcome::Complete => bump(&counters.complete),
            Outcome::Probe => {
                bump(&counters.probes);
                return;
            }
            Outcome::Slow => {
                bump(&counters.slow);
                let refusals = self.network.gate().refusals();
                refusals.note(Refusal::TftpAnswer, peer);
            }
            _ => {
                bump(&counters.failed);
                info!("TFTP: {} to {}: {}", path, Show(job.peer), Show(outcome));
            }
        }
        let complete = outcome == Outcome::Complete;
        self.sent(peer, path, transfer.acked_len(), complete).await;
    }

    /// Sends and receives until the transfer is over.
    async fn exchange(
        &self,
        socket: &mut Udp,
        (peer, me): (SocketAddrV4, usize),
        transfer: &mut Transfer,
        source: &Source,
        text: &[u8],
    ) -> Outcome {
        loop {
            let sent = match transfer.poll(Instant::now().as_millis()) {
                Action::Done(outcome) => return outcome,
                Action::SendOack => {
                    let mut packet = [0; OACK];
                    let length = transfer.emit_oack(&mut packet).unwrap_or(0);
                    let oack = packet.get(..length).unwrap_or_default();
                    with_timeout(QUEUE_LIMIT, socket.send(oack, peer))
                        .await
                        .unwrap_or(Ok(()))
                }
                Action::SendData { block, offset, len } => {
                    let data = (block, offset, len);
                    let sending = self.send_block(socket, peer, source, text, data);
                    with_timeout(QUEUE_LIMIT, sending).await.unwrap_or(Ok(()))
                }
                Action::Wait(until) => {
                    let received = select(
                        socket.receive_with(|packet, from| {
                            if from == peer {
                                self.tftp.places.borrow_mut().answered(me);
                                transfer.process(packet);
                            }
                            from
                        }),
                        Timer::at(Instant::from_millis(until)),
                    )
                    .await;
                    if let Either::First(other) = received
                        && other != peer
                    {
                        answer(socket, other, &ErrorReply::UNKNOWN_TID).await;
                    }
                    Ok(())
                }
            };
            if sent.is_err() {
                transfer.abort();
            }
        }
    }

    async fn send_block(
        &self,
        socket: &mut Udp,
        peer: SocketAddrV4,
        source: &Source,
        text: &[u8],
        (block, offset, len): (u16, u64, usize),
    ) -> Result<(), UdpError> {
        let mut head = [0; DATA_HEADER_LEN];
        emit_data_header(&mut head, block).map_err(|_| UdpError::TooLong)?;
        match source {
            Source::Text(_) => {
                let mut packet = [0; DATA_HEADER_LEN + TEXT];
                // A text is shorter than memory is long.
                let start = offset as usize;
                let bytes = text.get(start..start + len).unwrap_or_default();
                let (front, body) = packet.split_at_mut(DATA_HEADER_LEN);
                front.copy_from_slice(&head);
                for (to, from) in body.iter_mut().zip(bytes) {
                    *to = *from;
                }
                let packet = packet.get(..DATA_HEADER_LEN + len).unwrap_or_default();
                socket.send(packet, peer).await
            }
            Source::Device(at, _) => {
                // Room first, so that the store is not locked while waiting.
                socket.writable().await;
                match self.store.read(at + offset, len).await {
                    Ok(mut piece) if piece.len() == len => {
                        socket.send(piece.with_head(head), peer).await
                    }
                    _ => {
                        error!("TFTP: the asset store can not be read");
                        answer(
                            socket,
                            peer,
                            &ErrorReply {
                                code: ErrorCode::NOT_DEFINED,
                                message: "the asset store can not be read",
                            },
                        )
                        .await;
                        Err(UdpError::NoRoute)
                    }
                }
            }
        }
    }
}

/// Sends an error, if the peer can be reached.
async fn answer(socket: &mut Udp, peer: SocketAddrV4, error: &ErrorReply) {
    let mut packet = [0; 64];
    if let Ok(length) = error.emit(&mut packet) {
        let bytes = packet.get(..length).unwrap_or_default();
        let sent = with_timeout(FLUSH_LIMIT, socket.send(bytes, peer)).await;
        if !matches!(sent, Ok(Ok(()))) {
            debug!("TFTP: no way to {}", Show(peer));
        }
    }
}
