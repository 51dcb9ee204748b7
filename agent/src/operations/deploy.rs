//! Carries out a deploy order: it streams the image to the disk, fits the
//! partition table to the disk, and adds the config drive.
//!
//! One thread fetches ahead. The other verifies, decompresses, writes and reads
//! back. The chunk size bounds the memory: two compressed chunks, one
//! decompressed chunk, and one window of the read-back.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use farrier_image::manifest::PublicKey;
use farrier_image::transfer::{Source, Stats};
use farrier_protocol::message::{AgentStep, Deploy, Failure, ImageProof, NodeId, Reason};

use super::drive;
use super::fetch::{FetchError, HttpClient, Ranges};
use super::stream::{Stream, StreamAction};
use super::verified::{Verifier, WriteError};
use super::{Meter, failure};
use crate::device::{AlignedBuffer, BlockDevice};
use crate::engine::partitions::{Geometry, Table};

/// Longest pause between two attempts to fetch the same bytes.
const MAX_BACKOFF: Duration = Duration::from_secs(15);

/// Inputs of a deployment beside its order.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The operator's public key; it verifies the manifest.
    pub image_key: PublicKey,
    /// The node. Its UUID names the instance if the config drive does not.
    pub node: NodeId,
    /// Unique GUID of the config drive's partition.
    pub random: [u8; 16],
    /// Receives the progress.
    pub meter: &'a Meter,
}

/// Deploys `order` to `device` with bytes from the HTTP server at
/// `http_server`. The proof's `peak_rss_kib` is 0.
///
/// # Errors
/// The failure to report.
pub fn deploy<D: BlockDevice>(
    order: &Deploy,
    device: &D,
    client: SocketAddr,
    context: &Context<'_>,
) -> Result<ImageProof, Failure> {
    let meter = context.meter;
    let mut disk = Verifier::new(device);
    let (stats, image_bytes) = write_image(order, &mut disk, client, context)?;

    meter.enter(AgentStep::Finish, 0);
    let config_drive = finish(order, &mut disk, &mut HttpClient::new(client), context)?;
    device
        .flush()
        .map_err(|error| failure(AgentStep::Finish, Reason::DiskWrite, error))?;
    // The firmware reads the table after the reboot, so an error of this
    // kernel does not matter.
    drop(device.reread_partitions());
    Ok(ImageProof {
        disk: order.disk.clone(),
        manifest_root: order.manifest_root,
        image_bytes,
        fetched_bytes: stats.fetched_bytes,
        refetched_chunks: stats.refetched,
        config_drive,
        peak_rss_kib: 0,
        millis: meter.millis(),
    })
}

/// Returns the pause before attempt number `attempt`, which counts from 1.
pub(super) fn backoff(attempt: u32) -> Duration {
    let millis = 200_u64.saturating_mul(1 << attempt.min(10));
    Duration::from_millis(millis).min(MAX_BACKOFF)
}

/// One fetch: the file, the offset, and the buffer to fill.
struct Fetch {
    source: Source,
    offset: u64,
    buffer: Vec<u8>,
}

impl Fetch {
    fn is(&self, source: Source, offset: u64, length: u32) -> bool {
        self.source == source && self.offset == offset && self.buffer.len() == length as usize
    }
}

/// The interface to the thread that fetches.
struct Fetcher {
    jobs: SyncSender<Fetch>,
    results: Receiver<(Fetch, Result<(), FetchError>)>,
    /// Fetches that were requested and not received.
    ahead: Option<(Source, u64, u32)>,
    /// Fetches that were received and not used.
    ready: Option<(Fetch, Result<(), FetchError>)>,
    /// Buffers for reuse.
    spare: Vec<Vec<u8>>,
}

impl Fetcher {
    /// Requests a fetch ahead of its use.
    fn begin(&mut self, source: Source, offset: u64, length: u32) {
        let known = self
            .ready
            .as_ref()
            .is_some_and(|(job, _)| job.is(source, offset, length));
        if self.ahead.is_some() || known || self.ready.is_some() {
            return;
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.resize(length as usize, 0);
        let job = Fetch {
            source,
            offset,
            buffer,
        };
        if self.jobs.send(job).is_ok() {
            self.ahead = Some((source, offset, length));
        }
    }

    /// Waits for the bytes of a fetch and returns them.
    fn get(
        &mut self,
        source: Source,
        offset: u64,
        length: u32,
    ) -> Result<Vec<u8>, (Vec<u8>, Option<FetchError>)> {
        if let Some((job, result)) = self.ready.take() {
            if job.is(source, offset, length) {
                return deliver(job, result);
            }
            self.ready = Some((job, result));
        }
        if let Some(ahead) = self.ahead.take() {
            let Ok((job, result)) = self.results.recv() else {
                return Err((Vec::new(), None));
            };
            if ahead == (source, offset, length) {
                return deliver(job, result);
            }
            // Another fetch came in between, for instance a repeated chunk.
            self.ready = Some((job, result));
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.resize(length as usize, 0);
        let job = Fetch {
            source,
            offset,
            buffer,
        };
        if self.jobs.send(job).is_err() {
            return Err((Vec::new(), None));
        }
        match self.results.recv() {
            Ok((job, result)) => deliver(job, result),
            Err(_) => Err((Vec::new(), None)),
        }
    }

    fn recycle(&mut self, buffer: Vec<u8>) {
        // Two buffers are in use; a repeated fetch allocates a third.
        if self.spare.len() < 2 {
            self.spare.push(buffer);
        }
    }
}

fn deliver(
    job: Fetch,
    result: Result<(), FetchError>,
) -> Result<Vec<u8>, (Vec<u8>, Option<FetchError>)> {
    match result {
        Ok(()) => Ok(job.buffer),
        Err(error) => Err((job.buffer, Some(error))),
    }
}

/// Streams the image. Returns the statistics and the image's bytes.
fn write_image<D: BlockDevice>(
    order: &Deploy,
    disk: &mut Verifier<D>,
    client: SocketAddr,
    context: &Context<'_>,
) -> Result<(Stats, u64), Failure> {
    let (job_sender, jobs) = sync_channel::<Fetch>(1);
    let (result_sender, results) = sync_channel(1);
    let (manifest_path, data_path) = (&order.manifest_path, &order.data_path);
    std::thread::scope(|scope| {
        let fetch = move || {
            let mut client = HttpClient::new(client);
            for mut job in jobs {
                let path = match job.source {
                    Source::Manifest => manifest_path,
                    Source::Data => data_path,
                };
                let result = client.range(path, job.offset, &mut job.buffer);
                if result_sender.send((job, result)).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new()
            .name("fetch".into())
            .stack_size(crate::STACK)
            .spawn_scoped(scope, fetch)
            .map_err(|error| failure(AgentStep::Write, Reason::Resources, error))?;
        let mut fetcher = Fetcher {
            jobs: job_sender,
            results,
            ahead: None,
            ready: None,
            spare: Vec::new(),
        };
        stream(order, disk, context, &mut fetcher)
    })
}

/// Runs the transfer engine to its end.
fn stream<D: BlockDevice>(
    order: &Deploy,
    disk: &mut Verifier<D>,
    context: &Context<'_>,
    fetcher: &mut Fetcher,
) -> Result<(Stats, u64), Failure> {
    let mut stream = Stream::new(order, disk.device().size(), context.image_key);
    loop {
        match stream.step(disk, context.meter)? {
            StreamAction::Fetch {
                source,
                offset,
                length,
            } => {
                fetcher.recycle(stream.take_buffer());
                match fetcher.get(source, offset, length) {
                    Ok(bytes) => {
                        stream.fetched(bytes, disk, context.meter)?;
                        ahead(&stream, fetcher);
                    }
                    Err((buffer, error)) => {
                        fetcher.recycle(buffer);
                        context.meter.touch();
                        std::thread::sleep(stream.fetch_failed(error));
                    }
                }
            }
            StreamAction::Again => ahead(&stream, fetcher),
            StreamAction::Done => return Ok(stream.done()),
        }
    }
}

/// Requests the next fetch while the current chunk is processed.
fn ahead(stream: &Stream, fetcher: &mut Fetcher) {
    if let Some((source, offset, length)) = stream.upcoming() {
        fetcher.begin(source, offset, length);
    }
}

/// Fits the partition table to the disk and adds the config drive, which it
/// fetches from `client`. Returns the SHA-256 of the config drive's plain text,
/// zero if there is none.
///
/// # Errors
/// The failure to report.
pub fn finish<D: BlockDevice>(
    order: &Deploy,
    disk: &mut Verifier<D>,
    client: &mut dyn Ranges,
    context: &Context<'_>,
) -> Result<[u8; 32], Failure> {
    let device = disk.device();
    let geometry = Geometry {
        size: device.size(),
        block: device.block_size(),
    };
    let drive = match &order.config_drive {
        Some(drive) => Some(drive::prepare(
            client,
            drive,
            &uuid::Uuid::from_bytes(context.node.0).to_string(),
            geometry.block,
            context.meter,
        )?),
        None => None,
    };

    let bad_table = |error| failure(AgentStep::Finish, Reason::BadPartitionTable, error);
    let mut head = AlignedBuffer::new(2 * geometry.block as usize);
    read(device, 0, &mut head)?;
    let table = Table::parse(&head, geometry).map_err(bad_table)?;
    let mut entries = AlignedBuffer::new(0);
    if let Some((offset, length)) = table.entries(geometry) {
        entries = AlignedBuffer::new(length as usize);
        read(device, offset, &mut entries)?;
    }
    let wanted = drive.as_ref().map(|drive| drive.size);
    let plan = table
        .plan(geometry, &entries, wanted, context.random)
        .map_err(bad_table)?;

    let mut hash = [0; 32];
    if let (Some(drive), Some(place)) = (drive, plan.config_drive) {
        hash = drive.hash;
        drive.write(client, disk, place, context.meter)?;
    }
    // The table is written last: the partitions that it names are complete.
    for write in &plan.writes {
        let mut buffer = AlignedBuffer::new(write.bytes.len());
        buffer.copy_from_slice(&write.bytes);
        disk.put(write.offset, &buffer)
            .map_err(|error| write_failure(AgentStep::Finish, &error))?;
        context.meter.touch();
    }
    Ok(hash)
}

fn read(device: &impl BlockDevice, offset: u64, buffer: &mut [u8]) -> Result<(), Failure> {
    device
        .read_at(offset, buffer)
        .map_err(|error| failure(AgentStep::Finish, Reason::DiskRead, error))
}

pub(super) fn write_failure(step: AgentStep, error: &WriteError) -> Failure {
    match error {
        WriteError::Write { .. } => failure(step, Reason::DiskWrite, error),
        WriteError::Read { .. } => failure(step, Reason::DiskRead, error),
        WriteError::Differs { .. } => failure(step, Reason::ReadBack, error),
    }
}
