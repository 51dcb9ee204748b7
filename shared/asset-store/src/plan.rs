//! Plans a store: the offsets of the assets. For the tool that creates stores and
//! for tests.

use crate::{ALIGN, ENTRY_LEN, Entry, Error, MAX_ENTRIES, SECTOR, SLOT_LEN, Superblock};
use sha2::{Digest, Sha256};

/// Sets the offset of every entry, sorts the entries by name, and returns the
/// superblock of a store with `slots` scratch slots. Ignores the previous offsets.
///
/// # Errors
/// [`Error::Entries`] for more than [`MAX_ENTRIES`] or two of one name;
/// [`Error::Invalid`] if the lengths exceed 2⁶⁴ bytes.
pub fn lay_out(entries: &mut [Entry], slots: u32) -> Result<Superblock, Error> {
    if entries.len() > MAX_ENTRIES as usize {
        return Err(Error::Entries);
    }
    entries.sort_unstable_by_key(|e| e.name);
    if entries.windows(2).any(|pair| pair[0].name == pair[1].name) {
        return Err(Error::Entries);
    }
    let mut at = align((SECTOR + entries.len() * ENTRY_LEN) as u64).ok_or(Error::Invalid)?;
    let mut table_hash = Sha256::new();
    for entry in entries.iter_mut() {
        entry.offset = at;
        at = at
            .checked_add(entry.len)
            .and_then(align)
            .ok_or(Error::Invalid)?;
        table_hash.update(entry.emit());
    }
    Ok(Superblock {
        total_len: at
            .checked_add(u64::from(slots) * SLOT_LEN)
            .ok_or(Error::Invalid)?,
        table_offset: SECTOR as u64,
        entries: entries.len() as u32,
        table_hash: table_hash.finalize().into(),
        scratch_offset: at,
        slots,
    })
}

fn align(at: u64) -> Option<u64> {
    at.div_ceil(ALIGN).checked_mul(ALIGN)
}
