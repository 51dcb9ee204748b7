//! Loads the kernel modules that the machine's devices ask for: first for
//! all devices that are there, then for those that the kernel announces.

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

use super::console::say;
use super::text;
use crate::engine::modules::{ModuleIndex, parameters};

/// Silence after which devices count as discovered, for now.
const QUIET: Duration = Duration::from_millis(300);
/// The kernel's own multicast group of announcements.
const KERNEL_GROUP: u32 = 1;
/// Deepest folder below `/sys/devices` that is looked into.
const MAX_DEPTH: usize = 24;

/// Whether the machine's devices have settled.
#[derive(Debug, Default)]
pub struct Settling {
    settled: Mutex<bool>,
    changed: Condvar,
}

impl Settling {
    /// Waits until nothing new was announced for a while, at most until
    /// `deadline`; says whether it came to that.
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

/// Starts the thread that loads modules, for as long as the machine runs.
///
/// # Errors
/// The thread can't be started.
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
    // Opened before the walk, so that nothing falls in between.
    let announcements = listen();
    if let Err(error) = &announcements {
        say(&format!("can't hear the kernel's announcements: {error}"));
    }
    let mut loader = Loader::new();
    loader.walk();
    loop {
        match announcements.as_ref().ok().map(next) {
            Some(Ok(Some(alias))) => {
                if loader.is_news(&alias) {
                    settling.set(false);
                    loader.load_for(&alias);
                }
            }
            Some(Ok(None)) => settling.set(true),
            // Announcements were lost, or can't be had: look at everything.
            Some(Err(_)) | None => {
                std::thread::sleep(QUIET);
                let before = loader.loaded.len();
                loader.walk();
                settling.set(loader.loaded.len() == before);
            }
        }
    }
}

fn listen() -> rustix::io::Result<OwnedFd> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(netlink::KOBJECT_UEVENT),
    )?;
    // A machine's start is a flood.
    sockopt::set_socket_recv_buffer_size(&socket, 1 << 20)?;
    bind(&socket, &netlink::SocketAddrNetlink::new(0, KERNEL_GROUP))?;
    Ok(socket)
}

/// The alias of the next announcement, empty where it has none; `None` after
/// [`QUIET`].
fn next(socket: &OwnedFd) -> rustix::io::Result<Option<String>> {
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
        Err(Errno::AGAIN | Errno::INTR) => return Ok(Some(String::new())),
        Err(error) => return Err(error),
    };
    // KeyValues of name and value, each with a zero behind it.
    let alias = buffer
        .get(..length)
        .unwrap_or_default()
        .split(|&byte| byte == 0)
        .find_map(|pair| pair.strip_prefix(b"MODALIAS="))
        .unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(alias).into_owned()))
}

struct Loader {
    folder: PathBuf,
    index: ModuleIndex,
    /// The kernel command line, which may hold parameters of modules.
    cmdline: String,
    /// Aliases that were dealt with.
    seen: HashSet<String>,
    /// Files that were dealt with.
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

    /// Loads for every device below `/sys/devices`.
    fn walk(&mut self) {
        let mut aliases = Vec::new();
        collect(Path::new("/sys/devices"), 0, &mut aliases);
        // Network interfaces first: the address can be asked for while disks
        // are still coming up.
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
                    // Some drivers look whether their hardware is there and
                    // go away again.
                    Errno::NODEV => "no device".into(),
                    error => error.to_string(),
                })
            });
        match result {
            Ok(()) if parameters.is_empty() => say(&format!("module {name}")),
            Ok(()) => say(&format!("module {name} {parameters}")),
            Err(why) if why.is_empty() => {}
            Err(why) => say(&format!("module {name} does not load: {why}")),
        }
    }
}

/// PCI class 2, or a virtio network device.
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
