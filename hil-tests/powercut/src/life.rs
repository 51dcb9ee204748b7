//! A life of a rack: machines that boot, clients that come and go, agents
//! that work, operators who wish, restarts; every step's flash operations
//! are handed to the judge before the life goes on.

mod machines;
mod operator;

use farrier_core::{Effect, Effects, Input, Instant, Serve};

use crate::agent::Agent;
use crate::judge::{Judge, Ledger, Present, Tally, TestRack, present, start, teach};
use crate::random::Random;
use crate::store::{Chip, Flash, Gone, Store};

/// Sectors of the chip: small, so that sweeps go around it many times.
const SECTORS: usize = 32;

/// What came out of a step.
enum Did {
    Dhcp(Vec<u8>),
    Agent(Vec<u8>),
    Script(String),
    Answer(bool),
}

/// A rack, its store, and everybody around it.
pub struct Life<const WORD: usize, S> {
    rack: Box<TestRack>,
    out: Box<Effects>,
    store: S,
    chip: Chip<WORD>,
    random: Random,
    judging: Random,
    now: u64,
    present: Present,
    ledger: Ledger,
    agents: Vec<Agent>,
    /// Agents with a session whose appliance restarted since they were
    /// answered last.
    waiting: Vec<u8>,
    tally: Tally,
    most: u64,
}

impl<const WORD: usize, S> std::fmt::Debug for Life<WORD, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Life").finish_non_exhaustive()
    }
}

/// Lives a life of so many cuts at the most, and so many steps. Without cuts
/// (0) all of the steps.
pub fn live<const WORD: usize, S: Store<WORD>>(seed: u64, most: u64, steps: u64) -> Tally {
    let chip = Chip::new(Flash::<WORD>::new(SECTORS));
    let mut random = Random::new(seed);
    let first = Instant::START;
    let Some((rack, store, present)) = start::<WORD, S>(chip.clone(), first, &mut random) else {
        return Tally {
            lost: 1,
            findings: vec!["a new chip does not start".to_owned()],
            ..Tally::default()
        };
    };
    let mut life = Life {
        rack,
        out: Box::new(Effects::new()),
        store,
        chip,
        judging: Random::new(!seed),
        random,
        now: 1000,
        present,
        ledger: Ledger::default(),
        agents: Vec::new(),
        waiting: Vec::new(),
        tally: Tally::default(),
        most,
    };
    teach(
        &mut life.rack,
        Instant::from_millis(life.now),
        &mut life.random,
        &mut life.out,
    );
    let mut done = 0;
    while done < steps && (most == 0 || life.tally.cut_points < most) {
        if life.act().is_err() {
            life.tally.lost += 1;
            life.tally
                .findings
                .push("the store gave up without a cut".to_owned());
            break;
        }
        done += 1;
    }
    life.tally.operations = life.chip.with(|flash| flash.operations());
    life.tally.wear = life.chip.with(|flash| flash.wear());
    let broken = life.chip.with(|flash| flash.broken_rules());
    if broken > 0 {
        life.tally.lost += u64::from(broken);
        life.tally
            .findings
            .push(format!("{broken} rules of the flash were broken"));
    }
    life.tally
}

impl<const WORD: usize, S: Store<WORD>> Life<WORD, S> {
    /// One step of the brain, as the glue does it.
    fn step(&mut self, input: Input<'_>) -> Result<Vec<Did>, Gone> {
        let now = Instant::from_millis(self.now);
        self.rack.step(now, input, &mut self.random, &mut self.out);
        let records: Vec<Vec<u8>> = self.out.records().map(<[u8]>::to_vec).collect();
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        self.tally.records += records.len() as u64;
        let after = present(&self.rack, now);
        let before = core::mem::replace(&mut self.present, after);
        for node in self.rack.nodes() {
            self.tally.states |= 1 << (node.state as u8);
        }
        let flash = self.chip.with(|flash| {
            let copy = flash.clone();
            flash.start_log();
            copy
        });
        self.store.append(&records)?;
        let operations = self.chip.with(Flash::take_log);
        Judge {
            before: if S::EFFECTS_WAIT {
                &before
            } else {
                &self.present
            },
            after: &self.present,
            ledger: &self.ledger,
            now: self.now,
            most: self.most,
        }
        .cut_all::<WORD, S>(flash, &operations, &mut self.judging, &mut self.tally);
        // Leases end with the time alone.
        if records.is_empty() && !before.same_facts(&self.present) {
            self.tally.lost += 1;
            self.tally.findings.push(format!(
                "a change without a record at {}: {} instead of {}",
                self.now,
                self.present.beside(&before),
                before.beside(&self.present)
            ));
        }

        let did = self
            .out
            .effects()
            .filter_map(|output| match output {
                Effect::Dhcp { payload, .. } => Some(Did::Dhcp(payload.to_vec())),
                Effect::Agent { datagram, .. } => Some(Did::Agent(datagram.to_vec())),
                Effect::Serve(Serve::Text(text)) => {
                    Some(Did::Script(String::from_utf8_lossy(text).into_owned()))
                }
                Effect::Answer(answer) => Some(Did::Answer(answer.is_ok())),
                _ => None,
            })
            .collect();

        let flash = self.chip.with(|flash| {
            let copy = flash.clone();
            flash.start_log();
            copy
        });
        let rack = &self.rack;
        self.store
            .maintain(|from, room| rack.snapshot(now, from, room))?;
        let operations = self.chip.with(Flash::take_log);
        Judge {
            before: &self.present,
            after: &self.present,
            ledger: &self.ledger,
            now: self.now,
            most: self.most,
        }
        .cut_all::<WORD, S>(flash, &operations, &mut self.judging, &mut self.tally);
        Ok(did)
    }

    fn act(&mut self) -> Result<(), Gone> {
        self.now += 1 + self.random.below(300);
        match self.random.below(100) {
            0..=9 => self.boot(),
            10..=29 => self.client(),
            30..=54 => self.wish(),
            55..=92 => self.work(),
            93..=96 => {
                self.now += self.random.below(4) * 20_000;
                self.step(Input::Tick).map(drop)
            }
            97 if self.random.below(3) == 0 => self.restart(),
            _ => self.step(Input::Tick).map(drop),
        }
    }

    /// The appliance restarts: what is at work goes on.
    fn restart(&mut self) -> Result<(), Gone> {
        self.tally.restarts += 1;
        self.now += 3000;
        let now = Instant::from_millis(self.now);
        let started = start::<WORD, S>(self.chip.clone(), now, &mut self.random);
        let (rack, store, found) = started.ok_or(Gone)?;
        if !found.agrees(&self.present, &self.ledger.ended) {
            self.tally.lost += 1;
            self.tally.findings.push(format!(
                "a restart at {} changed {} into {}",
                self.now,
                self.present.beside(&found),
                found.beside(&self.present)
            ));
        }
        self.rack = rack;
        self.store = store;
        teach(&mut self.rack, now, &mut self.random, &mut self.out);
        self.present = present(&self.rack, now);
        let talking = self.agents.iter().filter(|agent| {
            let hands = agent.driver.handler();
            !hands.left && !hands.lost
        });
        self.waiting = talking.map(|agent| agent.endpoint.mac.0[5]).collect();
        Ok(())
    }
}
