//! TFTP requests whose answers nobody acknowledges.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use farrier_ethernet::frame::{self, BROADCAST, HEADER_LEN, Header};
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::time::Instant as StackInstant;
use smoltcp::wire::{EthernetAddress, IpCidr};

use super::{STEP, Work};

const TFTP: u16 = 69;
const REQUEST: &[u8] = b"\0\x01snponly.efi\0octet\0tsize\x000\0blksize\x001456\0";
/// How often it asks, from fresh ports.
const AGAIN: Duration = Duration::from_millis(500);

/// Asks from an address that answers ARP, and drops what comes.
pub(super) fn mute(mut work: Work, count: usize) {
    let place = work.place;
    let config = Config::new(EthernetAddress(place.mac.0).into());
    let mut interface = Interface::new(config, &mut work.port, StackInstant::now());
    interface.update_ip_addrs(|addresses| {
        // The list is new and has room for two.
        addresses
            .push(IpCidr::new(place.address.into(), place.prefix))
            .ok();
    });
    // ICMP would tell the appliance that nobody listens; without a socket
    // for UDP the stack answers nothing.
    let mut sockets = SocketSet::new(Vec::new());
    let mut port = 10_000;
    let mut due = Instant::now();
    while work.goes_on() {
        interface.poll(StackInstant::now(), &mut work.port, &mut sockets);
        if Instant::now() >= due {
            due = Instant::now() + AGAIN;
            for _ in 0..count {
                port = next(port);
                send(&work, place.address, port);
            }
        }
        std::thread::sleep(STEP);
    }
}

/// Asks from addresses that nobody has.
pub(super) fn forged(work: &Work, count: usize) {
    let mut port = 10_000;
    let mut last = 0;
    while work.goes_on() {
        for _ in 0..count {
            port = next(port);
            last = last % 12 + 1;
            let address = Ipv4Addr::from_bits(work.place.address.to_bits() + last);
            send(work, address, port);
        }
        // What comes for nobody.
        while work.port.try_recv().is_some() {}
        std::thread::sleep(AGAIN);
    }
}

fn next(port: u16) -> u16 {
    if port == 60_000 { 10_000 } else { port + 1 }
}

fn send(work: &Work, address: Ipv4Addr, port: u16) {
    let mut buffer = [0; HEADER_LEN + REQUEST.len()];
    buffer[HEADER_LEN..].copy_from_slice(REQUEST);
    let header = Header {
        src_mac: work.place.mac.0,
        dst_mac: BROADCAST,
        src: address,
        dst: work.place.target,
        src_port: port,
        dst_port: TFTP,
    };
    if let Ok(length) = frame::emit(&mut buffer, &header, REQUEST.len()) {
        work.port.send(&buffer[..length]);
        work.count();
    }
}
