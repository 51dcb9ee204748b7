//! The one boot decision: what does this machine boot now?
//!
//! Whatever the transport, a file that a machine asks for is decided here: the
//! network-boot program by its architecture, and behind it, in the script,
//! the ramdisk with a fresh ticket or the machine's own disk.

pub(crate) mod dhcp;
mod trust;

use crate::identity::contradicts;
use crate::interface::Instant;
use crate::interface::Transport;
use crate::interface::{Effects, Serve};
use crate::node::Reason;
use crate::node::{AgentPhase, Boot, Hop, Job, Node};
use crate::power::{BootDevice, boot_device};
use crate::provisioning::steps::Step;
use crate::rack::{Entropy, Rack, count, edit};
use core::fmt::Write;
use core::net::Ipv4Addr;
use farrier_asset_store::{DrivePlace, SlotPart};
use farrier_dhcp::wire::{Arch, Platform};
use farrier_lifecycle::{ProvisionEvent, ProvisionState};
use farrier_protocol::message::{BootId, Mac};
use farrier_protocol::sealed;
use farrier_protocol::ticket::Ticket;

/// Name of the kernel in the asset store.
pub const KERNEL: &str = "vmlinuz";
/// Name of the ramdisk in the asset store.
pub const RAMDISK: &str = "ramdisk.img";
/// Name of the small archive with the keys, appended to the ramdisk. The
/// appliance makes it: it is in no asset store.
pub const TRUST: &str = "trust.img";
/// Network-boot program for BIOS.
pub const PROGRAM_BIOS: &str = "undionly.kpxe";
/// Network-boot program for UEFI on x86-64.
pub const PROGRAM_X64: &str = "snponly.efi";

/// What DHCP sends a machine to that is not its interface's node. Its UUID
/// follows, in 32 hexadecimal digits.
pub(crate) const OTHER_MACHINE: &str = "other-machine/";

/// Boots into the ramdisk for one piece of work before it counts as failed.
pub const MAX_ATTEMPTS: u8 = 6;
/// Longest boot script in bytes.
pub(crate) const MAX_SCRIPT: usize = 1500;

/// The boot program for a machine's firmware, with whether it wants a URL.
pub(crate) fn program(arch: Option<Arch>) -> Option<(&'static str, bool)> {
    let Some(arch) = arch else {
        return Some((PROGRAM_BIOS, false));
    };
    match arch.platform() {
        Platform::Bios => Some((PROGRAM_BIOS, arch.is_http())),
        Platform::X64 => Some((PROGRAM_X64, arch.is_http())),
        _ => None,
    }
}

impl<const N: usize, const L: usize, const D: usize> Rack<N, L, D> {
    /// Decides what to serve to a peer that asks for `path`.
    pub(crate) fn open(
        &mut self,
        now: Instant,
        transport: Transport,
        peer: Ipv4Addr,
        path: &str,
        entropy: &mut dyn Entropy,
        out: &mut Effects,
    ) {
        let node = self.find_by_address(peer);
        match path {
            // A datagram with a forged source asks by TFTP; who asks by HTTP has
            // the address.
            "boot.ipxe" => match node.filter(|_| transport == Transport::Http) {
                Some(node) => self.script(now, node, peer, entropy, out),
                None => {
                    count(&mut self.counters.files_refused);
                    out.serve(Serve::NotFound);
                }
            },
            path if path.starts_with(OTHER_MACHINE) => {
                let uuid = path.get(OTHER_MACHINE.len()..).unwrap_or_default();
                let uuid = uuid::Uuid::try_parse(uuid).unwrap_or_default();
                let node = node.filter(|_| transport == Transport::Http);
                self.other_machine_boots(now, node, uuid.as_bytes(), out);
            }
            // iPXE asks for this beside its own program before it asks
            // anybody else; it leads to the same decision.
            "autoexec.ipxe" => {
                out.text_with(|room| {
                    let mut text = Text::new(room);
                    text.write_str("#!ipxe\ndhcp || exit\nchain ${filename} || exit\n")
                        .ok()
                        .map(|()| text.len)
                });
            }
            TRUST => match self.trusted_keys() {
                Some(keys) => out.text_with(|room| trust::archive(&keys, room)),
                None => out.serve(Serve::NotFound),
            },
            "config-drive" => match node.and_then(|n| self.sealed_drive(n)) {
                Some((slot, place, len)) if transport == Transport::Http => {
                    let part = SlotPart::ConfigDrive(place);
                    out.serve(Serve::Slot { slot, part, len });
                }
                _ => {
                    count(&mut self.counters.files_refused);
                    out.serve(Serve::NotFound);
                }
            },
            asset => out.serve(Serve::Asset(asset)),
        }
    }

    /// Notes the end of a transfer in the machine's timeline.
    pub(crate) fn sent(&mut self, now: Instant, peer: Ipv4Addr, path: &str, complete: bool) {
        let hop = match path {
            PROGRAM_BIOS | PROGRAM_X64 => Hop::Program,
            KERNEL => Hop::Kernel,
            RAMDISK => Hop::Ramdisk,
            _ => return,
        };
        if complete
            && let Some(node) = self.find_by_address(peer)
            && let Some(mut node) = self.nodes.volatile(node)
        {
            node.timeline().mark(hop, now);
        }
    }

    fn sealed_drive(&self, node: usize) -> Option<(usize, DrivePlace, u32)> {
        let drive = self.nodes.get(node)?.config_drive?;
        let len = sealed::Layout::new(drive.length).ok()?.sealed_len();
        Some((node, drive.place, len))
    }

    /// A machine that is not its interface's node was sent here by DHCP.
    fn other_machine_boots(
        &mut self,
        now: Instant,
        node: Option<usize>,
        uuid: &[u8; 16],
        out: &mut Effects,
    ) {
        // A boot does not disturb an agent that is there.
        let disturbs = |node: &Node| !node.agent_is_live(now) && contradicts(node, uuid, 0);
        if let Some(index) = node
            && self.nodes.get(index).is_some_and(disturbs)
        {
            self.other_machine(now, index, uuid, out);
        }
        out.text_with(|room| {
            let mut text = Text::new(room);
            text.write_str(REFUSAL).ok().map(|()| text.len)
        });
    }

    fn script(
        &mut self,
        now: Instant,
        index: usize,
        peer: Ipv4Addr,
        entropy: &mut dyn Entropy,
        out: &mut Effects,
    ) {
        // The agent talks by the interface that the machine boots by.
        let mac = self.interface_at(peer).unwrap_or(Mac([0; 6])).0;
        let Some(node) = edit!(self, index) else {
            return;
        };
        node.timeline.mark(Hop::Script, now);
        if boot_device(node) == BootDevice::Disk {
            node.timeline.mark(Hop::LocalBoot, now);
            node.boot.session = None;
            node.boot.ticket = None;
            if node.boot.imaged || node.state == ProvisionState::Unrescuing {
                self.deployed(now, index, Reason::BootsDisk, out);
            }
            out.text_with(|room| {
                let mut text = Text::new(room);
                text.write_str(LOCAL_BOOT).ok().map(|()| text.len)
            });
            return;
        }

        self.restarted(now, index, out);
        let Some(node) = edit!(self, index) else {
            return;
        };
        self.last_boot = self.last_boot.wrapping_add(1);
        let mut random = [0; 32];
        entropy.fill(&mut random);
        let ticket = Ticket::from_random(random);
        node.boot = Boot {
            id: BootId(self.last_boot),
            ticket: Some(ticket),
            ..Boot::none()
        };
        let (address, port) = (self.config.address, self.config.agent_port);
        let options = self.config.kernel_options.as_str();
        out.text_with(|room| {
            let mut text = Text::new(room);
            write!(
                text,
                "#!ipxe\n\
                 set base http://{address}\n\
                 set try:int32 0\n\
                 :again\n\
                 imgfree\n\
                 kernel ${{base}}/{KERNEL} initrd={RAMDISK} initrd={TRUST} \
                 console=tty0 console=ttyS0,115200 quiet panic=30 \
                 farrier.appliance={address} farrier.port={port} \
                 farrier.bootif={:02x}-{:02x}-{:02x}-{:02x}-{:02x}-{:02x} \
                 farrier.ticket={} {options} || goto failed\n\
                 initrd ${{base}}/{RAMDISK} || goto failed\n\
                 initrd ${{base}}/{TRUST} || goto failed\n\
                 boot || goto failed\n\
                 :failed\n\
                 inc try\n\
                 iseq ${{try}} 6 && reboot ||\n\
                 echo Farrier: try ${{try}} failed, next one in ${{try}} seconds\n\
                 sleep ${{try}}\n\
                 goto again\n",
                mac[0],
                mac[1],
                mac[2],
                mac[3],
                mac[4],
                mac[5],
                ticket.reveal(),
            )
            .ok()
            .filter(|()| text.len <= MAX_SCRIPT)
            .map(|()| text.len)
        });
    }

    /// A machine that was at work has started anew: the work waits for its
    /// new agent, or fails after too many starts.
    fn restarted(&mut self, now: Instant, index: usize, out: &mut Effects) {
        let Some(node) = edit!(self, index) else {
            return;
        };
        let Some(at_work) = crate::provisioning::agent_phase(node.state) else {
            return;
        };
        let ordered = node.boot.order.map(|order| order.job);
        if node.steps.first() == Some(Step::Reboot) && ordered == Some(Job::Reboot) {
            // The restart was a step, whether or not a final report came.
            let rest = node.steps.rest();
            self.set_steps(index, rest);
        }
        let Some(node) = edit!(self, index) else {
            return;
        };
        node.attempts = node.attempts.saturating_add(1);
        if node.attempts > MAX_ATTEMPTS {
            node.set_error(format_args!(
                "the machine restarted {MAX_ATTEMPTS} times without finishing; look at its console"
            ));
            self.event(
                now,
                index,
                ProvisionEvent::Fail,
                Reason::TooManyRestarts,
                out,
            );
        } else if at_work == AgentPhase::Working {
            self.event(now, index, ProvisionEvent::Wait, Reason::Restarted, out);
        }
    }
}

/// BIOS machines are sent to their first disk, UEFI machines back to their
/// firmware, which goes on with its next boot option.
const LOCAL_BOOT: &str = "#!ipxe\n\
    iseq ${platform} efi && exit 1 ||\n\
    sanboot --no-describe --drive 0x80 || exit\n";

/// A machine that is not its interface's node gets nothing.
const REFUSAL: &str = "#!ipxe\n\
    echo Farrier knows this network card in another machine. See the node's error.\n\
    exit 1\n";

/// Formats into a byte buffer; an error where it is full.
struct Text<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl<'a> Text<'a> {
    fn new(room: &'a mut [u8]) -> Self {
        Text { room, len: 0 }
    }
}

impl Text<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> core::fmt::Result {
        let end = self.len + bytes.len();
        let room = self.room.get_mut(self.len..end).ok_or(core::fmt::Error)?;
        room.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// Pads to a multiple of four bytes.
    fn align(&mut self) -> core::fmt::Result {
        while !self.len.is_multiple_of(4) {
            self.bytes(&[0])?;
        }
        Ok(())
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        let end = self.len + s.len();
        self.room
            .get_mut(self.len..end)
            .ok_or(core::fmt::Error)?
            .copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}
