//! TFTP packets as bytes and as values: RFC 1350 with the options of RFC 2347,
//! 2348 (`blksize`), 2349 (`timeout`, `tsize`) and 7440 (`windowsize`).
//! [`crate::server`] and [`crate::client`] send them.

/// Length of a DATA packet's header in bytes.
pub const DATA_HEADER_LEN: usize = 4;

/// Default block size in bytes (RFC 1350 §2).
pub const DEFAULT_BLKSIZE: u16 = 512;

/// Smallest and largest block size in bytes (RFC 2348).
pub const BLKSIZE_RANGE: core::ops::RangeInclusive<u16> = 8..=65464;

const OPCODE_RRQ: u16 = 1;
const OPCODE_WRQ: u16 = 2;
const OPCODE_DATA: u16 = 3;
const OPCODE_ACK: u16 = 4;
const OPCODE_ERROR: u16 = 5;
const OPCODE_OACK: u16 = 6;

/// Why a packet can't be parsed or emitted. The numbers are stable, for counters
/// and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Error {
    /// The packet ends inside its fixed part.
    Truncated = 1,
    /// An opcode outside 1 to 6.
    BadOpcode = 2,
    /// A request whose file name is empty, does not end, or is not UTF-8.
    BadName = 3,
    /// A request without a mode, or with one that RFC 1350 does not know.
    BadMode = 4,
    /// The packet does not fit into the buffer.
    NoRoom = 5,
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "packet ends early",
            Self::BadOpcode => "unknown opcode",
            Self::BadName => "invalid file name",
            Self::BadMode => "unknown mode",
            Self::NoRoom => "packet does not fit",
        })
    }
}

impl core::error::Error for Error {}

/// The code of an ERROR packet (RFC 1350 appendix, RFC 2347).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u16);

impl ErrorCode {
    /// Not defined: see the message.
    pub const NOT_DEFINED: Self = Self(0);
    /// File not found.
    pub const FILE_NOT_FOUND: Self = Self(1);
    /// Access violation.
    pub const ACCESS_VIOLATION: Self = Self(2);
    /// Disk full or allocation exceeded.
    pub const DISK_FULL: Self = Self(3);
    /// Illegal TFTP operation.
    pub const ILLEGAL_OPERATION: Self = Self(4);
    /// Unknown transfer id: a packet from a port that has no transfer.
    pub const UNKNOWN_TID: Self = Self(5);
    /// File already exists.
    pub const FILE_EXISTS: Self = Self(6);
    /// No such user.
    pub const NO_SUCH_USER: Self = Self(7);
    /// The peer refused the options (RFC 2347).
    pub const OPTION_NEGOTIATION: Self = Self(8);
}

/// An ERROR packet that refuses a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorReply {
    /// Its code.
    pub code: ErrorCode,
    /// Its text.
    pub message: &'static str,
}

impl ErrorReply {
    /// The server is read-only.
    pub const READ_ONLY: Self = Self {
        code: ErrorCode::ACCESS_VIOLATION,
        message: "this server is read-only",
    };
    /// There is no such file for this client.
    pub const NOT_FOUND: Self = Self {
        code: ErrorCode::FILE_NOT_FOUND,
        message: "file not found",
    };
    /// No transfer belongs to this pair of ports.
    pub const UNKNOWN_TID: Self = Self {
        code: ErrorCode::UNKNOWN_TID,
        message: "unknown transfer id",
    };
    /// The server supports only octet mode.
    pub const OCTET_ONLY: Self = Self {
        code: ErrorCode::ILLEGAL_OPERATION,
        message: "only octet mode is served",
    };

    /// Writes the packet and returns its length.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn emit(&self, buf: &mut [u8]) -> Result<usize, Error> {
        Packet::Error {
            code: self.code,
            message: self.message.as_bytes(),
        }
        .emit(buf)
    }
}

/// The transfer mode (RFC 1350 §5), case-insensitive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Text whose lines end in CR LF.
    Netascii,
    /// Binary.
    Octet,
    /// Mail (obsolete).
    Mail,
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Netascii => "netascii",
            Self::Octet => "octet",
            Self::Mail => "mail",
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        [Self::Octet, Self::Netascii, Self::Mail]
            .into_iter()
            .find(|mode| bytes.eq_ignore_ascii_case(mode.name().as_bytes()))
    }
}

/// The options of a request or an OACK. The parser ignores unknown options, options
/// without a value and values out of range (RFC 2347). The first of repeated
/// options counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// `blksize`, 8 to 65464 bytes; larger values become 65464.
    pub blksize: Option<u16>,
    /// `tsize`, bytes; 0 in a read request, which requests the size.
    pub tsize: Option<u64>,
    /// `timeout`, 1 to 255 s.
    pub timeout: Option<u8>,
    /// `windowsize`, 1 to 65535 blocks.
    pub windowsize: Option<u16>,
}

impl Options {
    /// Returns whether there are no options.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.blksize.is_none()
            && self.tsize.is_none()
            && self.timeout.is_none()
            && self.windowsize.is_none()
    }

    fn parse(mut rest: &[u8]) -> Self {
        let mut options = Self::default();
        while let Some((name, after)) = take_str(rest) {
            let Some((value, after)) = take_str(after) else {
                break;
            };
            rest = after;
            let Some(value) = decimal(value) else {
                continue;
            };
            if name.eq_ignore_ascii_case(b"blksize") {
                let value = u16::try_from(value)
                    .unwrap_or(u16::MAX)
                    .min(*BLKSIZE_RANGE.end());
                first(
                    &mut options.blksize,
                    Some(value).filter(|v| BLKSIZE_RANGE.contains(v)),
                );
            } else if name.eq_ignore_ascii_case(b"tsize") {
                first(&mut options.tsize, Some(value));
            } else if name.eq_ignore_ascii_case(b"timeout") {
                first(
                    &mut options.timeout,
                    u8::try_from(value).ok().filter(|v| *v > 0),
                );
            } else if name.eq_ignore_ascii_case(b"windowsize") {
                first(
                    &mut options.windowsize,
                    u16::try_from(value).ok().filter(|v| *v > 0),
                );
            }
        }
        options
    }

    fn emit(&self, out: &mut Writer<'_>) -> Result<(), Error> {
        let values = [
            ("blksize", self.blksize.map(u64::from)),
            ("tsize", self.tsize),
            ("timeout", self.timeout.map(u64::from)),
            ("windowsize", self.windowsize.map(u64::from)),
        ];
        for (name, value) in values {
            if let Some(value) = value {
                out.str(name.as_bytes())?;
                out.number(value)?;
            }
        }
        Ok(())
    }
}

/// A read or write request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// The file name, see [`crate::name`] for its forms.
    pub name: &'a str,
    /// The transfer mode.
    pub mode: Mode,
    /// The requested options.
    pub options: Options,
}

/// A TFTP packet: the whole UDP payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Read request.
    Rrq(Request<'a>),
    /// Write request.
    Wrq(Request<'a>),
    /// A block of the file; one shorter than the block size is the last.
    Data {
        /// Its number, counted from 1, modulo 65536.
        block: u16,
        /// Its bytes.
        payload: &'a [u8],
    },
    /// Acknowledges all blocks up to this one; 0 accepts an OACK.
    Ack {
        /// Number of the last block in sequence.
        block: u16,
    },
    /// Ends the transfer.
    Error {
        /// The code.
        code: ErrorCode,
        /// The text, any bytes without NUL.
        message: &'a [u8],
    },
    /// The options that the server grants.
    Oack(Options),
}

impl<'a> Packet<'a> {
    /// Parses a UDP payload. Some clients omit the NUL of the last string or send
    /// bytes behind an ACK; the parser accepts both.
    ///
    /// # Errors
    /// Every [`Error`] but [`Error::NoRoom`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (opcode, rest) = take_u16(bytes)?;
        Ok(match opcode {
            OPCODE_RRQ => Self::Rrq(parse_request(rest)?),
            OPCODE_WRQ => Self::Wrq(parse_request(rest)?),
            OPCODE_DATA => {
                let (block, payload) = take_u16(rest)?;
                Self::Data { block, payload }
            }
            OPCODE_ACK => Self::Ack {
                block: take_u16(rest)?.0,
            },
            OPCODE_ERROR => {
                let (code, rest) = take_u16(rest)?;
                let message = take_str(rest).map_or(&[][..], |(message, _)| message);
                Self::Error {
                    code: ErrorCode(code),
                    message,
                }
            }
            OPCODE_OACK => Self::Oack(Options::parse(rest)),
            _ => return Err(Error::BadOpcode),
        })
    }

    /// Writes the packet and returns its length.
    ///
    /// # Errors
    /// [`Error::NoRoom`]; [`Error::BadName`] for an empty name or a NUL in it.
    pub fn emit(&self, buf: &mut [u8]) -> Result<usize, Error> {
        let mut out = Writer { buf, len: 0 };
        match self {
            Self::Rrq(request) => emit_request(&mut out, OPCODE_RRQ, request)?,
            Self::Wrq(request) => emit_request(&mut out, OPCODE_WRQ, request)?,
            Self::Data { block, payload } => {
                out.u16(OPCODE_DATA)?;
                out.u16(*block)?;
                out.bytes(payload)?;
            }
            Self::Ack { block } => {
                out.u16(OPCODE_ACK)?;
                out.u16(*block)?;
            }
            Self::Error { code, message } => {
                out.u16(OPCODE_ERROR)?;
                out.u16(code.0)?;
                out.str(message)?;
            }
            Self::Oack(options) => {
                out.u16(OPCODE_OACK)?;
                options.emit(&mut out)?;
            }
        }
        Ok(out.len)
    }
}

/// Writes the header of a DATA packet. Its payload is at [`DATA_HEADER_LEN`].
///
/// # Errors
/// [`Error::NoRoom`] if `buf` is shorter than the header.
pub fn emit_data_header(buf: &mut [u8], block: u16) -> Result<(), Error> {
    let head = buf
        .first_chunk_mut::<DATA_HEADER_LEN>()
        .ok_or(Error::NoRoom)?;
    let ([o0, o1], [b0, b1]) = (OPCODE_DATA.to_be_bytes(), block.to_be_bytes());
    *head = [o0, o1, b0, b1];
    Ok(())
}

fn parse_request(bytes: &[u8]) -> Result<Request<'_>, Error> {
    let end = bytes.iter().position(|b| *b == 0).ok_or(Error::BadName)?;
    let (name, rest) = take_str(bytes).ok_or(Error::BadName)?;
    let name = core::str::from_utf8(name).map_err(|_| Error::BadName)?;
    if end == 0 {
        return Err(Error::BadName);
    }
    let (mode, rest) = take_str(rest).ok_or(Error::BadMode)?;
    let mode = Mode::parse(mode).ok_or(Error::BadMode)?;
    Ok(Request {
        name,
        mode,
        options: Options::parse(rest),
    })
}

fn emit_request(out: &mut Writer<'_>, opcode: u16, request: &Request<'_>) -> Result<(), Error> {
    if request.name.is_empty() || request.name.contains('\0') {
        return Err(Error::BadName);
    }
    out.u16(opcode)?;
    out.str(request.name.as_bytes())?;
    out.str(request.mode.name().as_bytes())?;
    request.options.emit(out)
}

fn first<T>(slot: &mut Option<T>, value: Option<T>) {
    if slot.is_none() {
        *slot = value;
    }
}

fn take_u16(bytes: &[u8]) -> Result<(u16, &[u8]), Error> {
    let (head, rest) = bytes.split_first_chunk().ok_or(Error::Truncated)?;
    Ok((u16::from_be_bytes(*head), rest))
}

/// Returns a string and the bytes behind its NUL. The end of the packet also ends it.
fn take_str(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    if bytes.is_empty() {
        return None;
    }
    let mut parts = bytes.splitn(2, |b| *b == 0);
    Some((parts.next()?, parts.next().unwrap_or(&[])))
}

/// Parses a decimal number of at most 64 bits.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        sum.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

struct Writer<'b> {
    buf: &'b mut [u8],
    len: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let rest = self.buf.get_mut(self.len..).ok_or(Error::NoRoom)?;
        rest.get_mut(..bytes.len())
            .ok_or(Error::NoRoom)?
            .copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }

    fn u16(&mut self, value: u16) -> Result<(), Error> {
        self.bytes(&value.to_be_bytes())
    }

    fn str(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.bytes(bytes)?;
        self.bytes(&[0])
    }

    fn number(&mut self, mut value: u64) -> Result<(), Error> {
        let mut digits = [0; 20];
        let mut at = digits.len();
        for slot in digits.iter_mut().rev() {
            *slot = b'0' + (value % 10) as u8;
            value /= 10;
            at -= 1;
            if value == 0 {
                break;
            }
        }
        self.str(digits.get(at..).unwrap_or(&[]))
    }
}
