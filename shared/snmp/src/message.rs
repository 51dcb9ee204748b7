//! Messages of SNMPv2c (RFC 1901, section 3; RFC 3416, section 3).

use core::fmt;

use crate::ber::{self, Reader, Writer};
use crate::oid::Oid;
use crate::value::{Answer, Value};

/// Longest datagram that the client sends, in bytes.
pub const MAX_DATAGRAM: usize = 320;

/// Longest community, in bytes.
pub const MAX_COMMUNITY: usize = 64;

/// SNMPv2c.
const VERSION: i32 = 1;

/// The tag of a response.
const RESPONSE: u8 = 0xa2;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// The value of an object.
    Get(Oid),
    /// The first object behind a name.
    GetNext(Oid),
    /// An object gets a value.
    Set {
        /// The object.
        name: Oid,
        /// The value.
        value: i32,
        /// Whether the request may be sent again where no answer comes: it must do
        /// the same when it is carried out twice.
        repeat: bool,
    },
}

impl Request {
    /// Returns the name in the request.
    #[must_use]
    pub const fn name(&self) -> &Oid {
        match self {
            Self::Get(name) | Self::GetNext(name) | Self::Set { name, .. } => name,
        }
    }

    /// Writes the datagram; `None` where it does not fit.
    pub(crate) fn encode(&self, community: &str, id: i32, buffer: &mut [u8]) -> Option<usize> {
        let mut writer = Writer::new(buffer);
        let end = writer.mark();
        let tag = match self {
            Self::Get(_) => 0xa0,
            Self::GetNext(_) => 0xa1,
            Self::Set { .. } => 0xa3,
        };
        match self {
            Self::Get(_) | Self::GetNext(_) => writer.element(ber::NULL, &[]),
            Self::Set { value, .. } => writer.integer(*value),
        }
        writer.oid(self.name());
        writer.wrap(ber::SEQUENCE, end);
        writer.wrap(ber::SEQUENCE, end);
        // Error status and index.
        writer.integer(0);
        writer.integer(0);
        writer.integer(id);
        writer.wrap(tag, end);
        writer.element(ber::OCTET_STRING, community.as_bytes());
        writer.integer(VERSION);
        writer.wrap(ber::SEQUENCE, end);
        writer.finish()
    }
}

/// Reads the response to a request with this id and community. `None` for anything
/// else.
pub(crate) fn decode(
    datagram: &[u8],
    community: &str,
    id: i32,
) -> Option<Result<Answer, ErrorStatus>> {
    let mut message = Reader(Reader(datagram).expect(ber::SEQUENCE)?);
    let version = message.integer()?;
    let sender = message.expect(ber::OCTET_STRING)?;
    if version != VERSION || sender != community.as_bytes() {
        return None;
    }
    let mut pdu = Reader(message.expect(RESPONSE)?);
    if pdu.integer()? != id {
        return None;
    }
    let status = pdu.integer()?;
    let _index = pdu.integer()?;
    if status != 0 {
        return Some(Err(ErrorStatus::of(status)));
    }
    let mut list = Reader(pdu.expect(ber::SEQUENCE)?);
    let mut variable = Reader(list.expect(ber::SEQUENCE)?);
    let name = Oid::decode(variable.expect(ber::OBJECT_IDENTIFIER)?)?;
    let (tag, content) = variable.element()?;
    let value = Value::decode(tag, content)?;
    let alone = list.is_empty() && variable.is_empty();
    alone.then_some(Ok(Answer { name, value }))
}

/// Why an agent refuses a request (RFC 3416, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorStatus {
    /// The response would be too long.
    TooBig,
    /// There is no such object (of SNMPv1).
    NoSuchName,
    /// The value is none of this object (of SNMPv1).
    BadValue,
    /// The object can't be set (of SNMPv1).
    ReadOnly,
    /// Anything else.
    General,
    /// The community may not.
    NoAccess,
    /// The object has another type.
    WrongType,
    /// The object has another length.
    WrongLength,
    /// The value is badly written.
    WrongEncoding,
    /// The value is none of this object.
    WrongValue,
    /// The object does not exist and can't be made.
    NoCreation,
    /// The value does not go with others now.
    InconsistentValue,
    /// Something is used up.
    ResourceUnavailable,
    /// Setting it failed.
    CommitFailed,
    /// Setting it failed, and so did taking it back.
    UndoFailed,
    /// The community may not.
    Authorization,
    /// The object can't be set.
    NotWritable,
    /// The object can't be made now.
    InconsistentName,
    /// A number that the standard does not have.
    Other(i32),
}

impl ErrorStatus {
    const ALL: [Self; 18] = [
        Self::TooBig,
        Self::NoSuchName,
        Self::BadValue,
        Self::ReadOnly,
        Self::General,
        Self::NoAccess,
        Self::WrongType,
        Self::WrongLength,
        Self::WrongEncoding,
        Self::WrongValue,
        Self::NoCreation,
        Self::InconsistentValue,
        Self::ResourceUnavailable,
        Self::CommitFailed,
        Self::UndoFailed,
        Self::Authorization,
        Self::NotWritable,
        Self::InconsistentName,
    ];

    fn of(status: i32) -> Self {
        let at = usize::try_from(status)
            .ok()
            .and_then(|status| status.checked_sub(1));
        let found = at.and_then(|at| Self::ALL.get(at));
        found.copied().unwrap_or(Self::Other(status))
    }

    /// Returns a short text for people.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::TooBig => "the response is too long for the agent",
            Self::NoSuchName => "there is no such object",
            Self::BadValue | Self::WrongValue => "the object does not have this value",
            Self::ReadOnly | Self::NotWritable => "the object can't be set",
            Self::General => "the agent failed",
            Self::NoAccess | Self::Authorization => "the community has no access",
            Self::WrongType | Self::WrongLength | Self::WrongEncoding => {
                "the object has another type"
            }
            Self::NoCreation | Self::InconsistentName => "the object can't be made",
            Self::InconsistentValue => "the value does not fit now",
            Self::ResourceUnavailable => "the agent is short of something",
            Self::CommitFailed => "the agent could not set it",
            Self::UndoFailed => "the agent set a part of it",
            Self::Other(_) => "the agent refuses for an unknown reason",
        }
    }
}

impl fmt::Display for ErrorStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
