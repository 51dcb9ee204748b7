//! Protocol versions and their negotiation.
//!
//! A version is a set of messages. Messages are append-only, so a newer end can
//! use an older version by not sending newer messages. Every version has a test
//! of golden bytes (`tests/golden_v1.rs`).

/// Oldest supported version.
pub const MIN: u16 = 1;
/// Newest supported version.
pub const CURRENT: u16 = 1;

/// Returns the newest version that both ends support, `None` if there is none.
/// `min` and `max` are the peer's range, inclusive.
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
