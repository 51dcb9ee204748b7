//! What a disk, a block device, or a machine's firmware feeds: manifests,
//! the asset store, partition tables, config drives, SMBIOS.

use std::io::Read as _;
use std::sync::OnceLock;

use farrier_agent::engine::partitions::{Geometry, Table};
use farrier_agent::engine::{config_drive as drive, fat, gzip_base64, smbios as tables};
use farrier_asset_store::{ENTRY_LEN, Entry, SECTOR, SLOT_LEN, Superblock};
use farrier_image::maker::{Options, SecretKey, make};
use farrier_image::transfer::{Action, Source, Transfer};
use farrier_image::{Header, Leaf, PublicKey};

/// A manifest's head: what is read is written as it was, and no signature is
/// valid.
pub fn manifest(bytes: &[u8]) {
    assert!(Header::verify(&PublicKey([0x51; 32]), None, bytes).is_err());
    let Ok(header) = Header::parse(bytes) else {
        return;
    };
    let written = header.emit().expect("what was read is in range");
    assert!(bytes.starts_with(&written));
    let geometry = header.geometry().expect("it was checked");
    for chunk in [0, header.chunks / 2, header.chunks.saturating_sub(1)] {
        for level in 0..geometry.depth() {
            let (index, at) = geometry.place(level, chunk);
            assert!(index < geometry.pages(level));
            assert!(at < geometry.page_len(level, index).max(1));
            let end = geometry.page_offset(level, index) + geometry.page_len(level, index) as u64;
            assert!(end <= geometry.manifest_len());
        }
        let end = header.raw_offset(chunk) + u64::from(header.raw_len(chunk));
        assert!(end <= header.raw_size);
        if let Ok(leaf) = Leaf::parse(&header, chunk, bytes) {
            assert!(bytes.starts_with(&leaf.emit()));
            assert!(leaf.offset + u64::from(leaf.wire_len) <= header.data_len);
        }
    }
}

/// A small image: its bytes, its manifest, its data and the root.
struct Image {
    raw: Vec<u8>,
    manifest: Vec<u8>,
    data: Vec<u8>,
    key: PublicKey,
    root: [u8; 32],
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let chunk = 1 << 16;
        let mut raw = b"farrier ".repeat(chunk / 8);
        raw.resize(2 * chunk, 0);
        raw.extend(b"the end ".repeat(128));
        let options = Options {
            chunk_shift: 16,
            threads: std::num::NonZero::new(1),
            ..Options::new("test", 3)
        };
        let key = SecretKey::from_bytes(&[0x51; 32]);
        let mut data = Vec::new();
        let made = make(&raw[..], &mut data, &options, &key, |_| ()).expect("an image");
        Image {
            raw,
            root: made.root,
            manifest: made.manifest,
            data,
            key: key.public(),
        }
    })
}

/// An image that comes over a hostile network: three bytes of the script say
/// what becomes of each answer. Nothing is ever written that is not the image's.
pub fn image_transfer(script: &[u8]) {
    let image = image();
    let mut script = script.chunks(3);
    let mut transfer = Transfer::new(image.key, Some(image.root), 1 << 30);
    let mut disk = vec![0xAA; image.raw.len()];
    let mut raw: Vec<u8> = Vec::new();
    // Every step consumes a bounded number of tries.
    for _ in 0..10_000 {
        let Ok(action) = transfer.action() else {
            return;
        };
        let change = script.next().unwrap_or_default();
        let step = match action {
            Action::Fetch {
                source,
                offset,
                len,
            } => {
                let from = match source {
                    Source::Manifest => &image.manifest,
                    Source::Data => &image.data,
                };
                let (offset, len) = (offset as usize, len as usize);
                let mut bytes = from.get(offset..offset + len).unwrap_or_default().to_vec();
                match *change {
                    [1, at, value] => {
                        let length = bytes.len().max(1);
                        if let Some(byte) = bytes.get_mut(usize::from(at) * 257 % length) {
                            *byte ^= value;
                        }
                    }
                    [2, cut, ..] => bytes.truncate(usize::from(cut)),
                    [3, more, ..] => bytes.extend(std::iter::repeat_n(more, usize::from(more))),
                    _ => {}
                }
                raw.clone_from(&bytes);
                match change {
                    [4, ..] => transfer.fetch_failed(),
                    _ => transfer.fetched(&bytes),
                }
            }
            Action::Decode { raw_len } => {
                // The fetched bytes are the image's by their hash, so this is what
                // they decode to.
                let at = transfer.stats().verified_bytes as usize;
                raw = image.raw[at..at + raw_len as usize].to_vec();
                if let [5, at, value] = change {
                    raw[usize::from(*at)] ^= value;
                }
                let decoded = (*change != [7]).then_some(&raw[..]);
                transfer.decoded(decoded)
            }
            Action::Write { offset, len } => {
                let at = offset as usize..offset as usize + len as usize;
                assert_eq!(raw[..], image.raw[at.clone()], "unverified bytes");
                disk[at].copy_from_slice(&raw);
                transfer.written()
            }
            Action::Zero { offset, len } => {
                let at = offset as usize..offset as usize + len as usize;
                disk[at].fill(0);
                transfer.written()
            }
            Action::ReadBack { offset, len, .. } => {
                let at = offset as usize..offset as usize + len as usize;
                if let [6, ..] = change {
                    disk[at.start] ^= 1;
                }
                let read = disk[at].to_vec();
                transfer.read_back(&read)
            }
            Action::Done => {
                assert_eq!(disk, image.raw);
                return;
            }
        };
        let _failed_or_not = step;
    }
    panic!("the transfer does not end");
}

/// A superblock and a table. The hashes are made right, so that more is read
/// than that they are wrong.
pub fn asset_store(bytes: &[u8]) {
    use farrier_image::manifest::sha256;
    let mut sector = [0; SECTOR];
    let length = bytes.len().min(SECTOR);
    sector[..length].copy_from_slice(&bytes[..length]);
    let _as_it_is = Superblock::parse(&sector);
    let hash = sha256(&sector[..SECTOR - 32]);
    sector[SECTOR - 32..].copy_from_slice(&hash);
    if let Ok(store) = Superblock::parse(&sector) {
        assert_eq!(Superblock::parse(&store.emit()), Ok(store));
        let table = store.table_offset + u64::from(store.entries) * ENTRY_LEN as u64;
        assert!(table <= store.total_len);
        for slot in [0, store.slots as usize / 2, store.slots as usize] {
            match store.slot_offset(slot) {
                Some(at) => assert!(at + SLOT_LEN <= store.total_len),
                None => assert!(slot >= store.slots as usize),
            }
        }
    }
    for bytes in bytes.get(length..).unwrap_or_default().chunks(ENTRY_LEN) {
        let Ok(bytes) = bytes.try_into() else {
            continue;
        };
        if let Ok(entry) = Entry::parse(bytes) {
            assert_eq!(Entry::parse(&entry.emit()), Ok(entry));
            assert!(entry.name().bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(entry.offset.checked_add(entry.len).is_some());
        }
    }
}

/// A partition table of an image: every planned write lies on the disk, and
/// the config drive's partition too.
pub fn partitions(bytes: &[u8]) {
    let Some((&[how, size], bytes)) = bytes.split_first_chunk() else {
        return;
    };
    let geometry = Geometry {
        size: u64::from(size) << 20 | u64::from(how) << 9,
        block: if how & 1 == 0 { 512 } else { 4096 },
    };
    let block = geometry.block as usize;
    let mut head = bytes.to_vec();
    if how & 2 == 0 {
        repair(&mut head, block);
    }
    let Ok(table) = Table::parse(&head, geometry) else {
        return;
    };
    let (_, length) = table.entries(geometry).unwrap_or_default();
    let mut entries = head.get(2 * block..).unwrap_or_default().to_vec();
    entries.resize(length as usize, 0);
    let wanted = (how & 4 == 0).then_some(u64::from(size) << 12);
    let Ok(plan) = table.plan(geometry, &entries, wanted, [7; 16]) else {
        return;
    };
    let on_disk = |offset: u64, length: u64| {
        let end = offset.checked_add(length);
        assert!(
            end.is_some_and(|end| end <= geometry.size),
            "{offset} + {length}"
        );
        assert_eq!(offset % u64::from(geometry.block), 0);
    };
    for write in &plan.writes {
        on_disk(write.offset, write.bytes.len() as u64);
    }
    if let Some((offset, length)) = plan.config_drive {
        on_disk(offset, length);
        assert!(length >= wanted.unwrap_or(0));
    }
}

/// Makes the checksums of a GPT right, which bytes out of nowhere never are.
pub(crate) fn repair(head: &mut [u8], block: usize) {
    let number = |bytes: &[u8], at: usize| {
        let bytes = bytes
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_le_bytes) as usize
    };
    let Some(header) = head.get(block..2 * block) else {
        return;
    };
    let length = number(header, 12);
    let used = number(header, 80).saturating_mul(number(header, 84));
    let mut entries = head.get(2 * block..).unwrap_or_default().to_vec();
    if used <= 256 << 10 {
        entries.resize(used, 0);
    }
    let entries = crc32(&entries).to_le_bytes();
    let header = &mut head[block..2 * block];
    header[88..92].copy_from_slice(&entries);
    if (92..=block).contains(&length) {
        header[16..20].fill(0);
        let own = crc32(&header[..length]).to_le_bytes();
        header[16..20].copy_from_slice(&own);
    }
}

/// CRC-32 (ISO-HDLC), as GPT has it; a bit at a time, for it is short.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

/// A config drive as an operator sends it: JSON, whose files make a file system,
/// or base64 of a gzip.
pub fn config_drive(bytes: &[u8]) {
    if let Ok(files) = drive::files(bytes, "1be26c0b-03f2-4d2e-ae87-c02d7f33c123") {
        assert!(files.iter().any(|file| file.name == "meta_data.json"));
        let content: usize = files.iter().map(|file| file.content.len()).sum();
        for block in [512, 4096] {
            let image = fat::build(&files, block).expect("few bytes fit");
            assert!(image.size() >= content as u64 && image.size().is_multiple_of(512));
        }
    }
    let mut room = [0; 4096];
    let mut reader = gzip_base64::image_reader(bytes);
    let mut read = 0_u64;
    while let Ok(length @ 1..) = reader.read(&mut room) {
        read += length as u64;
        assert!(read <= gzip_base64::MAX_IMAGE);
        if read > 1 << 20 {
            // A bomb: it ends at its bound, and not before long.
            break;
        }
    }
}

/// SMBIOS tables: the first 32 bytes are the entry point.
pub fn smbios(bytes: &[u8]) {
    let (entry, table) = bytes.split_at(bytes.len().min(32));
    let values = tables::Smbios::parse(entry, table);
    for text in [&values.vendor, &values.product, &values.serial] {
        // A byte that is not UTF-8 becomes three.
        assert!(text.len() <= 3 * bytes.len());
    }
}
