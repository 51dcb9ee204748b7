//! Deploys images to disks in memory over a real HTTP connection.

#![allow(clippy::result_large_err, reason = "the error is the failure report")]

mod support;

use std::io::{Cursor, Read, Write};

use farrier_agent::operations::Meter;
use farrier_agent::operations::deploy::{Context, deploy};
use farrier_image::maker::Made;
use farrier_image::manifest::PublicKey;
use farrier_protocol::message::{
    AgentStep, ConfigDrive, ConfigDriveFormat, Deploy, DiskId, Failure, ImageProof, NodeId, Reason,
};
use farrier_protocol::sealed::{Layout, PLAIN_PIECE};
use support::disk::{FakeDisk, Faults};
use support::http_server::FakeHttpServer;
use support::{make_image, noise, operator, raw_image};

const IMAGE: usize = 4 << 20;
const DISK: usize = 24 << 20;
const KEY: [u8; 32] = [8; 32];
const JSON: &[u8] = br##"{"meta_data": {"uuid": "i-1", "hostname": "web"},
    "user_data": "#cloud-config\n"}"##;

struct Setup {
    http_server: FakeHttpServer,
    made: Made,
    raw: Vec<u8>,
    order: Deploy,
}

fn setup(block: u64) -> Setup {
    let raw = raw_image(IMAGE, block);
    let (made, data) = make_image(&raw);
    assert!(made.holes > 0);
    let http_server = FakeHttpServer::open("127.0.0.1:0");
    http_server.put("/m", made.manifest.clone());
    http_server.put("/d", data);
    let order = Deploy {
        disk: DiskId {
            serial: "S".try_into().unwrap(),
            size: DISK as u64,
        },
        manifest_root: made.root,
        manifest_path: "/m".try_into().unwrap(),
        data_path: "/d".try_into().unwrap(),
        config_drive: None,
    };
    Setup {
        http_server,
        made,
        raw,
        order,
    }
}

impl Setup {
    fn with_drive(mut self, text: &[u8], format: ConfigDriveFormat) -> Self {
        let layout = Layout::new(text.len() as u32).unwrap();
        let mut sealed = Vec::new();
        for index in 0..layout.pieces() {
            let (at, length) = layout.plain_range(index).unwrap();
            let mut buffer = [0; PLAIN_PIECE + 16];
            buffer[..length].copy_from_slice(&text[at as usize..at as usize + length]);
            sealed.extend_from_slice(layout.seal(&KEY, index, &mut buffer).unwrap());
        }
        self.http_server.put("/c", sealed);
        self.order.config_drive = Some(ConfigDrive {
            path: "/c".try_into().unwrap(),
            length: text.len() as u32,
            key: KEY,
            format,
        });
        self
    }

    fn run(&self, disk: &FakeDisk) -> Result<ImageProof, Failure> {
        let context = Context {
            image_key: PublicKey(operator().public().0),
            node: NodeId([1; 16]),
            random: [5; 16],
            meter: &Meter::new(AgentStep::Write),
        };
        deploy(&self.order, disk, self.http_server.address, &context)
    }

    fn reason(&self, disk: &FakeDisk) -> Reason {
        self.run(disk).unwrap_err().reason
    }

    /// The image's content, apart from its partition table.
    fn assert_written(&self, disk: &FakeDisk) {
        let bytes = disk.bytes();
        let content = (64 << 10)..IMAGE - (64 << 10);
        assert!(
            bytes[content.clone()] == self.raw[content],
            "content differs"
        );
    }
}

fn blank(block: u32) -> FakeDisk {
    FakeDisk::new(vec![0; DISK], block, Faults::default())
}

fn used(faults: Faults) -> FakeDisk {
    FakeDisk::new(noise(3, DISK), 512, faults)
}

fn partitions(disk: &FakeDisk, block: u32) -> Vec<(String, u64, u64)> {
    let size = if block == 4096 {
        gpt::disk::LogicalBlockSize::Lb4096
    } else {
        gpt::disk::LogicalBlockSize::Lb512
    };
    let table = gpt::GptConfig::new()
        .writable(false)
        .logical_block_size(size)
        .open_from_device(Cursor::new(disk.bytes()))
        .unwrap();
    assert!(table.backup_header().is_ok());
    table
        .partitions()
        .values()
        .map(|p| {
            let block = u64::from(block);
            (
                p.name.clone(),
                p.first_lba * block,
                (p.last_lba + 1) * block,
            )
        })
        .collect()
}

fn config_drive(disk: &FakeDisk, block: u32) -> Vec<u8> {
    let (_, start, end) = partitions(disk, block)
        .into_iter()
        .find(|(name, ..)| name == "config-2")
        .expect("a partition for the config drive");
    disk.bytes()[start as usize..end as usize].to_vec()
}

#[test]
fn image_and_config_drive_are_written() {
    for block in [512, 4096] {
        let setup = setup(u64::from(block)).with_drive(JSON, ConfigDriveFormat::Json);
        let disk = blank(block);
        let proof = setup.run(&disk).unwrap();
        setup.assert_written(&disk);
        assert_eq!(proof.image_bytes, IMAGE as u64);
        assert_eq!(proof.manifest_root, setup.made.root);
        assert_eq!(proof.refetched_chunks, 0);
        assert!(proof.fetched_bytes >= setup.made.header.data_len);
        assert_eq!(
            proof.config_drive,
            farrier_image::manifest::sha256(JSON),
            "the proof names the config drive"
        );
        let volume = fatfs::FileSystem::new(
            Cursor::new(config_drive(&disk, block)),
            fatfs::FsOptions::new(),
        )
        .unwrap();
        let mut text = String::new();
        volume
            .root_dir()
            .open_file("openstack/latest/meta_data.json")
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, r#"{"uuid": "i-1", "hostname": "web"}"#);
    }
}

#[test]
fn image_replaces_a_used_disk() {
    let setup = setup(512);
    let disk = used(Faults::default());
    let proof = setup.run(&disk).unwrap();
    setup.assert_written(&disk);
    assert_eq!(proof.config_drive, [0; 32]);
    assert_eq!(partitions(&disk, 512).len(), 1);
}

#[test]
fn ready_made_config_drive_is_written_byte_for_byte() {
    let image = noise(9, 3_000_000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&image).unwrap();
    let text = format!("\"{}\"", base64(&gzip.finish().unwrap()));
    let setup = setup(512).with_drive(text.as_bytes(), ConfigDriveFormat::GzipBase64);
    let disk = used(Faults::default());
    let proof = setup.run(&disk).unwrap();
    assert_eq!(
        proof.config_drive,
        farrier_image::manifest::sha256(text.as_bytes())
    );
    let partition = config_drive(&disk, 512);
    assert!(partition[..image.len()] == image);
    assert!(partition[image.len()..].iter().all(|&byte| byte == 0));
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for triple in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=triple.len()].copy_from_slice(triple);
        let word = u32::from_be_bytes(word);
        for place in 0..4 {
            if place <= triple.len() {
                let digit = DIGITS[(word >> (18 - 6 * place)) as usize & 63];
                text.push(char::from(digit));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[test]
fn corrupted_chunk_is_fetched_again_and_not_written() {
    let setup = setup(512);
    setup.http_server.corrupt("/d", 1);
    let disk = blank(512);
    let proof = setup.run(&disk).unwrap();
    assert_eq!(proof.refetched_chunks, 1);
    assert!(proof.fetched_bytes <= setup.made.header.data_len + 2 * (64 << 10) + 8192);
    setup.assert_written(&disk);
}

#[test]
fn permanently_corrupted_chunk_fails() {
    let setup = setup(512);
    setup.http_server.corrupt("/d", 1000);
    let disk = blank(512);
    assert_eq!(setup.reason(&disk), Reason::BadChunk);
    assert_eq!(disk.writes(), 0, "no unverified byte reaches the disk");
}

#[test]
fn truncated_responses_are_fetched_again() {
    let setup = setup(512);
    setup.http_server.cut(3);
    let disk = blank(512);
    setup.run(&disk).unwrap();
    setup.assert_written(&disk);
}

#[test]
fn untrusted_or_too_large_image_writes_nothing() {
    let small = FakeDisk::new(vec![0; IMAGE - 512], 512, Faults::default());
    assert_eq!(setup(512).reason(&small), Reason::ImageTooLarge);
    assert_eq!(small.writes(), 0);

    let disk = blank(512);
    let forged = setup(512);
    let mut manifest = forged.made.manifest.clone();
    manifest[200] ^= 1;
    forged.http_server.put("/m", manifest);
    assert_eq!(forged.reason(&disk), Reason::BadManifest);

    let mut other = setup(512);
    other.order.manifest_root[0] ^= 1;
    assert_eq!(other.reason(&disk), Reason::BadManifest);
    assert_eq!(disk.writes(), 0);
}

#[test]
fn disk_that_stores_other_bytes_fails() {
    let at = (IMAGE / 4 + 5000) as u64;
    let once = blank_with(Faults {
        flips_once: Some(at),
        ..Faults::default()
    });
    let setup_once = setup(512);
    setup_once.run(&once).unwrap();
    setup_once.assert_written(&once);

    let stuck = used(Faults {
        stuck: Some(at / 512 * 512..at / 512 * 512 + 512),
        ..Faults::default()
    });
    assert_eq!(setup(512).reason(&stuck), Reason::ReadBack);
}

fn blank_with(faults: Faults) -> FakeDisk {
    FakeDisk::new(vec![0; DISK], 512, faults)
}

#[test]
fn ignored_write_zeroes_command_is_replaced_by_writes() {
    let disk = used(Faults {
        ignores_zeroes: true,
        ..Faults::default()
    });
    let setup = setup(512);
    setup.run(&disk).unwrap();
    setup.assert_written(&disk);
}

#[test]
fn disk_errors_fail_the_order() {
    let at = (IMAGE / 4 + 5000) as u64;
    let unwritable = blank_with(Faults {
        unwritable: Some(at),
        ..Faults::default()
    });
    assert_eq!(setup(512).reason(&unwritable), Reason::DiskWrite);
    let unreadable = blank_with(Faults {
        unreadable: Some(at),
        ..Faults::default()
    });
    assert_eq!(setup(512).reason(&unreadable), Reason::DiskRead);
}

#[test]
fn invalid_config_drive_fails() {
    let disk = blank(512);
    let broken = setup(512).with_drive(b"[1]", ConfigDriveFormat::Json);
    assert_eq!(broken.reason(&disk), Reason::BadConfigDrive);
    let mut forged = setup(512).with_drive(JSON, ConfigDriveFormat::Json);
    forged.order.config_drive.as_mut().unwrap().key[0] ^= 1;
    assert_eq!(forged.reason(&disk), Reason::BadConfigDrive);
    let no_gzip = setup(512).with_drive(b"\"QUJD\"", ConfigDriveFormat::GzipBase64);
    assert_eq!(no_gzip.reason(&disk), Reason::BadConfigDrive);
    // The disk has room for the image only.
    let full = FakeDisk::new(vec![0; IMAGE + 512], 512, Faults::default());
    let setup = setup(512).with_drive(JSON, ConfigDriveFormat::Json);
    assert_eq!(setup.reason(&full), Reason::BadPartitionTable);
}
