//! The bytes on the flash, version 2. Little-endian throughout.
//!
//! A sector begins with a header; frames follow, each at the beginning of a
//! word. A number counts sectors from the first that was ever opened, and
//! the sector of number *n* lies at place *n* modulo the sectors there are.
//!
//! ```text
//! header  0 "FRJ"   3 version   4 number   8 base   12 run
//!         16 sector size   20 before   24 zeros   28 CRC-32 of bytes 0..28
//! frame   0 length of the body   2 kind   3 index   4 body
//!         then CRC-32 of the sector's number, bytes 0..4 and the body
//! seal    0 zeros   2 kind 4   3 index   4 CRC-32 as of a frame
//! ```
//! `base` is the number of the first sector that still matters. `before` is
//! the number of the sector that was opened before this one, or 0 where that
//! is not told: numbers between the two were given up, as the flash did not
//! take them, and nothing is missed there. The index counts frames, so that
//! one which is missing shows.
//!
//! | kind | body |
//! |---|---|
//! | 1 | records, each behind its length in one byte |
//! | 2 | a piece of a sweep: layout (2), first place (2), last place (2), records |
//! | 3 | the journal was mounted: run (4), and the sector (4) and offset (4) from which on all that comes before this frame is void; then nothing, or the last frame that counts once more: its kind (1) and its body |
//!
//! A seal stands right behind a frame of kind 1 or 3, of the same index, and
//! is written when that frame was read back: only then its writer goes on. So
//! a seal whose frame is not whole tells of lost bits, also at the very end,
//! where a frame that is not whole is a power cut's work otherwise. Version 1
//! has no seals.
//!
//! An older version stays readable for ever: a sector says which it is in,
//! and new sectors are written in the newest, so that a sweep brings the
//! whole journal up to it. A newer version than [`VERSION`] is refused and
//! not touched.

use crc::{CRC_32_ISO_HDLC, Crc, Digest, Table};

/// The version that is written.
pub const VERSION: u8 = 2;
/// Records as their owner appended them.
pub const KIND_RECORDS: u8 = 1;
/// Records out of a sweep.
pub const KIND_SWEEP: u8 = 2;
/// A mount.
pub const KIND_MOUNTED: u8 = 3;
/// What seals a frame.
pub const KIND_SEAL: u8 = 4;
/// Bytes of a seal.
pub const SEAL: usize = 8;
/// Bytes of a frame beside its body.
pub const FRAME_OVERHEAD: u32 = 8;
/// Bytes of a mount's frame, without the frame that it may hold.
pub const MOUNTED_PREFIX: usize = 12;
/// Bytes in front of the records of a sweep's piece.
pub const SWEEP_PREFIX: usize = 6;

const CRC: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISO_HDLC);
static TABLE: Crc<u32, Table<1>> = CRC;

/// The digest of a frame in this sector, before the frame's first byte.
pub(crate) fn digest(sector: u32) -> Digest<'static, u32, Table<1>> {
    let mut digest = TABLE.digest();
    digest.update(&sector.to_le_bytes());
    digest
}

/// The seal of the frame of that index in this sector.
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
    /// The version of what stands in the sector.
    pub version: u8,
    /// The sector's number, from 1.
    pub sector: u32,
    /// Number of the first sector that still matters.
    pub base: u32,
    /// The run in which the sector was opened.
    pub run: u32,
    /// Size of a sector in bytes.
    pub size: u32,
    /// Number of the sector that was opened before; 0 where it is not told.
    pub before: u32,
}

/// What the first bytes of a sector are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A header of a version that is known.
    Header(Header),
    /// A whole header of a newer version.
    Newer(u8),
    /// No header.
    Nothing,
}

impl Header {
    /// Its length in bytes.
    pub const LEN: usize = 32;

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..3].copy_from_slice(b"FRJ");
        bytes[3] = self.version;
        bytes[4..8].copy_from_slice(&self.sector.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.base.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.run.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.size.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.before.to_le_bytes());
        let crc = TABLE.checksum(&bytes[..28]);
        bytes[28..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the first bytes of a sector. What stands behind the version may
    /// differ in newer ones, the place of the CRC may not.
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
        if bytes[3] > VERSION {
            return Found::Newer(bytes[3]);
        }
        let header = Header {
            version: bytes[3],
            sector: word(4),
            base: word(8),
            run: word(12),
            size: word(16),
            before: word(20),
        };
        let sound =
            header.base >= 1 && header.base <= header.sector && header.sector < u32::MAX / 2;
        if sound {
            Found::Header(header)
        } else {
            Found::Nothing
        }
    }
}

/// The first four bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// What the body is.
    pub kind: u8,
    /// Counts frames, from 1 on, modulo 256.
    pub index: u8,
    /// Length of the body in bytes, 1 to [`Frame::MAX_BODY`].
    pub body: u16,
}

impl Frame {
    /// Its length in bytes.
    pub const LEN: usize = 4;
    /// Longest body in bytes.
    pub const MAX_BODY: u16 = 0x3fff;

    /// Its bytes.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let [low, high] = self.body.to_le_bytes();
        [low, high, self.kind, self.index]
    }

    /// Reads the first bytes of a frame; `None` where there can't be one.
    pub fn read(bytes: [u8; Self::LEN]) -> Option<Self> {
        let [low, high, kind, index] = bytes;
        let body = u16::from_le_bytes([low, high]);
        let sound = (1..=Self::MAX_BODY).contains(&body)
            && matches!(kind, KIND_RECORDS | KIND_SWEEP | KIND_MOUNTED);
        sound.then_some(Frame { kind, index, body })
    }

    /// Bytes of flash that the frame takes, in words of this size.
    pub fn size(self, word: u32) -> u32 {
        (u32::from(self.body) + FRAME_OVERHEAD).next_multiple_of(word)
    }
}
