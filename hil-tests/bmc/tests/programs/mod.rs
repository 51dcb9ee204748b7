//! Outside programs that tests need. Where one is absent a test says so and what
//! brings it, and passes: `cargo xtask test` makes sure of them before it begins.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// The path of a program.
pub fn find(name: &str) -> Option<String> {
    let mut paths = FOLDERS.iter().map(|folder| format!("{folder}/{name}"));
    paths.find(|path| Path::new(path).exists())
}

/// Whether all of these are there, each given with the Debian package that brings it.
pub fn are_there(programs: &[(&str, &str)]) -> bool {
    let absent = programs.iter().find(|(name, _)| find(name).is_none());
    if let Some((name, package)) = absent {
        println!("skipped: {name} is absent: apt-get install {package}");
    }
    absent.is_none()
}

/// Runs a program to its end, or for a minute, with this input. Gives what it has
/// printed on both streams, and whether it succeeded.
pub fn run(program: &str, arguments: &[&str], input: &[(u64, &str)]) -> (bool, String) {
    let path = find(program).unwrap_or(program.to_owned());
    let mut child = Command::new("timeout")
        .args(["60", &path])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for (pause_ms, text) in input {
        std::thread::sleep(Duration::from_millis(*pause_ms));
        // It may have ended already; what it printed says why.
        drop(stdin.write_all(text.as_bytes()));
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    (output.status.success(), printed)
}
