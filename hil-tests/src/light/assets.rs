//! What a light rack's asset store holds in place of Debian's files.
//!
//! Nobody executes kernel, ramdisk and boot programs of a light server, so
//! noise of a few hundred KiB stands in for them, with a header that has its
//! hash: a light server refuses a file that is not whole. The image is a raw
//! disk of a few MiB with a partition table, as an operator would build one;
//! its "system" is [`super::system`]. It is cut and signed like any other.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// First bytes of a stand-in; behind them its name in 16 bytes, the length of
/// the rest in 8, and its SHA-256.
const MAGIC: &[u8; 16] = b"FARRIER-STAND-IN";
/// Bytes before a stand-in's noise.
const HEADER: usize = 72;

/// Name of the image in the appliance's catalogue.
pub const IMAGE: &str = "light";
/// Bytes of the raw image.
const IMAGE_BYTES: u64 = 16 << 20;
/// First bytes of the image's system.
pub(super) const SYSTEM_MAGIC: &[u8; 16] = b"FARRIER-SYSTEM-1";
/// Bytes of the system before its content: magic, length, SHA-256, rest zero.
pub(super) const SYSTEM_HEADER: u64 = 4096;
/// Bytes of the system's content.
const SYSTEM_BYTES: u64 = 11 << 20;

/// The files.
#[derive(Debug, Clone)]
pub struct Assets {
    /// The kernel's stand-in.
    pub kernel: PathBuf,
    /// The ramdisk's stand-in, without keys.
    pub ramdisk: PathBuf,
    /// Boot programs: the name under which each is served, and its stand-in.
    pub programs: Vec<(&'static str, PathBuf)>,
    /// The raw image, to be cut and signed under the name [`IMAGE`].
    pub image: PathBuf,
}

/// Writes the files into `folder`, those that are not there.
///
/// # Errors
/// The folder can't be written.
pub fn write(folder: &Path) -> Result<Assets> {
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let file = |name: &str, length: usize| -> Result<PathBuf> {
        let path = folder.join(name);
        if !path.exists() {
            publish(&path, |file| Ok(file.write_all(&stand_in(name, length))?))?;
        }
        Ok(path)
    };
    let image = folder.join("image.raw");
    if !image.exists() {
        publish(&image, write_image)?;
    }
    Ok(Assets {
        kernel: file("vmlinuz", 300 << 10)?,
        ramdisk: file("ramdisk.img", 500 << 10)?,
        programs: vec![
            ("undionly.kpxe", file("undionly.kpxe", 74 << 10)?),
            ("snponly.efi", file("snponly.efi", 174 << 10)?),
        ],
        image,
    })
}

/// Writes a file whole or not at all.
fn publish(path: &Path, fill: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let unfinished = path.with_extension("part");
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&unfinished)
        .with_context(|| format!("creating {}", unfinished.display()))?;
    fill(&mut file)?;
    fs::rename(&unfinished, path)?;
    Ok(())
}

/// Noise that is the same in every run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}

fn stand_in(name: &str, length: usize) -> Vec<u8> {
    let seed = name
        .bytes()
        .fold(7, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte));
    let content = noise(seed, length);
    let mut padded = [0; 16];
    padded[..name.len()].copy_from_slice(name.as_bytes());
    let mut bytes = MAGIC.to_vec();
    bytes.extend(padded);
    bytes.extend((length as u64).to_le_bytes());
    bytes.extend(Sha256::digest(&content));
    bytes.extend(content);
    // Archives follow a ramdisk at a multiple of 512 bytes.
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// Checks that a loaded file is the stand-in of that name, and whole.
pub(super) fn check(name: &str, bytes: &[u8]) -> Result<()> {
    let (header, content) = bytes
        .split_at_checked(HEADER)
        .with_context(|| format!("{name} has {} bytes", bytes.len()))?;
    ensure!(
        header.starts_with(MAGIC),
        "{name} is no stand-in for a light server"
    );
    let told = header[16..32].split(|byte| *byte == 0).next();
    ensure!(
        told == Some(name.as_bytes()),
        "{name} is the stand-in of something else"
    );
    let length = u64::from_le_bytes(header[32..40].try_into()?);
    let content = content
        .get(..usize::try_from(length)?)
        .with_context(|| format!("{name} is cut short"))?;
    ensure!(
        Sha256::digest(content)[..] == header[40..72],
        "{name} is damaged"
    );
    Ok(())
}

/// A disk with one partition: the system, half noise, half text, with a hole
/// in it and room for what it writes behind it.
fn write_image(file: &mut File) -> Result<()> {
    file.set_len(IMAGE_BYTES)?;
    let blocks = u32::try_from(IMAGE_BYTES / 512)?;
    gpt::mbr::ProtectiveMBR::with_lb_size(blocks - 1).overwrite_lba0(file)?;
    let mut table = gpt::GptConfig::new()
        .writable(true)
        .logical_block_size(gpt::disk::LogicalBlockSize::Lb512)
        .create_from_device(file.try_clone()?, None)?;
    table.add_partition("root", 14 << 20, gpt::partition_types::LINUX_FS, 0, None)?;
    let partitions = table.partitions().clone();
    let root = partitions.values().next().context("the new partition")?;
    let start = root.first_lba * 512;
    table.write()?;

    let mut content = noise(1, 8 << 20);
    content.resize(10 << 20, 0);
    let text = "A line of a file that compresses well.\n".bytes().cycle();
    content.extend(text.take(1 << 20));
    ensure!(content.len() as u64 == SYSTEM_BYTES, "the system's parts");
    let mut header = SYSTEM_MAGIC.to_vec();
    header.extend(SYSTEM_BYTES.to_le_bytes());
    header.extend(Sha256::digest(&content));
    file.write_all_at(&header, start)?;
    // A hole stays a hole.
    file.write_all_at(&content[..8 << 20], start + SYSTEM_HEADER)?;
    file.write_all_at(&content[10 << 20..], start + SYSTEM_HEADER + (10 << 20))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_is_whole_or_refused() {
        let whole = stand_in("vmlinuz", 5000);
        check("vmlinuz", &whole).unwrap();
        assert!(check("ramdisk.img", &whole).is_err());
        assert!(check("vmlinuz", &whole[..4000]).is_err());
        let mut damaged = whole.clone();
        damaged[2000] ^= 1;
        assert!(check("vmlinuz", &damaged).is_err());
        assert!(check("vmlinuz", b"MZ").is_err());
    }

    #[test]
    fn the_image_holds_a_system() {
        let folder = tempfile::tempdir().unwrap();
        let assets = write(folder.path()).unwrap();
        let system = crate::light::system::find(&assets.image).unwrap();
        assert_eq!(system.content_bytes, SYSTEM_BYTES);
    }
}
