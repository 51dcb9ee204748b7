//! A chunk of the image is damaged on the wire in a way that Ethernet, IP
//! and TCP can't notice. The agent must: it fetches that chunk again, writes
//! what is right, and says so.

use crate::job::{ServerJob, Tenant, Watch};
use crate::qemu::ServerSpec;
use crate::scenario::Bench;
use crate::server::Form;
use crate::switch::corrupt::flip_tcp_bit;
use anyhow::{Result, ensure};

/// Bits that are flipped, each in a segment of its own.
const FLIPS: u64 = 3;

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let spec = bench.small_disks(ServerSpec::bios("bit-flip", 1));
    let rack = bench.rack("bit-flip", vec![spec])?;
    let server = rack.server(0)?;
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    job.inspect()?;
    job.provide()?;

    // Segments of image data between two flips: far enough for other chunks.
    let apart: u64 = match bench.form {
        Form::Whole => 4_000,
        Form::Light => 1_500,
    };
    let mut seen = 0;
    let (hook, flips) = flip_tcp_bit(move |segment| {
        if segment.source.port() != 80 || segment.payload.len() < 1000 {
            return None;
        }
        seen += 1;
        let hit = seen % apart == apart / 2 && seen / apart < FLIPS;
        hit.then_some(4321)
    });
    let hook = rack.switch().add_hook(hook);
    let tenant = Tenant::new("bit-flip", 1, server.mac());
    job.deploy(&bench.image, &tenant)?;
    rack.switch().remove_hook(hook);

    let flipped = flips.count();
    ensure!(
        flipped > 0,
        "no bit was flipped: the scenario shows nothing"
    );
    let written = job.written()?;
    watch.say(
        server.name(),
        &format!(
            "{flipped} bits flipped, {} chunks fetched again",
            written.refetched_chunks
        ),
    );
    // A segment that TCP sends twice on a busy host is read once: a bit that is
    // flipped in the other one harms nothing.
    ensure!(
        (1..=flipped).contains(&written.refetched_chunks),
        "{flipped} flipped bits, but {} chunks fetched again",
        written.refetched_chunks
    );
    Ok(())
}
