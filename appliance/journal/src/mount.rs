//! Finding the journal again after a reset.
//!
//! A power cut may leave the last word that was programmed in any state,
//! also in one that reads differently from one day to the next. So a mount
//! decides once what counts and writes that down: a frame of its own says
//! from where on everything is void, and the last frame that counts is
//! written once more. Words near the end of what was found are not used:
//! one of them may have been touched.

use embedded_storage_async::nor_flash::NorFlash;

use crate::format::{
    self, Found, Frame, Header, KIND_MOUNTED, KIND_RECORDS, KIND_SWEEP, MOUNTED_PREFIX,
    SWEEP_PREFIX, VERSION,
};
use crate::scan::{Scan, Spot};
use crate::sweep::Sweep;
use crate::{AppendError, Journal, MAX_RECORD, MAX_WORD, MIN_SECTORS, TRIES, Writer};

/// Flash that programs pages may touch a whole one: so many bytes. A mount
/// goes on behind the page that the journal was found to end in.
const PAGE: u32 = 256;

/// Why there is no journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountError {
    /// The flash has fewer than [`MIN_SECTORS`] sectors.
    TooSmall,
    /// The flash can not be read.
    Read,
    /// The flash takes nothing any more.
    Write,
    /// The journal was written by firmware that knows a newer version of
    /// the format. It was left as it is.
    Newer(u8),
    /// The journal was made with sectors of another size, in bytes. It was
    /// left as it is.
    SectorSize(u32),
}

impl From<AppendError> for MountError {
    fn from(_: AppendError) -> Self {
        MountError::Write
    }
}

/// What a mount found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mounted {
    /// There was no journal; this is a new one.
    pub new: bool,
    /// Records that were given back.
    pub records: u32,
    /// Frames that must have been there and are not: the flash has lost
    /// bits. A power cut alone does not show here.
    pub damaged: u32,
    /// Places that are neither a frame nor erased: what power cuts tore,
    /// and what is damaged.
    pub torn: u32,
}

/// What became of a frame that is written once more.
enum Copied {
    Whole,
    /// What was to be copied does not read as whole any longer.
    Torn,
    /// The flash did not take it.
    NotHeld,
}

/// How many mounts in a row may be cut off while they write the last frame
/// once more, each so that the copy reads as whole once and then not.
const COPIES: usize = 4;

impl<F: NorFlash> Journal<F> {
    /// Opens the journal on a flash device and gives every record to
    /// `apply`, in order. Makes a new one where there is none.
    ///
    /// `layout` tells arrangements of the owner's state from one another: a
    /// sweep that was begun under another one starts again.
    ///
    /// # Errors
    /// [`MountError`].
    pub async fn mount(
        flash: F,
        layout: u16,
        mut apply: impl FnMut(&[u8]),
    ) -> Result<(Self, Mounted), MountError> {
        let () = Self::FITS;
        let sectors = u32::try_from(flash.capacity()).unwrap_or(u32::MAX) / Self::SECTOR;
        if sectors < MIN_SECTORS {
            return Err(MountError::TooSmall);
        }
        let mut journal = Journal {
            flash,
            sectors,
            head: 0,
            opened: 0,
            offset: Self::SECTOR,
            base: 1,
            run: 1,
            index: 0,
            ready: false,
            broken: false,
            given_up: 0,
            sweep: Sweep::new(layout),
        };
        let mut report = Mounted::default();
        match journal.find_head().await? {
            None => {
                report.new = true;
                // A first sector without its header is no new flash.
                if let Some(lost) = journal.goes_on_behind(0).await {
                    journal.pass_over(lost);
                    report.damaged = 1;
                }
                journal.open(true).await?;
            }
            Some(head) => journal.replay(head, &mut report, &mut apply).await?,
        }
        Ok((journal, report))
    }

    async fn find_head(&mut self) -> Result<Option<Header>, MountError> {
        let mut head: Option<Header> = None;
        for place in 0..self.sectors {
            match self.header(place).await.map_err(|_| MountError::Read)? {
                Found::Header(header) if header.size != Self::SECTOR => {
                    return Err(MountError::SectorSize(header.size));
                }
                Found::Header(header) if header.sector % self.sectors == place => {
                    if head.is_none_or(|h| h.sector < header.sector) {
                        head = Some(header);
                    }
                }
                Found::Newer(version) => return Err(MountError::Newer(version)),
                Found::Header(_) | Found::Nothing => {}
            }
        }
        Ok(head)
    }

    async fn replay(
        &mut self,
        head: Header,
        report: &mut Mounted,
        apply: &mut impl FnMut(&[u8]),
    ) -> Result<(), MountError> {
        self.head = head.sector;
        self.opened = head.sector;
        self.base = head.base;
        let mut run = head.run;
        let mut scan = Scan::new(head.base, head.sector);
        // The last frame with records is held until it is known that no
        // mount has declared it void.
        let mut held: Option<(Spot, Frame)> = None;
        // What it is a copy of, the newest first: a copy may turn out torn.
        let mut originals: [Option<(Spot, Frame)>; COPIES] = [None; COPIES];
        let mut index: Option<u8> = None;
        let mut in_head = false;
        while let Some((spot, frame)) = self.next(&mut scan).await.map_err(|_| MountError::Read)? {
            in_head = spot.sector == head.sector;
            // A frame that is lost is told by its seal, or by its index.
            index = scan.sealed.take().or(index);
            let expected = index.map(|i: u8| i.wrapping_add(1));
            index = Some(frame.index);
            if frame.kind == KIND_MOUNTED {
                let (mounted, void) = self.mounted(spot).await?;
                run = run.max(mounted);
                held = held.filter(|(at, _)| *at < void);
                if usize::from(frame.body) <= MOUNTED_PREFIX {
                    continue;
                }
                // It holds the last frame before it once more.
                for original in &mut originals {
                    *original = original.filter(|(at, _)| *at < void);
                }
                if held.is_some_and(|(at, frame)| at.behind(frame.size(Self::WORD)) >= void) {
                    originals.rotate_right(1);
                    originals[0] = held.take();
                }
            } else {
                originals = [None; COPIES];
                if let Some(expected) = expected {
                    report.damaged += u32::from(frame.index.wrapping_sub(expected));
                }
            }
            if let Some((at, frame)) = held.replace((spot, frame)) {
                report.records += self.give(at, frame, apply).await?;
            }
        }
        report.torn = scan.garbage;
        report.damaged += scan.missing + scan.broken;
        let lost = self.goes_on_behind(head.sector).await;
        report.damaged += u32::from(lost.is_some());
        self.index = scan.sealed.or(index).unwrap_or(0);
        // What is lost may have been mounts: no number comes twice.
        self.run = run.saturating_add(1).saturating_add(report.damaged);
        // Where a seal lies, the header was sound before it.
        in_head |= scan.broken_in == Some(head.sector);
        if let Some(lost) = lost {
            self.pass_over(lost);
        } else if in_head && head.version < VERSION {
            // Older firmware does not know what would come now.
            self.offset = Self::SECTOR;
        } else if in_head {
            let page = (scan.frontier / PAGE + 1) * PAGE;
            self.offset = page.min(Self::SECTOR);
        } else {
            // Nothing was written behind the header: it may be the word that
            // the cut has torn.
            let head = Header {
                version: VERSION,
                ..head
            };
            let again = self.prepare(head.sector).await.is_ok() && self.write_header(head).await;
            self.ready = false;
            if again {
                self.offset = Header::LEN as u32;
            } else {
                // Worn out meanwhile: the next sector takes its place.
                self.given_up = self.given_up.saturating_add(1);
                self.opened = head.before;
                self.offset = Self::SECTOR;
            }
        }
        let mut void = Spot {
            sector: head.base,
            offset: 0,
        };
        for (spot, frame) in [held].into_iter().chain(originals).flatten() {
            let end = spot.behind(frame.size(Self::WORD));
            if let Some((at, copy)) = self.settle(spot, frame, end).await? {
                report.records += self.give(at, copy, apply).await?;
                return Ok(());
            }
            // It was whole a moment ago and is not now: a torn word that
            // reads this way and that. Records like that were never
            // acknowledged; of an earlier mount's copy the original is whole.
            void = spot;
        }
        let body = mounted_prefix(self.run, void, 0);
        self.frame(
            KIND_MOUNTED,
            &body[..MOUNTED_PREFIX],
            core::iter::empty(),
            0,
            true,
        )
        .await?;
        Ok(())
    }

    /// The last of the sectors behind what seems to be the last one in which
    /// frames lie: its header is lost. What a cut leaves of a new sector has
    /// none.
    async fn goes_on_behind(&mut self, head: u32) -> Option<u32> {
        let mut last = None;
        for sector in head + 1..=head + TRIES {
            let lost = matches!(self.header(sector).await, Ok(Found::Nothing));
            let mut scan = Scan::without_header(sector);
            if lost && matches!(self.next(&mut scan).await, Ok(Some(_))) {
                last = Some(sector);
            }
        }
        last
    }

    /// Goes on behind a sector whose header is lost, and leaves it as it is:
    /// what it tells has to be told again, should this mount be cut off.
    fn pass_over(&mut self, lost: u32) {
        self.head = lost;
        self.opened = lost;
        self.offset = Self::SECTOR;
    }

    async fn mounted(&mut self, spot: Spot) -> Result<(u32, Spot), MountError> {
        let mut body = [0; MOUNTED_PREFIX];
        self.read(spot, Frame::LEN as u32, &mut body)
            .await
            .map_err(|_| MountError::Read)?;
        let [r0, r1, r2, r3, s0, s1, s2, s3, o0, o1, o2, o3] = body;
        let void = Spot {
            sector: u32::from_le_bytes([s0, s1, s2, s3]),
            offset: u32::from_le_bytes([o0, o1, o2, o3]),
        };
        Ok((u32::from_le_bytes([r0, r1, r2, r3]), void))
    }

    /// Where the records of a frame begin, counted from its body, and
    /// whether they are out of a sweep.
    async fn inner(&mut self, spot: Spot, frame: Frame) -> Result<(u32, bool), MountError> {
        if frame.kind != KIND_MOUNTED {
            return Ok((0, frame.kind == KIND_SWEEP));
        }
        let mut kind = [0];
        let at = (Frame::LEN + MOUNTED_PREFIX) as u32;
        self.read(spot, at, &mut kind)
            .await
            .map_err(|_| MountError::Read)?;
        Ok((MOUNTED_PREFIX as u32 + 1, kind[0] == KIND_SWEEP))
    }

    /// Writes down what this mount has taken for the journal's end, with the
    /// last frame once more. `None` where that frame does not read as whole
    /// any longer.
    async fn settle(
        &mut self,
        spot: Spot,
        frame: Frame,
        end: Spot,
    ) -> Result<Option<(Spot, Frame)>, MountError> {
        let (skip, sweep) = self.inner(spot, frame).await?;
        let kind = if sweep { KIND_SWEEP } else { KIND_RECORDS };
        let prefix = mounted_prefix(self.run, end, kind);
        let rest = u32::from(frame.body) - skip;
        let copy = Frame {
            kind: KIND_MOUNTED,
            index: self.index.wrapping_add(1),
            body: (rest + prefix.len() as u32) as u16,
        };
        let size = copy.size(Self::WORD);
        let both = size + Self::SEAL;
        // Once more in another sector where the flash does not hold it: it
        // wears out, or an earlier mount was cut off at the very first word
        // of its copy, which reads as erased and takes nothing any more.
        for _ in 0..3 {
            if self.offset + both > Self::SECTOR {
                self.open(true).await?;
            }
            let at = Spot {
                sector: self.head,
                offset: self.offset,
            };
            self.offset += both;
            let front = Frame::LEN as u32 + skip;
            match self.copy((spot, frame), front, (at, copy), &prefix).await? {
                Copied::Whole if self.seal(at.offset + size, copy.index).await => {
                    self.index = copy.index;
                    return Ok(Some((at, copy)));
                }
                Copied::Torn => return Ok(None),
                Copied::Whole | Copied::NotHeld => {
                    self.given_up = self.given_up.saturating_add(1);
                    self.offset = Self::SECTOR;
                }
            }
        }
        Err(MountError::Write)
    }

    /// Writes a frame once more, from its records on, which begin `front`
    /// bytes behind its beginning.
    async fn copy(
        &mut self,
        (spot, frame): (Spot, Frame),
        front: u32,
        (at, copy): (Spot, Frame),
        prefix: &[u8],
    ) -> Result<Copied, MountError> {
        let mut crc = format::digest(at.sector);
        let mut original = format::digest(spot.sector);
        let mut room = [0; Frame::LEN + MOUNTED_PREFIX + 1];
        let skipped = room.get_mut(..front as usize).ok_or(MountError::Read)?;
        self.read(spot, 0, skipped)
            .await
            .map_err(|_| MountError::Read)?;
        original.update(skipped);
        let mut writer = Writer::new(self.place(at.sector) + at.offset);
        for bytes in [&copy.to_bytes()[..], prefix] {
            crc.update(bytes);
            if writer.put(&mut self.flash, bytes).await.is_err() {
                return Ok(Copied::NotHeld);
            }
        }
        let mut place = front;
        let end = Frame::LEN as u32 + u32::from(frame.body);
        let mut piece = [0; MAX_WORD];
        while place < end {
            let length = ((end - place) as usize).min(piece.len());
            let piece = piece.get_mut(..length).ok_or(MountError::Read)?;
            self.read(spot, place, piece)
                .await
                .map_err(|_| MountError::Read)?;
            crc.update(piece);
            original.update(piece);
            if writer.put(&mut self.flash, piece).await.is_err() {
                return Ok(Copied::NotHeld);
            }
            place += length as u32;
        }
        let mut stored = [0; 4];
        self.read(spot, end, &mut stored)
            .await
            .map_err(|_| MountError::Read)?;
        if original.finalize() != u32::from_le_bytes(stored) {
            // Left without its CRC, the copy is none.
            return Ok(Copied::Torn);
        }
        let crc = crc.finalize().to_le_bytes();
        let held = writer.put(&mut self.flash, &crc).await.is_ok()
            && writer.close(&mut self.flash).await.is_ok()
            && self.verify(at.sector, at.offset, copy).await;
        Ok(if held { Copied::Whole } else { Copied::NotHeld })
    }

    /// Gives a frame's records to their owner; returns how many.
    async fn give(
        &mut self,
        spot: Spot,
        frame: Frame,
        apply: &mut impl FnMut(&[u8]),
    ) -> Result<u32, MountError> {
        let end = Frame::LEN as u32 + u32::from(frame.body);
        let (skip, sweep) = self.inner(spot, frame).await?;
        let mut at = Frame::LEN as u32 + skip;
        if sweep {
            let mut prefix = [0; SWEEP_PREFIX];
            self.read(spot, at, &mut prefix)
                .await
                .map_err(|_| MountError::Read)?;
            self.sweep.seen(spot.sector, self.base, prefix);
            at += SWEEP_PREFIX as u32;
        } else {
            self.sweep.owe(frame.size(Self::WORD));
        }
        let mut count = 0;
        let mut record = [0; MAX_RECORD];
        while at < end {
            let mut length = [0; 1];
            self.read(spot, at, &mut length)
                .await
                .map_err(|_| MountError::Read)?;
            let Some(room) = record.get_mut(..usize::from(length[0])) else {
                break;
            };
            self.read(spot, at + 1, room)
                .await
                .map_err(|_| MountError::Read)?;
            apply(room);
            count += 1;
            at += 1 + u32::from(length[0]);
        }
        Ok(count)
    }
}

/// The front of a mount's frame; the last byte is the kind of the frame that
/// it holds once more.
fn mounted_prefix(run: u32, void: Spot, kind: u8) -> [u8; MOUNTED_PREFIX + 1] {
    let mut body = [kind; MOUNTED_PREFIX + 1];
    body[..4].copy_from_slice(&run.to_le_bytes());
    body[4..8].copy_from_slice(&void.sector.to_le_bytes());
    body[8..12].copy_from_slice(&void.offset.to_le_bytes());
    body
}
