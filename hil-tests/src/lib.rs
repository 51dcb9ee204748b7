//! Rigs and scenarios: a virtual rack of QEMU machines and a switch.
//!
//! [`switch`] connects everything, [`port_forward`] leads from localhost to
//! the appliance, [`qemu`] runs whole machines and [`light`] plays machines
//! without QEMU, [`server`] is either of them, [`disk`] reads what they left.
//! [`folder`] removes their files when the program ends. [`hostile`] takes
//! more than its share.
//! [`scenario`] builds a rack of them, [`job`] is the main job of one server,
//! and [`scenarios`] are the tests that use all that. [`bench`] counts the
//! appliance's instructions. No policy of the product lives here.
//!
//! The library starts no outside program but through the [`Tools`] that it is
//! given, so a missing installation step can't hide in it.

use std::process::Command;
use std::sync::Arc;

pub mod bench;
pub mod console;
pub mod disk;
pub mod folder;
pub mod hostile;
pub mod job;
pub mod light;
pub mod managed;
pub mod namespace;
pub mod port_forward;
mod process;
pub mod qemu;
pub mod scenario;
pub mod scenarios;
pub mod server;
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
