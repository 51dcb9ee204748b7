//! Inspections whose texts are borrowed from the bytes of their statement. The API
//! reads them, because a [`crate::message::Statement`] is too large for its stack.
//! [`crate::digest`] has the fields on which the appliance acts. The types have
//! the fields of those in [`crate::message`] in the same order.

use heapless::Vec;
use serde::{Deserialize, Deserializer};

use crate::message::{BootId, BootMode, EraseAbilities, MAX_DISKS, MAX_NICS, Mac, NodeId};

/// A text of at most `N` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Text<'a, const N: usize>(&'a str);

impl<const N: usize> core::ops::Deref for Text<'_, N> {
    type Target = str;

    fn deref(&self) -> &str {
        self.0
    }
}

impl<const N: usize> core::fmt::Display for Text<'_, N> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.0)
    }
}

impl<'de: 'a, 'a, const N: usize> Deserialize<'de> for Text<'a, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&'a str>::deserialize(deserializer)?;
        if text.len() > N {
            return Err(serde::de::Error::invalid_length(
                text.len(),
                &"a shorter text",
            ));
        }
        Ok(Self(text))
    }
}

/// A statement with an inspection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Statement<'a> {
    /// The node of the agent.
    pub node: NodeId,
    /// The boot of the agent.
    pub boot: BootId,
    /// The statement's counter, as in its parts.
    pub counter: u32,
    /// Counter of the order that it is about; 0 for none.
    pub order: u32,
    /// The report.
    #[serde(borrow)]
    pub report: Report<'a>,
}

/// The first variant of [`crate::message::Report`]. Other variants fail to decode.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub enum Report<'a> {
    /// The hardware inventory.
    #[serde(borrow)]
    Inspection(Inspection<'a>),
}

/// See [`crate::message::Inspection`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the type in `message`")]
pub struct Inspection<'a> {
    #[serde(borrow)]
    pub vendor: Text<'a, 64>,
    pub product: Text<'a, 64>,
    pub serial: Text<'a, 64>,
    pub system_uuid: [u8; 16],
    pub firmware: Text<'a, 64>,
    pub boot_mode: BootMode,
    pub cpu: Cpu<'a>,
    pub memory_mib: u32,
    pub physical_memory_mib: u32,
    pub disks: Vec<Disk<'a>, MAX_DISKS>,
    pub nics: Vec<Nic<'a>, MAX_NICS>,
    pub tpm2: bool,
}

/// See [`crate::message::Cpu`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the type in `message`")]
pub struct Cpu<'a> {
    pub count: u16,
    #[serde(borrow)]
    pub model: Text<'a, 64>,
    pub architecture: Text<'a, 16>,
    pub mhz: u32,
}

/// See [`crate::message::DiskId`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the type in `message`")]
pub struct DiskId<'a> {
    #[serde(borrow)]
    pub serial: Text<'a, 40>,
    pub size: u64,
}

/// See [`crate::message::Disk`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the type in `message`")]
pub struct Disk<'a> {
    #[serde(borrow)]
    pub id: DiskId<'a>,
    pub name: Text<'a, 16>,
    pub model: Text<'a, 40>,
    pub vendor: Text<'a, 16>,
    pub wwn: Text<'a, 40>,
    pub hctl: Text<'a, 16>,
    pub by_path: Text<'a, 64>,
    pub rotational: bool,
    pub block_size: u16,
    pub erase: EraseAbilities,
}

/// See [`crate::message::Nic`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the type in `message`")]
pub struct Nic<'a> {
    #[serde(borrow)]
    pub name: Text<'a, 16>,
    pub mac: Mac,
    pub driver: Text<'a, 24>,
    pub speed_mbps: u32,
    pub carrier: bool,
    pub ipv4: [u8; 4],
    pub pci: [u16; 2],
    pub lldp: Option<LldpNeighbour<'a>>,
}

/// See [`crate::message::LldpNeighbour`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the type in `message`")]
pub struct LldpNeighbour<'a> {
    #[serde(borrow)]
    pub chassis: Text<'a, 40>,
    pub port: Text<'a, 40>,
}
