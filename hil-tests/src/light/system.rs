//! The system on a light server's disk: what a tenant's machine is, as far as
//! the rack can tell. It checks that the image lies on the disk byte for
//! byte, takes its identity from the config drive, gets an address, and says
//! on the serial line who it is.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use super::assets::{SYSTEM_HEADER, SYSTEM_MAGIC};
use super::config_drive::{self, Instance};
use super::lease::Lease;
use super::{Ending, Machine};
use crate::disk::{Partition, read_table};

/// How long it waits for an address before it goes on without.
const ADDRESS: Duration = Duration::from_secs(5);

/// A system that was found on a disk.
#[derive(Debug)]
pub(super) struct System {
    /// Bytes of the image's content.
    pub content_bytes: u64,
    root: Partition,
    config_drive: Option<Partition>,
}

/// Looks for a system on a disk and checks all of its bytes.
pub(super) fn find(disk: &Path) -> Result<System> {
    let table = read_table(disk)?;
    let partition = |name: &str| table.partitions.iter().find(|part| part.name == name);
    let root = partition("root").context("no partition root")?.clone();
    let file = File::open(disk)?;
    let mut header = [0; 56];
    file.read_exact_at(&mut header, root.offset)?;
    ensure!(header.starts_with(SYSTEM_MAGIC), "no system in it");
    let length = u64::from_le_bytes(header[16..24].try_into()?);
    ensure!(
        SYSTEM_HEADER + length <= root.bytes,
        "the system does not fit its partition"
    );
    let mut content = vec![0; usize::try_from(length)?];
    file.read_exact_at(&mut content, root.offset + SYSTEM_HEADER)?;
    ensure!(
        Sha256::digest(&content)[..] == header[24..56],
        "the system is damaged"
    );
    Ok(System {
        content_bytes: length,
        config_drive: partition("config-2").cloned(),
        root,
    })
}

impl System {
    /// Writes where a file of the tenant's would lie: behind the content.
    fn write_file(&self, disk: &Path, text: &str) -> Result<()> {
        let at = self.root.offset + SYSTEM_HEADER + self.content_bytes;
        let room = self.root.offset + self.root.bytes - at;
        ensure!(text.len() as u64 <= room, "the disk is full");
        let file = File::options().write(true).open(disk)?;
        Ok(file.write_all_at(text.as_bytes(), at)?)
    }
}

/// The discard service's port (RFC 863).
const DISCARD: u16 = 9;

/// Runs the system on `disk` until the machine is interrupted, or switched
/// off by its power button.
pub(super) fn run(machine: &mut Machine, disk: &Path, system: &System) -> Result<Ending> {
    machine.say("Farrier light system");
    let drive = system.config_drive.as_ref();
    let instance: Option<Instance> = drive
        .map(|partition| config_drive::read(disk, partition))
        .transpose()?;
    let hostname = instance
        .as_ref()
        .map_or("localhost", |instance| instance.hostname.as_str())
        .to_owned();
    machine.network.start_over();
    machine.network.use_bond();
    let mut lease = Lease::new(machine.network.mac(), None, None, None);
    let end = Instant::now() + ADDRESS;
    while lease.address().is_none() && Instant::now() < end {
        lease.poll(&mut machine.network)?;
        machine.network.turn(end.min(lease.due()), &[])?;
    }
    if let Some(instance) = &instance {
        system.write_file(disk, &instance.content)?;
        machine.say(&format!(
            "farrier-instance: uuid={} hostname={} user={} key={}",
            instance.uuid, instance.hostname, instance.user, instance.fingerprint
        ));
    }
    machine.say(&format!("{hostname} login: "));
    if let Some(router) = lease.router() {
        // As every system does, it asks by ARP where its router is.
        machine.network.ask_server((router, DISCARD), b"?")?;
    }
    loop {
        if machine.control.take_button() {
            machine.say("power button: powering off");
            return Ok(Ending::PowerOff);
        }
        lease.poll(&mut machine.network)?;
        machine.network.turn(lease.due(), &[])?;
    }
}
