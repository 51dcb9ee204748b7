//! The scripted agent: the shipping conversation, an engine that carries out
//! orders, and a behaviour that decides what becomes of them.
//!
//! An engine does honestly what an order says: [`Immediate`] at once and
//! without any disk, the simulator's with the shipping operations in virtual
//! time. The lies and failures of a [`Behaviour`] are applied to what the
//! engine reports, so they are the same for every engine.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::OnceLock;

use farrier_core::Endpoint;
use farrier_core::interface::NetworkId;
use farrier_protocol::agent_client::{AgentClient, Config, Lost};
use farrier_protocol::client::HandshakeEntropy;
use farrier_protocol::handler::{AgentHandler, AgentRunner, TaskEvent};
use farrier_protocol::message::{
    AgentHandshake, AgentStep, BootMode, DiskId, EraseCertificate, EraseMethod, Failure,
    FinalReport, HandshakeReply, HeardNeighbour, ImageProof, Inspection, Mac, Nic, Order, Reason,
    Refusal, Report, Task,
};
use farrier_protocol::server::Keys;
use farrier_protocol::signing::{PublicKey, SecretKey};
use farrier_protocol::ticket::Ticket;

use crate::machine::{disk, inspection, mac_of};
use crate::{GIB, IDENTITY};

/// UDP port that scripted agents send from.
pub const AGENT_PORT: u16 = 8471;

/// What an agent does with its orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// What its orders say.
    #[default]
    Honest,
    /// Nothing, while it goes on polling. It still restarts its machine.
    Hangs,
    /// It reports this failure and does nothing else. It still inspects.
    Fails(Reason),
    /// It sends no certificate for one of the disks.
    WithholdsCertificate,
    /// It certifies that half of a disk was verified.
    CertifiesPart,
    /// It certifies disks of another size than the ordered ones.
    CertifiesOtherDisk,
    /// It certifies that disks were erased by a discard.
    ErasesWeakly,
    /// It certifies that a disk's own command left bytes.
    LeavesBytes,
    /// It finds that an erased disk is not empty after a restart.
    FindsContent,
    /// It reports at once that all is done.
    ClaimsDone,
    /// It proves another image.
    WrongRoot,
    /// It restarts its machine without a final report.
    Vanishes,
}

/// Lies that an appliance can tell from the truth.
pub const LIES: [Behaviour; 6] = [
    Behaviour::WithholdsCertificate,
    Behaviour::CertifiesPart,
    Behaviour::CertifiesOtherDisk,
    Behaviour::ClaimsDone,
    Behaviour::WrongRoot,
    Behaviour::Fails(Reason::Other),
];

/// Carries out orders to inspect, erase and deploy.
pub trait Engine {
    /// The session was established.
    fn established(&mut self, reply: &HandshakeReply) {
        let _ = reply;
    }

    /// Begins an order; what ran before is dropped.
    fn begin(&mut self, now: u64, order: &Order);

    /// Ends what runs, without a report.
    fn stop(&mut self);

    /// The next report of what runs.
    fn poll(&mut self, now: u64) -> Option<TaskEvent>;
}

/// An [`AgentHandler`] with a behaviour and an engine.
#[derive(Debug, Default)]
pub struct ScriptedAgent<E = Immediate> {
    /// What comes of the next orders.
    pub behaviour: Behaviour,
    /// After one order that the behaviour applied to, the agent is honest.
    pub once: bool,
    /// Orders that it has begun.
    pub orders: Vec<Order>,
    /// How the appliance answered the handshake.
    pub welcome: Option<HandshakeReply>,
    /// How the session ended, where the agent ended it.
    pub left: Option<FinalReport>,
    /// How it ended otherwise.
    pub lost: Option<Lost>,
    /// Requests that the appliance refused.
    pub refusals: usize,
    /// What it has heard by LLDP and not yet told.
    pub heard: VecDeque<HeardNeighbour>,
    /// What carries out its orders.
    pub engine: E,
    /// The behaviour in the present order.
    acting: Behaviour,
    reports: VecDeque<TaskEvent>,
}

impl<E: Engine> ScriptedAgent<E> {
    /// An honest agent with this engine.
    pub fn new(engine: E) -> Self {
        ScriptedAgent {
            behaviour: Behaviour::Honest,
            once: false,
            orders: Vec::new(),
            welcome: None,
            left: None,
            lost: None,
            refusals: 0,
            heard: VecDeque::new(),
            engine,
            acting: Behaviour::Honest,
            reports: VecDeque::new(),
        }
    }

    /// The same agent with another behaviour.
    #[must_use]
    pub fn behaving(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// The behaviour towards this order.
    fn towards(&mut self, task: &Task) -> Behaviour {
        use Behaviour::{
            CertifiesOtherDisk, CertifiesPart, ClaimsDone, ErasesWeakly, Fails, FindsContent,
            Hangs, Honest, LeavesBytes, Vanishes, WithholdsCertificate, WrongRoot,
        };
        let erases = matches!(task, Task::Erase { .. });
        let deploys = matches!(task, Task::Deploy(_));
        let applies = match self.behaviour {
            Honest => false,
            Hangs => erases || deploys || *task == Task::Inspect,
            Fails(_) | ClaimsDone => erases || deploys,
            WithholdsCertificate | CertifiesPart | CertifiesOtherDisk | ErasesWeakly
            | LeavesBytes => erases,
            FindsContent => matches!(task, Task::Reread { .. }),
            WrongRoot => deploys,
            Vanishes => *task == Task::Reboot,
        };
        match (applies, self.once) {
            (true, true) => std::mem::take(&mut self.behaviour),
            (true, false) => self.behaviour,
            (false, _) => Honest,
        }
    }

    /// A report of the engine, as the agent makes it.
    fn distorted(&mut self, work: TaskEvent) -> Option<TaskEvent> {
        match (self.acting, work) {
            (Behaviour::WithholdsCertificate, TaskEvent::Report(Report::Erased(_))) => {
                self.acting = Behaviour::Honest;
                None
            }
            (Behaviour::CertifiesPart, TaskEvent::Report(Report::Erased(mut certificate))) => {
                certificate.verified_bytes /= 2;
                Some(TaskEvent::Report(Report::Erased(certificate)))
            }
            (Behaviour::ErasesWeakly, TaskEvent::Report(Report::Erased(mut certificate))) => {
                certificate.method = EraseMethod::Discard;
                Some(TaskEvent::Report(Report::Erased(certificate)))
            }
            (Behaviour::LeavesBytes, TaskEvent::Report(Report::Erased(mut certificate))) => {
                certificate.method = EraseMethod::WriteZeroes;
                certificate.repaired_bytes = 512;
                Some(TaskEvent::Report(Report::Erased(certificate)))
            }
            (Behaviour::CertifiesOtherDisk, TaskEvent::Report(Report::Erased(mut certificate))) => {
                certificate.disk.size += 512;
                Some(TaskEvent::Report(Report::Erased(certificate)))
            }
            (Behaviour::WrongRoot, TaskEvent::Report(Report::ImageWritten(mut proof))) => {
                proof.manifest_root[0] ^= 1;
                Some(TaskEvent::Report(Report::ImageWritten(proof)))
            }
            (_, work) => Some(work),
        }
    }
}

impl<E: Engine> AgentHandler for ScriptedAgent<E> {
    fn neighbour(&mut self, _now: u64) -> Option<HeardNeighbour> {
        self.heard.pop_front()
    }

    fn established(&mut self, _now: u64, reply: &HandshakeReply) {
        self.engine.established(reply);
        self.welcome = Some(*reply);
    }

    fn begin(&mut self, now: u64, order: &Order) {
        self.orders.push(order.clone());
        self.acting = self.towards(&order.task);
        match (self.acting, &order.task) {
            (Behaviour::Hangs, _) => self.engine.stop(),
            (Behaviour::Fails(reason), _) => {
                self.engine.stop();
                self.reports.push_back(TaskEvent::Failed(Failure {
                    step: AgentStep::Write,
                    reason,
                    text: "scripted".try_into().unwrap_or_default(),
                }));
            }
            (Behaviour::FindsContent, _) => {
                self.engine.stop();
                self.reports.push_back(TaskEvent::Failed(Failure {
                    step: AgentStep::Reread,
                    reason: Reason::NotErased,
                    text: "scripted".try_into().unwrap_or_default(),
                }));
            }
            (Behaviour::ClaimsDone, _) => {
                self.engine.stop();
                self.reports.push_back(TaskEvent::Report(Report::Done));
                self.reports.push_back(TaskEvent::Finished);
            }
            (Behaviour::Vanishes, _) => self.left = Some(FinalReport::Reboot),
            (_, Task::Reboot) => self
                .reports
                .push_back(TaskEvent::Leave(FinalReport::Reboot)),
            (_, Task::PowerOff) => self
                .reports
                .push_back(TaskEvent::Leave(FinalReport::PowerOff)),
            (_, Task::Inspect | Task::Erase { .. } | Task::Deploy(_) | Task::Reread { .. }) => {
                self.engine.begin(now, order);
            }
        }
    }

    fn poll(&mut self, now: u64) -> Option<TaskEvent> {
        if let Some(report) = self.reports.pop_front() {
            return Some(report);
        }
        loop {
            let work = self.engine.poll(now)?;
            if let Some(work) = self.distorted(work) {
                return Some(work);
            }
        }
    }

    fn refused(&mut self, _now: u64, _refusal: Refusal) {
        self.refusals += 1;
        self.engine.stop();
        self.reports.clear();
    }

    fn leave(&mut self, _now: u64, report: FinalReport) {
        self.left = Some(report);
    }

    fn lost(&mut self, _now: u64, lost: Lost) {
        self.lost = Some(lost);
    }
}

/// An engine without disks: it reports at once that an order was carried
/// out, and the inventory that the test gave it.
#[derive(Debug)]
pub struct Immediate {
    /// What it reports of the machine.
    pub inspection: Inspection,
    /// The UUID of the handshake; without one it is made of the interface.
    pub uuid: Option<[u8; 16]>,
    /// The firmware of the handshake.
    pub boot_mode: BootMode,
    reports: VecDeque<TaskEvent>,
}

impl Default for Immediate {
    fn default() -> Self {
        Immediate {
            inspection: inspection(&[]),
            uuid: None,
            boot_mode: BootMode::Bios,
            reports: VecDeque::new(),
        }
    }
}

impl ScriptedAgent {
    /// An agent whose machine has disks of these sizes.
    #[must_use]
    pub fn with_disks(sizes: &[u64]) -> Self {
        let disks: Vec<DiskId> = (0..)
            .zip(sizes)
            .map(|(n, size)| disk(&format!("DISK{n}"), *size))
            .collect();
        let engine = Immediate {
            inspection: inspection(&disks),
            ..Immediate::default()
        };
        ScriptedAgent::new(engine)
    }

    /// The same agent in a machine with these interfaces.
    #[must_use]
    pub fn with_nics(mut self, nics: &[Nic]) -> Self {
        self.engine.inspection.nics = nics.iter().cloned().collect();
        self
    }

    /// The same agent, whose handshake names this UUID.
    #[must_use]
    pub fn with_uuid(mut self, uuid: [u8; 16]) -> Self {
        self.engine.uuid = Some(uuid);
        self
    }

    /// The same agent, started by this kind of firmware.
    #[must_use]
    pub fn with_boot_mode(mut self, mode: BootMode) -> Self {
        self.engine.boot_mode = mode;
        self
    }
}

impl Engine for Immediate {
    fn begin(&mut self, _now: u64, order: &Order) {
        match &order.task {
            Task::Inspect => {
                let inspection = self.inspection.clone();
                self.report(Report::Inspection(inspection));
            }
            Task::Reread { .. } => self.report(Report::Done),
            Task::Erase { disks, least, .. } => {
                for disk in disks {
                    self.report(Report::Erased(EraseCertificate {
                        disk: disk.clone(),
                        method: *least,
                        verified_bytes: disk.size,
                        repaired_bytes: 0,
                        millis: 1,
                    }));
                }
                self.report(Report::Done);
            }
            Task::Deploy(deploy) => self.report(Report::ImageWritten(ImageProof {
                disk: deploy.disk.clone(),
                manifest_root: deploy.manifest_root,
                image_bytes: GIB,
                fetched_bytes: GIB / 4,
                refetched_chunks: 0,
                config_drive: [0; 32],
                peak_rss_kib: 1,
                millis: 1,
            })),
            Task::Reboot | Task::PowerOff => {}
        }
        self.reports.push_back(TaskEvent::Finished);
    }

    fn stop(&mut self) {
        self.reports.clear();
    }

    fn poll(&mut self, _now: u64) -> Option<TaskEvent> {
        self.reports.pop_front()
    }
}

impl Immediate {
    fn report(&mut self, report: Report) {
        self.reports.push_back(TaskEvent::Report(report));
    }
}

/// The appliance's public keys, as a ramdisk is built with them.
pub fn appliance_keys() -> &'static ([u8; 32], PublicKey) {
    static KEYS: OnceLock<([u8; 32], PublicKey)> = OnceLock::new();
    KEYS.get_or_init(|| {
        (
            *Keys::new(IDENTITY.noise, [0; 32]).public(),
            SecretKey::from_bytes(&IDENTITY.signing).public(),
        )
    })
}

/// What a boot's agent knows of itself and draws at random.
#[derive(Debug, Clone)]
pub struct Boot {
    /// The interface that it booted by.
    pub mac: Mac,
    /// UUID of its machine.
    pub uuid: [u8; 16],
    /// Its machine's firmware.
    pub mode: BootMode,
    /// Secret of the key that signs its reports.
    pub boot_secret: [u8; 32],
    /// Secrets of its session.
    pub entropy: HandshakeEntropy,
}

/// The agent's side of a session that begins with this ticket.
///
/// # Panics
/// Where the appliance's key is none: it always is one.
#[must_use]
pub fn conversation(ticket: Ticket, boot: &Boot) -> AgentClient {
    let (appliance, orders) = *appliance_keys();
    let made = AgentClient::new(Config {
        appliance,
        orders,
        ticket,
        handshake: AgentHandshake {
            version_min: 0,
            version_max: 0,
            boot_key: [0; 32],
            boot_mac: boot.mac,
            system_uuid: boot.uuid,
            boot_mode: boot.mode,
        },
        boot_key: SecretKey::from_bytes(&boot.boot_secret),
        entropy: boot.entropy.clone(),
    });
    made.unwrap_or_else(|error| panic!("the appliance's key is a point: {error:?}"))
}

/// An agent in its machine, outside of any simulation.
#[derive(Debug)]
pub struct Agent {
    /// Where it sends from.
    pub endpoint: Endpoint,
    /// Its side of the protocol.
    pub driver: AgentRunner<ScriptedAgent>,
    /// Its session has ended.
    pub over: bool,
}

impl Agent {
    /// The agent that a boot script starts on a machine of [`mac_of`]; `None`
    /// where the script starts none. `salt` tells apart agents of one
    /// machine.
    #[must_use]
    pub fn new(
        machine: u8,
        address: Ipv4Addr,
        script: &str,
        salt: u8,
        mut scripted: ScriptedAgent,
    ) -> Option<Self> {
        let ticket = Ticket::from_command_line(script)?.ok()?;
        let secret = [machine.wrapping_mul(31).wrapping_add(100) ^ salt; 32];
        let uuid = scripted.engine.uuid.unwrap_or([machine; 16]);
        scripted.engine.inspection.system_uuid = uuid;
        let boot = Boot {
            mac: mac_of(machine),
            uuid,
            mode: scripted.engine.boot_mode,
            boot_secret: secret,
            entropy: HandshakeEntropy {
                static_secret: secret,
                ephemeral: [salt.wrapping_add(machine).wrapping_add(101) | 1; 32],
            },
        };
        Some(Agent {
            endpoint: Endpoint {
                network: NetworkId::PROVISIONING,
                mac: mac_of(machine),
                ip: address,
                port: AGENT_PORT,
            },
            driver: AgentRunner::new(conversation(ticket, &boot), scripted),
            over: false,
        })
    }
}
