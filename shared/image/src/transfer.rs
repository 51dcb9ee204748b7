//! The sans-IO engine that writes an image to a disk.
//!
//! The engine returns the next action; the caller carries it out and passes the
//! result. The engine returns a write only for verified bytes.
//! ```text
//! Fetch manifest head -> signature, root, size
//! for every chunk:
//!   Fetch page (if needed) -> hash in the page above
//!   Fetch data -> wire hash       a wrong one is fetched again
//!   Decode     -> raw hash
//!   Write
//!   ReadBack   -> compared, or raw hash
//! Done
//! ```
//! [`Transfer::action`] returns the same action until the caller passes its result.
//! The engine holds one page of leaves and one page of hashes for each level, about
//! 12 KiB; the caller holds a fetched chunk and a decoded chunk.

use crate::{
    manifest::{
        Header, LEAF_LEN, Leaf, LeafKind, ManifestError, PublicKey, SIGNED_LEN, manifest_root,
        sha256,
    },
    tree::{FANOUT, Geometry, HASH_LEN, HASH_PAGE_LEN, LEAF_PAGE_LEN, MAX_DEPTH, page_hash},
};

/// Number of repeated fetches after a wrong hash.
pub const MAX_REFETCH: u8 = 4;
/// Number of consecutive failures of a fetch after which the transfer fails.
pub const MAX_FETCH_FAILURES: u8 = 16;
/// Number of repeated writes of a chunk after a wrong read-back.
pub const MAX_REWRITE: u8 = 1;

/// The file of a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The manifest file.
    Manifest,
    /// The data file.
    Data,
}

/// The next action of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Fetch exactly these bytes, then call [`Transfer::fetched`] or
    /// [`Transfer::fetch_failed`].
    Fetch {
        /// The file.
        source: Source,
        /// Offset of the first byte.
        offset: u64,
        /// Number of bytes, at most a chunk.
        len: u32,
    },
    /// Decompress the last fetch, one zstd frame, to exactly `raw_len` bytes, then
    /// call [`Transfer::decoded`].
    Decode {
        /// Length of the chunk on the disk in bytes.
        raw_len: u32,
    },
    /// Write the decoded chunk, or the fetched chunk if it is raw. Then call
    /// [`Transfer::written`].
    Write {
        /// Offset on the disk in bytes.
        offset: u64,
        /// Number of bytes.
        len: u32,
    },
    /// Zero these bytes of the disk; bytes that are already zero need no write. Then
    /// call [`Transfer::written`].
    Zero {
        /// Offset on the disk in bytes.
        offset: u64,
        /// Number of bytes.
        len: u32,
    },
    /// Read the chunk back from the medium, then call [`Transfer::read_back`] or
    /// [`Transfer::compared`].
    ReadBack {
        /// Offset on the disk in bytes.
        offset: u64,
        /// Number of bytes.
        len: u32,
        /// Whether all bytes must be zero.
        hole: bool,
    },
    /// All chunks are on the disk.
    Done,
}

/// Why a transfer failed. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferError {
    /// The manifest is invalid, or not that of the order.
    Manifest(ManifestError),
    /// The image is larger than the disk.
    TooLarge,
    /// A chunk has a wrong hash after every fetch.
    Chunk(u32),
    /// The read-back of a chunk differs twice.
    ReadBack(u32),
    /// A fetch failed too often.
    Fetch,
    /// The caller passed a result of another action.
    Sequence,
}

/// Statistics of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Number of fetched bytes, including wrong ones.
    pub fetched_bytes: u64,
    /// Number of pages and chunks that were fetched again after a wrong hash.
    pub refetched: u32,
    /// Number of failed fetches.
    pub fetch_failures: u32,
    /// Number of chunks that were written again after a wrong read-back.
    pub rewritten: u32,
    /// Number of written and verified bytes.
    pub verified_bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Head,
    Page(u8),
    Data,
    Decode,
    Write,
    ReadBack,
    Done,
    Failed(TransferError),
}

/// The state of a transfer, see the module.
#[derive(Debug, Clone)]
pub struct Transfer {
    key: PublicKey,
    root: Option<[u8; 32]>,
    disk_size: u64,
    step: Step,
    image: Option<Image>,
    leaf_page: [u8; LEAF_PAGE_LEN],
    hash_pages: [[u8; HASH_PAGE_LEN]; MAX_DEPTH - 1],
    /// The index of the cached page of each level.
    held: [Option<u32>; MAX_DEPTH],
    chunk: u32,
    leaf: Option<Leaf>,
    refetches: u8,
    failures: u8,
    rewrites: u8,
    stats: Stats,
}

#[derive(Debug, Clone)]
struct Image {
    header: Header,
    geometry: Geometry,
    root: [u8; 32],
}

impl Transfer {
    /// Starts a transfer of the image with this [`manifest_root`], signed by `key`, to
    /// a disk of `disk_size` bytes. Without a `root`, it accepts any manifest of the
    /// key.
    pub fn new(key: PublicKey, root: Option<[u8; 32]>, disk_size: u64) -> Self {
        Self {
            key,
            root,
            disk_size,
            step: Step::Head,
            image: None,
            leaf_page: [0; LEAF_PAGE_LEN],
            hash_pages: [[0; HASH_PAGE_LEN]; MAX_DEPTH - 1],
            held: [None; MAX_DEPTH],
            chunk: 0,
            leaf: None,
            refetches: 0,
            failures: 0,
            rewrites: 0,
            stats: Stats::default(),
        }
    }

    /// Returns the verified header, once it is fetched.
    pub fn header(&self) -> Option<&Header> {
        self.image.as_ref().map(|image| &image.header)
    }

    /// Returns the root of the verified manifest, once it is fetched.
    pub fn manifest_root(&self) -> Option<&[u8; 32]> {
        self.image.as_ref().map(|image| &image.root)
    }

    /// Returns the statistics.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Returns the next action.
    ///
    /// # Errors
    /// The transfer failed.
    pub fn action(&self) -> Result<Action, TransferError> {
        let data = |leaf: &Leaf| Action::Fetch {
            source: Source::Data,
            offset: leaf.offset,
            len: leaf.wire_len,
        };
        if self.step == Step::Head {
            return Ok(Action::Fetch {
                source: Source::Manifest,
                offset: 0,
                len: SIGNED_LEN as u32,
            });
        }
        if let Step::Failed(error) = self.step {
            return Err(error);
        }
        let Some(Image {
            header, geometry, ..
        }) = &self.image
        else {
            return Err(TransferError::Sequence);
        };
        let (offset, len) = (header.raw_offset(self.chunk), header.raw_len(self.chunk));
        let hole = self.leaf.is_some_and(|leaf| leaf.kind == LeafKind::Hole);
        Ok(match self.step {
            Step::Page(level) => {
                let (index, _) = geometry.place(level, self.chunk);
                Action::Fetch {
                    source: Source::Manifest,
                    offset: geometry.page_offset(level, index),
                    len: geometry.page_len(level, index) as u32,
                }
            }
            Step::Data => data(self.leaf.as_ref().ok_or(TransferError::Sequence)?),
            Step::Decode => Action::Decode { raw_len: len },
            Step::Write if hole => Action::Zero { offset, len },
            Step::Write => Action::Write { offset, len },
            Step::ReadBack => Action::ReadBack { offset, len, hole },
            Step::Head | Step::Failed(_) | Step::Done => Action::Done,
        })
    }

    /// Returns the data fetch after the current chunk, if it is known. The caller can
    /// start it early, and passes its result when [`action`](Self::action) returns
    /// it.
    pub fn upcoming(&self) -> Option<Action> {
        let image = self.image.as_ref()?;
        let (page, place) = image.geometry.place(0, self.chunk);
        if self.held[0] != Some(page) || self.leaf.is_none() {
            return None;
        }
        let rest = (place + 1)..FANOUT as usize;
        rest.zip(self.chunk.checked_add(1)?..image.header.chunks)
            .filter_map(|(place, chunk)| self.leaf_at(&image.header, chunk, place).ok())
            .find(|leaf| leaf.kind != LeafKind::Hole)
            .map(|leaf| Action::Fetch {
                source: Source::Data,
                offset: leaf.offset,
                len: leaf.wire_len,
            })
    }

    /// Accepts the fetched bytes. After wrong bytes, the next action is the same
    /// fetch, up to [`MAX_REFETCH`] more times.
    ///
    /// # Errors
    /// The transfer failed.
    pub fn fetched(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        let Ok(Action::Fetch { len, .. }) = self.action() else {
            return self.fail(TransferError::Sequence);
        };
        self.stats.fetched_bytes = self.stats.fetched_bytes.saturating_add(bytes.len() as u64);
        self.failures = 0;
        if bytes.len() != len as usize {
            return self.refetch(TransferError::Manifest(ManifestError::TooShort));
        }
        match self.step {
            Step::Head => self.head(bytes),
            Step::Page(level) => self.page(level, bytes),
            Step::Data => {
                let leaf = self.leaf.ok_or(TransferError::Sequence)?;
                if sha256(bytes) != leaf.wire_hash && !cfg!(farrier_bug = "wrong-image") {
                    return self.refetch(TransferError::Chunk(self.chunk));
                }
                // The raw hash of a raw chunk is its wire hash.
                self.step = match leaf.kind {
                    LeafKind::Zstd => Step::Decode,
                    LeafKind::Raw | LeafKind::Hole => Step::Write,
                };
                Ok(())
            }
            _ => self.fail(TransferError::Sequence),
        }
    }

    /// Records a failed fetch. The caller waits before the next attempt; after
    /// [`MAX_FETCH_FAILURES`] consecutive failures the transfer fails.
    ///
    /// # Errors
    /// The transfer failed.
    pub fn fetch_failed(&mut self) -> Result<(), TransferError> {
        let Ok(Action::Fetch { .. }) = self.action() else {
            return self.fail(TransferError::Sequence);
        };
        self.stats.fetch_failures = self.stats.fetch_failures.saturating_add(1);
        self.failures += 1;
        if self.failures > MAX_FETCH_FAILURES {
            return self.fail(TransferError::Fetch);
        }
        Ok(())
    }

    /// Accepts the decoded chunk, `None` after a decoding error. A chunk that does
    /// not decode to the hashed bytes is fetched again.
    ///
    /// # Errors
    /// The transfer failed.
    pub fn decoded(&mut self, raw: Option<&[u8]>) -> Result<(), TransferError> {
        let (Step::Decode, Some(leaf)) = (self.step, self.leaf) else {
            return self.fail(TransferError::Sequence);
        };
        if raw.is_none_or(|raw| sha256(raw) != leaf.raw_hash) {
            self.step = Step::Data;
            return self.refetch(TransferError::Chunk(self.chunk));
        }
        self.step = Step::Write;
        Ok(())
    }

    /// Records that the chunk was written or zeroed. The caller ends the transfer
    /// after a failed write.
    ///
    /// # Errors
    /// The transfer failed.
    pub fn written(&mut self) -> Result<(), TransferError> {
        if self.step != Step::Write {
            return self.fail(TransferError::Sequence);
        }
        self.step = Step::ReadBack;
        Ok(())
    }

    /// Accepts the read-back and hashes it.
    ///
    /// # Errors
    /// The transfer failed.
    pub fn read_back(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        let leaf = self.leaf.ok_or(TransferError::Sequence)?;
        self.compared(sha256(bytes) == leaf.raw_hash)
    }

    /// Accepts whether the read-back equals the written bytes (for a hole: is all
    /// zero). Comparing is cheaper than hashing if the caller still has the verified
    /// chunk.
    ///
    /// # Errors
    /// The transfer failed.
    pub fn compared(&mut self, equal: bool) -> Result<(), TransferError> {
        let (Step::ReadBack, Some(image)) = (self.step, &self.image) else {
            return self.fail(TransferError::Sequence);
        };
        if !equal {
            if self.rewrites == MAX_REWRITE {
                return self.fail(TransferError::ReadBack(self.chunk));
            }
            self.rewrites += 1;
            self.stats.rewritten = self.stats.rewritten.saturating_add(1);
            let hole = self.leaf.is_some_and(|leaf| leaf.kind == LeafKind::Hole);
            self.step = if hole { Step::Write } else { Step::Data };
            return Ok(());
        }
        self.stats.verified_bytes += u64::from(image.header.raw_len(self.chunk));
        self.chunk += 1;
        self.rewrites = 0;
        self.refetches = 0;
        self.leaf = None;
        if self.chunk == image.header.chunks {
            self.step = Step::Done;
            return Ok(());
        }
        self.seek()
    }

    fn head(&mut self, bytes: &[u8]) -> Result<(), TransferError> {
        let header = match Header::verify(&self.key, self.root.as_ref(), bytes) {
            Ok(header) => header,
            Err(error) => return self.refetch(TransferError::Manifest(error)),
        };
        if header.raw_size > self.disk_size {
            return self.fail(TransferError::TooLarge);
        }
        let geometry = match header.geometry() {
            Ok(geometry) => geometry,
            Err(error) => return self.fail(TransferError::Manifest(error)),
        };
        let root = bytes
            .get(..crate::manifest::HEADER_LEN)
            .map(manifest_root)
            .unwrap_or_default();
        self.refetches = 0;
        self.image = Some(Image {
            header,
            geometry,
            root,
        });
        self.seek()
    }

    fn page(&mut self, level: u8, bytes: &[u8]) -> Result<(), TransferError> {
        let Some(image) = &self.image else {
            return self.fail(TransferError::Sequence);
        };
        let (index, _) = image.geometry.place(level, self.chunk);
        let expected = if level + 1 == image.geometry.depth() {
            Some(image.header.tree_root)
        } else {
            let (_, place) = image.geometry.place(level + 1, self.chunk);
            self.hash_pages
                .get(usize::from(level))
                .and_then(|page| page.get(place * HASH_LEN..)?.first_chunk().copied())
        };
        if expected != Some(page_hash(level, index, bytes)) {
            return self.refetch(TransferError::Manifest(ManifestError::PageHash));
        }
        let page: Option<&mut [u8]> = match level.checked_sub(1) {
            None => Some(&mut self.leaf_page),
            Some(above) => self
                .hash_pages
                .get_mut(usize::from(above))
                .map(|page| page.as_mut_slice()),
        };
        let (Some(page), Some(held)) = (
            page.and_then(|page| page.get_mut(..bytes.len())),
            self.held.get_mut(usize::from(level)),
        ) else {
            return self.fail(TransferError::Sequence);
        };
        page.copy_from_slice(bytes);
        *held = Some(index);
        self.refetches = 0;
        self.seek()
    }

    /// Returns the highest page on the path to the current chunk that is not cached,
    /// or the leaf of the chunk.
    fn seek(&mut self) -> Result<(), TransferError> {
        let Some(image) = &self.image else {
            return self.fail(TransferError::Sequence);
        };
        for level in (0..image.geometry.depth()).rev() {
            let (index, _) = image.geometry.place(level, self.chunk);
            if self.held.get(usize::from(level)) != Some(&Some(index)) {
                self.step = Step::Page(level);
                return Ok(());
            }
        }
        let (_, place) = image.geometry.place(0, self.chunk);
        match self.leaf_at(&image.header, self.chunk, place) {
            Ok(leaf) => {
                self.step = match leaf.kind {
                    LeafKind::Hole => Step::Write,
                    LeafKind::Raw | LeafKind::Zstd => Step::Data,
                };
                self.leaf = Some(leaf);
                Ok(())
            }
            // It is signed, so another fetch gives the same.
            Err(error) => self.fail(TransferError::Manifest(error)),
        }
    }

    fn leaf_at(&self, header: &Header, chunk: u32, place: usize) -> Result<Leaf, ManifestError> {
        let at = place * LEAF_LEN;
        let bytes = self
            .leaf_page
            .get(at..at + LEAF_LEN)
            .ok_or(ManifestError::TooShort)?;
        Leaf::parse(header, chunk, bytes)
    }

    fn refetch(&mut self, error: TransferError) -> Result<(), TransferError> {
        if self.refetches == MAX_REFETCH {
            return self.fail(error);
        }
        self.refetches += 1;
        self.stats.refetched = self.stats.refetched.saturating_add(1);
        Ok(())
    }

    fn fail(&mut self, error: TransferError) -> Result<(), TransferError> {
        // Keeps the first error.
        if !matches!(self.step, Step::Failed(_)) {
            self.step = Step::Failed(error);
        }
        Err(error)
    }
}
