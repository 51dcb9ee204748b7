//! All runs together, for people and as JSON.

use std::time::Instant;

use crate::digest::Digest;
use crate::events::Events;
use crate::faults::{Fault, KINDS};
use crate::hostile;
use crate::run::{Outcome, PortFigures, command};

/// All runs together.
#[derive(Debug, Clone)]
pub struct Report {
    /// Runs.
    pub seeds: usize,
    /// Seconds of all racks together.
    pub simulated_seconds: f64,
    /// Seconds that it took.
    pub wall_seconds: f64,
    /// What was delivered, and what of it in racks with switches.
    pub events: Events,
    /// See above.
    pub events_with_switches: Events,
    /// Changes of nodes' states.
    pub transitions: u64,
    /// Deployments that were finished.
    pub deployed: u64,
    /// Cleanings that were finished.
    pub cleaned: u64,
    /// Frames of hostile machines, by kind. One that is accepted is a violation.
    pub hostile_frames: [u64; hostile::KINDS],
    /// Copies of what was sent before an appliance's last start that counted.
    pub late_copies: u64,
    /// Runs that ended with an accepted frame.
    pub accepted: usize,
    /// Of racks whose ports are moved.
    pub ports: PortFigures,
    /// How often each fault struck.
    pub faults: [u64; KINDS],
    /// What was wrong: the command that repeats it, and what.
    pub violations: Vec<(String, String)>,
    /// Digest over the digests of all runs.
    pub replay_hash: u64,
}

impl Report {
    /// Sums up; `began` is when the first run did.
    pub fn new(outcomes: &[Outcome], began: Instant) -> Self {
        let mut digest = Digest::default();
        let mut faults = [0; KINDS];
        let mut hostile_frames = [0; hostile::KINDS];
        for outcome in outcomes {
            digest.add(outcome.digest);
            for (sum, count) in hostile_frames.iter_mut().zip(outcome.hostile_frames) {
                *sum += count;
            }
            for (sum, count) in faults.iter_mut().zip(outcome.faults) {
                *sum += count;
            }
        }
        let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
        Report {
            seeds: outcomes.len(),
            simulated_seconds: sum(|o| o.millis) as f64 / 1000.0,
            wall_seconds: began.elapsed().as_secs_f64(),
            events: outcomes.iter().map(|outcome| outcome.events).sum(),
            events_with_switches: outcomes
                .iter()
                .filter(|outcome| outcome.ports.racks > 0)
                .map(|outcome| outcome.events)
                .sum(),
            transitions: sum(|o| o.transitions),
            deployed: sum(|o| o.deployed),
            cleaned: sum(|o| o.cleaned),
            hostile_frames,
            late_copies: sum(|o| o.late_copies),
            accepted: outcomes
                .iter()
                .filter_map(|outcome| outcome.violation.as_ref())
                .filter(|(_, what)| what.starts_with(hostile::ACCEPTED))
                .count(),
            ports: outcomes.iter().map(|outcome| outcome.ports).sum(),
            faults,
            violations: outcomes
                .iter()
                .filter_map(|outcome| {
                    let (_, what) = outcome.violation.as_ref()?;
                    Some((command(&outcome.options), what.clone()))
                })
                .collect(),
            replay_hash: digest.value(),
        }
    }

    /// How much faster than time.
    pub fn speedup(&self) -> f64 {
        self.simulated_seconds / self.wall_seconds.max(1e-9)
    }

    /// As JSON.
    pub fn json(&self) -> String {
        let faults: Vec<String> = Fault::ALL
            .into_iter()
            .zip(self.faults)
            .map(|(fault, count)| format!("    \"{}\": {count}", fault.name()))
            .collect();
        let frames: Vec<String> = hostile::Kind::ALL
            .into_iter()
            .zip(self.hostile_frames)
            .map(|((_, name), count)| format!("    \"{name}\": {count}"))
            .collect();
        let ports: Vec<String> = self
            .ports
            .named()
            .into_iter()
            .map(|(name, count)| format!("    \"{name}\": {count}"))
            .collect();
        let violations: Vec<String> = self
            .violations
            .iter()
            .map(|(command, what)| {
                format!(
                    "    {{ \"command\": {}, \"what\": {} }}",
                    quote(command),
                    quote(what)
                )
            })
            .collect();
        format!(
            "{{\n  \"ok\": {},\n  \"seeds\": {},\n  \"simulated_seconds\": {:.3},\n  \
             \"wall_seconds\": {:.3},\n  \"speedup\": {:.0},\n  \"events\": {},\n  \
             \"events_with_switches\": {},\n  \"steps\": {},\n  \"transitions\": {},\n  \"deployed\": {},\n  \"cleaned\": {},\n  \
             \"hostile_frames\": {},\n  \"hostile_kinds\": {{\n{}\n  }},\n  \
             \"accepted\": {},\n  \"late_copies\": {},\n  \
             \"ports\": {{\n{}\n  }},\n  \"faults\": {{\n{}\n  }},\n  \"violations\": [\n{}\n  ],\n  \
             \"replay_hash\": \"{:016x}\"\n}}\n",
            self.violations.is_empty(),
            self.seeds,
            self.simulated_seconds,
            self.wall_seconds,
            self.speedup(),
            self.events.total(),
            self.events_with_switches.total(),
            self.events.rack,
            self.transitions,
            self.deployed,
            self.cleaned,
            self.hostile_frames.iter().sum::<u64>(),
            frames.join(",\n"),
            self.accepted,
            self.late_copies,
            ports.join(",\n"),
            faults.join(",\n"),
            violations.join(",\n"),
            self.replay_hash,
        )
    }
}

fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
