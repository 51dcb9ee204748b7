//! The judge: cuts the power at an operation, starts a fresh brain on what
//! is left of the flash, and compares it with what was promised.

use farrier_core::interface::NetworkId;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use farrier_core::interface::Image;
use farrier_core::ipam::lease::OFFER_MILLIS;
use farrier_core::persist::record::{MAX_RECORD, Record};
use farrier_core::rack::Entropy;
use farrier_core::{Config, Effect, Effects, Endpoint, Input, Instant, Rack};
use farrier_dhcp::wire::{MessageType, Reply, Request};
use farrier_journal::sim::{Cut, Operation};
use farrier_protocol::message::Mac;

use crate::agent::{Agent, GIB, IDENTITY, mac_of};
use crate::random::Random;
use crate::store::{Chip, Flash, Store};

/// A rack that is small enough for every path to be walked often.
pub type TestRack = Rack<6, 24, 12>;
/// What is durable of a rack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Present {
    /// Its records, sorted; without those that time ends by itself: rests
    /// and declined addresses.
    facts: Vec<Vec<u8>>,
    /// Whose each address is, and for how many seconds more.
    leases: BTreeMap<Ipv4Addr, (Mac, [u8; 8], u32)>,
}

impl Present {
    /// Whether nothing differs but leases, which end with the time alone.
    pub fn same_facts(&self, other: &Present) -> bool {
        self.facts == other.facts
    }

    /// What this has and the other has not, for people.
    pub fn beside(&self, other: &Present) -> String {
        let facts = self.facts.iter().filter(|fact| !other.facts.contains(fact));
        let facts: Vec<String> = facts
            .map(|bytes| match postcard::from_bytes::<Record<'_>>(bytes) {
                Ok(record) => format!("{record:?}"),
                Err(_) => format!("{bytes:02x?}"),
            })
            .collect();
        let leases = self.leases.iter();
        let leases: Vec<_> = leases
            .map(|(at, lease)| (at, lease, other.leases.get(at)))
            .filter(|(_, (mac, key, seconds), other)| {
                other.is_none_or(|(m, k, s)| m != mac || k != key || s < seconds)
            })
            .collect();
        format!("{facts:?} {leases:?}")
    }

    /// Whether a fresh brain that found this knows all of `wanted`, and
    /// nothing else. A lease that is over may be there still: a restart does
    /// not know how long it took. One that was ended may not.
    pub fn agrees(&self, wanted: &Present, ended: &BTreeSet<Ipv4Addr>) -> bool {
        let kept = wanted.leases.iter().all(|(address, (mac, key, seconds))| {
            // An offer prolongs what is about to end, in memory only: what was
            // acknowledged is in the ledger.
            u64::from(*seconds) * 1000 <= OFFER_MILLIS
                || self
                    .leases
                    .get(address)
                    .is_some_and(|(m, k, s)| m == mac && k == key && s >= seconds)
        });
        let ended = self
            .leases
            .keys()
            .any(|address| ended.contains(address) && !wanted.leases.contains_key(address));
        self.facts == wanted.facts && kept && !ended
    }
}

/// What somebody outside was told, apart from all records.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Acknowledged leases: whose, and until when, in milliseconds.
    pub leases: BTreeMap<Ipv4Addr, (u8, u64)>,
    /// Addresses that their clients have given back.
    pub ended: BTreeSet<Ipv4Addr>,
    /// Boot scripts whose ticket has made a session.
    pub used: Vec<(u8, Ipv4Addr, String)>,
}

/// What the judge has seen.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Cuts that were made and judged.
    pub cut_points: u64,
    /// Of these, cuts of a recovery from another one.
    pub second_cuts: u64,
    /// Cuts after which something was lost, or came back.
    pub lost: u64,
    /// What the first of them were.
    pub findings: Vec<String>,
    /// Restarts within a life, after which it went on.
    pub restarts: u64,
    /// Sessions of agents that went on over a restart.
    pub continued: u64,
    /// Records that were appended.
    pub records: u64,
    /// Words programmed and sectors erased.
    pub operations: u64,
    /// Erases of the most erased sector of a life.
    pub wear: u32,
    /// States that nodes were in, one bit each by their number.
    pub states: u32,
}

impl Tally {
    fn find(&mut self, what: impl FnOnce() -> String) {
        self.lost += 1;
        if self.findings.len() < 5 {
            self.findings.push(what());
        }
    }

    /// Adds what another life has shown.
    pub fn add(&mut self, other: Tally) {
        self.cut_points += other.cut_points;
        self.second_cuts += other.second_cuts;
        self.lost += other.lost;
        self.findings.extend(other.findings);
        self.findings.truncate(5);
        self.restarts += other.restarts;
        self.continued += other.continued;
        self.records += other.records;
        self.operations += other.operations;
        self.wear = self.wear.max(other.wear);
        self.states |= other.states;
    }
}

/// A configured rack that knows nothing yet.
pub fn fresh(entropy: &mut dyn Entropy) -> Box<TestRack> {
    let mut rack = Box::new(TestRack::new());
    let config = Config {
        pool_len: 24,
        ..Config::default()
    };
    if let Err(error) = rack.configure(config, &IDENTITY, entropy) {
        unreachable!("the default is sound: {error:?}");
    }
    rack
}

/// Teaches a rack its image, as the glue does after each start.
pub fn teach(rack: &mut TestRack, now: Instant, entropy: &mut dyn Entropy, out: &mut Effects) {
    let image = Image {
        name: "debian12".try_into().unwrap_or_default(),
        version: 1,
        raw_size: GIB,
        root: [9; 32],
        manifest_path: "/m".try_into().unwrap_or_default(),
        data_path: "/d".try_into().unwrap_or_default(),
    };
    rack.step(now, Input::Image(&image), entropy, out);
}

/// What is durable of a rack. What moves without being promised is left out:
/// seconds that are over of a lease, and how many requests a session has had.
pub fn present(rack: &TestRack, now: Instant) -> Present {
    let mut present = Present::default();
    let mut room = [0; MAX_RECORD];
    let mut from = Some(0);
    while let Some(place) = from
        && let Some((place, length)) = rack.snapshot(now, place, &mut room)
    {
        let mut bytes = room[..length].to_vec();
        match postcard::from_bytes::<Record<'_>>(&bytes) {
            Ok(Record::Bound {
                mac,
                key,
                address,
                seconds,
            }) => {
                present.leases.insert(address, (mac, key, seconds));
                bytes.clear();
            }
            Ok(Record::Work {
                node,
                boot,
                order,
                last_order,
                last_statement,
                heard,
                erased,
                attempts,
                flags,
            }) => {
                let record = Record::Work {
                    node,
                    boot,
                    order,
                    last_order,
                    last_statement,
                    heard: heard.min(1),
                    erased,
                    attempts,
                    flags,
                };
                bytes = postcard::to_allocvec(&record).unwrap_or_default();
            }
            Ok(Record::Booked { rests: true, .. } | Record::Unbound { .. }) => bytes.clear(),
            _ => {}
        }
        if !bytes.is_empty() {
            present.facts.push(bytes);
        }
        from = place.checked_add(1);
    }
    present.facts.sort_unstable();
    present
}

/// A brain that was started on a chip.
pub fn start<const WORD: usize, S: Store<WORD>>(
    chip: Chip<WORD>,
    now: Instant,
    entropy: &mut dyn Entropy,
) -> Option<(Box<TestRack>, S, Present)> {
    let mut rack = fresh(entropy);
    let layout = rack.layout();
    let (store, run) = S::mount(chip, layout, |record| {
        rack.restore(now, record);
    })
    .ok()?;
    let found = present(&rack, now);
    rack.restored(now, run, 0);
    Some((rack, store, found))
}

/// Judges every operation in a list: the power goes there, clean, torn, or
/// so that words read this way and that; and once more in the recovery.
pub struct Judge<'a> {
    /// What the flash was before the operations.
    pub before: &'a Present,
    /// What it is with all of them.
    pub after: &'a Present,
    /// What was promised before them.
    pub ledger: &'a Ledger,
    /// The time.
    pub now: u64,
    /// Judged at the most.
    pub most: u64,
}

impl std::fmt::Debug for Judge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judge").finish_non_exhaustive()
    }
}

impl Judge<'_> {
    /// Cuts every operation.
    pub fn cut_all<const WORD: usize, S: Store<WORD>>(
        &self,
        mut flash: Flash<WORD>,
        operations: &[Operation],
        random: &mut Random,
        tally: &mut Tally,
    ) {
        for (place, operation) in operations.iter().enumerate() {
            let seed = random.number();
            let cuts = [
                Cut::Clean,
                match seed % 4 {
                    0 => Cut::Weak(seed),
                    _ => Cut::Torn(seed),
                },
            ];
            for cut in cuts {
                if tally.cut_points >= self.most {
                    return;
                }
                let mut left = flash.clone();
                left.apply(operation, Some(cut));
                let what = || format!("operation {place} of {}: {cut:?}", operations.len());
                self.judge::<WORD, S>(left, random, tally, &what);
            }
            flash.apply(operation, None);
        }
    }

    fn judge<const WORD: usize, S: Store<WORD>>(
        &self,
        mut flash: Flash<WORD>,
        random: &mut Random,
        tally: &mut Tally,
        what: &dyn Fn() -> String,
    ) {
        tally.cut_points += 1;
        let now = Instant::START;
        // Every third recovery is cut as well.
        if random.below(3) == 0 {
            tally.cut_points += 1;
            tally.second_cuts += 1;
            let seed = random.number();
            let cut = match seed % 3 {
                0 => Cut::Clean,
                1 => Cut::Torn(seed),
                _ => Cut::Weak(seed),
            };
            flash.cut_after(random.below(24), cut);
            let chip = Chip::new(flash);
            if let Some((rack, mut store, found)) = start::<WORD, S>(chip.clone(), now, random) {
                self.compare(&found, tally, &|| format!("{}, then {cut:?}", what()));
                let tended = store.maintain(|from, room| rack.snapshot(now, from, room));
                // What a mount has found is not to change any more.
                let _cut_or_not = tended;
            }
            chip.with(Flash::power_on);
            flash = chip.with(|flash| flash.clone());
        }
        let Some((mut rack, store, found)) = start::<WORD, S>(Chip::new(flash), now, random) else {
            tally.find(|| format!("no start after {}", what()));
            return;
        };
        self.compare(&found, tally, what);
        if random.below(8) == 0 {
            drop(store);
            self.ask(&mut rack, random, tally, what);
        }
    }

    fn compare(&self, found: &Present, tally: &mut Tally, what: &dyn Fn() -> String) {
        let ended = &self.ledger.ended;
        if found.agrees(self.after, ended) || found.agrees(self.before, ended) {
            return;
        }
        tally.find(|| {
            let beside = |wanted: &Present| {
                format!(
                    "{} is missing, {} is there",
                    wanted.beside(found),
                    found.beside(wanted)
                )
            };
            format!(
                "{}: of what was before, {}; of what came after, {}",
                what(),
                beside(self.before),
                beside(self.after)
            )
        });
    }

    /// Asks the fresh brain what it was asked before, as others than those
    /// who were promised something.
    fn ask(
        &self,
        rack: &mut TestRack,
        random: &mut Random,
        tally: &mut Tally,
        what: &dyn Fn() -> String,
    ) {
        let mut out = Box::new(Effects::new());
        let now = Instant::START;
        teach(rack, now, random, &mut out);
        let live = self.ledger.leases.iter();
        for (address, (owner, until)) in live.filter(|(_, (_, until))| *until > self.now) {
            let _ = until;
            if request(rack, now, 0xee, *address, random, &mut out) {
                tally.find(|| format!("{address} was given away after {}", what()));
            }
            if !request(rack, now, *owner, *address, random, &mut out) {
                tally.find(|| format!("{address} was taken away after {}", what()));
            }
        }
        if let Some((machine, address, script)) = self.ledger.used.last() {
            let salt = 0x55;
            if let Some(mut thief) = Agent::new(*machine, *address, script, salt) {
                use farrier_protocol::handler::RunnerPoll;
                if let RunnerPoll::Transmit(datagram) = thief.driver.poll(0) {
                    let input = Input::Agent {
                        from: Endpoint {
                            network: NetworkId::PROVISIONING,
                            mac: mac_of(0xee),
                            ..thief.endpoint
                        },
                        datagram,
                    };
                    let sessions = rack.counters().sessions;
                    rack.step(now, input, random, &mut out);
                    if rack.counters().sessions != sessions {
                        tally.find(|| format!("a ticket was used twice after {}", what()));
                    }
                }
            }
        }
    }
}

/// Whether a client's request for an address is acknowledged.
fn request(
    rack: &mut TestRack,
    now: Instant,
    machine: u8,
    address: Ipv4Addr,
    random: &mut Random,
    out: &mut Effects,
) -> bool {
    let mac = mac_of(machine);
    let mut request = Request::new(MessageType::Request, 7, mac.0);
    request.requested_ip = Some(address);
    let mut bytes = [0; 600];
    let length = request.emit(&mut bytes).unwrap_or(0);
    let input = Input::Dhcp {
        network: NetworkId::PROVISIONING,
        from: mac,
        payload: &bytes[..length],
    };
    rack.step(now, input, random, out);
    out.iter().any(|output| match output {
        Effect::Dhcp { payload, .. } => {
            Reply::parse(payload).is_ok_and(|reply| reply.message_type == MessageType::Ack)
        }
        _ => false,
    })
}
