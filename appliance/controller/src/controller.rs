//! The loop: an input, its records made durable, its effects.

use core::ops::{Deref, DerefMut};

use farrier_core::interface::ConfigError;
use farrier_core::persist::seal::{BOARD_KEY_LEN, KeyChange, NO_KEY};
use farrier_core::rack::Entropy;
use farrier_core::{Config, Effect, Effects, Identity, Input, Instant, Rack};

use crate::store::{KeyStore as _, NotDurable, Opened, RecordStore};

/// After a failed append or mount the rack asks for nothing; the clock still
/// comes by once a minute, in milliseconds, and somebody says so.
const BROKEN_WAKE_MILLIS: u64 = 60_000;

/// How a controller reaches its rack. The rack is too large to be moved, and
/// in the firmware others look at it between steps: there it lies in a cell.
/// Everything that dereferences to a rack is one of these.
pub trait RackRef {
    /// The rack's type.
    type Rack;

    /// Lets `act` have the rack. It is never called within itself.
    fn with<T>(&mut self, act: impl FnOnce(&mut Self::Rack) -> T) -> T;
}

impl<P: DerefMut<Target: Sized>> RackRef for P {
    type Rack = P::Target;

    #[inline]
    fn with<T>(&mut self, act: impl FnOnce(&mut P::Target) -> T) -> T {
        act(self)
    }
}

/// What a controller has counted since its start. All wrap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ControllerCounters {
    /// Inputs that the rack took.
    pub steps: u32,
    /// Steps whose effects were withheld because records are not durable.
    pub withheld: u32,
    /// Records of earlier starts that the store gave back.
    pub restored_records: u32,
    /// Those of them that this firmware does not know.
    pub unknown_records: u32,
    /// Sweeps of the store that failed.
    pub maintain_failed: u32,
}

/// How far the last step came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its records are not appended yet.
    Decided,
    /// Its records are durable. So is a start.
    Durable,
    /// An append failed. There is no way out but a restart.
    Broken,
}

/// A rack, the store of its records, and random bytes for it.
///
/// `R` is a `Box<Rack<…>>` on a host and a cell in the firmware.
pub struct Controller<R, S, E> {
    rack: R,
    store: S,
    entropy: E,
    effects: Effects,
    stage: Stage,
    counters: ControllerCounters,
}

impl<R, S: core::fmt::Debug, E> core::fmt::Debug for Controller<R, S, E> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Controller")
            .field("store", &self.store)
            .field("stage", &self.stage)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl<R, S, E> Controller<R, S, E> {
    /// A controller of a rack that is not configured yet.
    pub const fn new(rack: R, store: S, entropy: E) -> Self {
        Controller {
            rack,
            store,
            entropy,
            effects: Effects::new(),
            stage: Stage::Durable,
            counters: ControllerCounters {
                steps: 0,
                withheld: 0,
                restored_records: 0,
                unknown_records: 0,
                maintain_failed: 0,
            },
        }
    }

    /// The records of the last step, durable or not.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.effects.records()
    }

    /// The effects of the last step in the order in which they are to be
    /// carried out; none unless its records are durable.
    pub fn effects(&self) -> impl Iterator<Item = Effect<'_>> {
        let durable = self.stage == Stage::Durable;
        durable
            .then(|| self.effects.effects())
            .into_iter()
            .flatten()
    }

    /// Effects since the start that found no room. Not 0 is a bug.
    pub fn lost_effects(&self) -> u32 {
        self.effects.lost()
    }

    /// Whether all that the rack knows is durable.
    pub fn is_durable(&self) -> bool {
        self.stage == Stage::Durable
    }

    /// Whether an append failed: no effect leaves any more.
    pub fn is_broken(&self) -> bool {
        self.stage == Stage::Broken
    }

    /// What was counted.
    pub fn counters(&self) -> &ControllerCounters {
        &self.counters
    }

    /// The store of records.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The store of records, for tests that damage it.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// The source of random bytes.
    pub fn entropy_mut(&mut self) -> &mut E {
        &mut self.entropy
    }

    /// Ends the controller; the store is what a restart begins with.
    pub fn into_parts(self) -> (R, S, E) {
        (self.rack, self.store, self.entropy)
    }
}

impl<R: Deref, S, E> Controller<R, S, E> {
    /// The rack, also between [`decide`](Self::decide) and
    /// [`append`](Self::append), when what it knows is not durable yet.
    pub fn rack(&self) -> &R::Target {
        &self.rack
    }
}

impl<R, S, E, const N: usize, const L: usize, const D: usize> Controller<R, S, E>
where
    R: RackRef<Rack = Rack<N, L, D>>,
    S: RecordStore,
    E: Entropy,
{
    /// Gives the rack its addresses, and keys where it is not to make its own.
    /// To be called first.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn configure(
        &mut self,
        config: Config,
        identity: Option<&Identity>,
    ) -> Result<(), ConfigError> {
        let entropy = &mut self.entropy;
        self.rack
            .with(|rack| rack.configure(config, identity, entropy))
    }

    /// Says how many bytes the longest frame has that the network driver carries,
    /// without its check sequence.
    pub fn carries(&mut self, longest_frame: u16) {
        self.rack.with(|rack| rack.carries(longest_frame));
    }

    /// Opens the store and restores the rack from its records:
    /// [`mount`](Self::mount), then [`restored`](Self::restored).
    ///
    /// # Errors
    /// The store's.
    pub async fn restore(&mut self, now: Instant) -> Result<Opened, S::OpenError> {
        let opened = self.mount(now).await?;
        self.restored(now, opened);
        if self.maintain_keys(now).await.is_err() {
            self.break_off();
        }
        Ok(opened)
    }

    /// Opens the store and gives its records to the rack. Afterwards the
    /// rack is as it was before the restart.
    ///
    /// # Errors
    /// The store's. No effect leaves then, as after a failed append.
    pub async fn mount(&mut self, now: Instant) -> Result<Opened, S::OpenError> {
        let Self {
            rack,
            store,
            counters,
            ..
        } = self;
        // Without its keys the rack would make others, and the board would
        // lose those that it has.
        match store.keys().read_keys().await {
            Ok(keys) => rack.with(|rack| rack.set_board_keys(&keys)),
            Err(why) => {
                self.break_off();
                return Err(why.into());
            }
        }
        let layout = rack.with(|rack| rack.layout());
        let opened = store
            .open(layout, |record| {
                count(&mut counters.restored_records);
                if !rack.with(|rack| rack.restore(now, record)) {
                    count(&mut counters.unknown_records);
                }
            })
            .await;
        if opened.is_err() {
            // A rack that does not know its nodes must not answer anybody.
            self.break_off();
        }
        opened
    }

    /// Ends the restoration: waits begin anew, work goes on or fails, and
    /// where records were lost every node is quarantined.
    pub fn restored(&mut self, now: Instant, opened: Opened) {
        self.rack
            .with(|rack| rack.restored(now, opened.run, opened.lost));
    }

    /// Lets the rack take an input, makes its records durable, and leaves
    /// its effects in [`effects`](Self::effects).
    ///
    /// # Errors
    /// [`NotDurable`]; there are no effects then.
    pub async fn step(&mut self, now: Instant, input: Input<'_>) -> Result<(), NotDurable> {
        self.decide(now, input);
        self.append().await
    }

    /// Lets the rack take an input. Where the step has records, its effects
    /// are held back until [`append`](Self::append) has succeeded. Returns
    /// whether there are any.
    pub fn decide(&mut self, now: Instant, input: Input<'_>) -> bool {
        if self.stage == Stage::Decided {
            // The append was dropped before its end: nobody knows what is
            // durable.
            self.break_off();
        }
        if self.stage == Stage::Broken {
            count(&mut self.counters.withheld);
            return false;
        }
        count(&mut self.counters.steps);
        let (entropy, effects) = (&mut self.entropy, &mut self.effects);
        self.rack
            .with(|rack| rack.step(now, input, entropy, effects));
        let records = self.effects.records().next().is_some();
        if records {
            self.stage = Stage::Decided;
        }
        records
    }

    /// Makes the records of the last step durable.
    ///
    /// # Errors
    /// [`NotDurable`]: every later effect is withheld until a restart.
    pub async fn append(&mut self) -> Result<(), NotDurable> {
        match self.stage {
            Stage::Durable => return Ok(()),
            Stage::Broken => return Err(NotDurable),
            Stage::Decided => {}
        }
        let appended = self.store.append(self.effects.records()).await;
        match appended {
            Ok(()) => self.stage = Stage::Durable,
            Err(NotDurable) => self.break_off(),
        }
        appended
    }

    /// Lets the store do what is due for it to stay bounded. To be called
    /// when the effects of a step have left.
    ///
    /// # Errors
    /// [`NotDurable`]; the store takes no more records then.
    pub async fn maintain(&mut self, now: Instant) -> Result<(), NotDurable> {
        if self.stage != Stage::Durable {
            return Err(NotDurable);
        }
        let (rack, store) = (&mut self.rack, &mut self.store);
        let maintained = store
            .maintain(|from, room| rack.with(|rack| rack.snapshot(now, from, room)))
            .await;
        let maintained = match maintained {
            Ok(()) => self.maintain_keys(now).await,
            Err(NotDurable) => Err(NotDurable),
        };
        if maintained.is_err() {
            count(&mut self.counters.maintain_failed);
        }
        maintained
    }

    /// Lets the board replace the key that seals secrets, where the rack wants
    /// so. [`restore`](Self::restore) and [`maintain`](Self::maintain) do it
    /// as well; who mounts and restores in two steps calls it behind them.
    ///
    /// # Errors
    /// [`NotDurable`]: the board did not do it. The key before goes on.
    pub async fn maintain_keys(&mut self, now: Instant) -> Result<(), NotDurable> {
        if self.stage != Stage::Durable {
            return Err(NotDurable);
        }
        let Some(change) = self.rack.with(|rack| rack.board_key_change(now)) else {
            return Ok(());
        };
        let (place, key) = match change {
            KeyChange::Write(place) => {
                let mut key = [0; BOARD_KEY_LEN];
                self.entropy.fill(&mut key);
                (place, key)
            }
            KeyChange::Erase(place) => (place, NO_KEY),
        };
        self.store.keys().write_key(place, &key).await?;
        self.rack.with(|rack| rack.board_key_changed(place, &key));
        Ok(())
    }

    /// When [`Input::Tick`] is due.
    pub fn wake_at(&mut self, now: Instant) -> Instant {
        match self.stage {
            Stage::Broken => now.plus_millis(BROKEN_WAKE_MILLIS),
            Stage::Decided | Stage::Durable => self.rack.with(|rack| rack.wake_at()),
        }
    }

    /// The last step has not happened: its effects are forgotten.
    fn break_off(&mut self) {
        self.stage = Stage::Broken;
        count(&mut self.counters.withheld);
        self.effects.clear();
    }
}

fn count(counter: &mut u32) {
    *counter = counter.wrapping_add(1);
}

#[cfg(test)]
mod tests;
