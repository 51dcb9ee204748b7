//! Forged machines boot from the network, each with another MAC address, a
//! hundred a second. A known server beside them is cleaned, no forged machine
//! becomes a node, and a real one does when it boots after them.

use crate::bench::dhcp;
use crate::job::{Patience, ServerJob, Watch};
use crate::qemu::ServerSpec;
use crate::scenario::Bench;
use crate::switch::HostPort;
use anyhow::{Result, ensure};
use farrier_dhcp::wire::{ArchList, MessageType, Request};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// Pause between two forged messages.
const PAUSE: Duration = Duration::from_millis(10);

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let own = bench.small_disks(ServerSpec::bios("own", 1));
    let late = bench.small_disks(ServerSpec::bios("late", 2));
    let rack = bench.rack("stranger-flood", vec![own, late])?;
    let patience = Patience::of(bench.form);
    let (own, late) = (rack.server(0)?, rack.server(1)?);
    let mut job = ServerJob::power_on(own, rack.api(), watch)?;
    job.inspect()?;
    job.soft_power_off()?;

    let port = rack.switch().add_host_port("flood")?;
    let (over, sent) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| -> Result<()> {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                let number = sent.fetch_add(1, Ordering::Relaxed);
                forged(&port, number).unwrap_or_default();
                while port.try_recv().is_some() {}
                std::thread::sleep(PAUSE);
            }
        });
        let cleaned = (|| {
            watch.say("flood", "forged machines boot, a hundred a second");
            std::thread::sleep(Duration::from_secs(3));
            job.verb("provide")?;
            own.power_on()?;
            job.wait_for("available", patience.boot + patience.clean)
        })();
        over.store(true, Ordering::Relaxed);
        cleaned
    })?;
    let sent = sent.load(Ordering::Relaxed);
    watch.say("flood", &format!("{sent} forged messages"));
    let nodes = rack.api().get("/v1/nodes")?;
    let count = nodes["nodes"].as_array().map_or(0, Vec::len);
    ensure!(count == 1, "{count} nodes after {sent} forged messages");
    // A real one beside them becomes a node.
    ServerJob::power_on(late, rack.api(), watch)?.inspect()
}

/// Two forged messages of a machine that boots: a DISCOVER, and a REQUEST for
/// some address of the pool.
fn forged(port: &HostPort, number: u32) -> Result<()> {
    let [_, a, b, c] = number.to_be_bytes();
    let mac = [0x52, 0x54, 0x66, a, b, c];
    let mut machine_id = [0; 17];
    machine_id[1..5].copy_from_slice(&number.to_be_bytes());
    machine_id[16] = 1;
    for message_type in [MessageType::Discover, MessageType::Request] {
        let request = Request {
            class_id: Some(b"PXEClient:Arch:00007:UNDI:003016"),
            arch_list: ArchList(&[0, 7]),
            machine_id: Some(&machine_id),
            requested_ip: Some(Ipv4Addr::new(172, 22, 0, c)),
            message_type,
            ..Request::new(message_type, number, mac)
        };
        dhcp::send(port, &request)?;
    }
    Ok(())
}
