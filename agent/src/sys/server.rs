//! [`Machine`] for the server on which the agent runs.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use farrier_protocol::message::{Disk, FinalReport, HeardNeighbour, Inspection};

use super::block::KernelDisk;
use super::lldp::Listener;
use super::modules::Settling;
use super::network::BootInterface;
use super::{console, hardware, link, power};
use crate::agent::Machine;
use crate::engine::inventory;

/// Longest wait for devices that the kernel still initialises. The kernel gives a disk
/// 100 seconds to spin up.
const SETTLE: Duration = Duration::from_secs(150);

/// A real server.
#[derive(Debug)]
pub struct Server {
    boot: Arc<BootInterface>,
    settling: Arc<Settling>,
    lldp: Arc<Listener>,
}

impl Server {
    /// Creates the machine. `boot` is the interface that the server booted from.
    pub fn new(boot: Arc<BootInterface>, settling: Arc<Settling>, lldp: Arc<Listener>) -> Self {
        Self {
            boot,
            settling,
            lldp,
        }
    }
}

impl Machine for Server {
    type Device = KernelDisk;

    fn inspect(&self) -> Inspection {
        let settled = self.settling.wait(Instant::now() + SETTLE);
        if !settled {
            console::log(
                "the kernel still initialises devices; the inspection lists those that are ready",
            );
        }
        // The kernel reports a carrier only on interfaces that are up.
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
        let texts = hardware::gather(settled, address_of, |name| self.lldp.on(name));
        inventory::inspection(&texts, &hardware::smbios())
    }

    fn neighbours(&self) -> Vec<HeardNeighbour> {
        self.lldp.heard()
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

    fn log(&self, line: &str) {
        console::log(line);
    }

    fn fault(&self) -> Option<String> {
        super::setup::fault()
    }

    fn leave(&self, report: FinalReport) {
        power::leave(report);
    }
}
