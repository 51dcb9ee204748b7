//! The invariant of reserved addresses: an address may not have another owner
//! as long as a lease of the one before may live.

use std::collections::BTreeMap;

use core::net::Ipv4Addr;
use farrier_core::ipam::Ipam;
use farrier_protocol::message::Mac;

/// An owner, and until when a lease of its address may live; `None` while it
/// has the address.
type Owner = (Mac, Option<u64>);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Owners(BTreeMap<(u8, Ipv4Addr), Owner>);

impl Owners {
    /// Nobody knows any more what was promised.
    pub(crate) fn forget(&mut self) {
        self.0.clear();
    }

    /// The appliance's clock jumped ahead: leases end earlier.
    pub(crate) fn clock_jumped(&mut self, millis: u64) {
        for (_, until) in self.0.values_mut() {
            *until = until.map(|until| until.saturating_sub(millis));
        }
    }

    /// Checks all reservations. Says what is wrong with them.
    pub(crate) fn look(&mut self, now: u64, ipam: &Ipam, lease_millis: u64) -> Option<String> {
        for ((network, address), (mac, until)) in &mut self.0 {
            if until.is_none() && ipam.owner(*network, *address) != Some(*mac) {
                *until = Some(now + lease_millis);
            }
        }
        let mut held = ipam.entries().iter().filter(|entry| entry.is_held());
        held.find_map(|entry| {
            let place = (entry.network, entry.address);
            let before = self.0.insert(place, (entry.mac, None));
            let (owner, until) = before?;
            let lives = until.is_none_or(|until| until > now);
            (owner != entry.mac && lives).then(|| {
                format!(
                    "{} is given to {:?} and a lease of it to {owner:?} may live",
                    entry.address, entry.mac
                )
            })
        })
        .or_else(|| twice(ipam))
    }
}

/// An interface with two addresses, or an address with two owners.
fn twice(ipam: &Ipam) -> Option<String> {
    let held = || ipam.entries().iter().filter(|entry| entry.is_held());
    held().enumerate().find_map(|(place, entry)| {
        let mut before = held().take(place);
        let same = before.find(|other| {
            other.network == entry.network
                && (other.address == entry.address || other.mac == entry.mac)
        })?;
        Some(format!("IPAM has {same:?} and {entry:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use farrier_core::Instant;
    use farrier_core::ipam::PROVISIONING;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 230);

    fn mac(last: u8) -> Mac {
        Mac([2, 0, 0, 0, 0, last])
    }

    /// An IPAM in which an interface has the address.
    fn ipam(last: u8) -> Ipam {
        let mut ipam = Ipam::new();
        let given = ipam.give(Instant::START, PROVISIONING, mac(last), Some(ADDRESS), 0);
        assert_eq!(given, Ok(ADDRESS));
        ipam
    }

    #[test]
    fn an_address_has_no_other_owner_too_early() {
        let mut owners = Owners::default();
        assert_eq!(owners.look(10, &ipam(1), 600), None);
        assert_eq!(owners.look(20, &Ipam::new(), 600), None);
        // Whose it was may have it again.
        assert_eq!(owners.look(30, &ipam(1), 600), None);
        assert_eq!(owners.look(40, &Ipam::new(), 600), None);
        assert!(owners.look(639, &ipam(2), 600).is_some());

        let mut owners = Owners::default();
        owners.look(10, &ipam(1), 600);
        owners.look(40, &Ipam::new(), 600);
        owners.clock_jumped(100);
        assert_eq!(owners.look(540, &ipam(2), 600), None);
        // From one owner to the next without a quarantine.
        assert!(owners.look(541, &ipam(3), 600).is_some());
        owners.forget();
        assert_eq!(owners.look(542, &ipam(4), 600), None);
    }
}
