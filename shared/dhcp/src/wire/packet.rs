//! The fixed part of a DHCP message (RFC 2131 §2) as a view of a buffer.
//! [`super::option`] iterates over the options.

use core::net::Ipv4Addr;

use super::Error;
use super::option::Options;

/// Length of the fixed part and the magic cookie in bytes. The options follow.
pub const HEADER_LEN: usize = 240;

/// Smallest length of an emitted message in bytes. BOOTP messages have 300 bytes, and
/// some relays and ROMs drop shorter ones (RFC 1542 §2.1).
pub const MIN_LEN: usize = 300;

/// The four bytes before the options (RFC 2131 §3).
pub const MAGIC_COOKIE: [u8; 4] = [99, 130, 83, 99];

/// The broadcast flag, the leftmost bit of `flags` (RFC 2131 §2, figure 2).
const FLAG_BROADCAST: u16 = 0x8000;

mod field {
    use core::ops::Range;

    pub const OP: usize = 0;
    pub const HTYPE: usize = 1;
    pub const HLEN: usize = 2;
    pub const HOPS: usize = 3;
    pub const XID: Range<usize> = 4..8;
    pub const SECS: Range<usize> = 8..10;
    pub const FLAGS: Range<usize> = 10..12;
    pub const CIADDR: Range<usize> = 12..16;
    pub const YIADDR: Range<usize> = 16..20;
    pub const SIADDR: Range<usize> = 20..24;
    pub const GIADDR: Range<usize> = 24..28;
    pub const CHADDR: Range<usize> = 28..44;
    pub const SNAME: Range<usize> = 44..108;
    pub const FILE: Range<usize> = 108..236;
    pub const COOKIE: Range<usize> = 236..240;
}

pub(super) use field::{FILE, SNAME};

/// Direction of a message, field `op`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// From a client (BOOTREQUEST).
    Request = 1,
    /// From a server (BOOTREPLY).
    Reply = 2,
}

/// A DHCP message in a buffer: the whole UDP payload on port 67 or 68.
///
/// The getters of a view from [`Packet::new_checked`] do not panic for any content. A
/// view from [`Packet::new_unchecked`] of less than [`HEADER_LEN`] bytes panics when it
/// is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<T: AsRef<[u8]>> {
    buffer: T,
}

impl<T: AsRef<[u8]>> Packet<T> {
    /// Creates a view without a check, for buffers of known length.
    pub const fn new_unchecked(buffer: T) -> Self {
        Self { buffer }
    }

    /// Creates a view of a buffer that is long enough for the fixed part.
    ///
    /// # Errors
    /// [`Error::Truncated`] below [`HEADER_LEN`] bytes.
    pub fn new_checked(buffer: T) -> Result<Self, Error> {
        let packet = Self::new_unchecked(buffer);
        packet.check_len()?;
        Ok(packet)
    }

    /// Checks the length of the buffer.
    ///
    /// # Errors
    /// [`Error::Truncated`] below [`HEADER_LEN`] bytes.
    pub fn check_len(&self) -> Result<(), Error> {
        if self.buffer.as_ref().len() < HEADER_LEN {
            return Err(Error::Truncated);
        }
        Ok(())
    }

    /// Returns the buffer.
    pub fn into_inner(self) -> T {
        self.buffer
    }

    /// Returns the direction, `None` if the byte is neither 1 nor 2.
    pub fn op(&self) -> Option<Op> {
        match self.buffer.as_ref()[field::OP] {
            1 => Some(Op::Request),
            2 => Some(Op::Reply),
            _ => None,
        }
    }

    /// Hardware type; 1 is Ethernet.
    pub fn htype(&self) -> u8 {
        self.buffer.as_ref()[field::HTYPE]
    }

    /// Length of the hardware address in bytes, as sent: it can exceed 16.
    pub fn hlen(&self) -> u8 {
        self.buffer.as_ref()[field::HLEN]
    }

    /// Number of relays that forwarded the message.
    pub fn hops(&self) -> u8 {
        self.buffer.as_ref()[field::HOPS]
    }

    /// Transaction id, chosen by the client.
    pub fn xid(&self) -> u32 {
        u32::from_be_bytes(self.array(field::XID.start))
    }

    /// Seconds since the start of the client.
    pub fn secs(&self) -> u16 {
        u16::from_be_bytes(self.array(field::SECS.start))
    }

    /// All 16 flag bits.
    pub fn flags(&self) -> u16 {
        u16::from_be_bytes(self.array(field::FLAGS.start))
    }

    /// Whether the client needs broadcast replies before it has an address.
    pub fn broadcast(&self) -> bool {
        self.flags() & FLAG_BROADCAST != 0
    }

    /// The client's current address.
    pub fn ciaddr(&self) -> Ipv4Addr {
        self.addr(field::CIADDR.start)
    }

    /// The assigned address.
    pub fn yiaddr(&self) -> Ipv4Addr {
        self.addr(field::YIADDR.start)
    }

    /// The server of the next step (TFTP).
    pub fn siaddr(&self) -> Ipv4Addr {
        self.addr(field::SIADDR.start)
    }

    /// The relay's address on the client's network.
    pub fn giaddr(&self) -> Ipv4Addr {
        self.addr(field::GIADDR.start)
    }

    /// The hardware address field, all 16 bytes.
    pub fn chaddr(&self) -> [u8; 16] {
        self.array(field::CHADDR.start)
    }

    /// The server name field, all 64 bytes; can have options (RFC 2132 §9.3).
    pub fn sname(&self) -> &[u8] {
        &self.buffer.as_ref()[SNAME]
    }

    /// The boot file field, all 128 bytes; can have options (RFC 2132 §9.3).
    pub fn file(&self) -> &[u8] {
        &self.buffer.as_ref()[FILE]
    }

    /// Returns whether the message has the magic cookie.
    pub fn has_cookie(&self) -> bool {
        self.buffer.as_ref()[field::COOKIE] == MAGIC_COOKIE
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut out = [0; N];
        out.copy_from_slice(&self.buffer.as_ref()[at..at + N]);
        out
    }

    fn addr(&self, at: usize) -> Ipv4Addr {
        Ipv4Addr::from(self.array::<4>(at))
    }
}

impl<'a, T: AsRef<[u8]> + ?Sized> Packet<&'a T> {
    /// Iterates over all options: the options field, then `file` and `sname` if option
    /// 52 overloads them (in the order of RFC 3396 §5).
    pub fn options(&self) -> Options<'a> {
        let bytes: &'a [u8] = self.buffer.as_ref();
        Options::new(&bytes[HEADER_LEN..], &bytes[FILE], &bytes[SNAME])
    }

    /// Returns [`Packet::file`] with the lifetime of the buffer.
    pub(super) fn file_field(&self) -> &'a [u8] {
        &self.buffer.as_ref()[FILE]
    }
}

impl<T: AsRef<[u8]> + AsMut<[u8]>> Packet<T> {
    /// Zeroes the fixed part and writes the constant fields: Ethernet and the magic
    /// cookie.
    pub(super) fn init(&mut self, op: Op) {
        let bytes = self.buffer.as_mut();
        bytes[..HEADER_LEN].fill(0);
        bytes[field::OP] = op as u8;
        bytes[field::HTYPE] = 1;
        bytes[field::HLEN] = 6;
        bytes[field::COOKIE].copy_from_slice(&MAGIC_COOKIE);
    }

    /// Sets the number of relays.
    pub fn set_hops(&mut self, value: u8) {
        self.buffer.as_mut()[field::HOPS] = value;
    }

    /// Sets the transaction id.
    pub fn set_xid(&mut self, value: u32) {
        self.put(field::XID.start, &value.to_be_bytes());
    }

    /// Sets the seconds since the start of the client.
    pub fn set_secs(&mut self, value: u16) {
        self.put(field::SECS.start, &value.to_be_bytes());
    }

    /// Sets the flags to the broadcast bit or to zero: the other bits must be
    /// zero (RFC 2131 §2).
    pub fn set_broadcast(&mut self, value: bool) {
        let flags = if value { FLAG_BROADCAST } else { 0 };
        self.put(field::FLAGS.start, &flags.to_be_bytes());
    }

    /// Sets the client's current address.
    pub fn set_ciaddr(&mut self, value: Ipv4Addr) {
        self.put(field::CIADDR.start, &value.octets());
    }

    /// Sets the assigned address.
    pub fn set_yiaddr(&mut self, value: Ipv4Addr) {
        self.put(field::YIADDR.start, &value.octets());
    }

    /// Sets the server of the next step.
    pub fn set_siaddr(&mut self, value: Ipv4Addr) {
        self.put(field::SIADDR.start, &value.octets());
    }

    /// Sets the relay's address.
    pub fn set_giaddr(&mut self, value: Ipv4Addr) {
        self.put(field::GIADDR.start, &value.octets());
    }

    /// Sets an Ethernet hardware address; the other ten bytes stay.
    pub fn set_chaddr(&mut self, value: [u8; 6]) {
        self.put(field::CHADDR.start, &value);
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        self.buffer.as_mut()[at..at + value.len()].copy_from_slice(value);
    }
}

/// Returns the Ethernet address of the client if it is valid.
pub(super) fn client_mac<T: AsRef<[u8]>>(packet: &Packet<T>) -> Result<[u8; 6], Error> {
    let [a, b, c, d, e, f, ..] = packet.chaddr();
    let mac = [a, b, c, d, e, f];
    // Zero and group addresses are not addresses of a client. A reply to a
    // group address would reach other hosts.
    if packet.htype() != 1 || packet.hlen() != 6 || a & 1 != 0 || mac == [0; 6] {
        return Err(Error::BadHardware);
    }
    Ok(mac)
}
