//! Values of objects.

use core::fmt;

use crate::ber;
use crate::oid::Oid;

/// Longest OCTET STRING that is kept, in bytes; longer ones are cut.
pub const MAX_TEXT: usize = 64;

/// The beginning of an OCTET STRING.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Octets {
    bytes: [u8; MAX_TEXT],
    len: u8,
    cut: bool,
}

impl Octets {
    fn new(content: &[u8]) -> Self {
        let mut bytes = [0; MAX_TEXT];
        for (place, byte) in bytes.iter_mut().zip(content) {
            *place = *byte;
        }
        Self {
            bytes,
            len: content.len().min(MAX_TEXT) as u8,
            cut: content.len() > MAX_TEXT,
        }
    }

    /// Returns the bytes that were kept.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Returns whether its end is missing.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.cut
    }
}

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// A value (RFC 2578, section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// INTEGER, Integer32, an enumeration.
    Integer(i32),
    /// Counter32, Gauge32, Unsigned32, TimeTicks (hundredths of a second).
    Unsigned(u32),
    /// Counter64.
    Counter(u64),
    /// OCTET STRING, Opaque, BITS.
    Octets(Octets),
    /// OBJECT IDENTIFIER.
    Name(Oid),
    /// IpAddress.
    Address([u8; 4]),
    /// NULL.
    Null,
    /// There is no object of this name (`noSuchObject`).
    NoSuchObject,
    /// There is no such instance (`noSuchInstance`).
    NoSuchInstance,
    /// There is no object behind this name (`endOfMibView`).
    EndOfView,
}

/// A name and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The name: that of the request, or the next one.
    pub name: Oid,
    /// Its value.
    pub value: Value,
}

impl Value {
    /// Reads an element; `None` where it is none of a variable.
    pub(crate) fn decode(tag: u8, content: &[u8]) -> Option<Self> {
        Some(match tag {
            ber::INTEGER => Self::Integer(ber::signed(content)?),
            ber::OCTET_STRING | 0x44 => Self::Octets(Octets::new(content)),
            ber::NULL if content.is_empty() => Self::Null,
            ber::OBJECT_IDENTIFIER => Self::Name(Oid::decode(content)?),
            0x40 => Self::Address(content.try_into().ok()?),
            0x41..=0x43 => Self::Unsigned(u32::try_from(ber::unsigned(content)?).ok()?),
            0x46 => Self::Counter(ber::unsigned(content)?),
            0x80 => Self::NoSuchObject,
            0x81 => Self::NoSuchInstance,
            0x82 => Self::EndOfView,
            _ => return None,
        })
    }

    /// Returns the value as a number, if it is one that fits.
    #[must_use]
    pub fn number(&self) -> Option<i64> {
        match *self {
            Self::Integer(value) => Some(value.into()),
            Self::Unsigned(value) => Some(value.into()),
            Self::Counter(value) => i64::try_from(value).ok(),
            Self::Octets(_)
            | Self::Name(_)
            | Self::Address(_)
            | Self::Null
            | Self::NoSuchObject
            | Self::NoSuchInstance
            | Self::EndOfView => None,
        }
    }
}
