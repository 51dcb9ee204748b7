//! Two servers at work, each in a VLAN of its own. One of them sends under the
//! other's address: ARP, datagrams, connections, DHCP. It meets nobody but the
//! appliance, gets no answer that is the other's, and both are cleaned. Then it claims
//! the appliance's own address, and its port is shut until an operator opens it.

use super::switched::Switched;
use crate::job::networks::{link, port_vlan};
use crate::job::{Patience, ServerJob, Watch};
use crate::qemu::ServerSpec;
use crate::scenario::{Bench, Rack};
use crate::server::Server;
use crate::switch::{Mac, SwitchConfig};
use anyhow::{Context, Result, anyhow, ensure};
use farrier_dhcp::wire::{MessageType, Request};
use farrier_ethernet::arp::{self, Arp, Operation};
use farrier_ethernet::frame::{self, BROADCAST, HEADER_LEN, Header};
use serde_json::json;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

const IDLE: u16 = 10;
/// The VLANs of nodes at work.
const WORK: u16 = 200;
const WORK_LEN: u16 = 4;
/// The VLANs of ports that were shut.
const SHUT: u16 = 300;
/// Longest time until a port is shut, or open again.
const SOON: Duration = Duration::from_secs(60);
/// Pause between two rounds of forged frames, and how many there are.
const PAUSE: Duration = Duration::from_millis(50);
const ROUNDS: usize = 20;
/// The appliance's port of the agent protocol.
const AGENTS: u16 = 8470;

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let networks = [
        ("idle", json!({ "vlan": IDLE, "uses": ["idle"] })),
        (
            "work",
            json!({ "vlan": WORK, "vlans": WORK_LEN, "uses": ["inspection", "cleaning", "provisioning"] }),
        ),
    ];
    let left = bench.slow_disks(ServerSpec::bios("left", 1));
    let right = bench.slow_disks(ServerSpec::bios("right", 2));
    let rack = Switched {
        name: "isolated-ports",
        servers: vec![left, right],
        initial: IDLE,
        trunk: std::iter::once(IDLE).chain(WORK..WORK + WORK_LEN).collect(),
        networks: &networks,
        lldp: None,
    }
    .build(bench)?;
    let patience = Patience::of(bench.form);
    let (left, right) = (rack.server(0)?, rack.server(1)?);
    let mut jobs = [left, right]
        .into_iter()
        .map(|server| ServerJob::power_on(server, rack.api(), watch))
        .collect::<Result<Vec<_>>>()?;
    for job in &mut jobs {
        link(&rack, job)?;
        job.inspect()?;
        job.verb("provide")?;
    }
    for job in &mut jobs {
        job.wait_busy("cleaning", patience.boot)?;
    }
    let (here, there) = (port_vlan(&rack, "left")?, port_vlan(&rack, "right")?);
    ensure!(
        here != there && [here, there].iter().all(|vlan| *vlan >= WORK),
        "two nodes at work are on the VLANs {here} and {there}"
    );
    watch.say("left", "sends under the address of the other server");
    let answered = forge(&rack, bench, left, right, &jobs)?;
    ensure!(
        answered.is_empty(),
        "the appliance answered on the wrong VLAN: {answered:?}"
    );
    for job in &mut jobs {
        job.wait_for("available", patience.boot + patience.clean)?;
    }
    is_shut(&rack, bench, left, &mut jobs[0], watch)?;
    let isolation = rack.isolation()?;
    isolation.ensure()?;
    let appliance: BTreeSet<Mac> = isolation
        .stays_of("appliance")
        .flat_map(|stay| stay.senders.iter().copied())
        .chain([SwitchConfig::default().mac])
        .collect();
    for port in ["left", "right"] {
        let at_work = isolation
            .stays_of(port)
            .filter(|stay| stay.vlan().is_some_and(|vlan| vlan.get() >= WORK));
        let mut stays = 0;
        for stay in at_work {
            stays += 1;
            ensure!(
                stay.heard.is_subset(&appliance),
                "{port} was at work and heard {:?}",
                stay.heard
            );
        }
        ensure!(stays > 0, "{port} was never in a VLAN of its own");
    }
    let status = rack.api().get("/farrier/v1/status")?;
    let dropped = &status["services"]["dhcp_elsewhere"];
    ensure!(
        dropped.as_u64().is_some_and(|count| count > 0),
        "no DHCP in the other's name was dropped: {dropped}"
    );
    watch.say(
        "left",
        &format!(
            "{} frames proven; {dropped} DHCP messages in the other's name dropped",
            isolation.proven
        ),
    );
    Ok(())
}

/// Sends forged frames by the port of `left`. Returns what the appliance sent to the
/// address of `right` in the VLAN of `left` meanwhile.
fn forge(
    rack: &Rack,
    bench: &Bench,
    left: &Server,
    right: &Server,
    jobs: &[ServerJob<'_>],
) -> Result<Vec<String>> {
    let control = rack.switch().control();
    let port = control.port_named(left.name())?;
    let vlan = port_vlan(rack, left.name())?;
    let victim = right.mac();
    let observer = rack.switch().observe(move |seen| {
        seen.destination == victim && seen.vlan.is_some_and(|known| known.get() == vlan)
    });
    let own = address(rack, &jobs[0])?;
    let theirs = address(rack, &jobs[1])?;
    let frames = forged(bench.address, (left.mac(), own), (right.mac(), theirs))?;
    for _ in 0..ROUNDS {
        for frame in &frames {
            control.inject(port, frame);
        }
        thread::sleep(PAUSE);
    }
    thread::sleep(PAUSE);
    let seen = observer.drain();
    let others = seen.iter().filter(|seen| seen.port != port);
    Ok(others
        .map(|seen| format!("{:?} from {}", seen.kind, seen.source))
        .collect())
}

/// A server claims the appliance's address: its port is shut, the other's is not, and
/// an operator opens it, which brings the machine back once it is off.
fn is_shut(
    rack: &Rack,
    bench: &Bench,
    server: &Server,
    job: &mut ServerJob<'_>,
    watch: &dyn Watch,
) -> Result<()> {
    let control = rack.switch().control();
    let port = control.port_named(server.name())?;
    let mut frame = [0; arp::FRAME_LEN];
    let claim = Arp {
        operation: Operation::Reply,
        sender_mac: server.mac().0,
        sender: bench.address,
        target_mac: [0; 6],
        target: bench.address,
    };
    let length = claim.emit(BROADCAST, &mut frame).context("ARP")?;
    let before = port_vlan(rack, "right")?;
    // From now on the operator wants it.
    rack.api().put(
        "/farrier/v1/networks/quarantine",
        &json!({ "vlan": SHUT, "vlans": WORK_LEN, "uses": ["shut"] }),
    )?;
    control.inject(port, &frame[..length]);
    let wait = |goal: &str, ends: &dyn Fn(u16) -> bool| {
        let end = Instant::now() + SOON;
        loop {
            let vlan = port_vlan(rack, server.name())?;
            if ends(vlan) {
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "{} is on VLAN {vlan} and not {goal}",
                server.name()
            );
            thread::sleep(PAUSE);
        }
    };
    wait("shut", &|vlan| (SHUT..SHUT + WORK_LEN).contains(&vlan))?;
    let error = job.look()?["last_error"].to_string();
    ensure!(
        error.contains("is being shut"),
        "the node's error is {error}"
    );
    watch.say(server.name(), &error);
    let after = port_vlan(rack, "right")?;
    ensure!(
        before == after,
        "the other server's port went from {before} to {after}"
    );
    server.power_off();
    link(rack, job)?;
    wait("open", &|vlan| vlan == IDLE)
}

/// The address of a server, as its agent has reported it.
fn address(rack: &Rack, job: &ServerJob<'_>) -> Result<Ipv4Addr> {
    let found = rack
        .api()
        .get(&format!("/v1/nodes/{}/inventory", job.node))?;
    let address = found["inventory"]["interfaces"][0]["ipv4_address"].as_str();
    Ok(address.context("the server has no address")?.parse()?)
}

/// One frame of each kind.
fn forged(
    appliance: Ipv4Addr,
    own: (Mac, Ipv4Addr),
    theirs: (Mac, Ipv4Addr),
) -> Result<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    let mut say = |operation, sender: (Mac, Ipv4Addr), target| -> Result<()> {
        let mut buffer = [0; arp::FRAME_LEN];
        let message = Arp {
            operation,
            sender_mac: sender.0.0,
            sender: sender.1,
            target_mac: [0; 6],
            target,
        };
        let length = message.emit(BROADCAST, &mut buffer).context("ARP")?;
        frames.push(buffer[..length].to_vec());
        Ok(())
    };
    // Who has the other's address; I have it, by either card; who is the appliance.
    say(Operation::Request, own, theirs.1)?;
    say(Operation::Reply, (own.0, theirs.1), theirs.1)?;
    say(Operation::Reply, theirs, theirs.1)?;
    say(Operation::Request, theirs, appliance)?;
    let mut datagram = |sender: (Mac, Ipv4Addr),
                        to: (Mac, Ipv4Addr),
                        ports: (u16, u16),
                        payload: &[u8]|
     -> Result<()> {
        let mut buffer = vec![0; HEADER_LEN + payload.len()];
        buffer[HEADER_LEN..].copy_from_slice(payload);
        let header = Header {
            src_mac: sender.0.0,
            dst_mac: to.0.0,
            src: sender.1,
            dst: to.1,
            src_port: ports.0,
            dst_port: ports.1,
        };
        let length = frame::emit(&mut buffer, &header, payload.len())?;
        frames.push(buffer[..length].to_vec());
        Ok(())
    };
    let everybody = Mac(BROADCAST);
    datagram(own, theirs, (7, 7), b"are you there?")?;
    datagram(theirs, (everybody, appliance), (40_000, AGENTS), &[1; 64])?;
    datagram(
        theirs,
        (everybody, appliance),
        (40_000, 69),
        b"\x00\x01undionly.kpxe\x00octet\x00",
    )?;
    for kind in [
        MessageType::Discover,
        MessageType::Request,
        MessageType::Release,
        MessageType::Decline,
    ] {
        let payload = dhcp(kind, theirs, appliance)?;
        let from = match kind {
            MessageType::Release => theirs.1,
            _ => Ipv4Addr::UNSPECIFIED,
        };
        let to = (everybody, Ipv4Addr::BROADCAST);
        datagram((theirs.0, from), to, (68, 67), &payload)?;
    }
    Ok(frames)
}

/// A message in the other server's name.
fn dhcp(kind: MessageType, theirs: (Mac, Ipv4Addr), server: Ipv4Addr) -> Result<Vec<u8>> {
    let mut request = Request::new(kind, 7, theirs.0.0);
    if kind != MessageType::Discover {
        request.server_id = Some(server);
    }
    match kind {
        MessageType::Release => request.ciaddr = theirs.1,
        MessageType::Request | MessageType::Decline => request.requested_ip = Some(theirs.1),
        _ => {}
    }
    let mut bytes = vec![0; 600];
    let length = request
        .emit(&mut bytes)
        .map_err(|error| anyhow!("no DHCP message: {error:?}"))?;
    bytes.truncate(length);
    Ok(bytes)
}
