//! A server: what the appliance knows about it and is doing with it.
//!
//! Values and small questions only. Decisions are made in `life`, `boot`
//! and `agent`.

use crate::Instant;
use crate::interface::Steps;
use crate::interface::{DriverKind, PowerState, StoredConfigDrive};
use crate::node::flags::Flags;
use core::net::Ipv4Addr;
use core::num::NonZeroU64;
use farrier_lifecycle::ProvisionState;
use farrier_protocol::credential::Place;
use farrier_protocol::message::{BootId, BootMode, Mac, NodeId, Progress};
use farrier_protocol::server::Session;
use farrier_protocol::ticket::TicketId;
use heapless::Vec;

pub mod flags;
pub(crate) mod hardware;
pub mod history;
pub mod phase;
pub mod power;
pub mod reason;
pub mod stranger;
pub mod timeline;

pub use crate::interface::{HardwareFeatures, InstanceInfo, NAME_LEN, String, cut};
pub use history::{HISTORY_LEN, Happening, Histories, History, HistoryEntry};
pub use phase::{AgentPhase, agent_phase, changes_in_use, deployed};
pub use power::{PowerControl, PowerRequest};
pub use reason::Reason;
pub use stranger::{Stranger, Strangers};
pub use timeline::{HOPS, Hop, Timeline};

/// Most interfaces of one node.
pub const MAX_MACS: usize = 8;
/// Longest text of an error in bytes; longer ones are cut.
pub const ERROR_LEN: usize = 160;
/// Most keys of `driver_info`.
pub const MAX_DRIVER_INFO: usize = 3;
/// Most devices of a node that are waived, or were.
pub const MAX_WAIVERS: usize = 8;
/// Longest key of `driver_info` in bytes.
pub const DRIVER_KEY_LEN: usize = 24;
/// Longest value of `driver_info` in bytes.
pub const DRIVER_VALUE_LEN: usize = 40;
/// An agent that was not heard for so long is taken for gone, in
/// milliseconds.
pub const AGENT_SILENT_MILLIS: u64 = 90_000;

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
    /// Switch the machine off.
    PowerOff,
    /// Read a sample of the erased disks again.
    Reread,
}

impl Job {
    /// Every job.
    pub(crate) const ALL: [Job; 6] = [
        Job::Inspect,
        Job::Erase,
        Job::Deploy,
        Job::Reboot,
        Job::PowerOff,
        Job::Reread,
    ];
}

/// An order that was signed and not yet answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Issued {
    /// Its counter.
    pub counter: u32,
    /// What it is for.
    pub job: Job,
    /// Which disks it names, where it is about several: those from so many times
    /// [`MAX_ORDER_DISKS`](farrier_protocol::message::MAX_ORDER_DISKS) on.
    pub batch: u8,
}

/// A ticket and who it was given to. Its secret follows from both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenTicket {
    /// Its identifier.
    pub id: TicketId,
    /// The interface, address and network that it was given to.
    pub place: Place,
}

/// A handshake that came from elsewhere before the ticket's own machine had used
/// it: a copy of the machine's, or a second holder's. The machine's own tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeardElsewhere {
    /// The front of its datagram's digest.
    pub digest: [u8; 4],
    /// The end of its sender's hardware address.
    pub mac: [u8; 3],
    /// From where.
    pub ip: Ipv4Addr,
}

/// The present boot of a node into the ramdisk: it begins with a handshake.
#[derive(Debug)]
pub struct Boot {
    /// Its number; 0 before the first.
    pub id: BootId,
    /// The ticket that its handshake has used up.
    pub ticket: Option<GivenTicket>,
    /// The session of that handshake, until it ends.
    pub session: Option<Session>,
    /// Distinguishes a repeated handshake from another one.
    pub init_digest: [u8; 16],
    /// Verifies the agent's statements.
    pub boot_key: [u8; 32],
    /// How the firmware started the ramdisk, as the agent reports.
    pub mode: Option<BootMode>,
    /// The agent has reported the hardware in this boot.
    pub inspected: bool,
    /// All that was to be done in this boot is done (for a deployment: the
    /// image is written and proven), and the machine is to start its own
    /// disk.
    pub imaged: bool,
    /// The order that is being carried out.
    pub order: Option<Issued>,
    /// Counter of the last order of this boot.
    pub last_order: u32,
    /// Counter of the last statement that was accepted.
    pub last_statement: u32,
    /// Disks that were certified as erased in this boot, or whose sample was
    /// read again, by their place in the node's disk list.
    pub erased: u64,
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
    /// Bytes of the image as it lies on the disk. There is no empty one, which saves
    /// each node a word.
    pub image_bytes: NonZeroU64,
    /// Bytes fetched over the network for it.
    pub fetched_bytes: u64,
    /// Chunks that were wrong on the wire and were fetched again.
    pub refetched_chunks: u32,
    /// The agent's resident memory at its highest, in KiB.
    pub peak_rss_kib: u32,
}

/// The architecture of processors, as Linux names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Architecture {
    /// Not inspected yet.
    #[default]
    Unknown,
    /// `x86_64`.
    X86_64,
    /// `aarch64`.
    Aarch64,
    /// Another one.
    Other,
}

impl Architecture {
    /// The one of that name.
    pub fn new(name: &str) -> Self {
        match name {
            "" => Self::Unknown,
            "x86_64" => Self::X86_64,
            "aarch64" => Self::Aarch64,
            _ => Self::Other,
        }
    }

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "",
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Other => "other",
        }
    }
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
    /// The processors' architecture.
    pub architecture: Architecture,
    /// Speed of the fastest interface that has a carrier, in units of
    /// 100 Mbit/s; 0 where unknown.
    pub link: u16,
    /// What else was found.
    pub parts: HardwareFeatures,
    /// Bytes of the inspection statement in the node's slot; 0 for none.
    pub statement_len: u16,
    /// What the last inspection found that can hold a tenant's data and that
    /// the agent can't erase, without what an operator has waived.
    pub unproven: u16,
}

/// A server.
#[derive(Debug)]
pub struct Node {
    /// Its identity.
    pub id: NodeId,
    /// Its name; empty for none.
    pub name: String<NAME_LEN>,
    /// Its interfaces; the first is the one that it was discovered by.
    pub macs: Vec<Mac, MAX_MACS, u8>,
    /// SMBIOS UUID, from DHCP option 97 or the agent; zero for none.
    pub system_uuid: [u8; 16],
    /// Its provision state.
    pub state: ProvisionState,
    /// Since when.
    pub since: Instant,
    /// Why it is in that state, or what it waits for.
    pub reason: Reason,
    /// When the wait ends in a failure.
    pub deadline: Option<Instant>,
    /// The last error, for people; empty for none.
    pub last_error: String<ERROR_LEN>,
    /// What switches it.
    pub driver: DriverKind,
    /// Its power state, as its packets and drivers showed it last; see
    /// [`Node::power_now`].
    pub power: PowerState,
    /// What an operator wants of its power.
    pub power_request: Option<PowerRequest>,
    /// What is being done about its power.
    pub power_control: PowerControl,
    /// Its address in the present boot.
    pub address: Ipv4Addr,
    /// When each hop of the present boot was reached.
    pub timeline: Timeline,
    /// The present boot into the ramdisk.
    pub boot: Boot,
    /// The ticket in the last boot script, until a handshake uses it up. The
    /// boot that it may begin changes nothing before that.
    pub offered: Option<GivenTicket>,
    /// A handshake with the offered ticket from elsewhere, until its own machine's comes.
    pub heard_elsewhere: Option<HeardElsewhere>,
    /// A boot that began since then counts for the present state.
    pub boots_since: Instant,
    /// The boot that erased every disk in the cleaning at hand, while a sample
    /// is still to be read again; 0 for none.
    pub erased_in: BootId,
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
    /// What operators have set, and what the present work has come to.
    pub flags: Flags,
    /// The steps of the present work that are still to come; empty where
    /// the state implies them.
    pub steps: Steps,
    /// Its traits, a bit each, by their numbers in the string pool.
    pub traits: u32,
    /// Traits that its allocation asked for.
    pub wanted: u32,
    /// Its resource class, by its number in the string pool plus 1; 0 for
    /// none.
    pub class: u8,
    /// Fingerprint of its serial number; 0 for none that is its own.
    pub serial: u32,
}

impl Node {
    /// A node that was just discovered.
    pub fn discovered(id: NodeId, mac: Mac, now: Instant) -> Self {
        let mut node = Node::enrolled(id, now);
        // One address always fits: MAX_MACS is not 0.
        let _fits = node.macs.push(mac);
        node.reason = Reason::Discovered;
        node.power = PowerState::On;
        node
    }

    /// A node that an operator enrols: nothing of it was seen.
    pub fn enrolled(id: NodeId, now: Instant) -> Self {
        Node {
            id,
            name: String::new(),
            macs: Vec::new(),
            system_uuid: [0; 16],
            state: ProvisionState::Enroll,
            since: now,
            reason: Reason::Enrolled,
            deadline: None,
            last_error: String::new(),
            driver: DriverKind::Manual,
            power: PowerState::Unknown,
            power_request: None,
            power_control: PowerControl::NONE,
            address: Ipv4Addr::UNSPECIFIED,
            timeline: Timeline::new(),
            boot: Boot::none(),
            offered: None,
            heard_elsewhere: None,
            boots_since: now,
            erased_in: BootId(0),
            attempts: 0,
            hardware: Hardware::default(),
            instance: InstanceInfo::default(),
            written: None,
            config_drive: None,
            flags: Flags::empty(),
            steps: Steps::NONE,
            traits: 0,
            wanted: 0,
            class: 0,
            serial: 0,
        }
    }

    /// Empties the place, in place: a whole node is much for the stack.
    pub(crate) fn clear(&mut self) {
        self.id = NodeId([0; 16]);
        self.name.clear();
        self.macs.clear();
        self.system_uuid = [0; 16];
        self.serial = 0;
        self.state = ProvisionState::Enroll;
        self.deadline = None;
        self.last_error.clear();
        self.boot = Boot::none();
        self.offered = None;
        self.heard_elsewhere = None;
        self.erased_in = BootId(0);
        self.hardware = Hardware::default();
        self.instance = InstanceInfo::default();
        self.written = None;
        self.config_drive = None;
        self.steps = Steps::NONE;
        self.traits = 0;
        self.wanted = 0;
        self.class = 0;
        self.flags = Flags::VACANT;
        self.driver = DriverKind::Manual;
        self.power_request = None;
        self.power_control = PowerControl::NONE;
        self.reason = Reason::Enrolled;
    }

    /// Its power state was seen.
    pub(crate) fn see_power(&mut self, now: Instant, power: PowerState) {
        self.power = power;
        self.power_control.seen = now;
    }

    /// Its power state as far as it is known now. A driver that sees the machine looks
    /// again and again: what it saw long ago is not known any more. Where nobody looks,
    /// what was seen last is all that is known.
    pub fn power_now(&self, now: Instant) -> PowerState {
        let age = now.since(self.power_control.seen());
        match self.driver.sees() && age > power::SEEN_MILLIS && !self.agent_is_live(now) {
            true => PowerState::Unknown,
            false => self.power,
        }
    }

    /// Whether there is no node in this place: it was deleted, and others
    /// have kept their places.
    pub fn is_vacant(&self) -> bool {
        self.flags.contains(Flags::VACANT)
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
        let mut cut = crate::interface::Cut(&mut self.last_error);
        // `Cut` never fails.
        let _never = core::fmt::write(&mut cut, text);
    }
}
