//! Disks of simulated servers: gigabytes that take no memory, what tenants
//! left on them, and what is wrong with them.
//!
//! A disk keeps account of who may write to it. An agent model gets a
//! [`Disk`]; the simulation gives it a permit when a signed order names it.
//! What is written without one is counted and never forgotten.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use farrier_agent::device::BlockDevice;
use farrier_protocol::message::EraseAbilities;

use crate::drive;

/// Logical block size of every simulated disk.
pub const BLOCK: u32 = 512;

/// What is wrong with a disk.
#[derive(Debug, Clone, Default)]
pub struct Damage {
    /// Discards are acknowledged and do nothing.
    pub ignores_discard: bool,
    /// Write-zeroes commands are acknowledged and do nothing.
    pub ignores_zeroes: bool,
    /// Writes that touch this byte fail; also zeroes and discards.
    pub unwritable: Option<u64>,
    /// Writes of this many bytes more succeed, then the disk is dead.
    pub dies_after: Option<u64>,
}

#[derive(Debug, Clone)]
enum Data {
    /// Whatever a tenant wrote, by the tenancy's number.
    Tenant(u64),
    /// Bytes, from this offset on.
    Bytes(Arc<[u8]>, usize),
}

#[derive(Debug, Clone)]
struct Extent {
    length: u64,
    data: Data,
}

#[derive(Debug)]
struct Medium {
    size: u64,
    abilities: EraseAbilities,
    /// What is not zero, by where it starts; never overlapping.
    extents: BTreeMap<u64, Extent>,
    damage: Damage,
    permit: bool,
    strays: u64,
    moved: u64,
    failures: u64,
}

/// A disk; clones are the same disk.
#[derive(Debug, Clone)]
pub struct Disk(Arc<Mutex<Medium>>);

impl Disk {
    /// An empty disk.
    pub fn new(size: u64, abilities: EraseAbilities, damage: Damage) -> Self {
        Self(Arc::new(Mutex::new(Medium {
            size,
            abilities,
            extents: BTreeMap::new(),
            damage,
            permit: false,
            strays: 0,
            moved: 0,
            failures: 0,
        })))
    }

    fn medium(&self) -> MutexGuard<'_, Medium> {
        // One thread simulates a rack; a panic in it ends the rack.
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// What it can do by itself.
    pub fn abilities(&self) -> EraseAbilities {
        self.medium().abilities
    }

    /// Allows or forbids agents to write to it.
    pub fn permit(&self, allowed: bool) {
        self.medium().permit = allowed;
    }

    /// How often an agent wrote to it without a permit.
    pub fn strays(&self) -> u64 {
        self.medium().strays
    }

    /// How often it failed.
    pub fn failures(&self) -> u64 {
        self.medium().failures
    }

    /// Changes what is wrong with it.
    pub fn damage(&self, change: impl FnOnce(&mut Damage)) {
        change(&mut self.medium().damage);
    }

    /// A tenant writes a stretch of it.
    pub fn tenant_writes(&self, start: u64, length: u64, tenancy: u64) {
        let mut medium = self.medium();
        medium.clear(start..start + length);
        let data = Data::Tenant(tenancy);
        medium.extents.insert(start, Extent { length, data });
    }

    /// Bytes that were there before anybody kept account.
    pub fn was_written(&self, start: u64, bytes: &[u8]) {
        self.medium().put(start, bytes);
    }

    /// Whether every byte is zero.
    pub fn is_empty(&self) -> bool {
        self.medium().extents.is_empty()
    }

    /// Whether a tenant other than this one left something.
    pub fn holds_others_than(&self, tenancy: u64) -> bool {
        self.medium()
            .extents
            .values()
            .any(|extent| matches!(extent.data, Data::Tenant(other) if other != tenancy))
    }

    /// Whether a tenant's data is there at all.
    pub fn holds_tenant(&self) -> bool {
        self.medium()
            .extents
            .values()
            .any(|extent| matches!(extent.data, Data::Tenant(_)))
    }

    /// Tenants' texts on it, of config drives. Files begin with a block.
    pub fn texts(&self) -> Vec<Vec<u8>> {
        let mut texts = Vec::new();
        for extent in self.medium().extents.values() {
            let Data::Bytes(bytes, from) = &extent.data else {
                continue;
            };
            let bytes = &bytes[*from..*from + extent.length as usize];
            let blocks = bytes.chunks(BLOCK as usize);
            let begins = blocks.filter(|block| block.starts_with(drive::BEGINS));
            texts.extend(begins.map(|block| block[..drive::LENGTH].to_vec()));
        }
        texts
    }

    /// Bytes that were moved since this was asked last: what takes time.
    pub fn take_moved(&self) -> u64 {
        std::mem::take(&mut self.medium().moved)
    }

    /// The bytes at a place, past all accounts.
    pub fn peek(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.medium().read(offset, &mut bytes);
        bytes
    }
}

impl Medium {
    /// Makes a range zero.
    fn clear(&mut self, range: Range<u64>) {
        let first = self
            .extents
            .range(..range.start)
            .next_back()
            .filter(|(start, extent)| *start + extent.length > range.start)
            .map_or(range.start, |(start, _)| *start);
        let touched: Vec<u64> = self
            .extents
            .range(first..range.end)
            .map(|(start, _)| *start)
            .collect();
        for start in touched {
            let Some(extent) = self.extents.remove(&start) else {
                continue;
            };
            let end = start + extent.length;
            if start < range.start {
                let length = range.start - start;
                let data = extent.data.clone();
                self.extents.insert(start, Extent { length, data });
            }
            if end > range.end {
                let length = end - range.end;
                let data = match extent.data {
                    Data::Tenant(tenancy) => Data::Tenant(tenancy),
                    Data::Bytes(bytes, at) => Data::Bytes(bytes, at + (range.end - start) as usize),
                };
                self.extents.insert(range.end, Extent { length, data });
            }
        }
    }

    /// Makes a range these bytes.
    fn put(&mut self, offset: u64, bytes: &[u8]) {
        let length = bytes.len() as u64;
        self.clear(offset..offset + length);
        if bytes.iter().any(|byte| *byte != 0) {
            let data = Data::Bytes(bytes.into(), 0);
            self.extents.insert(offset, Extent { length, data });
        }
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) {
        buffer.fill(0);
        let end = offset + buffer.len() as u64;
        let first = self
            .extents
            .range(..=offset)
            .next_back()
            .map_or(offset, |(start, _)| *start);
        for (start, extent) in self.extents.range(first..end) {
            let from = (*start).max(offset);
            let to = (start + extent.length).min(end);
            if from >= to {
                continue;
            }
            let slot = &mut buffer[(from - offset) as usize..(to - offset) as usize];
            match &extent.data {
                Data::Tenant(tenancy) => slot.fill(0x40 | (*tenancy as u8 & 0x3f)),
                Data::Bytes(bytes, at) => {
                    let at = at + (from - start) as usize;
                    slot.copy_from_slice(&bytes[at..at + slot.len()]);
                }
            }
        }
    }

    /// Every command of an agent that changes the disk comes by here.
    fn change(&mut self, offset: u64, length: u64) -> io::Result<()> {
        if !self.permit {
            self.strays += 1;
        }
        let range = offset..offset + length;
        if range.end > self.size || !length.is_multiple_of(u64::from(BLOCK)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let dead = match &mut self.damage.dies_after {
            Some(0) => true,
            Some(left) => {
                *left = left.saturating_sub(length);
                false
            }
            None => false,
        };
        if dead
            || self
                .damage
                .unwritable
                .is_some_and(|byte| range.contains(&byte))
        {
            self.failures += 1;
            return Err(io::Error::other("medium error"));
        }
        self.moved += length;
        Ok(())
    }
}

impl BlockDevice for Disk {
    fn size(&self) -> u64 {
        self.medium().size
    }

    fn block_size(&self) -> u32 {
        BLOCK
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut medium = self.medium();
        if offset + buffer.len() as u64 > medium.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        medium.moved += buffer.len() as u64;
        medium.read(offset, buffer);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut medium = self.medium();
        medium.change(offset, bytes.len() as u64)?;
        medium.put(offset, bytes);
        Ok(())
    }

    fn discard(&self, offset: u64, length: u64) -> io::Result<()> {
        let mut medium = self.medium();
        if !medium.abilities.discard {
            return Err(io::ErrorKind::Unsupported.into());
        }
        medium.change(offset, length)?;
        if !medium.damage.ignores_discard {
            medium.clear(offset..offset + length);
        }
        Ok(())
    }

    fn write_zeroes(&self, offset: u64, length: u64) -> io::Result<()> {
        let mut medium = self.medium();
        if !medium.abilities.write_zeroes {
            return Err(io::ErrorKind::Unsupported.into());
        }
        medium.change(offset, length)?;
        if !medium.damage.ignores_zeroes {
            medium.clear(offset..offset + length);
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn reread_partitions(&self) -> io::Result<()> {
        Ok(())
    }

    fn find_nonzero(&self, offset: u64, buffer: &mut [u8]) -> io::Result<Option<Range<usize>>> {
        let mut medium = self.medium();
        let end = offset + buffer.len() as u64;
        if end > medium.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        medium.moved += buffer.len() as u64;
        let before = medium.extents.range(..offset).next_back();
        let run = before
            .filter(|(start, extent)| *start + extent.length > offset)
            .or_else(|| medium.extents.range(offset..end).next())
            .map(|(start, extent)| {
                // Whole blocks: extents need not keep to them.
                let block = u64::from(BLOCK);
                let from = start.max(&offset) / block * block;
                let to = (start + extent.length).next_multiple_of(block).min(end);
                (from - offset) as usize..(to - offset) as usize
            });
        Ok(run)
    }

    fn overwrite(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut medium = self.medium();
        let length = buffer.len() as u64;
        medium.change(offset, length)?;
        medium.clear(offset..offset + length);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> Disk {
        let abilities = EraseAbilities {
            discard: true,
            write_zeroes: true,
        };
        let disk = Disk::new(1 << 20, abilities, Damage::default());
        disk.permit(true);
        disk
    }

    #[test]
    fn what_is_written_is_read_and_cut() {
        let disk = disk();
        disk.write_at(1024, &[7; 2048]).unwrap();
        disk.overwrite(1536, &mut [0; 512]).unwrap();
        let mut bytes = [9; 4096];
        disk.read_at(0, &mut bytes).unwrap();
        let expected: Vec<u8> = (0..4096)
            .map(|at| match at {
                1024..1536 | 2048..3072 => 7,
                _ => 0,
            })
            .collect();
        assert_eq!(bytes[..], expected);
        let mut window = [0; 4096];
        assert_eq!(disk.find_nonzero(0, &mut window).unwrap(), Some(1024..1536));
        assert_eq!(
            disk.find_nonzero(1536, &mut window).unwrap(),
            Some(512..1536)
        );
        disk.discard(0, 4096).unwrap();
        assert!(disk.is_empty());
        assert_eq!(disk.strays(), 0);
    }

    #[test]
    fn tenants_are_told_apart() {
        let disk = disk();
        disk.tenant_writes(4096, 8192, 3);
        assert!(disk.holds_others_than(2) && !disk.holds_others_than(3));
        assert!(disk.peek(4096, 8).iter().all(|byte| *byte == 0x43));
    }

    #[test]
    fn write_without_order_is_counted() {
        let disk = disk();
        disk.permit(false);
        disk.write_at(0, &[1; 512]).unwrap();
        assert_eq!(disk.strays(), 1);
    }

    #[test]
    fn a_dying_disk_dies() {
        let disk = disk();
        disk.damage(|damage| damage.dies_after = Some(512));
        disk.write_at(0, &[1; 512]).unwrap();
        assert!(disk.write_at(512, &[1; 512]).is_err());
        assert!(disk.discard(0, 512).is_err());
        assert_eq!(disk.failures(), 2);
    }
}
