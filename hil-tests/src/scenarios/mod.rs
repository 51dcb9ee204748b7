//! The scenarios: servers and the shipping appliance in one virtual rack,
//! each with a result that is checked from outside.
//!
//! A scenario builds no parts: its caller's [`Bench`] has them. It may run beside others; everything of it is in a folder of its own.
//! [`ALL`] says in which forms each can run.

mod appliance_restart;
mod bit_flip;
mod bonded_nics;
mod crash_restart;
mod dhcp_relay;
mod flip;
mod isolated_ports;
mod lying_disk;
mod main_job;
mod many_disks;
mod moved_cable;
mod moved_card;
mod no_credentials;
mod power_cycle;
mod proxy_dhcp;
mod reset_before_power;
mod rogue_dhcp;
mod slow_peers;
mod stock_client;
mod stranger_flood;
mod switch_vlans;
mod switched;
mod ticket_thief;
mod uuid_thief;

use crate::job::Watch;
use crate::scenario::Bench;
use crate::server::{Form, Server};
use anyhow::{Context, Result};
use std::fs;

/// What lies on a disk that a scenario must not change.
const CONTENT: &[u8] = b"somebody else's data ";

/// Writes data to the front of a server's first disk. Returns the whole disk's
/// bytes.
fn fill_disk(server: &Server) -> Result<Vec<u8>> {
    let disk = server.disk(0);
    let length = fs::metadata(&disk)
        .with_context(|| format!("the disk of {}", server.name()))?
        .len();
    let content: Vec<u8> = CONTENT.iter().copied().cycle().take(1 << 20).collect();
    let mut bytes = vec![0; usize::try_from(length)?];
    bytes[..content.len()].copy_from_slice(&content);
    fs::write(&disk, &bytes)?;
    Ok(bytes)
}

/// A scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    /// The forms of servers that it can be run with, the cheapest that shows
    /// what it says first.
    pub forms: &'static [Form],
    /// Runs it, with servers of the bench's form.
    pub run: fn(&Bench, &dyn Watch) -> Result<()>,
}

impl Scenario {
    /// The cheapest form that shows what the scenario says.
    pub fn cheapest(&self) -> Form {
        self.forms.first().copied().unwrap_or(Form::Whole)
    }

    /// Whether it can be run with servers of this form.
    pub fn has(&self, form: Form) -> bool {
        self.forms.contains(&form)
    }

    /// Whether the appliance has to run on an emulated board.
    pub fn needs_emulator(&self) -> bool {
        NEEDS_EMULATOR.contains(&self.name)
    }

    /// Whether CI runs it with whole servers too: the least that shows what
    /// light servers leave out.
    pub fn is_whole_in_ci(&self) -> bool {
        WHOLE_IN_CI.contains(&self.name) || self.cheapest() == Form::Whole
    }
}

/// The scenarios that CI runs with whole servers: real firmware, iPXE,
/// kernel, ramdisk and Debian of a BIOS and of a UEFI machine.
pub const WHOLE_IN_CI: [&str; 2] = ["bios", "uefi-pxe"];

/// The scenarios that need an emulated board: they work on it with a debugger.
const NEEDS_EMULATOR: [&str; 1] = ["crash-restart"];

/// All scenarios, in the order in which they run.
pub const ALL: [Scenario; 30] = [
    Scenario {
        name: "bios",
        about: "the main job on a BIOS server with iPXE in its ROM and a SATA disk",
        forms: &[Form::Light, Form::Whole],
        run: main_job::bios,
    },
    Scenario {
        name: "uefi-pxe",
        about: "the main job on a UEFI server that loads iPXE by TFTP, with an NVMe disk",
        forms: &[Form::Light, Form::Whole],
        run: main_job::uefi_pxe,
    },
    Scenario {
        name: "uefi-http",
        about: "a UEFI server boots by HTTP alone, without TFTP, up to available",
        forms: &[Form::Light, Form::Whole],
        run: main_job::uefi_http,
    },
    Scenario {
        name: "power-cycle",
        about: "a server loses power in every step and goes on; the server beside it is not disturbed",
        forms: &[Form::Light, Form::Whole],
        run: power_cycle::run,
    },
    Scenario {
        name: "appliance-restart",
        about: "the appliance loses power in the middle of everything, and loses nothing",
        forms: &[Form::Light, Form::Whole],
        run: appliance_restart::run,
    },
    Scenario {
        name: "bit-flip",
        about: "a bit of an image flips on the wire behind every checksum and does not reach the disk",
        forms: &[Form::Light, Form::Whole],
        run: bit_flip::run,
    },
    Scenario {
        name: "stock-client",
        about: "the stock `baremetal` command line does the main job",
        forms: &[Form::Light, Form::Whole],
        run: stock_client::run,
    },
    Scenario {
        name: "reset-before-power",
        about: "a power request survives the appliance's reset between decision and effect",
        forms: &[Form::Light, Form::Whole],
        run: reset_before_power::run,
    },
    Scenario {
        name: "moved-card",
        about: "another server boots with a node's network card: nothing happens to its disk",
        forms: &[Form::Light, Form::Whole],
        run: moved_card::run,
    },
    Scenario {
        name: "uuid-thief",
        about: "a machine that says a node's UUID gets nothing while the node waits for its own",
        forms: &[Form::Light, Form::Whole],
        run: uuid_thief::run,
    },
    Scenario {
        name: "ticket-thief",
        about: "a machine that has heard a node's boot ticket stops the node's orders",
        forms: &[Form::Light],
        run: ticket_thief::run,
    },
    Scenario {
        name: "stranger-flood",
        about: "thousands of forged strangers ask for addresses while a known server works",
        forms: &[Form::Light, Form::Whole],
        run: stranger_flood::run,
    },
    Scenario {
        name: "no-credentials",
        about: "who is no operator changes nothing and learns nothing",
        forms: &[Form::Light],
        run: no_credentials::run,
    },
    Scenario {
        name: "slow-peers",
        about: "peers hold connections and transfers; a server boots and an operator works beside them",
        forms: &[Form::Light, Form::Whole],
        run: slow_peers::run,
    },
    Scenario {
        name: "crash-restart",
        about: "the appliance's program faults, then hangs: it restarts, shows the crash and goes on",
        forms: &[Form::Light, Form::Whole],
        run: crash_restart::run,
    },
    Scenario {
        name: "flip-ovsdb",
        about: "a server's port goes through all networks by OVSDB, and no frame is on a wrong one",
        forms: &[Form::Light, Form::Whole],
        run: flip::ovsdb,
    },
    Scenario {
        name: "flip-netconf",
        about: "the same by NETCONF over SSH; then the switch has another host key and nothing is moved",
        forms: &[Form::Light, Form::Whole],
        run: flip::netconf,
    },
    Scenario {
        name: "flip-netconfd",
        about: "the same with netconfd behind OpenSSH; then a move is taken back before it is proven",
        forms: &[Form::Light],
        run: flip::netconfd,
    },
    Scenario {
        name: "flip-netconfd-openconfig",
        about: "the same with OpenConfig's shape of configuration, and a login by the appliance's key",
        forms: &[Form::Light],
        run: flip::netconfd_openconfig,
    },
    Scenario {
        name: "flip-openvswitch",
        about: "the same by OVSDB with a real Open vSwitch that all frames pass through (as root)",
        forms: &[Form::Light],
        run: flip::openvswitch,
    },
    Scenario {
        name: "switch-restart",
        about: "the switch loses its power and its configuration: the appliance says so and touches nothing",
        forms: &[Form::Light],
        run: flip::switch_restart,
    },
    Scenario {
        name: "isolated-ports",
        about: "servers at work have a VLAN each: one that forges the other's address meets nobody",
        forms: &[Form::Light],
        run: isolated_ports::run,
    },
    Scenario {
        name: "switch-vlans",
        about: "the appliance makes VLANs on a switch and its trunk as servers need them, and removes them",
        forms: &[Form::Light],
        run: switch_vlans::run,
    },
    Scenario {
        name: "moved-cable",
        about: "a cable is put into another port: LLDP says so, and all stops until an operator says where it is",
        forms: &[Form::Light],
        run: moved_cable::run,
    },
    Scenario {
        name: "bonded-nics",
        about: "two cards in a port group: their ports move together, either boots, the tenant has one address",
        forms: &[Form::Light],
        run: bonded_nics::run,
    },
    Scenario {
        name: "proxy-dhcp",
        about: "dnsmasq gives the addresses, and the appliance says what to boot",
        forms: &[Form::Light, Form::Whole],
        run: proxy_dhcp::run,
    },
    Scenario {
        name: "rogue-dhcp",
        about: "another DHCP server and false ARP are seen and named, and servers boot beside them",
        forms: &[Form::Light, Form::Whole],
        run: rogue_dhcp::run,
    },
    Scenario {
        name: "dhcp-relay",
        about: "a server behind a router boots by a relay, with an address of that relay's pool",
        forms: &[Form::Light, Form::Whole],
        run: dhcp_relay::run,
    },
    Scenario {
        name: "many-disks",
        about: "24 disks and a controller without a driver: nothing stays unseen, an operator waives by name",
        forms: &[Form::Light, Form::Whole],
        run: many_disks::run,
    },
    Scenario {
        name: "lying-disk",
        about: "a disk answers zeroes until it is opened again: the node is not offered",
        forms: &[Form::Light],
        run: lying_disk::run,
    },
];
