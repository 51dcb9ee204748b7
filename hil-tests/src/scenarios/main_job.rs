//! The main job on one server, for each way of booting.

use crate::job::{self, ServerJob, Watch};
use crate::qemu::ServerSpec;
use crate::scenario::Bench;
use anyhow::{Result, bail, ensure};

/// BIOS, iPXE in the card's ROM, SATA.
pub fn bios(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    whole(bench, watch, ServerSpec::bios("bios", 1)).map(|_| ())
}

/// UEFI, iPXE by TFTP, NVMe.
pub fn uefi_pxe(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let tftp = whole(bench, watch, ServerSpec::uefi("uefi-pxe", 1))?;
    ensure!(tftp > 0, "a UEFI server must load its boot program by TFTP");
    Ok(())
}

/// UEFI HTTP boot: not one TFTP request, up to an agent that has cleaned.
pub fn uefi_http(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let mut spec = bench.small_disks(ServerSpec::uefi("uefi-http", 1));
    spec.uefi_http_first = true;
    let rack = bench.rack("uefi-http", vec![spec])?;
    let server = rack.server(0)?;
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    job.inspect()?;
    job.provide()?;
    let tftp = rack.tftp_requests(server);
    ensure!(
        tftp == 0,
        "HTTP boot must not need TFTP; there were {tftp} requests of it"
    );
    Ok(())
}

/// The main job; how many TFTP requests the server sent on the way.
fn whole(bench: &Bench, watch: &dyn Watch, spec: ServerSpec) -> Result<u64> {
    let name = spec.name.clone();
    let rack = bench.rack(&name, vec![bench.small_disks(spec)])?;
    let server = rack.server(0)?;
    let (report, error) = job::whole(&rack, server, 0, &bench.image, watch);
    if let Some(error) = error {
        bail!("{error} (logs: {})", rack.keep().display());
    }
    ensure!(
        report.residue_bytes == 0,
        "{} bytes of the tenant are left",
        report.residue_bytes
    );
    Ok(rack.tftp_requests(server))
}
