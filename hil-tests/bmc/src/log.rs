//! The log of events.

/// An entry of the log: the sixteen bytes of a record.
pub type Entry = [u8; 16];

/// The log. It has room for 64 entries.
#[derive(Debug, Clone, Default)]
pub struct Log {
    entries: Vec<Entry>,
    last_id: u16,
    pub(crate) overflow: bool,
    pub(crate) added_s: Option<u32>,
    pub(crate) erased_s: Option<u32>,
}

const ROOM: usize = 64;

impl Log {
    /// Its entries, the oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Bytes that are free.
    #[must_use]
    pub fn free(&self) -> u16 {
        u16::try_from((ROOM - self.entries.len()) * 16).unwrap_or(0)
    }

    /// Adds an event of a sensor. `event` has its type, with bit 7 where it ends,
    /// and three bytes of data.
    pub fn add(&mut self, time_s: u32, sensor_type: u8, sensor: u8, event: [u8; 4]) {
        if self.entries.len() >= ROOM {
            self.overflow = true;
            return;
        }
        self.last_id += 1;
        let mut entry = [0; 16];
        entry[..2].copy_from_slice(&self.last_id.to_le_bytes());
        entry[2] = 2;
        entry[3..7].copy_from_slice(&time_s.to_le_bytes());
        entry[7..12].copy_from_slice(&[0x20, 0, 4, sensor_type, sensor]);
        entry[12..].copy_from_slice(&event);
        self.entries.push(entry);
        self.added_s = Some(time_s);
    }

    /// Removes all entries.
    pub fn clear(&mut self, time_s: u32) {
        self.entries.clear();
        self.overflow = false;
        self.erased_s = Some(time_s);
    }

    /// The entry with this number, 0 for the first and 0xffff for the last, and the
    /// number of the next one.
    #[must_use]
    pub fn get(&self, id: u16) -> Option<(u16, Entry)> {
        let number = |entry: &Entry| u16::from_le_bytes([entry[0], entry[1]]);
        let at = match id {
            0 => 0,
            0xffff => self.entries.len().checked_sub(1)?,
            _ => self.entries.iter().position(|entry| number(entry) == id)?,
        };
        let next = self.entries.get(at + 1).map_or(0xffff, number);
        Some((next, *self.entries.get(at)?))
    }
}
