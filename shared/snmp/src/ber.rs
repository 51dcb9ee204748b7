//! The Basic Encoding Rules, as far as SNMP has them (RFC 3417, section 8):
//! definite lengths, tags of one byte.

use crate::oid::Oid;

pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const SEQUENCE: u8 = 0x30;

/// Reads one element after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'b>(pub(crate) &'b [u8]);

impl<'b> Reader<'b> {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads an element: its tag, and what is in it.
    pub(crate) fn element(&mut self) -> Option<(u8, &'b [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            // Up to four bytes; some agents write leading zeros.
            0x81..=0x84 => {
                let (bytes, behind) = rest.split_at_checked(usize::from(first & 0x7f))?;
                rest = behind;
                let length = bytes
                    .iter()
                    .fold(0_u32, |length, byte| length << 8 | u32::from(*byte));
                usize::try_from(length).ok()?
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// Reads an element with this tag.
    pub(crate) fn expect(&mut self, wanted: u8) -> Option<&'b [u8]> {
        let (tag, content) = self.element()?;
        (tag == wanted).then_some(content)
    }

    /// Reads an INTEGER.
    pub(crate) fn integer(&mut self) -> Option<i32> {
        signed(self.expect(INTEGER)?)
    }
}

/// The content of an INTEGER; `None` beyond 32 bits.
pub(crate) fn signed(content: &[u8]) -> Option<i32> {
    let (&first, rest) = content.split_first()?;
    let first = i64::from(first.cast_signed());
    // Eight bytes can't overflow, whatever they are.
    let value = (rest.len() < 8).then(|| {
        rest.iter()
            .fold(first, |value, byte| value << 8 | i64::from(*byte))
    })?;
    i32::try_from(value).ok()
}

/// The content of an unsigned type; `None` beyond 64 bits.
pub(crate) fn unsigned(content: &[u8]) -> Option<u64> {
    let digits = match content {
        [] => return None,
        [0, rest @ ..] => rest,
        // Some agents write no leading zero: it is no negative number.
        all => all,
    };
    let fits = digits.len() <= 8;
    fits.then(|| {
        digits
            .iter()
            .fold(0, |value, byte| value << 8 | u64::from(*byte))
    })
}

/// Writes elements from the last to the first, so that each length is known when
/// its turn comes.
#[derive(Debug)]
pub(crate) struct Writer<'b> {
    buffer: &'b mut [u8],
    start: usize,
    full: bool,
}

impl<'b> Writer<'b> {
    pub(crate) const fn new(buffer: &'b mut [u8]) -> Self {
        let start = buffer.len();
        Self {
            buffer,
            start,
            full: false,
        }
    }

    /// Where the next element would end: an argument of [`Self::wrap`].
    pub(crate) const fn mark(&self) -> usize {
        self.start
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let start = self.start.checked_sub(bytes.len());
        let room = start.and_then(|start| self.buffer.get_mut(start..self.start));
        match (start, room) {
            (Some(start), Some(room)) => {
                room.copy_from_slice(bytes);
                self.start = start;
            }
            _ => self.full = true,
        }
    }

    /// Puts tag and length ahead of what was written since the mark.
    pub(crate) fn wrap(&mut self, tag: u8, mark: usize) {
        let length = mark.saturating_sub(self.start);
        match u16::try_from(length) {
            Ok(length @ 0..=0x7f) => self.bytes(&[tag, length.to_be_bytes()[1]]),
            Ok(length @ 0x80..=0xff) => self.bytes(&[tag, 0x81, length.to_be_bytes()[1]]),
            Ok(length) => {
                let [high, low] = length.to_be_bytes();
                self.bytes(&[tag, 0x82, high, low]);
            }
            Err(_) => self.full = true,
        }
    }

    pub(crate) fn element(&mut self, tag: u8, content: &[u8]) {
        let mark = self.mark();
        self.bytes(content);
        self.wrap(tag, mark);
    }

    pub(crate) fn integer(&mut self, value: i32) {
        let bytes = value.to_be_bytes();
        // The shortest form: no byte of signs alone.
        let mut content = bytes.as_slice();
        while let [first, rest @ ..] = content
            && let [next, ..] = rest
            && (*first == 0 && *next < 0x80 || *first == 0xff && *next >= 0x80)
        {
            content = rest;
        }
        self.element(INTEGER, content);
    }

    pub(crate) fn oid(&mut self, oid: &Oid) {
        let mark = self.mark();
        let arcs = oid.arcs();
        let [first, second, rest @ ..] = arcs else {
            self.full = true;
            return;
        };
        for arc in rest.iter().rev() {
            self.arc(u64::from(*arc));
        }
        self.arc(u64::from(*first) * 40 + u64::from(*second));
        self.wrap(OBJECT_IDENTIFIER, mark);
    }

    /// Base 128, the last byte without its top bit.
    fn arc(&mut self, arc: u64) {
        let mut rest = arc;
        let mut top = 0;
        loop {
            let low = (rest & 0x7f) as u8;
            self.bytes(&[low | top]);
            rest >>= 7;
            top = 0x80;
            if rest == 0 {
                return;
            }
        }
    }

    /// Moves what was written to the front. Returns its length, or `None` where it
    /// did not fit.
    pub(crate) fn finish(self) -> Option<usize> {
        if self.full {
            return None;
        }
        let length = self.buffer.len().checked_sub(self.start)?;
        self.buffer.copy_within(self.start.., 0);
        Some(length)
    }
}
