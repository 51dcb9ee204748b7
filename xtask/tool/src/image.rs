//! `cargo xtask image`: builds the Debian image, cuts and signs raw images,
//! and shows and verifies manifests.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use farrier_deploy_ramdisk::debian::{self, Privilege};
use farrier_image::{
    maker::{self, ImageSummary, MakerError, Options},
    manifest::{CHUNK_SHIFTS, DEFAULT_CHUNK_SHIFT, LeafKind, ManifestError, PublicKey},
};

use xtask::command_line::Given;
use xtask::user_namespaces::{self, ImageMode};

use crate::{kit, progress::Spinner, target_folder, tools};

/// Carries out `cargo xtask image`.
///
/// # Errors
/// An image or a manifest can't be read, is damaged, or can't be written.
pub fn run(given: &Given) -> Result<()> {
    match given.subcommand() {
        "debian" => println!("{}", build_debian()?.display()),
        "make" => make(given)?,
        "inspect" => inspect(given)?,
        "key" => println!("{}", hex(&secret_key(given)?.public().0)),
        other => bail!("cargo xtask image {other} does nothing yet"),
    }
    Ok(())
}

/// Path of the Debian 12 raw disk image, built when it is not there.
pub fn build_debian() -> Result<PathBuf> {
    tools::ensure(&[
        "mmdebstrap",
        "tar",
        "mke2fs",
        "grub-mkimage",
        "/usr/lib/grub/i386-pc/boot.img",
        "/usr/lib/grub/x86_64-efi/moddep.lst",
        "/usr/share/keyrings/debian-archive-keyring.gpg",
    ])?;
    let privilege = match user_namespaces::image_mode()? {
        ImageMode::Root => Privilege::Root,
        ImageMode::Unshare => Privilege::Unshare,
        ImageMode::Fakechroot => Privilege::Fakechroot,
    };
    let spinner = Spinner::start("debian image");
    let cache = target_folder().join("images");
    let image = debian::build(&tools::as_fn(), &cache, privilege, &|step| {
        spinner.step(step);
    })?;
    let bytes = fs::metadata(&image)?.len();
    spinner.done(&format!("{} MiB raw", bytes >> 20));
    Ok(image)
}

fn secret_key(given: &Given) -> Result<maker::SecretKey> {
    match given.path("key") {
        Some(path) => kit::key_at(&path),
        None => kit::operator_key(),
    }
}

fn make(given: &Given) -> Result<()> {
    let raw = given.path("raw").context("RAW is missing")?;
    let name = given.text("name").context("--name is missing")?;
    let version = given.number("version").context("--version is missing")?;
    let output = given.path("output").unwrap_or_else(|| ".".into());
    let shift = given
        .number("chunk-shift")
        .and_then(|n| u8::try_from(n).ok());
    let shift = shift.unwrap_or(DEFAULT_CHUNK_SHIFT);
    ensure!(
        CHUNK_SHIFTS.contains(&shift),
        "--chunk-shift is {} to {}, not {shift}",
        CHUNK_SHIFTS.start(),
        CHUNK_SHIFTS.end()
    );
    let source = File::open(&raw).with_context(|| format!("cannot read {}", raw.display()))?;
    let meta = source.metadata()?;
    ensure!(!meta.is_dir(), "{} is a folder", raw.display());
    let length = meta.len();
    // A new key is made only for an image that can be read.
    let key = secret_key(given)?;
    fs::create_dir_all(&output)?;
    let data = output.join(format!("{name}-{version}.data"));
    let manifest = output.join(format!("{name}-{version}.manifest"));

    let spinner = Spinner::start(format!("image {name}"));
    let mut options = Options::new(name, version);
    options.chunk_shift = shift;
    let sink = BufWriter::new(File::create(&data)?);
    let made = maker::make(BufReader::new(source), sink, &options, &key, |done| {
        spinner.bytes("compressed", done, length);
    })?;
    // The manifest is written last: where it exists, the data is complete.
    fs::write(&manifest, &made.manifest)?;
    spinner.done(&format!(
        "{} MiB became {} MiB in {} chunks, {} of them holes",
        length >> 20,
        made.header.data_len >> 20,
        made.header.chunks,
        made.holes
    ));
    println!("{}\n{}", manifest.display(), data.display());
    Ok(())
}

fn inspect(given: &Given) -> Result<()> {
    let path = given.path("manifest").context("MANIFEST is missing")?;
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let key = match given.text("public-key") {
        Some(text) => PublicKey(unhex(text)?),
        None => kit::operator_key()?.public(),
    };
    let inspection = verified(&path, &bytes, &key)?;
    show(&inspection);
    if let Some(data) = given.path("data") {
        let data = File::open(&data).with_context(|| format!("cannot read {}", data.display()))?;
        inspection.extract(BufReader::new(data), std::io::sink())?;
        println!("data      every chunk is intact");
    }
    Ok(())
}

/// What a manifest says, once its signature by `key` is verified.
///
/// # Errors
/// Another key signed it, or it is damaged.
pub fn verified(path: &Path, bytes: &[u8], key: &PublicKey) -> Result<ImageSummary> {
    match maker::inspect(bytes, Some(key)) {
        Err(MakerError::Manifest(ManifestError::Signature)) => bail!(
            "{} was not signed with the key {}. Where another key signed it, verify it with \
             `cargo xtask image inspect --public-key` and that key",
            path.display(),
            hex(&key.0)
        ),
        inspected => inspected.with_context(|| format!("{} is damaged", path.display())),
    }
}

fn show(inspection: &ImageSummary) {
    let header = &inspection.header;
    let count = |kind| {
        inspection
            .leaves
            .iter()
            .filter(|leaf| leaf.kind == kind)
            .count()
    };
    println!("name      {}", header.name);
    println!("version   {}", header.version);
    println!("raw       {} bytes", header.raw_size);
    println!(
        "data      {} bytes, {:?}",
        header.data_len, header.compression
    );
    println!(
        "chunks    {} of {} bytes: {} compressed, {} plain, {} holes",
        header.chunks,
        header.chunk_size(),
        count(LeafKind::Zstd),
        count(LeafKind::Raw),
        count(LeafKind::Hole)
    );
    println!("root      {}", hex(&inspection.root));
    if let Some(signer) = &inspection.signer {
        println!("signed by {}", hex(&signer.0));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Result<[u8; 32]> {
    let digits: Option<Vec<u8>> = text
        .trim()
        .chars()
        .map(|digit| {
            digit
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
        })
        .collect();
    digits
        .as_deref()
        .and_then(|digits| digits.as_chunks::<2>().0.try_into().ok())
        .filter(|_| text.trim().len() == 64)
        .map(|pairs: [[u8; 2]; 32]| pairs.map(|[high, low]| high << 4 | low))
        .context("a public key is 64 hexadecimal digits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let key: [u8; 32] = std::array::from_fn(|at| (at * 11) as u8);
        assert_eq!(unhex(&hex(&key)).unwrap(), key);
        assert!(unhex("12").is_err());
        assert!(unhex(&"0g".repeat(32)).is_err());
        assert!(unhex(&"00".repeat(33)).is_err());
    }
}
