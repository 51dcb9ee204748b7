//! Peers on the rack's network take all that they can get: connections without
//! a request, heads that do not end, answers that are not read, files that are
//! read at the least rate, by machines with leases, and transfers that are not
//! answered. Meanwhile a server boots, is inspected and cleaned, and an
//! operator's client works. Before that, 48 machines load one file at once.

use crate::bench::dhcp::{Clients, Kind};
use crate::hostile::{Conduct, Peer, Place, storm};
use crate::job::{ServerJob, Watch};
use crate::qemu::ServerSpec;
use crate::scenario::{Api, Bench, FIRST_ACCOUNT, Rack};
use crate::switch::Mac;
use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// As many machines as a rack has.
const MACHINES: u8 = 48;
/// What each of the peers holds, or tries to: more than the appliance has.
const HELD: usize = 24;
/// Machines with a lease that read at the least rate.
const READERS: u32 = 4;
/// What each of them reads at once: all of them together have more than the
/// appliance.
const READS: usize = 6;
/// A reply of the API that is longer than what the appliance buffers of it
/// (`http_send` of board.toml) and what the reader has room for.
const LONG_REPLY: usize = 2_920 + 64;
/// How long one request of the operator may take meanwhile.
const ANSWER: Duration = Duration::from_secs(10);
/// How long it may take until each of the peers was refused something: a file may
/// rest for 10 s.
const COUNTED: Duration = Duration::from_secs(40);
/// What counts their refusals.
const COUNTERS: [&str; 8] = [
    "http_idle_given_up",
    "http_heads_given_up",
    "http_slow_bodies",
    "http_held_operators",
    "http_held_strangers",
    "http_transfers_given_up",
    "tftp_unanswered",
    "tftp_ignored",
];
/// As many connections a stock client opens in a row.
const CONNECTIONS: usize = 20;

/// The scenario.
pub fn run(bench: &Bench, watch: &dyn Watch) -> Result<()> {
    let spec = bench.small_disks(ServerSpec::uefi("patient", 1));
    let rack = bench.rack("slow-peers", vec![spec])?;
    let at = |offset: u32| Ipv4Addr::from_bits(bench.address.to_bits() + offset);
    let took = storm::load(
        rack.switch(),
        MACHINES,
        at(190),
        bench.prefix,
        bench.address,
        "snponly.efi",
    )?;
    watch.say(
        "rack",
        &format!("{MACHINES} machines loaded the boot program at once, in {took:.1?}"),
    );

    let mut peers: Vec<_> = [
        Conduct::Idle,
        Conduct::SlowHeads,
        Conduct::SlowReads,
        Conduct::Resets,
        Conduct::MuteTransfers,
        Conduct::ForgedTransfers,
    ]
    .into_iter()
    .zip(2..)
    .map(|(conduct, number)| {
        let place = Place {
            mac: Mac([0x02, 0xFA, 0x44, 0x1E, 0xDD, number]),
            address: at(u32::from(number)),
            prefix: bench.prefix,
            target: bench.address,
        };
        let port = rack.switch().add_host_port(&format!("{conduct:?}"))?;
        let authorization = rack.api().authorization();
        Peer::start_as(authorization, port, place, conduct, HELD)
    })
    .collect::<Result<_>>()?;
    for number in 0..READERS {
        peers.push(leased_reader(&rack, bench, number)?);
    }
    // They have all that they can get.
    thread::sleep(Duration::from_secs(2));

    let done = AtomicBool::new(false);
    let (job, longest) = thread::scope(|scope| {
        let operator = scope.spawn(|| work(&rack, &done));
        let job = boot(&rack, watch);
        done.store(true, Ordering::Release);
        (job, operator.join())
    });
    let attempts: Vec<_> = peers.iter().map(Peer::attempts).collect();
    job.context("a server's boot beside slow peers")?;
    let longest = longest.map_err(|_| anyhow::anyhow!("the operator's thread has panicked"))?;
    let (requests, longest) = longest.context("an operator's client beside slow peers")?;
    watch.say(
        "operator",
        &format!("{requests} requests, the longest took {longest:.1?}"),
    );
    many_connections(&rack).context("connections of a stock client")?;

    let end = Instant::now() + COUNTED;
    let status = loop {
        let status = rack.api().get("/farrier/v1/status")?;
        let count = |name: &str| status["services"][name].as_u64().unwrap_or(0);
        let Some(missing) = COUNTERS.iter().find(|name| count(name) == 0) else {
            break status;
        };
        ensure!(
            Instant::now() < end,
            "{missing} is 0, and peers began {attempts:?}: {}",
            status["services"]
        );
        thread::sleep(Duration::from_millis(200));
    };
    for name in COUNTERS {
        watch.say(
            "appliance",
            &format!("{name}: {}", status["services"][name]),
        );
    }
    let length = status.to_string().len();
    ensure!(
        length > LONG_REPLY,
        "a status of {length} bytes held no slot of the API"
    );
    let refusals = status["refusals"].to_string();
    let forms = [at(3), at(4), at(5), at(6)].map(|address| address.to_string());
    ensure!(
        forms.iter().any(|address| refusals.contains(address)),
        "the refusals do not name the peers: {refusals}"
    );
    watch.say("appliance", &refusals);
    Ok(())
}

/// A machine that has a lease, and reads files at the least rate.
fn leased_reader(rack: &Rack, bench: &Bench, number: u32) -> Result<Peer> {
    let port = rack.switch().add_host_port(&format!("reader{number}"))?;
    let kind = Kind::Other;
    let address = Clients::new(&port).exchange(kind, number)?;
    let place = Place {
        mac: Mac(kind.mac(number)),
        address,
        prefix: bench.prefix,
        target: bench.address,
    };
    Peer::start(port, place, Conduct::LeastReads, READS)
}

/// A server boots, and is inspected and cleaned.
fn boot(rack: &Rack, watch: &dyn Watch) -> Result<()> {
    let server = rack.server(0)?;
    let mut job = ServerJob::power_on(server, rack.api(), watch)?;
    job.inspect()?;
    job.provide()
}

/// An operator's client: a connection of its own for each request, as the stock
/// client opens them. Returns how many were answered, and the longest wait.
fn work(rack: &Rack, done: &AtomicBool) -> Result<(u32, Duration)> {
    let (mut requests, mut longest) = (0, Duration::ZERO);
    while !done.load(Ordering::Acquire) {
        let start = Instant::now();
        Api::new(&rack.api_url())
            .with_account(FIRST_ACCOUNT, rack.password())
            .get("/v1/nodes")?;
        let took = start.elapsed();
        ensure!(took < ANSWER, "a request took {took:.1?}");
        requests += 1;
        longest = longest.max(took);
        thread::sleep(Duration::from_millis(50));
    }
    Ok((requests, longest))
}

/// A client opens one connection after the other, and leaves them open.
fn many_connections(rack: &Rack) -> Result<()> {
    let url = rack.api_url();
    let address = url.strip_prefix("http://").unwrap_or(&url);
    let mut open = Vec::new();
    for number in 0..CONNECTIONS {
        let start = Instant::now();
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(ANSWER))?;
        write!(stream, "GET /v1 HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
        let mut reply = [0; 12];
        stream
            .read_exact(&mut reply)
            .with_context(|| format!("connection {number}, after {:.1?}", start.elapsed()))?;
        ensure!(&reply == b"HTTP/1.1 200", "connection {number}: {reply:?}");
        open.push(stream);
    }
    Ok(())
}
