//! Statements whose texts are borrowed from their bytes, and whose lists are read one
//! value at a time.
//!
//! A [`crate::message::Statement`] has about 30 KB, and decoding it by value puts
//! several of them on the stack: too much for a microcontroller. The types of
//! this module decode the same bytes into some 200, with the same checks. They
//! have the fields of those in [`crate::message`] in the same order.

use core::marker::PhantomData;

use serde::{Deserialize, Deserializer};

use crate::message::{
    BootId, BootMode, EraseAbilities, EraseCertificate, Failure, ImageProof, MAX_CONTROLLERS,
    MAX_DISKS, MAX_NICS, MAX_SKIPPED, Mac, NodeId, SkipReason,
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
        match Statement::read(signed)?.report {
            Report::Inspection(inspection) => Some(inspection),
            _ => None,
        }
    }

    /// Takes an inspection from the front of `bytes`.
    fn take(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (server, rest) = postcard::take_from_bytes(bytes).ok()?;
        let (disks, rest) = List::take(rest, MAX_DISKS)?;
        let (nics, rest) = List::take(rest, MAX_NICS)?;
        let (tpm2, rest) = postcard::take_from_bytes(rest).ok()?;
        let (skipped, rest) = List::take(rest, MAX_SKIPPED)?;
        let (controllers, rest) = List::take(rest, MAX_CONTROLLERS)?;
        let ((unlisted, settled), rest) = postcard::take_from_bytes(rest).ok()?;
        let inspection = Self {
            server,
            disks,
            nics,
            tpm2,
            skipped,
            controllers,
            unlisted,
            settled,
        };
        Some((inspection, rest))
    }
}

/// See [`crate::message::Report`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the variants are those of the type in `message`"
)]
pub enum Report<'a> {
    Inspection(Inspection<'a>),
    Erased(EraseCertificate),
    ImageWritten(ImageProof),
    Failure(Failure),
    Done,
}

impl<'a> Report<'a> {
    /// Decodes all of `bytes` as the report of a variant's number.
    fn decode(variant: u32, bytes: &'a [u8]) -> Option<Self> {
        // The numbers are places in `message::Report`.
        let (report, rest) = match variant {
            0 => {
                let (inspection, rest) = Inspection::take(bytes)?;
                (Self::Inspection(inspection), rest)
            }
            1 => {
                let (certificate, rest) = postcard::take_from_bytes(bytes).ok()?;
                (Self::Erased(certificate), rest)
            }
            2 => {
                let (proof, rest) = postcard::take_from_bytes(bytes).ok()?;
                (Self::ImageWritten(proof), rest)
            }
            3 => {
                let (failure, rest) = postcard::take_from_bytes(bytes).ok()?;
                (Self::Failure(failure), rest)
            }
            4 => (Self::Done, bytes),
            _ => return None,
        };
        rest.is_empty().then_some(report)
    }
}

/// See [`crate::message::Statement`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are those of the type in `message`")]
pub struct Statement<'a> {
    pub node: NodeId,
    pub boot: BootId,
    pub counter: u32,
    pub order: u32,
    pub report: Report<'a>,
}

impl<'a> Statement<'a> {
    /// Reads a signed statement. Does not verify the signature, see
    /// [`crate::signing::verify_statement_borrowed`]. Returns `None` if it is
    /// malformed.
    pub fn read(signed: &'a [u8]) -> Option<Self> {
        let (body, _) = signed.split_last_chunk::<SIGNATURE_LEN>()?;
        Self::decode(body)
    }

    /// Decodes all of `body`. Bytes behind the statement are an error.
    pub(crate) fn decode(body: &'a [u8]) -> Option<Self> {
        let (head, rest) = postcard::take_from_bytes::<Head>(body).ok()?;
        Some(Self {
            node: head.node,
            boot: head.boot,
            counter: head.counter,
            order: head.order,
            report: Report::decode(head.report, rest)?,
        })
    }
}

/// What is in front of the report in a statement.
#[derive(Deserialize)]
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

#[cfg(test)]
mod tests;
