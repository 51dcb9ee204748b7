//! `cargo xtask dist`: all that a rack needs, in one folder.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use farrier_core::interface::config::Config;
use farrier_core::interface::erase_method;
use farrier_deploy_ramdisk::{ipxe, ramdisk::Flavour};

use xtask::command_line::Given;

use crate::first_account::FirstAccount;
use crate::kit::{self, SignedImage};
use crate::{board::Board, image, progress::Spinner, target_folder, tools, workspace};

/// Builds firmware, ramdisks, network-boot programs and an asset store for
/// servers, and puts them into one folder.
///
/// The store holds no secret key: each appliance that is started with it makes
/// its own, and their first account has the same password.
///
/// # Errors
/// A part does not build or a file can't be written.
pub fn run(given: &Given) -> Result<()> {
    // What is wrong on the command line shows before anything is built.
    let config = config(given)?;
    let own = own_images(&given.all("image"))?;
    let folder = given
        .path("output")
        .unwrap_or_else(|| target_folder().join("dist"));
    fs::create_dir_all(&folder)?;
    let mut slots = 1;
    for board in Board::all(&workspace())? {
        let spinner = Spinner::start(format!("firmware {}", board.board.name));
        spinner.step("compiling");
        let firmware = board.build(&workspace(), &target_folder(), &tools::command)?;
        copy(
            &firmware.elf,
            &folder.join(format!("farrier-{}.elf", board.board.name)),
        )?;
        spinner.done(&match board.memory {
            Some(_) => format!("{} bytes of flash", firmware.flash_bytes),
            None => "a program of the host".to_owned(),
        });
        slots = slots.max(u32::try_from(board.tables.nodes)?);
    }
    let (_, virtual_ramdisk) = kit::build_ramdisk(Flavour::Virtual)?;
    copy(&virtual_ramdisk, &folder.join("ramdisk-virtual.img"))?;
    for program in ipxe::programs(&tools::as_fn())? {
        fs::write(folder.join(program.name), program.bytes)?;
    }
    let mut kit = kit::prepare(Flavour::Hardware)?;
    kit.images
        .retain(|built| own.iter().all(|own| own.name != built.name));
    kit.images.extend(own);
    copy(&kit.kernel, &folder.join("vmlinuz"))?;
    copy(&kit.ramdisk, &folder.join("ramdisk-hardware.img"))?;
    for image in &kit.images {
        copy(
            &image.manifest,
            &folder.join(format!("{}.manifest", image.name)),
        )?;
        copy(&image.data, &folder.join(format!("{}.data", image.name)))?;
    }
    let account = FirstAccount::random()?;
    let config = Config {
        admin: Some(account.verifier),
        ..config
    };
    let store = folder.join("store.img");
    kit.write_store(&store, &config, slots)?;
    let file = account.write(&folder)?;
    println!("{}", folder.display());
    println!(
        "account admin, password {}, also in {}",
        account.password,
        file.display()
    );
    Ok(())
}

/// The appliance's configuration, without its first account.
fn config(given: &Given) -> Result<Config> {
    let mut config = Config {
        reread: !given.flag("no-reread"),
        ..Config::default()
    };
    if let Some(least) = given.text("least-erase").and_then(erase_method) {
        config.least_erase = least;
    }
    for name in given.all("host") {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        ensure!(
            !name.is_empty() && name.bytes().all(allowed),
            "--host {name:?} is no name or IPv4 address; leave out the port"
        );
        config = config
            .reached_by(name)
            .with_context(|| format!("--host {name}: there is room for 4 names of 48 bytes"))?;
    }
    Ok(config)
}

/// Images that the operator has made: each signed with the key of this
/// checkout, which is the store's, and every chunk of it verified.
fn own_images(manifests: &[&str]) -> Result<Vec<SignedImage>> {
    let mut images: Vec<SignedImage> = Vec::new();
    for manifest in manifests {
        let manifest = PathBuf::from(manifest);
        let bytes =
            fs::read(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
        let summary = image::verified(&manifest, &bytes, &kit::operator_key()?.public())?;
        let data = manifest.with_extension("data");
        let file = File::open(&data).with_context(|| format!("cannot read {}", data.display()))?;
        summary
            .extract(BufReader::new(file), std::io::sink())
            .with_context(|| format!("{}", data.display()))?;
        let name = summary.header.name.to_string();
        ensure!(
            images.iter().all(|known| known.name != name),
            "two images are named {name}; a store has one version of each name"
        );
        images.push(SignedImage {
            name,
            manifest,
            data,
            raw_bytes: summary.header.raw_size,
        });
    }
    Ok(images)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    // Copying a file onto itself would empty it.
    if let (Ok(from), Ok(to)) = (from.canonicalize(), to.canonicalize())
        && from == to
    {
        return Ok(());
    }
    fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use farrier_image::maker::{self, Options};
    use xtask::command_line::{Outcome, parse};
    use xtask::commands::COMMANDS;

    fn given(line: &str) -> Given {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match parse(COMMANDS, &words) {
            Ok(Outcome::Run(given)) => given,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn hosts_are_those_of_the_command_line() {
        let config = |line| config(&given(line));
        assert!(config("dist").unwrap().hosts.is_empty());
        let two = config("dist --host 127.0.0.1 --host rack-7.example").unwrap();
        assert_eq!(two.hosts, ["127.0.0.1", "rack-7.example"]);
        let five = "dist --host a --host b --host c --host d --host e";
        for (line, part) in [
            (five, "room for 4"),
            ("dist --host 127.0.0.1:8080", "port"),
            ("dist --host http://a", "port"),
        ] {
            let error = format!("{:#}", config(line).unwrap_err());
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn an_image_is_verified_before_anything_is_built() {
        let folder = std::env::temp_dir().join(format!("farrier-dist-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (manifest, data) = (folder.join("own-2.manifest"), folder.join("own-2.data"));
        let key = kit::operator_key().unwrap();
        let mut chunks = Vec::new();
        let made = maker::make(
            &[7; 5000][..],
            &mut chunks,
            &Options::new("own", 2),
            &key,
            |_| {},
        )
        .unwrap();
        fs::write(&manifest, &made.manifest).unwrap();
        fs::write(&data, &chunks).unwrap();
        let path = manifest.to_str().unwrap();
        let images = own_images(&[path]).unwrap();
        assert_eq!((images.len(), images[0].name.as_str()), (1, "own"));
        let twice = own_images(&[path, path]).unwrap_err();
        assert!(format!("{twice:#}").contains("two images"), "{twice:#}");
        fs::write(&data, &chunks[1..]).unwrap();
        let cut = format!("{:#}", own_images(&[path]).unwrap_err());
        assert!(cut.contains("own-2.data"), "{cut}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
