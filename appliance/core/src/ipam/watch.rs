//! What should not be on the appliance's networks: other DHCP servers, interfaces that
//! claim the appliance's address, and addresses that two interfaces have. A table of
//! few entries that forgets; nothing of it is durable, since what goes on is seen
//! again.

use crate::Instant;
use crate::interface::Sighting;
use heapless::Vec;

/// Most entries.
const ENTRIES: usize = 16;

/// Something that was seen, once or more often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// What and where.
    pub sighting: Sighting,
    /// How often.
    pub count: u32,
    /// When first.
    pub first: Instant,
    /// When last.
    pub last: Instant,
}

/// The table.
#[derive(Debug)]
pub struct Alarms {
    entries: Vec<Alarm, ENTRIES, u8>,
}

impl Alarms {
    pub(crate) const fn new() -> Self {
        Alarms {
            entries: Vec::new(),
        }
    }

    /// All entries.
    pub fn all(&self) -> &[Alarm] {
        &self.entries
    }

    /// The entry that was seen at this time, where it is worth a line of a log: the
    /// first time, and then ever more rarely.
    pub fn news(&self, now: Instant) -> Option<&Alarm> {
        let mut all = self.entries.iter();
        all.find(|entry| entry.last == now && entry.count.is_power_of_two())
    }

    /// Notes that something was seen. In a full table it takes the place of what was
    /// seen most rarely, and of two such of the older one: whoever sends from ever new
    /// addresses does not hide who goes on from one.
    pub(crate) fn note(&mut self, now: Instant, sighting: Sighting) {
        let mut known = self.entries.iter_mut();
        if let Some(entry) = known.find(|entry| entry.sighting == sighting) {
            entry.count = entry.count.saturating_add(1);
            entry.last = now;
            return;
        }
        let entry = Alarm {
            sighting,
            count: 1,
            first: now,
            last: now,
        };
        if let Err(entry) = self.entries.push(entry) {
            let rarest = self.entries.iter_mut();
            let rarest = rarest.min_by_key(|entry| (entry.count, entry.last));
            if let Some(rarest) = rarest {
                *rarest = entry;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::{NetworkId, SightingKind};
    use farrier_protocol::message::Mac;

    fn of(number: u8) -> Sighting {
        Sighting {
            kind: SightingKind::DhcpServer,
            network: NetworkId::PROVISIONING,
            vlan: 0,
            mac: Mac([number; 6]),
            address: [10, 0, 0, number].into(),
        }
    }

    #[test]
    fn what_is_seen_again_is_counted_and_told_ever_more_rarely() {
        let mut alarms = Alarms::new();
        let told = (1..=100).filter(|second| {
            let now = Instant::from_millis(second * 1000);
            alarms.note(now, of(1));
            alarms.news(now).is_some()
        });
        assert_eq!(told.count(), 7, "1, 2, 4 … 64");
        let [one] = alarms.all() else {
            panic!("one entry")
        };
        assert_eq!(
            (one.count, one.first.millis(), one.last.millis()),
            (100, 1000, 100_000)
        );
        assert!(alarms.news(Instant::from_millis(7)).is_none());
    }

    #[test]
    fn a_flood_does_not_hide_what_goes_on() {
        let mut alarms = Alarms::new();
        for turn in 0..3 {
            alarms.note(Instant::from_millis(turn), of(1));
        }
        for number in 2..=200 {
            alarms.note(Instant::from_millis(u64::from(number) + 10), of(number));
        }
        assert_eq!(alarms.all().len(), ENTRIES);
        assert!(alarms.all().iter().any(|alarm| alarm.sighting == of(1)));
        assert!(alarms.all().iter().any(|alarm| alarm.sighting == of(200)));
    }
}
