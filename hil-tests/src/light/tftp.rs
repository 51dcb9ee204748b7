//! TFTP as boot programs speak it: UEFI asks for the size first and breaks
//! that transfer off, a ROM loads at once.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use farrier_tftp::client::{Action, Config, Download, Outcome};
use farrier_tftp::wire::{Mode, Options, Request};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::udp;
use smoltcp::wire::IpEndpoint;

use super::network::Network;

/// The well-known port.
const PORT: u16 = 69;
/// Room for a window of blocks.
const PACKETS: usize = 16;
/// Longest transfer of a boot program.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a size is asked for.
const PROBES: u32 = 6;
/// Operation codes.
const OACK: u8 = 6;
const ERROR: u8 = 5;

/// How a program asks for files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Blocks of 1,456 bytes, as Intel's ROM and its kin.
    Rom,
    /// The size first, then blocks of 1,468 bytes, as EDK II.
    Uefi,
    /// Blocks of 1,432 bytes, as iPXE.
    Ipxe,
}

impl Style {
    fn block_size(self) -> u16 {
        match self {
            Self::Rom => 1456,
            Self::Uefi => 1468,
            Self::Ipxe => 1432,
        }
    }
}

/// Loads a file.
pub(super) fn fetch(
    network: &mut Network,
    server: Ipv4Addr,
    name: &str,
    style: Style,
) -> Result<Vec<u8>> {
    let expected = match style {
        Style::Uefi => Some(probe(network, server, name, style.block_size())?),
        Style::Rom | Style::Ipxe => None,
    };
    let socket = open(network)?;
    let result = transfer(network, socket, server, name, style);
    network.sockets.remove(socket);
    let bytes = result?;
    ensure!(
        expected.is_none_or(|length| length == bytes.len()),
        "{name} has {} bytes, its size said {expected:?}",
        bytes.len()
    );
    Ok(bytes)
}

fn open(network: &mut Network) -> Result<SocketHandle> {
    let buffer = || {
        udp::PacketBuffer::new(
            vec![udp::PacketMetadata::EMPTY; PACKETS],
            vec![0; PACKETS * 1500],
        )
    };
    let mut socket = udp::Socket::new(buffer(), buffer());
    // A port of its own each time: the server may still hold the last one.
    socket.bind(network.local_port())?;
    Ok(network.sockets.add(socket))
}

fn send(network: &mut Network, socket: SocketHandle, to: SocketAddrV4, packet: &[u8]) {
    let to = IpEndpoint::new((*to.ip()).into(), to.port());
    let socket = network.sockets.get_mut::<udp::Socket<'_>>(socket);
    // What does not fit is lost, and repeated.
    socket.send_slice(packet, to).ok();
}

/// The next packet from `server`, with the port that it came from.
fn receive(
    network: &mut Network,
    socket: SocketHandle,
    server: Ipv4Addr,
) -> Option<(Vec<u8>, u16)> {
    let socket = network.sockets.get_mut::<udp::Socket<'_>>(socket);
    while let Ok((bytes, from)) = socket.recv() {
        if from.endpoint.addr == server.into() {
            return Some((bytes.to_vec(), from.endpoint.port));
        }
    }
    None
}

/// Asks for the size of a file, and for no more.
fn probe(network: &mut Network, server: Ipv4Addr, name: &str, block: u16) -> Result<usize> {
    let socket = open(network)?;
    let request = format!("\0\x01{name}\0octet\0tsize\x000\0blksize\0{block}\0");
    let mut size = None;
    for _ in 0..PROBES {
        let to = SocketAddrV4::new(server, PORT);
        send(network, socket, to, request.as_bytes());
        let end = Instant::now() + Duration::from_secs(4);
        while size.is_none() && Instant::now() < end {
            network.turn(end, &[])?;
            let Some((packet, port)) = receive(network, socket, server) else {
                continue;
            };
            match packet.get(1) {
                Some(&OACK) => size = Some(told_size(&packet)?),
                Some(&ERROR) => {
                    let words = packet.get(4..).unwrap_or_default();
                    bail!("{name}: {}", String::from_utf8_lossy(words));
                }
                _ => continue,
            }
            let abort = b"\0\x05\0\x08User aborted the transfer\0";
            send(network, socket, SocketAddrV4::new(server, port), abort);
            network.poll();
        }
        if size.is_some() {
            break;
        }
    }
    network.sockets.remove(socket);
    match size {
        Some(size) => Ok(size),
        None => bail!("no answer by TFTP about {name}"),
    }
}

/// `tsize` of an OACK.
fn told_size(packet: &[u8]) -> Result<usize> {
    let text = String::from_utf8_lossy(packet.get(2..).unwrap_or_default()).into_owned();
    let mut words = text.split('\0');
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        if name.eq_ignore_ascii_case("tsize") {
            return Ok(value.parse()?);
        }
    }
    bail!("the answer has no tsize: {text:?}")
}

fn transfer(
    network: &mut Network,
    socket: SocketHandle,
    server: Ipv4Addr,
    name: &str,
    style: Style,
) -> Result<Vec<u8>> {
    let request = Request {
        name,
        mode: Mode::Octet,
        options: Options {
            blksize: Some(style.block_size()),
            tsize: Some(0),
            ..Options::default()
        },
    };
    let mut download = Download::new(request, Config::default());
    let mut loaded = Vec::new();
    let mut peer = SocketAddrV4::new(server, PORT);
    let start = Instant::now();
    let mut packet = [0; 1500];
    loop {
        let now = start.elapsed().as_millis() as u64;
        ensure!(start.elapsed() < PATIENCE, "{name} takes too long");
        match download.poll(now, &mut packet)? {
            Action::Send(length) => send(network, socket, peer, &packet[..length]),
            Action::Wait(until) => {
                let end = start + Duration::from_millis(until);
                network.turn(end.min(start + PATIENCE), &[])?;
                let Some((bytes, port)) = receive(network, socket, server) else {
                    continue;
                };
                peer.set_port(port);
                let now = start.elapsed().as_millis() as u64;
                if let Some((offset, bytes)) = download.process(now, &bytes) {
                    ensure!(offset == loaded.len() as u64, "{name} comes out of order");
                    loaded.extend_from_slice(bytes);
                }
            }
            Action::Done(Outcome::Complete) => break,
            Action::Done(outcome) => bail!("{name}: {outcome:?}"),
        }
    }
    // The last ACK.
    network.poll();
    Ok(loaded)
}
