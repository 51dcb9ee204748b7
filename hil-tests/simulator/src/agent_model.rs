//! The agent model: the shipping engines, given their disks and their bytes
//! as virtual time goes by.
//!
//! Shipping code: finding and opening disks, the erase ladder, the image
//! stream with its checks, the partition table. Modelled: the threads on
//! which a real agent runs them, its guard over threads that hang, the HTTP
//! connection (a config drive comes over it as a whole), and the inventory (a
//! fixed one a machine). Lies and failures of an agent are a
//! behaviour of the test kit's scripted agent.

use std::collections::VecDeque;

use farrier_agent::agent::{open_all, open_one};
use farrier_agent::operations::erase::Erasure;
use farrier_agent::operations::reread::Reread;
use farrier_protocol::handler::TaskEvent;
use farrier_protocol::message::{
    AgentStep, Deploy, DiskId, EraseMethod, Failure, HandshakeReply, Inspection, NodeId, Order,
    Progress, Report, Task,
};
use farrier_testkit::agent::{Engine, ScriptedAgent};

use crate::disk::Disk;
use crate::imaging::{Imaging, Next, Wanted};

/// How much is done in one go, in milliseconds of the agent's time.
const BATCH: u64 = 4_000;
/// Bytes of one read-back: what an agent with a few disks takes.
const WINDOW: u64 = 1 << 20;
/// How long an inspection takes, in milliseconds.
const INSPECTING: u64 = 700;

/// A simulated agent.
pub type Agent = ScriptedAgent<AgentModel>;

enum Job {
    None,
    Inspect,
    Erase {
        running: Vec<Erasure<Disk>>,
        disks: Vec<Disk>,
        failed: Option<Failure>,
    },
    Reread {
        running: Vec<Reread<Disk>>,
        disks: Vec<Disk>,
    },
    Deploy(Imaging),
}

/// See the module.
pub struct AgentModel {
    /// The machine's disks, as its inventory lists them.
    disks: Vec<Disk>,
    inspection: Box<Inspection>,
    /// Bytes that its disks move in a millisecond.
    rate: u64,
    /// For the identity of partitions.
    random: [u8; 16],
    job: Job,
    order: u32,
    node: NodeId,
    reports: VecDeque<TaskEvent>,
    /// When there is something to do next, in milliseconds.
    pub due: u64,
    /// Bytes that are waited for.
    pub wanted: Option<Wanted>,
}

impl std::fmt::Debug for AgentModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentModel")
            .field("order", &self.order)
            .finish_non_exhaustive()
    }
}

impl AgentModel {
    /// A model without an order. `disks` are those of `inspection`, in the
    /// same order; `rate` is how many bytes they move in a millisecond.
    pub fn new(disks: Vec<Disk>, inspection: Inspection, rate: u64, random: [u8; 16]) -> Self {
        Self {
            disks,
            inspection: Box::new(inspection),
            rate: rate.max(1),
            random,
            job: Job::None,
            order: 0,
            node: NodeId([0; 16]),
            reports: VecDeque::new(),
            due: u64::MAX,
            wanted: None,
        }
    }

    fn open(&self, disk: &farrier_protocol::message::Disk) -> std::io::Result<Disk> {
        self.inspection
            .disks
            .iter()
            .position(|listed| listed.id == disk.id)
            .and_then(|place| self.disks.get(place).cloned())
            .ok_or_else(|| std::io::ErrorKind::NotFound.into())
    }

    fn report(&mut self, report: Report) {
        self.reports.push_back(TaskEvent::Report(report));
    }

    fn end(&mut self, result: Result<(), Failure>) {
        self.job = Job::None;
        self.due = u64::MAX;
        self.wanted = None;
        self.reports.push_back(match result {
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

    /// Runs the job for as long as a batch lasts.
    fn run(&mut self, now: u64) {
        if self.due > now {
            return;
        }
        match &mut self.job {
            Job::None => self.due = u64::MAX,
            Job::Inspect => {
                let inspection = self.inspection.as_ref().clone();
                self.report(Report::Inspection(inspection));
                self.end(Ok(()));
            }
            Job::Erase { .. } => self.erase(now),
            Job::Reread { .. } => self.reread(now),
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
        for certificate in certificates {
            self.report(Report::Erased(certificate));
        }
        match over {
            Some(None) => {
                self.report(Report::Done);
                self.end(Ok(()));
            }
            Some(Some(failure)) => self.end(Err(failure)),
            None => {
                self.due = now + (moved / self.rate).max(1);
                self.reports.push_back(TaskEvent::Progress(Progress {
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

    fn reread(&mut self, now: u64) {
        let Job::Reread { running, disks } = &mut self.job else {
            return;
        };
        let mut failed = None;
        running.retain_mut(|disk| match disk.step() {
            None => true,
            Some(ended) => {
                failed = failed.take().or(ended.err());
                false
            }
        });
        let moved = disks.iter().map(Disk::take_moved).sum::<u64>();
        self.due = now + (moved / self.rate).max(1);
        if let Some(failure) = failed {
            self.end(Err(failure));
        } else if running.is_empty() {
            self.report(Report::Done);
            self.end(Ok(()));
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
            Next::End(Ok(proof)) => {
                self.report(Report::ImageWritten(proof));
                self.end(Ok(()));
            }
            Next::End(Err(failure)) => self.end(Err(failure)),
        }
    }

    fn begin_erase(&mut self, wanted: &[DiskId], least: EraseMethod, seed: &[u8; 32]) {
        let jobs = open_all(&self.inspection.disks, wanted, |disk| self.open(disk));
        match jobs {
            Err(failure) => self.end(Err(failure)),
            Ok(jobs) => {
                let disks = jobs.iter().map(|job| job.device.clone()).collect();
                let running = jobs
                    .into_iter()
                    .map(|job| Erasure::new(job, least, seed, WINDOW))
                    .collect();
                self.job = Job::Erase {
                    running,
                    disks,
                    failed: None,
                };
            }
        }
    }

    fn begin_reread(&mut self, wanted: &[DiskId], seed: &[u8; 32]) {
        let jobs = open_all(&self.inspection.disks, wanted, |disk| self.open(disk));
        match jobs {
            Err(failure) => self.end(Err(failure)),
            Ok(jobs) => {
                let disks = jobs.iter().map(|job| job.device.clone()).collect();
                let running = jobs.into_iter().map(|job| Reread::new(job, seed)).collect();
                self.job = Job::Reread { running, disks };
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

impl Engine for AgentModel {
    fn established(&mut self, reply: &HandshakeReply) {
        self.node = reply.node;
    }

    fn begin(&mut self, now: u64, order: &Order) {
        self.order = order.counter;
        self.due = now;
        match &order.task {
            Task::Inspect => {
                self.job = Job::Inspect;
                self.due = now + INSPECTING;
            }
            Task::Erase { disks, least, seed } => self.begin_erase(disks, *least, seed),
            Task::Reread { disks, seed } => self.begin_reread(disks, seed),
            Task::Deploy(deploy) => self.begin_deploy(deploy),
            Task::Reboot | Task::PowerOff => {}
        }
    }

    fn stop(&mut self) {
        self.job = Job::None;
        self.reports.clear();
        self.due = u64::MAX;
        self.wanted = None;
    }

    fn poll(&mut self, now: u64) -> Option<TaskEvent> {
        if self.reports.is_empty() {
            self.run(now);
        }
        self.reports.pop_front()
    }
}
