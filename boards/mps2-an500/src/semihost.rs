//! Services of the emulator or the debug probe: files, the command line, the
//! exit status (Arm semihosting, ARM DUI 0471, chapter 8).
//!
//! The store of this board is a file of the host, since QEMU 7.2 emulates no SD
//! card for AN500. A product board has an SD or eMMC driver here.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::{fmt, slice};

use aligned::{A4, Aligned};
use block_device_driver::BlockDevice;
use cortex_m_semihosting::{nr, syscall};
use farrier_firmware::{BOARD_KEY_LEN, BoardKeys, KeyStore, NO_KEY, NotDurable};

const SECTOR: usize = 512;
const OPEN_READ: usize = 1;
const OPEN_READ_WRITE: usize = 3;
const OPEN_CREATE: usize = 7;

/// The host refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semihosting host refused")
    }
}

/// An open file of the host.
#[derive(Debug)]
pub struct File {
    handle: usize,
    length: u64,
}

impl File {
    /// Opens a file; `path` is cut at 127 bytes.
    fn open(path: &str, mode: usize) -> Result<Self, Refused> {
        let mut name = [0u8; 128];
        for (to, from) in name.iter_mut().take(127).zip(path.bytes()) {
            *to = from;
        }
        let block = [name.as_ptr() as usize, mode, path.len().min(127)];
        // SAFETY: the parameter block of SYS_OPEN is a pointer to a
        // NUL-terminated name, a mode, and the name's length.
        let handle = unsafe { syscall(nr::OPEN, &block) };
        if handle == usize::MAX {
            return Err(Refused);
        }
        // SAFETY: SYS_FLEN takes the handle.
        let length = unsafe { syscall(nr::FLEN, &[handle]) };
        Ok(Self {
            handle,
            // 32 bits of length: files over 4 GiB show as shorter.
            length: if length == usize::MAX {
                0
            } else {
                length as u64
            },
        })
    }

    /// Opens a store for reading and writing.
    pub fn open_store(path: &str) -> Result<Self, Refused> {
        Self::open(path, OPEN_READ_WRITE)
    }

    /// Creates a file, or empties an existing one.
    pub fn create(path: &str) -> Result<Self, Refused> {
        Self::open(path, OPEN_CREATE)
    }

    /// Its length in bytes when it was opened.
    pub fn len(&self) -> u64 {
        self.length
    }

    pub(crate) fn seek(&self, at: u64) -> Result<(), Refused> {
        let at = usize::try_from(at).map_err(|_| Refused)?;
        // SAFETY: SYS_SEEK takes the handle and an absolute position.
        match unsafe { syscall(nr::SEEK, &[self.handle, at]) } {
            0 => Ok(()),
            _ => Err(Refused),
        }
    }

    pub(crate) fn read_exact(&self, to: &mut [u8]) -> Result<(), Refused> {
        let block = [self.handle, to.as_mut_ptr() as usize, to.len()];
        // SAFETY: SYS_READ fills at most `len` bytes at the pointer, which
        // is `to`, borrowed for the call.
        match unsafe { syscall(nr::READ, &block) } {
            0 => Ok(()),
            _ => Err(Refused),
        }
    }

    pub(crate) fn write_all(&self, from: &[u8]) -> Result<(), Refused> {
        let block = [self.handle, from.as_ptr() as usize, from.len()];
        // SAFETY: SYS_WRITE reads `len` bytes at the pointer, which is
        // `from`.
        match unsafe { syscall(nr::WRITE, &block) } {
            0 => Ok(()),
            _ => Err(Refused),
        }
    }
}

impl BlockDevice<SECTOR> for File {
    type Error = Refused;
    type Align = A4;

    async fn read(
        &mut self,
        sector: u32,
        to: &mut [Aligned<A4, [u8; SECTOR]>],
    ) -> Result<(), Refused> {
        self.seek(u64::from(sector) * SECTOR as u64)?;
        self.read_exact(block_device_driver::blocks_to_slice_mut(to))
    }

    async fn write(
        &mut self,
        sector: u32,
        from: &[Aligned<A4, [u8; SECTOR]>],
    ) -> Result<(), Refused> {
        self.seek(u64::from(sector) * SECTOR as u64)?;
        self.write_all(block_device_driver::blocks_to_slice(from))
    }

    async fn size(&mut self) -> Result<u64, Refused> {
        Ok(self.length)
    }
}

/// Entropy out of the host's `/dev/urandom`. **For the emulator only**: it
/// is as good as the host, and a probe on Windows has none. A product board
/// has a generator of its own; a program that finds none must not run, since
/// its keys and tickets would be guessable.
#[derive(Debug)]
pub struct Entropy(File);

impl Entropy {
    /// Opens the host's source.
    pub fn open() -> Result<Self, Refused> {
        let file = File::open("/dev/urandom", OPEN_READ)?;
        SOURCE.store(file.handle, Ordering::Relaxed);
        Ok(Self(file))
    }
}

/// The handle of the host's source, for those who have no [`Entropy`].
static SOURCE: AtomicUsize = AtomicUsize::new(usize::MAX);

/// What `getrandom` asks on a board: the SSH client has its random numbers by it.
///
/// # Safety
/// `length` bytes from `to` on may be written, and are nobody else's.
// SAFETY: the name is getrandom's, and nobody else defines it.
#[unsafe(no_mangle)]
unsafe extern "Rust" fn __getrandom_v03_custom(
    to: *mut u8,
    length: usize,
) -> Result<(), getrandom::Error> {
    // SAFETY: the caller's promise; with zeros in them they are initialised.
    let bytes = unsafe {
        to.write_bytes(0, length);
        slice::from_raw_parts_mut(to, length)
    };
    let source = File {
        handle: SOURCE.load(Ordering::Relaxed),
        length: 0,
    };
    let read = source.read_exact(bytes);
    read.map_err(|Refused| getrandom::Error::UNEXPECTED)
}

impl farrier_core::rack::Entropy for Entropy {
    /// Fills `to`, or stops the program, which must not run without.
    fn fill(&mut self, to: &mut [u8]) {
        self.0
            .read_exact(to)
            .expect("host entropy was there at start");
    }
}

/// The board's keys that seal secrets in the journal, in a file of the host with
/// 64 bytes. A product board has them apart from the journal's chip: in the
/// microcontroller's own flash, or in its memory that a battery keeps.
#[derive(Debug)]
pub struct Keys(File);

impl Keys {
    /// Opens the file, or creates one without keys.
    pub fn open(path: &str) -> Result<Self, Refused> {
        if let Ok(file) = File::open_store(path)
            && file.len() == BOARD_KEY_LEN as u64 * 2
        {
            return Ok(Self(file));
        }
        let file = File::create(path)?;
        file.write_all([NO_KEY; 2].as_flattened())?;
        Ok(Self(file))
    }
}

impl KeyStore for Keys {
    async fn read_keys(&mut self) -> Result<BoardKeys, NotDurable> {
        let mut keys = [NO_KEY; 2];
        let sought = self.0.seek(0);
        let read = sought.and_then(|()| self.0.read_exact(keys.as_flattened_mut()));
        read.map(|()| keys).map_err(|_| NotDurable)
    }

    async fn write_key(
        &mut self,
        place: usize,
        key: &[u8; BOARD_KEY_LEN],
    ) -> Result<(), NotDurable> {
        let sought = self.0.seek((place * BOARD_KEY_LEN) as u64);
        let written = sought.and_then(|()| self.0.write_all(key));
        written.map_err(|_| NotDurable)
    }
}

/// The value of the word `key=value` on the command line, if there is one.
pub fn argument<'a>(key: &str, line: &'a mut [u8; 256]) -> Option<&'a str> {
    let mut block = [line.as_mut_ptr() as usize, line.len() - 1];
    // SAFETY: SYS_GET_CMDLINE writes at most `len` bytes at the pointer and
    // the length that it wrote into the block.
    let code = unsafe { cortex_m_semihosting::syscall1(nr::GET_CMDLINE, &raw mut block as usize) };
    if code != 0 {
        return None;
    }
    let length = line.iter().position(|byte| *byte == 0)?;
    let text = core::str::from_utf8(line.get(..length)?).ok()?;
    text.split(' ')
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

/// The semihosting console: text apart from the UART's log. It needs neither
/// interrupts nor `defmt`.
#[derive(Debug)]
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.as_bytes().chunks(64) {
            let mut line = [0u8; 65];
            line.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
            // SAFETY: SYS_WRITE0 reads from the pointer up to the first zero
            // byte; the last one always is.
            unsafe { cortex_m_semihosting::syscall1(nr::WRITE0, line.as_ptr() as usize) };
        }
        Ok(())
    }
}

/// Ends the program; the emulator exits with the status.
pub fn exit(ok: bool) -> ! {
    cortex_m_semihosting::debug::exit(if ok { Ok(()) } else { Err(()) });
    loop {
        cortex_m::asm::wfi();
    }
}
