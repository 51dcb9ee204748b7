//! The port_forward from localhost to a TCP server on the virtual network, and aimed
//! corruption on the way.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use farrier_hil_tests::port_forward::{PortForward, PortForwardConfig};
use farrier_hil_tests::switch::corrupt::flip_tcp_bit;
use farrier_hil_tests::switch::{Faults, HostPort, PortId, Switch, SwitchConfig};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, IpCidr};
use support::{SOON, mac, wait_until};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
const LISTENERS: usize = 6;

/// A rack with an HTTP server on port 80 and a port_forward to `port`.
struct Rig {
    port_forward: PortForward,
    switch: Switch,
    server: PortId,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Rig {
    fn new(port: u16) -> Self {
        let switch = Switch::start(SwitchConfig {
            seed: 1,
            ..SwitchConfig::default()
        })
        .unwrap();
        let host = switch.add_host_port("server").unwrap();
        let (server, stop) = (host.id(), Arc::new(AtomicBool::new(false)));
        let thread = std::thread::spawn({
            let stop = stop.clone();
            move || serve(host, &stop)
        });
        let config = PortForwardConfig {
            mac: mac(2),
            address: Ipv4Addr::new(10, 7, 0, 2),
            prefix: 24,
            target: SocketAddrV4::new(SERVER, port),
        };
        let port_forward =
            PortForward::open(switch.add_host_port("port_forward").unwrap(), config).unwrap();
        Self {
            port_forward,
            switch,
            server,
            stop,
            thread: Some(thread),
        }
    }

    /// The body that `GET /LENGTH` answers with.
    fn get(&self, length: usize) -> Vec<u8> {
        let mut response = ureq::get(format!("{}/{length}", self.port_forward.url()))
            .call()
            .unwrap();
        response
            .body_mut()
            .with_config()
            .limit(1 << 24)
            .read_to_vec()
            .unwrap()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.port_forward.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

/// Answers `GET /LENGTH` with so many bytes, closing nothing, and anything
/// else, once its sender has sent all it will, with the same bytes.
fn serve(mut port: HostPort, stop: &AtomicBool) {
    let mut interface = Interface::new(
        Config::new(EthernetAddress(mac(1).0).into()),
        &mut port,
        Instant::now(),
    );
    interface.update_ip_addrs(|addresses| addresses.push(IpCidr::new(SERVER.into(), 24)).unwrap());
    let mut sockets = SocketSet::new(Vec::new());
    let mut sessions: Vec<_> = (0..LISTENERS)
        .map(|_| {
            let buffer = |size| tcp::SocketBuffer::new(vec![0; size]);
            (
                sockets.add(tcp::Socket::new(buffer(8_192), buffer(16_384))),
                Vec::new(),
                Vec::new(),
            )
        })
        .collect();
    while !stop.load(Ordering::Acquire) {
        // Who asks before all listen would be refused: packets are looked at
        // behind this.
        for (handle, request, reply) in &mut sessions {
            let socket = sockets.get_mut::<tcp::Socket>(*handle);
            if !socket.is_open() {
                request.clear();
                reply.clear();
                socket.listen(80).unwrap();
            }
            while socket.can_recv() {
                let take = |bytes: &mut [u8]| (bytes.len(), request.extend_from_slice(bytes));
                socket.recv(take).unwrap();
            }
            if request.starts_with(b"GET /") && request.ends_with(b"\r\n\r\n") {
                let digits = request[5..].iter().take_while(|byte| byte.is_ascii_digit());
                let length = digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
                *reply =
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").into_bytes();
                reply.extend(pattern(length));
                request.clear();
            }
            if socket.state() == tcp::State::CloseWait {
                reply.append(request);
                if reply.is_empty() {
                    socket.close();
                }
            }
            if socket.can_send() && !reply.is_empty() {
                let sent = socket.send_slice(reply).unwrap();
                reply.drain(..sent);
            }
        }
        interface.poll(Instant::now(), &mut port, &mut sockets);
        std::thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn carries_bodies_of_a_megabyte() {
    let rig = Rig::new(80);
    assert!(rig.get(1 << 20) == pattern(1 << 20));
    assert!(rig.get(0).is_empty());
}

#[test]
fn carries_several_connections_at_once() {
    let rig = Rig::new(80);
    std::thread::scope(|scope| {
        for worker in 0..LISTENERS {
            let rig = &rig;
            scope.spawn(move || {
                let length = 50_000 + worker;
                assert!(rig.get(length) == pattern(length));
            });
        }
    });
}

#[test]
fn passes_a_half_close_on() {
    let rig = Rig::new(80);
    let mut stream = rig.connect();
    let sent = pattern(300_000);
    stream.write_all(&sent).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert!(back == sent, "{} of {} bytes", back.len(), sent.len());
}

#[test]
fn a_refused_connection_is_reset() {
    let rig = Rig::new(81);
    let mut stream = rig.connect();
    let error = stream.read(&mut [0; 1]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_client_that_goes_away_frees_the_far_end() {
    let rig = Rig::new(80);
    // More clients than the far end has listeners, each of whom asks for more
    // than all buffers hold, and leaves. One that comes before a predecessor's
    // reset has arrived is refused, and tries again.
    let mut gone = 0;
    wait_until("all clients were let in", || {
        let mut stream = rig.connect();
        let let_in = stream.write_all(b"GET /1000000 HTTP/1.1\r\n\r\n").is_ok()
            && stream.read_exact(&mut [0; 100]).is_ok();
        gone += usize::from(let_in);
        gone == 3 * LISTENERS
    });
    wait_until("a listener is free again", || {
        let mut stream = rig.connect();
        stream.write_all(b"GET /1 HTTP/1.1\r\n\r\n").unwrap();
        stream.read(&mut [0; 1]).is_ok_and(|count| count == 1)
    });
}

#[test]
fn tcp_heals_loss_doubles_and_disorder() {
    let rig = Rig::new(80);
    let faults = Faults {
        loss: 0.02,
        duplicate: 0.02,
        reorder: 0.05,
    };
    rig.switch.set_faults(rig.server, faults, faults);
    assert!(rig.get(100_000) == pattern(100_000));
    assert!(rig.switch.counters(rig.server).drops.fault > 0);
}

#[test]
fn nothing_but_the_bytes_shows_a_flipped_bit() {
    let rig = Rig::new(80);
    let mut full_segments = 0;
    let (hook, flips) = flip_tcp_bit(move |segment| {
        let full = segment.source.port() == 80 && segment.payload.len() > 1_000;
        full_segments += u32::from(full);
        (full && full_segments == 5).then_some(8 * 700 + 3)
    });
    let hook = rig.switch.add_hook(hook);
    // smoltcp drops a segment with a wrong checksum, and TCP would send the
    // right bytes again: that the wrong ones arrive proves the checksum.
    let (body, expected) = (rig.get(50_000), pattern(50_000));
    assert_eq!(flips.count(), 1);
    let different: Vec<_> = body.iter().zip(&expected).filter(|(a, b)| a != b).collect();
    assert_eq!(different.len(), 1);
    assert_eq!(different[0].0 ^ different[0].1, 1 << 3);
    rig.switch.remove_hook(hook);
    assert!(rig.get(50_000) == expected);
}
