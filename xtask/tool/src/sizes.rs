//! `cargo xtask sizes`: what each board's firmware and each ramdisk takes, and
//! whether that is what they may take.

use std::fs;

use anyhow::{Context, Result, bail};
use farrier_deploy_ramdisk::ramdisk::Flavour;
use serde::Serialize;
use xtask::command_line::Given;

use crate::{board::Board, kit, target_folder, tools, workspace};

/// One measured number beside what it is held against.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: String,
    /// How much it is.
    pub value: f64,
    /// Unit of both values.
    pub unit: &'static str,
    /// What it is compared with.
    pub baseline: String,
    /// How much that is.
    pub baseline_value: f64,
    /// `value` over `baseline_value`.
    pub ratio: f64,
}

impl Figure {
    /// `bytes` held against `budget`.
    fn against_budget(name: String, bytes: u64, budget: u64) -> Self {
        Self {
            name,
            value: bytes as f64,
            unit: "bytes",
            baseline: "budget".to_owned(),
            baseline_value: budget as f64,
            ratio: bytes as f64 / budget as f64,
        }
    }
}

/// Everything of one run.
#[derive(Serialize)]
struct Report {
    ok: bool,
    figures: Vec<Figure>,
    failures: Vec<String>,
}

/// Carries out `cargo xtask sizes`.
///
/// # Errors
/// Something does not build or exceeds its budget; everything else is measured
/// and reported all the same.
pub fn run(given: &Given) -> Result<()> {
    let mut figures = Vec::new();
    let mut failures = Vec::new();
    for board in Board::all(&workspace())? {
        match firmware(&board) {
            Ok(found) => figures.extend(found),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    for flavour in [Flavour::Virtual, Flavour::Hardware] {
        match ramdisk(flavour) {
            Ok(found) => figures.push(found),
            Err(error) => failures.push(format!("{error:#}")),
        }
    }
    for figure in figures.iter().filter(|figure| figure.ratio > 1.0) {
        failures.push(format!("{} exceeds its budget", figure.name));
    }

    println!(
        "{:<28} {:>12} {:>12} {:>7}",
        "what", "bytes", "budget", "used"
    );
    for figure in &figures {
        println!(
            "{:<28} {:>12} {:>12} {:>6.1}%",
            figure.name,
            figure.value,
            figure.baseline_value,
            figure.ratio * 100.0
        );
    }
    let report = Report {
        ok: failures.is_empty(),
        figures,
        failures,
    };
    if let Some(path) = given.path("report") {
        fs::write(&path, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if !report.ok {
        bail!("{}", report.failures.join("\n"));
    }
    Ok(())
}

/// Flash and RAM of a board; nothing for a process on a host.
fn firmware(board: &Board) -> Result<Vec<Figure>> {
    let Some(memory) = board.memory else {
        return Ok(Vec::new());
    };
    let firmware = board.build(&workspace(), &target_folder(), &tools::command)?;
    let name = &board.board.name;
    let pairs = [
        ("flash", firmware.flash_bytes, memory.flash_budget),
        ("RAM", firmware.ram_bytes, memory.ram_budget),
    ];
    Ok(pairs
        .into_iter()
        .map(|(what, used, budget)| Figure::against_budget(format!("{name} {what}"), used, budget))
        .collect())
}

fn ramdisk(flavour: Flavour) -> Result<Figure> {
    let (_, path) = kit::build_ramdisk(flavour)?;
    let name = format!("{} ramdisk", flavour.name());
    Ok(Figure::against_budget(
        name,
        fs::metadata(path)?.len(),
        flavour.budget(),
    ))
}
