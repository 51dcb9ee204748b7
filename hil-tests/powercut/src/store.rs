//! Where the records of a run go: the shipping journal, and stores that are
//! broken on purpose, to show that the checker notices.

use embedded_storage_async::nor_flash::{NorFlash, ReadNorFlash};
use farrier_controller::{JournalStore, NotDurable, Opened, RecordStore};
use farrier_journal::sim::{Shared, SimFlash};

/// A chip with words of `WORD` bytes and sectors of 4 KiB.
pub type Flash<const WORD: usize> = SimFlash<WORD, 4096>;
/// A handle of it.
pub type Chip<const WORD: usize> = Shared<WORD, 4096>;

/// A store of records on a simulated chip.
pub trait ChipStore<const WORD: usize>: RecordStore + std::fmt::Debug {
    /// A store that takes the whole of a chip.
    fn on(chip: Chip<WORD>) -> Self;
}

/// The shipping journal.
pub type Sound<const WORD: usize> = JournalStore<Chip<WORD>, Chip<WORD>>;

impl<const WORD: usize> ChipStore<WORD> for Sound<WORD> {
    fn on(chip: Chip<WORD>) -> Self {
        JournalStore::new(chip.clone(), chip)
    }
}

/// The shipping journal behind a queue: it says of records that they are
/// durable, and writes them with the next step's.
#[derive(Debug)]
pub struct Hasty<const WORD: usize> {
    journal: Sound<WORD>,
    queue: Vec<Vec<u8>>,
}

impl<const WORD: usize> ChipStore<WORD> for Hasty<WORD> {
    fn on(chip: Chip<WORD>) -> Self {
        Hasty {
            journal: JournalStore::new(chip.clone(), chip),
            queue: Vec::new(),
        }
    }
}

impl<const WORD: usize> RecordStore for Hasty<WORD> {
    type OpenError = <Sound<WORD> as RecordStore>::OpenError;
    type Keys = Chip<WORD>;

    async fn open(
        &mut self,
        layout: u16,
        apply: impl FnMut(&[u8]),
    ) -> Result<Opened, Self::OpenError> {
        self.journal.open(layout, apply).await
    }

    async fn append<'a>(
        &mut self,
        records: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), NotDurable> {
        let due = std::mem::replace(&mut self.queue, records.map(<[u8]>::to_vec).collect());
        self.journal.append(due.iter().map(Vec::as_slice)).await
    }

    async fn maintain(
        &mut self,
        state: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> Result<(), NotDurable> {
        self.journal.maintain(state).await
    }

    fn keys(&mut self) -> &mut Chip<WORD> {
        self.journal.keys()
    }
}

/// A plain log: length and bytes, one record after the other, and nothing
/// that tells a torn record from a whole one.
#[derive(Debug)]
pub struct Unchecked<const WORD: usize> {
    chip: Chip<WORD>,
    end: u32,
}

impl<const WORD: usize> ChipStore<WORD> for Unchecked<WORD> {
    fn on(chip: Chip<WORD>) -> Self {
        Unchecked { chip, end: 0 }
    }
}

impl<const WORD: usize> RecordStore for Unchecked<WORD> {
    type OpenError = NotDurable;
    type Keys = Chip<WORD>;

    async fn open(
        &mut self,
        _layout: u16,
        mut apply: impl FnMut(&[u8]),
    ) -> Result<Opened, NotDurable> {
        let mut bytes = vec![0; self.chip.capacity()];
        let read = self.chip.read(0, &mut bytes).await;
        read.map_err(|_| NotDurable)?;
        let mut end = 0;
        while let Some([length, rest @ ..]) = bytes.get(end..)
            && *length != 0xff
            && let Some(record) = rest.get(..usize::from(*length))
        {
            apply(record);
            end += (1 + record.len()).next_multiple_of(WORD);
        }
        self.end = u32::try_from(end).map_err(|_| NotDurable)?;
        Ok(Opened { run: 1, lost: 0 })
    }

    async fn append<'a>(
        &mut self,
        records: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), NotDurable> {
        for record in records {
            let mut bytes = vec![u8::try_from(record.len()).map_err(|_| NotDurable)?];
            bytes.extend_from_slice(record);
            bytes.resize(bytes.len().next_multiple_of(WORD), 0xff);
            let written = self.chip.write(self.end, &bytes).await;
            written.map_err(|_| NotDurable)?;
            self.end += u32::try_from(bytes.len()).map_err(|_| NotDurable)?;
        }
        Ok(())
    }

    async fn maintain(
        &mut self,
        _state: impl FnMut(u16, &mut [u8]) -> Option<(u16, usize)>,
    ) -> Result<(), NotDurable> {
        Ok(())
    }
    fn keys(&mut self) -> &mut Chip<WORD> {
        &mut self.chip
    }
}
