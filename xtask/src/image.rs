//! `cargo xtask image`: builds the Debian image, cuts and signs raw images,
//! and shows what a manifest holds.

use std::{
    fs::{self, File},
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use farrier_image::{
    maker::{self, ImageSummary, Options},
    manifest::{CHUNK_SHIFTS, DEFAULT_CHUNK_SHIFT, LeafKind, PublicKey},
};

use crate::{kit, progress::Spinner, target_folder, tools};

/// What to do with images.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Build the Debian 12 image, or find the one built before; prints its path.
    Debian,
    /// Cut, compress and sign a raw disk image: NAME-VERSION.manifest and .data.
    Make(Make),
    /// Show what a manifest holds and whether it holds.
    Inspect(Inspect),
    /// Make the operator's image-signing key where there is none; prints the
    /// public half in hexadecimal.
    Key {
        /// File of the secret key, 32 bytes; target/keys/operator.ed25519 where
        /// none is given.
        #[arg(long)]
        key: Option<PathBuf>,
    },
}

#[derive(clap::Args)]
struct Make {
    /// The raw disk image.
    raw: PathBuf,
    /// Name under which it is deployed.
    #[arg(long)]
    name: String,
    /// Version, rising from release to release.
    #[arg(long)]
    version: u64,
    /// File of the secret key, 32 bytes; made where it is missing.
    #[arg(long)]
    key: Option<PathBuf>,
    /// log2 of the chunk size in bytes.
    #[arg(long, default_value_t = DEFAULT_CHUNK_SHIFT)]
    chunk_shift: u8,
    /// Folder for the two files.
    #[arg(short, long, default_value = ".")]
    output: PathBuf,
}

#[derive(clap::Args)]
struct Inspect {
    /// The manifest.
    manifest: PathBuf,
    /// Check the signature with this public key, in hexadecimal; without it
    /// with the operator's key of this checkout.
    #[arg(long)]
    public_key: Option<String>,
    /// Check every chunk of this data file too.
    #[arg(long)]
    data: Option<PathBuf>,
}

/// Carries out `cargo xtask image`.
pub fn run(arguments: Arguments) -> Result<()> {
    match arguments.action {
        Action::Debian => println!("{}", debian()?.display()),
        Action::Make(arguments) => make(&arguments)?,
        Action::Inspect(arguments) => inspect(&arguments)?,
        Action::Key { key } => {
            println!("{}", hex(&secret_key(key.as_deref())?.public().0));
        }
    }
    Ok(())
}

/// Path of the Debian 12 raw disk image, built when it is not there.
pub fn debian() -> Result<PathBuf> {
    tools::ensure(&[
        "mmdebstrap",
        "tar",
        "mke2fs",
        "grub-mkimage",
        "/usr/lib/grub/i386-pc/boot.img",
        "/usr/lib/grub/x86_64-efi/moddep.lst",
        "/usr/share/keyrings/debian-archive-keyring.gpg",
    ])?;
    let spinner = Spinner::start("debian image");
    let cache = target_folder().join("images");
    let image = farrier_deploy_ramdisk::debian::build(&tools::as_fn(), &cache, &|step| {
        spinner.step(step);
    })?;
    let bytes = fs::metadata(&image)?.len();
    spinner.done(&format!("{} MiB raw", bytes >> 20));
    Ok(image)
}

fn secret_key(path: Option<&Path>) -> Result<maker::SecretKey> {
    path.map_or_else(kit::operator_key, kit::key_at)
}

fn make(arguments: &Make) -> Result<()> {
    let Make {
        raw,
        name,
        version,
        output,
        ..
    } = arguments;
    ensure!(
        CHUNK_SHIFTS.contains(&arguments.chunk_shift),
        "chunk shift must be {} to {}",
        CHUNK_SHIFTS.start(),
        CHUNK_SHIFTS.end()
    );
    let key = secret_key(arguments.key.as_deref())?;
    let source = File::open(raw).with_context(|| format!("cannot read {}", raw.display()))?;
    let length = source.metadata()?.len();
    fs::create_dir_all(output)?;
    let data = output.join(format!("{name}-{version}.data"));
    let manifest = output.join(format!("{name}-{version}.manifest"));

    let spinner = Spinner::start(format!("image {name}"));
    let mut options = Options::new(name, *version);
    options.chunk_shift = arguments.chunk_shift;
    let sink = BufWriter::new(File::create(&data)?);
    let made = maker::make(BufReader::new(source), sink, &options, &key, |done| {
        spinner.step(&format!(
            "compressed {} of {} MiB",
            done >> 20,
            length >> 20
        ));
    })?;
    // The manifest last: it says that the data is whole.
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

fn inspect(arguments: &Inspect) -> Result<()> {
    let path = &arguments.manifest;
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let key = match &arguments.public_key {
        Some(text) => PublicKey(unhex(text)?),
        None => kit::operator_key()?.public(),
    };
    let inspection = maker::inspect(&bytes, Some(&key)).with_context(|| {
        format!(
            "{} is damaged, or was not signed with {}",
            path.display(),
            hex(&key.0)
        )
    })?;
    show(&inspection);
    if let Some(data) = &arguments.data {
        let data = File::open(data).with_context(|| format!("cannot read {}", data.display()))?;
        inspection.extract(BufReader::new(data), std::io::sink())?;
        println!("data      every chunk holds");
    }
    Ok(())
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
