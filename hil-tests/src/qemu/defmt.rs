//! `defmt` frames from a board's UART, turned into the lines that a host
//! process of the same firmware would print.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use defmt_decoder::{DecodeError, Locations, StreamDecoder, Table};

/// The texts of one program.
#[derive(Debug, Clone)]
pub struct LogStrings(Arc<Program>);

#[derive(Debug)]
struct Program {
    table: Table,
    locations: Locations,
}

impl LogStrings {
    /// Reads the texts out of an ELF file; none if it does not use `defmt`.
    ///
    /// # Errors
    /// The file can't be read, or was made for another version of `defmt`.
    pub fn of(elf: &Path) -> Result<Option<Self>> {
        let bytes = std::fs::read(elf).with_context(|| format!("reading {}", elf.display()))?;
        let Some(table) = Table::parse(&bytes)? else {
            return Ok(None);
        };
        let locations = table.get_locations(&bytes)?;
        Ok(Some(Self(Arc::new(Program { table, locations }))))
    }

    /// Reads text out of `source`, which gives frames.
    pub fn lines(&self, source: impl Read + Send + 'static) -> impl Read + Send + 'static {
        Lines {
            texts: self.clone(),
            source,
            frame: Vec::new(),
            text: Vec::new(),
            given: 0,
        }
    }

    /// The line of one frame, its closing zero included.
    fn line(&self, frame: &[u8]) -> String {
        let Program { table, locations } = &*self.0;
        let mut decoder: Box<dyn StreamDecoder + Send + Sync + '_> = table.new_stream_decoder();
        decoder.received(frame);
        match decoder.decode() {
            Ok(frame) => {
                let time = frame.display_timestamp().map(|at| at.to_string());
                let level = frame.level().map_or("-", |level| level.as_str());
                // Behind the module stand the function and its closures.
                let module = locations.get(&frame.index()).map(|at| {
                    at.module
                        .splitn(3, "::")
                        .take(2)
                        .collect::<Vec<_>>()
                        .join("::")
                });
                format!(
                    "[{}] {} {}: {}\n",
                    time.unwrap_or_default(),
                    level.to_uppercase(),
                    module.as_deref().unwrap_or("?"),
                    frame.display_message()
                )
            }
            Err(DecodeError::UnexpectedEof) => String::new(),
            Err(DecodeError::Malformed) => format!("(no defmt frame: {frame:02x?})\n"),
        }
    }
}

/// A reader of text over a reader of frames.
struct Lines<R> {
    texts: LogStrings,
    source: R,
    /// The frame that is coming in.
    frame: Vec<u8>,
    /// Text that is ready, and how much of it was given away.
    text: Vec<u8>,
    given: usize,
}

impl<R: Read> Read for Lines<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() {
            self.text.clear();
            self.given = 0;
            let mut bytes = [0; 1024];
            let count = self.source.read(&mut bytes)?;
            if count == 0 {
                return Ok(0);
            }
            for &byte in bytes.iter().take(count) {
                self.frame.push(byte);
                // rzCOBS: a zero ends each frame and is in none.
                if byte == 0 {
                    self.text.extend(self.texts.line(&self.frame).into_bytes());
                    self.frame.clear();
                }
            }
        }
        let count = (&self.text[self.given..]).read(to)?;
        self.given += count;
        Ok(count)
    }
}
