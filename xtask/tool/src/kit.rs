//! Everything that an appliance needs beside its firmware, built and put
//! together: network-boot programs, kernel, ramdisk, a signed image, keys,
//! and the asset store that holds them.
//!
//! What was built is kept under `target/`; keys of the operator under
//! `target/keys`. No store holds a secret key: an appliance makes its own.

use crate::store::{self, Asset};
use crate::{progress::Spinner, target_folder, tools, workspace};
use anyhow::{Context, Result, bail};
use farrier_asset_store::AssetKind;
use farrier_core::boot::{KERNEL, RAMDISK};
use farrier_core::interface::config::{CONFIG_ASSET, Config, OPERATOR_KEY_ASSET};
use farrier_deploy_ramdisk::ramdisk::{self, Flavour};
use farrier_deploy_ramdisk::{agent, ipxe, kernel};
use farrier_hil_tests::light;
use farrier_image::maker::{self, Options, SecretKey};
use farrier_image::manifest::sha256;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Name of the Debian image in the appliance's catalogue.
pub const DEBIAN: &str = "debian12";

/// A signed image as files.
#[derive(Debug, Clone)]
pub struct SignedImage {
    /// Its name in the catalogue.
    pub name: String,
    /// The manifest.
    pub manifest: PathBuf,
    /// The chunks.
    pub data: PathBuf,
    /// Bytes of the image as it lies on a disk.
    pub raw_bytes: u64,
}

/// What was built.
#[derive(Debug, Clone)]
pub struct Kit {
    /// Debian's kernel.
    pub kernel: PathBuf,
    /// The ramdisk without keys.
    pub ramdisk: PathBuf,
    /// The network-boot programs.
    pub programs: Vec<ipxe::Program>,
    /// The images that can be deployed.
    pub images: Vec<SignedImage>,
    /// Public half of the operator's key.
    pub operator: [u8; 32],
}

impl Kit {
    /// Bytes of the ramdisk as servers load it, keys included.
    ///
    /// # Errors
    /// The file is gone.
    pub fn ramdisk_bytes(&self) -> Result<u64> {
        Ok(fs::metadata(&self.ramdisk)?.len())
    }

    /// Writes an asset store to `path`. No secret key is in it.
    ///
    /// # Errors
    /// A part is missing or the file can't be written.
    pub fn write_store(&self, path: &Path, config: &Config, slots: u32) -> Result<()> {
        let mut assets = vec![
            Asset::bytes(
                CONFIG_ASSET,
                AssetKind::Config,
                postcard::to_stdvec(config)?,
            ),
            Asset::bytes(
                OPERATOR_KEY_ASSET,
                AssetKind::OperatorKey,
                self.operator.to_vec(),
            ),
            Asset::file(KERNEL, AssetKind::Public, &self.kernel),
            Asset::file(RAMDISK, AssetKind::Public, &self.ramdisk),
        ];
        for program in &self.programs {
            let bytes = program.bytes.clone();
            assets.push(Asset::bytes(program.name, AssetKind::Public, bytes));
        }
        for image in &self.images {
            let name = |part| format!("images/{}.{part}", image.name);
            assets.push(Asset::file(
                &name("manifest"),
                AssetKind::Manifest,
                &image.manifest,
            ));
            assets.push(Asset::file(
                &name("data"),
                AssetKind::ImageData,
                &image.data,
            ));
        }
        store::write(path, &assets, slots)
    }
}

/// Builds everything, or finds what was built before.
///
/// # Errors
/// A tool is missing and can't be installed, or a build fails.
pub fn prepare(flavour: Flavour) -> Result<Kit> {
    let ramdisk = build_ramdisk(flavour)?;
    let raw = crate::image::build_debian()?;
    let operator = operator_key()?;
    let image = sign(DEBIAN, 1, &raw, &operator)?;
    Ok(Kit {
        kernel: ramdisk.0,
        ramdisk: ramdisk.1,
        programs: ipxe::programs(&tools::as_fn())?,
        images: vec![image],
        operator: operator.public().0,
    })
}

/// What light servers need instead: stand-ins for kernel, ramdisk and boot
/// programs, and a small image. No Debian package goes into it.
///
/// # Errors
/// The files can't be written.
pub fn light() -> Result<Kit> {
    let assets = light::assets::write(&target_folder().join("light"))?;
    let operator = operator_key()?;
    let programs = assets.programs.iter().map(|(name, path)| {
        let bytes = fs::read(path).with_context(|| format!("{}", path.display()))?;
        Ok(ipxe::Program { name, bytes })
    });
    Ok(Kit {
        programs: programs.collect::<Result<_>>()?,
        images: vec![sign(light::assets::IMAGE, 1, &assets.image, &operator)?],
        kernel: assets.kernel,
        ramdisk: assets.ramdisk,
        operator: operator.public().0,
    })
}

/// Kernel and ramdisk of a flavour.
///
/// # Errors
/// As [`prepare`].
pub fn build_ramdisk(flavour: Flavour) -> Result<(PathBuf, PathBuf)> {
    tools::ensure(&["apt-get", "apt-cache", "dpkg-deb", "cc"])?;
    let spinner = Spinner::start(format!("{} ramdisk", flavour.name()));
    let step = |step: &str| spinner.step(step);
    let (tools, cache) = (tools::as_fn(), target_folder().join("ramdisk"));
    let kernel = kernel::fetch(&tools, &cache, &step)?;
    let agent = agent::build(&tools, &workspace(), &target_folder(), &step)?;
    let ramdisk = ramdisk::build(&kernel, flavour, &agent, &cache, &step)?;
    let bytes = fs::metadata(&ramdisk)?.len();
    spinner.done(&format!("{bytes} bytes"));
    if bytes > flavour.budget() {
        bail!(
            "the {} ramdisk has {bytes} bytes, its budget is {}",
            flavour.name(),
            flavour.budget()
        );
    }
    Ok((kernel.image, ramdisk))
}

/// The operator's image-signing key of this checkout, made on first use.
///
/// # Errors
/// The key file can't be read or written, or is not 32 bytes.
pub fn operator_key() -> Result<SecretKey> {
    key_at(&target_folder().join("keys/operator.ed25519"))
}

/// The secret key in a file of 32 bytes, made where there is none.
///
/// # Errors
/// As [`operator_key`].
pub fn key_at(path: &Path) -> Result<SecretKey> {
    if !path.exists() {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut options = fs::OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?
            .write_all(&random()?)?;
        eprintln!("made the operator's image-signing key: {}", path.display());
    }
    let bytes = fs::read(path).with_context(|| format!("{}", path.display()))?;
    let seed: [u8; 32] = bytes
        .as_slice()
        .try_into()
        .with_context(|| format!("{} is not a key of 32 bytes", path.display()))?;
    Ok(SecretKey::from_bytes(&seed))
}

/// Cuts, compresses and signs a raw image, or finds what was made of the same
/// file with the same key before.
///
/// # Errors
/// The image can't be read, or the result not written.
pub fn sign(name: &str, version: u64, raw: &Path, key: &SecretKey) -> Result<SignedImage> {
    let meta = fs::metadata(raw).with_context(|| format!("{}", raw.display()))?;
    let stem = raw
        .file_stem()
        .context("an image has a file name")?
        .to_string_lossy();
    let signer = sha256(&key.public().0);
    let folder = target_folder().join("images").join(format!(
        "{name}-{version}-{stem}-{:02x}{:02x}",
        signer[0], signer[1]
    ));
    let image = SignedImage {
        name: name.to_owned(),
        manifest: folder.join("manifest"),
        data: folder.join("data"),
        raw_bytes: meta.len(),
    };
    let fresh = |path: &Path| {
        let made = fs::metadata(path).and_then(|m| m.modified());
        made.is_ok_and(|made| meta.modified().is_ok_and(|raw| made > raw))
    };
    if fresh(&image.manifest) && fresh(&image.data) {
        return Ok(image);
    }
    fs::create_dir_all(&folder)?;
    let spinner = Spinner::start(format!("image {name}"));
    let data = BufWriter::new(File::create(&image.data)?);
    let made = maker::make(
        BufReader::new(File::open(raw)?),
        data,
        &Options::new(name, version),
        key,
        |done| spinner.bytes("compressed", done, meta.len()),
    )?;
    // The manifest is written last: where it exists, the data is complete.
    fs::write(&image.manifest, &made.manifest)?;
    spinner.done(&format!(
        "{} bytes on the wire",
        fs::metadata(&image.data)?.len()
    ));
    Ok(image)
}

fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}
