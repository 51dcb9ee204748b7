//! Reboot and power-off.

use std::time::Duration;

use farrier_protocol::message::FinalReport;
use rustix::system::{RebootCommand, reboot};

use super::console::log;

/// Reboots or powers off. Returns only if the kernel refuses.
pub fn leave(report: FinalReport) {
    let (text, command) = match report {
        FinalReport::Reboot => ("rebooting", RebootCommand::Restart),
        FinalReport::PowerOff => ("powering off", RebootCommand::PowerOff),
    };
    log(text);
    // No `sync`: the operations write past the page cache and flush the
    // disks, and a disk that hangs would block `sync`.
    if let Err(error) = reboot(command) {
        log(&format!(
            "the kernel refused to reboot or power off: {error}"
        ));
    }
}

/// Logs `why` and reboots after `delay`. The delay lets the operator read the
/// console.
pub fn reboot_after(why: &str, delay: Duration) -> ! {
    log(&format!("{why}; rebooting in {} s", delay.as_secs()));
    loop {
        std::thread::sleep(delay);
        leave(FinalReport::Reboot);
    }
}
