//! DHCP as boot programs speak it. The messages are written here option by
//! option, in the order in which real programs send them (captured in QEMU),
//! and not by the codec that the appliance reads them with.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use farrier_dhcp::wire::{MessageType, Reply};

use super::network::Network;

/// Types of messages.
const DISCOVER: u8 = 1;
const REQUEST: u8 = 3;
/// The port of proxyDHCP.
const PROXY: u16 = 4011;
/// How long iPXE waits for a proxyDHCP server.
const PROXY_WAIT: Duration = Duration::from_secs(2);
/// Length of the fixed part and the cookie.
const FIXED: usize = 240;
/// Least length that old ROMs send (RFC 1542 §2.1 asks for 300 in all).
const ROM_LENGTH: usize = 548;

/// A program that boots a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// The PXE ROM of a card in a BIOS machine.
    BiosRom,
    /// EDK II's PXE client on x86-64.
    UefiPxe,
    /// EDK II's HTTP boot client on x86-64.
    UefiHttp,
    /// iPXE started by a BIOS ROM.
    IpxeBios,
    /// iPXE started by UEFI.
    IpxeUefi,
}

/// What came of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bound {
    pub address: Ipv4Addr,
    pub mask: Ipv4Addr,
    pub router: Option<Ipv4Addr>,
    pub server: Ipv4Addr,
    pub next_server: Ipv4Addr,
    pub boot_file: Option<String>,
}

impl Program {
    fn is_ipxe(self) -> bool {
        matches!(self, Self::IpxeBios | Self::IpxeUefi)
    }

    /// How long it waits for an answer before it repeats, each time.
    fn timeouts(self) -> [u64; 4] {
        if self.is_ipxe() {
            [1, 2, 4, 8]
        } else {
            [4, 8, 16, 32]
        }
    }

    fn class(self) -> &'static [u8] {
        match self {
            Self::BiosRom | Self::IpxeBios => b"PXEClient:Arch:00000:UNDI:002001",
            Self::UefiPxe => b"PXEClient:Arch:00007:UNDI:003000",
            Self::UefiHttp => b"HTTPClient:Arch:00016:UNDI:003001",
            Self::IpxeUefi => b"PXEClient:Arch:00007:UNDI:003010",
        }
    }

    /// Option 93.
    fn architecture(self) -> &'static [u8] {
        match self {
            Self::BiosRom | Self::IpxeBios => &[0, 0],
            Self::UefiPxe | Self::IpxeUefi => &[0, 7],
            Self::UefiHttp => &[0, 16],
        }
    }

    /// Option 94: version of the card's interface.
    fn interface(self) -> &'static [u8] {
        match self {
            Self::BiosRom | Self::IpxeBios => &[1, 2, 1],
            Self::UefiPxe => &[1, 3, 0],
            Self::UefiHttp => &[1, 3, 1],
            Self::IpxeUefi => &[1, 3, 10],
        }
    }

    /// Option 55.
    fn parameters(self) -> &'static [u8] {
        match self {
            Self::BiosRom => &[
                1, 2, 3, 5, 6, 11, 12, 13, 15, 16, 17, 18, 43, 54, 60, 67, 128, 129, 130,
            ],
            Self::UefiPxe => &[
                1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58,
                59, 60, 66, 67, 97, 128, 129, 130, 131, 132, 133, 134, 135,
            ],
            Self::UefiHttp => &[3, 1, 15, 6, 54, 51, 58, 59, 60, 67, 12, 43],
            Self::IpxeBios | Self::IpxeUefi => &[
                1, 3, 6, 7, 12, 15, 17, 26, 43, 60, 66, 67, 119, 128, 129, 130, 131, 132, 133, 134,
                135, 175, 203,
            ],
        }
    }
}

/// Option 175 of Debian's iPXE on a virtio card.
const IPXE_FEATURES: &[u8] = &[
    0xb1, 5, 1, 0x1a, 0xf4, 0x10, 0x00, 0xeb, 3, 1, 0, 0, 0x17, 1, 1, 0x22, 1, 1, 0x13, 1, 1, 0x11,
    1, 1, 0x27, 1, 1, 0x19, 1, 1, 0x29, 1, 1, 0x10, 1, 1, 0x21, 1, 1, 0x15, 1, 1, 0x18, 1, 1, 0x12,
    1, 1,
];

/// Who asks: interface and SMBIOS UUID.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asker {
    pub mac: [u8; 6],
    pub uuid: [u8; 16],
}

/// What a REQUEST is about.
#[derive(Debug, Clone, Copy)]
enum Asks {
    /// The offer of an address by a server.
    Offer(Ipv4Addr, Ipv4Addr),
    /// What to boot with an address that it has, of a proxyDHCP server.
    File(Ipv4Addr, Ipv4Addr),
}

/// A message of `program`; `asks` is what a REQUEST is about.
fn message(program: Program, asker: &Asker, xid: u32, kind: u8, asks: Option<Asks>) -> Vec<u8> {
    let mut bytes = vec![0; FIXED];
    bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
    bytes[4..8].copy_from_slice(&xid.to_be_bytes());
    // The broadcast flag: a ROM can't receive a frame to an address that it
    // does not have yet.
    bytes[10] = match asks {
        Some(Asks::File(address, _)) => {
            bytes[12..16].copy_from_slice(&address.octets());
            0
        }
        _ => 0x80,
    };
    bytes[28..34].copy_from_slice(&asker.mac);
    bytes[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
    let mut option = |code: u8, value: &[u8]| {
        bytes.extend([code, value.len() as u8]);
        bytes.extend_from_slice(value);
    };
    // Type 0 is a UUID. EDK II sends the bytes as SMBIOS has them, others in
    // the order in which it is printed.
    let mut machine_id = vec![0];
    machine_id.extend(match program {
        Program::UefiPxe | Program::UefiHttp => smbios_order(asker.uuid),
        _ => asker.uuid,
    });
    let mut client_id = vec![1];
    client_id.extend(asker.mac);
    option(53, &[kind]);
    if program.is_ipxe() {
        option(57, &[0x05, 0xc0]);
        option(93, program.architecture());
        option(94, program.interface());
        option(60, program.class());
        option(77, b"iPXE");
        option(55, program.parameters());
        option(175, IPXE_FEATURES);
        option(61, &client_id);
        option(97, &machine_id);
    } else {
        let longest: &[u8] = match program {
            Program::BiosRom => &[0x04, 0xec],
            _ => &[0x05, 0xc0],
        };
        option(55, program.parameters());
        option(57, longest);
        option(97, &machine_id);
        option(94, program.interface());
        option(93, program.architecture());
        option(60, program.class());
    }
    match asks {
        Some(Asks::Offer(address, server)) => {
            option(54, &server.octets());
            option(50, &address.octets());
        }
        Some(Asks::File(_, server)) => option(54, &server.octets()),
        None => {}
    }
    bytes.push(255);
    if program == Program::BiosRom && bytes.len() < ROM_LENGTH {
        bytes.resize(ROM_LENGTH, 0);
    }
    bytes
}

/// A UUID as SMBIOS keeps it: its first three fields little-endian.
fn smbios_order(uuid: [u8; 16]) -> [u8; 16] {
    let mut bytes = uuid;
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

/// What came of a DISCOVER.
struct Offered {
    address: Ipv4Addr,
    server: Ipv4Addr,
    /// The server that says what to boot and gives no address, with the file where
    /// it named one.
    proxy: Option<(Ipv4Addr, Option<String>)>,
}

/// DISCOVER, OFFER, REQUEST, ACK, and where the address comes from a server that knows
/// nothing of booting, what a proxyDHCP server says. Puts the address onto the card.
pub(super) fn exchange(network: &mut Network, program: Program, asker: &Asker) -> Result<Bound> {
    let xid = network.random();
    let discover = message(program, asker, xid, DISCOVER, None);
    let Offered {
        address,
        server,
        proxy,
    } = offers(network, program, xid, &discover)?;
    let request = message(
        program,
        asker,
        xid,
        REQUEST,
        Some(Asks::Offer(address, server)),
    );
    let broadcast = |network: &mut Network| {
        network.send_dhcp(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, &request)
    };
    let mut bound = repeat(network, program, xid, broadcast, |_, reply| {
        match reply.message_type {
            MessageType::Ack if reply.yiaddr == address => Some(Ok(Bound {
                address,
                mask: reply.mask.unwrap_or(Ipv4Addr::BROADCAST),
                router: reply.router,
                server,
                next_server: reply.next_server.unwrap_or(server),
                boot_file: file_of(reply),
            })),
            MessageType::Nak => Some(Err(anyhow::anyhow!("the DHCP server refuses"))),
            _ => None,
        }
    })?;
    network.set_address(bound.address, bound.mask, bound.router);
    match proxy {
        Some((proxy, Some(file))) if bound.boot_file.is_none() => {
            bound.next_server = proxy;
            bound.boot_file = Some(file);
        }
        Some((proxy, None)) if bound.boot_file.is_none() => {
            let asks = Some(Asks::File(address, proxy));
            let request = message(program, asker, xid, REQUEST, asks);
            let ask = |network: &mut Network| network.ask_server((proxy, PROXY), &request);
            (bound.next_server, bound.boot_file) =
                repeat(network, program, xid, ask, |port, reply| {
                    let fits = port == PROXY && reply.message_type == MessageType::Ack;
                    let next = reply.next_server.unwrap_or(proxy);
                    fits.then(|| Ok((next, file_of(reply))))
                })?;
        }
        _ => {}
    }
    Ok(bound)
}

fn file_of(reply: &Reply<'_>) -> Option<String> {
    let file = reply.boot_file.filter(|file| !file.is_empty())?;
    Some(String::from_utf8_lossy(file).into_owned())
}

/// Sends a DISCOVER until there is an offer that leads to a boot.
fn offers(network: &mut Network, program: Program, xid: u32, discover: &[u8]) -> Result<Offered> {
    // UEFI ignores whatever does not call itself like the client's kind.
    let wanted: &[u8] = match program {
        Program::UefiHttp => b"HTTPClient",
        _ => b"PXEClient",
    };
    // An offer of an address alone, and what a proxyDHCP server offered. iPXE goes on
    // with the address after this time; others wait for the proxy.
    let (mut plain, mut proxy) = (None, None);
    let since = Instant::now();
    let send = |network: &mut Network| {
        network.send_dhcp(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, discover)
    };
    repeat(network, program, xid, send, |_, reply| {
        if reply.message_type != MessageType::Offer {
            return None;
        }
        let boots = reply.class_id.unwrap_or_default().starts_with(wanted);
        let offer = (reply.yiaddr, reply.server_id);
        match (reply.yiaddr.is_unspecified(), boots) {
            (true, true) => proxy = Some((reply.server_id, file_of(reply))),
            (true, false) => {}
            (false, _) if boots || program.is_ipxe() && reply.no_pxedhcp => {
                let (address, server) = offer;
                return Some(Ok(Offered {
                    address,
                    server,
                    proxy: None,
                }));
            }
            (false, _) => plain = plain.or(Some(offer)),
        }
        let gone_by = program.is_ipxe() && since.elapsed() > PROXY_WAIT;
        let (address, server) = plain?;
        (proxy.is_some() || gone_by).then(|| {
            Ok(Offered {
                address,
                server,
                proxy: proxy.take(),
            })
        })
    })
}

/// Sends a message until `take` makes something of an answer and the port that it
/// came from.
fn repeat<T>(
    network: &mut Network,
    program: Program,
    xid: u32,
    send: impl Fn(&mut Network) -> Result<()>,
    mut take: impl FnMut(u16, &Reply<'_>) -> Option<Result<T>>,
) -> Result<T> {
    for seconds in program.timeouts() {
        send(network)?;
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end {
            network.turn(end, &[])?;
            while let Some((port, payload)) = network.take_dhcp_of() {
                let Ok(reply) = Reply::parse(&payload).context("a DHCP reply") else {
                    continue;
                };
                if reply.xid == xid
                    && reply.chaddr == network.mac().0
                    && let Some(taken) = take(port, &reply)
                {
                    return taken;
                }
            }
        }
    }
    bail!("no answer by DHCP")
}

#[cfg(test)]
mod tests {
    use super::*;
    use farrier_dhcp::wire::{ClientClass, Request};

    const ASKER: Asker = Asker {
        mac: [0x52, 0x54, 0, 0xfa, 0, 1],
        uuid: *b"\xfa\0\0\x01\x02\x03\x40\x04\x80\0\0\0\0\0\0\x09",
    };

    #[test]
    fn every_program_is_recognised_for_what_it_is() {
        for (program, ipxe, class) in [
            (Program::BiosRom, false, "Pxe"),
            (Program::UefiPxe, false, "Pxe"),
            (Program::UefiHttp, false, "Http"),
            (Program::IpxeBios, true, "Pxe"),
            (Program::IpxeUefi, true, "Pxe"),
        ] {
            let bytes = message(program, &ASKER, 7, DISCOVER, None);
            let request = Request::parse(&bytes).unwrap();
            assert_eq!(request.is_ipxe(), ipxe, "{program:?}");
            let uuid = request.uuid().unwrap();
            assert!(uuid == ASKER.uuid || smbios_order(uuid) == ASKER.uuid);
            assert!(!matches!(request.client_class(), ClientClass::Other));
            let told = format!("{:?}", request.client_class());
            assert!(told.starts_with(class), "{program:?}: {told}");
        }
    }

    #[test]
    fn a_request_names_the_offer_that_it_takes() {
        let offer = (Ipv4Addr::new(10, 0, 0, 9), Ipv4Addr::new(10, 0, 0, 1));
        let asks = Some(Asks::Offer(offer.0, offer.1));
        let bytes = message(Program::BiosRom, &ASKER, 7, REQUEST, asks);
        let request = Request::parse(&bytes).unwrap();
        assert_eq!(request.requested_ip, Some(offer.0));
        assert_eq!(request.server_id, Some(offer.1));
    }

    #[test]
    fn who_asks_a_proxy_has_its_address_already() {
        let (address, proxy) = (Ipv4Addr::new(10, 0, 0, 9), Ipv4Addr::new(10, 0, 0, 1));
        let asks = Some(Asks::File(address, proxy));
        let bytes = message(Program::IpxeUefi, &ASKER, 7, REQUEST, asks);
        let request = Request::parse(&bytes).unwrap();
        assert_eq!((request.ciaddr, request.requested_ip), (address, None));
        assert_eq!(request.server_id, Some(proxy));
        assert!(!request.broadcast);
    }
}
