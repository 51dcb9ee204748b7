//! Many racks: seeds on threads, failing ones shrunk, figures for a report.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::events::Events;
use crate::faults::{Fault, KINDS, Kinds};
use crate::hostile;
use crate::simulation::{BEGIN, HOUR, Options, REST, Simulation};

/// What came of one rack.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was simulated.
    pub options: Options,
    /// Digest of everything that happened.
    pub digest: u64,
    /// What was delivered.
    pub events: Events,
    /// Changes of nodes' states.
    pub transitions: u64,
    /// Nodes that became active, and available.
    pub deployed: u64,
    /// Nodes that became available.
    pub cleaned: u64,
    /// Frames of the hostile machine, by kind.
    pub hostile_frames: [u64; hostile::KINDS],
    /// Its copies of what was sent before the appliance's last start that
    /// counted.
    pub late_copies: u64,
    /// How often each fault struck.
    pub faults: [u64; KINDS],
    /// Of racks whose ports are moved.
    pub ports: PortFigures,
    /// The rack's milliseconds.
    pub millis: u64,
    /// What was wrong: after how many milliseconds, and what.
    pub violation: Option<(u64, String)>,
}

/// What happened to the ports of racks with switches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PortFigures {
    /// Racks with switches.
    pub racks: u64,
    /// Operations that drivers carried out, and those that failed.
    pub done: u64,
    /// See above.
    pub failed: u64,
    /// Moves that were kept, and those that were taken back.
    pub kept: u64,
    /// See above.
    pub undone: u64,
    /// Moves of machines by something else than the appliance: the two invariants
    /// leave out what follows from them.
    pub excused: u64,
    /// Old systems that started on a network of the appliance's work.
    pub old_systems: u64,
    /// Longest time from the begin of a move, or from the last fault that struck its
    /// port, to its end, in seconds.
    pub longest_seconds: u64,
}

impl PortFigures {
    fn of(sim: &Simulation) -> Self {
        let Some(managed) = &sim.managed else {
            return Self::default();
        };
        PortFigures {
            racks: 1,
            done: managed.done,
            failed: managed.failed,
            kept: managed.kept,
            undone: managed.undone,
            excused: sim.invariants.ports.excused,
            old_systems: sim.invariants.ports.old_systems,
            longest_seconds: sim.invariants.ports.longest.div_ceil(1000),
        }
    }

    /// Each figure with its name in reports.
    pub fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("racks", self.racks),
            ("done", self.done),
            ("failed", self.failed),
            ("kept", self.kept),
            ("undone", self.undone),
            ("excused", self.excused),
            ("old_systems", self.old_systems),
            ("longest_seconds", self.longest_seconds),
        ]
    }
}

impl std::iter::Sum for PortFigures {
    fn sum<I: Iterator<Item = Self>>(figures: I) -> Self {
        figures.fold(Self::default(), |sum, one| PortFigures {
            racks: sum.racks + one.racks,
            done: sum.done + one.done,
            failed: sum.failed + one.failed,
            kept: sum.kept + one.kept,
            undone: sum.undone + one.undone,
            excused: sum.excused + one.excused,
            old_systems: sum.old_systems + one.old_systems,
            longest_seconds: sum.longest_seconds.max(one.longest_seconds),
        })
    }
}

/// Simulates one rack. A panic anywhere in it is a violation.
pub fn run(options: Options) -> Outcome {
    let mut sim = Simulation::new(options);
    let lived = catch_unwind(AssertUnwindSafe(|| sim.live()));
    let mut violation = sim.invariants.violation.take();
    if let Err(panic) = lived {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        violation = Some((sim.now, format!("panic: {text}")));
    }
    Outcome {
        options,
        digest: sim.digest.value(),
        events: sim.delivered(),
        transitions: sim.invariants.transitions,
        deployed: sim.invariants.deployed,
        cleaned: sim.invariants.cleaned,
        hostile_frames: sim.hostile.frames,
        late_copies: sim.hostile.late_copies,
        faults: *sim.faults.counts(),
        ports: PortFigures::of(&sim),
        millis: sim.now - BEGIN,
        violation: violation.map(|(at, what)| (at - BEGIN, what)),
    }
}

/// Simulates these seeds, as many at a time as `threads`; `progress` is told
/// each outcome as it comes. The result is in the order of the seeds.
pub fn run_all(
    base: Options,
    seeds: &[u64],
    threads: usize,
    progress: &(impl Fn(&Outcome) + Sync),
) -> Vec<Outcome> {
    let next = AtomicU64::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, seeds.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed) as usize;
                    let Some(&seed) = seeds.get(place) else {
                        return;
                    };
                    let outcome = run(Options { seed, ..base });
                    progress(&outcome);
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push((place, outcome));
                    }
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_default();
    outcomes.sort_by_key(|(place, _)| *place);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Simulates these seeds, and then as many of the next ones until hostile
/// machines have sent so many frames or an invariant was violated.
pub fn run_frames(
    base: Options,
    seeds: &[u64],
    threads: usize,
    frames: u64,
    progress: &(impl Fn(&Outcome) + Sync),
) -> Vec<Outcome> {
    let mut outcomes = run_all(base, seeds, threads, progress);
    let mut next = seeds.last().map_or(0, |last| last.wrapping_add(1));
    let mut sent = frames_of(&outcomes);
    while sent < frames && outcomes.iter().all(|outcome| outcome.violation.is_none()) {
        // Always as many: how many threads there are must not matter.
        let batch = [0, 1].map(|number| next.wrapping_add(number));
        next = next.wrapping_add(batch.len() as u64);
        let more = run_all(base, &batch, threads, progress);
        let sent_now = frames_of(&more);
        outcomes.extend(more);
        sent += sent_now;
        if sent_now == 0 {
            // The kind of fault is left out.
            break;
        }
    }
    outcomes
}

fn frames_of(outcomes: &[Outcome]) -> u64 {
    let frames = outcomes.iter().flat_map(|outcome| outcome.hostile_frames);
    frames.sum()
}

/// Makes a failing run smaller as long as it goes on to fail: fewer hours,
/// fewer servers, fewer kinds of faults. At most `tries` runs.
pub fn shrink(failing: &Outcome, mut tries: u32) -> Outcome {
    let mut best = failing.clone();
    let mut attempt = |options: Options, best: &mut Outcome| {
        if tries == 0 || options == best.options {
            return false;
        }
        tries -= 1;
        let outcome = run(options);
        let fails = outcome.violation.is_some();
        if fails {
            *best = outcome;
        }
        fails
    };
    // Faults stop right after it happened, or even before.
    let hours = best
        .violation
        .as_ref()
        .map_or(best.options.hours, |(at, _)| at.div_ceil(HOUR));
    attempt(
        Options {
            hours: hours.min(best.options.hours),
            ..best.options
        },
        &mut best,
    );
    for nodes in [1, 2, 4, 8, 16, 32] {
        if nodes < best.options.nodes
            && attempt(
                Options {
                    nodes,
                    ..best.options
                },
                &mut best,
            )
        {
            break;
        }
    }
    for fault in Fault::ALL {
        if best.options.kinds.has(fault) {
            let kinds = best.options.kinds.without(fault);
            attempt(
                Options {
                    kinds,
                    ..best.options
                },
                &mut best,
            );
        }
    }
    let mut hours = best.options.hours / 2;
    while hours > 0 {
        if !attempt(
            Options {
                hours,
                ..best.options
            },
            &mut best,
        ) {
            break;
        }
        hours /= 2;
    }
    best
}

/// The command that repeats a run.
pub fn command(options: &Options) -> String {
    let mut command = format!(
        "cargo xtask sim --seed {} --nodes {} --hours {}",
        options.seed, options.nodes, options.hours
    );
    if let Some(frames) = options.hostile_frames {
        command.push_str(&format!(" --hostile-frames {frames}"));
    }
    if let Some(switches) = options.switches {
        command.push_str(if switches {
            " --switches yes"
        } else {
            " --switches no"
        });
    }
    if options.busy {
        command.push_str(" --busy");
    }
    if options.kinds == Kinds::NONE {
        command.push_str(" --without all");
    } else if options.kinds != Kinds::ALL {
        let missing: Vec<&str> = options.kinds.missing().map(Fault::name).collect();
        command.push_str(" --without ");
        command.push_str(&missing.join(","));
    }
    command
}

/// Hours that a rack lives in all.
pub fn whole_hours(options: &Options) -> u64 {
    options.hours + REST / HOUR
}
