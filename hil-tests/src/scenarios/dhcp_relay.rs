//! A server stands in another network than the appliance, behind a router on which
//! dnsmasq is the DHCP relay. Before an operator has named the relay it gets nothing.
//! Then it boots with an address of that relay's pool, is inspected and cleaned.

use crate::job::{ServerJob, Watch};
use crate::namespace::{Card, Namespace, dnsmasq};
use crate::qemu::ServerSpec;
use crate::scenario::Bench;
use crate::switch::{Kind, Mac, PortMode, VlanId};
use anyhow::{Context, Result, ensure};
use farrier_dhcp::wire::Reply;
use farrier_ethernet::frame;
use serde_json::json;
use std::net::Ipv4Addr;
use std::time::Duration;

/// The router's cards: in the appliance's network, and in the server's.
const NEAR: Mac = Mac([0x02, 0xFA, 0x44, 0xD0, 0x00, 0x04]);
const FAR: Mac = Mac([0x02, 0xFA, 0x44, 0xD0, 0x00, 0x05]);
/// The router is so much behind the appliance.
const HOST: u32 = 3;
/// Its address in the server's network, by which it names it.
const GIADDR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
const POOL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 20);
const POOL_LEN: u32 = 10;
/// How long the appliance must stay silent before it knows the relay.
const SILENCE: Duration = Duration::from_secs(5);

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let spec = bench.small_disks(ServerSpec::bios("far", 1));
    let rack = bench.rack("dhcp-relay", vec![spec])?;
    let server = rack.server(0)?;
    let control = rack.switch().control();
    let vlan = |number| VlanId::new(number).context("a VLAN");
    let (near, far) = (PortMode::access(vlan(5)?), PortMode::access(vlan(7)?));
    let cards = [
        Card {
            mac: NEAR,
            address: Ipv4Addr::from_bits(bench.address.to_bits() + HOST),
            prefix: bench.prefix,
        },
        Card {
            mac: FAR,
            address: GIADDR,
            prefix: 24,
        },
    ];
    let program = dnsmasq(
        &bench.tools,
        &[format!("--dhcp-relay={GIADDR},{}", bench.address)],
    )?;
    let (switch, directory) = (rack.switch(), rack.directory());
    let router = Namespace::start(&bench.tools, switch, directory, "router", &cards, &program)?;
    for port in control.ports() {
        let is_far = control.name(port) == server.name() || router.ports().get(1) == Some(&port);
        control.set_mode(port, if is_far { far.clone() } else { near.clone() });
    }

    let appliance = bench.address;
    let replies = rack.switch().observe(move |seen| {
        seen.kind == Kind::Dhcp
            && frame::parse(&seen.frame).is_ok_and(|udp| {
                udp.src == appliance && udp.dst == GIADDR && Reply::parse(udp.payload).is_ok()
            })
    });
    watch.say(
        server.name(),
        "power on, behind a relay that nobody has named",
    );
    server.power_on()?;
    ensure!(
        replies.next(SILENCE)?.is_none(),
        "the appliance answers an unknown relay"
    );
    server.power_off();
    rack.api().put(
        &format!("/farrier/v1/relays/{GIADDR}"),
        &json!({ "prefix": 24, "pool_first": POOL.to_string(), "pool_len": POOL_LEN }),
    )?;
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    job.inspect()?;
    job.provide()?;
    let status = job.status()?;
    let address: Ipv4Addr = status["address"].as_str().context("no address")?.parse()?;
    let offset = address.to_bits().wrapping_sub(POOL.to_bits());
    ensure!(offset < POOL_LEN, "{address} is not of the relay's pool");
    ensure!(
        !replies.drain().is_empty(),
        "no reply went to the relay's address"
    );
    Ok(())
}
