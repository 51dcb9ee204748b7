//! DHCP clients on a host port: whole exchanges, checked step by step.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use farrier_dhcp::wire::{ArchList, MessageType, Reply, Request};
use farrier_ethernet::frame::{self, BROADCAST, HEADER_LEN, Header};

use super::PATIENCE;
use crate::switch::HostPort;

/// What a client is, which decides what it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An x86-64 UEFI machine that boots from the network: it becomes a node.
    Booting,
    /// Any other machine that wants an address.
    Other,
}

impl Kind {
    /// The hardware address of the client with this number.
    #[must_use]
    pub fn mac(self, number: u32) -> [u8; 6] {
        let [_, high, middle, low] = number.to_be_bytes();
        match self {
            Kind::Booting => [0x52, 0x54, 0xBE, high, middle, low],
            Kind::Other => [0x52, 0x54, 0xBF, high, middle, low],
        }
    }
}

/// Options that OVMF's PXE asks for.
const BOOT_OPTIONS: [u8; 35] = [
    1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66,
    67, 97, 128, 129, 130, 131, 132, 133, 134, 135,
];
/// Options that Debian's dhclient asks for.
const OTHER_OPTIONS: [u8; 13] = [1, 28, 2, 3, 15, 6, 119, 12, 44, 47, 26, 121, 42];

/// Clients behind one port of the switch.
#[derive(Debug)]
pub struct Clients<'a> {
    port: &'a HostPort,
    exchanges: u32,
}

impl<'a> Clients<'a> {
    /// Clients that have not said anything yet.
    pub fn new(port: &'a HostPort) -> Self {
        Self { port, exchanges: 0 }
    }

    /// Makes clients 0 to `count` of a kind known to the server.
    ///
    /// # Errors
    /// As [`exchange`](Self::exchange), or two get the same address.
    pub fn meet(&mut self, kind: Kind, count: u32) -> Result<()> {
        let mut addresses = BTreeSet::new();
        for number in 0..count {
            let address = self.exchange(kind, number)?;
            ensure!(addresses.insert(address), "{address} was given twice");
        }
        Ok(())
    }

    /// DISCOVER, OFFER, REQUEST, ACK for the client with this number. Gives
    /// the address that it has then.
    ///
    /// # Errors
    /// An answer does not come, or is not the one to expect.
    pub fn exchange(&mut self, kind: Kind, number: u32) -> Result<Ipv4Addr> {
        self.exchanges += 1;
        let (port, xid) = (self.port, 0xFA44_0000 + self.exchanges);
        let [_, high, middle, low] = number.to_be_bytes();
        let mac = kind.mac(number);
        let mut machine_id = [low; 17];
        machine_id[..3].copy_from_slice(&[0, high, middle]);
        let discover = Request::new(MessageType::Discover, xid, mac);
        let discover = match kind {
            Kind::Booting => Request {
                class_id: Some(b"PXEClient:Arch:00007:UNDI:003016"),
                arch_list: ArchList(&[0, 7]),
                machine_id: Some(&machine_id),
                max_message_size: Some(1472),
                parameter_list: Some(&BOOT_OPTIONS),
                ..discover
            },
            Kind::Other => Request {
                host_name: Some(b"somehost"),
                parameter_list: Some(&OTHER_OPTIONS),
                ..discover
            },
        };
        send(port, &discover)?;
        let (address, server) = receive(port, xid, |offer| {
            ensure!(
                offer.message_type == MessageType::Offer,
                "no offer: {offer:?}"
            );
            let file = offer.boot_file.unwrap_or_default();
            ensure!(
                file.is_empty() == (kind == Kind::Other),
                "boot file {file:?}"
            );
            Ok((offer.yiaddr, offer.server_id))
        })?;
        let request = Request {
            message_type: MessageType::Request,
            requested_ip: Some(address),
            server_id: Some(server),
            ..discover
        };
        send(port, &request)?;
        receive(port, xid, |ack| {
            ensure!(
                ack.message_type == MessageType::Ack && ack.yiaddr == address,
                "no ACK of {address}: {ack:?}"
            );
            ensure!(ack.lease_secs.is_some(), "a lease without an end");
            Ok(address)
        })
    }
}

/// Sends a client's message, as one that has no address yet.
pub(crate) fn send(port: &HostPort, request: &Request<'_>) -> Result<()> {
    let mut frame = [0; 1514];
    let length = request.emit(&mut frame[HEADER_LEN..])?;
    let header = Header {
        src_mac: request.chaddr,
        dst_mac: BROADCAST,
        src: Ipv4Addr::UNSPECIFIED,
        dst: Ipv4Addr::BROADCAST,
        src_port: 68,
        dst_port: 67,
    };
    let length = frame::emit(&mut frame, &header, length)?;
    port.send(&frame[..length]);
    Ok(())
}

/// Waits for the answer to transaction `xid` and lets `take` look at it.
fn receive<T>(port: &HostPort, xid: u32, take: impl FnOnce(&Reply<'_>) -> Result<T>) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let Some(frame) = port.recv(left) else {
            bail!("no answer to DHCP transaction {xid:#x}");
        };
        let Ok(datagram) = frame::parse(&frame) else {
            continue;
        };
        if datagram.dst_port != 68 {
            continue;
        }
        let reply = Reply::parse(datagram.payload).context("a DHCP reply")?;
        if reply.xid == xid {
            ensure!(
                datagram.dst_mac == reply.chaddr || datagram.dst_mac == BROADCAST,
                "an answer for another client"
            );
            return take(&reply);
        }
    }
}
