//! Reads frames in order and skips invalid areas between them.

use embedded_storage_async::nor_flash::NorFlash;

use crate::format::{self, FRAME_OVERHEAD, Found, Frame, Header, KIND_SEAL, SEAL};
use crate::{Journal, MAX_WORD};

/// Bytes of one read, a multiple of every word size.
pub(crate) const WINDOW: usize = 160;
/// Bytes of the first read behind a frame: its successor's head, and a seal.
const PEEK: u32 = 64;

/// The position of a frame: sector number and offset. Later positions are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Spot {
    pub(crate) sector: u32,
    pub(crate) offset: u32,
}

impl Spot {
    pub(crate) fn behind(self, bytes: u32) -> Spot {
        Spot {
            offset: self.offset + bytes,
            ..self
        }
    }
}

/// The position and results of a scan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan {
    pub(crate) spot: Spot,
    /// The last sector of the journal.
    pub(crate) last: u32,
    /// Whether the sector's header was read.
    entered: bool,
    /// Whether the scan is in an invalid area.
    in_garbage: bool,
    /// Number of invalid areas.
    pub(crate) garbage: u32,
    /// Number of sectors without a header that were not given up.
    pub(crate) missing: u32,
    /// End of the last valid frame.
    ended: Option<Spot>,
    /// Index of the last seal, until the mount takes it.
    pub(crate) sealed: Option<u8>,
    /// Number of seals whose frames are invalid.
    pub(crate) broken: u32,
    /// The sector of the last of them.
    pub(crate) broken_in: Option<u32>,
    /// Number of sectors without a header since the last one with a header.
    without: u32,
    /// End of the last word of the current sector that is not erased.
    pub(crate) frontier: u32,
}

impl Scan {
    pub(crate) fn new(first: u32, last: u32) -> Self {
        Scan {
            spot: Spot {
                sector: first,
                offset: 0,
            },
            last,
            entered: false,
            in_garbage: false,
            garbage: 0,
            missing: 0,
            ended: None,
            sealed: None,
            broken: 0,
            broken_in: None,
            without: 0,
            frontier: 0,
        }
    }

    /// Creates a scan of a sector without a header.
    pub(crate) fn without_header(sector: u32) -> Self {
        let mut scan = Scan::new(sector, sector);
        scan.entered = true;
        scan.spot.offset = Header::LEN as u32;
        scan
    }

    fn next_sector(&mut self) {
        self.spot.sector += 1;
        self.spot.offset = 0;
        self.entered = false;
    }
}

impl<F: NorFlash> Journal<F> {
    pub(crate) async fn header(&mut self, sector: u32) -> Result<Found, F::Error> {
        let mut bytes = [0; Header::LEN];
        let at = self.place(sector);
        self.flash.read(at, &mut bytes).await?;
        Ok(Header::read(&bytes))
    }

    /// Returns the next valid frame.
    pub(crate) async fn next(
        &mut self,
        scan: &mut Scan,
    ) -> Result<Option<(Spot, Frame)>, F::Error> {
        // Tries every word; most are rejected by the first comparison.
        let mut window = [0; WINDOW];
        let mut window_at = u32::MAX;
        let mut window_end = 0;
        let mut reach = PEEK;
        loop {
            if scan.spot.sector > scan.last {
                return Ok(None);
            }
            if !scan.entered {
                let found = self.header(scan.spot.sector).await?;
                let header = match found {
                    Found::Header(header) if header.sector == scan.spot.sector => header,
                    _ => {
                        scan.without += 1;
                        scan.next_sector();
                        continue;
                    }
                };
                let given_up = match header.before {
                    0 => 0,
                    before => (header.sector - 1).saturating_sub(before),
                };
                scan.missing += scan.without.saturating_sub(given_up);
                scan.without = 0;
                scan.entered = true;
                scan.in_garbage = false;
                scan.spot.offset = Header::LEN as u32;
                scan.frontier = Header::LEN as u32;
                window_at = u32::MAX;
            }
            let Spot { sector, offset } = scan.spot;
            if offset >= Self::SECTOR {
                // Only the frontier of the last sector is needed.
                if sector == scan.last {
                    return Ok(None);
                }
                scan.next_sector();
                continue;
            }
            if offset < window_at || offset + SEAL as u32 > window_end {
                let length = (Self::SECTOR - offset).min(reach);
                let at = self.place(sector) + offset;
                let (room, rest) = window.split_at_mut(length as usize);
                self.flash.read(at, room).await?;
                // Behind the end of the sector.
                rest.fill(0xff);
                window_at = offset;
                window_end = offset + reach;
                reach = WINDOW as u32;
            }
            let from = (offset - window_at) as usize;
            let step = Self::WORD;
            let word = window.get(from..from + step as usize).unwrap_or_default();
            if word.len() == step as usize && word.iter().all(|b| *b == 0xff) {
                scan.spot.offset += step;
                scan.in_garbage = false;
                continue;
            }
            let seal = window.get(from..from + SEAL);
            if let Some(&[0, 0, KIND_SEAL, index, ..]) = seal {
                // The second word of a torn frame may be programmed and
                // read as erased.
                scan.frontier = scan.frontier.max((offset + Self::SEAL).min(Self::SECTOR));
                if seal == Some(&format::seal(sector, index)) {
                    if scan.ended != Some(scan.spot) {
                        scan.broken += 1;
                        scan.broken_in = Some(sector);
                    }
                    scan.sealed = Some(index);
                    scan.in_garbage = false;
                    scan.spot.offset += Self::SEAL;
                    continue;
                }
            }
            let head = window
                .get(from..from + 4)
                .and_then(|b| b.first_chunk::<4>())
                .copied();
            let frame = head
                .and_then(Frame::read)
                .filter(|frame| offset + frame.size(Self::WORD) <= Self::SECTOR);
            let mut touched = offset + Self::WORD;
            if let Some(frame) = frame {
                let end = offset + frame.size(Self::WORD);
                if self.verify(sector, offset, frame).await {
                    scan.spot.offset = end;
                    scan.frontier = scan.frontier.max(end);
                    scan.in_garbage = false;
                    scan.ended = Some(scan.spot);
                    return Ok(Some((Spot { sector, offset }, frame)));
                }
                // Torn behind its head. Some of its words may be programmed
                // and read as erased, as bytes of ones do.
                if !scan.in_garbage {
                    touched = end;
                }
            }
            if !scan.in_garbage {
                scan.in_garbage = true;
                scan.garbage += 1;
            }
            scan.spot.offset += Self::WORD;
            scan.frontier = scan.frontier.max(touched);
        }
    }

    /// Returns whether the frame at this position is valid.
    pub(crate) async fn verify(&mut self, sector: u32, offset: u32, frame: Frame) -> bool {
        let start = self.place(sector) + offset;
        let length = u32::from(frame.body) + FRAME_OVERHEAD;
        let end = length - 4;
        let mut digest = format::digest(sector);
        let mut stored = [0; 4];
        let mut at = 0;
        while at < length {
            let size = (length - at)
                .min(WINDOW as u32)
                .next_multiple_of(Self::WORD) as usize;
            let Some(room) = self.window.get_mut(..size) else {
                return false;
            };
            if self.flash.read(start + at, room).await.is_err() {
                return false;
            }
            if at == 0 && !room.starts_with(&frame.to_bytes()) {
                return false;
            }
            let bytes = room.get(..(length - at) as usize).unwrap_or(room);
            let covered = (end.saturating_sub(at) as usize).min(bytes.len());
            let (body, crc) = bytes.split_at(covered);
            digest.update(body);
            let crc_from = (at + covered as u32).saturating_sub(end) as usize;
            for (to, from) in stored.iter_mut().skip(crc_from).zip(crc) {
                *to = *from;
            }
            at += size as u32;
        }
        digest.finalize() == u32::from_le_bytes(stored)
    }

    /// Reads bytes of a valid frame.
    pub(crate) async fn read(
        &mut self,
        spot: Spot,
        from: u32,
        to: &mut [u8],
    ) -> Result<(), F::Error> {
        let mut done = 0;
        while done < to.len() {
            let at = self.place(spot.sector) + spot.offset + from + done as u32;
            let aligned = at / Self::WORD * Self::WORD;
            let skip = (at - aligned) as usize;
            let size = (skip + to.len() - done)
                .next_multiple_of(Self::WORD as usize)
                .min(WINDOW / MAX_WORD * MAX_WORD);
            let room = self.window.get_mut(..size).unwrap_or_default();
            self.flash.read(aligned, room).await?;
            let bytes = room.get(skip..).unwrap_or_default();
            let rest = to.get_mut(done..).unwrap_or_default();
            let count = bytes.len().min(rest.len());
            if let Some((to, from)) = rest.get_mut(..count).zip(bytes.get(..count)) {
                to.copy_from_slice(from);
            }
            done += count;
        }
        Ok(())
    }
}
