//! A server: what the appliance knows about it and is doing with it.
//!
//! Values and small questions only. Decisions are made in `life`, `boot`
//! and `agent`.

use crate::Instant;
use crate::input::StoredConfigDrive;
use core::net::Ipv4Addr;
use farrier_lifecycle::State;
use farrier_protocol::message::{BootId, BootMode, Mac, NodeId, Progress};
use farrier_protocol::server::Session;
use farrier_protocol::ticket::Ticket;
use heapless::{String, Vec};

/// Longest name of a node in bytes.
pub const NAME_LEN: usize = 48;
/// Most interfaces of one node.
pub const MAX_MACS: usize = 8;
/// Longest text of an error in bytes; longer ones are cut.
pub const ERROR_LEN: usize = 160;
/// Most keys of `driver_info`.
pub const MAX_DRIVER_INFO: usize = 3;
/// An agent that was not heard for so long is taken for gone, in
/// milliseconds.
pub const AGENT_SILENT_MILLIS: u64 = 90_000;

/// What a node's next deployment shall bring.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstanceInfo {
    /// The image's name; empty for none.
    pub image_source: String<64>,
    /// A name for people; empty for none.
    pub display_name: String<NAME_LEN>,
    /// The instance's UUID, where the operator gave one.
    pub instance_uuid: Option<NodeId>,
}

/// One pair of `driver_info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriverInfo {
    /// The key.
    pub key: String<24>,
    /// The value.
    pub value: String<40>,
}

/// Whether a machine runs, by evidence: its packets and its farewells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Power {
    /// Nothing is known.
    #[default]
    Unknown,
    /// It was heard, and did not say that it leaves.
    On,
    /// Its agent said that it powers off.
    Off,
}

/// The steps of a network boot, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Hop {
    /// The firmware's (or the boot ROM's) first DHCP packet.
    Discover = 0,
    /// An address was acknowledged.
    Address = 1,
    /// The network-boot program was sent whole.
    Program = 2,
    /// iPXE asked for an address of its own.
    Ipxe = 3,
    /// The boot script was sent.
    Script = 4,
    /// The kernel was sent whole.
    Kernel = 5,
    /// The ramdisk was sent whole.
    Ramdisk = 6,
    /// The agent's handshake was accepted.
    Hello = 7,
    /// The agent was given its first order.
    Order = 8,
    /// The machine was sent to its own disk.
    LocalBoot = 9,
}

/// How many hops there are.
pub const HOPS: usize = 10;

impl Hop {
    /// All hops, in order.
    pub const ALL: [Hop; HOPS] = [
        Hop::Discover,
        Hop::Address,
        Hop::Program,
        Hop::Ipxe,
        Hop::Script,
        Hop::Kernel,
        Hop::Ramdisk,
        Hop::Hello,
        Hop::Order,
        Hop::LocalBoot,
    ];

    /// The hop's name in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Hop::Discover => "dhcp discover",
            Hop::Address => "dhcp ack",
            Hop::Program => "boot program",
            Hop::Ipxe => "ipxe dhcp",
            Hop::Script => "boot script",
            Hop::Kernel => "kernel",
            Hop::Ramdisk => "ramdisk",
            Hop::Hello => "agent hello",
            Hop::Order => "first order",
            Hop::LocalBoot => "local boot",
        }
    }
}

/// When each hop of the present boot was reached.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timeline {
    started: Instant,
    /// Milliseconds since `started`, plus 1; 0 for a hop not reached.
    at: [u32; HOPS],
}

impl Timeline {
    /// An empty timeline.
    pub const fn new() -> Self {
        Timeline {
            started: Instant::START,
            at: [0; HOPS],
        }
    }

    /// Notes the first time that a hop is reached. A DHCP hop after the
    /// script starts the timeline of a new boot.
    pub fn mark(&mut self, hop: Hop, now: Instant) {
        let over = self.reached(Hop::Script).is_some();
        let empty = self.at == [0; HOPS];
        if empty || (over && matches!(hop, Hop::Discover | Hop::Ipxe)) {
            *self = Timeline {
                started: now,
                at: [0; HOPS],
            };
        }
        let millis = u32::try_from(now.since(self.started)).unwrap_or(u32::MAX - 1);
        if let Some(at) = self.at.get_mut(hop as usize)
            && *at == 0
        {
            *at = millis.saturating_add(1);
        }
    }

    /// When the boot started: its first hop.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Milliseconds from the first hop to this one.
    pub fn reached(&self, hop: Hop) -> Option<u32> {
        self.at.get(hop as usize).and_then(|at| at.checked_sub(1))
    }

    /// The last hop that was reached.
    pub fn last(&self) -> Option<Hop> {
        Hop::ALL
            .into_iter()
            .rev()
            .find(|hop| self.reached(*hop).is_some())
    }
}

/// What an order is for; the exact task is made when it is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Job {
    /// Report the hardware.
    Inspect,
    /// Erase every disk.
    Erase,
    /// Write the image.
    Deploy,
    /// Restart the machine.
    Reboot,
}

/// An order that was signed and not yet answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Issued {
    /// Its counter.
    pub counter: u32,
    /// What it is for.
    pub job: Job,
}

/// The present boot of a node into the ramdisk.
#[derive(Debug)]
pub struct Boot {
    /// Its number; 0 before the first.
    pub id: BootId,
    /// The ticket on the kernel command line.
    pub ticket: Option<Ticket>,
    /// The session that used the ticket up.
    pub session: Option<Session>,
    /// Tells a repeated handshake from another one.
    pub init_digest: [u8; 16],
    /// Verifies the agent's statements.
    pub boot_key: [u8; 32],
    /// How the firmware started the ramdisk, as the agent says.
    pub mode: Option<BootMode>,
    /// The agent has reported the hardware in this boot.
    pub inspected: bool,
    /// The image was written in this boot and proven.
    pub imaged: bool,
    /// The order that is being carried out.
    pub order: Option<Issued>,
    /// Counter of the last order of this boot.
    pub last_order: u32,
    /// Counter of the last statement that was accepted.
    pub last_statement: u32,
    /// Disks that were certified as erased in this boot, by their place in
    /// the node's disk list.
    pub erased: u16,
    /// The agent has said that it leaves.
    pub left: bool,
    /// When the agent last said something authentic.
    pub heard: Option<Instant>,
    /// How far the order has come.
    pub progress: Option<Progress>,
    /// Handshakes that brought a ticket that was used up already.
    pub ticket_refusals: u16,
}

impl Boot {
    /// Before the first boot.
    pub const fn none() -> Self {
        Boot {
            id: BootId(0),
            ticket: None,
            session: None,
            init_digest: [0; 16],
            boot_key: [0; 32],
            mode: None,
            inspected: false,
            imaged: false,
            order: None,
            last_order: 0,
            last_statement: 0,
            erased: 0,
            left: false,
            heard: None,
            progress: None,
            ticket_refusals: 0,
        }
    }
}

/// What the agent proved of the image that it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the image as it lies on the disk.
    pub image_bytes: u64,
    /// Bytes fetched over the network for it.
    pub fetched_bytes: u64,
    /// Chunks that were wrong on the wire and were fetched again.
    pub refetched_chunks: u32,
    /// The agent's resident memory at its highest, in KiB.
    pub peak_rss_kib: u32,
}

/// Quantities of a node's hardware, from its last inspection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hardware {
    /// Logical processors.
    pub cpus: u16,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Size of the largest disk in GiB.
    pub local_gib: u32,
    /// `x86_64` or `aarch64`.
    pub architecture: String<16>,
    /// Bytes of the inspection statement in the node's slot; 0 for none.
    pub statement_len: u16,
}

/// A server.
#[derive(Debug)]
pub struct Node {
    /// Its identity.
    pub id: NodeId,
    /// Its name; empty for none.
    pub name: String<NAME_LEN>,
    /// Its interfaces; the first is the one that it was discovered by.
    pub macs: Vec<Mac, MAX_MACS>,
    /// SMBIOS UUID, as DHCP option 97 or the agent tells it; zero for none.
    pub system_uuid: [u8; 16],
    /// Its provision state.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// Why it is in that state, or what it waits for.
    pub reason: &'static str,
    /// When the wait ends in a failure.
    pub deadline: Option<Instant>,
    /// The last error, for people; empty for none.
    pub last_error: String<ERROR_LEN>,
    /// Whether it runs.
    pub power: Power,
    /// Its address in the present boot.
    pub address: Ipv4Addr,
    /// When each hop of the present boot was reached.
    pub timeline: Timeline,
    /// The present boot into the ramdisk.
    pub boot: Boot,
    /// Boots since the present work began: a machine that restarts again
    /// and again is not tried for ever.
    pub attempts: u8,
    /// Its hardware.
    pub hardware: Hardware,
    /// What the next deployment shall bring.
    pub instance: InstanceInfo,
    /// What was proven of the last deployment.
    pub written: Option<Written>,
    /// The config drive of that deployment.
    pub config_drive: Option<StoredConfigDrive>,
    /// How to reach its BMC, kept for drivers and shown to operators.
    pub driver_info: Vec<DriverInfo, MAX_DRIVER_INFO>,
}

impl Node {
    /// A node that was just discovered.
    pub fn discovered(id: NodeId, mac: Mac, now: Instant) -> Self {
        let mut macs = Vec::new();
        // One address always fits: MAX_MACS is not 0.
        let _fits = macs.push(mac);
        Node {
            id,
            name: String::new(),
            macs,
            system_uuid: [0; 16],
            state: State::Enroll,
            since: now,
            reason: "discovered by its first boot packet",
            deadline: None,
            last_error: String::new(),
            power: Power::On,
            address: Ipv4Addr::UNSPECIFIED,
            timeline: Timeline::new(),
            boot: Boot::none(),
            attempts: 0,
            hardware: Hardware::default(),
            instance: InstanceInfo::default(),
            written: None,
            config_drive: None,
            driver_info: Vec::new(),
        }
    }

    /// Whether an agent is at work in it now.
    pub fn agent_is_live(&self, now: Instant) -> bool {
        self.boot.session.is_some()
            && !self.boot.left
            && self
                .boot
                .heard
                .is_some_and(|heard| now.since(heard) < AGENT_SILENT_MILLIS)
    }

    /// Puts a text into `last_error`, cut to what fits.
    pub fn set_error(&mut self, text: core::fmt::Arguments<'_>) {
        self.last_error.clear();
        let mut cut = Cut(&mut self.last_error);
        // `Cut` never fails.
        let _never = core::fmt::write(&mut cut, text);
    }
}

/// Writes as much as fits and drops the rest.
struct Cut<'a, const N: usize>(&'a mut String<N>);

impl<const N: usize> core::fmt::Write for Cut<'_, N> {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        for c in s.chars() {
            if self.0.push(c).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Makes a bounded string out of a text, cut at a character where it is too
/// long.
pub fn cut<const N: usize>(text: &str) -> String<N> {
    let mut out = String::new();
    // `Cut` never fails.
    let _never = core::fmt::Write::write_str(&mut Cut(&mut out), text);
    out
}
