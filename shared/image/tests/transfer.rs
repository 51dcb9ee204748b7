//! Runs the transfer engine with faulty servers, networks and disks.

mod common;

use common::*;
use farrier_image::{
    Action, ManifestError, Source, Transfer, TransferError,
    maker::{Made, Options},
    transfer::{MAX_FETCH_FAILURES, MAX_REFETCH},
};

/// A disk in memory with faults.
struct Disk {
    bytes: Vec<u8>,
    /// Offset and number of wrong reads.
    wrong_reads: Option<(u64, u32)>,
}

/// Applies a network fault to the fetched bytes; `None` for no answer.
type Network<'a> = dyn FnMut(Source, u64, &[u8]) -> Option<Vec<u8>> + 'a;

fn run(
    transfer: &mut Transfer,
    files: &(Made, Vec<u8>),
    disk: &mut Disk,
    network: &mut Network<'_>,
) -> Result<(), TransferError> {
    let (mut wire, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..100_000 {
        let action = transfer.action()?;
        assert_eq!(transfer.action(), Ok(action), "asking changes nothing");
        match action {
            Action::Fetch {
                source,
                offset,
                len,
            } => {
                let file = match source {
                    Source::Manifest => &files.0.manifest,
                    Source::Data => &files.1,
                };
                let bytes = &file[offset as usize..][..len as usize];
                match network(source, offset, bytes) {
                    None => transfer.fetch_failed()?,
                    Some(bytes) => {
                        wire = bytes;
                        raw.clone_from(&wire);
                        transfer.fetched(&wire)?;
                    }
                }
            }
            Action::Decode { raw_len } => match zstd::bulk::decompress(&wire, raw_len as usize) {
                Ok(bytes) => {
                    raw = bytes;
                    transfer.decoded(Some(&raw))?;
                }
                Err(_) => transfer.decoded(None)?,
            },
            Action::Write { offset, len } => {
                assert_eq!(raw.len(), len as usize);
                disk.bytes[offset as usize..][..len as usize].copy_from_slice(&raw);
                transfer.written()?;
            }
            Action::Zero { offset, len } => {
                disk.bytes[offset as usize..][..len as usize].fill(0);
                transfer.written()?;
            }
            Action::ReadBack { offset, len, hole } => {
                let mut bytes = disk.bytes[offset as usize..][..len as usize].to_vec();
                if let Some((at, times)) = &mut disk.wrong_reads
                    && *at == offset
                    && *times > 0
                {
                    *times -= 1;
                    bytes[0] ^= 1;
                }
                if hole {
                    transfer.compared(bytes.iter().all(|byte| *byte == 0))?;
                } else {
                    transfer.read_back(&bytes)?;
                }
            }
            Action::Done => return Ok(()),
        }
    }
    panic!("it goes round in circles");
}

fn disk(len: usize) -> Disk {
    Disk {
        // The previous content.
        bytes: vec![0xee; len],
        wrong_reads: None,
    }
}

fn transfer(files: &(Made, Vec<u8>), disk: &Disk) -> Transfer {
    Transfer::new(public(), Some(files.0.root), disk.bytes.len() as u64)
}

fn good(_: Source, _: u64, bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

#[test]
fn image_is_written() {
    let files = made();
    let mut disk = disk(image().len() + 4096);
    let mut transfer = transfer(&files, &disk);
    assert_eq!(run(&mut transfer, &files, &mut disk, &mut good), Ok(()));
    assert_eq!(disk.bytes[..image().len()], image());
    assert_eq!(disk.bytes[image().len()..], [0xee; 4096], "and no more");
    assert_eq!(transfer.manifest_root(), Some(&files.0.root));
    assert_eq!(transfer.header(), Some(&files.0.header));
    let stats = transfer.stats();
    assert_eq!(stats.verified_bytes, image().len() as u64);
    assert_eq!(
        stats.fetched_bytes,
        (files.0.manifest.len() + files.1.len()) as u64
    );
    assert_eq!((stats.refetched, stats.rewritten), (0, 0));
    assert_eq!(transfer.action(), Ok(Action::Done));
}

#[test]
fn pages_of_a_tree_of_three_levels_are_fetched_once() {
    // 64 * 64 + 2 chunks, most of them holes.
    let mut raw = vec![0; CHUNK * (64 * 64 + 1) + 512];
    for chunk in [0, 63, 64, 4095, 4096] {
        raw[chunk * CHUNK] = 1 + (chunk % 100) as u8;
    }
    let files = made_of(&raw, &options());
    assert_eq!(files.0.header.geometry().unwrap().depth(), 3);
    let mut disk = disk(raw.len());
    let mut transfer = transfer(&files, &disk);
    let mut manifest = 0;
    let mut network = |source, offset, bytes: &[u8]| {
        if source == Source::Manifest {
            assert!(bytes.len() <= 64 * 80);
            manifest += bytes.len();
        }
        good(source, offset, bytes)
    };
    assert_eq!(run(&mut transfer, &files, &mut disk, &mut network), Ok(()));
    assert!(disk.bytes == raw);
    assert_eq!(manifest, files.0.manifest.len(), "every page once");
}

#[test]
fn first_chunk_needs_the_head_and_a_page_of_each_level() {
    let files = made();
    let mut disk = disk(image().len());
    let mut transfer = transfer(&files, &disk);
    let mut fetches = Vec::new();
    let mut network = |source, offset, bytes: &[u8]| {
        fetches.push((source, offset));
        good(source, offset, bytes)
    };
    run(&mut transfer, &files, &mut disk, &mut network).unwrap();
    assert_eq!(
        fetches[..3],
        [
            (Source::Manifest, 0),
            (Source::Manifest, 256),
            (Source::Data, 0)
        ]
    );
}

#[test]
fn every_fetch_can_be_wrong_once() {
    let files = made();
    for kind in 0..3 {
        let mut disk = disk(image().len());
        let mut transfer = transfer(&files, &disk);
        let mut spoiled = Vec::new();
        let mut network = |source, offset, bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            if !spoiled.contains(&(source, offset)) {
                spoiled.push((source, offset));
                match kind {
                    0 => bytes[0] ^= 1,
                    1 => *bytes.last_mut()? ^= 0x80,
                    _ => bytes.truncate(bytes.len() - 1),
                }
            }
            Some(bytes)
        };
        assert_eq!(run(&mut transfer, &files, &mut disk, &mut network), Ok(()));
        assert_eq!(disk.bytes, image());
        // Head, page, three chunks with data.
        assert_eq!(transfer.stats().refetched, 5);
    }
}

#[test]
fn permanently_wrong_chunk_fails_and_is_not_written() {
    let files = made();
    let mut disk = disk(image().len());
    let mut transfer = transfer(&files, &disk);
    let mut tries = 0;
    let mut network = |source, offset, bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        // The third chunk, behind the first one's data.
        if source == Source::Data && offset > 0 {
            tries += 1;
            bytes[77] ^= 4;
        }
        Some(bytes)
    };
    let result = run(&mut transfer, &files, &mut disk, &mut network);
    assert_eq!(result, Err(TransferError::Chunk(2)));
    assert_eq!(tries, u32::from(MAX_REFETCH) + 1);
    assert_eq!(transfer.action(), Err(TransferError::Chunk(2)));
    assert_eq!(disk.bytes[2 * CHUNK..3 * CHUNK], vec![0xee; CHUNK]);
}

#[test]
fn another_signed_manifest_is_refused() {
    let files = made();
    let older = made_of(
        &image(),
        &Options {
            version: 2,
            ..options()
        },
    );
    let mut disk = disk(image().len());
    let mut transfer = transfer(&files, &disk);
    let result = run(&mut transfer, &older, &mut disk, &mut good);
    assert_eq!(
        result,
        Err(TransferError::Manifest(ManifestError::OtherManifest))
    );
    assert!(disk.bytes.iter().all(|byte| *byte == 0xee));
}

#[test]
fn image_larger_than_the_disk_fails_before_a_write() {
    let files = made();
    let mut disk = disk(image().len() - 512);
    let mut transfer = transfer(&files, &disk);
    let result = run(&mut transfer, &files, &mut disk, &mut good);
    assert_eq!(result, Err(TransferError::TooLarge));
    assert!(disk.bytes.iter().all(|byte| *byte == 0xee));
}

#[test]
fn wrong_read_back_is_written_again_once() {
    let files = made();
    for chunk in 0..4 {
        let at = (chunk * CHUNK) as u64;
        for (times, expected) in [(1, Ok(())), (2, Err(TransferError::ReadBack(chunk as u32)))] {
            let mut disk = disk(image().len());
            disk.wrong_reads = Some((at, times));
            let mut transfer = transfer(&files, &disk);
            let result = run(&mut transfer, &files, &mut disk, &mut good);
            assert_eq!(result, expected, "chunk {chunk}");
            assert_eq!(transfer.stats().rewritten, 1);
        }
    }
}

#[test]
fn unanswered_fetches_end_the_transfer() {
    let files = made();
    let mut disk = disk(image().len());
    let mut transfer = transfer(&files, &disk);
    let mut silent = |_, _, _: &[u8]| None;
    assert_eq!(
        run(&mut transfer, &files, &mut disk, &mut silent),
        Err(TransferError::Fetch)
    );
    assert_eq!(
        transfer.stats().fetch_failures,
        u32::from(MAX_FETCH_FAILURES) + 1
    );
}

#[test]
fn only_consecutive_failures_count() {
    let files = made();
    let mut disk = disk(image().len());
    let mut transfer = transfer(&files, &disk);
    let mut count = 0;
    let mut network = |source, offset, bytes: &[u8]| {
        count += 1;
        let lost = count % (u32::from(MAX_FETCH_FAILURES) + 1) != 0;
        (!lost).then(|| good(source, offset, bytes)).flatten()
    };
    assert_eq!(run(&mut transfer, &files, &mut disk, &mut network), Ok(()));
}

#[test]
fn result_of_another_action_fails() {
    let fresh = || Transfer::new(public(), None, 1 << 30);
    assert_eq!(fresh().written(), Err(TransferError::Sequence));
    assert_eq!(fresh().decoded(None), Err(TransferError::Sequence));
    assert_eq!(fresh().compared(true), Err(TransferError::Sequence));
    let mut transfer = fresh();
    assert!(transfer.read_back(&[]).is_err());
}

#[test]
fn upcoming_returns_the_next_fetch() {
    let files = made();
    let mut transfer = Transfer::new(public(), None, 1 << 30);
    assert_eq!(transfer.upcoming(), None);
    transfer.fetched(&files.0.manifest[..256]).unwrap();
    transfer.fetched(&files.0.manifest[256..]).unwrap();
    // A hole follows chunk 0, then chunk 2.
    let Some(Action::Fetch { source, offset, .. }) = transfer.upcoming() else {
        panic!("nothing comes");
    };
    assert_eq!(source, Source::Data);
    let Ok(Action::Fetch { len, .. }) = transfer.action() else {
        panic!("a fetch is due");
    };
    assert_eq!(offset, u64::from(len));
}
