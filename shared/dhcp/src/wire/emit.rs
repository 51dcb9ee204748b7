//! Writes messages: fixed part, options, and overloaded fields if the options do
//! not fit behind the fixed part. [`super::request`] and [`super::reply`] choose
//! the options.

use core::net::Ipv4Addr;

use super::Error;
use super::option::code;
use super::packet::{FILE, HEADER_LEN, MIN_LEN, Op, Packet, SNAME};

/// Bits of option 52.
const OVERLOAD_FILE: u8 = 1;
const OVERLOAD_SNAME: u8 = 2;

/// The contents of a message.
pub(super) trait Message {
    /// The direction.
    const OP: Op;

    /// Writes the fixed part, over zeroes, Ethernet and the magic cookie.
    fn fixed(&self, packet: &mut Packet<&mut [u8]>);

    /// Writes the options except END and option 82 in order of importance, with
    /// [`Writer::put_overload`] among the first. It is called again with more room
    /// if they do not fit.
    fn options(&self, out: &mut Writer<'_>) -> Result<(), Error>;

    /// Option 82.
    fn relay_info(&self) -> Option<&[u8]>;
}

/// Writes a message of at most `limit` bytes. Returns its length, at least
/// [`MIN_LEN`].
///
/// Options are behind the fixed part; if they do not fit, also in `sname`, then in
/// `file`. Option 82 is the last behind the fixed part, where relays expect it
/// (RFC 3046 §2.1).
pub(super) fn message<M: Message>(
    message: &M,
    buf: &mut [u8],
    limit: usize,
) -> Result<usize, Error> {
    let relay_info = message.relay_info();
    // END, and option 82 with its two bytes of head.
    let tail = 1 + relay_info.map_or(0, |info| info.len() + 2);
    let limit = limit.min(buf.len());
    if limit < MIN_LEN || limit - HEADER_LEN < tail {
        return Err(Error::NoRoom);
    }
    let buf = &mut buf[..limit];
    for overload in [0, OVERLOAD_SNAME, OVERLOAD_FILE | OVERLOAD_SNAME] {
        let mut packet = Packet::new_unchecked(&mut *buf);
        packet.init(M::OP);
        message.fixed(&mut packet);
        let mut out = Writer::new(buf, limit - tail, overload);
        match message.options(&mut out) {
            Err(Error::NoRoom) => continue,
            other => other?,
        }
        let end = out.finish(tail, relay_info)?;
        let len = end.max(MIN_LEN);
        buf[end..len].fill(code::PAD);
        return Ok(len);
    }
    Err(Error::NoRoom)
}

/// Writes options first-fit into the fields of a message.
pub(super) struct Writer<'b> {
    buf: &'b mut [u8],
    /// Cursor and end of the room behind the fixed part, of `sname` and of
    /// `file`; unused ones are empty.
    fields: [(usize, usize); 3],
    overload: u8,
}

impl<'b> Writer<'b> {
    /// `end` is where the room behind the fixed part ends, within `buf`.
    fn new(buf: &'b mut [u8], end: usize, overload: u8) -> Self {
        // Reserves a byte for END.
        let field = |bit, field: core::ops::Range<usize>| match overload & bit {
            0 => (0, 0),
            _ => (field.start, field.end - 1),
        };
        let sname = field(OVERLOAD_SNAME, SNAME);
        let file = field(OVERLOAD_FILE, FILE);
        Self {
            buf,
            fields: [(HEADER_LEN, end), sname, file],
            overload,
        }
    }

    /// Writes an option into the first field with room for it.
    pub(super) fn put(&mut self, code: u8, data: &[u8]) -> Result<(), Error> {
        let len = u8::try_from(data.len()).map_err(|_| Error::OptionTooLong)?;
        let size = data.len() + 2;
        let field = self
            .fields
            .iter_mut()
            .find(|(cursor, end)| end.saturating_sub(*cursor) >= size);
        let (cursor, _) = field.ok_or(Error::NoRoom)?;
        match self.buf.get_mut(*cursor..*cursor + size) {
            Some([code_at, len_at, value @ ..]) => {
                *code_at = code;
                *len_at = len;
                value.copy_from_slice(data);
            }
            _ => return Err(Error::NoRoom),
        }
        *cursor += size;
        Ok(())
    }

    /// Writes an option with bytes, if there are any to write.
    pub(super) fn put_bytes(&mut self, code: u8, value: Option<&[u8]>) -> Result<(), Error> {
        value.map_or(Ok(()), |value| self.put(code, value))
    }

    /// Writes an option with one address, if there is one.
    pub(super) fn put_addr(&mut self, code: u8, value: Option<Ipv4Addr>) -> Result<(), Error> {
        value.map_or(Ok(()), |addr| self.put(code, &addr.octets()))
    }

    /// Writes an option with a 32-bit number, if there is one.
    pub(super) fn put_u32(&mut self, code: u8, value: Option<u32>) -> Result<(), Error> {
        value.map_or(Ok(()), |number| self.put(code, &number.to_be_bytes()))
    }

    /// Writes option 52 if fields are overloaded. It must precede options that can
    /// fill the room behind the fixed part.
    pub(super) fn put_overload(&mut self) -> Result<(), Error> {
        match self.overload {
            0 => Ok(()),
            overload => self.put(code::OVERLOAD, &[overload]),
        }
    }

    /// Writes option 82 and END into the reserved `tail` bytes, and END into the
    /// other used fields. Returns the length of the message.
    fn finish(mut self, tail: usize, relay_info: Option<&[u8]>) -> Result<usize, Error> {
        let [options, overloaded @ ..] = &mut self.fields;
        options.1 += tail - 1;
        for (cursor, _) in overloaded.iter().filter(|(_, end)| *end > 0) {
            self.buf[*cursor] = code::END;
        }
        // The first field has the reserved room.
        self.put_bytes(code::RELAY_INFO, relay_info)?;
        let [(end, _), ..] = self.fields;
        self.buf[end] = code::END;
        Ok(end + 1)
    }
}
