//! `cargo xtask powercut`: cuts the power of simulated flash at every word
//! and every erase of a rack's workload, and counts what is lost.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use farrier_lifecycle::State;
use serde_json::json;

/// Seeds whose workloads once lost something.
const RECORDED: [u64; 3] = [
    // A mount's copy of the last record that reads as whole once and then
    // not, while the original was no longer looked at.
    375_608_619_103_855,
    // A session that a sweep told again, and that was not heard any more.
    766_379_164_808_746,
    // A mount's copy of the last frame, cut at its first word, which read as
    // erased: the next mount wrote there again, and did not start.
    916_891_365_430_197,
];

/// What to cut.
#[derive(clap::Args)]
pub struct Arguments {
    /// Seed of the first workload; the others follow. One out of the clock where
    /// it is left out.
    #[arg(long)]
    seed: Option<u64>,
    /// Cut points.
    #[arg(long, default_value_t = 20_000)]
    points: u64,
    /// Writes every figure into this file, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
}

/// What is run among the tests, a minute or so: the workloads from seeds that once
/// lost something, so that what was found stays found, and a few that nobody
/// has seen.
///
/// # Errors
/// As [`run`].
pub fn short() -> Result<()> {
    let recorded = RECORDED.map(|seed| (Some(seed), 20_000));
    for (seed, points) in recorded.into_iter().chain([(None, 5_000)]) {
        run(&Arguments {
            seed,
            points,
            report: None,
        })?;
    }
    Ok(())
}

/// Carries out `cargo xtask powercut`.
pub fn run(arguments: &Arguments) -> Result<()> {
    let seed = arguments.seed.unwrap_or_else(clock_seed);
    let started = Instant::now();
    println!("power cuts: {} points from seed {seed}", arguments.points);
    let tally = farrier_powercut::run(seed, arguments.points, |tally| {
        println!(
            "  {} cut points, {} lost, {:.0} s",
            tally.cut_points,
            tally.lost,
            started.elapsed().as_secs_f64()
        );
    });
    let seconds = started.elapsed().as_secs_f64();
    let states: Vec<&str> = State::ALL
        .into_iter()
        .filter(|state| tally.states >> *state as u8 & 1 == 1)
        .map(State::as_str)
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
    let ok = tally.lost == 0 && tally.cut_points >= arguments.points;
    if let Some(path) = &arguments.report {
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
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    if !ok {
        bail!(
            "{} of {} cut points lost something; again: cargo xtask powercut --seed {seed} \
             --points {}",
            tally.lost,
            tally.cut_points,
            arguments.points
        );
    }
    Ok(())
}

/// Another workload at every run, which prints its seed.
fn clock_seed() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |since| {
            since.as_secs() ^ u64::from(since.subsec_nanos()) << 20
        })
}
