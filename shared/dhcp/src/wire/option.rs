//! Options on the wire: the codes that Farrier uses, and iterators over tagged
//! bytes. The iterators end on any input. [`super::request`], [`super::reply`] and
//! [`super::pxe`] interpret the values.

use core::net::Ipv4Addr;

/// Option numbers (RFC 2132 unless another source is named).
pub mod code {
    /// Padding, without a length byte.
    pub const PAD: u8 = 0;
    /// Subnet mask.
    pub const SUBNET_MASK: u8 = 1;
    /// Routers, in order of preference.
    pub const ROUTER: u8 = 3;
    /// Name servers, in order of preference.
    pub const DNS: u8 = 6;
    /// Host name.
    pub const HOST_NAME: u8 = 12;
    /// Domain name.
    pub const DOMAIN_NAME: u8 = 15;
    /// Interface MTU.
    pub const MTU: u8 = 26;
    /// NTP servers.
    pub const NTP: u8 = 42;
    /// Vendor-specific information; sub-options for PXE clients.
    pub const VENDOR: u8 = 43;
    /// Requested IP address.
    pub const REQUESTED_IP: u8 = 50;
    /// Lease time in seconds.
    pub const LEASE_TIME: u8 = 51;
    /// `file` and `sname` have options.
    pub const OVERLOAD: u8 = 52;
    /// Message type.
    pub const MESSAGE_TYPE: u8 = 53;
    /// Server identifier.
    pub const SERVER_ID: u8 = 54;
    /// Parameter request list.
    pub const PARAMETER_LIST: u8 = 55;
    /// Text of an error in a NAK.
    pub const MESSAGE: u8 = 56;
    /// Maximum DHCP message size.
    pub const MAX_MESSAGE_SIZE: u8 = 57;
    /// Renewal time T1 in seconds.
    pub const RENEWAL_TIME: u8 = 58;
    /// Rebinding time T2 in seconds.
    pub const REBINDING_TIME: u8 = 59;
    /// Vendor class identifier.
    pub const CLASS_ID: u8 = 60;
    /// Client identifier.
    pub const CLIENT_ID: u8 = 61;
    /// TFTP server name.
    pub const TFTP_SERVER: u8 = 66;
    /// Boot file name.
    pub const BOOT_FILE: u8 = 67;
    /// User class (RFC 3004).
    pub const USER_CLASS: u8 = 77;
    /// Relay agent information (RFC 3046).
    pub const RELAY_INFO: u8 = 82;
    /// Client system architectures (RFC 4578 §2.1).
    pub const ARCH_LIST: u8 = 93;
    /// Client network interface, UNDI version (RFC 4578 §2.2).
    pub const UNDI: u8 = 94;
    /// Client machine identifier, a UUID (RFC 4578 §2.3).
    pub const MACHINE_ID: u8 = 97;
    /// Classless static routes (RFC 3442); see [`classless_route`](super::classless_route).
    pub const CLASSLESS_ROUTES: u8 = 121;
    /// iPXE's encapsulated options (ipxe.org/howto/dhcpd).
    pub const IPXE: u8 = 175;
    /// End of a field's options, without a length byte.
    pub const END: u8 = 255;
}

/// An option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DhcpOption<'a> {
    /// The code, not [`code::PAD`] or [`code::END`].
    pub code: u8,
    /// The value without code and length, 0 to 255 bytes.
    pub data: &'a [u8],
}

impl DhcpOption<'_> {
    /// Returns the value as one byte, if that is its length.
    #[must_use]
    pub fn as_u8(&self) -> Option<u8> {
        <[u8; 1]>::try_from(self.data).ok().map(|[b]| b)
    }

    /// Returns the value as a 16-bit number, if that is its length.
    #[must_use]
    pub fn as_u16(&self) -> Option<u16> {
        self.data.try_into().ok().map(u16::from_be_bytes)
    }

    /// Returns the value as a 32-bit number, if that is its length.
    #[must_use]
    pub fn as_u32(&self) -> Option<u32> {
        self.data.try_into().ok().map(u32::from_be_bytes)
    }

    /// Returns the value as one address, if that is its length.
    #[must_use]
    pub fn as_addr(&self) -> Option<Ipv4Addr> {
        <[u8; 4]>::try_from(self.data).ok().map(Ipv4Addr::from)
    }
}

/// Writes a route as option 121 has it (RFC 3442): the length of the prefix, the
/// bytes of the destination that it covers, and the router. Returns the number of
/// bytes, at most 9; `None` for a prefix of more than 32 bits, or where the buffer is
/// too short. Routes follow each other in the option.
#[must_use]
pub fn classless_route(
    out: &mut [u8],
    (destination, prefix): (Ipv4Addr, u8),
    router: Ipv4Addr,
) -> Option<usize> {
    let octets = destination.octets();
    let covered = octets.get(..usize::from(prefix.div_ceil(8)))?;
    let length = 1 + covered.len() + 4;
    let [first, rest @ ..] = out.get_mut(..length)? else {
        return None;
    };
    *first = prefix;
    let (to, via) = rest.split_at_mut(covered.len());
    to.copy_from_slice(covered);
    via.copy_from_slice(&router.octets());
    Some(length)
}

/// An iterator over all options of a message in wire order, including overloaded fields.
///
/// It returns repeated options separately and does not join the parts of a long option
/// (RFC 3396). It ends at the first option that exceeds its field;
/// [`Options::is_malformed`] reports it.
#[derive(Debug, Clone)]
pub struct Options<'a> {
    rest: &'a [u8],
    /// The remaining fields in order.
    file: Option<&'a [u8]>,
    sname: Option<&'a [u8]>,
    in_options_field: bool,
    overload: u8,
    malformed: bool,
}

impl<'a> Options<'a> {
    pub(super) const fn new(options: &'a [u8], file: &'a [u8], sname: &'a [u8]) -> Self {
        Self {
            rest: options,
            file: Some(file),
            sname: Some(sname),
            in_options_field: true,
            overload: 0,
            malformed: false,
        }
    }

    /// Returns whether the finished iterator found an option that exceeds its field.
    #[must_use]
    pub const fn is_malformed(&self) -> bool {
        self.malformed
    }

    /// Returns whether `file` has options (option 52 bit 0) instead of a file name.
    /// Valid after the iterator has finished.
    #[must_use]
    pub const fn file_is_overloaded(&self) -> bool {
        self.overload & 1 != 0
    }

    /// Returns the next field with options, if option 52 has one.
    fn next_field(&mut self) -> Option<&'a [u8]> {
        self.in_options_field = false;
        if let Some(file) = self.file.take()
            && self.overload & 1 != 0
        {
            return Some(file);
        }
        if let Some(sname) = self.sname.take()
            && self.overload & 2 != 0
        {
            return Some(sname);
        }
        None
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = DhcpOption<'a>;

    fn next(&mut self) -> Option<DhcpOption<'a>> {
        loop {
            match step(self.rest) {
                Step::Option(option, rest) => {
                    self.rest = rest;
                    // Option 52 counts only in the options field, not in an
                    // overloaded field.
                    if option.code == code::OVERLOAD
                        && self.in_options_field
                        && let Some(value) = option.as_u8()
                    {
                        self.overload = value;
                    }
                    return Some(option);
                }
                Step::End => self.rest = self.next_field()?,
                Step::Malformed => {
                    self.malformed = true;
                    self.rest = &[];
                    self.file = None;
                    self.sname = None;
                    return None;
                }
            }
        }
    }
}

/// An iterator over the sub-options of an option: 43 (PXE), 82 (relay), 175 (iPXE).
///
/// Codes 0 and 255 are padding and end in 43 and 175 (RFC 2132 §8.4) and ordinary codes
/// in 82 (RFC 3046 §2.0). A sub-option that exceeds the value ends the iterator.
#[derive(Debug, Clone)]
pub struct SubOptions<'a> {
    rest: &'a [u8],
    filler: bool,
}

impl<'a> SubOptions<'a> {
    /// Creates an iterator with padding and end codes, for options 43 and 175.
    #[must_use]
    pub const fn encapsulated(value: &'a [u8]) -> Self {
        Self {
            rest: value,
            filler: true,
        }
    }

    /// Creates an iterator without them, for option 82.
    #[must_use]
    pub const fn plain(value: &'a [u8]) -> Self {
        Self {
            rest: value,
            filler: false,
        }
    }

    /// Returns the value of the first sub-option with this code.
    #[must_use]
    pub fn find_code(mut self, code: u8) -> Option<&'a [u8]> {
        self.find(|sub| sub.code == code).map(|sub| sub.data)
    }
}

impl<'a> Iterator for SubOptions<'a> {
    type Item = DhcpOption<'a>;

    fn next(&mut self) -> Option<DhcpOption<'a>> {
        let found = if self.filler {
            step(self.rest)
        } else {
            tagged(self.rest)
        };
        if let Step::Option(option, rest) = found {
            self.rest = rest;
            Some(option)
        } else {
            self.rest = &[];
            None
        }
    }
}

enum Step<'a> {
    Option(DhcpOption<'a>, &'a [u8]),
    End,
    Malformed,
}

/// Returns the next option of a field behind padding. The end code can be missing.
fn step(mut bytes: &[u8]) -> Step<'_> {
    while let [code::PAD, rest @ ..] = bytes {
        bytes = rest;
    }
    match bytes {
        [code::END, ..] => Step::End,
        _ => tagged(bytes),
    }
}

/// Returns the next code and value, for any code.
fn tagged(bytes: &[u8]) -> Step<'_> {
    match bytes {
        [] => Step::End,
        [code, len, rest @ ..] => match rest.split_at_checked(usize::from(*len)) {
            Some((data, rest)) => Step::Option(DhcpOption { code: *code, data }, rest),
            None => Step::Malformed,
        },
        [_] => Step::Malformed,
    }
}
