//! Carries frames between the fabric and the Unix sockets: one thread, one
//! poll loop, nothing in it blocks.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::fabric::{Fabric, MAX_FRAME};
use super::{PortId, Shared, clear, lock};

/// Bytes read from, or written to, one peer before the others get their turn.
const TURN: usize = 128 * 1024;
/// QEMU's own bound for a frame on a stream socket (`NET_BUFSIZE`, 68 KiB
/// plus one). A longer length means that the framing is lost.
const MAX_LENGTH: usize = 69_633;
/// Captures are flushed and the loop looks around at least this often.
const IDLE: Duration = Duration::from_millis(500);

/// One port's socket.
pub(super) struct SocketPort {
    id: PortId,
    listener: UnixListener,
    peer: Option<Peer>,
}

impl SocketPort {
    pub fn new(id: PortId, listener: UnixListener) -> Self {
        Self {
            id,
            listener,
            peer: None,
        }
    }
}

struct Peer {
    stream: UnixStream,
    /// Bytes of frames that have not yet arrived whole.
    incoming: Vec<u8>,
    /// Framed bytes on their way out, written up to `written`.
    outgoing: Vec<u8>,
    written: usize,
}

/// The peer has gone, or does not speak the framing.
struct Gone;

impl Peer {
    fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            written: 0,
        }
    }

    fn is_blocked(&self) -> bool {
        self.written < self.outgoing.len()
    }

    fn receive(&mut self, port: PortId, fabric: &mut Fabric, now: Instant) -> Result<(), Gone> {
        let mut buffer = [0; 64 * 1024];
        let mut taken = 0;
        while taken < TURN {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(Gone),
                Ok(count) => {
                    taken += count;
                    self.incoming.extend_from_slice(&buffer[..count]);
                    self.take_frames(port, fabric, now)?;
                    if count < buffer.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }

    fn take_frames(&mut self, port: PortId, fabric: &mut Fabric, now: Instant) -> Result<(), Gone> {
        let mut rest = self.incoming.as_slice();
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            if length > MAX_LENGTH {
                return Err(Gone);
            }
            let Some((frame, after)) = after.split_at_checked(length) else {
                break;
            };
            fabric.ingress(port, frame.to_vec(), now);
            rest = after;
        }
        let used = self.incoming.len() - rest.len();
        self.incoming.drain(..used);
        Ok(())
    }

    fn send(&mut self, port: PortId, fabric: &mut Fabric) -> Result<(), Gone> {
        let mut given = 0;
        while given < TURN {
            if !self.is_blocked() {
                self.outgoing.clear();
                self.written = 0;
                while self.outgoing.len() + MAX_FRAME < TURN
                    && let Some(frame) = fabric.ports[port.0].pop()
                {
                    self.outgoing
                        .extend_from_slice(&(frame.len() as u32).to_be_bytes());
                    self.outgoing.extend_from_slice(&frame);
                }
                if self.outgoing.is_empty() {
                    break;
                }
            }
            match self.stream.write(&self.outgoing[self.written..]) {
                Ok(count) => {
                    self.written += count;
                    given += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }
}

pub(super) struct Pump {
    shared: Arc<Shared>,
    sockets: Vec<SocketPort>,
}

impl Pump {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            sockets: Vec::new(),
        }
    }

    pub fn run(mut self) {
        let mut next = None;
        while !self.shared.stop.load(Ordering::Acquire) {
            self.sockets.append(&mut lock(&self.shared.new_sockets));
            let ready = self.wait(next);
            next = self.turn(&ready);
        }
    }

    /// Sleeps until something can be done. Returns for each socket whether its
    /// listener and its peer have something to read.
    fn wait(&self, next: Option<Instant>) -> Vec<(bool, bool)> {
        let left = next.map_or(IDLE, |next| {
            next.saturating_duration_since(Instant::now()).min(IDLE)
        });
        // Half a second fits a Timespec.
        let timeout = Timespec::try_from(left).unwrap_or_default();
        let mut fds = vec![PollFd::new(&*self.shared.wake, PollFlags::IN)];
        for socket in &self.sockets {
            fds.push(PollFd::new(&socket.listener, PollFlags::IN));
            if let Some(peer) = &socket.peer {
                let mut flags = PollFlags::IN;
                flags.set(PollFlags::OUT, peer.is_blocked());
                fds.push(PollFd::new(&peer.stream, flags));
            }
        }
        // Interrupted, it reports nothing ready, and is asked again.
        poll(&mut fds, Some(&timeout)).ok();
        let mut results = fds.iter().map(PollFd::revents);
        if results.next().is_some_and(|woken| !woken.is_empty()) {
            clear(&*self.shared.wake);
        }
        let mut ready = |poll: bool| {
            poll && results.next().is_some_and(|flags| {
                flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
            })
        };
        self.sockets
            .iter()
            .map(|socket| (ready(true), ready(socket.peer.is_some())))
            .collect()
    }

    /// Moves everything that can be moved now. Returns when a held frame is
    /// due.
    fn turn(&mut self, ready: &[(bool, bool)]) -> Option<Instant> {
        let now = Instant::now();
        let mut fabric = self.shared.fabric();
        fabric.in_pump = true;
        for (socket, (connects, readable)) in self.sockets.iter_mut().zip(ready) {
            if *readable
                && let Some(peer) = &mut socket.peer
                && peer.receive(socket.id, &mut fabric, now).is_err()
            {
                socket.peer = None;
                fabric.ports[socket.id.0].set_linked(false);
            }
            // The newest connection wins: the old QEMU is dead or dying.
            while *connects && let Ok((stream, _)) = socket.listener.accept() {
                if stream.set_nonblocking(true).is_ok() {
                    socket.peer = Some(Peer::new(stream));
                    fabric.ports[socket.id.0].set_linked(true);
                }
            }
        }
        let lldp = fabric.send_lldp(now);
        let mut next = fabric.release_held(now).into_iter().chain(lldp).min();
        for socket in &mut self.sockets {
            let Some(peer) = &mut socket.peer else {
                continue;
            };
            if peer.send(socket.id, &mut fabric).is_err() {
                socket.peer = None;
                fabric.ports[socket.id.0].set_linked(false);
            } else if !peer.is_blocked() && !fabric.ports[socket.id.0].queue.is_empty() {
                // Its turn was over, not its queue.
                next = Some(now);
            }
        }
        fabric.flush_captures();
        fabric.in_pump = false;
        next
    }
}
