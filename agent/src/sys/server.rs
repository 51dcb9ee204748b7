//! The server that the agent runs on, as [`Machine`].

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use farrier_protocol::message::{Disk, FinalReport, Inspection};

use super::block::KernelDisk;
use super::modules::Settling;
use super::network::BootInterface;
use super::{console, hardware, link, power};
use crate::agent::Machine;
use crate::engine::inventory;

/// Longest wait for devices that are still coming up.
const SETTLE: Duration = Duration::from_secs(60);

/// A real machine.
#[derive(Debug)]
pub struct Server {
    boot: Arc<BootInterface>,
    settling: Arc<Settling>,
}

impl Server {
    /// The machine with this boot interface.
    pub fn new(boot: Arc<BootInterface>, settling: Arc<Settling>) -> Self {
        Self { boot, settling }
    }
}

impl Machine for Server {
    type Device = KernelDisk;

    fn inspect(&self) -> Inspection {
        if !self.settling.wait(Instant::now() + SETTLE) {
            console::say("devices are still coming up; going on with those that are there");
        }
        // Without this there is no telling whether a cable is in.
        for name in hardware::interfaces() {
            if let Some(index) = hardware::interface_index(&name) {
                let _stays_down = link::up(index);
            }
        }
        let address_of = |name: &str| -> Option<Ipv4Addr> {
            (name == self.boot.name)
                .then(|| self.boot.address())
                .flatten()
        };
        inventory::inspection(&hardware::gather(address_of), &hardware::smbios())
    }

    fn open(&self, disk: &Disk) -> io::Result<KernelDisk> {
        KernelDisk::open(&Path::new("/dev").join(disk.name.as_str()))
    }

    fn random(&self) -> [u8; 16] {
        super::random()
    }

    fn peak_rss_kib(&self) -> u32 {
        super::peak_rss_kib()
    }

    fn say(&self, line: &str) {
        console::say(line);
    }

    fn fault(&self) -> Option<String> {
        super::setup::fault()
    }

    fn leave(&self, farewell: FinalReport) {
        power::leave(farewell);
    }
}
