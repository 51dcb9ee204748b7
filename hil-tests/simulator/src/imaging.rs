//! A deploy order of a simulated agent: the shipping stream of the image and the shipping end of the work, fed with bytes that come when
//! virtual time says so.

#![allow(
    clippy::result_large_err,
    reason = "a failure is made once an order and goes out as it is"
)]

use std::time::Duration;

use farrier_agent::operations::deploy::{Context, finish};
use farrier_agent::operations::fetch::{FetchError, Ranges};
use farrier_agent::operations::stream::{Stream, StreamAction};
use farrier_agent::operations::verified::Verifier;
use farrier_agent::operations::{Meter, failure};
use farrier_image::transfer::Source;
use farrier_protocol::message::{
    AgentStep, ConfigDrive, Deploy, Failure, ImageProof, NodeId, Reason,
};
use farrier_protocol::sealed::Layout;

use crate::disk::Disk;
use crate::image;

/// Attempts at fetching a config drive, and the pause between them: the
/// engine has its own, but it would sleep in real time.
const DRIVE_ATTEMPTS: u32 = 6;
const DRIVE_PAUSE: Duration = Duration::from_secs(1);

/// Bytes that are waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Path of the file on the appliance's HTTP server.
    pub path: String,
    /// First byte.
    pub offset: u64,
    /// How many.
    pub length: u32,
}

/// What comes next.
pub(crate) enum Next {
    /// These bytes are needed.
    Fetch(Wanted),
    /// It is over.
    End(Result<ImageProof, Failure>),
}

/// How far the config drive has come.
enum Drive {
    /// The image comes first.
    Later,
    /// It is waited for; so many attempts have failed.
    Awaited(u32),
    /// All of it is there.
    Here(Vec<u8>),
}

/// See the module.
pub(crate) struct Imaging {
    order: Box<Deploy>,
    stream: Box<Stream>,
    disk: Verifier<Disk>,
    meter: Meter,
    drive: Drive,
}

impl Imaging {
    /// Nothing of the order is done yet.
    pub(crate) fn new(order: &Deploy, disk: Disk) -> Self {
        let key = image::catalogue().key;
        Self {
            order: Box::new(order.clone()),
            stream: Box::new(Stream::new(order, order.disk.size, key)),
            disk: Verifier::new(disk),
            meter: Meter::with_manual_clock(AgentStep::Write),
            drive: Drive::Later,
        }
    }

    /// Goes on until bytes are needed, or to the end. `random` becomes a
    /// partition's identity.
    pub(crate) fn go_on(&mut self, now: u64, node: NodeId, random: [u8; 16]) -> Next {
        self.meter.set_millis(now);
        loop {
            match self.stream.step(&mut self.disk, &self.meter) {
                Err(failure) => return Next::End(Err(failure)),
                Ok(StreamAction::Again) => {}
                Ok(StreamAction::Fetch {
                    source,
                    offset,
                    length,
                }) => {
                    let path = match source {
                        Source::Manifest => &self.order.manifest_path,
                        Source::Data => &self.order.data_path,
                    };
                    return Next::Fetch(Wanted {
                        path: path.as_str().into(),
                        offset,
                        length,
                    });
                }
                Ok(StreamAction::Done) => break,
            }
        }
        let fetched = match (&self.order.config_drive, &mut self.drive) {
            (None, _) => Vec::new(),
            (Some(_), Drive::Here(bytes)) => std::mem::take(bytes),
            (Some(drive), Drive::Awaited(_)) => return Next::Fetch(all_of(drive)),
            (Some(drive), Drive::Later) => {
                self.drive = Drive::Awaited(0);
                return Next::Fetch(all_of(drive));
            }
        };
        Next::End(self.finish(now, node, random, Fetched(fetched)))
    }

    fn finish(
        &mut self,
        now: u64,
        node: NodeId,
        random: [u8; 16],
        mut drive: Fetched,
    ) -> Result<ImageProof, Failure> {
        let context = Context {
            image_key: image::catalogue().key,
            node,
            random,
            meter: &self.meter,
        };
        let config_drive = finish(&self.order, &mut self.disk, &mut drive, &context)?;
        let (stats, image_bytes) = self.stream.done();
        Ok(ImageProof {
            disk: self.order.disk.clone(),
            manifest_root: self.order.manifest_root,
            image_bytes,
            fetched_bytes: stats.fetched_bytes,
            refetched_chunks: stats.refetched,
            config_drive,
            peak_rss_kib: 9000,
            millis: now,
        })
    }

    /// Bytes that were needed have come, or have not: the pause before it can
    /// go on.
    ///
    /// # Errors
    /// The failure to report.
    pub(crate) fn fetched(&mut self, bytes: Option<Vec<u8>>) -> Result<Duration, Failure> {
        match (bytes, &mut self.drive) {
            (Some(bytes), Drive::Awaited(_)) => self.drive = Drive::Here(bytes),
            (None, Drive::Awaited(attempts)) => {
                *attempts += 1;
                if *attempts == DRIVE_ATTEMPTS {
                    let why = "the config drive does not come";
                    return Err(failure(AgentStep::Finish, Reason::Fetch, why));
                }
                return Ok(DRIVE_PAUSE);
            }
            (Some(bytes), _) => self.stream.fetched(bytes, &self.disk, &self.meter)?,
            (None, _) => return Ok(self.stream.fetch_failed(None)),
        }
        Ok(Duration::ZERO)
    }
}

/// A config drive comes as a whole: it is small, and the engine that opens it
/// can't wait in virtual time.
fn all_of(drive: &ConfigDrive) -> Wanted {
    let sealed = Layout::new(drive.length).map(Layout::sealed_len);
    Wanted {
        path: drive.path.as_str().into(),
        offset: 0,
        length: sealed.unwrap_or(0),
    }
}

/// A config drive that was fetched already.
struct Fetched(Vec<u8>);

impl Ranges for Fetched {
    fn range(&mut self, _path: &str, offset: u64, out: &mut [u8]) -> Result<(), FetchError> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(out.len());
        let bytes = self.0.get(start..end).ok_or(FetchError::Range)?;
        out.copy_from_slice(bytes);
        Ok(())
    }
}
