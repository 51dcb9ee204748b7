//! Decides when the kernel has found all devices of the server.
//!
//! No single sign is enough. A driver is there before its disks are: SAS and USB report
//! devices while others already work, a disk spins up for a minute, and the kernel may
//! drop the uevents that announce one. So device discovery counts as complete when no
//! device or driver came for a while, two listings with time between them were equal,
//! and nothing that is listed waits for its driver.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Time without new devices after which device discovery may be complete. Buses such as
/// MMC and USB look for devices a while after their controller has a driver.
const QUIET: Duration = Duration::from_secs(2);
/// The same after a SCSI host that is no ATA port: its transport reports disks later.
const HOST_QUIET: Duration = Duration::from_secs(5);
/// Least time between two listings that count as two.
const APART: Duration = Duration::from_millis(900);

/// The devices at one time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// One text for each device: its name, and what of it may still change.
    pub devices: BTreeSet<String>,
    /// SCSI hosts that are no ATA ports.
    pub hosts: BTreeSet<String>,
    /// Devices that a driver is still initialising.
    pub pending: usize,
}

/// How far device discovery is.
#[derive(Debug)]
pub struct Settle {
    /// When the last device or driver came.
    disturbed: Instant,
    /// When the last SCSI host came.
    host: Option<Instant>,
    /// The last listing, the first time that it was so, and the last time.
    last: Option<(Listing, Instant, Instant)>,
}

impl Settle {
    /// Begins at the agent's start.
    pub const fn new(now: Instant) -> Self {
        Self {
            disturbed: now,
            host: None,
            last: None,
        }
    }

    /// Takes the news that a device or a driver came, or may have come: uevents were
    /// lost. What was listed before counts no more.
    pub fn disturbed(&mut self, now: Instant) {
        self.disturbed = now;
        if let Some((_, since, last)) = &mut self.last {
            (*since, *last) = (now, now);
        }
    }

    /// Takes a listing.
    pub fn listed(&mut self, now: Instant, listing: Listing) {
        if let Some((known, _, last)) = &mut self.last
            && *known == listing
        {
            *last = now;
            return;
        }
        let known = self.last.as_ref().map(|(known, ..)| &known.hosts);
        let is_new = |host| known.is_none_or(|known| !known.contains(host));
        if listing.hosts.iter().any(is_new) {
            self.host = Some(now);
        }
        self.disturbed = now;
        self.last = Some((listing, now, now));
    }

    /// Returns whether device discovery is complete.
    pub fn is_complete(&self, now: Instant) -> bool {
        let quiet = |since: Instant, least| now.saturating_duration_since(since) >= least;
        let Some((listing, since, last)) = &self.last else {
            return false;
        };
        last.saturating_duration_since(*since) >= APART
            && quiet(self.disturbed, QUIET)
            && self.host.is_none_or(|host| quiet(host, HOST_QUIET))
            && listing.pending == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listing with these devices.
    fn listing(devices: &[&str]) -> Listing {
        Listing {
            devices: devices.iter().map(|name| (*name).into()).collect(),
            ..Listing::default()
        }
    }

    /// Lists every second from `from` to `to`; returns whether discovery is complete
    /// then.
    fn list(settle: &mut Settle, start: Instant, from: u64, to: u64, seen: &Listing) -> bool {
        for second in from..=to {
            settle.listed(start + Duration::from_secs(second), seen.clone());
        }
        settle.is_complete(start + Duration::from_secs(to))
    }

    #[test]
    fn equal_listings_and_quiet_complete_it() {
        let start = Instant::now();
        let mut settle = Settle::new(start);
        let one = listing(&["sda"]);
        assert!(
            !settle.is_complete(start + Duration::from_secs(60)),
            "nothing was listed"
        );
        settle.listed(start, one.clone());
        let late = start + Duration::from_secs(60);
        assert!(
            !settle.is_complete(late),
            "one listing says nothing of what changes"
        );
        settle.listed(start + Duration::from_millis(300), one.clone());
        assert!(!settle.is_complete(late), "two at once are one");
        assert!(!list(&mut settle, start, 1, 1, &one));
        assert!(list(&mut settle, start, 2, 2, &one));
    }

    #[test]
    fn late_disk_that_no_uevent_announced_begins_anew() {
        let start = Instant::now();
        let mut settle = Settle::new(start);
        assert!(list(&mut settle, start, 0, 3, &listing(&["sda"])));
        let two = listing(&["sda", "sdb"]);
        assert!(!list(&mut settle, start, 4, 5, &two));
        assert!(list(&mut settle, start, 6, 6, &two));
    }

    #[test]
    fn lost_uevents_do_not_complete_it() {
        let start = Instant::now();
        let mut settle = Settle::new(start);
        let one = listing(&["sda"]);
        assert!(list(&mut settle, start, 0, 3, &one));
        settle.disturbed(start + Duration::from_secs(3));
        assert!(!settle.is_complete(start + Duration::from_secs(4)));
        assert!(
            !settle.is_complete(start + Duration::from_secs(9)),
            "listings of before"
        );
        assert!(list(&mut settle, start, 9, 10, &one));
    }

    #[test]
    fn disk_that_spins_up_keeps_it_waiting() {
        let start = Instant::now();
        let mut settle = Settle::new(start);
        let spinning = Listing {
            pending: 1,
            ..listing(&["0:0:0:0"])
        };
        assert!(!list(&mut settle, start, 0, 90, &spinning));
        assert!(list(
            &mut settle,
            start,
            91,
            93,
            &listing(&["0:0:0:0", "sda"])
        ));
    }

    #[test]
    fn host_has_more_time() {
        let start = Instant::now();
        let mut settle = Settle::new(start);
        let sas = Listing {
            hosts: ["host7".to_owned()].into(),
            ..listing(&["nvme0n1"])
        };
        assert!(list(&mut settle, start, 0, 3, &listing(&["nvme0n1"])));
        assert!(!list(&mut settle, start, 4, 8, &sas));
        assert!(list(&mut settle, start, 9, 9, &sas));
    }
}
