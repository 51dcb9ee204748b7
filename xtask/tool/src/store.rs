//! Writes an asset store: the file or card that an appliance boots beside.
//!
//! The layout is `farrier-asset-store`'s; which assets belong into a store is
//! decided by whoever calls [`write`].

use anyhow::{Context, Result, ensure};
use farrier_asset_store::{AssetKind, Entry, SECTOR, lay_out};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Where an asset's bytes come from.
pub enum Source {
    /// A file, streamed.
    File(PathBuf),
    /// Bytes at hand: keys and configuration.
    Bytes(Vec<u8>),
}

/// An asset that shall go into a store.
pub struct Asset {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub kind: AssetKind,
    /// Its bytes.
    pub source: Source,
}

impl Asset {
    /// An asset out of a file.
    pub fn file(name: &str, kind: AssetKind, path: impl Into<PathBuf>) -> Self {
        Asset {
            name: name.to_owned(),
            kind,
            source: Source::File(path.into()),
        }
    }

    /// An asset out of bytes.
    pub fn bytes(name: &str, kind: AssetKind, bytes: Vec<u8>) -> Self {
        Asset {
            name: name.to_owned(),
            kind,
            source: Source::Bytes(bytes),
        }
    }

    fn open(&self) -> Result<Box<dyn Read + '_>> {
        Ok(match &self.source {
            Source::File(path) => {
                Box::new(File::open(path).with_context(|| format!("{}", path.display()))?)
            }
            Source::Bytes(bytes) => Box::new(bytes.as_slice()),
        })
    }
}

/// Writes a store with `slots` scratch slots to `path`, all of it or
/// nothing.
///
/// # Errors
/// A file can't be read or written, or two assets have one name.
pub fn write(path: &Path, assets: &[Asset], slots: u32) -> Result<()> {
    let mut entries = Vec::with_capacity(assets.len());
    for asset in assets {
        let mut hash = HashWriter::default();
        let len = io::copy(&mut asset.open()?, &mut hash)
            .with_context(|| format!("reading asset {}", asset.name))?;
        entries.push(
            Entry::new(&asset.name, asset.kind, 0, len, hash.0.finalize().into())
                .with_context(|| format!("asset {:?}", asset.name))?,
        );
    }
    let superblock = lay_out(&mut entries, slots)?;
    let unfinished = path.with_extension("part");
    // It holds the appliance's secret keys. A rest of an earlier run keeps
    // its mode when it is opened again, so it goes first.
    if let Err(error) = fs::remove_file(&unfinished)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("{}", unfinished.display()));
    }
    let mut out = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .with_context(|| format!("{}", unfinished.display()))?;
    out.set_len(superblock.total_len)?;
    out.write_all(&superblock.emit())?;
    debug_assert_eq!(superblock.table_offset, SECTOR as u64);
    for entry in &entries {
        out.write_all(&entry.emit())?;
    }
    for entry in &entries {
        let asset = assets
            .iter()
            .find(|asset| asset.name == entry.name())
            .context("an entry has no asset")?;
        out.seek(SeekFrom::Start(entry.offset))?;
        let len = io::copy(&mut asset.open()?, &mut out)?;
        ensure!(
            len == entry.len,
            "{} changed while the store was written",
            asset.name
        );
    }
    out.sync_all()?;
    fs::rename(&unfinished, path)?;
    Ok(())
}

#[derive(Default)]
struct HashWriter(Sha256);

impl Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use farrier_asset_store::{ENTRY_LEN, Superblock};
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_is_written_is_found_again() {
        let folder =
            std::env::temp_dir().join(format!("farrier-asset-store-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("store.img");
        let assets = [
            Asset::bytes("vmlinuz", AssetKind::Public, vec![7; 5000]),
            Asset::bytes("config", AssetKind::Config, vec![1, 2, 3]),
        ];
        write(&path, &assets, 2).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let store = fs::read(&path).unwrap();
        let superblock = Superblock::parse(store[..SECTOR].try_into().unwrap()).unwrap();
        assert_eq!(store.len() as u64, superblock.total_len);
        let entries: Vec<Entry> = store[SECTOR..][..superblock.entries as usize * ENTRY_LEN]
            .chunks(ENTRY_LEN)
            .map(|bytes| Entry::parse(bytes.try_into().unwrap()).unwrap())
            .collect();
        for asset in &assets {
            let entry = entries.iter().find(|e| e.name() == asset.name).unwrap();
            let Source::Bytes(bytes) = &asset.source else {
                unreachable!("made above")
            };
            assert_eq!(&store[entry.offset as usize..][..entry.len as usize], bytes);
            assert_eq!(<[u8; 32]>::from(Sha256::digest(bytes)), entry.hash);
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
