//! Fingerprints of records: what a step changed is what has another one.

use super::record::Record;
use farrier_protocol::message::NodeId;
use postcard::ser_flavors::Flavor;

/// Most parts of a node that have a fingerprint.
pub(crate) const FINGERPRINTS: usize = 22 + 8 + farrier_protocol::message::MAX_DISKS;

/// Fingerprints of a node's parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fingerprints(pub(crate) [u32; FINGERPRINTS]);

/// A node as it was before the step touched it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    pub(crate) index: usize,
    /// Zero where the place was vacant.
    pub(crate) id: NodeId,
    pub(crate) parts: Fingerprints,
}

/// Takes the encoding of a record in and keeps 32 bits of it, without ever
/// writing it out: FNV-1a over what comes as single bytes, and over words of
/// what comes in pieces. A change that it overlooks is one in 2³².
///
/// Each node that is touched is looked at twice a step, so this is quick.
pub(crate) struct Fingerprint(pub(crate) u32);

impl Fingerprint {
    /// Of a record.
    pub(crate) fn of(record: &Record<'_>) -> Option<u32> {
        postcard::serialize_with_flavor(record, Fingerprint::default()).ok()
    }

    pub(crate) fn add(&mut self, word: u32) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0100_0193);
    }
}

impl Default for Fingerprint {
    fn default() -> Self {
        Fingerprint(0x811c_9dc5)
    }
}

impl Flavor for Fingerprint {
    type Output = u32;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.add(byte.into());
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        let (words, rest) = bytes.as_chunks::<4>();
        for word in words {
            self.add(u32::from_le_bytes(*word));
            // The multiplication carries upwards only.
            self.0 = self.0.rotate_left(15);
        }
        rest.iter().for_each(|byte| self.add((*byte).into()));
        Ok(())
    }

    fn finalize(self) -> postcard::Result<u32> {
        Ok(self.0)
    }
}
