//! Creates and inspects images on a host. Only this module uses files, threads and
//! the heap.
//!
//! The result is deterministic: it depends on bytes, options and key, not on the
//! number of threads.

use std::{
    fmt,
    io::{self, Read, Write},
    num::NonZero,
    thread,
};

use ed25519_dalek::{Signer, SigningKey};

use crate::manifest::{
    CHUNK_SHIFTS, Compression, DEFAULT_CHUNK_SHIFT, HEADER_LEN, Header, LEAF_LEN, Leaf, LeafKind,
    ManifestError, PublicKey, SECTOR, SIGNED_LEN, manifest_root, sha256, signed_bytes,
};
use crate::tree::{FANOUT, page_hash};

/// The operator's secret ed25519 key.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Creates a key from 32 random bytes.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(bytes))
    }

    /// Returns the public key, which the ramdisk has.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKey").field(&self.public()).finish()
    }
}

/// Options of an image.
#[derive(Debug, Clone)]
pub struct Options {
    /// The image's name, 1 to 64 bytes without control characters.
    pub name: String,
    /// The image's version, increasing from release to release.
    pub version: u64,
    /// log2 of the chunk size, 16 to 24.
    pub chunk_shift: u8,
    /// The level of zstd (1 to 22), or `None` for no compression.
    pub level: Option<i32>,
    /// Number of threads; `None` for the number of processors.
    pub threads: Option<NonZero<usize>>,
}

impl Options {
    /// Creates options with chunks of 1 MiB, strong compression and all processors.
    pub fn new(name: &str, version: u64) -> Self {
        Self {
            name: name.to_owned(),
            version,
            chunk_shift: DEFAULT_CHUNK_SHIFT,
            level: Some(9),
            threads: None,
        }
    }
}

/// Why an image can't be created, or is invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakerError {
    /// Reading or writing a file failed.
    #[error("reading or writing: {0}")]
    Io(#[from] io::Error),
    /// The manifest is invalid, or the options do not give a valid one.
    #[error("no such image can be described: {0:?}")]
    Manifest(ManifestError),
    /// The image is empty.
    #[error("the image is empty")]
    Empty,
    /// A chunk of the data file is invalid.
    #[error("chunk {0} of the data file does not match the manifest")]
    Chunk(u32),
}

impl From<ManifestError> for MakerError {
    fn from(error: ManifestError) -> Self {
        Self::Manifest(error)
    }
}

/// A created image.
#[derive(Debug, Clone)]
pub struct Made {
    /// The content of the manifest file.
    pub manifest: Vec<u8>,
    /// The manifest root, which deploy orders name.
    pub root: [u8; 32],
    /// The header.
    pub header: Header,
    /// Number of chunks with only zeroes.
    pub holes: u32,
}

/// Splits and compresses the image in `raw`, writes the data file to `data`, and
/// signs the manifest. Pads the image with zeroes to a multiple of 512 bytes. Calls
/// `progress` with the number of bytes read.
///
/// # Errors
/// See [`MakerError`].
pub fn make(
    mut raw: impl Read,
    mut data: impl Write,
    options: &Options,
    key: &SecretKey,
    mut progress: impl FnMut(u64),
) -> Result<Made, MakerError> {
    if !CHUNK_SHIFTS.contains(&options.chunk_shift) {
        return Err(ManifestError::Malformed.into());
    }
    let threads = options
        .threads
        .or_else(|| thread::available_parallelism().ok())
        .map_or(1, NonZero::get);
    let chunk_size = 1usize << options.chunk_shift;

    let mut leaves = Vec::new();
    let (mut raw_size, mut data_len, mut holes) = (0, 0, 0);
    loop {
        let mut batch = Vec::new();
        while batch.len() < threads * 2 {
            let chunk = read_chunk(&mut raw, chunk_size)?;
            if chunk.is_empty() {
                break;
            }
            raw_size += chunk.len() as u64;
            batch.push(chunk);
        }
        if batch.is_empty() {
            break;
        }
        for piece in pack_all(batch, options.level, threads)? {
            let kind = piece.leaf.kind;
            let offset = if kind == LeafKind::Hole { 0 } else { data_len };
            holes += u32::from(kind == LeafKind::Hole);
            data.write_all(&piece.wire)?;
            data_len += piece.wire.len() as u64;
            leaves.extend_from_slice(
                &Leaf {
                    offset,
                    ..piece.leaf
                }
                .emit(),
            );
        }
        progress(raw_size);
    }
    data.flush()?;
    if raw_size == 0 {
        return Err(MakerError::Empty);
    }

    let (tree_root, pages) = grow(leaves);
    let header = Header {
        name: heapless::String::try_from(options.name.as_str())
            .map_err(|_| ManifestError::Malformed)?,
        version: options.version,
        raw_size,
        chunk_shift: options.chunk_shift,
        chunks: u32::try_from(raw_size.div_ceil(chunk_size as u64))
            .map_err(|_| ManifestError::Malformed)?,
        data_len,
        compression: match options.level {
            None => Compression::None,
            Some(_) => Compression::Zstd,
        },
        tree_root,
    };
    let bytes = header.emit()?;
    let mut manifest = bytes.to_vec();
    manifest.extend_from_slice(&key.0.sign(&signed_bytes(&bytes)).to_bytes());
    manifest.extend_from_slice(&pages);
    Ok(Made {
        root: manifest_root(&bytes),
        manifest,
        header,
        holes,
    })
}

/// The contents of a manifest.
#[derive(Debug, Clone)]
pub struct ImageSummary {
    /// The header.
    pub header: Header,
    /// The manifest root, which deploy orders name.
    pub root: [u8; 32],
    /// Every chunk.
    pub leaves: Vec<Leaf>,
    /// The key that verified the signature; `None` if it was not verified.
    pub signer: Option<PublicKey>,
}

/// Parses a whole manifest and verifies the signature (with a key), every page of the
/// tree and every leaf.
///
/// # Errors
/// See [`MakerError`].
pub fn inspect(manifest: &[u8], key: Option<&PublicKey>) -> Result<ImageSummary, MakerError> {
    let header = match key {
        Some(key) => Header::verify(key, None, manifest)?,
        None => Header::parse(manifest)?,
    };
    let geometry = header.geometry()?;
    if manifest.len() as u64 != geometry.manifest_len() {
        return Err(ManifestError::TooShort.into());
    }
    let leaf_bytes = manifest
        .get(geometry.page_offset(0, 0) as usize..)
        .ok_or(ManifestError::TooShort)?;
    // The tree is canonical: building it again gives the same pages.
    let (tree_root, pages) = grow(leaf_bytes.to_vec());
    if tree_root != header.tree_root || manifest.get(SIGNED_LEN..) != Some(&pages) {
        return Err(ManifestError::PageHash.into());
    }
    let leaves = leaf_bytes
        .chunks_exact(LEAF_LEN)
        .zip(0..)
        .map(|(bytes, chunk)| Leaf::parse(&header, chunk, bytes))
        .collect::<Result<_, _>>()?;
    Ok(ImageSummary {
        root: manifest_root(manifest.get(..HEADER_LEN).ok_or(ManifestError::TooShort)?),
        header,
        leaves,
        signer: key.copied(),
    })
}

impl ImageSummary {
    /// Reads the data file, verifies every chunk, and writes the image to `raw`.
    ///
    /// # Errors
    /// See [`MakerError`].
    pub fn extract(&self, mut data: impl Read, mut raw: impl Write) -> Result<(), MakerError> {
        for (leaf, chunk) in self.leaves.iter().zip(0..) {
            let len = self.header.raw_len(chunk) as usize;
            let mut wire = vec![0; leaf.wire_len as usize];
            data.read_exact(&mut wire)?;
            let bytes = match leaf.kind {
                LeafKind::Hole => vec![0; len],
                _ if sha256(&wire) != leaf.wire_hash => return Err(MakerError::Chunk(chunk)),
                LeafKind::Raw => wire,
                LeafKind::Zstd => {
                    zstd::bulk::decompress(&wire, len).map_err(|_| MakerError::Chunk(chunk))?
                }
            };
            if bytes.len() != len || sha256(&bytes) != leaf.raw_hash {
                return Err(MakerError::Chunk(chunk));
            }
            raw.write_all(&bytes)?;
        }
        Ok(raw.flush()?)
    }
}

impl fmt::Display for ImageSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = &self.header;
        let count = |kind| self.leaves.iter().filter(|l| l.kind == kind).count();
        writeln!(f, "name        {}", header.name)?;
        writeln!(f, "version     {}", header.version)?;
        writeln!(f, "root        {}", hex(&self.root))?;
        match &self.signer {
            Some(key) => writeln!(f, "signed by   {}", hex(&key.0))?,
            None => writeln!(f, "signed by   (not checked)")?,
        }
        writeln!(f, "image       {} bytes", header.raw_size)?;
        writeln!(f, "data        {} bytes", header.data_len)?;
        write!(
            f,
            "chunks      {} of {} KiB: {} zstd, {} raw, {} holes",
            header.chunks,
            header.chunk_size() / 1024,
            count(LeafKind::Zstd),
            count(LeafKind::Raw),
            count(LeafKind::Hole),
        )
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Piece {
    leaf: Leaf,
    wire: Vec<u8>,
}

/// Reads up to a chunk, padded to whole sectors; empty at the end.
fn read_chunk(raw: &mut impl Read, chunk_size: usize) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(chunk_size);
    raw.take(chunk_size as u64).read_to_end(&mut chunk)?;
    chunk.resize(chunk.len().next_multiple_of(SECTOR as usize), 0);
    Ok(chunk)
}

fn pack_all(
    batch: Vec<Vec<u8>>,
    level: Option<i32>,
    threads: usize,
) -> Result<Vec<Piece>, MakerError> {
    let mut slots: Vec<(Vec<u8>, io::Result<Option<Piece>>)> =
        batch.into_iter().map(|chunk| (chunk, Ok(None))).collect();
    let share = slots.len().div_ceil(threads);
    thread::scope(|scope| {
        for slots in slots.chunks_mut(share) {
            scope.spawn(move || {
                for (chunk, packed) in slots {
                    *packed = pack(std::mem::take(chunk), level).map(Some);
                }
            });
        }
    });
    let mut pieces = Vec::with_capacity(slots.len());
    for (_, packed) in slots {
        pieces.extend(packed?);
    }
    Ok(pieces)
}

fn pack(chunk: Vec<u8>, level: Option<i32>) -> io::Result<Piece> {
    let raw_hash = sha256(&chunk);
    let piece = |kind, wire: Vec<u8>, wire_hash| Piece {
        leaf: Leaf {
            offset: 0,
            wire_len: wire.len() as u32,
            kind,
            wire_hash,
            raw_hash,
        },
        wire,
    };
    if chunk.iter().all(|byte| *byte == 0) {
        return Ok(piece(LeafKind::Hole, Vec::new(), [0; 32]));
    }
    if let Some(level) = level {
        let wire = zstd::bulk::compress(&chunk, level)?;
        if wire.len() < chunk.len() {
            let hash = sha256(&wire);
            return Ok(piece(LeafKind::Zstd, wire, hash));
        }
    }
    Ok(piece(LeafKind::Raw, chunk, raw_hash))
}

/// Builds the tree over the leaves. Returns its root and all pages from the top
/// down.
fn grow(leaves: Vec<u8>) -> ([u8; 32], Vec<u8>) {
    let mut levels = vec![leaves];
    let mut entry_len = LEAF_LEN;
    loop {
        let level = levels.len() as u8 - 1;
        let below = &levels[usize::from(level)];
        let hashes: Vec<[u8; 32]> = below
            .chunks(FANOUT as usize * entry_len)
            .zip(0..)
            .map(|(page, index)| page_hash(level, index, page))
            .collect();
        if let [root] = hashes[..] {
            levels.reverse();
            return (root, levels.concat());
        }
        levels.push(hashes.concat());
        entry_len = 32;
    }
}
