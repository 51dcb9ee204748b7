//! Where a life's records go: the shipping journal, and stores that are
//! broken on purpose, to show that the judge notices.

use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};
use farrier_journal::Journal;
use farrier_journal::sim::{Shared, SimFlash, now};

/// A chip with words of `WORD` bytes and sectors of 4 KiB.
pub type Flash<const WORD: usize> = SimFlash<WORD, 4096>;
/// A handle of it.
pub type Chip<const WORD: usize> = Shared<WORD, 4096>;

/// The power went, or the store is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// A store of records on simulated flash.
pub trait Store<const WORD: usize>: Sized {
    /// Whether effects wait for their records.
    const EFFECTS_WAIT: bool = true;

    /// Opens it, and gives every record to `apply`. Returns the number of
    /// this run as well.
    ///
    /// # Errors
    /// [`Gone`].
    fn mount(chip: Chip<WORD>, layout: u16, apply: impl FnMut(&[u8])) -> Result<(Self, u32), Gone>;

    /// Makes records durable, all or none.
    ///
    /// # Errors
    /// [`Gone`].
    fn append(&mut self, records: &[&[u8]]) -> Result<(), Gone>;

    /// Keeps the store bounded.
    ///
    /// # Errors
    /// [`Gone`].
    fn maintain(
        &mut self,
        state: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> Result<(), Gone>;
}

/// The shipping journal.
#[derive(Debug)]
pub struct Sound<const WORD: usize>(Journal<Chip<WORD>>);

impl<const WORD: usize> Store<WORD> for Sound<WORD> {
    fn mount(chip: Chip<WORD>, layout: u16, apply: impl FnMut(&[u8])) -> Result<(Self, u32), Gone> {
        let (journal, _) = now(Journal::mount(chip, layout, apply)).map_err(|_| Gone)?;
        let run = journal.run();
        Ok((Sound(journal), run))
    }

    fn append(&mut self, records: &[&[u8]]) -> Result<(), Gone> {
        now(self.0.append(records.iter().copied())).map_err(|_| Gone)
    }

    fn maintain(
        &mut self,
        state: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> Result<(), Gone> {
        now(self.0.maintain(state)).map_err(|_| Gone)
    }
}

/// The shipping journal, used by a glue that lets effects out before their
/// records are durable.
#[derive(Debug)]
pub struct Hasty<const WORD: usize>(Sound<WORD>);

impl<const WORD: usize> Store<WORD> for Hasty<WORD> {
    const EFFECTS_WAIT: bool = false;

    fn mount(chip: Chip<WORD>, layout: u16, apply: impl FnMut(&[u8])) -> Result<(Self, u32), Gone> {
        let (sound, run) = Sound::mount(chip, layout, apply)?;
        Ok((Hasty(sound), run))
    }

    fn append(&mut self, records: &[&[u8]]) -> Result<(), Gone> {
        self.0.append(records)
    }

    fn maintain(
        &mut self,
        state: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> Result<(), Gone> {
        self.0.maintain(state)
    }
}

/// A plain log: length and bytes, one after the other, and nothing that
/// tells a torn record from a whole one.
#[derive(Debug)]
pub struct Unchecked<const WORD: usize> {
    chip: Chip<WORD>,
    end: u32,
}

impl<const WORD: usize> Store<WORD> for Unchecked<WORD> {
    fn mount(
        mut chip: Chip<WORD>,
        _layout: u16,
        mut apply: impl FnMut(&[u8]),
    ) -> Result<(Self, u32), Gone> {
        let mut end = 0;
        let mut bytes = vec![0; chip.capacity()];
        now(chip.read(0, &mut bytes)).map_err(|_| Gone)?;
        while let Some([length, rest @ ..]) = bytes.get(end..)
            && *length != 0xff
            && let Some(record) = rest.get(..usize::from(*length))
        {
            apply(record);
            end += (1 + record.len()).next_multiple_of(WORD);
        }
        let end = u32::try_from(end).map_err(|_| Gone)?;
        Ok((Unchecked { chip, end }, 1))
    }

    fn append(&mut self, records: &[&[u8]]) -> Result<(), Gone> {
        for record in records {
            let mut bytes = vec![u8::try_from(record.len()).map_err(|_| Gone)?];
            bytes.extend_from_slice(record);
            bytes.resize(bytes.len().next_multiple_of(WORD), 0xff);
            now(self.chip.write(self.end, &bytes)).map_err(|_| Gone)?;
            self.end += u32::try_from(bytes.len()).map_err(|_| Gone)?;
        }
        Ok(())
    }

    fn maintain(
        &mut self,
        _state: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> Result<(), Gone> {
        Ok(())
    }
}
