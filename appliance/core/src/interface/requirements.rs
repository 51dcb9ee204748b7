//! What is asked of a node: hardware, traits, quantities.

use serde::{Deserialize, Serialize};

bitflags::bitflags! {
    /// Hardware that flavors ask for. The bits stand in records.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
    pub struct HardwareFeatures: u8 {
        /// A disk that spins.
        const HDD = 1;
        /// A disk that does not spin.
        const SSD = 2;
        /// A disk behind NVMe.
        const NVME = 4;
        /// An InfiniBand interface.
        const INFINIBAND = 8;
        /// An Ethernet interface that can do RDMA (RoCE).
        const ROCE = 16;
        /// A TPM 2.0.
        const TPM2 = 32;
    }
}

/// What a node must be and have. Zeros ask for nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirements {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Size of the largest disk in GiB.
    pub local_gib: u32,
    /// Traits, a bit each, by their numbers in the string pool.
    pub traits: u32,
    /// Logical processors.
    pub cpus: u16,
    /// Speed of the fastest interface in units of 100 Mbit/s.
    pub link: u16,
    /// Resource class, by its number in the string pool plus 1.
    pub class: u8,
    /// HardwareFeatures.
    pub parts: HardwareFeatures,
}

impl Requirements {
    /// Whether a trait or resource class, by its place, is asked for.
    pub(crate) const fn uses(&self, word: u8) -> bool {
        self.traits >> (word % 32) & 1 == 1 || self.class == word + 1
    }
}

/// A flavor: a name for a [`Requirements`]. The name is kept among the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flavor {
    /// Which of the names.
    pub place: u8,
    /// What it asks for.
    pub need: Requirements,
}
