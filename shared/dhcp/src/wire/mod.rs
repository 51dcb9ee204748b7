//! The DHCP message: a view of its bytes and its values.
//!
//! [`Packet`] is the view: it gives access to the fields of a buffer and iterates
//! over its options. [`Request`] and [`Reply`] are the values, parsed from a view
//! or emitted into a buffer. The module has no policy; [`crate::route`] has the
//! destination of a reply.

mod emit;
mod option;
mod packet;
mod pxe;
mod reply;
mod request;

pub use option::{DhcpOption, Options, SubOptions, classless_route, code};
pub use packet::{HEADER_LEN, MAGIC_COOKIE, MIN_LEN, Op, Packet};
pub use pxe::{
    Arch, ArchList, ClassName, ClientClass, IpxeFeatures, IpxeOptions, Platform, Undi,
    is_ipxe_user_class,
};
pub use reply::{AddrList, Reply};
pub use request::{ClientIdentity, Request};

/// Why a message can't be parsed or emitted. The numbers are stable, for counters
/// and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Error {
    /// The buffer is shorter than the fixed part and the magic cookie
    /// (240 bytes), so it is not a DHCP message.
    Truncated = 1,
    /// The magic cookie 99.130.83.99 is missing: plain BOOTP or another
    /// protocol (RFC 2131 §3).
    BadCookie = 2,
    /// The message is a reply instead of a request, or the reverse.
    WrongOp = 3,
    /// Not an Ethernet client: `htype` is not 1, `hlen` is not 6, or `chaddr`
    /// is zero or a group address.
    BadHardware = 4,
    /// No option 53, or one with a value that this message cannot have
    /// (RFC 2132 §9.6).
    BadMessageType = 5,
    /// An option runs past its field, or has a length its type forbids.
    BadOption = 6,
    /// A value does not fit into one option (255 bytes).
    OptionTooLong = 7,
    /// The message does not fit into the buffer, or into the size that the
    /// peer accepts (option 57), even with overloaded fields.
    NoRoom = 8,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "message shorter than its fixed part",
            Self::BadCookie => "magic cookie missing",
            Self::WrongOp => "wrong op for this direction",
            Self::BadHardware => "invalid Ethernet hardware address",
            Self::BadMessageType => "message type missing or invalid here",
            Self::BadOption => "malformed option",
            Self::OptionTooLong => "option value longer than 255 bytes",
            Self::NoRoom => "message does not fit",
        })
    }
}

impl core::error::Error for Error {}

/// DHCP message types, option 53 (RFC 2132 §9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum MessageType {
    /// Client looks for servers.
    Discover = 1,
    /// Server offers parameters.
    Offer = 2,
    /// Client accepts an offer, confirms an address, or extends a lease.
    Request = 3,
    /// Client found the address in use.
    Decline = 4,
    /// Server commits the parameters.
    Ack = 5,
    /// Server refuses; the client starts over.
    Nak = 6,
    /// Client releases its address.
    Release = 7,
    /// Client has an address and requests the other parameters.
    Inform = 8,
}

impl MessageType {
    /// Returns the type with this number, if it is one of RFC 2132's eight.
    #[must_use]
    pub const fn from_u8(value: u8) -> Option<Self> {
        Some(match value {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            4 => Self::Decline,
            5 => Self::Ack,
            6 => Self::Nak,
            7 => Self::Release,
            8 => Self::Inform,
            _ => return None,
        })
    }

    /// Returns whether clients send this type.
    #[must_use]
    pub const fn is_from_client(self) -> bool {
        !matches!(self, Self::Offer | Self::Ack | Self::Nak)
    }
}
