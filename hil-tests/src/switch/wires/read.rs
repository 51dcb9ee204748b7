//! Reads the capture.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{COMMENT, Direction, FLAGS, INTERFACE, MAGIC, NAME, PACKET, SECTION};
use crate::switch::PortMode;

/// Longest block: a jumbo frame, or the comment with every VLAN, and more.
const MAX_BLOCK: usize = 1 << 17;

/// One entry of the capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When, since 1970.
    pub at: Duration,
    /// The port, by its number from 0.
    pub port: usize,
    /// What happened there.
    pub what: What,
}

/// What happened at a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// The port has this mode from now on.
    Mode(PortMode),
    /// A frame passed.
    Frame(Direction, Vec<u8>),
}

/// A capture being read, in the order of time.
#[derive(Debug)]
pub struct Wires {
    file: BufReader<File>,
    names: Vec<String>,
}

impl Wires {
    /// Opens a capture that [`Switch::capture_wires`] wrote and
    /// [`Switch::flush_captures`] flushed.
    ///
    /// # Errors
    /// There is none, or it was written by someone else.
    ///
    /// [`Switch::capture_wires`]: crate::switch::Switch::capture_wires
    /// [`Switch::flush_captures`]: crate::switch::Switch::flush_captures
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        let mut wires = Self {
            file: BufReader::new(file),
            names: Vec::new(),
        };
        let section = wires.block()?;
        let good = section.is_some_and(|(kind, body)| {
            kind == SECTION && body.get(..4) == Some(&MAGIC.to_le_bytes())
        });
        ensure!(good, "{}: no capture of a switch's wires", path.display());
        Ok(wires)
    }

    /// The name of a port of which a record was read.
    pub fn name(&self, port: usize) -> &str {
        self.names.get(port).map_or("?", String::as_str)
    }

    /// The next record; none at the end, or where the file is cut off.
    ///
    /// # Errors
    /// The file can't be read or is damaged.
    pub fn next_record(&mut self) -> Result<Option<Record>> {
        while let Some((kind, body)) = self.block()? {
            match kind {
                INTERFACE => {
                    let name = option(body.get(8..).unwrap_or(&[]), NAME);
                    let name = name.context("a port without a name")?;
                    self.names.push(String::from_utf8_lossy(name).into_owned());
                }
                PACKET => return self.packet(&body).map(Some),
                _ => bail!("a block of type {kind:#x}"),
            }
        }
        Ok(None)
    }

    fn packet(&self, body: &[u8]) -> Result<Record> {
        let word = |index: usize| -> Result<u32> {
            let bytes = body.get(index * 4..index * 4 + 4);
            Ok(u32::from_le_bytes(
                bytes.context("a short packet")?.try_into()?,
            ))
        };
        let port = word(0)? as usize;
        ensure!(port < self.names.len(), "a packet of an unknown port");
        let nanoseconds = u64::from(word(1)?) << 32 | u64::from(word(2)?);
        let length = word(3)? as usize;
        let frame = body.get(20..20 + length).context("a cut packet")?;
        let options = body.get(20 + length.next_multiple_of(4)..).unwrap_or(&[]);
        let what = if let Some(text) = option(options, COMMENT) {
            What::Mode(std::str::from_utf8(text)?.parse()?)
        } else {
            let direction = match option(options, FLAGS).and_then(|flags| flags.first()) {
                Some(1) => Direction::In,
                Some(2) => Direction::Out,
                flags => bail!("a packet with the flags {flags:?}"),
            };
            What::Frame(direction, frame.to_vec())
        };
        Ok(Record {
            at: Duration::from_nanos(nanoseconds),
            port,
            what,
        })
    }

    fn block(&mut self) -> Result<Option<(u32, Vec<u8>)>> {
        let mut head = [0; 8];
        if !self.fill(&mut head)? {
            return Ok(None);
        }
        let [a, b, c, d, rest @ ..] = head;
        let length = u32::from_le_bytes(rest) as usize;
        ensure!(
            (12..MAX_BLOCK).contains(&length),
            "a block of {length} bytes"
        );
        let mut body = vec![0; length - 8];
        if !self.fill(&mut body)? {
            return Ok(None);
        }
        body.truncate(length - 12);
        Ok(Some((u32::from_le_bytes([a, b, c, d]), body)))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<bool> {
        match self.file.read_exact(buffer) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// The value of an option.
fn option(mut options: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (head, rest) = options.split_first_chunk::<4>()?;
        let code = u16::from_le_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        if code == wanted {
            return rest.get(..length);
        }
        options = rest.get(length.next_multiple_of(4)..)?;
    }
}
