//! `cargo xtask powercut`: cuts the power of simulated flash at every word
//! and every erase of a rack's workload, and counts what is lost.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use farrier_lifecycle::ProvisionState;
use serde_json::json;
use xtask::command_line::Given;

use crate::test::{self, Stage};

/// The power cuts of `cargo xtask test`: the workloads of two fresh seeds, side
/// by side.
///
/// # Errors
/// As [`run`].
pub fn short(stage: &Stage) -> Result<()> {
    let seed = clock_seed();
    let commands = [seed, seed + 1].map(|seed| {
        let words = ["powercut", &format!("--seed={seed}"), "--points=8000"];
        words.map(str::to_owned).to_vec()
    });
    test::side_by_side(stage, &commands, 2)
}

/// Carries out `cargo xtask powercut`.
///
/// # Errors
/// A cut lost something, or the report can't be written.
pub fn run(given: &Given) -> Result<()> {
    let seed = given.number("seed").unwrap_or_else(clock_seed);
    let points = given.number("points").unwrap_or(20_000);
    let started = Instant::now();
    println!("power cuts: {points} points from seed {seed}");
    let tally = farrier_powercut::run(seed, points, |tally| {
        println!(
            "  {} cut points, {} lost, {:.0} s",
            tally.cut_points,
            tally.lost,
            started.elapsed().as_secs_f64()
        );
    });
    let seconds = started.elapsed().as_secs_f64();
    let states: Vec<&str> = ProvisionState::ALL
        .into_iter()
        .filter(|state| tally.states >> *state as u8 & 1 == 1)
        .map(ProvisionState::as_str)
        .collect();
    println!(
        "{} cut points ({} of them in a recovery), {} lost, {seconds:.1} s",
        tally.cut_points, tally.second_cuts, tally.lost
    );
    println!(
        "{} records in {} flash operations; {} restarts, over which {} sessions went on; \
         {} power requests made again; {} erases of the most erased sector; {} states seen",
        tally.records,
        tally.operations,
        tally.restarts,
        tally.continued,
        tally.power_checks,
        tally.wear,
        states.len()
    );
    for finding in &tally.findings {
        println!("LOST: {finding}");
    }
    let ok = tally.lost == 0 && tally.cut_points >= points;
    if let Some(path) = given.path("report") {
        let report = json!({
            "ok": ok,
            "seed": seed,
            "cut_points": tally.cut_points,
            "second_cuts": tally.second_cuts,
            "lost": tally.lost,
            "findings": tally.findings,
            "records": tally.records,
            "operations": tally.operations,
            "restarts": tally.restarts,
            "continued_sessions": tally.continued,
            "power_checks": tally.power_checks,
            "most_erases_of_a_sector": tally.wear,
            "states": states,
            "seconds": seconds,
            "points_per_second": tally.cut_points as f64 / seconds,
        });
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(&path, text + "\n")
            .with_context(|| format!("writing {}", path.display()))?;
    }
    if !ok {
        bail!(
            "{} of {} cut points lost something; again: cargo xtask powercut --seed {seed} \
             --points {points}",
            tally.lost,
            tally.cut_points
        );
    }
    Ok(())
}

/// A fresh seed for every run; it is printed.
fn clock_seed() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |since| {
            since.as_secs() ^ u64::from(since.subsec_nanos()) << 20
        })
}
