//! Writes the capture.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::{COMMENT, Direction, FLAGS, INTERFACE, MAGIC, NAME, PACKET, RESOLUTION, SECTION};
use crate::switch::{PortId, PortMode};

/// A capture being written. Errors after the file was opened (a full disk)
/// end the capture but never disturb the traffic.
#[derive(Debug)]
pub(crate) struct WiresWriter {
    file: Option<BufWriter<File>>,
    interfaces: u32,
}

impl WiresWriter {
    pub fn create(path: &Path) -> std::io::Result<Self> {
        let mut writer = Self {
            file: Some(BufWriter::new(File::create(path)?)),
            interfaces: 0,
        };
        let mut body = MAGIC.to_le_bytes().to_vec();
        body.extend([1, 0, 0, 0]);
        // The section's length is not known.
        body.extend([0xFF; 8]);
        writer.block(SECTION, &body);
        Ok(writer)
    }

    /// Begins the next port.
    pub fn port(&mut self, name: &str, mode: &PortMode) {
        // Ethernet, frames of any length.
        let mut body = vec![1, 0, 0, 0, 0, 0, 0, 0];
        option(&mut body, NAME, name.as_bytes());
        // Nanoseconds.
        option(&mut body, RESOLUTION, &[9]);
        option(&mut body, 0, &[]);
        self.block(INTERFACE, &body);
        let number = self.interfaces;
        self.interfaces += 1;
        self.comment(number, mode);
    }

    /// A port changes its mode.
    pub fn mode(&mut self, port: PortId, mode: &PortMode) {
        self.comment(port.0 as u32, mode);
    }

    fn comment(&mut self, interface: u32, mode: &PortMode) {
        self.packet(interface, &[], COMMENT, mode.to_string().as_bytes());
    }

    pub fn frame(&mut self, port: PortId, direction: Direction, frame: &[u8]) {
        let flags: u32 = match direction {
            Direction::In => 1,
            Direction::Out => 2,
        };
        self.packet(port.0 as u32, frame, FLAGS, &flags.to_le_bytes());
    }

    fn packet(&mut self, interface: u32, frame: &[u8], code: u16, value: &[u8]) {
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |at| at.as_nanos() as u64);
        let mut body = Vec::with_capacity(frame.len() + 40);
        let length = frame.len() as u32;
        for word in [interface, (at >> 32) as u32, at as u32, length, length] {
            body.extend(word.to_le_bytes());
        }
        body.extend(frame);
        pad(&mut body);
        option(&mut body, code, value);
        option(&mut body, 0, &[]);
        self.block(PACKET, &body);
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let length = (body.len() as u32 + 12).to_le_bytes();
        self.with(|file| {
            file.write_all(&kind.to_le_bytes())?;
            file.write_all(&length)?;
            file.write_all(body)?;
            file.write_all(&length)
        });
    }

    pub fn flush(&mut self) {
        self.with(|file| file.flush());
    }

    fn with(&mut self, write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) {
        if self.file.as_mut().is_some_and(|file| write(file).is_err()) {
            self.file = None;
        }
    }
}

/// Adds an option; code 0 ends them.
fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    // The comment with every VLAN has some 20,000 bytes.
    body.extend(code.to_le_bytes());
    body.extend((value.len() as u16).to_le_bytes());
    body.extend(value);
    pad(body);
}

fn pad(body: &mut Vec<u8>) {
    body.resize(body.len().next_multiple_of(4), 0);
}
