//! Outside programs that tests need. Where one is absent a test says so and what
//! brings it, and passes: `cargo xtask test` makes sure of them before it begins.

use std::path::Path;

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
