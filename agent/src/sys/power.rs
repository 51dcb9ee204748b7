//! The end of a boot.

use std::time::Duration;

use farrier_protocol::message::FinalReport;
use rustix::system::{RebootCommand, reboot};

use super::console::say;

/// Reboots or powers off; returns only where the kernel refuses.
pub fn leave(farewell: FinalReport) {
    let (text, command) = match farewell {
        FinalReport::Reboot => ("rebooting", RebootCommand::Restart),
        FinalReport::PowerOff => ("powering off", RebootCommand::PowerOff),
    };
    say(text);
    // No `sync` before it: disks are written past the cache and flushed by
    // who wrote them, and a disk that hangs would hang it as well.
    if let Err(error) = reboot(command) {
        say(&format!("the kernel refuses: {error}"));
    }
}

/// Reboots after `delay`, whatever happens: the end of a boot that can't go
/// on. A person has the delay to read why.
pub fn give_up(why: &str, delay: Duration) -> ! {
    say(&format!("{why}; rebooting in {} s", delay.as_secs()));
    loop {
        std::thread::sleep(delay);
        leave(FinalReport::Reboot);
    }
}
