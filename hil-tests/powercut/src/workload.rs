//! The workload of a rack: machines that boot, clients that come and go,
//! agents that work, operators' commands, restarts. Every step's flash
//! operations are handed to the checker before the workload goes on.

mod commands;
mod machines;

use farrier_controller::NotDurable;
use farrier_controller::testing::ready;
use farrier_core::interface::{OperationError, OperationId, PowerState};
use farrier_core::{Input, Instant};
use farrier_protocol::message::NodeId;
use farrier_testkit::Random;
use farrier_testkit::agent::Agent;
use farrier_testkit::outcome::Outcome;

use crate::TestController;
use crate::checker::{Checker, learn_image, start};
use crate::durable::Durable;
use crate::promises::{Promises, Tally};
use crate::store::{Chip, ChipStore, Flash};

/// Sectors of the chip: few, so that sweeps go around it many times.
const SECTORS: usize = 32;

/// A rack, its store, and everybody around it.
pub struct Workload<const WORD: usize, S> {
    controller: TestController<S>,
    chip: Chip<WORD>,
    random: Random,
    /// Chance of the checker, so that the workload is the same whatever is
    /// checked.
    checking: Random,
    now: u64,
    durable: Durable,
    promises: Promises,
    agents: Vec<Agent>,
    /// The path of the boot script that DHCP named last.
    script: String,
    /// Operations that power drivers were asked for.
    operations: Vec<(OperationId, NodeId)>,
    /// Machines whose agent was not answered since a restart.
    waiting: Vec<u8>,
    tally: Tally,
    most: u64,
}

impl<const WORD: usize, S> std::fmt::Debug for Workload<WORD, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workload").finish_non_exhaustive()
    }
}

/// Runs so many steps, or fewer until so many cuts were checked. 0 cuts: all
/// of the steps, and none is cut.
pub fn run<const WORD: usize, S: ChipStore<WORD>>(seed: u64, most: u64, steps: u64) -> Tally {
    let chip = Chip::new(Flash::<WORD>::new(SECTORS));
    let mut random = Random::new(seed, 0);
    let started = start::<WORD, S>(chip.clone(), Instant::START, &mut random);
    let Some((controller, durable)) = started else {
        let mut tally = Tally::default();
        tally.find(|| "a new chip does not start".to_owned());
        return tally;
    };
    let mut workload = Workload {
        controller,
        chip,
        checking: Random::new(seed, 2),
        random,
        now: 1000,
        durable,
        script: String::new(),
        promises: Promises::default(),
        agents: Vec::new(),
        operations: Vec::new(),
        waiting: Vec::new(),
        tally: Tally::default(),
        most,
    };
    let now = Instant::from_millis(workload.now);
    learn_image(&mut workload.controller, now);
    workload.durable = Durable::of(workload.controller.rack(), now);
    let mut done = 0;
    while done < steps && (most == 0 || workload.tally.cut_points < most) {
        if workload.act().is_err() {
            let why = "the store failed without a cut";
            workload.tally.find(|| why.to_owned());
            break;
        }
        done += 1;
    }
    workload.figures()
}

impl<const WORD: usize, S: ChipStore<WORD>> Workload<WORD, S> {
    /// What was seen, with the figures of the chip.
    fn figures(mut self) -> Tally {
        let (operations, wear, broken) = self
            .chip
            .with(|flash| (flash.operations(), flash.wear(), flash.broken_rules()));
        self.tally.operations = operations;
        self.tally.wear = wear;
        if broken > 0 {
            self.tally
                .find(|| format!("{broken} rules of the flash were broken"));
        }
        self.tally
    }

    /// One step of the controller. Its flash operations are checked before
    /// its effects are handed out.
    fn step(&mut self, input: Input<'_>) -> Result<Vec<Outcome>, NotDurable> {
        let now = Instant::from_millis(self.now);
        let recorded = self.controller.decide(now, input);
        self.tally.records += self.controller.records().count() as u64;
        let after = Durable::of(self.controller.rack(), now);
        let before = std::mem::replace(&mut self.durable, after);
        for node in self.controller.rack().nodes() {
            self.tally.states |= 1 << (node.state as u8);
        }
        if let Some((address, owner)) = self.promises.broken(self.now, &self.durable) {
            let at = self.now;
            let what = "has no longer the lease that it was told of:";
            self.tally
                .find(|| format!("machine {owner} {what} {address} at {at}"));
        }
        let flash = self.logged();
        ready(self.controller.append())?;
        self.check(flash, &before);
        // Leases end with the time alone.
        if !recorded && !before.same_facts(&self.durable) {
            let (at, durable) = (self.now, &self.durable);
            self.tally.find(|| {
                format!(
                    "a change without a record at {at}: {} instead of {}",
                    durable.without(&before),
                    before.without(durable)
                )
            });
        }
        let rack = self.controller.rack();
        let effects = self.controller.effects();
        let outcomes: Vec<Outcome> = effects
            .filter_map(|effect| Outcome::of(effect, rack))
            .collect();
        for outcome in &outcomes {
            if let Outcome::Power(id, node, _) = outcome {
                self.operations.push((*id, *node));
            }
        }
        let flash = self.logged();
        ready(self.controller.maintain(now))?;
        let unchanged = self.durable.clone();
        self.check(flash, &unchanged);
        Ok(outcomes)
    }

    /// A copy of the chip, whose operations are logged from now on.
    fn logged(&self) -> Flash<WORD> {
        self.chip.with(|flash| {
            let copy = flash.clone();
            flash.start_log();
            copy
        })
    }

    /// Cuts the operations since `flash` was copied. `before` is what was
    /// durable then.
    fn check(&mut self, flash: Flash<WORD>, before: &Durable) {
        let operations = self.chip.with(Flash::take_log);
        let checker = Checker {
            before,
            after: &self.durable,
            promises: &self.promises,
            now: self.now,
            most: self.most,
        };
        checker.cut_all::<WORD, S>(flash, &operations, &mut self.checking, &mut self.tally);
    }

    fn act(&mut self) -> Result<(), NotDurable> {
        self.now += 1 + self.random.below(300);
        match self.random.below(100) {
            0..=9 => self.boot(),
            10..=29 => self.client(),
            30..=54 => self.command(),
            55..=92 => self.work(),
            93 => self.driver(),
            94..=96 => {
                self.now += self.random.below(4) * 20_000;
                self.step(Input::Tick).map(drop)
            }
            97 if self.random.below(3) == 0 => self.restart(),
            _ => self.step(Input::Tick).map(drop),
        }
    }

    /// A power driver answers an operation, or one of an earlier start, and
    /// reports what it saw.
    fn driver(&mut self) -> Result<(), NotDurable> {
        let place = self.random.below(self.operations.len() as u64) as usize;
        if self.operations.is_empty() {
            return Ok(());
        }
        let (id, node) = self.operations.swap_remove(place);
        let result = match self.random.below(3) {
            0 => Err(OperationError::Unreachable),
            _ => Ok(()),
        };
        self.step(Input::OperationDone { id, result })?;
        let power = self.random.pick(&[PowerState::On, PowerState::Off]);
        self.step(Input::Observed { node, power }).map(drop)
    }

    /// The appliance restarts: running work goes on.
    fn restart(&mut self) -> Result<(), NotDurable> {
        self.tally.restarts += 1;
        self.now += 3000;
        let now = Instant::from_millis(self.now);
        let started = start::<WORD, S>(self.chip.clone(), now, &mut self.random);
        let (controller, found) = started.ok_or(NotDurable)?;
        if !found.agrees(&self.durable, &self.promises.ended) {
            let (at, durable) = (self.now, &self.durable);
            self.tally.find(|| {
                format!(
                    "a restart at {at} changed {} into {}",
                    durable.without(&found),
                    found.without(durable)
                )
            });
        }
        self.controller = controller;
        learn_image(&mut self.controller, now);
        self.durable = Durable::of(self.controller.rack(), now);
        let running = self.agents.iter().filter(|agent| !agent.over);
        self.waiting = running.map(|agent| agent.endpoint.mac.0[5]).collect();
        Ok(())
    }
}
