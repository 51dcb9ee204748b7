//! Boot credentials: which are good now, and for whom.
//!
//! A credential follows from the appliance's key, the lease, and an identifier
//! that says when it was given. Nothing is stored when one is given, so nothing
//! that a datagram or a request for a file says changes a node. The first
//! handshake uses it up.
//!
//! An identifier has eight bytes, big-endian: the number of the appliance's
//! start (2), milliseconds since then (4), and the low half of the transaction
//! id of the DHCP exchange (2).

use crate::interface::{Instant, NetworkId};
use crate::rack::Rack;
use core::net::Ipv4Addr;
use farrier_protocol::credential::{Credential, Place};
use farrier_protocol::ticket::TicketId;

/// How long a credential is good, in milliseconds. A rack of 48 machines that
/// load kernel and ramdisk through one port needs some ten minutes.
pub const CREDENTIAL_MILLIS: u32 = 15 * 60 * 1000;

struct Stamp {
    start: u16,
    at: u32,
}

impl Stamp {
    fn of(id: TicketId) -> Self {
        let [a, b, c, d, e, f, ..] = id.0;
        Stamp {
            start: u16::from_be_bytes([a, b]),
            at: u32::from_be_bytes([c, d, e, f]),
        }
    }
}

/// The low 16 bits of the number of a start.
fn short(run: u32) -> u16 {
    (run & 0xffff) as u16
}

/// The low 32 bits of the milliseconds since the start: 49 days.
fn millis(now: Instant) -> u32 {
    (now.millis() & 0xffff_ffff) as u32
}

fn new_id(run: u32, now: Instant, xid: u32) -> TicketId {
    let [a, b] = short(run).to_be_bytes();
    let [c, d, e, f] = millis(now).to_be_bytes();
    let [.., g, h] = xid.to_be_bytes();
    TicketId([a, b, c, d, e, f, g, h])
}

/// Whether a credential is still good. One of the start before is so for as long
/// as it could be: how long the restart took is not known.
fn is_fresh(run: u32, now: Instant, id: TicketId) -> bool {
    let stamp = Stamp::of(id);
    let since_start = now.millis() <= u64::from(CREDENTIAL_MILLIS);
    match short(run).wrapping_sub(stamp.start) {
        0 => millis(now).wrapping_sub(stamp.at) <= CREDENTIAL_MILLIS,
        1 => since_start,
        _ => false,
    }
}

/// Whether a fresh credential was given after one that was used.
fn is_later(run: u32, now: Instant, id: TicketId, used: TicketId) -> bool {
    if !is_fresh(run, now, used) {
        return true;
    }
    let (new, old) = (Stamp::of(id), Stamp::of(used));
    match new.start == old.start {
        true => (1..=CREDENTIAL_MILLIS).contains(&new.at.wrapping_sub(old.at)),
        false => new.start == short(run),
    }
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// The credential for a DHCP exchange, now.
    pub(crate) fn new_credential(&self, place: &Place, xid: u32) -> Option<Credential> {
        self.credential(new_id(self.run, self.now, xid), place)
    }

    /// The credential of an identifier for a place.
    pub(crate) fn credential(&self, id: TicketId, place: &Place) -> Option<Credential> {
        let secrets = self.secrets.as_ref()?;
        Some(secrets.credentials.derive(id, place))
    }

    /// Whether a credential of this identifier would be good now.
    pub(crate) fn is_fresh(&self, id: TicketId) -> bool {
        is_fresh(self.run, self.now, id)
    }

    /// Whether a fresh credential was given after one that was used.
    pub(crate) fn is_later(&self, id: TicketId, used: TicketId) -> bool {
        is_later(self.run, self.now, id, used)
    }

    /// What the lease of an address was given to.
    pub(crate) fn place_at(&self, network: NetworkId, address: Ipv4Addr) -> Option<Place> {
        Some(Place {
            mac: self.interface_at(address)?,
            address: address.octets(),
            network: network.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn a_credential_is_good_for_minutes_and_over_one_restart() {
        let limit = u64::from(CREDENTIAL_MILLIS);
        let wraps = u64::from(u32::MAX);
        for start in [5000, wraps - 10] {
            let id = new_id(3, at(start), 0xabcd_1234);
            assert!(is_fresh(3, at(start), id) && is_fresh(3, at(start + limit), id));
            assert!(!is_fresh(3, at(start + limit + 1), id));
            assert!(!is_fresh(3, at(start - 1), id), "of a time to come");
            assert!(is_fresh(4, at(limit), id) && !is_fresh(4, at(limit + 1), id));
            assert!(!is_fresh(5, at(0), id) && !is_fresh(2, at(0), id));
        }
        let last = new_id(0xffff, at(9), 0);
        assert!(is_fresh(0x1_0000, at(0), last));
    }

    #[test]
    fn what_was_used_is_not_good_again() {
        let (old, new) = (new_id(3, at(9_000), 1), new_id(3, at(9_500), 2));
        assert!(is_later(3, at(9_600), new, old) && !is_later(3, at(9_600), old, new));
        assert!(!is_later(3, at(9_600), old, old));
        let restarted = new_id(4, at(100), 1);
        assert!(is_later(4, at(200), restarted, old) && !is_later(4, at(200), old, restarted));
        assert!(is_later(4, at(200), new, old) && !is_later(4, at(200), old, new));
        let month = at(30 * 24 * 3_600_000);
        assert!(is_later(3, month, new_id(3, month, 0), old), "long ago");
    }
}
