//! A simulated server: firmware, boot ROM, iPXE, disks, and whatever system
//! runs on it. What it knows about itself; what it does stands in `boot` and
//! `ramdisk`.

use core::net::Ipv4Addr;

use farrier_dhcp::client::{Client, Config};
use farrier_protocol::handler::AgentRunner;
use farrier_protocol::message::{
    BootMode, Cpu, Disk as Listed, DiskId, EraseAbilities, Inspection, Mac, Nic,
};
use farrier_protocol::ticket::Ticket;

use crate::agent_model::Agent;
use crate::disk::{Damage, Disk};
use crate::image;
use farrier_testkit::Random;
use farrier_testkit::agent::Behaviour;
use farrier_testkit::machine::text;

/// What a firmware or a loader is asking an address for.
#[derive(Debug, Clone)]
pub struct BootDhcp {
    /// iPXE, not the ROM in front of it.
    pub ipxe: bool,
    /// Transaction.
    pub xid: u32,
    /// Messages of the present kind so far.
    pub tries: u32,
    /// The offer that was taken: address and server.
    pub offer: Option<(Ipv4Addr, Ipv4Addr)>,
}

/// What is loaded.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// The network-boot program, by TFTP.
    Program,
    /// The boot script.
    Script,
    /// The kernel; the ticket stands on its command line.
    Kernel(Ticket),
    /// The ramdisk.
    Ramdisk(Ticket),
}

/// A ramdisk with its agent.
#[derive(Debug)]
pub struct Ramdisk {
    /// The shipping DHCP client.
    pub net: Client<'static>,
    /// The ticket of this boot.
    pub ticket: Ticket,
    /// The shipping conversation with the agent model, once there is an
    /// address.
    pub driver: Option<AgentRunner<Agent>>,
    /// Bytes on their way to the agent: when they come, and what comes.
    pub arriving: Option<(u64, Option<Vec<u8>>)>,
    /// The agent sends every datagram twice.
    pub twice: bool,
    /// What the agent does with orders.
    pub behaviour: Behaviour,
}

/// What a machine is doing.
#[derive(Debug)]
pub enum Stage {
    /// No power.
    Off,
    /// Firmware starts.
    Post,
    /// An address is asked for.
    Dhcp(BootDhcp),
    /// A file is loaded; so often it was tried.
    Load(Load, u8),
    /// The kernel starts.
    Starting(Ticket),
    /// The ramdisk is at work.
    Ramdisk(Box<Ramdisk>),
    /// A system on the machine's own disk.
    Tenant(Box<Client<'static>>),
    /// Nothing to boot: starts anew in a while.
    Stuck,
}

/// See the module.
#[derive(Debug)]
pub struct Machine {
    /// Its place.
    pub index: usize,
    /// Its interfaces.
    pub macs: Vec<Mac>,
    /// The interface that it boots from.
    pub nic: usize,
    /// The interface that it boots from, where its firmware has no choice.
    pub fixed_nic: Option<usize>,
    /// Whether its ROM tells the UUID.
    pub tells_uuid: bool,
    /// SMBIOS UUID.
    pub uuid: [u8; 16],
    /// Its disks.
    pub disks: Vec<Disk>,
    /// Its inventory.
    pub inspection: Inspection,
    /// Bytes that its disks move in a millisecond.
    pub rate: u64,
    /// Milliseconds that its firmware takes.
    pub post: u64,
    /// What it is doing.
    pub stage: Stage,
    /// Its address.
    pub ip: Ipv4Addr,
    /// The path of the boot script that DHCP has named.
    pub script: String,
    /// The next start is from its own disk, whatever the order was.
    pub disk_first: bool,
    /// Its boot order is never set: it always starts its own disk.
    pub stubborn: bool,
    /// It has a BMC; otherwise a person switches it.
    pub has_bmc: bool,
    /// Cut off from the network until then.
    pub cut_until: u64,
    /// Number of the wake-up that counts; earlier ones are void.
    pub wake: u64,
    /// What its agents do with orders from now on.
    pub behaviour: Behaviour,
    /// Its agents send everything twice.
    pub twice: bool,
}

const MIB: u64 = 1 << 20;

impl Machine {
    /// A machine with hardware of its own kind, without power.
    pub fn new(index: usize, random: &mut Random) -> Self {
        let number = index as u8 + 1;
        let mac = |nic: u8| Mac([0x52, 0x54, 0, nic, 0, number]);
        let macs = match random.below(4) {
            0 => vec![mac(0), mac(1)],
            _ => vec![mac(0)],
        };
        let mut disks = Vec::new();
        let mut listed = heapless::Vec::new();
        for place in 0..random.between(1, 2) {
            let size = random.pick(&[128, 256, 512]) * MIB;
            let abilities = EraseAbilities {
                discard: random.below(4) != 0,
                write_zeroes: random.below(4) != 0,
            };
            disks.push(Disk::new(size, abilities, Damage::default()));
            // Fewer than fit.
            let _fits = listed.push(Listed {
                id: DiskId {
                    serial: text(&format!("D{index:02}{place}")),
                    size,
                },
                name: text(&format!("sd{}", ["a", "b"][place as usize])),
                model: text("SIMULATED"),
                vendor: text("Farrier"),
                wwn: heapless::String::new(),
                hctl: text("0:0:0:0"),
                by_path: text(&format!("pci-0000:00:1f.2-ata-{}", place + 1)),
                rotational: false,
                block_size: 512,
                erase: abilities,
            });
        }
        let nics = macs
            .iter()
            .map(|mac| Nic {
                name: text("eth0"),
                mac: *mac,
                driver: text("virtio_net"),
                speed_mbps: 10_000,
                carrier: true,
                ipv4: [0; 4],
                pci: [0x1af4, 0x1000],
                lldp: None,
            })
            .collect();
        let uuid = [number; 16];
        Machine {
            index,
            nic: 0,
            fixed_nic: None,
            tells_uuid: random.below(8) != 0,
            uuid,
            inspection: Inspection {
                vendor: text("Farrier"),
                product: text("Simulated server"),
                serial: text(&format!("S{index:02}")),
                system_uuid: uuid,
                firmware: text("SimBIOS"),
                boot_mode: BootMode::Bios,
                cpu: Cpu {
                    count: 8,
                    model: text("simulated"),
                    architecture: text("x86_64"),
                    mhz: 2000,
                },
                memory_mib: 32_000,
                physical_memory_mib: 32_768,
                disks: listed,
                nics,
                tpm2: false,
                skipped: heapless::Vec::new(),
                controllers: heapless::Vec::new(),
                unlisted: 0,
                settled: true,
            },
            macs,
            disks,
            rate: random.between(4, 40) * 1024,
            post: random.between(15_000, 90_000),
            stage: Stage::Off,
            ip: Ipv4Addr::UNSPECIFIED,
            script: String::new(),
            disk_first: false,
            stubborn: false,
            has_bmc: random.below(4) != 0,
            cut_until: 0,
            wake: 0,
            behaviour: Behaviour::Honest,
            twice: false,
        }
    }

    /// The interface that it boots from.
    pub fn mac(&self) -> Mac {
        self.macs[self.nic % self.macs.len()]
    }

    /// Somebody installed a system on it long ago, and worked with it.
    pub fn was_in_use(&self) {
        if let Some(disk) = self.disks.first() {
            disk.was_written(0, &image::catalogue().raw);
            disk.tenant_writes(8 << 20, 8 << 20, 0);
        }
    }

    /// Whether there is a system on one of its disks.
    pub fn is_bootable(&self) -> bool {
        self.disks
            .iter()
            .any(|disk| disk.peek(510, 2) == [0x55, 0xaa])
    }

    /// No disk may be written by an agent until an order says so.
    pub fn revoke(&self) {
        self.disks.iter().for_each(|disk| disk.permit(false));
    }

    /// The disk of that identity.
    pub fn disk(&self, id: &DiskId) -> Option<&Disk> {
        let place = self
            .inspection
            .disks
            .iter()
            .position(|disk| disk.id == *id)?;
        self.disks.get(place)
    }

    /// A DHCP client as the systems of this machine run it.
    pub fn client(&self, class: &'static [u8]) -> Client<'static> {
        Client::new(Config {
            uuid: self.tells_uuid.then_some(self.uuid),
            class_id: Some(class),
            ..Config::new(self.mac().0)
        })
    }
}
