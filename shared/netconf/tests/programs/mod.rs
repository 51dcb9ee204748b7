//! Outside programs that tests need. Where one is absent a test says so and what
//! brings it, and passes: `cargo xtask test` makes sure of them before it begins.

use std::path::Path;
use std::process::{Command, Stdio};

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

/// A Python that has ncclient: that of the variable `PYTHON`, else `python3`. No Debian
/// package of the release that is tested against brings it.
pub fn python_with_ncclient() -> Option<String> {
    let python = std::env::var("PYTHON").unwrap_or("python3".into());
    let mut command = Command::new(&python);
    command.args(["-c", "import ncclient"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let has = command.status().is_ok_and(|status| status.success());
    if !has {
        println!("skipped: {python} has no ncclient: pip install ncclient==0.7.1, PYTHON=…");
    }
    has.then_some(python)
}
