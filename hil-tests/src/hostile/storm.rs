//! Many machines that ask for one file by TFTP at the same moment, as a rack
//! does whose power comes back.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use farrier_tftp::client::{Action, Config, Download, Outcome};
use farrier_tftp::wire::{Mode, Options, Request};
use smoltcp::iface::{self, Interface, SocketHandle, SocketSet};
use smoltcp::socket::udp;
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, IpCidr, IpEndpoint};

use crate::switch::{HostPort, Mac, Switch};

const TFTP: u16 = 69;
const PACKETS: usize = 16;
/// Longest that all of them may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine with its download.
struct Machine<'n> {
    port: HostPort,
    interface: Interface,
    sockets: SocketSet<'static>,
    socket: SocketHandle,
    download: Download<'n>,
    server: SocketAddrV4,
    loaded: Vec<u8>,
    done: bool,
}

/// Lets `count` machines load a file at once, from addresses beginning with
/// `first`. Returns how long the last one took.
///
/// # Errors
/// One of them does not get it: it got an error, as the appliance's "busy" was
/// once, or it took too long, or other bytes than the first one's.
pub fn load(
    switch: &Switch,
    count: u8,
    first: Ipv4Addr,
    prefix: u8,
    server: Ipv4Addr,
    name: &str,
) -> Result<Duration> {
    let mut machines = Vec::new();
    for number in 0..count {
        let port = switch.add_host_port(&format!("storm-{number}"))?;
        let address = Ipv4Addr::from_bits(first.to_bits() + u32::from(number));
        let mac = Mac([0x02, 0xFA, 0x44, 0x1E, 0xEE, number]);
        machines.push(Machine::new(port, mac, address, prefix, server, name)?);
    }
    let start = Instant::now();
    let mut refused = 0;
    loop {
        let mut open = 0;
        for machine in &mut machines {
            if machine.done {
                continue;
            }
            match machine.turn(start.elapsed().as_millis() as u64)? {
                None => open += 1,
                Some(Outcome::Complete) => machine.done = true,
                Some(_) => {
                    machine.done = true;
                    refused += 1;
                }
            }
        }
        if open == 0 {
            break;
        }
        ensure!(
            start.elapsed() < PATIENCE,
            "{open} of {count} machines still wait for {name} after {PATIENCE:?}"
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    if refused > 0 {
        bail!("{refused} of {count} machines that asked for {name} at once did not get it");
    }
    let first = machines.first().map(|machine| &machine.loaded);
    let whole =
        |machine: &Machine<'_>| !machine.loaded.is_empty() && Some(&machine.loaded) == first;
    ensure!(
        machines.iter().all(whole),
        "machines got other bytes of {name} than the first one"
    );
    Ok(start.elapsed())
}

impl<'n> Machine<'n> {
    fn new(
        mut port: HostPort,
        mac: Mac,
        address: Ipv4Addr,
        prefix: u8,
        server: Ipv4Addr,
        name: &'n str,
    ) -> Result<Self> {
        let config = iface::Config::new(EthernetAddress(mac.0).into());
        let mut interface = Interface::new(config, &mut port, StackInstant::now());
        interface.update_ip_addrs(|addresses| {
            // The list is new and has room for two.
            addresses.push(IpCidr::new(address.into(), prefix)).ok();
        });
        let buffer = || {
            udp::PacketBuffer::new(
                vec![udp::PacketMetadata::EMPTY; PACKETS],
                vec![0; PACKETS * 1500],
            )
        };
        let mut socket = udp::Socket::new(buffer(), buffer());
        socket.bind(49_152)?;
        let mut sockets = SocketSet::new(Vec::new());
        let socket = sockets.add(socket);
        let request = Request {
            name,
            mode: Mode::Octet,
            options: Options {
                blksize: Some(1456),
                tsize: Some(0),
                ..Options::default()
            },
        };
        Ok(Self {
            port,
            interface,
            sockets,
            socket,
            download: Download::new(request, Config::default()),
            server: SocketAddrV4::new(server, TFTP),
            loaded: Vec::new(),
            done: false,
        })
    }

    /// Moves what can be moved. Returns the download's end.
    fn turn(&mut self, now: u64) -> Result<Option<Outcome>> {
        self.poll();
        let mut packet = [0; 1500];
        loop {
            match self.download.poll(now, &mut packet)? {
                Action::Send(length) => {
                    let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.socket);
                    let to = IpEndpoint::new((*self.server.ip()).into(), self.server.port());
                    // What does not fit is lost, and repeated.
                    socket.send_slice(&packet[..length], to).ok();
                    self.poll();
                }
                Action::Wait(_) => {
                    let socket = self.sockets.get_mut::<udp::Socket<'_>>(self.socket);
                    let Ok((bytes, from)) = socket.recv() else {
                        return Ok(None);
                    };
                    self.server.set_port(from.endpoint.port);
                    if let Some((offset, bytes)) = self.download.process(now, bytes) {
                        ensure!(offset == self.loaded.len() as u64, "out of order");
                        self.loaded.extend_from_slice(bytes);
                    }
                }
                Action::Done(outcome) => return Ok(Some(outcome)),
            }
        }
    }

    fn poll(&mut self) {
        self.interface
            .poll(StackInstant::now(), &mut self.port, &mut self.sockets);
    }
}
