//! The deploy agent: inspects, erases and images a server as its PID 1.
//!
//! Four layers; each uses only the layers above it in this list:
//!
//! - [`engine`]: rules and formats without I/O;
//! - [`operations`]: the engines on [`device`]s and connections, on threads that
//!   block;
//! - [`agent`] and [`client`]: orders and the session with the appliance;
//! - [`sys`]: the kernel: mounts, modules, network, disks, power. It has the
//!   only `unsafe` code.
//!
//! The binary `farrier-agent` combines them on a real server.
#![deny(unsafe_code)]
#![allow(
    clippy::result_large_err,
    reason = "the error is the failure report; it occurs once an order at most"
)]

pub mod agent;
pub mod client;
pub mod device;
pub mod engine;
pub mod operations;
#[cfg(target_os = "linux")]
pub mod sys;

/// Stack size of every thread in bytes. Messages hold their lists in place and
/// are large. The kernel allocates only the pages that a thread touches.
const STACK: usize = 1 << 20;
