//! The main job of one server, from power-on to a running system and back,
//! as an operator does it: by the appliance's API and the power button.
//!
//! Each step checks its result from outside: the API's answers, the lines
//! that the instance prints on its serial console, the raw disk. What lives
//! elsewhere: building the parts (the caller's [`crate::scenario::Rack`]),
//! and showing progress to a person ([`Watch`]).

pub mod networks;
pub mod power;
mod server_job;
mod tenant;

pub use server_job::{ServerJob, Written, discovered};
pub use tenant::Tenant;

use crate::qemu::ServerSpec;
use crate::scenario::Rack;
use crate::server::{Form, Server};
use std::time::Duration;

/// Shows how a job comes on: a progress bar, or lines in a log.
pub trait Watch: Send + Sync {
    /// Something happened on this server.
    fn say(&self, server: &str, text: &str);

    /// The server's work has come so far. `total` is 0 where it is unknown.
    fn progress(&self, server: &str, what: &str, done: u64, total: u64, rate: u64);
}

/// What a finished job leaves behind: every figure was read from the machine
/// or from the appliance.
#[derive(Debug, Clone, Default)]
pub struct ServerReport {
    /// The server's name in the rack.
    pub name: String,
    /// `bios` or `uefi`.
    pub firmware: String,
    /// The provision states in the order in which the API showed them.
    pub states: Vec<String>,
    /// Steps of the way and the seconds that each took.
    pub hops: Vec<(String, f64)>,
    /// Bytes of the image as written to the disk.
    pub image_bytes: u64,
    /// The agent's resident memory at its highest.
    pub agent_peak_rss_bytes: u64,
    /// The line that the instance printed on its console.
    pub instance_proof: String,
    /// The VLANs that its port went through, as the captures of all wires have it;
    /// none where its rack has one network.
    pub vlans: Vec<u16>,
    /// Bytes of the tenant on the disk after the release, read from outside.
    pub residue_bytes: u64,
}

/// How long each step may take on a slow machine without hardware
/// virtualization, where several servers share two cores.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From power-on to the agent's handshake.
    pub boot: Duration,
    /// Inspection.
    pub inspect: Duration,
    /// Erasing and reading back every disk.
    pub clean: Duration,
    /// Writing the image.
    pub deploy: Duration,
    /// From the restart to the line that proves the instance.
    pub instance: Duration,
}

impl Patience {
    /// With servers of `form`, on a slow machine.
    #[must_use]
    pub fn of(form: Form) -> Self {
        let minutes = |m: u64| Duration::from_secs(m * 60);
        match form {
            Form::Whole => Patience {
                boot: minutes(6),
                inspect: minutes(3),
                clean: minutes(8),
                deploy: minutes(15),
                instance: minutes(10),
            },
            Form::Light => Patience {
                boot: minutes(2),
                inspect: minutes(1),
                clean: minutes(2),
                deploy: minutes(3),
                instance: minutes(1),
            },
        }
    }
}

/// A server whose disk is small enough to be read whole again and again
/// under emulation, and large enough for the image.
#[must_use]
pub fn small_disk(mut spec: ServerSpec) -> ServerSpec {
    for disk in &mut spec.disks {
        disk.bytes = 2 << 30;
    }
    spec
}

/// The whole main job of one server of a rack. What was learned comes back
/// also when a step fails, with the failure beside it.
pub fn whole(
    rack: &Rack,
    server: &Server,
    number: usize,
    image: &str,
    watch: &dyn Watch,
) -> (ServerReport, Option<String>) {
    let tenant = Tenant::new(
        server.name(),
        u8::try_from(number).unwrap_or(0),
        server.mac(),
    );
    let mut job = match ServerJob::power_on(server, rack.api(), watch) {
        Ok(job) => job,
        Err(error) => {
            let report = ServerReport {
                name: server.name().to_owned(),
                ..ServerReport::default()
            };
            return (report, Some(format!("{error:#}")));
        }
    };
    let mut steps = || -> anyhow::Result<()> {
        job.inspect()?;
        job.provide()?;
        job.deploy(image, &tenant)?;
        job.restart_active()?;
        job.release()?;
        job.read_disks(&tenant)
    };
    let error = steps().err().map(|error| format!("{error:#}"));
    if let Some(error) = &error {
        watch.say(server.name(), &format!("FAILED: {error}"));
    }
    (job.report, error)
}
