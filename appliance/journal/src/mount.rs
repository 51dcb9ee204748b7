//! Mounts the journal after a reset.
//!
//! A power cut can leave the last programmed word in any state, also in one that
//! reads differently each time. A mount therefore decides once where the journal
//! ends and writes a frame with the decision: the position from which everything
//! is void, and a copy of the last valid frame. It does not use the words near
//! the end, because a power cut may have touched one of them.

use embedded_storage_async::nor_flash::NorFlash;

use crate::format::{
    self, Found, Frame, Header, KIND_MOUNTED, KIND_RECORDS, KIND_SWEEP, MOUNTED_PREFIX,
    SWEEP_PREFIX,
};
use crate::scan::{Scan, Spot};
use crate::sweep::Sweep;
use crate::{AppendError, Journal, MAX_RECORD, MAX_WORD, MIN_SECTORS, TRIES, Writer};

/// Size of a page in bytes. Flash that programs pages can touch a whole one, so a
/// mount continues behind the page in which the journal ends.
const PAGE: u32 = 256;

/// Why a mount failed. The flash is unchanged after every error but
/// [`Write`](Self::Write).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MountError {
    /// The flash has fewer than [`MIN_SECTORS`] sectors.
    TooSmall,
    /// A read failed.
    Read,
    /// A write failed in several sectors.
    Write,
    /// The journal has another version of the format.
    Version(u8),
    /// The journal has sectors of another size, in bytes.
    SectorSize(u32),
    /// The header of a sector is valid and impossible: the journal would have more
    /// sectors than the flash.
    Header {
        /// The sector's number.
        sector: u32,
        /// The number of the journal's first sector.
        base: u32,
    },
}

impl From<AppendError> for MountError {
    fn from(_: AppendError) -> Self {
        MountError::Write
    }
}

/// The result of a mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mounted {
    /// The flash had no journal; the mount created one.
    pub new: bool,
    /// Number of records.
    pub records: u32,
    /// Number of frames that are missing although they were complete: the flash
    /// lost bits. A power cut does not increase it.
    pub damaged: u32,
    /// Number of areas that are neither a frame nor erased, after power cuts or a
    /// loss of bits.
    pub torn: u32,
}

/// The result of copying a frame.
enum Copied {
    Valid,
    /// The original is not valid any more.
    Torn,
    /// The write or its read-back failed.
    Failed,
}

/// Number of consecutive mounts that a power cut may interrupt while they copy the
/// last frame, each with a copy that is valid at one read and invalid at the next.
const COPIES: usize = 4;

impl<F: NorFlash> Journal<F> {
    /// Mounts the journal on a flash device and calls `apply` with every live record
    /// in order. Creates a journal if there is none.
    ///
    /// `layout` identifies the order of the state's records. A sweep that started
    /// with another layout starts again.
    ///
    /// # Errors
    /// See [`MountError`].
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
            window: [0; crate::scan::WINDOW],
        };
        let mut report = Mounted::default();
        match journal.find_head().await? {
            None => {
                report.new = true;
                // If the first sector lost its header, the flash is not new.
                if let Some(lost) = journal.find_headless(0).await {
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
                Found::Header(Header { sector, base, .. })
                    if sector.saturating_sub(base) >= self.sectors =>
                {
                    return Err(MountError::Header { sector, base });
                }
                Found::Header(header) if header.sector % self.sectors == place => {
                    if head.is_none_or(|h| h.sector < header.sector) {
                        head = Some(header);
                    }
                }
                Found::OtherVersion(version) => return Err(MountError::Version(version)),
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
        // The last frame with records, until it is certain that no later mount
        // declares it void.
        let mut held: Option<(Spot, Frame)> = None;
        // Its originals, the newest first: a copy can turn out invalid.
        let mut originals: [Option<(Spot, Frame)>; COPIES] = [None; COPIES];
        let mut index: Option<u8> = None;
        let mut in_head = false;
        // Behind the last frame that was applied. No mount frame may declare
        // void what lies before it.
        let mut applied = Spot {
            sector: head.base,
            offset: 0,
        };
        while let Some((spot, frame)) = self.next(&mut scan).await.map_err(|_| MountError::Read)? {
            in_head = spot.sector == head.sector;
            // A seal or a gap in the indexes shows a lost frame.
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
                // It has a copy of the last frame before it.
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
                applied = at.behind(frame.size(Self::WORD));
                report.records += self.apply_frame(at, frame, apply).await?;
            }
        }
        report.torn = scan.garbage;
        report.damaged += scan.missing + scan.broken;
        let lost = self.find_headless(head.sector).await;
        report.damaged += u32::from(lost.is_some());
        self.index = scan.sealed.or(index).unwrap_or(0);
        // The lost frames may have been mounts. Run numbers must not repeat.
        self.run = run.saturating_add(1).saturating_add(report.damaged);
        // A sector with a seal had a valid header.
        in_head |= scan.broken_in == Some(head.sector);
        if let Some(lost) = lost {
            self.pass_over(lost);
        } else if in_head {
            let page = (scan.frontier / PAGE + 1) * PAGE;
            self.offset = page.min(Self::SECTOR);
        } else {
            // The sector has only its header, which the power cut may have
            // touched: writes it again.
            let again = self.prepare(head.sector).await.is_ok() && self.write_header(head).await;
            self.ready = false;
            if again {
                self.offset = Header::LEN as u32;
            } else {
                // The sector is worn out: continues in the next one.
                self.given_up = self.given_up.saturating_add(1);
                self.opened = head.before;
                self.offset = Self::SECTOR;
            }
        }
        let mut void = applied;
        for (spot, frame) in [held].into_iter().chain(originals).flatten() {
            let end = spot.behind(frame.size(Self::WORD));
            if let Some((at, copy)) = self.settle(spot, frame, end).await? {
                report.records += self.apply_frame(at, copy, apply).await?;
                return Ok(());
            }
            // The frame was valid and is not any more: it has a torn word that
            // reads differently each time. Such records were not acknowledged.
            // If it is a copy of an earlier mount, the original is valid.
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

    /// Returns the last sector behind `head` that has frames but no header: its
    /// header is lost. A sector whose opening was cut has no frames.
    async fn find_headless(&mut self, head: u32) -> Option<u32> {
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

    /// Continues behind a sector whose header is lost. Leaves the sector unchanged,
    /// so that the next mount reports the loss if a power cut ends this one.
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

    /// Returns the offset of the records in the body of a frame, and whether they
    /// are of a sweep.
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

    /// Writes a mount frame with the end of the journal and a copy of the last
    /// frame. Returns `None` if the last frame is not valid any more.
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
        // After a failed read-back it tries another sector: the sector is worn
        // out, or a power cut ended an earlier mount at the first word of its
        // copy, which reads as erased but can't be programmed.
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
                Copied::Valid if self.seal(at.offset + size, copy.index).await => {
                    self.index = copy.index;
                    return Ok(Some((at, copy)));
                }
                Copied::Torn => return Ok(None),
                Copied::Valid | Copied::Failed => {
                    self.given_up = self.given_up.saturating_add(1);
                    self.offset = Self::SECTOR;
                }
            }
        }
        Err(MountError::Write)
    }

    /// Copies a frame from its records on, which start `front` bytes behind its
    /// start.
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
                return Ok(Copied::Failed);
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
                return Ok(Copied::Failed);
            }
            place += length as u32;
        }
        let mut stored = [0; 4];
        self.read(spot, end, &mut stored)
            .await
            .map_err(|_| MountError::Read)?;
        if original.finalize() != u32::from_le_bytes(stored) {
            // The copy has no CRC and is invalid.
            return Ok(Copied::Torn);
        }
        let crc = crc.finalize().to_le_bytes();
        let held = writer.put(&mut self.flash, &crc).await.is_ok()
            && writer.close(&mut self.flash).await.is_ok()
            && self.verify(at.sector, at.offset, copy).await;
        Ok(if held { Copied::Valid } else { Copied::Failed })
    }

    /// Calls `apply` with the records of a frame. Returns their number.
    async fn apply_frame(
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
        // A record behind its length.
        let mut piece = [0; 1 + MAX_RECORD];
        while at < end {
            let most = (end - at).min(piece.len() as u32) as usize;
            let room = piece.get_mut(..most).unwrap_or_default();
            self.read(spot, at, room)
                .await
                .map_err(|_| MountError::Read)?;
            let Some((length, rest)) = room.split_first() else {
                break;
            };
            let length = usize::from(*length);
            let Some(record) = rest.get(..length) else {
                break;
            };
            apply(record);
            count += 1;
            at += 1 + length as u32;
        }
        Ok(count)
    }
}

/// Returns the first fields of a mount frame; the last byte is the kind of the
/// copied frame.
fn mounted_prefix(run: u32, void: Spot, kind: u8) -> [u8; MOUNTED_PREFIX + 1] {
    let mut body = [kind; MOUNTED_PREFIX + 1];
    body[..4].copy_from_slice(&run.to_le_bytes());
    body[4..8].copy_from_slice(&void.sector.to_le_bytes());
    body[8..12].copy_from_slice(&void.offset.to_le_bytes());
    body
}
