//! The config drive as a system reads it: a FAT file system, or the ISO 9660
//! that the stock client makes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::disk::Partition;

/// Bytes of an ISO 9660 sector.
const SECTOR: usize = 2048;
/// Largest config drive (OpenStack's own bound).
const MAX_BYTES: u64 = 64 << 20;
/// The files of a config drive's newest version, below this folder.
const LATEST: [&str; 2] = ["openstack", "latest"];

/// What a tenant's system makes of its config drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Instance {
    pub uuid: String,
    pub hostname: String,
    pub user: String,
    pub fingerprint: String,
    /// A file that the tenant wants written.
    pub content: String,
}

/// Reads the drive in a partition of `disk`.
pub(super) fn read(disk: &Path, partition: &Partition) -> Result<Instance> {
    ensure!(partition.bytes <= MAX_BYTES, "a large config drive");
    let mut bytes = vec![0; partition.bytes as usize];
    File::open(disk)?.read_exact_at(&mut bytes, partition.offset)?;
    let is_iso = bytes.get(16 * SECTOR + 1..16 * SECTOR + 6) == Some(b"CD001");
    let files = if is_iso {
        iso_files(&bytes).context("the ISO 9660 of the config drive")?
    } else {
        fat_files(bytes).context("the FAT file system of the config drive")?
    };
    instance(&files)
}

type Files = BTreeMap<String, Vec<u8>>;

fn fat_files(bytes: Vec<u8>) -> Result<Files> {
    let volume = fatfs::FileSystem::new(Cursor::new(bytes), fatfs::FsOptions::new())?;
    ensure!(
        volume.volume_label() == "config-2",
        "the label is {:?}",
        volume.volume_label()
    );
    let folder = volume.root_dir().open_dir(&LATEST.join("/"))?;
    let mut files = Files::new();
    for entry in folder.iter() {
        let entry = entry?;
        if entry.is_file() {
            let mut content = Vec::new();
            entry.to_file().read_to_end(&mut content)?;
            files.insert(entry.file_name(), content);
        }
    }
    Ok(files)
}

fn iso_files(bytes: &[u8]) -> Result<Files> {
    let descriptor = slice(bytes, 16 * SECTOR, SECTOR)?;
    let label = String::from_utf8_lossy(slice(descriptor, 40, 32)?).into_owned();
    ensure!(
        label.trim().eq_ignore_ascii_case("config-2"),
        "the label is {label:?}"
    );
    let mut folder = extent(slice(descriptor, 156, 34)?)?;
    for name in LATEST {
        let entries = entries(slice(bytes, folder.0, folder.1)?)?;
        folder = *entries
            .get(name)
            .with_context(|| format!("no folder {name}"))?;
    }
    entries(slice(bytes, folder.0, folder.1)?)?
        .into_iter()
        .map(|(name, (start, length))| Ok((name, slice(bytes, start, length)?.to_vec())))
        .collect()
}

fn slice(bytes: &[u8], start: usize, length: usize) -> Result<&[u8]> {
    bytes
        .get(start..start.saturating_add(length))
        .context("it ends early")
}

/// Start and length in bytes of what a directory record names.
fn extent(record: &[u8]) -> Result<(usize, usize)> {
    let number = |at: usize| -> Result<usize> {
        Ok(u32::from_le_bytes(slice(record, at, 4)?.try_into()?) as usize)
    };
    Ok((number(2)? * SECTOR, number(10)?))
}

/// A directory's entries by their names, in lower case and without version.
fn entries(folder: &[u8]) -> Result<BTreeMap<String, (usize, usize)>> {
    let mut found = BTreeMap::new();
    for sector in folder.chunks(SECTOR) {
        let mut rest = sector;
        while let Some(length @ 34..) = rest.first().map(|length| usize::from(*length)) {
            let record = slice(rest, 0, length)?;
            let name = slice(record, 33, usize::from(record[32]))?;
            let name = String::from_utf8_lossy(name).to_lowercase();
            let name = name.split(';').next().unwrap_or_default();
            found.insert(name.trim_end_matches('.').to_owned(), extent(record)?);
            rest = &rest[length..];
        }
    }
    Ok(found)
}

/// Does what cloud-init would do with the files, as far as the rig's tenants
/// ask for it.
fn instance(files: &Files) -> Result<Instance> {
    let file = |name: &str| files.get(name).with_context(|| format!("no file {name}"));
    let meta: Value = serde_json::from_slice(file("meta_data.json")?)?;
    let network: Value = serde_json::from_slice(file("network_data.json")?)?;
    ensure!(network["links"].is_array(), "no links: {network}");
    let user_data = String::from_utf8_lossy(file("user_data")?).into_owned();
    ensure!(user_data.starts_with("#cloud-config"), "no cloud-config");
    let value = |key: &str| {
        user_data
            .lines()
            .find_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key))
            .map(|text| text.trim().to_owned())
            .with_context(|| format!("no {key} in the user data"))
    };
    let key = value("ssh-ed25519")?;
    let blob = key.split(' ').next().unwrap_or_default();
    let engine = base64::engine::general_purpose::STANDARD;
    let hash = engine.encode(Sha256::digest(engine.decode(blob)?));
    let text = |key: &str| {
        meta[key]
            .as_str()
            .map(str::to_owned)
            .with_context(|| format!("no {key} in the meta data"))
    };
    Ok(Instance {
        uuid: text("uuid")?,
        hostname: text("hostname")?,
        user: value("name:")?,
        fingerprint: format!("SHA256:{}", hash.trim_end_matches('=')),
        content: value("content:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Tenant;
    use crate::switch::Mac;

    #[test]
    fn a_tenants_drive_gives_the_tenants_proof() {
        let tenant = Tenant::new("light", 3, Mac([2, 0, 0, 0, 0, 3]));
        let drive = tenant.config_drive();
        let text = |key: &str| match &drive[key] {
            Value::String(text) => text.clone().into_bytes(),
            value => value.to_string().into_bytes(),
        };
        let files: Files = [
            ("meta_data.json".to_owned(), text("meta_data")),
            ("network_data.json".to_owned(), text("network_data")),
            ("user_data".to_owned(), text("user_data")),
        ]
        .into();
        let instance = instance(&files).unwrap();
        assert_eq!(instance.uuid, tenant.uuid);
        assert_eq!(instance.user, tenant.user);
        assert_eq!(instance.fingerprint, tenant.fingerprint);
        assert_eq!(instance.content, tenant.secret);
    }
}
