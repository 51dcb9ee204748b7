//! DHCPv4 for machines that boot from the network: the messages as bytes and
//! as values, the frames they travel in, where a reply goes, and a small
//! client. `no_std`, no heap, no dependencies; no sockets, no clock, no lease
//! table and no opinion about who gets which address.
//!
//! * [`wire`]: [`wire::Packet`], a view over a message; [`wire::Request`] and
//!   [`wire::Reply`], the values in it (RFC 2131, 2132), with what PXE, UEFI
//!   HTTP Boot and iPXE say in options 43, 60, 77, 93, 97 and 175.
//! * [`route`]: relay, unicast, broadcast or a frame straight to the client
//!   (RFC 2131 §4.1).
//! * [`frame`]: Ethernet, IPv4 and UDP headers with checksums, for that frame.
//! * [`ndp`]: one frame that spares iPXE a wait of 16 s for IPv6.
//! * [`client`]: from DISCOVER to a lease that is kept alive.
//!
//! A server's part, from a received frame to the frame that answers it:
//!
//! ```
//! use core::net::Ipv4Addr;
//! use farrier_dhcp::frame::{self, Header};
//! use farrier_dhcp::route::{Route, reply_route};
//! use farrier_dhcp::wire::{MessageType, Platform, Reply, Request};
//!
//! const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
//! const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
//!
//! /// Answers a DISCOVER; gives the length of the frame in `out`.
//! fn answer(received: &[u8], out: &mut [u8]) -> Option<usize> {
//!     let datagram = frame::parse(received).ok().filter(|udp| udp.dst_port == 67)?;
//!     let request = Request::parse(datagram.payload).ok()?;
//!     if request.message_type != MessageType::Discover {
//!         return None;
//!     }
//!     let mut reply = Reply::answering(&request, MessageType::Offer, SERVER);
//!     reply.yiaddr = Ipv4Addr::new(10, 0, 0, 100);
//!     reply.mask = Some(Ipv4Addr::new(255, 255, 255, 0));
//!     reply.lease_secs = Some(600);
//!     if request.arch()?.platform() == Platform::X64 {
//!         reply.next_server = Some(SERVER);
//!         reply.boot_file = Some(b"snponly.efi");
//!     }
//!     // The message first, where the headers leave room; then the headers.
//!     let len = reply.emit(out.get_mut(frame::HEADER_LEN..)?).ok()?;
//!     let (dst_mac, dst) = match reply_route(&request, &reply) {
//!         Route::RawUnicast { mac, ip } => (mac, ip),
//!         Route::Broadcast => (frame::BROADCAST, Ipv4Addr::BROADCAST),
//!         // To somebody who answers ARP: an ordinary socket's work.
//!         Route::Relay(_) | Route::Unicast(_) => return None,
//!     };
//!     let header =
//!         Header { src_mac: SERVER_MAC, dst_mac, src: SERVER, dst, src_port: 67, dst_port: 68 };
//!     frame::emit(out, &header, len).ok()
//! }
//!
//! # use farrier_dhcp::wire::ArchList;
//! # let mac = [0x52, 0x54, 0, 1, 2, 3];
//! # let discover = Request { arch_list: ArchList(&[0, 7]), ..Request::new(MessageType::Discover, 42, mac) };
//! # let mut received = [0; 600];
//! # let len = discover.emit(&mut received[frame::HEADER_LEN..]).unwrap();
//! # let from_client = Header {
//! #     src_mac: mac, dst_mac: frame::BROADCAST,
//! #     src: Ipv4Addr::UNSPECIFIED, dst: Ipv4Addr::BROADCAST, src_port: 68, dst_port: 67,
//! # };
//! # let len = frame::emit(&mut received, &from_client, len).unwrap();
//! let mut out = [0; 600];
//! let len = answer(&received[..len], &mut out).expect("an answer");
//! let offer = Reply::parse(frame::parse(&out[..len]).unwrap().payload).unwrap();
//! assert_eq!(offer.yiaddr, Ipv4Addr::new(10, 0, 0, 100));
//! assert_eq!(offer.boot_file, Some(&b"snponly.efi"[..]));
//! ```
//!
//! # Not supported
//!
//! * DHCPv6, BOOTP without option 53, hardware other than Ethernet (InfiniBand,
//!   RFC 4390), authentication (RFC 3118), FORCERENEW, rapid commit, leasequery.
//! * Joining the parts of options longer than 255 bytes (RFC 3396): the first
//!   part counts; [`wire::Packet::options`] gives all of them. None is written.
//! * Being a ProxyDHCP server or a relay.
//! * VLAN tags and IPv4 fragments in [`frame`].
//! * The client does not re-request an address it had before a restart
//!   (INIT-REBOOT), compares no offers (the first one is taken), and does not
//!   speak ARP: [`client::Client::decline`] is there for who does.
#![no_std]
#![forbid(unsafe_code)]

pub mod client;
pub mod frame;
#[doc(hidden)]
pub mod fuzz;
pub mod ndp;
pub mod route;
pub mod wire;
