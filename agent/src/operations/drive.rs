//! Fetches the sealed pieces of a config drive, opens them, and writes the
//! config drive to its partition.

use std::io::{self, BufReader, Read};

use farrier_protocol::message::{AgentStep, ConfigDrive, ConfigDriveFormat, Failure, Reason};
use farrier_protocol::sealed::{Layout, SEALED_PIECE};
use sha2::{Digest, Sha256};

use super::fetch::Ranges;
use super::verified::{Verifier, WINDOW};
use super::{Meter, failure};
use crate::device::{AlignedBuffer, BlockDevice};
use crate::engine::{config_drive, fat, gzip_base64};

/// Number of sealed pieces in one fetch: 64 KiB.
const PIECES: u32 = 64;
/// Number of attempts to fetch the same pieces.
const ATTEMPTS: u32 = 6;
/// Longest JSON config drive in bytes. The agent holds it in memory.
const MAX_JSON: u32 = 4 << 20;

/// A reader of the plain text of a config drive.
struct Plain<'a> {
    client: &'a mut dyn Ranges,
    drive: &'a ConfigDrive,
    layout: Layout,
    meter: &'a Meter,
    /// The next piece to fetch.
    next: u32,
    wire: Vec<u8>,
    text: Vec<u8>,
    at: usize,
    hash: Sha256,
}

impl<'a> Plain<'a> {
    fn new(
        client: &'a mut dyn Ranges,
        drive: &'a ConfigDrive,
        meter: &'a Meter,
    ) -> Result<Self, Failure> {
        let layout = Layout::new(drive.length).map_err(|_| broken("it is larger than 64 MiB"))?;
        Ok(Self {
            client,
            drive,
            layout,
            meter,
            next: 0,
            wire: Vec::new(),
            text: Vec::new(),
            at: 0,
            hash: Sha256::new(),
        })
    }

    /// Fetches and opens the next pieces. Returns `false` at the end.
    fn refill(&mut self) -> io::Result<bool> {
        self.text.clear();
        self.at = 0;
        let count = (self.layout.pieces() - self.next).min(PIECES);
        if count == 0 {
            return Ok(false);
        }
        let sealed = |index| {
            self.layout
                .sealed_range(index)
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
        };
        let (start, _) = sealed(self.next)?;
        let (last, length) = sealed(self.next + count - 1)?;
        self.wire.resize((last - start) as usize + length, 0);
        let mut attempt = 0;
        while let Err(error) = self
            .client
            .range(&self.drive.path, u64::from(start), &mut self.wire)
        {
            attempt += 1;
            if attempt == ATTEMPTS {
                return Err(io::Error::other(error));
            }
            self.meter.touch();
            std::thread::sleep(super::deploy::backoff(attempt));
        }
        let mut pieces = self.wire.chunks_mut(SEALED_PIECE);
        for index in self.next..self.next + count {
            let piece = pieces.next().unwrap_or_default();
            let plain = self
                .layout
                .open(&self.drive.key, index, piece)
                .map_err(|_| {
                    io::Error::new(io::ErrorKind::InvalidData, "a piece fails authentication")
                })?;
            self.text.extend_from_slice(plain);
        }
        self.hash.update(&self.text);
        self.next += count;
        self.meter.touch();
        Ok(true)
    }

    /// Reads the rest and returns the SHA-256 of the whole.
    fn finish(mut self) -> io::Result<[u8; 32]> {
        while self.refill()? {}
        Ok(self.hash.finalize().into())
    }
}

impl Read for Plain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.text.len() {
            if !self.refill()? {
                return Ok(0);
            }
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count;
        Ok(count)
    }
}

/// A config drive that was opened and can be written.
pub(super) struct Prepared<'a> {
    drive: &'a ConfigDrive,
    /// Size of its file system in bytes.
    pub size: u64,
    /// SHA-256 of its plain text.
    pub hash: [u8; 32],
    /// The file system. `None`: the write fetches it again as a stream.
    image: Option<fat::SparseImage>,
}

/// Fetches and opens the config drive and determines its size.
pub(super) fn prepare<'a>(
    client: &mut dyn Ranges,
    drive: &'a ConfigDrive,
    instance: &str,
    block_size: u32,
    meter: &Meter,
) -> Result<Prepared<'a>, Failure> {
    let mut plain = Plain::new(client, drive, meter)?;
    match drive.format {
        ConfigDriveFormat::Json => {
            if drive.length > MAX_JSON {
                return Err(broken("its JSON is longer than 4 MiB"));
            }
            let mut text = Vec::new();
            plain.read_to_end(&mut text).map_err(unreadable)?;
            let files = config_drive::files(&text, instance).map_err(broken)?;
            let image = fat::build(&files, block_size).map_err(broken)?;
            Ok(Prepared {
                drive,
                size: image.size(),
                hash: plain.finish().map_err(unreadable)?,
                image: Some(image),
            })
        }
        ConfigDriveFormat::GzipBase64 => {
            let size = io::copy(
                &mut gzip_base64::image_reader(BufReader::new(&mut plain)),
                &mut io::sink(),
            )
            .map_err(unreadable)?;
            if size == 0 {
                return Err(broken("it is empty"));
            }
            Ok(Prepared {
                drive,
                size,
                hash: plain.finish().map_err(unreadable)?,
                image: None,
            })
        }
    }
}

impl Prepared<'_> {
    /// Writes the file system to its partition and reads it back.
    pub(super) fn write<D: BlockDevice>(
        self,
        client: &mut dyn Ranges,
        disk: &mut Verifier<D>,
        (offset, length): (u64, u64),
        meter: &Meter,
    ) -> Result<(), Failure> {
        match self.image {
            Some(image) => copy_padded(image, disk, offset, length, meter),
            None => {
                let mut plain = Plain::new(client, self.drive, meter)?;
                let reader = gzip_base64::image_reader(BufReader::new(&mut plain));
                copy_padded(reader, disk, offset, length, meter)?;
                if plain.finish().map_err(unreadable)? != self.hash {
                    return Err(broken("it changed between two fetches"));
                }
                Ok(())
            }
        }
    }
}

/// Writes a stream to a partition and fills the rest with zeroes.
fn copy_padded<D: BlockDevice>(
    mut from: impl Read,
    disk: &mut Verifier<D>,
    offset: u64,
    length: u64,
    meter: &Meter,
) -> Result<(), Failure> {
    let mut buffer = AlignedBuffer::new(WINDOW);
    let mut at = 0;
    while at < length {
        let wanted = (length - at).min(WINDOW as u64) as usize;
        let piece = buffer.get_mut(..wanted).unwrap_or_default();
        let mut filled = 0;
        while filled < wanted {
            match from.read(&mut piece[filled..]).map_err(unreadable)? {
                0 => break,
                count => filled += count,
            }
        }
        piece[filled..].fill(0);
        let result = if crate::engine::zero::is_zero(piece) {
            disk.put_zeroes(offset + at, wanted as u64)
        } else {
            disk.put(offset + at, piece)
        };
        result.map_err(|error| super::deploy::write_failure(AgentStep::Finish, &error))?;
        at += wanted as u64;
        meter.touch();
    }
    match from.read(&mut [0; 1]).map_err(unreadable)? {
        0 => Ok(()),
        _ => Err(broken("it is larger than its partition")),
    }
}

fn broken(why: impl std::fmt::Display) -> Failure {
    failure(
        AgentStep::Finish,
        Reason::BadConfigDrive,
        format_args!("the config drive is unusable: {why}"),
    )
}

/// Maps a failed fetch to [`Reason::Fetch`] and the rest to
/// [`Reason::BadConfigDrive`].
fn unreadable(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::Other {
        failure(AgentStep::Finish, Reason::Fetch, error)
    } else {
        broken(error)
    }
}
