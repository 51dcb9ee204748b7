//! The first steps of PID 1: file systems, console, signals' leftovers.

use std::ffi::CStr;
use std::fs;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, wait};

use super::{console, power};

/// The first panic of this boot.
static FAULT: OnceLock<String> = OnceLock::new();
/// From a panic to the reboot: time to report it and to read it.
const FAULT_PAUSE: Duration = Duration::from_secs(15);

/// Mounts what the kernel offers and opens the console. What is mounted
/// already stays.
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
                console::say(&format!("can't mount {target}: {error} ({made:?})"));
            }
        }
    }
}

/// Makes a panic visible and the machine usable again. The thread that it
/// happened in never leaves the hook, since its end would be the end of PID 1;
/// the others have a while to report it before the machine reboots.
pub fn install_panic_hook() {
    std::panic::set_hook(Box::new(|info| {
        console::say(&format!("fault: {info}"));
        FAULT.get_or_init(|| format!("fault of the agent: {info}"));
        power::give_up("the agent has a fault", FAULT_PAUSE);
    }));
}

/// The first panic of this boot, where there was one.
pub fn fault() -> Option<String> {
    FAULT.get().cloned()
}

/// Takes the exit codes of processes that were handed down to PID 1.
pub fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}
