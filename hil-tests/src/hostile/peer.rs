//! TCP connections that are held.

use std::time::{Duration, Instant};

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, IpCidr};

use super::{Conduct, STEP, Work};

const HTTP: u16 = 80;
/// A reader that is slow announces no more room than this.
const SLOW_ROOM: usize = 64;
/// After a refusal it tries again this much later.
const AGAIN: Duration = Duration::from_millis(50);
const WHOLE: &[u8] = b"GET / HTTP/1.1\r\nHost: 172.22.0.1\r\n\r\n";
/// The path of a long answer of the API, and of a file.
const LONG: [&str; 2] = ["/farrier/v1/status", "/vmlinuz"];
/// Bytes a second of a reader at the least rate, which is 4,096.
const LEAST: u128 = 4_800;
const HEAD: &[u8] = b"GET / HTTP/1.1\r\nX-Slow: ";

struct Connection {
    handle: SocketHandle,
    /// What it asks for that reads slowly.
    long: Vec<u8>,
    /// When it began to read, and how much it has read.
    read: (Instant, usize),
    /// The request, or the beginning of its head, was sent.
    begun: bool,
    /// When the next byte is due, or the next attempt.
    due: Instant,
}

pub(super) fn run(mut work: Work, conduct: Conduct, count: usize) {
    let place = work.place;
    let config = Config::new(EthernetAddress(place.mac.0).into());
    let mut interface = Interface::new(config, &mut work.port, StackInstant::now());
    interface.update_ip_addrs(|addresses| {
        // The list is new and has room for two.
        addresses
            .push(IpCidr::new(place.address.into(), place.prefix))
            .ok();
    });
    let room = match conduct {
        Conduct::SlowReads => SLOW_ROOM,
        _ => 4096,
    };
    let mut sockets = SocketSet::new(Vec::new());
    let mut connections: Vec<_> = (0..count)
        .map(|number| {
            let buffer = |length| tcp::SocketBuffer::new(vec![0; length]);
            Connection {
                handle: sockets.add(tcp::Socket::new(buffer(room), buffer(512))),
                long: long(conduct, number, &work.authorization),
                read: (Instant::now(), 0),
                begun: false,
                due: Instant::now(),
            }
        })
        .collect();
    let mut local = 20_000;
    while work.goes_on() {
        interface.poll(StackInstant::now(), &mut work.port, &mut sockets);
        let now = Instant::now();
        for connection in &mut connections {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(connection.handle);
            if !socket.is_open() && now >= connection.due {
                local = if local == 60_000 { 20_000 } else { local + 1 };
                let target = (place.target, HTTP);
                if socket.connect(interface.context(), target, local).is_ok() {
                    work.count();
                }
                connection.begun = false;
                connection.due = now + AGAIN;
            } else if socket.may_send() && conduct != Conduct::Resets {
                hold(socket, connection, conduct, now);
            } else if socket.state() != tcp::State::SynSent || conduct == Conduct::Resets {
                socket.abort();
            }
        }
        std::thread::sleep(STEP);
    }
}

/// The request of a peer that reads slowly.
fn long(conduct: Conduct, number: usize, authorization: &str) -> Vec<u8> {
    let path = match conduct {
        Conduct::LeastReads => LONG[1],
        _ => LONG[number % LONG.len()],
    };
    let host = "Host: 172.22.0.1";
    let request = match authorization {
        "" => format!("GET {path} HTTP/1.1\r\n{host}\r\n\r\n"),
        of => format!("GET {path} HTTP/1.1\r\n{host}\r\nAuthorization: {of}\r\n\r\n"),
    };
    request.into_bytes()
}

/// Keeps a connection as busy as it has to be.
fn hold(socket: &mut tcp::Socket<'_>, at: &mut Connection, conduct: Conduct, now: Instant) {
    if !at.begun {
        let request = match conduct {
            Conduct::SlowHeads => HEAD,
            Conduct::SlowReads | Conduct::LeastReads => &at.long,
            _ => WHOLE,
        };
        at.begun = socket.send_slice(request).is_ok();
        at.due = now + Duration::from_secs(1);
        at.read = (now, 0);
        return;
    }
    if conduct == Conduct::LeastReads {
        let (since, read) = &mut at.read;
        let may = (now - *since).as_millis() * LEAST / 1_000;
        let may = usize::try_from(may).unwrap_or(usize::MAX);
        let may = may.saturating_sub(*read);
        // Nothing may be there yet.
        let took = socket.recv(|bytes| (bytes.len().min(may), bytes.len().min(may)));
        *read += took.unwrap_or(0);
    } else if conduct == Conduct::SlowReads {
        if now >= at.due {
            // Nothing may be there yet.
            socket.recv(|bytes| (bytes.len().min(2), ())).ok();
            at.due = now + Duration::from_secs(1);
        }
    } else {
        socket.recv(|bytes| (bytes.len(), ())).ok();
        if conduct == Conduct::SlowHeads && now >= at.due {
            socket.send_slice(b"x").ok();
            at.due = now + Duration::from_secs(1);
        }
    }
    if !socket.may_recv() {
        // The appliance has closed its side.
        socket.abort();
    }
}
