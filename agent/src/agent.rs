//! The agent's answers to orders: which work is begun, how it is watched,
//! what is said about it.
//!
//! [`Agent`] implements the protocol's [`AgentHandler`]; the machine that it
//! works on is behind [`Machine`], so that tests drive the same code with
//! disks made of files.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::Duration;

use farrier_image::manifest::PublicKey;
use farrier_protocol::agent_client::Lost;
use farrier_protocol::handler::{AgentHandler, TaskEvent};
use farrier_protocol::message::{
    AgentStep, Deploy, Disk, DiskId, EraseMethod, Failure, FinalReport, HandshakeReply, Inspection,
    NodeId, Order, Progress, Reason, Refusal, Report, Task,
};

use crate::device::BlockDevice;
use crate::operations::{Meter, deploy, erase, failure};

/// Work that has not moved for so long hangs in the kernel. Longer than the
/// slowest single command that is given to a disk.
const STALL: Duration = Duration::from_secs(900);

/// The machine that an agent works on.
pub trait Machine: Send + Sync + 'static {
    /// Its disks.
    type Device: BlockDevice;

    /// Reads the hardware.
    fn inspect(&self) -> Inspection;

    /// Opens a disk for exclusive use.
    ///
    /// # Errors
    /// The kernel's, for instance where it is mounted.
    fn open(&self, disk: &Disk) -> io::Result<Self::Device>;

    /// Random bytes.
    fn random(&self) -> [u8; 16];

    /// The agent's resident memory at its highest, in KiB.
    fn peak_rss_kib(&self) -> u32;

    /// Tells a person at the console.
    fn say(&self, line: &str);

    /// A fault of the agent itself, in any thread: what is under way will not
    /// come to its end.
    fn fault(&self) -> Option<String>;

    /// Reboots or powers off. Returns at once where it can't.
    fn leave(&self, farewell: FinalReport);
}

/// What an agent has to know beside the machine.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The operator's key, which signs images.
    pub image_key: PublicKey,
    /// The appliance's HTTP http_server.
    pub http_server: SocketAddr,
}

/// An order under way.
struct Errand {
    meter: Arc<Meter>,
    order: u32,
    said: Receiver<TaskEvent>,
    /// For the rate: when, in the meter's milliseconds, how much was done,
    /// and the rate then.
    sample: (u64, u64, u32),
}

/// The agent of one boot.
pub struct Agent<M> {
    machine: Arc<M>,
    settings: Settings,
    node: NodeId,
    task: Option<Errand>,
    /// A thread of an earlier order never came back.
    hung: bool,
    left: Option<FinalReport>,
    lost: Option<Lost>,
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
    /// An agent without an order.
    pub fn new(machine: Arc<M>, settings: Settings) -> Self {
        Self {
            machine,
            settings,
            node: NodeId([0; 16]),
            task: None,
            hung: false,
            left: None,
            lost: None,
        }
    }

    /// Whether an order is under way.
    pub fn is_working(&self) -> bool {
        self.task.is_some()
    }

    /// How the conversation ended, where it ended by a farewell.
    pub fn left(&self) -> Option<FinalReport> {
        self.left
    }

    /// Why the conversation was lost, where it was.
    pub fn lost(&self) -> Option<Lost> {
        self.lost
    }

    /// Starts `work` on a thread of its own.
    fn spawn(
        &mut self,
        order: u32,
        step: AgentStep,
        work: impl FnOnce(&M, &Meter, &Sender<TaskEvent>) -> Result<(), Failure> + Send + 'static,
    ) {
        let meter = Arc::new(Meter::new(step));
        let (say, said) = channel();
        self.task = Some(Errand {
            meter: Arc::clone(&meter),
            order,
            said,
            sample: (0, 0, 0),
        });
        if self.hung {
            // The disk may still be in the hands of the thread that hangs.
            let failed = failure(
                step,
                Reason::Resources,
                "an earlier order still hangs; the machine needs a reboot",
            );
            drop(say.send(TaskEvent::Failed(failed)));
            return;
        }
        let machine = Arc::clone(&self.machine);
        let thread_say = say.clone();
        let spawned = std::thread::Builder::new()
            .name("order".into())
            .stack_size(crate::STACK)
            .spawn(move || {
                let work = match work(&machine, &meter, &thread_say) {
                    Ok(()) => TaskEvent::Finished,
                    Err(failure) => TaskEvent::Failed(failure),
                };
                // Nobody listens any more only when the machine goes down.
                drop(thread_say.send(work));
            });
        if let Err(error) = spawned {
            let failed = failure(step, Reason::Resources, error);
            drop(say.send(TaskEvent::Failed(failed)));
        }
    }
}

impl<M: Machine> AgentHandler for Agent<M> {
    fn established(&mut self, _now: u64, handshake_reply: &HandshakeReply) {
        self.node = handshake_reply.node;
        self.machine.say(&format!(
            "session established, protocol version {}, boot {}",
            handshake_reply.version, handshake_reply.boot.0
        ));
    }

    fn begin(&mut self, _now: u64, order: &Order) {
        let counter = order.counter;
        match &order.task {
            Task::Inspect => {
                self.machine.say("order: inspect");
                self.spawn(counter, AgentStep::Inspect, |machine, _, say| {
                    let inspection = machine.inspect();
                    machine.say(&summary(&inspection));
                    tell(say, Report::Inspection(inspection));
                    Ok(())
                });
            }
            Task::Erase { disks, least } => {
                self.machine
                    .say(&format!("order: erase {} disks", disks.len()));
                let (disks, least) = (disks.to_vec(), *least);
                self.spawn(counter, AgentStep::Erase, move |machine, meter, say| {
                    erase_disks(machine, &disks, least, meter, say)
                });
            }
            Task::Deploy(deploy) => {
                self.machine
                    .say(&format!("order: deploy to disk {}", deploy.disk.serial));
                let (deploy, settings, node) = (deploy.clone(), self.settings, self.node);
                self.spawn(counter, AgentStep::Write, move |machine, meter, say| {
                    deploy_image(machine, &deploy, settings, node, meter, say)
                });
            }
            Task::Reboot => self.spawn(counter, AgentStep::Finish, |machine, _, say| {
                machine.say("order: reboot");
                drop(say.send(TaskEvent::Leave(FinalReport::Reboot)));
                Ok(())
            }),
            Task::PowerOff => self.spawn(counter, AgentStep::Finish, |machine, _, say| {
                machine.say("order: power off");
                drop(say.send(TaskEvent::Leave(FinalReport::PowerOff)));
                Ok(())
            }),
        }
    }

    fn poll(&mut self, _now: u64) -> Option<TaskEvent> {
        let task = self.task.as_mut()?;
        let work = match task.said.try_recv() {
            Ok(work) => work,
            Err(TryRecvError::Empty) => {
                if let Some(fault) = self.machine.fault() {
                    self.hung = true;
                    TaskEvent::Failed(failure(task.meter.step(), Reason::Other, fault))
                } else if task.meter.idle() > STALL {
                    self.hung = true;
                    TaskEvent::Failed(failure(
                        task.meter.step(),
                        Reason::Other,
                        format_args!("nothing has moved for {} s", STALL.as_secs()),
                    ))
                } else {
                    return task.progress(&*self.machine).map(TaskEvent::Progress);
                }
            }
            Err(TryRecvError::Disconnected) => TaskEvent::Failed(failure(
                task.meter.step(),
                Reason::Other,
                "the work was broken off by a fault of the agent",
            )),
        };
        match &work {
            TaskEvent::Finished | TaskEvent::Leave(_) => self.task = None,
            TaskEvent::Failed(failure) => {
                self.machine.say(&format!(
                    "failed at {:?}: {:?}: {}",
                    failure.step, failure.reason, failure.text
                ));
                self.task = None;
            }
            TaskEvent::Report(Report::Erased(certificate)) => self.machine.say(&format!(
                "disk {} erased by {:?}: {} bytes read back, {} repaired, {} ms",
                certificate.disk.serial,
                certificate.method,
                certificate.verified_bytes,
                certificate.repaired_bytes,
                certificate.millis
            )),
            TaskEvent::Report(Report::ImageWritten(proof)) => self.machine.say(&format!(
                "image written: {} bytes, {} fetched, {} chunks fetched again, peak {} KiB, {} ms",
                proof.image_bytes,
                proof.fetched_bytes,
                proof.refetched_chunks,
                proof.peak_rss_kib,
                proof.millis
            )),
            TaskEvent::Report(_) | TaskEvent::Progress(_) => {}
        }
        Some(work)
    }

    fn refused(&mut self, _now: u64, refusal: Refusal) {
        self.machine
            .say(&format!("the appliance refuses a statement: {refusal:?}"));
        self.task = None;
    }

    fn leave(&mut self, _now: u64, farewell: FinalReport) {
        self.left = Some(farewell);
        self.machine.leave(farewell);
    }

    fn lost(&mut self, _now: u64, lost: Lost) {
        self.machine.say(&format!("conversation lost: {lost:?}"));
        self.lost = Some(lost);
    }
}

impl Errand {
    /// The present state, where there is something to tell.
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
        // Half of it is new: smooth over a few seconds, quick to follow.
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

fn tell(say: &Sender<TaskEvent>, report: Report) {
    // Nobody listens any more only when the machine goes down.
    drop(say.send(TaskEvent::Report(report)));
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
    )
}

/// Finds a disk by serial number *and* size: a disk that has one of both only
/// is another disk.
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
            "the machine has no disk that can be written",
        )),
        (None, _) => Err(failure(
            step,
            Reason::DiskMissing,
            format_args!("no disk {} of {} bytes", id.serial, id.size),
        )),
    }
}

/// The disks that an order to erase names, opened. All of them are found and
/// opened before the first byte is touched.
///
/// # Errors
/// The failure to report.
pub fn open_all<D: BlockDevice>(
    disks: &[Disk],
    wanted: &[DiskId],
    open: impl Fn(&Disk) -> io::Result<D>,
) -> Result<Vec<erase::Job<D>>, Failure> {
    if wanted.is_empty() {
        return Err(failure(
            AgentStep::Erase,
            Reason::NoDisks,
            "no disk is named",
        ));
    }
    let mut jobs = Vec::new();
    for id in wanted {
        let (disk, device) = open_one(disks, id, AgentStep::Erase, &open)?;
        jobs.push(erase::Job {
            id: id.clone(),
            abilities: disk.erase,
            device,
        });
    }
    Ok(jobs)
}

/// The disk of that identity, opened for writing.
///
/// # Errors
/// The failure to report.
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
            format_args!("disk {} has another size now", id.serial),
        ));
    }
    Ok((disk, device))
}

fn erase_disks<M: Machine>(
    machine: &M,
    wanted: &[DiskId],
    least: EraseMethod,
    meter: &Meter,
    say: &Sender<TaskEvent>,
) -> Result<(), Failure> {
    let jobs = open_all(&machine.inspect().disks, wanted, |disk| machine.open(disk))?;
    let say_certificate = std::sync::Mutex::new(say.clone());
    let failures = erase::erase_all(jobs, least, meter, &|certificate| {
        if let Ok(say) = say_certificate.lock() {
            tell(&say, Report::Erased(certificate));
        }
    });
    match failures.into_iter().next() {
        Some(failure) => Err(failure),
        None => {
            tell(say, Report::Done);
            Ok(())
        }
    }
}

fn deploy_image<M: Machine>(
    machine: &M,
    order: &Deploy,
    settings: Settings,
    node: NodeId,
    meter: &Meter,
    say: &Sender<TaskEvent>,
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
    tell(say, Report::ImageWritten(proof));
    Ok(())
}
