//! From a [`ServerSpec`] to QEMU's command line.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::spec::{Boot, DiskBus, Firmware, Identity, NicModel, Peculiarity, ServerSpec};
use crate::Tools;

/// OVMF's code, from Debian's `ovmf` package.
const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
/// The empty variable store that belongs to it.
pub(super) const OVMF_VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// Debian's iPXE as option ROMs, from the `ipxe-qemu` package.
const VIRTIO_ROM: &str = "/usr/lib/ipxe/qemu/efi-virtio.rom";
const E1000_ROM: &str = "/usr/lib/ipxe/qemu/efi-e1000.rom";

/// The parts of a server that outlive its process, by their place.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub directory: PathBuf,
}

impl Files {
    pub fn disk(&self, index: usize) -> PathBuf {
        self.directory.join(format!("disk{index}.raw"))
    }

    pub fn uefi_variables(&self) -> PathBuf {
        self.directory.join("uefi-variables.fd")
    }

    pub fn qmp(&self) -> PathBuf {
        self.directory.join("qmp.sock")
    }

    pub fn console(&self) -> PathBuf {
        self.directory.join("console.log")
    }

    pub fn complaints(&self) -> PathBuf {
        self.directory.join("qemu.log")
    }
}

/// The PCI device number of a card on bus 0. Fixed, for boot variables name
/// it.
pub(super) fn nic_slot(index: usize) -> u8 {
    0x10 + index as u8
}

/// Where an installed data file is.
pub(super) fn data_file(tools: &Tools, path: &str) -> Result<PathBuf> {
    Ok(tools(path)?.get_program().into())
}

/// A path as part of an option's value: a comma is written twice, or QEMU
/// takes it for the beginning of the next key.
pub(super) fn escape(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

/// The command line of a server, without the program. `ports` are the sockets
/// of the cards, in order.
///
/// # Errors
/// A firmware or a ROM is not installed.
pub(super) fn arguments(
    spec: &ServerSpec,
    files: &Files,
    ports: &[PathBuf],
    tools: &Tools,
) -> Result<Vec<OsString>> {
    let mut line = Line(Vec::new());
    machine(&mut line, spec, files);
    firmware(&mut line, spec, files, tools)?;
    for (index, port) in ports.iter().enumerate() {
        network(&mut line, spec, index, port, tools)?;
    }
    let disks = || spec.disks.iter();
    if disks().any(|disk| disk.peculiarity == Peculiarity::Removable) {
        line.add("-device", "qemu-xhci");
    }
    if spec.strange_controller {
        line.add("-device", "am53c974");
    }
    for index in 0..spec.disks.len() {
        disk(&mut line, spec, index, files);
    }
    line.0.extend(spec.extra.iter().cloned());
    Ok(line.0)
}

struct Line(Vec<OsString>);

impl Line {
    fn add(&mut self, option: &str, value: impl Into<String>) {
        self.0.extend([option.into(), value.into().into()]);
    }
}

fn machine(line: &mut Line, spec: &ServerSpec, files: &Files) {
    line.add("-name", &spec.name);
    // Nothing that was not ordered.
    line.0
        .extend(["-nodefaults".into(), "-no-user-config".into()]);
    // Without graphics SeaBIOS and its option ROMs print on the serial line.
    line.add("-machine", "q35,graphics=off,vmport=off");
    line.add("-display", "none");
    match spec.icount {
        // Counting instructions needs a single thread.
        Some(shift) => {
            line.add("-accel", "tcg,thread=single,tb-size=256");
            line.add("-icount", format!("shift={shift}"));
        }
        None => line.add("-accel", "tcg,thread=multi,tb-size=256"),
    }
    line.add("-cpu", &spec.cpu);
    line.add("-smp", "1");
    line.add("-m", spec.memory_mib.to_string());
    line.add("-chardev", "stdio,id=serial,signal=off");
    line.add("-serial", "chardev:serial");
    line.add(
        "-chardev",
        format!("socket,id=qmp,path={}", escape(&files.qmp())),
    );
    line.add("-mon", "chardev=qmp,mode=control");
    // Without it the guest's kernel waits for entropy.
    line.add("-device", "virtio-rng-pci");
    let Identity {
        uuid,
        serial,
        vendor,
        product,
    } = &spec.identity;
    line.add("-uuid", uuid);
    line.add(
        "-smbios",
        format!("type=1,manufacturer={vendor},product={product},serial={serial},uuid={uuid}"),
    );
}

fn firmware(line: &mut Line, spec: &ServerSpec, files: &Files, tools: &Tools) -> Result<()> {
    match spec.firmware {
        // A blank machine tries again for ever, as real ones do.
        Firmware::Bios => line.add("-boot", "menu=off,reboot-timeout=2000"),
        Firmware::Uefi => {
            let code = escape(&data_file(tools, OVMF_CODE)?);
            let variables = escape(&files.uefi_variables());
            line.add(
                "-drive",
                format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"),
            );
            line.add(
                "-drive",
                format!("if=pflash,unit=1,format=raw,file={variables}"),
            );
        }
    }
    Ok(())
}

fn network(
    line: &mut Line,
    spec: &ServerSpec,
    index: usize,
    port: &Path,
    tools: &Tools,
) -> Result<()> {
    let Some(nic) = spec.nics.get(index) else {
        return Ok(());
    };
    let (model, rom) = match nic.model {
        NicModel::Virtio => ("virtio-net-pci", VIRTIO_ROM),
        NicModel::E1000 => ("e1000", E1000_ROM),
    };
    let rom = match spec.firmware {
        Firmware::Bios => {
            // QEMU finds its default ROM by itself and writes the card's
            // device id into it; a ROM that is named keeps its own id, and
            // SeaBIOS passes it over. Asked for only so that it is there.
            data_file(tools, rom)?;
            ""
        }
        Firmware::Uefi => ",romfile=",
    };
    let (slot, mac, boot) = (
        nic_slot(index),
        nic.mac,
        bootindex(spec, Boot::Network, index),
    );
    line.add(
        "-netdev",
        format!(
            "stream,id=net{index},server=off,addr.type=unix,addr.path={}",
            escape(port)
        ),
    );
    line.add(
        "-device",
        format!("{model},netdev=net{index},addr={slot:#x},mac={mac}{rom}{boot}"),
    );
    Ok(())
}

fn disk(line: &mut Line, spec: &ServerSpec, index: usize, files: &Files) {
    let disk = &spec.disks[index];
    // A trimmed or zeroed range becomes a hole of the file. Flushes need not
    // reach the host's disk: the host outlives the test.
    let file = escape(&files.disk(index));
    line.add(
        "-blockdev",
        format!(
            "driver=raw,node-name=disk{index},discard=unmap,detect-zeroes=unmap,cache.no-flush=on,\
             file.driver=file,file.filename={file}{}",
            if disk.peculiarity == Peculiarity::ReadOnly {
                ",read-only=on"
            } else {
                ""
            }
        ),
    );
    let device = match disk.bus {
        _ if disk.peculiarity == Peculiarity::Removable => "usb-storage,removable=on".to_owned(),
        DiskBus::Sata => {
            let unit = spec.disks[..index]
                .iter()
                .filter(|disk| disk.bus == DiskBus::Sata)
                .count();
            format!("ide-hd,bus=ide.{unit}")
        }
        DiskBus::Nvme => "nvme".to_owned(),
        DiskBus::Virtio => "virtio-blk-pci".to_owned(),
    };
    let boot = bootindex(spec, Boot::Disk, index);
    line.add(
        "-device",
        format!("{device},drive=disk{index},serial={}{boot}", disk.serial),
    );
}

/// The place in the boot order of the `index`-th device of a kind, as QEMU's
/// property; empty if the firmware is not to boot from it.
fn bootindex(spec: &ServerSpec, kind: Boot, index: usize) -> String {
    let mut first = 0;
    for boot in &spec.boot {
        if *boot == kind {
            return format!(",bootindex={}", first + index);
        }
        first += match boot {
            Boot::Network => spec.nics.len(),
            Boot::Disk => spec.disks.len(),
        };
    }
    String::new()
}
