//! `farrier-sim`: simulates racks; `cargo xtask sim` runs it.

use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use farrier_simulator::faults::{FIRST_OF_SWITCHES, Fault, Kinds};
use farrier_simulator::hostile::{self, RACK_FRAMES};
use farrier_simulator::report::Report;
use farrier_simulator::run::{command, run, run_frames, shrink};
use farrier_simulator::scenario;
use farrier_simulator::simulation::Options;

const USAGE: &str = "farrier-sim [--seed S] [--seeds N] [--nodes N] [--hours H] [--threads N]
    [--without KIND,...] [--only KIND,...] [--seed-file FILE]
    [--switches yes|no] [--busy] [--hostile-frames N] [--report FILE] [--trace]
An event is what was delivered: an input of the rack, a datagram or a step of a machine,
bytes between a switch and its driver, a fault, or an act of a person or of a switch's clock.
farrier-sim --scenario NAME | --scenario all | --list";

struct Arguments {
    options: Options,
    seed: Option<u64>,
    seeds: u64,
    frames: u64,
    threads: usize,
    seed_file: Option<String>,
    report: Option<String>,
    scenario: Option<String>,
}

fn kinds(list: &str, start: Kinds, change: fn(Kinds, Fault) -> Kinds) -> Result<Kinds, String> {
    if list == "all" {
        return Ok(Fault::ALL.into_iter().fold(start, change));
    }
    list.split(',').try_fold(start, |kinds, name| {
        Fault::named(name)
            .map(|fault| change(kinds, fault))
            .ok_or_else(|| format!("no fault {name}"))
    })
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        options: Options::new(0),
        seed: None,
        seeds: 1,
        frames: 0,
        threads: std::thread::available_parallelism().map_or(1, |n| n.get().min(2)),
        seed_file: None,
        report: None,
        scenario: None,
    };
    while let Some(name) = words.next() {
        if name == "--trace" {
            arguments.options.trace = true;
            continue;
        }
        if name == "--busy" {
            arguments.options.busy = true;
            continue;
        }
        if name == "--list" {
            arguments.scenario = Some(String::new());
            continue;
        }
        let value = words.next().ok_or(USAGE)?;
        let number = || value.parse::<u64>().map_err(|_| format!("{name} {value}?"));
        match name.as_str() {
            "--seed" => arguments.seed = Some(number()?),
            "--seeds" => arguments.seeds = number()?,
            "--nodes" => arguments.options.nodes = number()?.clamp(1, 48) as usize,
            "--hours" => arguments.options.hours = number()?,
            "--threads" => arguments.threads = number()?.max(1) as usize,
            "--without" => {
                arguments.options.kinds = kinds(&value, arguments.options.kinds, Kinds::without)?;
            }
            "--only" => arguments.options.kinds = kinds(&value, Kinds::NONE, Kinds::with)?,
            "--hostile-frames" => {
                arguments.frames = number()?;
                arguments.options.hostile_frames = Some(arguments.frames.min(RACK_FRAMES));
            }
            "--switches" => arguments.options.switches = Some(value == "yes"),
            "--seed-file" => arguments.seed_file = Some(value),
            "--report" => arguments.report = Some(value),
            "--scenario" => arguments.scenario = Some(value),
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(arguments)
}

/// The seeds: those of the file, then as many as asked for from the first one
/// on, which is fresh where none is given.
fn seeds(arguments: &Arguments) -> Result<Vec<u64>, String> {
    let mut seeds = Vec::new();
    if let Some(path) = &arguments.seed_file {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
        for line in text.lines() {
            let word = line.split('#').next().unwrap_or_default().trim();
            if !word.is_empty() {
                seeds.push(word.parse().map_err(|_| format!("{path}: {word}?"))?);
            }
        }
    }
    let first = arguments.seed.unwrap_or_else(|| {
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        time.map_or(1, |time| time.as_secs() % 1_000_000_000)
    });
    seeds.extend((0..arguments.seeds).map(|n| first.wrapping_add(n)));
    Ok(seeds)
}

fn scenarios(name: &str) -> bool {
    let mut ok = true;
    let mut found = false;
    for scenario in scenario::ALL {
        if name.is_empty() {
            println!("{:<28} {}", scenario.name, scenario.about);
            found = true;
        } else if name == scenario.name || name == "all" {
            found = true;
            match (scenario.run)() {
                Ok(()) => println!("passed  {}", scenario.name),
                Err(why) => {
                    ok = false;
                    println!("FAILED  {}: {why}", scenario.name);
                }
            }
        }
    }
    if !found {
        println!("no scenario {name}; --list shows them");
    }
    ok && found
}

/// An event is what was delivered: an input of the rack, a datagram or a step of a
/// machine, bytes between a switch and its driver, a fault or an act of a person.
fn print_events(report: &Report) {
    for (of, events) in [
        ("", report.events),
        (" in racks with switches", report.events_with_switches),
    ] {
        println!(
            "{} events{of}: {} inputs of racks, {} at machines, {} between switches and \
             drivers, {} faults and acts of people",
            events.total(),
            events.rack,
            events.machines,
            events.switches,
            events.world,
        );
    }
    let kinds = Fault::ALL.into_iter().zip(report.faults);
    let of_switches = kinds.filter(|(fault, _)| *fault as u8 >= FIRST_OF_SWITCHES as u8);
    println!(
        "{} faults, {} of them of switches, cables and trunks; {} transitions, {} cleaned, {} deployed",
        report.faults.iter().sum::<u64>(),
        of_switches.map(|(_, count)| count).sum::<u64>(),
        report.transitions,
        report.cleaned,
        report.deployed
    );
    println!(
        "{:.0} events in a second",
        report.events.total() as f64 / report.wall_seconds.max(1e-9)
    );
}

fn simulate(arguments: &Arguments) -> Result<bool, String> {
    let seeds = seeds(arguments)?;
    println!(
        "{} seeds from {}, {} nodes, {} hours and rest, {} threads",
        seeds.len(),
        seeds.first().copied().unwrap_or_default(),
        arguments.options.nodes,
        arguments.options.hours,
        arguments.threads,
    );
    let began = Instant::now();
    let frames = arguments.frames;
    let outcomes = run_frames(
        arguments.options,
        &seeds,
        arguments.threads,
        frames,
        &|outcome| {
            if let Some((at, what)) = &outcome.violation {
                println!(
                    "seed {}: after {} s: {what}",
                    outcome.options.seed,
                    at / 1000
                );
            }
        },
    );
    let mut report = Report::new(&outcomes, began);
    for (place, outcome) in outcomes
        .iter()
        .filter(|outcome| outcome.violation.is_some())
        .take(3)
        .enumerate()
    {
        let small = shrink(outcome, 60);
        let what = small.violation.as_ref().map_or("", |(_, what)| what);
        println!("shrunk: {what}\n    {}", command(&small.options));
        if let Some(violation) = report.violations.get_mut(place) {
            *violation = (command(&small.options), what.to_owned());
        }
    }
    for (fault, count) in Fault::ALL.into_iter().zip(report.faults) {
        println!("{:<20} {count:>12}", fault.name());
    }
    print_events(&report);
    for ((_, name), count) in hostile::Kind::ALL.into_iter().zip(report.hostile_frames) {
        println!("hostile: {name:<11} {count:>12}");
    }
    println!(
        "{} hostile frames, {} accepted; {} copies of what an earlier start had heard counted once",
        report.hostile_frames.iter().sum::<u64>(),
        report.accepted,
        report.late_copies,
    );
    let ports = report.ports.named();
    let ports: Vec<_> = ports
        .iter()
        .map(|(name, n)| format!("{n} {name}"))
        .collect();
    println!("ports: {}", ports.join(", "));
    println!(
        "{:.0} s simulated in {:.2} s: {:.0} x real time; replay hash {:016x}; {} violations",
        report.simulated_seconds,
        report.wall_seconds,
        report.speedup(),
        report.replay_hash,
        report.violations.len(),
    );
    // The last line says what to look at.
    if let Some((command, what)) = report.violations.first() {
        println!("violation: {what}: {command}");
    }
    if let Some(path) = &arguments.report {
        std::fs::write(path, report.json()).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(report.violations.is_empty())
}

fn main() -> ExitCode {
    let result = parse(std::env::args().skip(1)).and_then(|arguments| match &arguments.scenario {
        Some(name) => Ok(scenarios(name)),
        None if arguments.options.trace => {
            let seed = arguments.seed.unwrap_or(0);
            let outcome = run(Options {
                seed,
                ..arguments.options
            });
            println!("{outcome:?}");
            Ok(outcome.violation.is_none())
        }
        None => simulate(&arguments),
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}
