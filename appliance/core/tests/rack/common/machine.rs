//! Machines of a lab: what their firmware asks for, and agents that speak the
//! real protocol and do as the test wishes.

use super::{GIB, IDENTITY};
use farrier_core::Endpoint;
use farrier_core::interface::NetworkId;
use farrier_dhcp::wire::Request;
use farrier_protocol::agent_client::{AgentClient, Config as Talk, Lost};
use farrier_protocol::client::HandshakeEntropy;
use farrier_protocol::handler::{AgentHandler, AgentRunner, TaskEvent};
use farrier_protocol::message::*;
use farrier_protocol::server::Keys;
use farrier_protocol::signing::SecretKey;
use farrier_protocol::ticket::Ticket;
use std::collections::VecDeque;
use std::net::Ipv4Addr;

pub fn mac_of(n: u8) -> Mac {
    Mac([0x52, 0x54, 0, 0, 0, n])
}

pub fn ipxe(request: &mut Request<'_>) {
    request.user_class = Some(b"iPXE");
    request.class_id = Some(b"PXEClient:Arch:00000:UNDI:002001");
}

pub struct Agent {
    pub endpoint: Endpoint,
    pub driver: AgentRunner<Hands>,
    pub over: bool,
}

impl Agent {
    pub fn new(mac: u8, address: Ipv4Addr, script: &str, hands: Hands) -> Self {
        let ticket = Ticket::from_command_line(script)
            .expect("a ticket in the script")
            .unwrap();
        let secret = [mac.wrapping_add(100); 32];
        let client = AgentClient::new(Talk {
            appliance: *Keys::new(IDENTITY.noise, [0; 32]).public(),
            orders: SecretKey::from_bytes(&IDENTITY.signing).public(),
            ticket,
            handshake: AgentHandshake {
                version_min: 0,
                version_max: 0,
                boot_key: [0; 32],
                boot_mac: mac_of(mac),
                system_uuid: hands.uuid.unwrap_or([mac; 16]),
                boot_mode: match hands.uefi {
                    true => BootMode::Uefi,
                    false => BootMode::Bios,
                },
            },
            boot_key: SecretKey::from_bytes(&secret),
            entropy: HandshakeEntropy {
                static_secret: secret,
                ephemeral: [mac.wrapping_add(101); 32],
            },
        })
        .unwrap();
        Agent {
            endpoint: Endpoint {
                network: NetworkId::PROVISIONING,
                mac: mac_of(mac),
                ip: address,
                port: 8471,
            },
            driver: AgentRunner::new(client, hands),
            over: false,
        }
    }
}

/// The hands of a test agent: they do what they are told at once, or what
/// the test makes of it.
#[derive(Debug, Default)]
pub struct Hands {
    pub disks: Vec<DiskId>,
    pub nics: Vec<Nic>,
    /// The machine's UUID; without one it is made of the interface.
    pub uuid: Option<[u8; 16]>,
    /// Whether UEFI firmware started it, and no BIOS.
    pub uefi: bool,
    pub fail: Option<Reason>,
    pub withhold_certificate: bool,
    pub wrong_root: bool,
    pub hang: bool,
    /// Restart without a farewell.
    pub vanish: bool,
    pub orders: Vec<Order>,
    pub welcome: Option<HandshakeReply>,
    pub left: Option<FinalReport>,
    pub lost: Option<Lost>,
    pub refusals: usize,
    pub say: VecDeque<TaskEvent>,
}

impl Hands {
    pub fn with_disks(sizes: &[u64]) -> Self {
        Hands {
            disks: sizes
                .iter()
                .enumerate()
                .map(|(n, size)| disk(&format!("DISK{n}"), *size))
                .collect(),
            ..Hands::default()
        }
    }
}

pub fn disk(serial: &str, size: u64) -> DiskId {
    DiskId {
        serial: serial.try_into().unwrap(),
        size,
    }
}

/// An interface with a cable, as an agent tells it.
pub fn nic(mac: u8, driver: &str, speed_mbps: u32) -> Nic {
    Nic {
        name: if driver == "ib_ipoib" { "ib0" } else { "eth0" }
            .try_into()
            .unwrap(),
        mac: mac_of(mac),
        driver: driver.try_into().unwrap(),
        speed_mbps,
        carrier: true,
        ipv4: [0; 4],
        pci: [0; 2],
        lldp: None,
    }
}

impl AgentHandler for Hands {
    fn established(&mut self, _now: u64, welcome: &HandshakeReply) {
        self.welcome = Some(*welcome);
    }

    fn begin(&mut self, _now: u64, order: &Order) {
        self.orders.push(order.clone());
        if self.hang {
            return;
        }
        if let (Some(reason), false) = (self.fail, order.task == Task::Inspect) {
            self.say.push_back(TaskEvent::Failed(Failure {
                step: AgentStep::Write,
                reason,
                text: "as the test wished".try_into().unwrap(),
            }));
            return;
        }
        match &order.task {
            Task::Inspect => {
                let mut found = inspection(&self.disks);
                found.nics = self.nics.iter().cloned().collect();
                self.say
                    .push_back(TaskEvent::Report(Report::Inspection(found)));
            }
            Task::Erase { disks, least } => {
                let skip = usize::from(self.withhold_certificate);
                for disk in disks.iter().skip(skip) {
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
                        manifest_root: if self.wrong_root {
                            [0; 32]
                        } else {
                            deploy.manifest_root
                        },
                        image_bytes: GIB,
                        fetched_bytes: GIB / 4,
                        refetched_chunks: 0,
                        config_drive: [0; 32],
                        peak_rss_kib: 1,
                        millis: 1,
                    })))
            }
            Task::Reboot if self.vanish => {
                self.left = Some(FinalReport::Reboot);
                return;
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

    fn refused(&mut self, _now: u64, _refusal: Refusal) {
        self.refusals += 1;
    }

    fn leave(&mut self, _now: u64, farewell: FinalReport) {
        self.left = Some(farewell);
    }

    fn lost(&mut self, _now: u64, lost: Lost) {
        self.lost = Some(lost);
    }
}

pub fn inspection(disks: &[DiskId]) -> Inspection {
    Inspection {
        vendor: "QEMU".try_into().unwrap(),
        product: "Standard PC".try_into().unwrap(),
        serial: "S1".try_into().unwrap(),
        system_uuid: [1; 16],
        firmware: "SeaBIOS".try_into().unwrap(),
        boot_mode: BootMode::Bios,
        cpu: Cpu {
            count: 2,
            model: "virtual".try_into().unwrap(),
            architecture: "x86_64".try_into().unwrap(),
            mhz: 2000,
        },
        memory_mib: 970,
        physical_memory_mib: 1024,
        disks: disks
            .iter()
            .map(|id| Disk {
                id: id.clone(),
                name: "sda".try_into().unwrap(),
                model: "HARDDISK".try_into().unwrap(),
                vendor: "ATA".try_into().unwrap(),
                wwn: heapless::String::new(),
                hctl: "0:0:0:0".try_into().unwrap(),
                by_path: "pci-0000:00:1f.2-ata-1".try_into().unwrap(),
                rotational: true,
                block_size: 512,
                erase: EraseAbilities::default(),
            })
            .collect(),
        nics: heapless::Vec::new(),
        tpm2: false,
    }
}
