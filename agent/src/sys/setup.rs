//! The duties of PID 1: mounts, console, panic hook, exit codes of orphans.

use std::ffi::CStr;
use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, wait};

use super::{console, power};

/// Message of the first panic of this boot.
static FAULT: OnceLock<String> = OnceLock::new();
/// Time from a panic to the reboot. The agent reports the panic meanwhile.
const FAULT_PAUSE: Duration = Duration::from_secs(15);

/// Mounts the kernel's file systems and opens the console. Mounts that exist
/// stay.
pub fn mount_all() {
    let plain = MountFlags::NOSUID | MountFlags::NOEXEC;
    for (source, target, kind, flags, data) in [
        (
            "devtmpfs",
            "/dev",
            "devtmpfs",
            MountFlags::NOSUID,
            c"mode=0755",
        ),
        ("proc", "/proc", "proc", plain, c""),
        ("sysfs", "/sys", "sysfs", plain, c""),
        ("tmpfs", "/run", "tmpfs", plain, c"size=1m,mode=0755"),
    ] {
        let made = fs::create_dir_all(target);
        let mounted = mount(source, target, kind, flags, data as &CStr);
        if target == "/dev" {
            console::open();
        }
        match (made, mounted) {
            (_, Ok(()) | Err(rustix::io::Errno::BUSY)) => {}
            (made, Err(error)) => {
                console::log(&format!("can't mount {target}: {error} ({made:?})"));
            }
        }
    }
}

/// Installs a panic hook that logs the panic, stores it for [`fault`], and
/// reboots after a delay. The hook does not return: if the main thread ended,
/// PID 1 would end. Other threads report the panic during the delay.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        console::log(&format!("panic: {info}"));
        FAULT.get_or_init(|| format!("the agent panicked: {info}"));
        power::reboot_after("the agent panicked", FAULT_PAUSE);
    }));
}

/// Returns the message of the first panic of this boot.
pub fn fault() -> Option<String> {
    FAULT.get().cloned()
}

/// Collects the exit codes of orphaned processes.
pub fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}
