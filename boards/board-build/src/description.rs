//! The fields of `board.toml`. A key that is not listed here is an error, so
//! that a misspelt one is not passed over.

use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

use serde::Deserialize;

/// One board, as its `board.toml` describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Name and program.
    pub board: Name,
    /// Memory map and budgets; a process on a host has none.
    pub memory: Option<Memory>,
    /// System clock.
    pub clock: Option<Clock>,
    /// Serial port of the console.
    pub uart: Option<Uart>,
    /// Timer of the clock driver.
    pub timer: Option<Timer>,
    /// Watchdog.
    pub watchdog: Option<WatchdogTimer>,
    /// Ethernet controller.
    pub nic: Option<Nic>,
    /// Block device of the asset store.
    pub store: Option<Store>,
    /// Flash of the journal.
    pub journal: Journal,
    /// Entries of tables.
    pub tables: Tables,
    /// Lengths of queues.
    pub queues: Queues,
    /// Bytes of buffers.
    pub buffers: Buffers,
    /// Sizes inside the network stack.
    pub stack: Stack,
    /// How the program is started without hardware.
    pub emulator: Option<Emulator>,
    /// The file that this was read from.
    #[serde(skip)]
    pub file: PathBuf,
    /// The overlay whose values replace some of the file's: then this is not
    /// what ships.
    #[serde(skip)]
    pub overlay: Option<PathBuf>,
}

/// What it takes to build and to measure a board's program. Other sections
/// are not looked at, so that a `board.toml` of another revision reads.
#[derive(Debug, Clone, Deserialize)]
pub struct Program {
    /// Name and program.
    pub board: Name,
    /// Memory map and budgets; a process on a host has none.
    pub memory: Option<Memory>,
    /// Sizes inside the network stack; `.cargo/config.toml` has them where
    /// this is missing.
    pub stack: Option<Stack>,
}

impl Program {
    /// Reads this part of a `board.toml`.
    ///
    /// # Errors
    /// The file can not be read, or a field is missing.
    pub fn read(file: &Path) -> Result<Self, Error> {
        let table = table(file)?;
        let wrong = |error| Error::Parse(file.to_owned(), error);
        table.try_into().map_err(wrong)
    }
}

/// Names of a board, and how its program is compiled.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Name {
    /// The board's name, which is its folder's.
    pub name: String,
    /// The package that is its program.
    pub package: String,
    /// One line for a list of boards.
    pub description: String,
    /// The processor, where the board has a certain one.
    pub chip: Option<String>,
    /// Rust target triple; `host` for a process on this machine.
    pub target: String,
    /// Cargo profile.
    pub profile: String,
    /// `--cfg` arguments for the compiler.
    #[serde(default)]
    pub cfg: Vec<String>,
}

/// Memory of a bare-metal board: addresses and bytes.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Where the program's flash begins.
    pub flash_origin: u32,
    /// Where the RAM begins.
    pub ram_origin: u32,
    /// Most that the program may take of the flash.
    pub flash_budget: u32,
    /// Most RAM: statics and stack.
    pub ram_budget: u32,
    /// The stack's share of the RAM.
    pub stack: u32,
}

/// System clock.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Hertz.
    pub hz: u32,
}

/// Serial port of the console.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uart {
    /// Address of its registers.
    pub base: u32,
    /// Bits per second.
    pub baud: u32,
}

/// Timer of the clock driver.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timer {
    /// Address of its registers.
    pub base: u32,
    /// Interrupt number.
    pub irq: u16,
}

/// Watchdog.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchdogTimer {
    /// Address of its registers.
    pub base: u32,
}

/// Ethernet controller.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// The driver's crate, without its prefix.
    pub driver: String,
    /// Address of its registers.
    pub base: u32,
    /// Interrupt number.
    pub irq: u16,
    /// Hardware address, six hexadecimal bytes with colons between.
    pub mac: String,
}

impl Nic {
    /// The bytes of the hardware address.
    ///
    /// # Errors
    /// [`Error::Invalid`] when [`Self::mac`] is none.
    pub fn mac(&self) -> Result<[u8; 6], Error> {
        let bytes: Option<Vec<u8>> = self
            .mac
            .split(':')
            .map(|byte| u8::from_str_radix(byte, 16).ok())
            .collect();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| Error::Invalid(format!("nic.mac: {} is no hardware address", self.mac)))
    }
}

/// Block device of the asset store.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// What it is: `semihosting` for a file of the debugger's host.
    pub kind: String,
    /// The file, unless the command line names another.
    pub file: String,
}

/// Flash of the journal.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Address, where it is mapped into memory.
    pub base: Option<u32>,
    /// Bytes.
    pub size: usize,
    /// Bytes that are erased at once.
    pub sector: usize,
    /// Bytes that are programmed at once.
    pub word: usize,
}

/// Entries of tables.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tables {
    /// Servers in the rack.
    pub nodes: usize,
    /// DHCP leases.
    pub leases: usize,
    /// Disks of all servers together.
    pub disks: usize,
    /// Of these, disks that each server always finds room for; a server of more takes
    /// what is left beyond the shares of all.
    pub disk_share: usize,
    /// Tenant networks.
    pub networks: usize,
    /// Reserved addresses of all networks together.
    pub reservations: usize,
    /// Switches.
    pub switches: usize,
    /// Ports of switches that interfaces of nodes are in.
    pub switch_ports: usize,
    /// Images in the catalogue.
    pub images: usize,
    /// Flavors.
    pub flavors: usize,
    /// Bytes of the string pool: names, reasons, traits, driver info.
    pub string_pool: usize,
    /// State changes that each node's history keeps.
    pub history: usize,
    /// Reports of agents that are reassembled at once.
    pub reassemblies: usize,
    /// Machines that boot from the network and are no nodes.
    pub strangers: usize,
    /// TFTP transfers at once.
    pub tftp_transfers: usize,
    /// HTTP connections at once.
    pub http_connections: usize,
    /// Accounts of operators.
    pub accounts: usize,
    /// Clients whose password was checked, and is not checked again.
    pub sessions: usize,
    /// Sources whose failed logins are remembered.
    pub login_sources: usize,
    /// Requests of the API at once that only read.
    pub api_readers: usize,
}

/// Lengths of queues.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queues {
    /// DHCP messages that wait for the controller.
    pub dhcp_datagrams: usize,
    /// Datagrams of agents that wait for the controller.
    pub agent_datagrams: usize,
    /// Datagrams of raw UDP that wait for the network driver.
    pub replies: usize,
    /// Requests for a file that wait for the controller.
    pub files: usize,
    /// Power requests that wait for the power driver.
    pub power: usize,
    /// Operations on ports of switches that wait for their driver.
    pub switch: usize,
    /// Results and observations of drivers that wait for the controller.
    pub driver_events: usize,
    /// Reports of agents that wait for the block device.
    pub reports: usize,
    /// TFTP requests that wait for the listener.
    pub tftp_requests: usize,
    /// TFTP requests that wait for a transfer's place.
    pub tftp_waiting: usize,
    /// TCP connections that wait for a place of the HTTP server.
    pub http_waiting: usize,
}

/// Bytes of buffers.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Buffers {
    /// TCP receive buffer of a HTTP connection.
    pub http_receive: usize,
    /// TCP send buffer of a HTTP connection.
    pub http_send: usize,
    /// Longest request head of a HTTP connection, and longest text that is
    /// made for it.
    pub http_head: usize,
    /// Longest block of a TFTP transfer.
    pub tftp_block: usize,
    /// Receive buffer of a TFTP transfer.
    pub tftp_receive: usize,
    /// Receive buffer of the TFTP listener.
    pub tftp_listener: usize,
    /// TCP receive buffer of the connection to a switch.
    pub switch_receive: usize,
    /// TCP send buffer of that connection.
    pub switch_send: usize,
    /// Bytes that one read of the asset store yields.
    pub store: usize,
}

/// Sizes inside the network stack.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stack {
    /// Entries of the ARP cache.
    pub neighbors: usize,
    /// IP packets that are reassembled at once.
    pub fragmented_packets: usize,
    /// Out-of-order holes that a TCP connection remembers.
    pub tcp_holes: usize,
}

impl Stack {
    /// The environment variables by which smoltcp takes its sizes when it is
    /// compiled.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 3] {
        [
            ("SMOLTCP_IFACE_NEIGHBOR_CACHE_COUNT", self.neighbors),
            ("SMOLTCP_REASSEMBLY_BUFFER_COUNT", self.fragmented_packets),
            ("SMOLTCP_ASSEMBLER_MAX_SEGMENT_COUNT", self.tcp_holes),
        ]
        .map(|(name, value)| (name, value.to_string()))
    }
}

/// A program that stands in for the hardware.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Emulator {
    /// Program; `{elf}` when the firmware is a process of its own.
    pub program: String,
    /// The Debian package that has the program.
    pub package: Option<String>,
    /// Its arguments, with `{elf}`, `{store}` and `{switch}` in them.
    pub arguments: Vec<String>,
}

/// Why there is no description.
#[derive(Debug)]
pub enum Error {
    /// A file or folder can not be read.
    Read(PathBuf, io::Error),
    /// A file is no TOML, or its fields are not those above.
    Parse(PathBuf, toml::de::Error),
    /// An overlay has a section that the board has not.
    Section(PathBuf, String),
    /// A value makes no sense.
    Invalid(String),
    /// No board fits a build, or several do.
    Selection(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Parse(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Section(path, name) => {
                write!(f, "{}: board.toml has no section {name}", path.display())
            }
            Self::Invalid(what) | Self::Selection(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {}

impl Board {
    /// The paths of all `FOLDER/*/board.toml`, sorted.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn files(folder: &Path) -> Result<Vec<PathBuf>, Error> {
        let failed = |error| Error::Read(folder.to_owned(), error);
        let mut files = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let file = entry.map_err(failed)?.path().join("board.toml");
            if file.is_file() {
                files.push(file);
            }
        }
        files.sort();
        Ok(files)
    }

    /// All boards of a folder, sorted by name.
    ///
    /// # Errors
    /// The first file that is wrong.
    pub fn all(folder: &Path) -> Result<Vec<Self>, Error> {
        let files = Self::files(folder)?;
        files.iter().map(|file| Self::read(file)).collect()
    }

    /// Reads one `board.toml`.
    ///
    /// # Errors
    /// It can not be read, or a field is missing, unknown or senseless.
    pub fn read(file: &Path) -> Result<Self, Error> {
        Self::from_table(table(file)?, file, None)
    }

    /// The same board with the values of another file in place of its own.
    ///
    /// # Errors
    /// As [`Self::read`]; and the overlay has a section that the board has
    /// not.
    pub fn with_overlay(&self, overlay: &Path) -> Result<Self, Error> {
        let mut own = table(&self.file)?;
        for (section, values) in table(overlay)? {
            let known = own.get_mut(&section).and_then(toml::Value::as_table_mut);
            match (known, values) {
                (Some(known), toml::Value::Table(values)) => known.extend(values),
                _ => return Err(Error::Section(overlay.to_owned(), section)),
            }
        }
        Self::from_table(own, &self.file, Some(overlay))
    }

    fn from_table(table: toml::Table, file: &Path, overlay: Option<&Path>) -> Result<Self, Error> {
        let wrong = |error| Error::Parse(overlay.unwrap_or(file).to_owned(), error);
        let mut board: Self = table.try_into().map_err(wrong)?;
        board.file = file.to_owned();
        board.overlay = overlay.map(Path::to_owned);
        board.check()?;
        Ok(board)
    }

    /// What the types of the fields do not say. Whether a number fits the
    /// table that it sizes, the crate with the table asserts.
    fn check(&self) -> Result<(), Error> {
        let invalid = |what: &str| Err(Error::Invalid(format!("{}: {what}", self.file.display())));
        let folder = self.file.parent().and_then(Path::file_name);
        if folder.is_none_or(|folder| folder != self.board.name.as_str()) {
            return invalid("board.name is not the folder's name");
        }
        if let Some(memory) = &self.memory
            && memory.stack >= memory.ram_budget
        {
            return invalid("memory.stack leaves nothing of memory.ram_budget");
        }
        if let Some(nic) = &self.nic {
            nic.mac()?;
        }
        let tables = &self.tables;
        if tables.disk_share.saturating_mul(tables.nodes) > tables.disks {
            return invalid("tables.disks has no room for tables.disk_share of every node");
        }
        let journal = &self.journal;
        if journal.sector == 0 || !journal.size.is_multiple_of(journal.sector) {
            return invalid("journal.size is no multiple of journal.sector");
        }
        Ok(())
    }
}

fn table(file: &Path) -> Result<toml::Table, Error> {
    let text = fs::read_to_string(file).map_err(|error| Error::Read(file.to_owned(), error))?;
    text.parse()
        .map_err(|error| Error::Parse(file.to_owned(), error))
}
