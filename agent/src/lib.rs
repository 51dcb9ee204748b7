//! The deploy agent: inspects, erases and images a server as its PID 1.
//!
//! Four layers, each of which knows only those before it:
//!
//! - [`engine`]: decisions without a kernel, tested anywhere;
//! - [`work`]: the engines driven on [`device`]s and connections, on threads
//!   that block;
//! - [`agent`] and [`client`]: orders, and the conversation in which they come;
//! - [`sys`]: the kernel - mounts, modules, network, disks, power. The only
//!   place with `unsafe` code.
//!
//! The binary `farrier-agent` puts them together for a real machine.
#![deny(unsafe_code)]
#![allow(
    clippy::result_large_err,
    reason = "an error is the failure as it is reported: made once an order, on no hot path"
)]

pub mod agent;
pub mod client;
pub mod device;
pub mod engine;
pub mod operations;
#[cfg(target_os = "linux")]
pub mod sys;

/// Stack of every thread. Messages hold their lists in place and are large;
/// what is never touched takes no memory.
const STACK: usize = 1 << 20;
