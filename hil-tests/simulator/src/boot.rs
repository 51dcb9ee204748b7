//! What machines do until a system runs: power, firmware, boot ROM, iPXE.
//! Their messages are made and read by the shipping DHCP code; they
//! behave as real firmware does, faults included.

use core::net::Ipv4Addr;

use farrier_core::boot::{KERNEL, PROGRAM_BIOS, RAMDISK};
use farrier_core::{Config, Input, Transport};
use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_protocol::ticket::Ticket;
use farrier_testkit::outcome::Served;

use crate::faults::Fault;
use crate::machine::{BootDhcp, Load, Machine, Stage};
use crate::network::Packet;
use crate::simulation::{Act, Event, Simulation};

/// A ROM repeats after 4 s, doubling, and gives up (PXE 2.1).
const ROM_TRIES: u32 = 4;
/// How often a file is asked for.
const LOAD_TRIES: u8 = 6;
/// The class of a BIOS boot ROM.
const CLASS: &[u8] = b"PXEClient:Arch:00000:UNDI:002001";
/// The path of a URL on the appliance; empty for another one.
fn path_of(url: &[u8]) -> String {
    let url = String::from_utf8_lossy(url);
    let path = url.strip_prefix("http://172.22.0.1/");
    path.unwrap_or_default().to_owned()
}

/// A rogue DHCP server.
const ROGUE: Ipv4Addr = Ipv4Addr::new(172, 22, 0, 250);

impl Simulation {
    /// Wakes a machine that much later, and not before.
    pub(crate) fn wake_in(&mut self, index: usize, delay: u64) {
        self.machines[index].wake += 1;
        let number = self.machines[index].wake;
        self.at(delay, Event::Wake(index, number));
    }

    /// Somebody or something acts on a machine's power.
    pub fn switch(&mut self, index: usize, act: Act, from_disk: bool) {
        self.trace(|| format!("machine {index}: power {act:?}"));
        let machine = &mut self.machines[index];
        let is_off = matches!(machine.stage, Stage::Off);
        if (act == Act::On && !is_off) || (act == Act::Off && is_off) {
            return;
        }
        machine.disk_first = from_disk || machine.stubborn;
        machine.revoke();
        machine.ip = Ipv4Addr::UNSPECIFIED;
        if act == Act::Off {
            machine.stage = Stage::Off;
            machine.wake += 1;
        } else {
            self.start(index);
        }
    }

    /// A machine's firmware starts.
    pub(crate) fn start(&mut self, index: usize) {
        let machine = &mut self.machines[index];
        machine.revoke();
        machine.ip = Ipv4Addr::UNSPECIFIED;
        machine.stage = Stage::Post;
        if machine.macs.len() > 1 {
            // Which interface wins is the firmware's choice.
            let choice = usize::from(self.random.below(8) == 0);
            machine.nic = machine.fixed_nic.unwrap_or(choice);
        }
        let post = machine.post + self.random.below(5_000);
        self.wake_in(index, post);
    }

    /// A machine goes on with what it is doing.
    pub(crate) fn wake(&mut self, index: usize) {
        match &self.machines[index].stage {
            Stage::Off => {}
            Stage::Post => {
                let machine = &mut self.machines[index];
                if machine.disk_first && machine.is_bootable() {
                    self.own_disk(index);
                } else {
                    self.ask_address(index, false);
                }
            }
            Stage::Dhcp(dhcp) => {
                let dhcp = dhcp.clone();
                self.ask_again(index, dhcp);
            }
            Stage::Load(load, tries) => {
                let (load, tries) = (*load, *tries);
                self.load(index, load, tries);
            }
            Stage::Starting(ticket) => {
                let ticket = *ticket;
                self.ramdisk(index, ticket);
            }
            Stage::Ramdisk(_) => self.run_ramdisk(index),
            Stage::Tenant(_) => self.run_tenant(index),
            Stage::Stuck => self.start(index),
        }
    }

    /// There is nothing to boot from the network: firmware tries the next
    /// device of its list.
    fn next_device(&mut self, index: usize) {
        if self.machines[index].is_bootable() {
            self.own_disk(index);
        } else {
            self.machines[index].stage = Stage::Stuck;
            let pause = 20_000 + self.random.below(20_000);
            self.wake_in(index, pause);
        }
    }

    /// A system on one of the machine's disks runs.
    pub(crate) fn own_disk(&mut self, index: usize) {
        if !self.machines[index].is_bootable() {
            self.machines[index].stage = Stage::Stuck;
            self.wake_in(index, 30_000);
            return;
        }
        self.trace(|| format!("machine {index}: boots its own disk"));
        let tenancy = self.invariants.tenancy(index);
        let machine = &mut self.machines[index];
        machine.disk_first = false;
        // It leaves traces on every disk that it finds.
        for disk in &machine.disks {
            disk.tenant_writes(80 << 20, 8 << 20, tenancy);
        }
        machine.stage = Stage::Tenant(Box::new(machine.client(b"systemd-networkd")));
        self.wake_in(index, 15_000);
    }

    fn ask_address(&mut self, index: usize, ipxe: bool) {
        let xid = self.random.word() as u32;
        self.machines[index].stage = Stage::Dhcp(BootDhcp {
            ipxe,
            xid,
            tries: 0,
            offer: None,
        });
        self.wake_in(index, 0);
    }

    fn ask_again(&mut self, index: usize, mut dhcp: BootDhcp) {
        if dhcp.tries >= ROM_TRIES {
            self.next_device(index);
            return;
        }
        let pause = 4_000 << dhcp.tries;
        dhcp.tries += 1;
        let kind = if dhcp.offer.is_some() {
            MessageType::Request
        } else {
            MessageType::Discover
        };
        let message = boot_message(&self.machines[index], kind, &dhcp);
        self.machines[index].stage = Stage::Dhcp(dhcp.clone());
        self.wake_in(index, pause);
        if kind == MessageType::Discover {
            self.rogue(index, dhcp.xid);
        }
        self.transmit_up(index, &Packet::Dhcp(message));
    }

    /// A rogue DHCP server may answer first, with an address and nothing to boot.
    fn rogue(&mut self, index: usize, xid: u32) {
        if !self
            .faults
            .strikes(Fault::RogueDhcp, &mut self.random, 15_000)
        {
            return;
        }
        let mac = self.machines[index].mac();
        let request = Request::new(MessageType::Discover, xid, mac.0);
        let reply = Reply {
            yiaddr: Ipv4Addr::new(10, 9, 9, index as u8 + 1),
            lease_secs: Some(3600),
            ..Reply::answering(&request, MessageType::Offer, ROGUE)
        };
        let mut buffer = [0; 600];
        if let Ok(len) = reply.emit(&mut buffer) {
            self.at(0, Event::Down(index, Packet::Dhcp(buffer[..len].to_vec())));
        }
    }

    /// A reply reaches a machine that boots.
    pub(crate) fn boot_reply(&mut self, index: usize, mut dhcp: BootDhcp, payload: &[u8]) {
        let Ok(reply) = Reply::parse(payload) else {
            return;
        };
        let machine = &self.machines[index];
        if reply.xid != dhcp.xid || reply.chaddr != machine.mac().0 {
            return;
        }
        match (reply.message_type, dhcp.offer) {
            (MessageType::Offer, None) => {
                dhcp.offer = Some((reply.yiaddr, reply.server_id));
                dhcp.tries = 0;
                self.machines[index].stage = Stage::Dhcp(dhcp);
                if reply.server_id == ROGUE {
                    // It takes the address and finds nothing behind it.
                    self.next_device(index);
                } else {
                    self.wake_in(index, 1);
                }
            }
            (MessageType::Ack, Some((_, server))) if server == reply.server_id => {
                self.machines[index].ip = reply.yiaddr;
                match (dhcp.ipxe, reply.boot_file) {
                    (_, None) => self.next_device(index),
                    (true, Some(file)) => {
                        self.machines[index].script = path_of(file);
                        self.begin_load(index, Load::Script);
                    }
                    (false, Some(_)) => self.begin_load(index, Load::Program),
                }
            }
            (MessageType::Nak, Some(_)) => {
                let ipxe = dhcp.ipxe;
                self.ask_address(index, ipxe);
            }
            _ => {}
        }
    }

    fn begin_load(&mut self, index: usize, load: Load) {
        self.machines[index].stage = Stage::Load(load, 0);
        self.wake_in(index, 2);
    }

    /// Loads a file, or tries again in a while.
    fn load(&mut self, index: usize, load: Load, tries: u8) {
        let script = self.machines[index].script.clone();
        let (transport, path, takes) = match load {
            Load::Program => (Transport::Tftp, PROGRAM_BIOS, 900),
            Load::Script => (Transport::Http, script.as_str(), 30),
            Load::Kernel(_) => (Transport::Http, KERNEL, 700),
            Load::Ramdisk(_) => (Transport::Http, RAMDISK, 900),
        };
        let served = self.fetch(index, transport, path);
        let Some(served) = served.filter(|served| *served != Served::NotFound) else {
            if tries >= LOAD_TRIES {
                self.next_device(index);
            } else {
                self.machines[index].stage = Stage::Load(load, tries + 1);
                self.wake_in(index, 1_000 * u64::from(tries + 1));
            }
            return;
        };
        let takes = takes + self.random.below(takes);
        match (load, served) {
            (Load::Program, Served::Asset(_)) => {
                self.sent(index, path);
                self.ask_address(index, true);
            }
            (Load::Script, Served::Text(script)) => match Ticket::from_command_line(&script) {
                Some(Ok(ticket)) => self.begin_load(index, Load::Kernel(ticket)),
                _ => self.own_disk(index),
            },
            (Load::Kernel(ticket), Served::Asset(_)) => {
                self.sent(index, path);
                self.machines[index].stage = Stage::Load(Load::Ramdisk(ticket), 0);
                self.wake_in(index, takes);
            }
            (Load::Ramdisk(ticket), Served::Asset(_)) => {
                self.sent(index, path);
                self.machines[index].stage = Stage::Starting(ticket);
                self.wake_in(index, takes + 6_000);
            }
            _ => self.next_device(index),
        }
    }

    fn sent(&mut self, index: usize, path: &str) {
        let peer = self.machines[index].ip;
        let Some((network, _)) = self.place_of(index) else {
            return;
        };
        self.step(Input::Sent {
            network,
            peer,
            path,
            bytes: 1 << 20,
            complete: true,
        });
    }

    /// Asks the appliance's servers for a file; `None` without an answer.
    pub(crate) fn fetch(
        &mut self,
        index: usize,
        transport: Transport,
        path: &str,
    ) -> Option<Served> {
        if !self.reaches(index) || self.appliance.is_down() {
            return None;
        }
        // A connection that breaks.
        if self.faults.strikes(Fault::Loss, &mut self.random, 10_000) {
            return None;
        }
        if path.starts_with("boot/") {
            self.hostile.sees(path);
        }
        let (network, _) = self.place_of(index)?;
        let peer = self.machines[index].ip;
        let mut effects = Vec::new();
        let served = self
            .appliance
            .open(self.now, (network, transport), peer, path, &mut effects);
        let answered = !self.appliance.is_down();
        self.carry_out(effects);
        answered.then_some(served)
    }
}

fn boot_message(machine: &Machine, kind: MessageType, dhcp: &BootDhcp) -> Vec<u8> {
    let mac = machine.mac().0;
    let mut id = [0; 17];
    id[1..].copy_from_slice(&machine.uuid);
    let client_id = [1, mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]];
    let mut request = Request::new(kind, dhcp.xid, mac);
    request.broadcast = true;
    request.class_id = Some(CLASS);
    if machine.tells_uuid {
        request.machine_id = Some(&id);
    }
    if dhcp.ipxe {
        request.user_class = Some(b"iPXE");
        request.client_id = Some(&client_id);
    }
    if let Some((address, server)) = dhcp.offer {
        request.requested_ip = Some(address);
        request.server_id = Some(server);
    }
    let mut buffer = [0; 600];
    let len = request.emit(&mut buffer).unwrap_or(0);
    debug_assert!(len > 0, "a boot message fits");
    buffer[..len].to_vec()
}

/// The appliance's address, as machines learn it.
pub(crate) fn appliance_address() -> Ipv4Addr {
    Config::default().address
}
