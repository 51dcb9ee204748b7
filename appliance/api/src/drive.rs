//! A config drive on its way to the block device: cut into pieces, each
//! sealed under the request's key.

use farrier_asset_store::DrivePlace;
use farrier_core::interface::StoredConfigDrive;
use farrier_protocol::message::ConfigDriveFormat;
use farrier_protocol::sealed::{Layout, MAX_PLAIN, PLAIN_PIECE, SEALED_PIECE};

/// A piece can't be sealed: the text is longer than was checked before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotSealed;

/// The piece at hand. Whether a piece is the last one is known when another
/// byte comes, so there is room for that one as well.
#[derive(Debug)]
pub(crate) struct Drive {
    key: [u8; 32],
    pub(crate) place: DrivePlace,
    piece: [u8; SEALED_PIECE],
    /// Bytes of plain text in it.
    filled: u16,
    next: Option<u8>,
    /// Its place in the whole.
    index: u32,
    /// Its bytes once it is sealed.
    sealed: Option<u16>,
}

impl Drive {
    pub(crate) const fn new(key: [u8; 32], place: DrivePlace) -> Self {
        Self {
            key,
            place,
            piece: [0; SEALED_PIECE],
            filled: 0,
            next: None,
            index: 0,
            sealed: None,
        }
    }

    /// Bytes that can be taken.
    pub(crate) fn room(&self) -> usize {
        match self.next {
            Some(_) => 0,
            None => PLAIN_PIECE + 1 - usize::from(self.filled),
        }
    }

    /// Takes text; at most as much as there is room for.
    pub(crate) fn take(&mut self, text: &[u8]) {
        debug_assert!(text.len() <= self.room(), "there is room");
        for byte in text {
            match self.piece.get_mut(usize::from(self.filled)) {
                Some(place) if usize::from(self.filled) < PLAIN_PIECE => {
                    *place = *byte;
                    self.filled += 1;
                }
                _ => self.next = Some(*byte),
            }
        }
    }

    /// Whether the piece is full and another one follows.
    pub(crate) const fn is_full(&self) -> bool {
        self.next.is_some()
    }

    /// Seals the piece. `length` is that of the whole; `None` where more
    /// follows.
    pub(crate) fn seal(&mut self, length: Option<u32>) -> Result<(), NotSealed> {
        if self.sealed.is_some() {
            return Ok(());
        }
        // A piece that is not the last is the same whatever follows.
        let layout = Layout::new(length.unwrap_or(MAX_PLAIN)).map_err(|_| NotSealed)?;
        let sealed = layout
            .seal(&self.key, self.index, &mut self.piece)
            .map_err(|_| NotSealed)?;
        self.sealed = u16::try_from(sealed.len()).ok();
        Ok(())
    }

    /// The sealed piece, and where it goes in its place of the slot.
    pub(crate) fn sealed(&self) -> Option<(u64, &[u8])> {
        let piece = self.piece.get(..usize::from(self.sealed?))?;
        Some((u64::from(self.index) * SEALED_PIECE as u64, piece))
    }

    /// The piece is stored: the next one begins.
    pub(crate) fn stored(&mut self) {
        self.sealed = None;
        self.index += 1;
        self.filled = 0;
        if let Some(byte) = self.next.take() {
            self.take(&[byte]);
        }
    }

    /// The whole drive as core keeps it.
    pub(crate) const fn to_stored(
        &self,
        length: u32,
        format: ConfigDriveFormat,
    ) -> StoredConfigDrive {
        StoredConfigDrive {
            length,
            key: self.key,
            format,
            place: self.place,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// What is sealed while its length is unknown opens once it is known.
    #[test]
    fn pieces_open_in_the_layout_of_the_whole() {
        for length in [1, 1007, 1008, 1009, 2016, 2017, 5000] {
            let text: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let mut drive = Drive::new([5; 32], DrivePlace::First);
            let mut stored = Vec::new();
            let mut rest = &text[..];
            let mut store = |drive: &mut Drive, length| {
                drive.seal(length).unwrap();
                let (at, piece) = drive.sealed().unwrap();
                assert_eq!(at as usize, stored.len());
                stored.extend_from_slice(piece);
                drive.stored();
            };
            while !rest.is_empty() {
                if drive.is_full() {
                    store(&mut drive, None);
                }
                let (now, later) = rest.split_at(drive.room().min(100).min(rest.len()));
                drive.take(now);
                rest = later;
            }
            if drive.is_full() {
                store(&mut drive, None);
            }
            store(&mut drive, Some(length));

            let layout = Layout::new(length).unwrap();
            assert_eq!(stored.len(), layout.sealed_len() as usize);
            let mut opened = Vec::new();
            for (piece, index) in stored.chunks_mut(SEALED_PIECE).zip(0..) {
                opened.extend_from_slice(layout.open(&[5; 32], index, piece).unwrap());
            }
            assert_eq!(opened, text);
        }
    }
}
