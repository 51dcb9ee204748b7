//! The appliance: the shipping controller over the shipping journal on a
//! simulated flash chip. Inputs go in, and the effects of a step come out as
//! owned values.
//!
//! Its power can be cut at any word that the journal writes. What it restores
//! after that is compared with what was durable before, record by record.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

use farrier_asset_store::DrivePlace;
use farrier_controller::testing::ready;
use farrier_controller::{Controller, JournalStore, MemoryKeys, RecordStore};
use farrier_core::interface::{NetworkId, StoredConfigDrive};
use farrier_core::persist::record::MAX_RECORD;
use farrier_core::{Config, Input, Instant, Rack, Transport};
use farrier_journal::Journal;
use farrier_journal::sim::{Cut, SimFlash};
use farrier_testkit::outcome::{Outcome, Served};
use farrier_testkit::{IDENTITY, Random};

use crate::drive::Drive;
use crate::image;
use crate::records::Records;

/// A rack with the tables of the microcontroller's firmware.
pub type SimRack = Rack<48, 96, 96>;
/// The flash chip: words of 8 bytes, sectors of 4 KiB.
type Flash = SimFlash<8, SECTOR>;
/// The shipping controller with all that the appliance has.
type SimController = Controller<Box<SimRack>, JournalStore<Flash, MemoryKeys>, Random>;

/// Sectors of the chip.
const SECTORS: usize = 64;
/// Bytes of a sector.
const SECTOR: usize = 4096;
/// Sectors that wear out before somebody changes the board.
const WORN: usize = 6;

/// See the module.
pub struct Appliance {
    controller: SimController,
    /// When it was started, in the simulation's time, less what its clock
    /// jumped.
    zero: u64,
    /// It has no power.
    down: bool,
    /// A cut is planned: each step is compared with what a restart finds.
    planned: bool,
    /// What is durable for sure, and what the last step would add.
    before: Records,
    after: Records,
    /// Bits of the chip have flipped since it was read last.
    rotten: bool,
    /// The last start found flipped bits, and they may still be there.
    lost_before: bool,
    /// Steps of the rack so far.
    pub steps: u64,
    /// Starts after the first one.
    pub restarts: u64,
    /// Steps whose effects were withheld: their records are not durable.
    pub withheld: u64,
    /// What the last step said is to be served.
    served: Served,
    /// Config drives, each in a place of its node's slot of the block device.
    drives: BTreeMap<(usize, u8), Drive>,
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
            controller: unstarted(
                JournalStore::new(Flash::new(SECTORS), MemoryKeys::default()),
                Random::new(seed, 1),
            ),
            zero: now,
            down: true,
            planned: false,
            before: Records::default(),
            after: Records::default(),
            rotten: false,
            lost_before: false,
            steps: 0,
            restarts: 0,
            withheld: 0,
            served: Served::NotFound,
            drives: BTreeMap::new(),
        };
        let started = appliance.start(now);
        assert_eq!(started, Ok(0), "an empty chip takes a journal");
        appliance
    }

    /// The rack, as the last step left it.
    pub fn rack(&self) -> &SimRack {
        self.controller.rack()
    }

    /// Whether it has no power.
    pub fn is_down(&self) -> bool {
        self.down
    }

    /// The number of its start; 0 without power.
    pub fn run(&self) -> u32 {
        self.controller.store().journal().map_or(0, Journal::run)
    }

    /// Its flash chip; `None` without power.
    fn flash(&mut self) -> Option<&mut Flash> {
        let journal = self.controller.store_mut().journal_mut();
        journal.map(Journal::flash_mut).filter(|_| !self.down)
    }

    /// Plans to cut the power at the so many-th word that is written from now
    /// on.
    pub fn plan_cut(&mut self, now: u64, operations: u64, cut: Cut) {
        if let Some(flash) = self.flash() {
            flash.cut_after(operations, cut);
            self.planned = true;
            self.before = self.durable(now);
        }
    }

    /// It loses power between two steps.
    pub fn lose_power(&mut self, now: u64) {
        if self.down {
            return;
        }
        self.planned = true;
        self.before = self.durable(now);
        self.after = self.before.clone();
        if let (Some(flash), keys) = self.take_store().into_parts() {
            *self.controller.store_mut() = JournalStore::new(flash, keys);
        }
        self.down = true;
    }

    /// A bit of the chip flips. Returns whether the chip was there.
    pub fn rot(&mut self, word: u64) -> bool {
        let opened = self.controller.store().usage().opened;
        let Some(flash) = self.flash() else {
            return false;
        };
        let bits = (SECTORS * SECTOR * 8) as u64;
        // Half of them where it was written last: there the loss is greatest.
        let head = u64::from(opened) % SECTORS as u64;
        let bit = match word % 2 {
            0 => (word >> 1) % bits,
            _ => head * (SECTOR as u64 * 8) + (word >> 1) % (SECTOR as u64 * 8),
        };
        flash.rot(bit as usize);
        self.rotten = true;
        true
    }

    /// A sector of the chip is worn out: it can't be erased any more.
    /// Returns whether one was left that may be.
    pub fn wear(&mut self, word: u64) -> bool {
        match self.flash() {
            Some(flash) if flash.worn() < WORN => {
                flash.wear_out((word % SECTORS as u64) as usize);
                true
            }
            _ => false,
        }
    }

    /// The power is there again, and goes away once more while the journal is
    /// mounted.
    pub fn stumble(&mut self, operations: u64, cut: Cut) {
        let layout = self.rack().layout();
        let closed = self.controller.store_mut().closed_mut();
        if let Some(flash) = closed.filter(|_| self.down) {
            flash.power_on();
            flash.cut_after(operations, cut);
            // It fails, or it gets through before the cut: both may be.
            let _mounted = ready(Journal::mount(flash, layout, |_| {}));
        }
    }

    /// The power is there: the rack is restored from the journal. Returns how
    /// many frames flipped bits have cost.
    ///
    /// # Errors
    /// What is not as it was, or why nothing can be restored.
    pub fn start(&mut self, now: u64) -> Result<u32, String> {
        if !self.down {
            return Ok(0);
        }
        self.zero = now;
        let entropy = self.controller.entropy_mut().clone();
        let (flash, keys) = self.take_store().into_parts();
        let mut flash = flash.ok_or("the journal's flash is gone")?;
        flash.power_on();
        self.controller = unstarted(JournalStore::new(flash, keys), entropy);
        let configured = self
            .controller
            .configure(Config::default(), Some(&IDENTITY));
        assert_eq!(configured, Ok(()), "the default configuration is sound");
        let clock = self.clock(now);
        let opened = ready(self.controller.mount(clock))
            .map_err(|error| format!("the journal does not open: {error:?}"))?;
        if self.controller.counters().unknown_records > 0 {
            return Err("the rack does not know a record of the journal".into());
        }
        self.down = false;
        let found = self.durable(now);
        let planned = std::mem::take(&mut self.planned);
        let rotten = std::mem::take(&mut self.rotten);
        // What is lost to flipped bits is reported, or it is not lost.
        let lost = opened.lost > 0 && (rotten || self.lost_before);
        self.lost_before = lost;
        if planned && !lost && !found.same_as(&self.before) && !found.same_as(&self.after) {
            let lost = self.before.without(&found);
            let revived = found.without(&self.before);
            return Err(format!(
                "a restart changed what was durable: lost {lost:?}, revived {revived:?}"
            ));
        }
        if opened.lost > 0 && !lost {
            return Err("a power cut shows as damage of the flash".into());
        }
        self.controller.restored(clock, opened);
        ready(self.controller.maintain_keys(clock)).map_err(|_| "the board takes no key")?;
        self.restarts += u64::from(planned);
        let mut none = Vec::new();
        self.step(now, Input::Image(&image::catalogue().entry), &mut none);
        Ok(opened.lost)
    }

    /// Everything durable of the rack, but for leases: what is left of their
    /// time depends on when one asks.
    fn durable(&self, now: u64) -> Records {
        let clock = self.clock(now);
        let mut records = Records::default();
        let mut room = [0; MAX_RECORD];
        let mut from = 0;
        while let Some((place, len)) = self.rack().snapshot(clock, from, &mut room) {
            from = place + 1;
            records.add(&room[..len]);
        }
        records
    }

    /// Takes the store out; what is left there takes no journal.
    fn take_store(&mut self) -> JournalStore<Flash, MemoryKeys> {
        let none = JournalStore::new(Flash::new(0), MemoryKeys::default());
        std::mem::replace(self.controller.store_mut(), none)
    }

    /// Notices that the power was cut while the journal wrote. Whether it
    /// was.
    fn power_failed(&mut self, now: u64) -> bool {
        let store = self.controller.store();
        let off = store
            .journal()
            .is_some_and(|journal| journal.flash().is_off());
        if off {
            self.after = self.durable(now);
            if let (Some(flash), keys) = self.take_store().into_parts() {
                *self.controller.store_mut() = JournalStore::new(flash, keys);
            }
            self.down = true;
        }
        off
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

    /// A time of the appliance's clock in the simulation's time.
    pub fn time_of(&self, at: Instant) -> u64 {
        at.millis().saturating_add(self.zero)
    }

    /// When a tick is due, in the simulation's time.
    pub fn wake_at(&mut self, now: u64) -> u64 {
        if self.down {
            return u64::MAX;
        }
        let clock = self.clock(now);
        let wake = self.controller.wake_at(clock);
        wake.millis().saturating_add(self.zero)
    }

    /// Effects that found no room.
    pub fn lost(&self) -> u32 {
        self.controller.lost_effects()
    }

    /// Lets the controller take an input; its effects are put into
    /// `outcomes`.
    pub fn step(&mut self, now: u64, input: Input<'_>, outcomes: &mut Vec<Outcome>) {
        if self.down {
            return;
        }
        let clock = self.clock(now);
        self.steps += 1;
        if ready(self.controller.step(clock, input)).is_err() {
            self.withheld += 1;
            if self.power_failed(now) {
                self.served = Served::NotFound;
            }
            return;
        }
        for effect in self.controller.effects() {
            match Outcome::of(effect, self.controller.rack()) {
                Some(Outcome::Serve(served)) => self.served = served,
                // The block device is not simulated.
                Some(Outcome::Keep(..)) | None => {}
                Some(outcome) => outcomes.push(outcome),
            }
        }
        if self.planned && self.controller.records().next().is_some() {
            self.before = self.durable(now);
        }
        if ready(self.controller.maintain(clock)).is_err() && self.power_failed(now) {
            // What was appended is durable.
            self.before = self.after.clone();
        }
    }

    /// Puts a config drive into a node's slot.
    pub fn keep(&mut self, slot: usize, drive: Drive) {
        self.drives.insert((slot, drive.stored.place as u8), drive);
    }

    /// The config drive in a place of a node's slot.
    pub fn drive(&self, slot: usize, place: DrivePlace) -> Option<&Drive> {
        self.drives.get(&(slot, place as u8))
    }

    /// Where a node's next config drive is to be written.
    pub fn free_place(&self, slot: usize) -> DrivePlace {
        let node = self.rack().nodes().get(slot);
        StoredConfigDrive::free_place(node.and_then(|node| node.config_drive.as_ref()))
    }

    /// Asks for a file.
    pub fn open(
        &mut self,
        now: u64,
        (network, transport): (NetworkId, Transport),
        peer: Ipv4Addr,
        path: &str,
        outcomes: &mut Vec<Outcome>,
    ) -> Served {
        self.served = Served::NotFound;
        let input = Input::Open {
            network,
            transport,
            peer,
            path,
        };
        self.step(now, input, outcomes);
        std::mem::replace(&mut self.served, Served::NotFound)
    }
}

/// A controller whose store is not open yet.
fn unstarted(store: JournalStore<Flash, MemoryKeys>, entropy: Random) -> SimController {
    Controller::new(Box::new(Rack::new()), store, entropy)
}
