//! The one boot decision: what does this machine boot now?
//!
//! Whatever the transport, a file that a machine asks for is decided here: the
//! network-boot program by its architecture, and behind it, in the script,
//! the ramdisk with a fresh ticket or the machine's own disk.

pub(crate) mod dhcp;
mod proxy;
mod relayed;
mod sightings;
mod tenant_dhcp;
mod trust;

use crate::identity::{contradicts, is_real_uuid};
use crate::interface::{Effects, Instant, NetworkId, Serve, Transport};
use crate::node::{GivenTicket, Hop, Node, Reason};
use crate::power::{BootDevice, boot_device};
use crate::rack::{Rack, count, edit};
use core::fmt::Write;
use core::net::Ipv4Addr;
use farrier_asset_store::{DrivePlace, SlotPart};
use farrier_dhcp::wire::{Arch, Platform};
use farrier_lifecycle::ProvisionState;
use farrier_protocol::credential::{Credential, Place};
use farrier_protocol::message::Mac;
use farrier_protocol::sealed;
use farrier_protocol::ticket::{Ticket, TicketId};

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

/// Where boot scripts are. Identifier and nonce of a credential follow.
pub(crate) const SCRIPT: &str = "boot/";

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
        (network, peer): (NetworkId, Ipv4Addr),
        path: &str,
        out: &mut Effects,
    ) {
        let node = self.find_by_address(peer);
        match path {
            path if path.starts_with(SCRIPT) => {
                // A datagram with a forged source asks by TFTP; who asks by HTTP
                // has the address.
                let given = match transport {
                    Transport::Http => self.credential_of(network, peer, path),
                    Transport::Tftp => None,
                };
                match given {
                    Some((place, ticket)) => self.script(now, node, place, ticket, out),
                    None => {
                        count(&mut self.counters.files_refused);
                        out.serve(Serve::NotFound);
                    }
                }
            }
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
            "config-drive" => match node.and_then(|n| self.sealed_drive(n, peer)) {
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
        let Some(mac) = self.interface_at(peer).filter(|_| complete) else {
            return;
        };
        match self.find_by_mac(mac) {
            Some(node) => {
                if let Some(mut node) = self.nodes.volatile(node) {
                    node.timeline().mark(hop, now);
                }
            }
            None => self.strangers.mark(now, mac, hop),
        }
    }

    /// The config drive of a node whose agent works at this address. A lease alone
    /// is not enough: another machine may still use an address that it has lost.
    fn sealed_drive(&self, index: usize, peer: Ipv4Addr) -> Option<(usize, DrivePlace, u32)> {
        let node = self.nodes.get(index)?;
        let boot = &node.boot;
        let works =
            |given: &GivenTicket| boot.session.is_some() && given.place.address == peer.octets();
        boot.ticket.filter(works)?;
        let drive = node.config_drive?;
        let len = sealed::Layout::new(drive.length).ok()?.sealed_len();
        Some((index, drive.place, len))
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

    /// The credential in a script's path, if it was given to this peer and is
    /// good now.
    fn credential_of(
        &self,
        network: NetworkId,
        peer: Ipv4Addr,
        path: &str,
    ) -> Option<(Place, Ticket)> {
        let (id, nonce) = parse_script_path(path)?;
        let place = self.place_at(network, peer)?;
        let credential = self.credential(id, &place)?;
        (credential.has_nonce(nonce) && self.is_fresh(id)).then_some((place, credential.ticket))
    }

    /// Serves what a machine boots. Nothing of the boot before ends by that: the
    /// next one begins with its handshake.
    fn script(
        &mut self,
        now: Instant,
        index: Option<usize>,
        place: Place,
        ticket: Ticket,
        out: &mut Effects,
    ) {
        let disk = match index {
            Some(index) => self.node_loads_script(now, index, place, &ticket, out),
            None => {
                self.strangers.mark(now, place.mac, Hop::Script);
                self.is_tenants(place.mac)
            }
        };
        if disk {
            out.text_with(|room| {
                let mut text = Text::new(room);
                text.write_str(LOCAL_BOOT).ok().map(|()| text.len)
            });
            return;
        }
        // The agent talks by the interface that the machine boots by.
        let mac = place.mac.0;
        let (address, port) = (self.config.address, self.config.agent_port);
        let options = self.config.kernel_options.as_str();
        // The ramdisk takes an address of no other server than this.
        let relayed = self.ipam.relay_of(Ipv4Addr::from(place.address)).is_some();
        let server = self.dhcp_server().filter(|_| !relayed).unwrap_or(address);
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
                 farrier.appliance={address} farrier.port={port} farrier.dhcp={server} \
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

    /// A node's machine loads its script. Gives whether it is to boot its own
    /// disk.
    fn node_loads_script(
        &mut self,
        now: Instant,
        index: usize,
        place: Place,
        ticket: &Ticket,
        out: &mut Effects,
    ) -> bool {
        let id = ticket.id;
        // An earlier boot's script can be fetched again while it is fresh. Its
        // ticket is given to nobody then: a copy of its handshake would count as
        // a second holder's.
        let used = self.nodes.get(index).and_then(|node| node.boot.ticket);
        let later = used.is_none_or(|used| self.is_later(id, used.id));
        let Some(mut node) = self.nodes.volatile(index) else {
            return false;
        };
        node.timeline().mark(Hop::Script, now);
        if boot_device(&node) == BootDevice::Network {
            if later {
                node.set_offered(GivenTicket { id, place });
            }
            return false;
        }
        node.timeline().mark(Hop::LocalBoot, now);
        if let Some(node) = edit!(self, index) {
            node.boot.session = None;
            node.offered = None;
            if node.boot.imaged || node.state == ProvisionState::Unrescuing {
                self.deployed(now, index, Reason::BootsDisk, out);
            }
        }
        true
    }

    /// Whether a machine that comes by an unknown interface says that it is one
    /// that boots its own disk: a tenant's system comes up again, and a liar
    /// gets nothing.
    fn is_tenants(&self, mac: Mac) -> bool {
        let said = self.strangers.find(mac).map(|stranger| stranger.uuid);
        said.filter(is_real_uuid)
            .and_then(|uuid| self.find_by_uuid(&uuid))
            .and_then(|index| self.nodes.get(index))
            .is_some_and(|node| boot_device(node) == BootDevice::Disk)
    }
}

/// Writes the URL of the boot script for the holder of a credential.
fn write_script_url(
    to: &mut impl Write,
    address: Ipv4Addr,
    credential: &Credential,
) -> core::fmt::Result {
    let id = u64::from_be_bytes(credential.ticket.id.0);
    let nonce = u64::from_be_bytes(credential.nonce);
    write!(to, "http://{address}/{SCRIPT}{id:016x}-{nonce:016x}.ipxe")
}

/// Identifier and nonce in the path of a boot script.
fn parse_script_path(path: &str) -> Option<(TicketId, [u8; 8])> {
    let both = path.strip_prefix(SCRIPT)?.strip_suffix(".ipxe")?;
    let (id, nonce) = both.split_once('-')?;
    let number = |text: &str| {
        let digits = text.len() == 16 && text.bytes().all(|c| c.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok())?
    };
    Some((
        TicketId(number(id)?.to_be_bytes()),
        number(nonce)?.to_be_bytes(),
    ))
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
