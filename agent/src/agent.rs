//! The agent carries out orders: it starts a task, watches its progress and
//! reports the result.
//!
//! [`Agent`] implements the protocol's [`AgentHandler`]. It accesses the server
//! through [`Machine`], so that tests run the same code on disks in memory.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use farrier_image::manifest::PublicKey;
use farrier_protocol::agent_client::Lost;
use farrier_protocol::handler::{AgentHandler, TaskEvent};
use farrier_protocol::message::{
    AgentStep, Deploy, Disk, DiskId, EraseMethod, Failure, FinalReport, HandshakeReply,
    HeardNeighbour, Inspection, NodeId, Order, Progress, Reason, Refusal, Report, Task,
};

use crate::device::BlockDevice;
use crate::engine::reported::Reported;
use crate::operations::{Meter, deploy, erase, failure, reread};

/// A task without progress for this time hangs in the kernel. The limit is
/// longer than the slowest single disk command.
const STALL: Duration = Duration::from_secs(900);

/// Pause between two looks at what was heard by LLDP, in milliseconds.
const LISTEN_MS: u64 = 1_000;

/// The server on which an agent runs.
pub trait Machine: Send + Sync + 'static {
    /// A disk, opened for writing.
    type Device: BlockDevice;

    /// Reads the hardware inventory.
    fn inspect(&self) -> Inspection;

    /// Returns what was heard by LLDP last on each interface; none by default.
    fn neighbours(&self) -> Vec<HeardNeighbour> {
        Vec::new()
    }

    /// Opens a disk for exclusive use.
    ///
    /// # Errors
    /// The kernel's error, for instance if the disk is mounted.
    fn open(&self, disk: &Disk) -> io::Result<Self::Device>;

    /// Returns 16 random bytes.
    fn random(&self) -> [u8; 16];

    /// Returns the agent's peak resident memory in KiB.
    fn peak_rss_kib(&self) -> u32;

    /// Writes a line to the console.
    fn log(&self, line: &str);

    /// Returns the message of a panic in any of the agent's threads. After a
    /// panic the running task does not end.
    fn fault(&self) -> Option<String>;

    /// Reboots or powers off. Returns at once if the kernel refuses.
    fn leave(&self, report: FinalReport);
}

/// Configuration of an agent.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The operator's public key; it verifies image manifests.
    pub image_key: PublicKey,
    /// Address of the appliance's HTTP server.
    pub http_server: SocketAddr,
}

/// The task of the current order.
struct RunningTask {
    meter: Arc<Meter>,
    order: u32,
    events: Receiver<TaskEvent>,
    /// The last sample of the rate: time in the meter's milliseconds, bytes
    /// done, and bytes per second.
    sample: (u64, u64, u32),
}

/// The agent of one boot.
pub struct Agent<M> {
    machine: Arc<M>,
    settings: Settings,
    node: NodeId,
    task: Option<RunningTask>,
    /// The devices of the last inspection.
    reported: Arc<Mutex<Option<Reported>>>,
    /// The thread of an earlier order did not end.
    hung: bool,
    left: Option<FinalReport>,
    lost: Option<Lost>,
    /// What was heard by LLDP and is to be told.
    heard: Vec<HeardNeighbour>,
    /// When the machine is asked for it again, in milliseconds.
    listen_at: u64,
}

impl<M> std::fmt::Debug for Agent<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent")
            .field("node", &self.node)
            .field("working", &self.task.is_some())
            .finish_non_exhaustive()
    }
}

impl<M: Machine> Agent<M> {
    /// Creates an agent without an order.
    pub fn new(machine: Arc<M>, settings: Settings) -> Self {
        Self {
            machine,
            settings,
            node: NodeId([0; 16]),
            task: None,
            reported: Arc::default(),
            hung: false,
            left: None,
            lost: None,
            heard: Vec::new(),
            listen_at: 0,
        }
    }

    /// Returns whether the agent is carrying out an order.
    pub fn is_working(&self) -> bool {
        self.task.is_some()
    }

    /// Returns the final report that the agent sent, if it sent one.
    pub fn left(&self) -> Option<FinalReport> {
        self.left
    }

    /// Returns why the session was lost, if it was lost.
    pub fn lost(&self) -> Option<Lost> {
        self.lost
    }

    /// Starts `work` on a thread of its own. Reports a failure instead if the
    /// thread of an earlier order still runs.
    fn spawn(
        &mut self,
        order: u32,
        step: AgentStep,
        work: impl FnOnce(&M, &Meter, &Sender<TaskEvent>) -> Result<(), Failure> + Send + 'static,
    ) {
        let meter = Arc::new(Meter::new(step));
        let (sender, events) = channel();
        self.task = Some(RunningTask {
            meter: Arc::clone(&meter),
            order,
            events,
            sample: (0, 0, 0),
        });
        if self.hung {
            // The thread that hangs may still have the disk open.
            let failed = failure(
                step,
                Reason::Resources,
                "the task of an earlier order still runs. Reboot the server.",
            );
            drop(sender.send(TaskEvent::Failed(failed)));
            return;
        }
        let machine = Arc::clone(&self.machine);
        let thread_sender = sender.clone();
        let spawned = std::thread::Builder::new()
            .name("order".into())
            .stack_size(crate::STACK)
            .spawn(move || {
                let event = match work(&machine, &meter, &thread_sender) {
                    Ok(()) => TaskEvent::Finished,
                    Err(failure) => TaskEvent::Failed(failure),
                };
                // The receiver is dropped only when the server goes down.
                drop(thread_sender.send(event));
            });
        if let Err(error) = spawned {
            let failed = failure(step, Reason::Resources, error);
            drop(sender.send(TaskEvent::Failed(failed)));
        }
    }
}

impl<M: Machine> AgentHandler for Agent<M> {
    fn established(&mut self, _now: u64, handshake_reply: &HandshakeReply) {
        self.node = handshake_reply.node;
        self.machine.log(&format!(
            "session established, protocol version {}, boot {}",
            handshake_reply.version, handshake_reply.boot.0
        ));
    }

    fn begin(&mut self, _now: u64, order: &Order) {
        let counter = order.counter;
        match &order.task {
            Task::Inspect => {
                self.machine.log("order: inspect");
                let reported = Arc::clone(&self.reported);
                self.spawn(counter, AgentStep::Inspect, move |machine, _, events| {
                    let inspection = machine.inspect();
                    *reported.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(Reported::of(&inspection));
                    machine.log(&summary(&inspection));
                    send_report(events, Report::Inspection(inspection));
                    Ok(())
                });
            }
            Task::Erase { disks, least, seed } => {
                self.machine
                    .log(&format!("order: erase {} disks", disks.len()));
                let (disks, least, seed) = (disks.to_vec(), *least, *seed);
                let reported = Arc::clone(&self.reported);
                self.spawn(counter, AgentStep::Erase, move |machine, meter, events| {
                    let jobs = open_for(machine, &disks, AgentStep::Erase, &reported)?;
                    erase_disks(jobs, least, &seed, meter, events)
                });
            }
            Task::Reread { disks, seed } => {
                self.machine
                    .log(&format!("order: read {} disks again", disks.len()));
                let (disks, seed) = (disks.to_vec(), *seed);
                let reported = Arc::clone(&self.reported);
                self.spawn(counter, AgentStep::Reread, move |machine, meter, events| {
                    let jobs = open_for(machine, &disks, AgentStep::Reread, &reported)?;
                    conclude(reread::reread_all(jobs, &seed, meter), events)
                });
            }
            Task::Deploy(deploy) => {
                self.machine
                    .log(&format!("order: deploy to disk {}", deploy.disk.serial));
                let (deploy, settings, node) = (deploy.clone(), self.settings, self.node);
                self.spawn(counter, AgentStep::Write, move |machine, meter, events| {
                    deploy_image(machine, &deploy, settings, node, meter, events)
                });
            }
            Task::Reboot => self.spawn(counter, AgentStep::Finish, |machine, _, events| {
                machine.log("order: reboot");
                drop(events.send(TaskEvent::Leave(FinalReport::Reboot)));
                Ok(())
            }),
            Task::PowerOff => self.spawn(counter, AgentStep::Finish, |machine, _, events| {
                machine.log("order: power off");
                drop(events.send(TaskEvent::Leave(FinalReport::PowerOff)));
                Ok(())
            }),
        }
    }

    fn poll(&mut self, _now: u64) -> Option<TaskEvent> {
        let task = self.task.as_mut()?;
        let event = match task.events.try_recv() {
            Ok(event) => event,
            Err(TryRecvError::Empty) => {
                if let Some(fault) = self.machine.fault() {
                    self.hung = true;
                    TaskEvent::Failed(failure(task.meter.step(), Reason::Other, fault))
                } else if task.meter.idle() > STALL {
                    self.hung = true;
                    TaskEvent::Failed(failure(
                        task.meter.step(),
                        Reason::Other,
                        format_args!("the task made no progress for {} s", STALL.as_secs()),
                    ))
                } else {
                    return task.progress(&*self.machine).map(TaskEvent::Progress);
                }
            }
            Err(TryRecvError::Disconnected) => TaskEvent::Failed(failure(
                task.meter.step(),
                Reason::Other,
                "the agent's task ended without a result",
            )),
        };
        match &event {
            TaskEvent::Finished | TaskEvent::Leave(_) => self.task = None,
            TaskEvent::Failed(failure) => {
                self.machine.log(&format!(
                    "failed at {:?}: {:?}: {}",
                    failure.step, failure.reason, failure.text
                ));
                self.task = None;
            }
            TaskEvent::Report(Report::Erased(certificate)) => self.machine.log(&format!(
                "disk {} erased by {:?}: {} bytes read back, {} repaired, {} ms",
                certificate.disk.serial,
                certificate.method,
                certificate.verified_bytes,
                certificate.repaired_bytes,
                certificate.millis
            )),
            TaskEvent::Report(Report::ImageWritten(proof)) => self.machine.log(&format!(
                "image written: {} bytes, {} fetched, {} chunks fetched again, peak {} KiB, {} ms",
                proof.image_bytes,
                proof.fetched_bytes,
                proof.refetched_chunks,
                proof.peak_rss_kib,
                proof.millis
            )),
            TaskEvent::Report(_) | TaskEvent::Progress(_) => {}
        }
        Some(event)
    }

    fn neighbour(&mut self, now: u64) -> Option<HeardNeighbour> {
        if self.heard.is_empty() && now >= self.listen_at {
            self.listen_at = now.saturating_add(LISTEN_MS);
            self.heard = self.machine.neighbours();
        }
        self.heard.pop()
    }

    fn refused(&mut self, _now: u64, refusal: Refusal) {
        self.machine
            .log(&format!("the appliance refused a statement: {refusal:?}"));
        self.task = None;
    }

    fn leave(&mut self, _now: u64, report: FinalReport) {
        self.left = Some(report);
        self.machine.leave(report);
    }

    fn lost(&mut self, _now: u64, lost: Lost) {
        self.machine.log(&format!("session lost: {lost:?}"));
        self.lost = Some(lost);
    }
}

impl RunningTask {
    /// Returns the progress, at most once a second and only if it changed.
    fn progress(&mut self, machine: &impl Machine) -> Option<Progress> {
        const SAMPLE_MS: u64 = 1000;
        let (done, total) = self.meter.progress();
        let now = self.meter.millis();
        let (then, before, rate) = self.sample;
        if now < then + SAMPLE_MS {
            return None;
        }
        let bytes = done.saturating_sub(before);
        let fresh = bytes.saturating_mul(1000) / (now - then).max(1);
        // Exponential smoothing with a factor of one half.
        let smooth = (u64::from(rate) + fresh) / if rate == 0 { 1 } else { 2 };
        let rate = u32::try_from(smooth).unwrap_or(u32::MAX);
        self.sample = (now, done, rate);
        (done != before || then == 0).then(|| Progress {
            order: self.order,
            step: self.meter.step(),
            done,
            total,
            rate,
            peak_rss_kib: machine.peak_rss_kib(),
        })
    }
}

fn send_report(events: &Sender<TaskEvent>, report: Report) {
    // The receiver is dropped only when the server goes down.
    drop(events.send(TaskEvent::Report(report)));
}

fn summary(inspection: &Inspection) -> String {
    let disks: Vec<String> = inspection
        .disks
        .iter()
        .map(|disk| format!("{} {} {} bytes", disk.name, disk.id.serial, disk.id.size))
        .collect();
    format!(
        "inspected: {} {} serial {}, {} CPUs, {} MiB, {} NICs, disks: {}",
        inspection.vendor,
        inspection.product,
        inspection.serial,
        inspection.cpu.count,
        inspection.memory_mib,
        inspection.nics.len(),
        if disks.is_empty() {
            "none".into()
        } else {
            disks.join(", ")
        }
    ) + &unproven(inspection)
}

/// What of an inspection the agent can't prove empty.
fn unproven(inspection: &Inspection) -> String {
    let mut all = String::new();
    let skipped = inspection.skipped.iter();
    for device in skipped.filter(|device| device.reason.is_unproven()) {
        let reason = device.reason.as_str();
        all += &format!("; skipped {} {} ({reason})", device.name, device.id);
    }
    for controller in &inspection.controllers {
        all += &format!("; no driver for {} ({})", controller.id, controller.kind);
    }
    if inspection.unlisted > 0 {
        all += &format!("; {} more devices", inspection.unlisted);
    }
    if !inspection.settled {
        all += "; the kernel still initialises devices";
    }
    all
}

/// Finds a disk by serial number and size. Both must match.
fn find<'a>(disks: &'a [Disk], id: &DiskId, step: AgentStep) -> Result<&'a Disk, Failure> {
    let mut found = disks.iter().filter(|disk| disk.id == *id);
    match (found.next(), found.next()) {
        (Some(disk), None) => Ok(disk),
        (Some(_), Some(_)) => Err(failure(
            step,
            Reason::DiskMissing,
            format_args!("two disks have the serial number {}", id.serial),
        )),
        (None, _) if disks.is_empty() => Err(failure(
            step,
            Reason::NoDisks,
            "the server has no writable disk",
        )),
        (None, _) => Err(failure(
            step,
            Reason::DiskMissing,
            format_args!("the server has no disk {} of {} bytes", id.serial, id.size),
        )),
    }
}

/// Opens all disks that an erase order names. The caller writes to a disk only
/// after all are open.
///
/// # Errors
/// The failure to report: a disk is missing or can't be opened.
pub fn open_all<D: BlockDevice>(
    disks: &[Disk],
    wanted: &[DiskId],
    open: impl Fn(&Disk) -> io::Result<D>,
) -> Result<Vec<erase::EraseJob<D>>, Failure> {
    if wanted.is_empty() {
        return Err(failure(
            AgentStep::Erase,
            Reason::NoDisks,
            "the order names no disk",
        ));
    }
    let mut jobs = Vec::new();
    for id in wanted {
        let (disk, device) = open_one(disks, id, AgentStep::Erase, &open)?;
        jobs.push(erase::EraseJob {
            id: id.clone(),
            abilities: disk.erase,
            device,
        });
    }
    Ok(jobs)
}

/// Finds the disk `id` and opens it for writing.
///
/// # Errors
/// The failure to report: the disk is missing, has another size, or can't be
/// opened.
pub fn open_one<'a, D: BlockDevice>(
    disks: &'a [Disk],
    id: &DiskId,
    step: AgentStep,
    open: impl Fn(&Disk) -> io::Result<D>,
) -> Result<(&'a Disk, D), Failure> {
    let disk = find(disks, id, step)?;
    let device = open(disk).map_err(|error| failure(step, Reason::DiskWrite, error))?;
    if device.size() != id.size {
        return Err(failure(
            step,
            Reason::DiskMissing,
            format_args!(
                "disk {} has {} bytes, the order names {}",
                id.serial,
                device.size(),
                id.size
            ),
        ));
    }
    Ok((disk, device))
}

fn erase_disks<D: BlockDevice>(
    jobs: Vec<erase::EraseJob<D>>,
    least: EraseMethod,
    seed: &[u8; 32],
    meter: &Meter,
    events: &Sender<TaskEvent>,
) -> Result<(), Failure> {
    let certificates = Mutex::new(events.clone());
    let failures = erase::erase_all(jobs, least, seed, meter, &|certificate| {
        if let Ok(events) = certificates.lock() {
            send_report(&events, Report::Erased(certificate));
        }
    });
    conclude(failures, events)
}

/// Opens the disks of an order that proves all disks empty. It fails where the server
/// has other devices than the inspection said, since the order is about those alone.
fn open_for<M: Machine>(
    machine: &M,
    wanted: &[DiskId],
    step: AgentStep,
    reported: &Mutex<Option<Reported>>,
) -> Result<Vec<erase::EraseJob<M::Device>>, Failure> {
    let inspection = machine.inspect();
    let known = reported.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = &*known
        && let Some(difference) = known.difference(&Reported::of(&inspection))
    {
        return Err(failure(
            step,
            Reason::DevicesChanged,
            format_args!("{difference}, since the devices were reported. Start the work again."),
        ));
    }
    open_all(&inspection.disks, wanted, |disk| machine.open(disk))
}

/// Reports that an order about several disks is done, or the failures.
fn conclude(failures: Vec<Failure>, events: &Sender<TaskEvent>) -> Result<(), Failure> {
    // One failure a disk. The appliance keeps the first as the node's last
    // error, so the first also has the number of failed disks. The last one
    // ends the order.
    let count = failures.len();
    let mut failures = failures.into_iter().enumerate().map(|(index, failed)| {
        if index > 0 || count == 1 {
            return failed;
        }
        let text = format_args!("{count} disks failed. {}", failed.text);
        failure(failed.step, failed.reason, text)
    });
    let Some(last) = failures.next_back() else {
        send_report(events, Report::Done);
        return Ok(());
    };
    for failure in failures {
        send_report(events, Report::Failure(failure));
    }
    Err(last)
}

fn deploy_image<M: Machine>(
    machine: &M,
    order: &Deploy,
    settings: Settings,
    node: NodeId,
    meter: &Meter,
    events: &Sender<TaskEvent>,
) -> Result<(), Failure> {
    let disks = machine.inspect().disks;
    let (_, device) = open_one(&disks, &order.disk, AgentStep::Write, |disk| {
        machine.open(disk)
    })?;
    let context = deploy::Context {
        image_key: settings.image_key,
        node,
        random: machine.random(),
        meter,
    };
    let mut proof = deploy::deploy(order, &device, settings.http_server, &context)?;
    proof.peak_rss_kib = machine.peak_rss_kib();
    send_report(events, Report::ImageWritten(proof));
    Ok(())
}
