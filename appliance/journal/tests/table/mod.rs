//! A small application of the journal: a table of numbers.

#![allow(dead_code, reason = "each test file uses a part of the module")]

use farrier_journal::sim::{SimFlash, now};
use farrier_journal::{AppendError, Journal, MountError, Mounted};

pub const KEYS: usize = 40;
pub type Table = [u32; KEYS];
pub type Small<const WORD: usize> = SimFlash<WORD, 4096>;

/// The table and its journal.
pub struct StoredTable<const WORD: usize> {
    pub journal: Journal<Small<WORD>>,
    pub table: Table,
    pub mounted: Mounted,
}

fn take(table: &mut Table, record: &[u8]) {
    // Ignores unknown records, as the journal requires.
    if let [key, a, b, c, d, ..] = record
        && let Some(value) = table.get_mut(usize::from(*key))
    {
        *value = u32::from_le_bytes([*a, *b, *c, *d]);
    }
}

pub fn record(key: usize, value: u32) -> Vec<u8> {
    let mut record = vec![key as u8];
    record.extend(value.to_le_bytes());
    // Records of different lengths.
    record.resize(5 + (value % 90) as usize, 0xff);
    record
}

impl<const WORD: usize> StoredTable<WORD> {
    pub fn mount(flash: Small<WORD>) -> Result<Self, MountError> {
        let mut table = [0; KEYS];
        let (journal, mounted) = now(Journal::mount(flash, 7, |r| take(&mut table, r)))?;
        Ok(StoredTable {
            journal,
            table,
            mounted,
        })
    }

    /// Changes some keys in one append.
    pub fn change(&mut self, changes: &[(usize, u32)]) -> Result<(), AppendError> {
        let records: Vec<Vec<u8>> = changes.iter().map(|(k, v)| record(*k, *v)).collect();
        now(self.journal.append(records.iter().map(Vec::as_slice)))?;
        for (key, value) in changes {
            self.table[*key] = *value;
        }
        Ok(())
    }

    pub fn maintain(&mut self) -> Result<(), AppendError> {
        let table = self.table;
        now(self.journal.maintain(|from, room| {
            let place = (usize::from(from)..KEYS).find(|key| table[*key] != 0)?;
            let record = record(place, table[place]);
            room[..record.len()].copy_from_slice(&record);
            Some((place as u16, record.len()))
        }))
    }
}

/// A deterministic random generator.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    /// Returns a change of one to three keys.
    pub fn changes(&mut self) -> Vec<(usize, u32)> {
        (0..1 + self.below(3))
            .map(|_| (self.below(KEYS as u64) as usize, self.below(1 << 30) as u32))
            .collect()
    }
}
