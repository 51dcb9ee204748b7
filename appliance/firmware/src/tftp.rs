//! TFTP: a listener on port 69, and a set of workers with one socket each,
//! so that a transfer has its own transfer id (port) and a silent peer holds
//! up nobody else. `farrier-tftp` speaks the protocol and decides who gets a
//! worker, who waits, and which transfer is given up; the rack says which file
//! a machine gets.

mod queue;

use core::net::SocketAddrV4;

use embassy_futures::select::{Either, select};
use embassy_time::{Duration, Instant, Timer, with_timeout};
use farrier_asset_store::SECTOR;
use farrier_core::Transport;
use farrier_http::places::Class;
use farrier_sizes::{TFTP_BLOCK, TFTP_LISTENER, TFTP_RECEIVE, TFTP_REQUESTS};
use farrier_tftp::places;
use farrier_tftp::server::{Action, Limits, Outcome, Transfer};
use farrier_tftp::wire::{
    DATA_HEADER_LEN, ErrorCode, ErrorReply, Packet, Request, emit_data_header,
};

use crate::assets::PIECE;
use crate::fmt::{Show, debug, error, info};
use crate::net::{Classes as _, Udp, UdpBuffers, UdpError};
use crate::queues::{Served, bump};
use crate::refusals::Refusal;
use crate::{Board, Context};
pub use queue::{Tftp, TftpCounters};

use queue::Job;

/// The well-known port.
const PORT: u16 = 69;
/// Longest request that is read: the options of real clients take under 100
/// bytes, names as much.
const REQUEST: usize = 256;
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

/// A client acknowledges so many bytes a second, at least.
const RATE: u32 = 2_048;
/// How long it may acknowledge nothing new.
const PAUSE_MILLIS: u32 = 15_000;
/// How often the listener looks for a transfer to give up while requests wait.
const LOOK: Duration = Duration::from_millis(250);

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
                    let class = match self.shared.class(*peer.ip()) {
                        Class::Boot | Class::Agent => places::Class::Known,
                        Class::Stranger => places::Class::Stranger,
                        Class::Operator => places::Class::Other,
                    };
                    if tftp.request(job, class) {
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
        let me = tftp.next_worker();
        loop {
            let job = tftp.next_job(me).await;
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
                        tftp.count_given_up(me);
                        let refusals = self.network.gate().refusals();
                        refusals.note(Refusal::TftpAnswer, *job.peer.ip());
                    }
                }
            }
            socket.close();
            tftp.freed(me);
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
            // Headers of IPv4 (20), UDP (8) and TFTP (4).
            let fits = self.network.ip_mtu_to(peer).saturating_sub(32);
            let limits = Limits {
                max_blksize: TFTP_BLOCK.min(fits) as u16,
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
                                transfer.process(packet);
                                self.tftp.answered(me, transfer.acked_len());
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
