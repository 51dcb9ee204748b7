//! The appliance: the shipping brain with simulated hands, over the shipping
//! journal on a simulated flash chip. Facts go in, and what shall happen
//! comes out, in its order and in owned bytes, once its records are durable.
//!
//! Its power can be cut at any word that the journal writes. What comes back
//! after that is compared with what was there before, record by record.

use core::net::Ipv4Addr;
use farrier_core::interface::NetworkId;

use farrier_core::interface::{OperationId, PowerAction};
use farrier_core::persist::record::Record;
use farrier_core::{
    Config, Effect, Effects, Endpoint, Identity, Input, Instant, Rack, Serve, Transport,
};
use farrier_dhcp::route::Route;
use farrier_journal::Journal;
use farrier_journal::sim::{Cut, SimFlash, now as at_once};
use farrier_protocol::message::{Mac, NodeId};

use crate::drive::Drive;
use crate::image;
use crate::random::Random;

/// The brain with the tables of the microcontroller's firmware.
pub type Brain = Rack<48, 96, 96>;

/// The appliance's keys: the same in every rack, they guard nothing.
pub const IDENTITY: Identity = Identity {
    noise: [3; 32],
    signing: [4; 32],
};

/// The flash chip: words of 8 bytes, sectors of 4 KiB.
type Flash = SimFlash<8, SECTOR>;
/// Sectors of the chip.
const SECTORS: usize = 64;
/// Bytes of a sector.
const SECTOR: usize = 4096;
/// Sectors that wear out before somebody changes the board.
const WORN: usize = 6;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Send a DHCP reply to this interface, or to all.
    Dhcp(Option<Mac>, Vec<u8>),
    /// Send a datagram to an agent.
    Agent(Endpoint, Vec<u8>),
    /// Switch a machine.
    Power(OperationId, NodeId, PowerAction),
    /// Tell the operator.
    Answer(bool),
}

/// What a machine that asked for a file gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Served {
    /// A text.
    Text(String),
    /// The asset of that name.
    Asset(String),
    /// The config drive in that slot.
    Drive(usize),
    /// Nothing.
    Nothing,
}

/// Records as bytes, one after the other: they are compared far more often
/// than they are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Facts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Facts {
    /// Adds a record, where it is one that is compared.
    fn add(&mut self, record: &[u8]) {
        let mut room = [0; farrier_core::persist::record::MAX_RECORD];
        let record = match postcard::from_bytes::<Record<'_>>(record) {
            // What ends with the time alone begins it anew at a restart.
            Ok(
                Record::Lease { .. } | Record::Bound { .. } | Record::Booked { rests: true, .. },
            ) => return,
            // What was heard of a session is written now and then only.
            Ok(mut work @ Record::Work { .. }) => {
                if let Record::Work { heard, .. } = &mut work {
                    *heard = 0;
                }
                postcard::to_slice(&work, &mut room).map_or(&[][..], |used| used)
            }
            _ => record,
        };
        self.bytes.extend_from_slice(record);
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins
            .zip(&self.ends)
            .map(|(begin, end)| &self.bytes[begin..*end])
    }

    /// Whether both tell the same. What has no order of its own may be told
    /// in another one.
    fn tells(&self, other: &Facts) -> bool {
        let sorted = |facts: &Self| {
            let mut all: Vec<_> = facts.iter().map(<[u8]>::to_vec).collect();
            all.sort_unstable();
            all
        };
        self == other || sorted(self) == sorted(other)
    }

    /// The first record that the other lacks, in words.
    fn without(&self, other: &Facts) -> Option<String> {
        self.iter()
            .find(|fact| !other.iter().any(|found| found == *fact))
            .map(|fact| format!("{:?}", postcard::from_bytes::<Record<'_>>(fact)))
    }
}

/// See the module.
pub struct Appliance {
    /// The brain.
    pub rack: Box<Brain>,
    out: Box<Effects>,
    entropy: Random,
    /// When it was started, in the rack's time, less what its clock jumped.
    zero: u64,
    /// The journal; `None` while there is no power.
    journal: Option<Journal<Flash>>,
    /// The chip while there is no power.
    flash: Option<Flash>,
    /// A cut is planned: each step is compared with what a restart finds.
    planned: bool,
    /// What is durable for sure, and what the last step would add.
    before: Facts,
    after: Facts,
    /// Bits of the chip have flipped since it was read last.
    rotten: bool,
    /// The last start found that, and what it found may still lie there.
    lost_before: bool,
    /// Steps of the brain so far.
    pub steps: u64,
    /// Starts after the first one.
    pub restarts: u64,
    /// Steps whose effects were withheld, as their records could not be
    /// written.
    pub withheld: u64,
    /// What the last step said is to be served.
    served: Served,
    /// Config drives, each in its node's slot of the block device.
    drives: Vec<Option<Drive>>,
}

impl std::fmt::Debug for Appliance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Appliance")
            .field("steps", &self.steps)
            .finish_non_exhaustive()
    }
}

impl Appliance {
    /// A new appliance, started at this time.
    pub fn new(now: u64, seed: u64) -> Self {
        let mut appliance = Appliance {
            rack: Box::new(Rack::new()),
            out: Box::new(Effects::new()),
            entropy: Random::new(seed, 1),
            zero: now,
            journal: None,
            flash: Some(Flash::new(SECTORS)),
            planned: false,
            before: Facts::default(),
            after: Facts::default(),
            rotten: false,
            lost_before: false,
            steps: 0,
            restarts: 0,
            withheld: 0,
            served: Served::Nothing,
            drives: Vec::new(),
        };
        let started = appliance.start(now);
        assert_eq!(started, Ok(0), "an empty chip takes a journal");
        appliance
    }

    /// Whether it has no power.
    pub fn is_down(&self) -> bool {
        self.journal.is_none()
    }

    /// Plans to cut the power at the so many-th word that is written from now
    /// on.
    pub fn plan_cut(&mut self, now: u64, operations: u64, cut: Cut) {
        if let Some(journal) = &mut self.journal {
            journal.flash_mut().cut_after(operations, cut);
            self.planned = true;
            self.before = self.facts(now);
        }
    }

    /// A bit of the chip flips. Returns whether the chip was there.
    pub fn rot(&mut self, word: u64) -> bool {
        let Some(journal) = &mut self.journal else {
            return false;
        };
        let bits = (SECTORS * SECTOR * 8) as u64;
        // Half of them where it was written last: there the loss is greatest.
        let head = u64::from(journal.usage().opened) % SECTORS as u64;
        let bit = match word % 2 {
            0 => (word >> 1) % bits,
            _ => head * (SECTOR as u64 * 8) + (word >> 1) % (SECTOR as u64 * 8),
        };
        journal.flash_mut().rot(bit as usize);
        self.rotten = true;
        true
    }

    /// A sector of the chip is worn out: it can't be erased any more.
    /// Returns whether one was left that may be.
    pub fn wear(&mut self, word: u64) -> bool {
        match &mut self.journal {
            Some(journal) if journal.flash().worn() < WORN => {
                journal
                    .flash_mut()
                    .wear_out((word % SECTORS as u64) as usize);
                true
            }
            _ => false,
        }
    }

    /// The power is there again, and goes away once more while the journal is
    /// mounted.
    pub fn stumble(&mut self, operations: u64, cut: Cut) {
        let layout = self.rack.layout();
        if let Some(flash) = &mut self.flash {
            flash.power_on();
            flash.cut_after(operations, cut);
            // It fails, or it gets through before the cut: both may be.
            let _mounted = at_once(Journal::mount(&mut *flash, layout, |_| {}));
        }
    }

    /// The power is there: the journal is read back.
    ///
    /// # Errors
    /// What is not as it was, or why nothing can be read.
    /// Returns how many steps' records flipped bits have cost.
    pub fn start(&mut self, now: u64) -> Result<u32, String> {
        let Some(mut flash) = self.flash.take() else {
            return Ok(0);
        };
        flash.power_on();
        self.zero = now;
        *self.rack = Rack::new();
        let configured = self
            .rack
            .configure(Config::default(), &IDENTITY, &mut self.entropy);
        assert_eq!(configured, Ok(()), "the default configuration is sound");
        let layout = self.rack.layout();
        let mut records: Vec<Vec<u8>> = Vec::new();
        let mounted = at_once(Journal::mount(flash, layout, |record| {
            records.push(record.to_vec());
        }));
        let (journal, report) = mounted.map_err(|error| format!("no journal: {error:?}"))?;
        let clock = self.clock(now);
        for record in &records {
            if !self.rack.restore(clock, record) {
                return Err("a record of the journal is not understood".into());
            }
        }
        let run = journal.run();
        self.journal = Some(journal);
        let found = self.facts(now);
        let planned = std::mem::take(&mut self.planned);
        let rotten = std::mem::take(&mut self.rotten);
        // What is lost to flipped bits is told, or it is not lost.
        let lost = report.damaged > 0 && (rotten || self.lost_before);
        self.lost_before = lost;
        if planned && !lost && !found.tells(&self.before) && !found.tells(&self.after) {
            let lost = self.before.without(&found);
            let alive = found.without(&self.before);
            return Err(format!(
                "a restart changed what was durable: lost {lost:?}, came to life {alive:?}"
            ));
        }
        if report.damaged > 0 && !lost {
            return Err("a power cut shows as damage of the flash".into());
        }
        self.rack.restored(clock, run, report.damaged);
        self.restarts += u64::from(planned);
        let mut none = Vec::new();
        self.step(now, Input::Image(&image::catalogue().entry), &mut none);
        Ok(report.damaged)
    }

    /// Everything durable of the rack, but for leases: what is left of their
    /// time depends on when one asks.
    fn facts(&self, now: u64) -> Facts {
        let clock = self.clock(now);
        let mut facts = Facts::default();
        let mut room = [0; farrier_core::persist::record::MAX_RECORD];
        let mut from = 0;
        while let Some((place, len)) = self.rack.snapshot(clock, from, &mut room) {
            from = place + 1;
            facts.add(&room[..len]);
        }
        facts
    }

    fn power_fails(&mut self, now: u64) {
        self.after = self.facts(now);
        self.flash = self.journal.take().map(Journal::into_flash);
        self.served = Served::Nothing;
    }

    /// The appliance's own clock.
    pub fn clock(&self, now: u64) -> Instant {
        Instant::from_millis(now.saturating_sub(self.zero))
    }

    /// Lets the appliance's clock jump ahead.
    pub fn jump(&mut self, now: u64, millis: u64) {
        // Not before its own start: then it is as if it had started earlier.
        self.zero = self.zero.saturating_sub(millis.min(now));
    }

    /// When the brain wants to be called, in the rack's time.
    pub fn wake_at(&self) -> u64 {
        if self.is_down() {
            return u64::MAX;
        }
        self.rack.wake_at().millis().saturating_add(self.zero)
    }

    /// Effects that found no room.
    pub fn lost(&self) -> u32 {
        self.out.lost()
    }

    /// Lets the brain take a fact in; what follows is put into `effects`.
    pub fn step(&mut self, now: u64, input: Input<'_>, effects: &mut Vec<Outcome>) {
        let clock = self.clock(now);
        let Some(journal) = &mut self.journal else {
            return;
        };
        self.steps += 1;
        self.rack
            .step(clock, input, &mut self.entropy, &mut self.out);
        if at_once(journal.append(self.out.records())).is_err() {
            // What is not written down has not happened: nobody is told.
            self.withheld += 1;
            if journal.flash().is_off() {
                self.power_fails(now);
            }
            return;
        }
        for output in self.out.iter() {
            effects.push(match output {
                Effect::Dhcp { route, payload } => {
                    let to = match route {
                        Route::RawUnicast { mac, .. } => Some(Mac(mac)),
                        // To whoever has that address: the world knows.
                        Route::Unicast(_) | Route::Broadcast | Route::Relay(_) => None,
                    };
                    Outcome::Dhcp(to, payload.to_vec())
                }
                Effect::Agent { to, datagram } => Outcome::Agent(to, datagram.to_vec()),
                Effect::Power {
                    id, node, action, ..
                } => Outcome::Power(id, node, action),
                Effect::Answer(answer) => Outcome::Answer(answer.is_ok()),
                Effect::Serve(serve) => {
                    self.served = match serve {
                        Serve::Text(text) => {
                            Served::Text(String::from_utf8_lossy(text).into_owned())
                        }
                        Serve::Asset(name) => Served::Asset(name.to_owned()),
                        // Of what lies in slots only config drives are served.
                        Serve::Slot { slot, len, .. }
                            if self.drive(slot).is_some_and(|drive| drive.is(len)) =>
                        {
                            Served::Drive(slot)
                        }
                        Serve::Slot { .. } | Serve::NotFound | Serve::Busy => Served::Nothing,
                    };
                    continue;
                }
                Effect::Record(_) | Effect::StoreStatement { .. } => continue,
            });
        }
        if self.planned && self.out.records().next().is_some() {
            self.before = self.facts(now);
        }
        let Some(journal) = &mut self.journal else {
            return;
        };
        let rack = &self.rack;
        let tended = journal.maintain(|place, room| rack.snapshot(clock, place, room));
        if at_once(tended).is_err() && journal.flash().is_off() {
            // What was appended is durable.
            let served = std::mem::replace(&mut self.served, Served::Nothing);
            self.power_fails(now);
            self.before = self.after.clone();
            self.served = served;
        }
    }

    /// Puts a config drive into a node's slot.
    pub fn keep(&mut self, slot: usize, drive: Drive) {
        if self.drives.len() <= slot {
            self.drives.resize(slot + 1, None);
        }
        self.drives[slot] = Some(drive);
    }

    /// The config drive in a node's slot.
    pub fn drive(&self, slot: usize) -> Option<&Drive> {
        self.drives.get(slot)?.as_ref()
    }

    /// Asks for a file.
    pub fn open(
        &mut self,
        now: u64,
        transport: Transport,
        peer: Ipv4Addr,
        path: &str,
        effects: &mut Vec<Outcome>,
    ) -> Served {
        self.served = Served::Nothing;
        self.step(
            now,
            Input::Open {
                network: NetworkId::PROVISIONING,
                transport,
                peer,
                path,
            },
            effects,
        );
        std::mem::replace(&mut self.served, Served::Nothing)
    }
}
