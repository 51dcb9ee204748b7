//! The kernel: everything that the agent does through system calls, and the
//! only place with `unsafe` code (three `ioctl`s and a socket address).
//!
//! Nothing here decides; texts and facts go to [`crate::engine`].

#![allow(
    unsafe_code,
    reason = "ioctls and socket addresses that no safe wrapper knows"
)]

pub mod block;
pub mod console;
pub mod hardware;
pub mod link;
pub mod modules;
pub mod network;
pub mod power;
pub mod server;
pub mod setup;

use std::fs;
use std::path::Path;

/// Random bytes from the kernel's generator; waits until it is seeded.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        let rest = bytes.get_mut(filled..).unwrap_or_default();
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            // The system call is there since Linux 3.17; without randomness
            // no key may be made.
            Err(error) => panic!("the kernel gives no random bytes: {error}"),
        }
    }
    bytes
}

/// A number that need not be secret, such as a transaction's. Does not wait:
/// a machine without its own source of randomness takes a second or more
/// after its start to gather some.
pub fn soon_random() -> u32 {
    let mut bytes = [0; 4];
    let flags = rustix::rand::GetRandomFlags::INSECURE;
    let _as_it_is = rustix::rand::getrandom(&mut bytes, flags);
    u32::from_ne_bytes(bytes)
}

/// The agent's resident memory at its highest, in KiB; 0 where the kernel
/// does not tell.
pub fn peak_rss_kib() -> u32 {
    text("/proc/self/status")
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|value| value.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or(0)
}

/// A file's text, empty where it can't be read.
fn text(path: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&bytes(path)).into_owned()
}

/// A file's bytes, empty where it can't be read.
fn bytes(path: impl AsRef<Path>) -> Vec<u8> {
    fs::read(path).unwrap_or_default()
}
