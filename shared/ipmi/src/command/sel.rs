//! The log of events (chapters 31 and 32).

/// State of the log (31.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelInfo {
    /// Number of entries.
    pub entries: u16,
    /// Bytes that are free; 0xffff for that and more.
    pub free: u16,
    /// Time of the newest entry, in seconds by the BMC's clock; `None` where
    /// there is none.
    pub last_added_s: Option<u32>,
    /// Time of the last erasure, in seconds by the BMC's clock.
    pub last_erased_s: Option<u32>,
    /// Entries were lost because the log was full.
    pub overflow: bool,
}

const fn time(bytes: [u8; 4]) -> Option<u32> {
    match u32::from_le_bytes(bytes) {
        u32::MAX => None,
        seconds => Some(seconds),
    }
}

impl SelInfo {
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let head = data.first_chunk::<14>()?;
        let [
            _,
            n0,
            n1,
            f0,
            f1,
            a0,
            a1,
            a2,
            a3,
            e0,
            e1,
            e2,
            e3,
            operations,
        ] = *head;
        Some(Self {
            entries: u16::from_le_bytes([n0, n1]),
            free: u16::from_le_bytes([f0, f1]),
            last_added_s: time([a0, a1, a2, a3]),
            last_erased_s: time([e0, e1, e2, e3]),
            overflow: operations & 0x80 != 0,
        })
    }
}

/// Number of the first entry, to ask with.
pub const FIRST: u16 = 0;

/// Number that means: no entry follows.
pub const END: u16 = 0xffff;

/// An entry of the log (32.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelEntry {
    /// Number of the next one; [`END`] behind the last.
    pub next: u16,
    /// Its number.
    pub id: u16,
    /// Its kind: 2 for an event of the system, others are the maker's.
    pub kind: u8,
    /// What follows, by its kind.
    pub data: [u8; 13],
}

/// An event of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemEvent {
    /// Time, in seconds by the BMC's clock. Below 0x2000_0000 it counts from the
    /// BMC's start.
    pub time_s: u32,
    /// Who has reported it.
    pub generator: u16,
    /// Type of the sensor (table 42-3), as 1 for temperatures.
    pub sensor_type: u8,
    /// Number of the sensor.
    pub sensor: u8,
    /// It begins, and does not end.
    pub asserted: bool,
    /// Type of the event (table 42-1): 1 for thresholds, 0x6f for the sensor
    /// type's own.
    pub event_type: u8,
    /// Which event, in its four low bits, and what belongs to it.
    pub data: [u8; 3],
}

impl SelEntry {
    pub(super) fn parse(data: &[u8]) -> Option<Self> {
        let (head, rest) = data.split_first_chunk::<5>()?;
        let [n0, n1, i0, i1, kind] = *head;
        Some(Self {
            next: u16::from_le_bytes([n0, n1]),
            id: u16::from_le_bytes([i0, i1]),
            kind,
            data: *rest.first_chunk()?,
        })
    }

    /// The event; `None` in an entry of another kind.
    #[must_use]
    pub const fn event(&self) -> Option<SystemEvent> {
        let [
            t0,
            t1,
            t2,
            t3,
            g0,
            g1,
            _,
            sensor_type,
            sensor,
            kind,
            data @ ..,
        ] = self.data;
        if self.kind != 2 {
            return None;
        }
        Some(SystemEvent {
            time_s: u32::from_le_bytes([t0, t1, t2, t3]),
            generator: u16::from_le_bytes([g0, g1]),
            sensor_type,
            sensor,
            asserted: kind & 0x80 == 0,
            event_type: kind & 0x7f,
            data,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_and_its_event_are_read() {
        let data = [
            2, 0, 1, 0, 2, 0x10, 0x20, 0x30, 0x60, 0x20, 0, 4, 1, 0x30, 0x81, 0x59, 0x5f, 0x5a,
        ];
        let entry = SelEntry::parse(&data).expect("an entry");
        assert_eq!((entry.next, entry.id, entry.kind), (2, 1, 2));
        let event = entry.event().expect("an event");
        assert_eq!((event.time_s, event.generator), (0x6030_2010, 0x20));
        assert_eq!((event.sensor_type, event.sensor), (1, 0x30));
        assert_eq!((event.asserted, event.event_type), (false, 1));
        assert_eq!(event.data, [0x59, 0x5f, 0x5a]);
        assert_eq!(
            SelEntry {
                kind: 0xc0,
                ..entry
            }
            .event(),
            None
        );
        assert_eq!(SelEntry::parse(&data[..17]), None);
    }

    #[test]
    fn the_info_says_whether_entries_were_lost() {
        let mut data = [0xff; 14];
        data[1..5].copy_from_slice(&[3, 0, 0, 1]);
        let info = SelInfo::parse(&data).expect("the info");
        assert_eq!((info.entries, info.free, info.overflow), (3, 256, true));
        assert_eq!((info.last_added_s, info.last_erased_s), (None, None));
        assert_eq!(SelInfo::parse(&data[..13]), None);
    }
}
