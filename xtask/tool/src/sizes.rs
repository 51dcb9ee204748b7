//! `cargo xtask sizes`: the flash and RAM of each board's firmware, part by
//! part, and the size of each ramdisk, against their budgets; and what changed
//! since another revision.

mod parts;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, process::Command};

use anyhow::{Context, Result, bail, ensure};
use farrier_board_build::description::Program;
use farrier_deploy_ramdisk::ramdisk::Flavour;
use serde::Serialize;
use xtask::command_line::Given;

use crate::board::{Board, compile};
use crate::{kit, target_folder, tools, workspace};
use parts::{Bytes, Parts};

/// Statics that are smaller get one line together.
const SMALL: u64 = 1024;

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

/// The parts of one board's firmware, and of another revision's.
#[derive(Serialize)]
struct Firmware {
    board: String,
    parts: Parts,
    before: Option<Parts>,
}

/// Everything of one run.
#[derive(Serialize)]
struct Report {
    ok: bool,
    figures: Vec<Figure>,
    compared_with: Option<String>,
    firmware: Vec<Firmware>,
    failures: Vec<String>,
}

/// Carries out `cargo xtask sizes`.
///
/// # Errors
/// Something does not build or exceeds its budget; everything else is measured
/// and reported all the same.
pub fn run(given: &Given) -> Result<()> {
    let mut figures = Vec::new();
    let mut firmware = Vec::new();
    let mut failures = Vec::new();
    let before = given.text("compare").map(Tree::check_out);
    let before = before.transpose()?;
    for board in Board::all(&workspace())? {
        match measure(&board, before.as_ref()) {
            Ok(Some((found, parts))) => {
                figures.extend(found);
                firmware.push(parts);
            }
            Ok(None) => {}
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

    for firmware in &firmware {
        let (board, parts) = (&firmware.board, &firmware.parts);
        match &firmware.before {
            None => {
                list(&format!("{board}: flash by crate"), &parts.flash, 0);
                list(&format!("{board}: RAM by static"), &parts.ram, SMALL);
            }
            Some(before) => {
                changes(
                    &format!("{board}: flash by crate"),
                    &before.flash,
                    &parts.flash,
                );
                changes(&format!("{board}: RAM by static"), &before.ram, &parts.ram);
            }
        }
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
        compared_with: given.text("compare").map(str::to_owned),
        firmware,
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

/// Prints parts, the largest first; those below `least` as one line.
fn list(title: &str, parts: &Bytes, least: u64) {
    println!("{title}");
    let mut large: Vec<_> = parts.iter().filter(|(_, bytes)| **bytes >= least).collect();
    large.sort_by_key(|(_, bytes)| std::cmp::Reverse(**bytes));
    for (name, bytes) in large {
        println!("{bytes:>12}  {name}");
    }
    let small: Vec<_> = parts.values().filter(|bytes| **bytes < least).collect();
    if !small.is_empty() {
        let bytes: u64 = small.iter().copied().sum();
        println!("{bytes:>12}  ({} smaller ones)", small.len());
    }
    println!("{:>12}  together\n", parts.values().sum::<u64>());
}

/// Prints what differs, the largest change first.
fn changes(title: &str, before: &Bytes, now: &Bytes) {
    println!("{title}: change, before, now");
    let bytes = |parts: &Bytes, name: &str| parts.get(name).copied().unwrap_or(0);
    let names: BTreeSet<_> = before.keys().chain(now.keys()).collect();
    let mut rows: Vec<_> = names
        .into_iter()
        .map(|name| (name.as_str(), bytes(before, name), bytes(now, name)))
        .filter(|(_, before, now)| before != now)
        .collect();
    rows.sort_by_key(|(_, before, now)| std::cmp::Reverse(before.abs_diff(*now)));
    rows.push(("together", before.values().sum(), now.values().sum()));
    for (name, before, now) in rows {
        println!(
            "{:>+10} {before:>9} {now:>9}  {name}",
            now as i64 - before as i64
        );
    }
    println!();
}

/// Flash and RAM of a board; nothing for a process on a host.
fn measure(board: &Board, before: Option<&Tree>) -> Result<Option<(Vec<Figure>, Firmware)>> {
    let Some(memory) = board.memory else {
        return Ok(None);
    };
    let built = board.build(&workspace(), &target_folder(), &tools::command)?;
    let name = &board.board.name;
    let figures = [
        ("flash", built.flash_bytes, memory.flash_budget),
        ("RAM", built.ram_bytes, memory.ram_budget),
    ];
    let figures = figures
        .into_iter()
        .map(|(what, used, budget)| {
            Figure::against_budget(format!("{name} {what}"), used, budget.into())
        })
        .collect();
    let firmware = Firmware {
        board: name.clone(),
        parts: Parts::read(&built.elf, memory.stack.into())?,
        before: before.map(|tree| tree.measure(name)).transpose()?,
    };
    Ok(Some((figures, firmware)))
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

/// Another revision's files, in a git worktree that goes when this does. What
/// is built of it stays beside it, so that the next comparison is quick.
struct Tree {
    revision: String,
    folder: PathBuf,
}

impl Tree {
    fn check_out(revision: &str) -> Result<Self> {
        let folder = target_folder().join("compare").join("tree");
        // One that an interrupted run has left.
        Self::remove(&folder);
        git(
            &["worktree", "add", "--force", "--detach"],
            &folder,
            &[revision],
        )
        .with_context(|| format!("{revision} can not be checked out"))?;
        Ok(Self {
            revision: revision.to_owned(),
            folder,
        })
    }

    /// Builds and measures a board's program as it was in this revision;
    /// nothing of one that there was not.
    fn measure(&self, board: &str) -> Result<Parts> {
        let file = self.folder.join("boards").join(board).join("board.toml");
        if !file.is_file() {
            return Ok(Parts::default());
        }
        let program = Program::read(&file)?;
        let target = target_folder().join("compare").join("target");
        let built = compile(&program, None, &self.folder, &target, &tools::command)
            .with_context(|| format!("revision {}", self.revision))?;
        let stack = program.memory.map_or(0, |memory| memory.stack);
        Parts::read(&built.elf, stack.into())
    }

    fn remove(folder: &Path) {
        if folder.exists() && git(&["worktree", "remove", "--force"], folder, &[]).is_err() {
            eprintln!(
                "{} is left: `git worktree remove --force` takes it away",
                folder.display()
            );
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        Self::remove(&self.folder);
    }
}

fn git(words: &[&str], folder: &Path, more: &[&str]) -> Result<()> {
    let mut command: Command = tools::command("git")?;
    let output = command
        .current_dir(workspace())
        .args(words)
        .arg(folder)
        .args(more)
        .output()
        .context("git does not start")?;
    ensure!(
        output.status.success(),
        "git {}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
