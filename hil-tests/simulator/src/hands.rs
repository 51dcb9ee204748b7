//! The hands of a simulated agent: the shipping engines, given their disks
//! and their bytes as virtual time goes by.
//!
//! Shipping code: finding and opening disks, the erase ladder, the image
//! stream with its checks, the partition table. Modelled: the threads on
//! which a real agent runs them, its watch over threads that hang, the HTTP
//! connection (a config drive comes over it as a whole), and the inventory (a
//! fixed one a machine). And what goes wrong: an agent that hangs or lies.

use std::collections::VecDeque;

use farrier_agent::agent::{open_all, open_one};
use farrier_agent::operations::erase::Erasure;
use farrier_agent::operations::failure;
use farrier_protocol::agent_client::Lost;
use farrier_protocol::handler::{AgentHandler, TaskEvent};
use farrier_protocol::message::{
    AgentStep, Deploy, DiskId, Failure, FinalReport, HandshakeReply, Inspection, NodeId, Order,
    Progress, Reason, Refusal, Report, Task,
};

use crate::disk::Disk;
use crate::imaging::{Imaging, Next, Wanted};

/// How much of the work is done in one go, in milliseconds of its time.
const BATCH: u64 = 4_000;
/// Bytes of one read-back: what an agent with a few disks takes.
const WINDOW: u64 = 1 << 20;
/// How long it takes to look at the hardware.
const INSPECTING: u64 = 700;

/// What an agent does with its next order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mood {
    /// What it is told.
    #[default]
    Honest,
    /// Nothing, while it goes on talking.
    Hangs,
    /// It says of one disk less that it was erased.
    WithholdsCertificate,
    /// It says that only a part was verified.
    CertifiesPart,
    /// It certifies a disk that is not there.
    CertifiesStranger,
    /// It says at once that all is done.
    ClaimsDone,
    /// It proves another image.
    WrongRoot,
    /// It reports a failure that there is not.
    CriesWolf,
}

/// Lies that an appliance can tell from the truth.
pub const LIES: [Mood; 6] = [
    Mood::WithholdsCertificate,
    Mood::CertifiesPart,
    Mood::CertifiesStranger,
    Mood::ClaimsDone,
    Mood::WrongRoot,
    Mood::CriesWolf,
];

enum Job {
    None,
    Hang,
    Inspect,
    Erase {
        running: Vec<Erasure<Disk>>,
        disks: Vec<Disk>,
        failed: Option<Failure>,
    },
    Deploy(Imaging),
}

/// See the module.
pub struct Hands {
    /// The machine's disks, as its inventory lists them.
    disks: Vec<Disk>,
    inspection: Box<Inspection>,
    /// Bytes that its disks move in a millisecond.
    rate: u64,
    /// For the identity of partitions.
    random: [u8; 16],
    /// What comes of the next order.
    pub mood: Mood,
    job: Job,
    order: u32,
    node: NodeId,
    said: VecDeque<TaskEvent>,
    /// When there is something to do next, in the agent's milliseconds.
    pub due: u64,
    /// Bytes that are waited for.
    pub wanted: Option<Wanted>,
    /// An order that was begun since this was taken last.
    pub begun: Option<Order>,
    /// The session stands.
    pub welcome: bool,
    /// How it ended, by a farewell.
    pub left: Option<FinalReport>,
    /// How it ended otherwise.
    pub lost: Option<Lost>,
}

impl std::fmt::Debug for Hands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hands")
            .field("order", &self.order)
            .field("mood", &self.mood)
            .finish_non_exhaustive()
    }
}

impl Hands {
    /// Hands without an order. `disks` are those of `inspection`, in the same
    /// order; `rate` is how many bytes they move in a millisecond.
    pub fn new(disks: Vec<Disk>, inspection: Inspection, rate: u64, random: [u8; 16]) -> Self {
        Self {
            disks,
            inspection: Box::new(inspection),
            rate: rate.max(1),
            random,
            mood: Mood::Honest,
            job: Job::None,
            order: 0,
            node: NodeId([0; 16]),
            said: VecDeque::new(),
            due: u64::MAX,
            wanted: None,
            begun: None,
            welcome: false,
            left: None,
            lost: None,
        }
    }

    /// Whether an order is under way.
    pub fn is_working(&self) -> bool {
        !matches!(self.job, Job::None)
    }

    fn open(&self, disk: &farrier_protocol::message::Disk) -> std::io::Result<Disk> {
        self.inspection
            .disks
            .iter()
            .position(|listed| listed.id == disk.id)
            .and_then(|place| self.disks.get(place).cloned())
            .ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    fn say(&mut self, fact: Report) {
        self.said.push_back(TaskEvent::Report(fact));
    }

    fn end(&mut self, result: Result<(), Failure>) {
        self.job = Job::None;
        self.due = u64::MAX;
        self.wanted = None;
        self.said.push_back(match result {
            Ok(()) => TaskEvent::Finished,
            Err(failure) => TaskEvent::Failed(failure),
        });
    }

    /// Bytes that were waited for have come, or have not.
    pub fn fetched(&mut self, now: u64, bytes: Option<Vec<u8>>) {
        self.wanted = None;
        let Job::Deploy(imaging) = &mut self.job else {
            return;
        };
        match imaging.fetched(bytes) {
            Ok(pause) => {
                let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                self.due = now.saturating_add(pause);
            }
            Err(failure) => self.end(Err(failure)),
        }
    }

    /// Works for as long as a batch lasts.
    fn work(&mut self, now: u64) {
        if self.due > now {
            return;
        }
        match &mut self.job {
            Job::None | Job::Hang => self.due = u64::MAX,
            Job::Inspect => {
                let inspection = self.inspection.as_ref().clone();
                self.say(Report::Inspection(inspection));
                self.end(Ok(()));
            }
            Job::Erase { .. } => self.erase(now),
            Job::Deploy(_) => self.deploy(now),
        }
    }

    fn erase(&mut self, now: u64) {
        let Job::Erase {
            running,
            disks,
            failed,
        } = &mut self.job
        else {
            return;
        };
        let budget = self.rate * BATCH;
        let (mut moved, mut done, mut total) = (0, 0, 0);
        let mut certificates = Vec::new();
        while moved < budget && !running.is_empty() {
            running.retain_mut(|erasure| match erasure.step() {
                None => true,
                Some(Ok(certificate)) => {
                    certificates.push(certificate);
                    false
                }
                Some(Err(failure)) => {
                    failed.get_or_insert(failure);
                    false
                }
            });
            moved += disks.iter().map(Disk::take_moved).sum::<u64>().max(1);
        }
        for erasure in running.iter() {
            let (part, size) = erasure.ladder().progress();
            total += 2 * size;
            done += part
                + if erasure.ladder().is_verifying() {
                    size
                } else {
                    0
                };
        }
        let over = running.is_empty().then(|| failed.take());
        let withheld = match self.mood {
            Mood::WithholdsCertificate => certificates.pop().is_some(),
            _ => false,
        };
        for mut certificate in certificates {
            match self.mood {
                Mood::CertifiesPart => certificate.verified_bytes /= 2,
                Mood::CertifiesStranger => certificate.disk.size += 512,
                _ => {}
            }
            self.say(Report::Erased(certificate));
        }
        if withheld {
            self.mood = Mood::Honest;
        }
        match over {
            Some(None) => {
                self.say(Report::Done);
                self.end(Ok(()));
            }
            Some(Some(failure)) => self.end(Err(failure)),
            None => {
                self.due = now + (moved / self.rate).max(1);
                self.said.push_back(TaskEvent::Progress(Progress {
                    order: self.order,
                    step: AgentStep::Erase,
                    done,
                    total,
                    rate: u32::try_from(self.rate * 1000).unwrap_or(u32::MAX),
                    peak_rss_kib: 9000,
                }));
            }
        }
    }

    fn deploy(&mut self, now: u64) {
        let Job::Deploy(imaging) = &mut self.job else {
            return;
        };
        match imaging.go_on(now, self.node, self.random) {
            Next::Fetch(wanted) => {
                self.wanted = Some(wanted);
                self.due = u64::MAX;
            }
            Next::End(Ok(mut proof)) => {
                if self.mood == Mood::WrongRoot {
                    proof.manifest_root[0] ^= 1;
                }
                self.say(Report::ImageWritten(proof));
                self.end(Ok(()));
            }
            Next::End(Err(failure)) => self.end(Err(failure)),
        }
    }

    fn begin_erase(&mut self, wanted: &[DiskId], least: farrier_protocol::message::EraseMethod) {
        let jobs = open_all(&self.inspection.disks, wanted, |disk| self.open(disk));
        match jobs {
            Err(failure) => self.end(Err(failure)),
            Ok(jobs) => {
                let disks = jobs.iter().map(|job| job.device.clone()).collect();
                let running = jobs
                    .into_iter()
                    .map(|job| Erasure::new(job, least, WINDOW))
                    .collect();
                self.job = Job::Erase {
                    running,
                    disks,
                    failed: None,
                };
            }
        }
    }

    fn begin_deploy(&mut self, deploy: &Deploy) {
        let opened = open_one(
            &self.inspection.disks,
            &deploy.disk,
            AgentStep::Write,
            |disk| self.open(disk),
        );
        match opened {
            Err(failure) => self.end(Err(failure)),
            Ok((_, device)) => self.job = Job::Deploy(Imaging::new(deploy, device)),
        }
    }
}

impl AgentHandler for Hands {
    fn established(&mut self, _now: u64, welcome: &HandshakeReply) {
        self.node = welcome.node;
        self.welcome = true;
    }

    fn begin(&mut self, now: u64, order: &Order) {
        self.begun = Some(order.clone());
        self.order = order.counter;
        self.due = now;
        match (self.mood, &order.task) {
            (Mood::Hangs, task) if *task != Task::Reboot => {
                self.job = Job::Hang;
                self.mood = Mood::Honest;
            }
            (Mood::ClaimsDone, Task::Erase { .. } | Task::Deploy(_)) => {
                self.mood = Mood::Honest;
                self.say(Report::Done);
                self.end(Ok(()));
            }
            (Mood::CriesWolf, Task::Erase { .. } | Task::Deploy(_)) => {
                self.mood = Mood::Honest;
                let failed = failure(AgentStep::Startup, Reason::Other, "wolf");
                self.end(Err(failed));
            }
            (_, Task::Inspect) => {
                self.job = Job::Inspect;
                self.due = now + INSPECTING;
            }
            (_, Task::Erase { disks, least }) => self.begin_erase(disks, *least),
            (_, Task::Deploy(deploy)) => self.begin_deploy(deploy),
            (_, Task::Reboot) => self.said.push_back(TaskEvent::Leave(FinalReport::Reboot)),
            (_, Task::PowerOff) => self.said.push_back(TaskEvent::Leave(FinalReport::PowerOff)),
        }
    }

    fn poll(&mut self, now: u64) -> Option<TaskEvent> {
        if self.said.is_empty() {
            self.work(now);
        }
        self.said.pop_front()
    }

    fn refused(&mut self, _now: u64, _refusal: Refusal) {
        self.job = Job::None;
        self.said.clear();
        self.due = u64::MAX;
    }

    fn leave(&mut self, _now: u64, farewell: FinalReport) {
        self.left = Some(farewell);
    }

    fn lost(&mut self, _now: u64, lost: Lost) {
        self.lost = Some(lost);
    }
}
