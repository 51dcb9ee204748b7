//! Somebody connects another DHCP server to the rack: dnsmasq. Then a machine claims
//! the appliance's address by ARP, and one that of a server. The appliance says what
//! it saw, with interface and address, and its servers boot as before.

use crate::job::{Patience, ServerJob, Watch};
use crate::namespace::{Card, Namespace, dnsmasq};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Rack};
use crate::switch::{HostPort, Mac};
use anyhow::{Context, Result, ensure};
use farrier_ethernet::arp::{Arp, Operation};
use farrier_ethernet::frame::BROADCAST;
use serde_json::Value;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// The card of dnsmasq's host, and of a machine that claims addresses.
const ROGUE: Mac = Mac([0x02, 0xFA, 0x44, 0xD0, 0x00, 0x02]);
const CLAIMER: Mac = Mac([0x02, 0xFA, 0x44, 0xD0, 0x00, 0x03]);
/// The rogue's address is so much behind the appliance's, and its pool.
const HOST: u32 = 3;
const POOL: (u32, u32) = (229, 240);
/// How long an alarm may take.
const SOON: Duration = Duration::from_secs(10);

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let spec = bench.small_disks(ServerSpec::uefi("server", 1));
    let rack = bench.rack("rogue-dhcp", vec![spec])?;
    let server = rack.server(0)?;
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    job.inspect()?;
    let before = alarms(&rack)?;
    ensure!(before.is_empty(), "alarms in a sound rack: {before:?}");
    job.soft_power_off()?;

    let offset = |by: u32| Ipv4Addr::from_bits(bench.address.to_bits() + by);
    let mark = rack.appliance().console().mark();
    let card = Card {
        mac: ROGUE,
        address: offset(HOST),
        prefix: bench.prefix,
    };
    let range = format!("--dhcp-range={},{},1h", offset(POOL.0), offset(POOL.1));
    let program = dnsmasq(&bench.tools, &[range])?;
    let (switch, directory) = (rack.switch(), rack.directory());
    let rogue = Namespace::start(&bench.tools, switch, directory, "rogue", &[card], &program)?;
    watch.say("rogue", "another DHCP server is on the network");
    job.verb("provide")?;
    server.power_on()?;
    let patience = Patience::of(bench.form);
    job.wait_for("available", patience.boot + patience.clean)?;
    ensure!(
        rogue.console().text().contains("DHCPOFFER"),
        "the rogue made no offer"
    );
    wait_for(&rack, "dhcp server", ROGUE, offset(HOST))?;
    ensure!(
        rack.appliance().console().contains(mark, "dhcp server"),
        "the console says nothing of it"
    );

    let port = rack.switch().add_host_port("claimer")?;
    claim(&port, bench.address);
    wait_for(&rack, "the appliance's address", CLAIMER, bench.address)?;
    let status = job.status()?;
    let leased = status["address"].as_str().context("no address")?.parse()?;
    claim(&port, leased);
    wait_for(&rack, "duplicate address", CLAIMER, leased)?;

    let all = alarms(&rack)?;
    let own = |alarm: &&Value| alarm["mac"] == server.mac().to_string().as_str();
    ensure!(
        !all.iter().any(|alarm| own(&alarm)),
        "an alarm about the rack's own server: {all:?}"
    );
    Ok(())
}

fn alarms(rack: &Rack) -> Result<Vec<Value>> {
    let said = rack.api().get("/farrier/v1/alarms")?;
    let list = said["alarms"].as_array();
    Ok(list.context("no list of alarms")?.clone())
}

/// Waits for an alarm.
fn wait_for(rack: &Rack, what: &str, mac: Mac, address: Ipv4Addr) -> Result<()> {
    let end = Instant::now() + SOON;
    loop {
        let all = alarms(rack)?;
        let (mac, address) = (mac.to_string(), address.to_string());
        let is = |alarm: &Value| {
            alarm["what"] == what
                && alarm["mac"] == mac.as_str()
                && alarm["address"] == address.as_str()
                && alarm["network"] == "provisioning"
        };
        if all.iter().any(is) {
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "no alarm {what:?} of {mac} with {address}: {all:?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Announces an address by ARP (RFC 5227).
fn claim(port: &HostPort, address: Ipv4Addr) {
    let message = Arp {
        operation: Operation::Request,
        sender_mac: CLAIMER.0,
        sender: address,
        target_mac: [0; 6],
        target: address,
    };
    let mut frame = [0; 60];
    if message.emit(BROADCAST, &mut frame).is_some() {
        port.send(&frame);
    }
}
