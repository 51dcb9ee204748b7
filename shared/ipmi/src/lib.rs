//! A client of BMCs by IPMI 2.0 over LAN (RMCP+). `no_std`, no heap, no clock and
//! no sockets: datagrams in, datagrams out.
//!
//! * [`Client`]: one BMC, its session, one command at a time and its serial
//!   console. It asks what its owner wants and decides nothing.
//! * [`command`]: what a BMC can be asked, and its answers. [`command::sdr::Walk`]
//!   finds its sensors.
//! * [`console`]: payloads of the serial console.
//! * [`packet`], [`suite`], [`rakp`], [`message`], [`sequence`]: the layers below,
//!   for both ends.
//!
//! # A session
//! [`Client::open`] or the first [`Client::request`] opens it: the question what the
//! BMC can do, the request for a session, RAKP 1 to 4, the privilege. Cipher suite
//! 17 is asked for, and suite 3 where the owner allows it; there are no others, and
//! no session of IPMI 1.5. A packet of a session that is not encrypted and
//! authenticated is dropped.
//!
//! What anybody could have sent ends nothing. A refusal before the session is open,
//! or a wrong code, counts only if the message was repeated and nothing better came
//! either time: that costs three seconds, and an attacker has to suppress the BMC's
//! own answers. Every packet that is dropped is in one of the [`Counters`].
//!
//! Every wait is a [`Step`] with a reason, and [`Client::wake_at`] says until when.
//!
//! Each message is repeated, with pauses that grow and differ by chance. A command
//! that stays without an answer ends as [`Failure::Lost`]: the BMC may have carried
//! it out. A BMC's `Done` says that it has taken the command. Ask for the state
//! afterwards: BMCs accept commands and do not carry them out.
//!
//! # Memory
//! A [`Client`] has 512 bytes at the most on any machine, credentials and 64
//! characters for the console among them. Packets are in the owner's buffers, which
//! all clients may share: [`MAX_SENT`] and [`RECEIVE_BUFFER`] bytes.
//!
//! # With a socket
//! ```no_run
//! use farrier_ipmi::command::{Answer, Command};
//! use farrier_ipmi::{Client, Credentials, Event, MAX_SENT, Output, RECEIVE_BUFFER, Settings};
//! # use std::{net::UdpSocket, time::{Duration, Instant}};
//! # fn fill(bytes: &mut [u8]) {}
//! # let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
//! # let begin = Instant::now();
//! let credentials = Credentials::new(b"farrier", b"a password").unwrap();
//! let mut client = Client::new(credentials, Settings::default());
//! client.request(Command::ChassisStatus).unwrap();
//! let (mut out, mut buffer) = ([0; MAX_SENT], [0; RECEIVE_BUFFER]);
//! loop {
//!     let now_ms = begin.elapsed().as_millis() as u64;
//!     let until = match client.poll(now_ms, &mut out, &mut fill) {
//!         Output::Datagram(length) => {
//!             socket.send(&out[..length]).unwrap();
//!             continue;
//!         }
//!         Output::Event(Event::Failed(failure)) => panic!("{}", failure.reason()),
//!         Output::Event(_) => continue,
//!         Output::Wait(until) => until.unwrap_or(now_ms + 1000),
//!     };
//!     let pause = Duration::from_millis(until.saturating_sub(now_ms).max(1));
//!     socket.set_read_timeout(Some(pause)).unwrap();
//!     let Ok(length) = socket.recv(&mut buffer) else { continue };
//!     let now_ms = begin.elapsed().as_millis() as u64;
//!     if let Some(Event::Done(Answer::ChassisStatus(status))) =
//!         client.input(&mut buffer[..length], now_ms)
//!     {
//!         println!("on: {}", status.is_on());
//!         break;
//!     }
//! }
//! ```
//!
//! # Not supported
//! * Messages through the BMC to other controllers (bridging), and their sensors.
//! * The console on another UDP port than the session's, and refusing characters of
//!   the machine: the owner takes all that come.
//! * Sensors whose readings do not follow a straight line have raw readings only.
//! * Users without a name and users by privilege; changes of users and channels.
//! * Firmware firewalls, DCMI, events that the BMC sends by itself, OEM payloads.
#![no_std]
#![forbid(unsafe_code)]

pub mod client;
pub mod command;
pub mod console;
#[doc(hidden)]
pub mod fuzz;
pub mod message;
pub mod packet;
pub mod rakp;
pub mod sequence;
pub mod suite;

pub use client::{
    Client, Counters, Credentials, Event, Failure, MAX_SENT, Output, Privilege, RECEIVE_BUFFER,
    Refusal, Settings, Step, Suites, Timing,
};
pub use message::Completion;
