//! The bytes of a manifest: header, signature, leaves.
//!
//! All integers are little-endian. The first [`SIGNED_LEN`] bytes:
//! ```text
//!   0  magic 8            "FARRIMG\0"
//!   8  format 2           1
//!  10  compression 1      0 none, 1 zstd
//!  11  chunk shift 1      log2 of the chunk size, 16 to 24
//!  12  chunks 4           number of chunks, at least 1
//!  16  version 8          of the image, increasing from release to release
//!  24  raw size 8         bytes of the image on the disk, a multiple of 512
//!  32  data length 8      bytes of the data file
//!  40  depth 1            levels of the tree, 1 to 4
//!  41  name length 1      1 to 64
//!  42  zeros 6
//!  48  tree root 32       hash of the top page
//!  80  name 64            UTF-8, zeros behind it
//! 144  zeros 48
//! 192  signature 64       ed25519 over the 192 bytes before
//! 256  pages of the tree  see [`crate::tree`]
//! ```
//! A leaf is [`LEAF_LEN`] bytes:
//! ```text
//!   0  offset 8           of the chunk in the data file
//!   8  wire length 4      length of the chunk in the data file
//!  12  kind 1             0 hole, 1 raw, 2 zstd
//!  13  zeros 3
//!  16  wire hash 32       SHA-256 of the bytes in the data file
//!  48  raw hash 32        SHA-256 of the bytes on the disk
//! ```
//! A hole is a chunk of zeros: no data, offset, length and wire hash zero.
//! A raw chunk has two equal hashes. Every value has exactly one encoding; the parser
//! refuses all others.

use ed25519_dalek::{Signature, VerifyingKey};
use heapless::String;
use sha2::{Digest, Sha256};

use crate::tree;

/// Length of the signed header in bytes.
pub const HEADER_LEN: usize = 192;
/// Length of header and signature in bytes: the first fetch of a transfer.
pub const SIGNED_LEN: usize = HEADER_LEN + 64;
/// Length of a leaf in bytes.
pub const LEAF_LEN: usize = 80;
/// Smallest and largest log2 of a chunk size: 64 KiB to 16 MiB.
pub const CHUNK_SHIFTS: core::ops::RangeInclusive<u8> = 16..=24;
/// Default log2 of the chunk size: 1 MiB.
pub const DEFAULT_CHUNK_SHIFT: u8 = 20;
/// Unit of an image's size in bytes: the smallest block of a disk.
pub const SECTOR: u64 = 512;
/// Longest name in bytes.
pub const MAX_NAME: usize = 64;

const MAGIC: [u8; 8] = *b"FARRIMG\0";
const FORMAT: u16 = 1;
const SIGNATURE_DOMAIN: [u8; 32] = *b"farrier image v1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const ROOT_DOMAIN: &[u8] = b"farrier manifest v1\0";

/// A public ed25519 key of the operator, as 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub [u8; 32]);

/// Why a manifest is refused. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ManifestError {
    /// The manifest is truncated.
    TooShort = 0,
    /// The magic is wrong.
    Magic = 1,
    /// The format or compression is unknown.
    Unsupported = 2,
    /// A field is out of range or contradicts another.
    Malformed = 3,
    /// The key is invalid or of small order.
    Key = 4,
    /// The signature is invalid.
    Signature = 5,
    /// The signature is valid, but the root is not that of the order.
    OtherManifest = 6,
    /// The hash of a page is wrong.
    PageHash = 7,
}

/// The compression of chunks. Numbered as in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Compression {
    /// No compression.
    None = 0,
    /// zstd (RFC 8878), one frame for each chunk; chunks can also be raw.
    Zstd = 1,
}

/// A manifest's header; see the module for its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The image's name.
    pub name: String<MAX_NAME>,
    /// The image's version, rising from release to release.
    pub version: u64,
    /// Size of the image on the disk in bytes.
    pub raw_size: u64,
    /// log2 of the chunk size.
    pub chunk_shift: u8,
    /// Number of chunks.
    pub chunks: u32,
    /// Length of the data file in bytes.
    pub data_len: u64,
    /// The compression of the chunks.
    pub compression: Compression,
    /// Hash of the tree's top page.
    pub tree_root: [u8; 32],
}

impl Header {
    /// Returns the size of every chunk on the disk but the last, in bytes.
    pub fn chunk_size(&self) -> u32 {
        1 << self.chunk_shift
    }

    /// Returns the offset of a chunk on the disk in bytes.
    pub fn raw_offset(&self, chunk: u32) -> u64 {
        u64::from(chunk) << self.chunk_shift
    }

    /// Returns the length of a chunk on the disk in bytes; 0 beyond the last one.
    pub fn raw_len(&self, chunk: u32) -> u32 {
        let rest = self.raw_size.saturating_sub(self.raw_offset(chunk));
        rest.min(u64::from(self.chunk_size())) as u32
    }

    /// Returns the positions of the pages of the tree.
    ///
    /// # Errors
    /// The number of chunks is out of range.
    pub fn geometry(&self) -> Result<tree::Geometry, ManifestError> {
        tree::Geometry::new(self.chunks)
    }

    /// Encodes the header.
    ///
    /// # Errors
    /// A field is out of range.
    pub fn emit(&self) -> Result<[u8; HEADER_LEN], ManifestError> {
        self.check()?;
        let mut bytes = [0; HEADER_LEN];
        let mut out = Writer {
            rest: &mut bytes,
            ok: true,
        };
        out.put(&MAGIC);
        out.put(&FORMAT.to_le_bytes());
        out.put(&[self.compression as u8, self.chunk_shift]);
        out.put(&self.chunks.to_le_bytes());
        out.put(&self.version.to_le_bytes());
        out.put(&self.raw_size.to_le_bytes());
        out.put(&self.data_len.to_le_bytes());
        out.put(&[self.geometry()?.depth(), self.name.len() as u8]);
        out.put(&[0; 6]);
        out.put(&self.tree_root);
        out.put(self.name.as_bytes());
        if out.ok {
            Ok(bytes)
        } else {
            Err(ManifestError::Malformed)
        }
    }

    /// Parses a header without its signature.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut at = Reader(bytes.get(..HEADER_LEN).ok_or(ManifestError::TooShort)?);
        if at.take::<8>()? != MAGIC {
            return Err(ManifestError::Magic);
        }
        if u16::from_le_bytes(at.take()?) != FORMAT {
            return Err(ManifestError::Unsupported);
        }
        let [compression, chunk_shift] = at.take()?;
        let compression = match compression {
            0 => Compression::None,
            1 => Compression::Zstd,
            _ => return Err(ManifestError::Unsupported),
        };
        let chunks = u32::from_le_bytes(at.take()?);
        let version = u64::from_le_bytes(at.take()?);
        let raw_size = u64::from_le_bytes(at.take()?);
        let data_len = u64::from_le_bytes(at.take()?);
        let [depth, name_len] = at.take()?;
        if at.take::<6>()? != [0; 6] {
            return Err(ManifestError::Malformed);
        }
        let tree_root = at.take()?;
        let name: [u8; MAX_NAME] = at.take()?;
        let (name, padding) = name
            .split_at_checked(usize::from(name_len))
            .ok_or(ManifestError::Malformed)?;
        if padding.iter().chain(at.0).any(|byte| *byte != 0) {
            return Err(ManifestError::Malformed);
        }
        let name = core::str::from_utf8(name).map_err(|_| ManifestError::Malformed)?;
        let header = Self {
            name: String::try_from(name).map_err(|_| ManifestError::Malformed)?,
            version,
            raw_size,
            chunk_shift,
            chunks,
            data_len,
            compression,
            tree_root,
        };
        header.check()?;
        if header.geometry()?.depth() != depth {
            return Err(ManifestError::Malformed);
        }
        Ok(header)
    }

    /// Verifies header and signature, the first [`SIGNED_LEN`] bytes of a manifest.
    /// If `root` is set, it must be the [`manifest_root`].
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn verify(
        key: &PublicKey,
        root: Option<&[u8; 32]>,
        bytes: &[u8],
    ) -> Result<Self, ManifestError> {
        let signed = bytes.get(..SIGNED_LEN).ok_or(ManifestError::TooShort)?;
        let (header, signature) = signed.split_at(HEADER_LEN);
        // The cheap check is the first: it refuses a wrong file.
        if let Some(root) = root
            && manifest_root(header) != *root
        {
            return Err(ManifestError::OtherManifest);
        }
        let key = VerifyingKey::from_bytes(&key.0).map_err(|_| ManifestError::Key)?;
        let signature = Signature::from_slice(signature).map_err(|_| ManifestError::Signature)?;
        key.verify_strict(&signed_bytes(header), &signature)
            .map_err(|_| ManifestError::Signature)?;
        Self::parse(header)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let good = CHUNK_SHIFTS.contains(&self.chunk_shift)
            && self.raw_size > 0
            && self.raw_size.is_multiple_of(SECTOR)
            && self.raw_size.div_ceil(1 << self.chunk_shift) == u64::from(self.chunks)
            && self.data_len <= self.raw_size
            && !self.name.is_empty()
            && !self.name.chars().any(char::is_control);
        if good {
            Ok(())
        } else {
            Err(ManifestError::Malformed)
        }
    }
}

/// Returns the root that deploy orders and image proofs name: SHA-256 over a prefix
/// and the header's 192 bytes. It determines name, version, sizes and tree.
pub fn manifest_root(header: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(ROOT_DOMAIN);
    hash.update(header);
    hash.finalize().into()
}

/// Returns the bytes that the operator's key signs.
pub(crate) fn signed_bytes(header: &[u8]) -> [u8; 64] {
    let mut bytes = [0; 64];
    let (domain, hash) = bytes.split_at_mut(32);
    domain.copy_from_slice(&SIGNATURE_DOMAIN);
    hash.copy_from_slice(&sha256(header));
    bytes
}

/// Returns the SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The encoding of a chunk in the data file. Numbered as in the leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum LeafKind {
    /// Only zeroes; the data file has no bytes of it.
    Hole = 0,
    /// Uncompressed.
    Raw = 1,
    /// One zstd frame.
    Zstd = 2,
}

/// The description of a chunk in the manifest; see the module for its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Offset of the chunk in the data file.
    pub offset: u64,
    /// Length in the data file in bytes.
    pub wire_len: u32,
    /// The encoding.
    pub kind: LeafKind,
    /// SHA-256 of the bytes in the data file; zero for a hole.
    pub wire_hash: [u8; 32],
    /// SHA-256 of the bytes on the disk.
    pub raw_hash: [u8; 32],
}

impl Leaf {
    /// Encodes the leaf.
    pub fn emit(&self) -> [u8; LEAF_LEN] {
        let mut bytes = [0; LEAF_LEN];
        let mut out = Writer {
            rest: &mut bytes,
            ok: true,
        };
        out.put(&self.offset.to_le_bytes());
        out.put(&self.wire_len.to_le_bytes());
        out.put(&[self.kind as u8, 0, 0, 0]);
        out.put(&self.wire_hash);
        out.put(&self.raw_hash);
        debug_assert!(out.ok, "a leaf is as long as its fields");
        bytes
    }

    /// Parses the leaf of `chunk` and validates it with the header.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn parse(header: &Header, chunk: u32, bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut at = Reader(bytes);
        let offset = u64::from_le_bytes(at.take()?);
        let wire_len = u32::from_le_bytes(at.take()?);
        let [kind, zeros @ ..] = at.take::<4>()?;
        let leaf = Self {
            offset,
            wire_len,
            kind: match kind {
                0 => LeafKind::Hole,
                1 => LeafKind::Raw,
                2 => LeafKind::Zstd,
                _ => return Err(ManifestError::Malformed),
            },
            wire_hash: at.take()?,
            raw_hash: at.take()?,
        };
        let raw_len = header.raw_len(chunk);
        let fits = match leaf.kind {
            LeafKind::Hole => offset == 0 && wire_len == 0 && leaf.wire_hash == [0; 32],
            LeafKind::Raw => wire_len == raw_len && leaf.wire_hash == leaf.raw_hash,
            LeafKind::Zstd => {
                header.compression == Compression::Zstd && (1..raw_len).contains(&wire_len)
            }
        };
        let inside = offset
            .checked_add(u64::from(wire_len))
            .is_some_and(|end| end <= header.data_len);
        if fits && inside && zeros == [0; 3] && raw_len > 0 && at.0.is_empty() {
            Ok(leaf)
        } else {
            Err(ManifestError::Malformed)
        }
    }
}

pub(crate) struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ManifestError> {
        let (head, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(ManifestError::TooShort)?;
        self.0 = rest;
        Ok(*head)
    }
}

struct Writer<'a> {
    rest: &'a mut [u8],
    ok: bool,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) {
        match core::mem::take(&mut self.rest).split_at_mut_checked(bytes.len()) {
            Some((head, rest)) => {
                head.copy_from_slice(bytes);
                self.rest = rest;
            }
            None => self.ok = false,
        }
    }
}
