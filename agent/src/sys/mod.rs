//! System calls. This module has the crate's only `unsafe` code: three `ioctl`s
//! and a socket address.
//!
//! It has no policy; [`crate::engine`] interprets what it reads.

#![allow(
    unsafe_code,
    reason = "no safe wrapper exists for these ioctls and socket addresses"
)]

pub mod block;
pub mod console;
pub mod hardware;
pub mod link;
pub mod lldp;
pub mod modules;
pub mod network;
pub mod power;
pub mod server;
pub mod setup;

use std::fs;
use std::path::Path;

/// Returns random bytes from the kernel's generator. Waits until it is seeded.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        let rest = bytes.get_mut(filled..).unwrap_or_default();
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            // getrandom(2) exists since Linux 3.17. Without random bytes the
            // agent can't make keys.
            Err(error) => panic!("getrandom failed: {error}"),
        }
    }
    bytes
}

/// Returns a random number that need not be secret, such as a transaction ID.
/// Does not wait: a server without a hardware generator seeds the kernel's
/// generator a second or more after its start.
pub fn insecure_random() -> u32 {
    let mut bytes = [0; 4];
    let flags = rustix::rand::GetRandomFlags::INSECURE;
    let _as_it_is = rustix::rand::getrandom(&mut bytes, flags);
    u32::from_ne_bytes(bytes)
}

/// Returns the agent's peak resident memory in KiB, 0 if the kernel does not
/// report it.
pub fn peak_rss_kib() -> u32 {
    text("/proc/self/status")
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|value| value.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or(0)
}

/// Returns the text of a file, empty if it can't be read.
fn text(path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&bytes(path)).into_owned()
}

/// Returns the bytes of a file, empty if it can't be read.
fn bytes(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(path).unwrap_or_default()
}
