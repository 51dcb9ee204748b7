//! Runs both ends over a network that loses, duplicates, delays and reorders packets
//! according to a seed. Every file arrives complete and in order.

use std::collections::BTreeMap;

use farrier_tftp::client::{self, Download};
use farrier_tftp::server::{self, Limits, Transfer};
use farrier_tftp::wire::{self, Mode, Options, Packet, Request};

/// SplitMix64, a deterministic random generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn percent(&mut self, chance: u64) -> bool {
        self.next() % 100 < chance
    }
}

/// The faults of the network, in percent of the packets.
#[derive(Clone, Copy)]
struct Weather {
    loss: u64,
    double: u64,
    /// Packets delayed by up to 40 ms instead of 1 ms, which reorders them.
    late: u64,
}

const FINE: Weather = Weather {
    loss: 0,
    double: 0,
    late: 0,
};
const ROUGH: Weather = Weather {
    loss: 3,
    double: 3,
    late: 3,
};
const STORM: Weather = Weather {
    loss: 20,
    double: 20,
    late: 20,
};

#[derive(Clone, Copy)]
enum To {
    Server,
    Client,
}

struct Network {
    random: Random,
    weather: Weather,
    /// Sorted by arrival, then by the order of sending.
    flying: BTreeMap<(u64, u64), (To, Vec<u8>)>,
    count: u64,
}

impl Network {
    fn send(&mut self, now: u64, to: To, packet: &[u8]) {
        let copies = 1 + u64::from(self.random.percent(self.weather.double));
        for _ in 0..copies {
            if self.random.percent(self.weather.loss) {
                continue;
            }
            let late = self.random.percent(self.weather.late);
            let delay = if late { 2 + self.random.next() % 40 } else { 1 };
            self.count += 1;
            self.flying
                .insert((now + delay, self.count), (to, packet.to_vec()));
        }
    }

    fn arrived(&mut self, now: u64) -> Option<(To, Vec<u8>)> {
        let first = self.flying.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}

/// Returns a byte of the file, different in each block and roll-over.
fn byte(offset: u64) -> u8 {
    (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

struct Run {
    data_packets: u64,
    took_ms: u64,
    server: Option<server::Outcome>,
}

/// Transfers a file. Panics if it does not arrive complete. Compares the bytes as
/// they arrive, so that large files need no memory.
fn run(seed: u64, weather: Weather, file_len: u64, options: Options) -> Run {
    let label = format!("seed {seed}, {file_len} bytes, {options:?}");
    let limits = Limits {
        max_window: 16,
        timeout_ms: 100,
        max_timeout_ms: 400,
        max_retries: 50,
        deadline_ms: u32::MAX,
        // The storms here are worse than any client.
        least_rate: 0,
        ..Limits::default()
    };
    let config = client::Config {
        timeout_ms: 150,
        max_retries: 50,
        dally_ms: 5_000,
    };
    let request = Request {
        name: "f",
        mode: Mode::Octet,
        options,
    };
    let mut download = Download::new(request, config);
    let mut transfer: Option<Transfer> = None;
    let mut network = Network {
        random: Random(seed),
        weather,
        flying: BTreeMap::new(),
        count: 0,
    };
    let mut now = 0;
    let mut received = 0;
    let mut data_packets = 0;
    let mut finished_at = None;
    let mut buf = vec![0; 2048];

    loop {
        while let Some((to, packet)) = network.arrived(now) {
            match to {
                To::Client => {
                    let Some((offset, bytes)) = download.process(now, &packet) else {
                        continue;
                    };
                    assert_eq!(offset, received, "{label}");
                    for (at, got) in (offset..).zip(bytes) {
                        assert_eq!(*got, byte(at), "{label}, byte {at}");
                    }
                    received += bytes.len() as u64;
                }
                To::Server => match (Packet::parse(&packet), &mut transfer) {
                    // A duplicated request would get a transfer of its own.
                    (Ok(Packet::Rrq(request)), none @ None) => {
                        *none = Some(Transfer::new(now, &request, file_len, &limits).unwrap());
                    }
                    (_, Some(transfer)) => transfer.process(&packet),
                    _ => {}
                },
            }
        }
        let mut wake = network
            .flying
            .first_key_value()
            .map_or(u64::MAX, |(key, _)| key.0);
        let client_done = loop {
            match download.poll(now, &mut buf).unwrap() {
                client::Action::Send(len) => network.send(now, To::Server, &buf[..len]),
                client::Action::Wait(until) => {
                    wake = wake.min(until);
                    break None;
                }
                client::Action::Done(outcome) => break Some(outcome),
            }
        };
        let mut server_done = None;
        while let Some(transfer) = &mut transfer {
            let len = match transfer.poll(now) {
                server::Action::SendOack => transfer.emit_oack(&mut buf).unwrap(),
                server::Action::SendData { block, offset, len } => {
                    data_packets += 1;
                    wire::emit_data_header(&mut buf, block).unwrap();
                    for (at, slot) in (offset..).zip(&mut buf[wire::DATA_HEADER_LEN..][..len]) {
                        *slot = byte(at);
                    }
                    wire::DATA_HEADER_LEN + len
                }
                server::Action::Wait(until) => {
                    wake = wake.min(until);
                    break;
                }
                server::Action::Done(outcome) => {
                    finished_at.get_or_insert(now);
                    server_done = Some(outcome);
                    break;
                }
            };
            network.send(now, To::Client, &buf[..len]);
        }
        if let Some(outcome) = client_done {
            assert_eq!(outcome, client::Outcome::Complete, "{label}");
            assert_eq!(received, file_len, "{label}");
            if options.tsize.is_some() {
                assert_eq!(download.file_len(), Some(file_len), "{label}");
            }
            let took_ms = finished_at.unwrap_or(now);
            return Run {
                data_packets,
                took_ms,
                server: server_done,
            };
        }
        let flight = network
            .flying
            .first_key_value()
            .map_or(u64::MAX, |(key, _)| key.0);
        now = wake.min(flight).max(now);
        assert!(now < 100_000_000, "{label}: nothing happens any more");
    }
}

fn options(blksize: u16, windowsize: u16) -> Options {
    Options {
        blksize: Some(blksize),
        tsize: Some(0),
        timeout: None,
        windowsize: (windowsize > 1).then_some(windowsize),
    }
}

/// Sizes at every boundary: empty, within, at and beyond blocks and windows.
fn sizes(blksize: u64, window: u64) -> impl Iterator<Item = u64> {
    let edges = [
        0,
        1,
        2,
        window - 1,
        window,
        window + 1,
        2 * window,
        5 * window + 3,
    ];
    edges.into_iter().flat_map(move |blocks| {
        let len = blocks * blksize;
        [len.saturating_sub(1), len, len + 1]
    })
}

#[test]
fn good_network_sends_each_block_once() {
    for window in 1..=16 {
        for file_len in sizes(512, u64::from(window)) {
            let run = run(1, FINE, file_len, options(512, window));
            assert_eq!(run.server, Some(server::Outcome::Complete));
            assert_eq!(
                run.data_packets,
                file_len / 512 + 1,
                "window {window}, {file_len} bytes"
            );
        }
    }
}

#[test]
fn every_file_arrives_over_a_bad_network() {
    for window in 1..=16 {
        for (seed, file_len) in (0..).zip(sizes(64, u64::from(window))) {
            run(seed, ROUGH, file_len, options(64, window));
            run(seed ^ 0xff00, STORM, file_len, options(64, window));
        }
    }
}

#[test]
fn files_without_options_arrive() {
    let none = Options::default();
    for (seed, file_len) in (0..).zip(sizes(512, 4)) {
        run(seed, ROUGH, file_len, none);
    }
}

#[test]
fn files_of_more_than_65535_blocks_arrive() {
    for (seed, window) in [(7, 1), (8, 2), (9, 5), (10, 16)] {
        let blocks = 65_536 * 2 + 17;
        run(
            seed,
            Weather {
                loss: 1,
                double: 1,
                late: 1,
            },
            blocks * 8 + 3,
            options(8, window),
        );
    }
    // The file ends at the roll-over of the block number.
    for blocks in [65_534, 65_535, 65_536] {
        run(blocks, FINE, blocks * 8, options(8, 16));
        run(blocks, ROUGH, blocks * 8 + 7, options(8, 3));
    }
}

#[test]
fn duplicated_packets_do_not_duplicate_the_transfer() {
    // The Sorcerer's Apprentice Syndrome: the network duplicates every packet. In
    // lock step no block is sent more than once. In a window, repeated ACKs
    // count at most once for each window.
    let doubled = Weather {
        loss: 0,
        double: 100,
        late: 0,
    };
    let blocks = 2_000;
    for window in 1..=16 {
        let run = run(3, doubled, blocks * 64, options(64, window));
        let allowed = if window == 1 {
            blocks + 1
        } else {
            (blocks + 1) * 8 / 5
        };
        assert!(
            run.data_packets <= allowed,
            "window {window}: {}",
            run.data_packets
        );
    }
}

#[test]
fn losses_cost_few_repetitions_in_windows() {
    // With 1 of 100 packets lost, most gaps are repaired without a timeout, and
    // few blocks are sent twice.
    let blocks = 10_000;
    let lossy = Weather {
        loss: 1,
        double: 0,
        late: 0,
    };
    for window in [4, 8, 16] {
        let run = run(11, lossy, blocks * 64, options(64, window));
        assert!(
            run.data_packets < blocks * 5 / 4,
            "window {window}: {}",
            run.data_packets
        );
        let timeouts = run.took_ms / 100;
        assert!(
            timeouts < blocks / 50,
            "window {window}: {} ms",
            run.took_ms
        );
    }
}
