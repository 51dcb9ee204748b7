//! Deploy agents that speak the real protocol and do at once what they are
//! told.

use farrier_core::interface::NetworkId;
use std::collections::VecDeque;
use std::net::Ipv4Addr;

use farrier_core::{Endpoint, Identity};
use farrier_protocol::agent_client::{AgentClient, Config, Lost};
use farrier_protocol::client::HandshakeEntropy;
use farrier_protocol::handler::{AgentHandler, AgentRunner, TaskEvent};
use farrier_protocol::message::{
    AgentHandshake, AgentStep, BootMode, Cpu, Disk, DiskId, EraseAbilities, EraseCertificate,
    Failure, FinalReport, HandshakeReply, ImageProof, Inspection, Mac, Order, Reason, Refusal,
    Report, Task,
};
use farrier_protocol::server::Keys;
use farrier_protocol::signing::SecretKey;
use farrier_protocol::ticket::Ticket;

/// The appliance's keys in every life.
pub const IDENTITY: Identity = Identity {
    noise: [3; 32],
    signing: [4; 32],
};
/// A binary gigabyte.
pub const GIB: u64 = 1 << 30;

/// The Ethernet address of a machine.
pub fn mac_of(machine: u8) -> Mac {
    Mac([0x52, 0x54, 0, 0, 0, machine])
}

/// An agent in its machine.
#[derive(Debug)]
pub struct Agent {
    /// Where it talks from.
    pub endpoint: Endpoint,
    /// Its side of the protocol.
    pub driver: AgentRunner<Hands>,
}

/// What an agent's hands do.
#[derive(Debug, Default)]
pub struct Hands {
    machine: u8,
    /// The next piece of work fails.
    pub fail: bool,
    /// It has said good-bye.
    pub left: bool,
    /// The appliance is silent for good.
    pub lost: bool,
    say: VecDeque<TaskEvent>,
}

impl Agent {
    /// The agent that the boot script starts on a machine; `None` where the
    /// script starts none.
    pub fn new(machine: u8, address: Ipv4Addr, script: &str, salt: u8) -> Option<Self> {
        let ticket = Ticket::from_command_line(script)?.ok()?;
        let secret = [machine.wrapping_mul(31) ^ salt; 32];
        let client = AgentClient::new(Config {
            appliance: *Keys::new(IDENTITY.noise, [0; 32]).public(),
            orders: SecretKey::from_bytes(&IDENTITY.signing).public(),
            ticket,
            handshake: AgentHandshake {
                version_min: 0,
                version_max: 0,
                boot_key: [0; 32],
                boot_mac: mac_of(machine),
                system_uuid: uuid_of(machine),
                boot_mode: BootMode::Uefi,
            },
            boot_key: SecretKey::from_bytes(&secret),
            entropy: HandshakeEntropy {
                static_secret: secret,
                ephemeral: [salt.wrapping_add(machine) | 1; 32],
            },
        })
        .ok()?;
        Some(Agent {
            endpoint: Endpoint {
                network: NetworkId::PROVISIONING,
                mac: mac_of(machine),
                ip: address,
                port: 8471,
            },
            driver: AgentRunner::new(
                client,
                Hands {
                    machine,
                    ..Hands::default()
                },
            ),
        })
    }
}

fn uuid_of(machine: u8) -> [u8; 16] {
    let mut uuid = [machine; 16];
    uuid[0] = 7;
    uuid
}

fn disks(machine: u8) -> Vec<DiskId> {
    (0..1 + machine % 3)
        .map(|n| DiskId {
            serial: format!("S{machine}-{n}")
                .as_str()
                .try_into()
                .unwrap_or_default(),
            size: (8 + u64::from(n)) * GIB,
        })
        .collect()
}

impl AgentHandler for Hands {
    fn established(&mut self, _now: u64, _welcome: &HandshakeReply) {}

    fn begin(&mut self, _now: u64, order: &Order) {
        if self.fail && order.task != Task::Inspect {
            self.fail = false;
            self.say.push_back(TaskEvent::Failed(Failure {
                step: AgentStep::Write,
                reason: Reason::BadManifest,
                text: "a fault of this life".try_into().unwrap_or_default(),
            }));
            self.say.push_back(TaskEvent::Finished);
            return;
        }
        match &order.task {
            Task::Inspect => {
                let inspection = inspection(self.machine);
                self.say
                    .push_back(TaskEvent::Report(Report::Inspection(inspection)));
            }
            Task::Erase { disks, least } => {
                for disk in disks {
                    self.say
                        .push_back(TaskEvent::Report(Report::Erased(EraseCertificate {
                            disk: disk.clone(),
                            method: *least,
                            verified_bytes: disk.size,
                            repaired_bytes: 0,
                            millis: 1,
                        })));
                }
                self.say.push_back(TaskEvent::Report(Report::Done));
            }
            Task::Deploy(deploy) => {
                self.say
                    .push_back(TaskEvent::Report(Report::ImageWritten(ImageProof {
                        disk: deploy.disk.clone(),
                        manifest_root: deploy.manifest_root,
                        image_bytes: GIB,
                        fetched_bytes: GIB / 4,
                        refetched_chunks: 0,
                        config_drive: [0; 32],
                        peak_rss_kib: 1,
                        millis: 1,
                    })));
            }
            Task::Reboot => {
                self.say.push_back(TaskEvent::Leave(FinalReport::Reboot));
                return;
            }
            Task::PowerOff => {
                self.say.push_back(TaskEvent::Leave(FinalReport::PowerOff));
                return;
            }
        }
        self.say.push_back(TaskEvent::Finished);
    }

    fn poll(&mut self, _now: u64) -> Option<TaskEvent> {
        self.say.pop_front()
    }

    fn refused(&mut self, _now: u64, _refusal: Refusal) {}

    fn leave(&mut self, _now: u64, _farewell: FinalReport) {
        self.left = true;
    }

    fn lost(&mut self, _now: u64, _lost: Lost) {
        self.lost = true;
    }
}

fn inspection(machine: u8) -> Inspection {
    Inspection {
        vendor: "Farrier".try_into().unwrap_or_default(),
        product: "Model".try_into().unwrap_or_default(),
        serial: format!("M{machine}")
            .as_str()
            .try_into()
            .unwrap_or_default(),
        system_uuid: uuid_of(machine),
        firmware: "UEFI".try_into().unwrap_or_default(),
        boot_mode: BootMode::Uefi,
        cpu: Cpu {
            count: 8,
            model: "virtual".try_into().unwrap_or_default(),
            architecture: "x86_64".try_into().unwrap_or_default(),
            mhz: 2000,
        },
        memory_mib: 8000,
        physical_memory_mib: 8192,
        disks: disks(machine)
            .into_iter()
            .map(|id| Disk {
                id,
                name: "sda".try_into().unwrap_or_default(),
                model: "HARDDISK".try_into().unwrap_or_default(),
                vendor: "ATA".try_into().unwrap_or_default(),
                wwn: heapless::String::new(),
                hctl: "0:0:0:0".try_into().unwrap_or_default(),
                by_path: "pci-0000:00:1f.2-ata-1".try_into().unwrap_or_default(),
                rotational: true,
                block_size: 512,
                erase: EraseAbilities::default(),
            })
            .collect(),
        nics: heapless::Vec::new(),
        tpm2: false,
    }
}
