//! Loads the kernel modules of the server's devices: first for all devices in
//! sysfs, then for those that the kernel announces (uevents).

use std::collections::HashSet;
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SocketFlags, SocketType, bind, netlink, recv, socket_with, sockopt,
};
use rustix::system::{finit_module, uname};

use super::console::log;
use super::{hardware, text};
use crate::engine::modules::{ModuleIndex, parameters};
use crate::engine::settle::Settle;

/// How long to wait for a uevent.
const QUIET: Duration = Duration::from_millis(300);
/// How often the devices are listed.
const LIST: Duration = Duration::from_secs(1);
/// The multicast group of the kernel's uevents.
const KERNEL_GROUP: u32 = 1;
/// Depth limit of the search below `/sys/devices`.
const MAX_DEPTH: usize = 24;

/// Whether device discovery is complete.
#[derive(Debug, Default)]
pub struct Settling {
    settled: Mutex<bool>,
    changed: Condvar,
}

impl Settling {
    /// Waits until device discovery is complete or until `deadline`. Returns
    /// whether it is complete.
    pub fn wait(&self, deadline: Instant) -> bool {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        while !*settled {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            settled = self
                .changed
                .wait_timeout(settled, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(guard, _)| guard);
        }
        true
    }

    fn set(&self, value: bool) {
        *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = value;
        self.changed.notify_all();
    }
}

/// Starts the thread that loads modules.
///
/// # Errors
/// The thread can't start.
pub fn spawn() -> std::io::Result<Arc<Settling>> {
    let settling = Arc::new(Settling::default());
    let shared = Arc::clone(&settling);
    std::thread::Builder::new()
        .name("modules".into())
        .stack_size(crate::STACK)
        .spawn(move || run(&shared))?;
    Ok(settling)
}

fn run(settling: &Settling) {
    // Opens the socket before the search, so that it misses no device.
    let announcements = listen();
    if let Err(error) = &announcements {
        log(&format!("can't receive uevents: {error}"));
    }
    let mut loader = Loader::new();
    loader.walk();
    let mut settle = Settle::new(Instant::now());
    let mut listed: Option<Instant> = None;
    loop {
        match announcements.as_ref().ok().map(next) {
            Some(Ok(Some(Announcement { added, alias }))) => {
                if added {
                    settling.set(false);
                    if loader.is_news(&alias) {
                        loader.load_for(&alias);
                    }
                    settle.disturbed(Instant::now());
                }
            }
            Some(Ok(None)) => {}
            // Uevents were lost: what they said is looked for in sysfs.
            Some(Err(_)) => {
                settling.set(false);
                std::thread::sleep(QUIET);
                loader.walk();
                settle.disturbed(Instant::now());
            }
            // There are none at all: listings alone tell what is new.
            None => {
                std::thread::sleep(QUIET);
                let before = loader.loaded.len();
                loader.walk();
                if loader.loaded.len() != before {
                    settle.disturbed(Instant::now());
                }
            }
        }
        if listed.is_none_or(|last| last.elapsed() >= LIST) {
            settle.listed(Instant::now(), hardware::listing());
            listed = Some(Instant::now());
        }
        settling.set(settle.is_complete(Instant::now()));
    }
}

fn listen() -> rustix::io::Result<OwnedFd> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::KOBJECT_UEVENT),
    )?;
    // The kernel sends many uevents at its start.
    sockopt::set_socket_recv_buffer_size(&socket, 1 << 20)?;
    bind(&socket, &netlink::SocketAddrNetlink::new(0, KERNEL_GROUP))?;
    Ok(socket)
}

/// A uevent.
struct Announcement {
    /// A device is new, or a driver was bound to it. Devices that are there send
    /// other uevents all the time.
    added: bool,
    /// The alias, empty if there is none.
    alias: String,
}

/// Returns the next uevent, `None` after [`QUIET`].
fn next(socket: &OwnedFd) -> rustix::io::Result<Option<Announcement>> {
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: i64::from(QUIET.subsec_nanos()),
    };
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout)) {
        Ok(0) => return Ok(None),
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error),
    }
    let mut buffer = [0; 4096];
    let (length, _) = match recv(socket, &mut buffer[..], RecvFlags::DONTWAIT) {
        Ok(received) => received,
        Err(Errno::AGAIN | Errno::INTR) => {
            return Ok(Some(Announcement {
                added: false,
                alias: String::new(),
            }));
        }
        Err(error) => return Err(error),
    };
    // `ACTION@PATH`, then pairs of name and value, each with a NUL behind it.
    let bytes = buffer.get(..length).unwrap_or_default();
    let added = [&b"add@"[..], b"bind@"]
        .iter()
        .any(|action| bytes.starts_with(action));
    let alias = bytes
        .split(|&byte| byte == 0)
        .find_map(|pair| pair.strip_prefix(b"MODALIAS="))
        .unwrap_or_default();
    Ok(Some(Announcement {
        added,
        alias: String::from_utf8_lossy(alias).into_owned(),
    }))
}

struct Loader {
    folder: PathBuf,
    index: ModuleIndex,
    /// The kernel command line, for the parameters of modules.
    cmdline: String,
    /// Aliases that were processed.
    seen: HashSet<String>,
    /// Files that were processed.
    loaded: HashSet<String>,
}

impl Loader {
    fn new() -> Self {
        let release = uname().release().to_string_lossy().into_owned();
        let folder = Path::new("/lib/modules").join(release);
        let index = ModuleIndex::parse(
            &text(folder.join("modules.alias")),
            &text(folder.join("modules.dep")),
            &text(folder.join("modules.softdep")),
        );
        Self {
            folder,
            index,
            cmdline: text("/proc/cmdline"),
            seen: HashSet::new(),
            loaded: HashSet::new(),
        }
    }

    fn is_news(&self, alias: &str) -> bool {
        !alias.is_empty() && !self.seen.contains(alias)
    }

    /// Loads the modules of every device below `/sys/devices`.
    fn walk(&mut self) {
        let mut aliases = Vec::new();
        collect(Path::new("/sys/devices"), 0, &mut aliases);
        // Network interfaces first: DHCP runs while the disks initialise.
        aliases.sort_by_key(|alias| !is_network(alias));
        for alias in aliases {
            if self.is_news(&alias) {
                self.load_for(&alias);
            }
        }
    }

    fn load_for(&mut self, alias: &str) {
        self.seen.insert(alias.into());
        let mut files: Vec<String> = Vec::new();
        for module in self.index.modules_for(alias) {
            files.extend(
                self.index
                    .load_order(module)
                    .iter()
                    .map(|file| (*file).into()),
            );
        }
        for file in files {
            if self.loaded.insert(file.clone()) {
                self.load(&file);
            }
        }
    }

    fn load(&self, file: &str) {
        let name = file.rsplit('/').next().unwrap_or(file);
        let parameters = parameters(&self.cmdline, name.split('.').next().unwrap_or(name));
        let result = File::open(self.folder.join(file))
            .map_err(|error| error.to_string())
            .and_then(|opened| {
                let given = CString::new(&*parameters).map_err(|error| error.to_string())?;
                finit_module(&opened, &given, 0).map_err(|error| match error {
                    Errno::EXIST => String::new(),
                    // The driver found none of its hardware.
                    Errno::NODEV => "no device".into(),
                    error => error.to_string(),
                })
            });
        match result {
            Ok(()) if parameters.is_empty() => log(&format!("module {name}")),
            Ok(()) => log(&format!("module {name} {parameters}")),
            Err(why) if why.is_empty() => {}
            Err(why) => log(&format!("can't load module {name}: {why}")),
        }
    }
}

/// Returns whether the alias has PCI class 2 or is a virtio network device.
fn is_network(alias: &str) -> bool {
    alias.starts_with("virtio:d00000001v") || (alias.starts_with("pci:") && alias.contains("bc02"))
}

fn collect(folder: &Path, depth: usize, aliases: &mut Vec<String>) {
    if depth > MAX_DEPTH {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), depth + 1, aliases),
            Ok(kind) if kind.is_file() && entry.file_name() == "modalias" => {
                aliases.push(text(entry.path()).trim().into());
            }
            _ => {}
        }
    }
}
