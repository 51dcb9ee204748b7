//! Inspections whose texts are borrowed from the bytes of their statement, and whose
//! lists are read one value at a time. The API reads them, because a [`crate::message::Statement`] is too large for its stack.
//! [`crate::digest`] has the fields on which the appliance acts. The types have
//! the fields of those in [`crate::message`] in the same order.

use core::marker::PhantomData;

use serde::{Deserialize, Deserializer};

use crate::message::{
    BootId, BootMode, EraseAbilities, MAX_CONTROLLERS, MAX_DISKS, MAX_NICS, MAX_SKIPPED, Mac,
    NodeId, SkipReason,
};
use crate::signing::SIGNATURE_LEN;

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

/// Values one behind the other in the bytes of a statement. Reading one decodes
/// those before it, so that no list is on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List<'a, T> {
    bytes: &'a [u8],
    len: usize,
    of: PhantomData<T>,
}

impl<'a, T: Deserialize<'a>> List<'a, T> {
    /// Takes a list of at most `most` values from the front of `bytes`. Returns
    /// `None` if a value is malformed or there are more.
    fn take(bytes: &'a [u8], most: usize) -> Option<(Self, &'a [u8])> {
        let (len, bytes) = postcard::take_from_bytes::<usize>(bytes).ok()?;
        if len > most {
            return None;
        }
        let mut rest = bytes;
        for _ in 0..len {
            (_, rest) = postcard::take_from_bytes::<T>(rest).ok()?;
        }
        let of = PhantomData;
        Some((Self { bytes, len, of }, rest))
    }

    /// Returns the values in their order.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let mut rest = self.bytes;
        (0..self.len).map_while(move |_| {
            let (value, behind) = postcard::take_from_bytes(rest).ok()?;
            rest = behind;
            Some(value)
        })
    }

    /// Returns a value by its place.
    pub fn get(&self, index: usize) -> Option<T> {
        self.iter().nth(index)
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// See [`crate::message::Inspection`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the type in `message`")]
pub struct Inspection<'a> {
    pub server: Server<'a>,
    pub disks: List<'a, Disk<'a>>,
    pub nics: List<'a, Nic<'a>>,
    pub tpm2: bool,
    pub skipped: List<'a, SkippedDevice<'a>>,
    pub controllers: List<'a, Controller<'a>>,
    pub unlisted: u16,
    pub settled: bool,
}

impl<'a> Inspection<'a> {
    /// Reads the inspection out of a signed statement. Does not verify the
    /// signature. Returns `None` if the statement is malformed or is another
    /// report.
    pub fn read(signed: &'a [u8]) -> Option<Self> {
        /// The first variant of [`crate::message::Report`].
        const INSPECTION: u32 = 0;
        let (body, _) = signed.split_last_chunk::<SIGNATURE_LEN>()?;
        let (head, rest) = postcard::take_from_bytes::<Head>(body).ok()?;
        let (server, rest) = postcard::take_from_bytes(rest).ok()?;
        let (disks, rest) = List::take(rest, MAX_DISKS)?;
        let (nics, rest) = List::take(rest, MAX_NICS)?;
        let (tpm2, rest) = postcard::take_from_bytes(rest).ok()?;
        let (skipped, rest) = List::take(rest, MAX_SKIPPED)?;
        let (controllers, rest) = List::take(rest, MAX_CONTROLLERS)?;
        let ((unlisted, settled), rest) = postcard::take_from_bytes(rest).ok()?;
        (head.report == INSPECTION && rest.is_empty()).then_some(Self {
            server,
            disks,
            nics,
            tpm2,
            skipped,
            controllers,
            unlisted,
            settled,
        })
    }
}

/// What is in front of the inspection in a statement.
#[derive(Deserialize)]
#[allow(dead_code, reason = "fields that are passed over")]
struct Head {
    node: NodeId,
    boot: BootId,
    counter: u32,
    order: u32,
    /// Number of the variant of [`crate::message::Report`].
    report: u32,
}

/// The fields of [`crate::message::Inspection`] before its lists.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the type in `message`")]
pub struct Server<'a> {
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

/// See [`crate::message::SkippedDevice`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the type in `message`")]
pub struct SkippedDevice<'a> {
    #[serde(borrow)]
    pub id: Text<'a, 40>,
    pub name: Text<'a, 16>,
    pub size: u64,
    pub reason: SkipReason,
}

/// See [`crate::message::Controller`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs, reason = "the fields are those of the type in `message`")]
pub struct Controller<'a> {
    #[serde(borrow)]
    pub id: Text<'a, 40>,
    pub kind: Text<'a, 24>,
}
