//! Names of objects.

use core::fmt;

/// Largest number of arcs of a name. The specification has 128; those of outlets
/// have 20.
pub const MAX_ARCS: usize = 32;

/// An object identifier (RFC 2578, section 3.5), of two arcs at least.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Oid {
    arcs: [u32; MAX_ARCS],
    len: u8,
}

impl Oid {
    /// Creates a name. `None` if it has less than two arcs or too many, or if the
    /// first two are none that can be written (X.690, section 8.19.4).
    #[must_use]
    pub fn new(arcs: &[u32]) -> Option<Self> {
        Self::joined(arcs, &[])
    }

    /// Creates the name of an instance: a column, and the index behind it. `None`
    /// as with [`Self::new`].
    #[must_use]
    pub fn joined(column: &[u32], index: &[u32]) -> Option<Self> {
        let mut new = Self {
            arcs: [0; MAX_ARCS],
            len: 0,
        };
        for arc in column.iter().chain(index) {
            new.push(*arc)?;
        }
        new.is_writable().then_some(new)
    }

    /// Reads a name with dots, with or without one in front.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut new = Self {
            arcs: [0; MAX_ARCS],
            len: 0,
        };
        for arc in text.strip_prefix('.').unwrap_or(text).split('.') {
            let digits = !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit());
            new.push(arc.parse().ok().filter(|_| digits)?)?;
        }
        new.is_writable().then_some(new)
    }

    /// Reads the content of an OBJECT IDENTIFIER.
    pub(crate) fn decode(content: &[u8]) -> Option<Self> {
        let mut new = Self {
            arcs: [0; MAX_ARCS],
            len: 0,
        };
        let mut arc = 0_u64;
        for (at, byte) in content.iter().enumerate() {
            arc = arc << 7 | u64::from(byte & 0x7f);
            // The first holds two arcs, the first of which is at most two.
            if arc > u64::from(u32::MAX) + 80 {
                return None;
            }
            if byte & 0x80 != 0 {
                // The last byte must end an arc.
                if at + 1 == content.len() {
                    return None;
                }
                continue;
            }
            if new.len == 0 {
                let first = (arc / 40).min(2);
                new.push(u32::try_from(first).ok()?)?;
                new.push(u32::try_from(arc - first * 40).ok()?)?;
            } else {
                new.push(u32::try_from(arc).ok()?)?;
            }
            arc = 0;
        }
        new.is_writable().then_some(new)
    }

    fn push(&mut self, arc: u32) -> Option<()> {
        *self.arcs.get_mut(usize::from(self.len))? = arc;
        self.len += 1;
        Some(())
    }

    fn is_writable(&self) -> bool {
        match self.arcs() {
            [0 | 1, 0..=39, ..] | [2, _, ..] => true,
            [] | [_] | [0 | 1, _, ..] | [3..=u32::MAX, _, ..] => false,
        }
    }

    /// Returns the arcs.
    #[must_use]
    pub fn arcs(&self) -> &[u32] {
        self.arcs.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Returns the arcs behind a column, if this is an instance of it.
    #[must_use]
    pub fn index_in(&self, column: &[u32]) -> Option<&[u32]> {
        self.arcs().strip_prefix(column)
    }
}

impl PartialOrd for Oid {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Oid {
    /// The order of GETNEXT (RFC 3416, section 4.2.2).
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.arcs().cmp(other.arcs())
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, arc) in self.arcs().iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            write!(f, "{dot}{arc}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
