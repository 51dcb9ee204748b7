//! Capture files in libpcap's classic format (pcap 2.4, microseconds,
//! LINKTYPE_ETHERNET), little endian, readable by Wireshark and tcpdump.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A capture being written. Errors after the file was opened (a full disk)
/// end the capture but never disturb the traffic.
#[derive(Debug)]
pub(crate) struct PcapWriter {
    file: Option<BufWriter<File>>,
}

impl PcapWriter {
    pub fn create(path: &Path) -> std::io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        let mut header = [0; 24];
        header[0..4].copy_from_slice(&0xA1B2_C3D4_u32.to_le_bytes());
        header[4..6].copy_from_slice(&2_u16.to_le_bytes());
        header[6..8].copy_from_slice(&4_u16.to_le_bytes());
        // Bytes 8..16: time zone and accuracy, zero by convention.
        header[16..20].copy_from_slice(&65_535_u32.to_le_bytes());
        header[20..24].copy_from_slice(&1_u32.to_le_bytes());
        file.write_all(&header)?;
        Ok(Self { file: Some(file) })
    }

    pub fn write(&mut self, frame: &[u8]) {
        let at = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut header = [0; 16];
        // The format's seconds are 32 bits, unsigned: good until 2106.
        header[0..4].copy_from_slice(&(at.as_secs() as u32).to_le_bytes());
        header[4..8].copy_from_slice(&at.subsec_micros().to_le_bytes());
        header[8..12].copy_from_slice(&(frame.len() as u32).to_le_bytes());
        header[12..16].copy_from_slice(&(frame.len() as u32).to_le_bytes());
        self.with(|file| file.write_all(&header).and_then(|()| file.write_all(frame)));
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
