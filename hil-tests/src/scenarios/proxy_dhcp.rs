//! dnsmasq is the DHCP server of the rack's network, as in a rack that had one
//! before. The appliance gives no address and says what to boot: a BIOS and a UEFI
//! server are inspected and cleaned with addresses of dnsmasq, and one is deployed.

use crate::job::{ServerJob, Tenant, Watch};
use crate::namespace::{Card, Namespace, dnsmasq};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Rack};
use crate::switch::{Kind, Mac, Observer};
use anyhow::{Context, Result, ensure};
use farrier_dhcp::wire::Reply;
use farrier_ethernet::frame;
use serde_json::json;
use std::net::Ipv4Addr;

/// The card of dnsmasq's host.
const MAC: Mac = Mac([0x02, 0xFA, 0x44, 0xD0, 0x00, 0x01]);

/// Its address is so much behind the appliance's.
const HOST: u32 = 3;

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let specs = vec![
        bench.small_disks(ServerSpec::bios("bios", 1)),
        bench.small_disks(ServerSpec::uefi("uefi", 2)),
    ];
    let rack = bench.rack("proxy-dhcp", specs)?;
    let server = existing_server(bench, &rack)?;
    let own = rack.api().get("/farrier/v1/networks/provisioning")?;
    ensure!(own["dhcp"] == "server", "before: {own}");
    let address = Ipv4Addr::from_bits(bench.address.to_bits() + HOST);
    let proxy = json!({ "dhcp": "proxy", "dhcp_server": address.to_string() });
    rack.api()
        .put("/farrier/v1/networks/provisioning", &proxy)?;

    let offers = offers_of_addresses(&rack, bench.address);
    for index in 0..2 {
        let machine = rack.server(index)?;
        let mut job = ServerJob::power_on(machine, rack.api(), watch)?;
        job.inspect()?;
        job.provide()?;
        let known = job.status()?;
        let said = known["address"].as_str().unwrap_or_default();
        let leases = std::fs::read_to_string(rack.directory().join("dnsmasq/leases"))?;
        let leased = leases.lines().any(|line| {
            line.contains(&machine.mac().to_string()) && line.contains(said) && !said.is_empty()
        });
        ensure!(leased, "the address {said:?} is none of dnsmasq:\n{leases}");
        if index == 0 {
            // The appliance knows the machine by that address over its own restart.
            rack.restart_appliance(std::time::Duration::from_secs(1))?;
            let tenant = Tenant::new("proxy", 1, machine.mac());
            job.deploy(&bench.image, &tenant)?;
        }
    }
    let log = server.console().text();
    ensure!(log.contains("DHCPACK"), "dnsmasq gave no address:\n{log}");
    let offered = offers.drain().len();
    ensure!(offered == 0, "the appliance offered {offered} addresses");
    let status = rack.api().get("/farrier/v1/status")?;
    let counters = &status["counters"];
    ensure!(
        counters["proxy_refused"] == 0,
        "addresses were refused: {counters}"
    );
    Ok(())
}

/// dnsmasq on a host of its own, with the addresses that the appliance's pool has.
fn existing_server(bench: &Bench, rack: &Rack) -> Result<Namespace> {
    let own = rack.api().get("/farrier/v1/networks/provisioning")?;
    let first: Ipv4Addr = own["pool_first"]
        .as_str()
        .and_then(|first| first.parse().ok())
        .context("the pool has no first address")?;
    let usage = rack.api().get("/farrier/v1/status")?;
    let length = usage["leases"]["pool"].as_u64();
    let length = u32::try_from(length.context("the pool's length")?)?;
    let last = Ipv4Addr::from_bits(first.to_bits() + length - 1);
    let card = Card {
        mac: MAC,
        address: Ipv4Addr::from_bits(bench.address.to_bits() + HOST),
        prefix: bench.prefix,
    };
    let program = dnsmasq(&bench.tools, &[format!("--dhcp-range={first},{last},1h")])?;
    Namespace::start(
        &bench.tools,
        rack.switch(),
        rack.directory(),
        "dnsmasq",
        &[card],
        &program,
    )
}

/// Watches for offers of an address that the appliance makes.
fn offers_of_addresses(rack: &Rack, appliance: Ipv4Addr) -> Observer {
    rack.switch().observe(move |seen| {
        seen.kind == Kind::Dhcp
            && frame::parse(&seen.frame).is_ok_and(|udp| {
                udp.src == appliance
                    && Reply::parse(udp.payload).is_ok_and(|reply| !reply.yiaddr.is_unspecified())
            })
    })
}
