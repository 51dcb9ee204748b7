//! DHCPv4 for machines that boot from the network: the messages as bytes and
//! as values, the destination of a reply, and a small client. `no_std`, no
//! heap, no sockets, no clock, no lease table and no policy of which client gets
//! which address.
//!
//! * [`wire`]: [`wire::Packet`], a view over a message; [`wire::Request`] and
//!   [`wire::Reply`], the values in it (RFC 2131, 2132), with what PXE, UEFI
//!   HTTP Boot and iPXE put into options 43, 60, 77, 93, 97 and 175.
//! * [`route`]: relay, unicast, broadcast, or a frame to the client's hardware
//!   address (RFC 2131 §4.1). The crate `farrier-ethernet` builds that frame.
//! * [`client`]: a client that obtains a lease and renews it.
//!
//! A server parses a received frame and builds the frame that answers it:
//!
//! ```
//! use core::net::Ipv4Addr;
//! use farrier_dhcp::route::{Route, reply_route};
//! use farrier_dhcp::wire::{MessageType, Platform, Reply, Request};
//! use farrier_ethernet::frame::{self, Header};
//!
//! const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
//! const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
//!
//! /// Answers a DISCOVER and returns the length of the frame in `out`.
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
//!         // The destination answers ARP: send it through a UDP socket.
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
//! * Options longer than 255 bytes (RFC 3396). The parser uses the first part;
//!   [`wire::Packet::options`] returns all parts. The emitter writes none.
//! * Relay agents. What a proxyDHCP server sends are replies without an address.
//! * INIT-REBOOT, comparing offers and ARP in the client. It takes the first
//!   offer. A caller that probes by ARP calls [`client::Client::decline`].
#![no_std]
#![forbid(unsafe_code)]

pub mod client;
#[doc(hidden)]
pub mod fuzz;
pub mod route;
pub mod wire;
