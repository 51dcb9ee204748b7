//! TFTP for machines that boot from the network: the packets, and both ends of
//! a read transfer as state machines. `no_std`, no heap, no dependencies; no
//! sockets, no clock and no files.
//!
//! * [`wire`]: packets as bytes and as values (RFC 1350) with options (RFC
//!   2347, 2348, 2349, 7440).
//! * [`name`]: file names in the forms of boot clients.
//! * [`places`]: who gets one of a server's transfers.
//! * [`server`]: [`server::Transfer`], the sending end of one read.
//! * [`client`]: [`client::Download`], the receiving end.
//!
//! A transfer without a network:
//!
//! ```
//! use farrier_tftp::client::{self, Download};
//! use farrier_tftp::server::{Action, Limits, Outcome, Transfer};
//! use farrier_tftp::wire::{self, Mode, Options, Packet, Request};
//!
//! let file = [7; 3000];
//! let request = Request {
//!     name: "\\boot\\snponly.efi",
//!     mode: Mode::Octet,
//!     options: Options { blksize: Some(1468), tsize: Some(0), ..Options::default() },
//! };
//! let mut download = Download::new(request, client::Config::default());
//! let mut received = Vec::new();
//!
//! // The client's request reaches port 69 …
//! let mut buf = [0; 2048];
//! let Ok(client::Action::Send(len)) = download.poll(0, &mut buf) else { panic!() };
//! let Ok(Packet::Rrq(request)) = Packet::parse(&buf[..len]) else { panic!() };
//! assert!(farrier_tftp::name::same_file(request.name, "boot/snponly.efi"));
//! // … and gets a transfer with a port of its own.
//! let mut transfer = Transfer::new(0, &request, file.len() as u64, &Limits::default()).unwrap();
//!
//! let outcome = loop {
//!     let sent = match transfer.poll(0) {
//!         Action::SendOack => transfer.emit_oack(&mut buf).unwrap(),
//!         Action::SendData { block, offset, len } => {
//!             wire::emit_data_header(&mut buf, block).unwrap();
//!             buf[wire::DATA_HEADER_LEN..][..len].copy_from_slice(&file[offset as usize..][..len]);
//!             wire::DATA_HEADER_LEN + len
//!         }
//!         Action::Wait(_) => panic!("no packet is lost"),
//!         Action::Done(outcome) => break outcome,
//!     };
//!     if let Some((offset, bytes)) = download.process(0, &buf[..sent]) {
//!         assert_eq!(offset, received.len() as u64);
//!         received.extend_from_slice(bytes);
//!     }
//!     let mut ack = [0; 32];
//!     if let Ok(client::Action::Send(len)) = download.poll(0, &mut ack) {
//!         transfer.process(&ack[..len]);
//!     }
//! };
//! assert_eq!(outcome, Outcome::Complete);
//! assert_eq!(received, file);
//! ```
//!
//! # Not supported
//!
//! * Writing: the parser accepts requests so that the server can refuse them.
//! * Netascii transfers (boot files are binary) and mail:
//!   [`server::Transfer::new`] refuses both.
//! * Multicast (RFC 2090) and options other than the four above. Unknown options
//!   are not acknowledged (RFC 2347).
//! * Transfer ids: the caller answers a packet from a wrong port with
//!   [`wire::ErrorReply::UNKNOWN_TID`].
#![no_std]
#![forbid(unsafe_code)]

pub mod client;
#[doc(hidden)]
pub mod fuzz;
pub mod name;
pub mod places;
pub mod server;
pub mod wire;
