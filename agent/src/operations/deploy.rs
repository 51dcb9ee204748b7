//! A deploy order carried out: the image streams to the disk, the partition
//! table is fitted to it, the config drive joins.
//!
//! One thread fetches ahead while this one verifies, decompresses, writes
//! and reads back. What is held is bounded by the chunk size: two chunks as
//! they come over the wire, one as it lies on the disk, and a window of the
//! read-back.

use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use farrier_image::manifest::PublicKey;
use farrier_image::transfer::{Source, Stats};
use farrier_protocol::message::{AgentStep, Deploy, Failure, ImageProof, NodeId, Reason};

use super::drive;
use super::fetch::{FetchError, HttpClient, Ranges};
use super::stream::{Stream, Turn};
use super::verified::{Verifier, WriteError};
use super::{Meter, failure};
use crate::device::{AlignedBuffer, BlockDevice};
use crate::engine::partitions::{Geometry, Table};

/// Longest pause between two attempts at fetching the same bytes.
const MAX_BACKOFF: Duration = Duration::from_secs(15);

/// What a deployment needs beside its order.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The operator's key, which signs images.
    pub image_key: PublicKey,
    /// The node: names the instance where the config drive does not.
    pub node: NodeId,
    /// 16 random bytes: identity of the config drive's partition.
    pub random: [u8; 16],
    /// LeaseView how far it has come.
    pub meter: &'a Meter,
}

/// Carries out `order` on its disk, with bytes from the appliance's HTTP client.
/// The proof's `peak_rss_kib` is left to the caller.
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
    // The next one to read the table is the firmware, after a reboot: that
    // this kernel can't be told is no failure.
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

/// Pause before attempt number `attempt`, from 1.
pub(super) fn backoff(attempt: u32) -> Duration {
    let millis = 200_u64.saturating_mul(1 << attempt.min(10));
    Duration::from_millis(millis).min(MAX_BACKOFF)
}

/// One fetch: which file, from where, and the buffer that is filled.
struct Job {
    source: Source,
    offset: u64,
    buffer: Vec<u8>,
}

impl Job {
    fn is(&self, source: Source, offset: u64, length: u32) -> bool {
        self.source == source && self.offset == offset && self.buffer.len() == length as usize
    }
}

/// The thread that fetches, seen from the one that works.
struct Fetcher {
    jobs: SyncSender<Job>,
    results: Receiver<(Job, Result<(), FetchError>)>,
    /// What is being fetched and not yet received.
    ahead: Option<(Source, u64, u32)>,
    /// What was received and not asked for yet.
    ready: Option<(Job, Result<(), FetchError>)>,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
}

impl Fetcher {
    /// Starts to fetch what will be asked for next.
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
        let job = Job {
            source,
            offset,
            buffer,
        };
        if self.jobs.send(job).is_ok() {
            self.ahead = Some((source, offset, length));
        }
    }

    /// The bytes that were asked for; waits for them.
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
            // Something came in between, such as fetching a chunk again.
            self.ready = Some((job, result));
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.resize(length as usize, 0);
        let job = Job {
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

    fn give_back(&mut self, buffer: Vec<u8>) {
        // Two are ever in use; a third comes from fetching again.
        if self.spare.len() < 2 {
            self.spare.push(buffer);
        }
    }
}

fn deliver(
    job: Job,
    result: Result<(), FetchError>,
) -> Result<Vec<u8>, (Vec<u8>, Option<FetchError>)> {
    match result {
        Ok(()) => Ok(job.buffer),
        Err(error) => Err((job.buffer, Some(error))),
    }
}

/// Streams the image. Gives what was done and the bytes of the image.
fn write_image<D: BlockDevice>(
    order: &Deploy,
    disk: &mut Verifier<D>,
    client: SocketAddr,
    context: &Context<'_>,
) -> Result<(Stats, u64), Failure> {
    let (job_sender, jobs) = sync_channel::<Job>(1);
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

/// Follows the transfer engine to its end.
fn stream<D: BlockDevice>(
    order: &Deploy,
    disk: &mut Verifier<D>,
    context: &Context<'_>,
    fetcher: &mut Fetcher,
) -> Result<(Stats, u64), Failure> {
    let mut stream = Stream::new(order, disk.device().size(), context.image_key);
    loop {
        match stream.step(disk, context.meter)? {
            Turn::Fetch {
                source,
                offset,
                length,
            } => {
                fetcher.give_back(stream.take_buffer());
                match fetcher.get(source, offset, length) {
                    Ok(bytes) => {
                        stream.fetched(bytes, disk, context.meter)?;
                        ahead(&stream, fetcher);
                    }
                    Err((buffer, error)) => {
                        fetcher.give_back(buffer);
                        context.meter.touch();
                        std::thread::sleep(stream.fetch_failed(error));
                    }
                }
            }
            Turn::Again => ahead(&stream, fetcher),
            Turn::Done => return Ok(stream.done()),
        }
    }
}

/// Begins the fetch that comes next, while the chunk at hand is dealt with.
fn ahead(stream: &Stream, fetcher: &mut Fetcher) {
    if let Some((source, offset, length)) = stream.upcoming() {
        fetcher.begin(source, offset, length);
    }
}

/// Fits the partition table to the disk and adds the config drive, which is
/// fetched from `client`. Gives the hash of the config drive's text, zeroes
/// where there is none.
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
            &hyphenated(context.node),
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
    // The table comes last: a partition that it names is complete.
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

/// A node's identity as it is printed.
fn hyphenated(node: NodeId) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in node.0.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

pub(super) fn write_failure(step: AgentStep, error: &WriteError) -> Failure {
    match error {
        WriteError::Write { .. } => failure(step, Reason::DiskWrite, error),
        WriteError::Read { .. } => failure(step, Reason::DiskRead, error),
        WriteError::Differs { .. } => failure(step, Reason::ReadBack, error),
    }
}
