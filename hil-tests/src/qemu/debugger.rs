//! The least of a debugger: changes registers and memory of an emulated board
//! through QEMU's stub of the GDB remote protocol.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Number of the program counter of an Arm processor.
const PC: u8 = 15;

/// A connection to the stub. The board stands still until it is dropped.
#[derive(Debug)]
pub struct Debugger(UnixStream);

impl Debugger {
    /// Connects to the stub at a Unix socket, which stops the board.
    ///
    /// # Errors
    /// There is none.
    pub fn attach(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("no debugger stub at {}", socket.display()))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut debugger = Self(stream);
        debugger.ask("?")?;
        // Only who has read what registers there are may ask for one.
        debugger.ask("qXfer:features:read:target.xml:0,ffb")?;
        Ok(debugger)
    }

    /// The program counter.
    ///
    /// # Errors
    /// The stub does not answer.
    pub fn program_counter(&mut self) -> Result<u32> {
        let text = self.ask(&format!("p{PC:x}"))?;
        let bytes =
            u32::from_str_radix(&text, 16).with_context(|| format!("no register: {text}"))?;
        Ok(bytes.swap_bytes())
    }

    /// Sets the program counter.
    ///
    /// # Errors
    /// The stub refuses.
    pub fn jump(&mut self, to: u32) -> Result<()> {
        self.order(&format!("P{PC:x}={:08x}", to.swap_bytes()))
    }

    /// Writes a halfword into memory.
    ///
    /// # Errors
    /// The stub refuses.
    pub fn poke(&mut self, at: u32, halfword: u16) -> Result<()> {
        self.order(&format!("M{at:x},2:{:04x}", halfword.swap_bytes()))
    }

    /// Lets the board go on.
    ///
    /// # Errors
    /// The stub refuses.
    pub fn detach(mut self) -> Result<()> {
        self.order("D")
    }

    fn order(&mut self, command: &str) -> Result<()> {
        match self.ask(command)?.as_str() {
            "OK" => Ok(()),
            answer => bail!("the debugger stub answers {command} with {answer:?}"),
        }
    }

    /// Sends a packet and waits for the answer's payload.
    fn ask(&mut self, command: &str) -> Result<String> {
        let sum = command.bytes().fold(0_u8, u8::wrapping_add);
        write!(self.0, "${command}#{sum:02x}")?;
        loop {
            let answer = self.packet()?;
            // The stub reports the stop by itself too.
            if command == "?" || !answer.starts_with('T') {
                return Ok(answer);
            }
        }
    }

    /// The payload of the next packet.
    fn packet(&mut self) -> Result<String> {
        let mut payload = Vec::new();
        let mut byte = [0];
        loop {
            self.0.read_exact(&mut byte).context("the debugger stub")?;
            match byte {
                // Acknowledgements.
                [b'+'] => {}
                [b'$'] => payload.clear(),
                [b'#'] => break,
                [other] => payload.push(other),
            }
        }
        let mut sum = [0; 2];
        self.0.read_exact(&mut sum)?;
        self.0.write_all(b"+")?;
        Ok(String::from_utf8(payload)?)
    }
}
