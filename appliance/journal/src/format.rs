//! The bytes on the flash, version 1. All integers are little-endian.
//!
//! A sector begins with a header. Frames follow, each at the start of a word.
//! Sector numbers count from 1 in the order of opening; the sector of number *n*
//! is at index *n* modulo the number of sectors.
//!
//! ```text
//! header  0 "FRJ"   3 version   4 number   8 base   12 run
//!         16 sector size   20 before   24 zeros   28 CRC-32 of bytes 0..28
//! frame   0 length of the body   2 kind   3 index   4 body
//!         then CRC-32 of the sector's number, bytes 0..4 and the body
//! seal    0 zeros   2 kind 4   3 index   4 CRC-32 as of a frame
//! ```
//! `base` is the number of the first live sector. `before` is the number of the
//! sector that was opened before this one, 0 for the first. Numbers between the
//! two were given up because the flash failed, and have no frames. The index
//! counts frames, so that a mount detects a missing frame.
//!
//! | kind | body |
//! |---|---|
//! | 1 | records, each prefixed with its length in one byte |
//! | 2 | a piece of a sweep: layout (2), first index (2), last index (2), records |
//! | 3 | a mount: run (4), and the sector (4) and offset (4) from which everything before this frame is void; then nothing, or a copy of the last valid frame: its kind (1) and its body |
//!
//! A seal follows a frame of kind 1 or 3 and has the same index. It is written
//! after the read-back of the frame and before the append returns. A damaged
//! frame with a seal is therefore a loss of bits. A damaged frame without a seal
//! at the end of the journal is the result of a power cut.
//!
//! A mount refuses sectors of another version than [`VERSION`] and does not write
//! to the flash then.

use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};

/// The supported version.
pub const VERSION: u8 = 1;
/// Frame kind: appended records.
pub const KIND_RECORDS: u8 = 1;
/// Frame kind: records of a sweep.
pub const KIND_SWEEP: u8 = 2;
/// Frame kind: a mount.
pub const KIND_MOUNTED: u8 = 3;
/// Kind of a seal.
pub const KIND_SEAL: u8 = 4;
/// Length of a seal in bytes.
pub const SEAL: usize = 8;
/// Length of a frame without its body, in bytes.
pub const FRAME_OVERHEAD: u32 = 8;
/// Length of the body of a mount's frame without the copied frame, in bytes.
pub const MOUNTED_PREFIX: usize = 12;
/// Length of the fields before the records of a sweep frame, in bytes.
pub const SWEEP_PREFIX: usize = 6;

const CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);
static TABLE: Crc<u32, Table<1>> = CRC;

/// Returns the CRC of a frame in this sector, before the frame's first byte.
pub(crate) fn digest(sector: u32) -> Digest<'static, u32, Table<1>> {
    let mut digest = TABLE.digest();
    digest.update(&sector.to_le_bytes());
    digest
}

/// Returns the seal of the frame with this index in this sector.
pub fn seal(sector: u32, index: u8) -> [u8; SEAL] {
    let head = [0, 0, KIND_SEAL, index];
    let mut crc = digest(sector);
    crc.update(&head);
    let [a, b, c, d] = head;
    let [e, f, g, h] = crc.finalize().to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

/// A sector's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The sector's number, from 1.
    pub sector: u32,
    /// Number of the first live sector.
    pub base: u32,
    /// The run in which the sector was opened.
    pub run: u32,
    /// Size of a sector in bytes.
    pub size: u32,
    /// Number of the sector that was opened before; 0 for the first.
    pub before: u32,
}

/// The start of a sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A valid header.
    Header(Header),
    /// A valid header of another version.
    OtherVersion(u8),
    /// No header.
    Nothing,
}

impl Header {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// Encodes the value.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..3].copy_from_slice(b"FRJ");
        bytes[3] = VERSION;
        bytes[4..8].copy_from_slice(&self.sector.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.base.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.run.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.size.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.before.to_le_bytes());
        let crc = TABLE.checksum(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Parses the first bytes of a sector. Every version has its CRC at the same
    /// offset.
    pub fn read(bytes: &[u8; Self::LEN]) -> Found {
        let word = |at: usize| {
            bytes
                .get(at..at + 4)
                .and_then(|b| b.first_chunk::<4>())
                .map_or(0, |b| u32::from_le_bytes(*b))
        };
        if &bytes[..3] != b"FRJ" || word(28) != TABLE.checksum(&bytes[..28]) {
            return Found::Nothing;
        }
        if bytes[3] != VERSION {
            return Found::OtherVersion(bytes[3]);
        }
        let header = Header {
            sector: word(4),
            base: word(8),
            run: word(12),
            size: word(16),
            before: word(20),
        };
        let valid =
            header.base >= 1 && header.base <= header.sector && header.sector < u32::MAX / 2;
        if valid {
            Found::Header(header)
        } else {
            Found::Nothing
        }
    }
}

/// The first four bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// The kind of the body.
    pub kind: u8,
    /// Counts frames from 1, modulo 256.
    pub index: u8,
    /// Length of the body in bytes, 1 to [`Frame::MAX_BODY`].
    pub body: u16,
}

impl Frame {
    /// Length in bytes.
    pub const LEN: usize = 4;
    /// Longest body in bytes.
    pub const MAX_BODY: u16 = 0x3fff;

    /// Encodes the value.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let [low, high] = self.body.to_le_bytes();
        [low, high, self.kind, self.index]
    }

    /// Parses the first bytes of a frame. Returns `None` if they are invalid.
    pub fn read(bytes: [u8; Self::LEN]) -> Option<Self> {
        let [low, high, kind, index] = bytes;
        let body = u16::from_le_bytes([low, high]);
        let valid = (1..=Self::MAX_BODY).contains(&body)
            && matches!(kind, KIND_RECORDS | KIND_SWEEP | KIND_MOUNTED);
        valid.then_some(Frame { kind, index, body })
    }

    /// Returns the size of the frame on flash in bytes, a multiple of `word`.
    pub fn size(self, word: u32) -> u32 {
        (u32::from(self.body) + FRAME_OVERHEAD).next_multiple_of(word)
    }
}
