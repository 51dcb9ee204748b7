//! Rigs and scenarios: a virtual rack of QEMU machines and a switch.
//!
//! [`switch`] joins everything, [`port_forward`] lets localhost in, [`qemu`] holds
//! the machines, [`disk`] reads what they left behind, and [`scenario`] is
//! the vocabulary in which a test tells what it does to a rack and what it
//! expects. [`job`] is the main job of one server, [`scenarios`] are the
//! stories that are told with all that. [`bench`] counts the appliance's
//! instructions. No policy of the product lives here.
//!
//! The library starts no outside program but through the [`Tools`] that it is
//! given, so a missing installation step can't hide in it.

use std::process::Command;
use std::sync::Arc;

pub mod bench;
pub mod console;
pub mod disk;
pub mod job;
pub mod port_forward;
mod process;
pub mod qemu;
pub mod scenario;
pub mod scenarios;
pub mod switch;

/// Makes the command for an outside program, by its name (`qemu-system-x86_64`,
/// `qemu-system-arm`, `setpriv`), or finds an installed data file, by its
/// absolute path, as the program of the command. Or says how to install it.
pub type Tools = Arc<dyn Fn(&str) -> anyhow::Result<Command> + Send + Sync>;

/// [`Tools`], printable: a closure has nothing to show.
#[derive(Clone)]
struct Toolbox(Tools);

impl std::fmt::Debug for Toolbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tools")
    }
}
