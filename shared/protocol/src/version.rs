//! Versions of the protocol, and how two ends agree on one.
//!
//! A version stands for the set of messages that its speaker understands.
//! Messages are append-only, so a newer end can always speak an older
//! version by not using what came later. Every version has a test of golden
//! bytes beside this crate (`tests/golden_v1.rs`).

/// Oldest version that this build speaks.
pub const MIN: u16 = 1;
/// Newest version that this build speaks.
pub const CURRENT: u16 = 1;

/// The newest version that both ends speak, given the peer's range
/// (both inclusive). `None` where the ranges do not meet.
///
/// ```
/// use farrier_protocol::version;
/// assert_eq!(version::negotiate(1, 7), Some(version::CURRENT));
/// assert_eq!(version::negotiate(version::CURRENT + 1, 9), None);
/// ```
pub const fn negotiate(peer_min: u16, peer_max: u16) -> Option<u16> {
    let newest = if peer_max < CURRENT {
        peer_max
    } else {
        CURRENT
    };
    let oldest = if peer_min > MIN { peer_min } else { MIN };
    if oldest <= newest { Some(newest) } else { None }
}
