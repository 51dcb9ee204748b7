//! The firmware of a light server: boot order, PXE and HTTP boot, and the
//! iPXE that they load.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::dhcp::{self, Program};
use super::script::{self, End, Host, Start};
use super::{Ending, Machine, assets, http, ramdisk, system, tftp};
use crate::qemu::{Boot, Firmware};

/// Pause before the firmware goes through its devices again.
const AGAIN: Duration = Duration::from_secs(2);
/// The BIOS's number of the first disk.
const FIRST_DISK: u8 = 0x80;

/// What a boot from the network leads to.
enum Next {
    /// A kernel.
    Kernel(Start),
    /// The disk with this number of the BIOS.
    Disk(u8),
    Restart,
    /// The next device of the boot order.
    Device,
}

/// From power-on to the end of whatever was booted.
pub(super) fn start(machine: &mut Machine) -> Result<Ending> {
    loop {
        for device in machine.spec.boot.clone() {
            let ended = match device {
                Boot::Network => from_network(machine)?,
                Boot::Disk => from_disks(machine)?,
            };
            if let Some(ending) = ended {
                return Ok(ending);
            }
        }
        machine.say("no bootable device");
        machine.network.pause(AGAIN)?;
    }
}

/// None where the next device is to be tried.
fn from_network(machine: &mut Machine) -> Result<Option<Ending>> {
    let ways: &[fn(&mut Machine) -> Result<Next>] = match machine.spec.firmware {
        Firmware::Bios => &[bios_pxe],
        Firmware::Uefi if machine.spec.uefi_http_first => &[uefi_http, uefi_pxe],
        Firmware::Uefi => &[uefi_pxe, uefi_http],
    };
    // The first card that has a link, as firmware is often set up.
    let mut cards = 0..machine.network.cards();
    let linked = cards.find(|card| {
        machine.network.use_card(*card);
        machine.network.is_linked()
    });
    let Some(card) = linked else {
        machine.say("no card has a link");
        return Ok(None);
    };
    machine.say(&format!("network boot by card {}", card + 1));
    machine.asker.mac = machine.network.mac().0;
    for way in ways {
        machine.network.start_over();
        match way(machine) {
            Ok(Next::Kernel(start)) => return ramdisk::run(machine, &start).map(Some),
            Ok(Next::Disk(number)) => return from_disk(machine, number),
            Ok(Next::Restart) => return Ok(Some(Ending::Reboot)),
            Ok(Next::Device) => return Ok(None),
            Err(error) if machine.control.is_interrupted() => return Err(error),
            Err(error) => machine.say(&format!("network boot: {error:#}")),
        }
    }
    Ok(None)
}

fn bios_pxe(machine: &mut Machine) -> Result<Next> {
    machine.say("PXE ROM");
    let asker = machine.asker;
    let bound = dhcp::exchange(&mut machine.network, Program::BiosRom, &asker)?;
    let file = bound.boot_file.context("no boot file")?;
    let style = tftp::Style::Rom;
    let program = tftp::fetch(&mut machine.network, bound.next_server, &file, style)?;
    assets::check(&file, &program)?;
    ipxe(machine, Program::IpxeBios)
}

fn uefi_pxe(machine: &mut Machine) -> Result<Next> {
    machine.say("UEFI PXE");
    let asker = machine.asker;
    let bound = dhcp::exchange(&mut machine.network, Program::UefiPxe, &asker)?;
    let file = bound.boot_file.context("no boot file")?;
    let style = tftp::Style::Uefi;
    let program = tftp::fetch(&mut machine.network, bound.next_server, &file, style)?;
    assets::check(&file, &program)?;
    // iPXE's own stack, with the address that the firmware's PXE got, looks
    // for a script beside the program first.
    machine.network.start_over();
    machine
        .network
        .set_address(bound.address, bound.mask, bound.router);
    let (server, style) = (bound.next_server, tftp::Style::Ipxe);
    match tftp::fetch(&mut machine.network, server, "autoexec.ipxe", style) {
        Ok(text) => run_script(machine, Program::IpxeUefi, text),
        Err(error) if machine.control.is_interrupted() => Err(error),
        Err(_) => ipxe(machine, Program::IpxeUefi),
    }
}

fn uefi_http(machine: &mut Machine) -> Result<Next> {
    machine.say("UEFI HTTP boot");
    let asker = machine.asker;
    let bound = dhcp::exchange(&mut machine.network, Program::UefiHttp, &asker)?;
    let url = bound.boot_file.context("no boot file")?;
    let program = http::fetch(&mut machine.network, &url, http::Style::Uefi)?;
    let name = url.rsplit('/').next().unwrap_or(&url);
    assets::check(name, &program)?;
    ipxe(machine, Program::IpxeUefi)
}

/// iPXE without a script of its own: an address, and what comes with it.
fn ipxe(machine: &mut Machine, program: Program) -> Result<Next> {
    machine.say("iPXE");
    machine.network.start_over();
    let asker = machine.asker;
    let bound = dhcp::exchange(&mut machine.network, program, &asker)?;
    let file = bound.boot_file.context("no boot file for iPXE")?;
    let text = http::fetch(&mut machine.network, &file, http::Style::Ipxe)?;
    run_script(machine, program, text)
}

fn run_script(machine: &mut Machine, program: Program, text: Vec<u8>) -> Result<Next> {
    let text = String::from_utf8(text).context("a script is text")?;
    let mut host = ScriptHost {
        machine,
        program,
        filename: None,
    };
    Ok(match script::run(&mut host, &text)? {
        End::Boot(start) => Next::Kernel(start),
        End::LocalDisk(number) => Next::Disk(number),
        End::Reboot => Next::Restart,
        End::Exit(_) => Next::Device,
    })
}

fn from_disks(machine: &mut Machine) -> Result<Option<Ending>> {
    for disk in machine.disks.clone() {
        if let Some(ending) = try_disk(machine, &disk)? {
            return Ok(Some(ending));
        }
    }
    Ok(None)
}

fn from_disk(machine: &mut Machine, number: u8) -> Result<Option<Ending>> {
    let index = number.checked_sub(FIRST_DISK).map(usize::from);
    match index.and_then(|index| machine.disks.get(index)).cloned() {
        Some(disk) => try_disk(machine, &disk),
        None => bail!("there is no disk {number:#x}"),
    }
}

fn try_disk(machine: &mut Machine, disk: &Path) -> Result<Option<Ending>> {
    match system::find(disk) {
        Ok(found) => system::run(machine, disk, &found).map(Some),
        Err(error) => {
            machine.say(&format!("boot from disk: {error:#}"));
            Ok(None)
        }
    }
}

/// What iPXE's scripts reach the machine through.
struct ScriptHost<'m> {
    machine: &'m mut Machine,
    program: Program,
    /// The boot file of the last DHCP exchange.
    filename: Option<String>,
}

impl Host for ScriptHost<'_> {
    fn fetch(&mut self, url: &str) -> Result<Vec<u8>> {
        http::fetch(&mut self.machine.network, url, http::Style::Ipxe)
    }

    fn dhcp(&mut self) -> Result<()> {
        let asker = self.machine.asker;
        let bound = dhcp::exchange(&mut self.machine.network, self.program, &asker)?;
        self.filename = bound.boot_file;
        Ok(())
    }

    fn sleep(&mut self, seconds: u64) -> Result<()> {
        self.machine.network.pause(Duration::from_secs(seconds))
    }

    fn say(&mut self, line: &str) {
        self.machine.say(line);
    }

    fn setting(&self, name: &str) -> Option<String> {
        let platform = match self.machine.spec.firmware {
            Firmware::Bios => "pcbios",
            Firmware::Uefi => "efi",
        };
        match name {
            "platform" => Some(platform.to_owned()),
            "filename" => self.filename.clone(),
            _ => None,
        }
    }

    fn is_interrupted(&self) -> bool {
        self.machine.control.is_interrupted()
    }
}
