//! The messages that open a session (13.17 to 13.23), for both ends: what an end does
//! with them is not here. The codes in them are in `codes`.

mod codes;

pub use codes::Exchange;

use crate::packet::Out;
use crate::suite::Algorithms;

/// Longest user name, in bytes.
pub const MAX_NAME: usize = 16;

/// Longest password, in bytes.
pub const MAX_PASSWORD: usize = 20;

/// Length of the BMC's key (Kg), in bytes.
pub const KG_LEN: usize = 20;

/// Bit of the role that says: look the user up by its name alone.
pub const BY_NAME: u8 = 0x10;

/// What a status of a session message says (13.24).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Status(pub u8);

impl Status {
    /// Done.
    pub const OK: Self = Self(0);
    /// No session is free.
    pub const NO_RESOURCES: Self = Self(1);
    /// There is no such session.
    pub const INVALID_SESSION: Self = Self(2);
    /// The authentication algorithm is none of the BMC's.
    pub const AUTHENTICATION: Self = Self(4);
    /// The integrity algorithm is none of the BMC's.
    pub const INTEGRITY: Self = Self(5);
    /// The session has ended.
    pub const INACTIVE: Self = Self(8);
    /// There is no such privilege.
    pub const INVALID_ROLE: Self = Self(9);
    /// The user does not have the privilege.
    pub const ROLE: Self = Self(0x0a);
    /// No session of this privilege is free.
    pub const NO_RESOURCES_OF_ROLE: Self = Self(0x0b);
    /// The user name has a wrong length.
    pub const NAME_LENGTH: Self = Self(0x0c);
    /// There is no such user.
    pub const NAME: Self = Self(0x0d);
    /// A code is wrong.
    pub const CODE: Self = Self(0x0f);
    /// The confidentiality algorithm is none of the BMC's.
    pub const CONFIDENTIALITY: Self = Self(0x10);
    /// The suite is none of the BMC's.
    pub const SUITE: Self = Self(0x11);
    /// The message is malformed.
    pub const PARAMETER: Self = Self(0x12);

    /// Whether the BMC does not have the suite, or not for this user.
    #[must_use]
    pub const fn refuses_suite(self) -> bool {
        matches!(self.0, 4..=7 | 0x10 | 0x11)
    }

    /// Whether the same message may succeed a little later.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        matches!(self.0, 1 | 2 | 8 | 0x0b)
    }

    /// What the status says.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self.0 {
            0 => "done",
            1 | 0x0b => "the BMC has no session free",
            2 | 8 => "the BMC does not know the session any more",
            4..=7 | 0x10 | 0x11 => "the BMC does not have the cipher suite",
            9 | 0x0a => "the user does not have the privilege",
            0x0c | 0x0d => "the BMC has no such user",
            0x0f => "the BMC says that the password or its key is another one",
            _ => "the BMC refuses the session",
        }
    }
}

impl core::fmt::Debug for Status {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Status({:#04x}: {})", self.0, self.reason())
    }
}

/// A request to open a session (13.17).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenRequest {
    /// Names the message.
    pub tag: u8,
    /// The highest privilege of the session; 0 for the highest of the suite.
    pub privilege: u8,
    /// The console's identifier of the session.
    pub console_session: u32,
    /// The algorithms.
    pub algorithms: Algorithms,
}

fn put_algorithms(out: &mut Out<'_>, algorithms: Algorithms) {
    let all = [
        algorithms.authentication,
        algorithms.integrity,
        algorithms.confidentiality,
    ];
    for (kind, number) in (0..).zip(all) {
        out.put(&[kind, 0, 0, 8, number, 0, 0, 0]);
    }
}

fn parse_algorithms(bytes: &[u8; 24]) -> Algorithms {
    let [_, _, _, _, authentication, _, _, _, rest @ ..] = bytes;
    let [_, _, _, _, integrity, _, _, _, rest @ ..] = rest;
    let [_, _, _, _, confidentiality, _, _, _] = rest;
    Algorithms {
        authentication: authentication & 0x3f,
        integrity: integrity & 0x3f,
        confidentiality: confidentiality & 0x3f,
    }
}

impl OpenRequest {
    /// Reads the message; `None` where it is too short.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (head, rest) = payload.split_first_chunk::<4>()?;
        let (session, rest) = rest.split_first_chunk::<4>()?;
        Some(Self {
            tag: head[0],
            privilege: head[1] & 0x0f,
            console_session: u32::from_le_bytes(*session),
            algorithms: parse_algorithms(rest.first_chunk()?),
        })
    }

    /// Writes the message, and returns its length; `None` where it does not fit.
    #[must_use]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let mut out = Out::new(out);
        out.put(&[self.tag, self.privilege, 0, 0]);
        out.put(&self.console_session.to_le_bytes());
        put_algorithms(&mut out, self.algorithms);
        out.end()
    }
}

/// What all answers begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Tag of the message that it answers.
    pub tag: u8,
    /// How it went.
    pub status: Status,
    /// The console's identifier of the session; `None` in a refusal that ends
    /// before it.
    pub console_session: Option<u32>,
}

impl Head {
    /// Reads it; `None` where it is too short.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let session = payload.get(4..).and_then(<[u8]>::first_chunk::<4>);
        Some(Self {
            tag: *payload.first()?,
            status: Status(*payload.get(1)?),
            console_session: session.map(|bytes| u32::from_le_bytes(*bytes)),
        })
    }

    fn put(&self, out: &mut Out<'_>, third: u8) {
        out.put(&[self.tag, self.status.0, third, 0]);
        out.put(&self.console_session.unwrap_or(0).to_le_bytes());
    }

    /// Writes a refusal, and returns its length; `None` where it does not fit.
    #[must_use]
    pub fn emit_refusal(&self, out: &mut [u8]) -> Option<usize> {
        let mut out = Out::new(out);
        self.put(&mut out, 0);
        out.end()
    }
}

/// The rest of an answer to [`OpenRequest`] (13.18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenResponse {
    /// The highest privilege of the session.
    pub privilege: u8,
    /// The BMC's identifier of the session.
    pub bmc_session: u32,
    /// The algorithms that the BMC has chosen.
    pub algorithms: Algorithms,
}

impl OpenResponse {
    /// Reads the whole message behind its [`Head`]; `None` where it is too short.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let (head, rest) = payload.split_first_chunk::<8>()?;
        let (session, rest) = rest.split_first_chunk::<4>()?;
        Some(Self {
            privilege: head[2] & 0x0f,
            bmc_session: u32::from_le_bytes(*session),
            algorithms: parse_algorithms(rest.first_chunk()?),
        })
    }

    /// Writes the message, and returns its length; `None` where it does not fit.
    #[must_use]
    pub fn emit(&self, head: Head, out: &mut [u8]) -> Option<usize> {
        let mut out = Out::new(out);
        head.put(&mut out, self.privilege);
        out.put(&self.bmc_session.to_le_bytes());
        put_algorithms(&mut out, self.algorithms);
        out.end()
    }
}

/// RAKP message 1 (13.20).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rakp1<'a> {
    /// Names the message.
    pub tag: u8,
    /// The BMC's identifier of the session.
    pub bmc_session: u32,
    /// The console's random number.
    pub random: &'a [u8; 16],
    /// The privilege, with [`BY_NAME`].
    pub role: u8,
    /// The user's name.
    pub name: &'a [u8],
}

impl<'a> Rakp1<'a> {
    /// Reads the message; `None` where it is malformed.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (head, rest) = payload.split_first_chunk::<4>()?;
        let (session, rest) = rest.split_first_chunk::<4>()?;
        let (random, rest) = rest.split_first_chunk::<16>()?;
        let (role, rest) = rest.split_first_chunk::<4>()?;
        let name = rest.get(..usize::from(role[3]))?;
        (name.len() <= MAX_NAME).then_some(Self {
            tag: head[0],
            bmc_session: u32::from_le_bytes(*session),
            random,
            role: role[0],
            name,
        })
    }

    /// Writes the message, and returns its length; `None` where it does not fit.
    #[must_use]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let mut out = Out::new(out);
        out.put(&[self.tag, 0, 0, 0]);
        out.put(&self.bmc_session.to_le_bytes()).put(self.random);
        out.put(&[self.role, 0, 0, u8::try_from(self.name.len()).ok()?]);
        out.put(self.name).end()
    }
}

/// The rest of RAKP message 2 (13.21).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rakp2<'a> {
    /// The BMC's random number.
    pub random: &'a [u8; 16],
    /// The BMC's GUID.
    pub guid: &'a [u8; 16],
    /// The code; see [`Exchange::rakp2`].
    pub code: &'a [u8],
}

impl<'a> Rakp2<'a> {
    /// Reads the whole message behind its [`Head`]; `None` where it is too short.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (random, rest) = payload.get(8..)?.split_first_chunk::<16>()?;
        let (guid, code) = rest.split_first_chunk::<16>()?;
        Some(Self { random, guid, code })
    }

    /// Writes the message, and returns its length; `None` where it does not fit.
    #[must_use]
    pub fn emit(&self, head: Head, out: &mut [u8]) -> Option<usize> {
        let mut out = Out::new(out);
        head.put(&mut out, 0);
        out.put(self.random).put(self.guid).put(self.code).end()
    }
}

/// RAKP message 3 (13.22).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rakp3<'a> {
    /// Names the message.
    pub tag: u8,
    /// How RAKP 2 was taken.
    pub status: Status,
    /// The BMC's identifier of the session.
    pub bmc_session: u32,
    /// The code; see [`Exchange::rakp3`].
    pub code: &'a [u8],
}

impl<'a> Rakp3<'a> {
    /// Reads the message; `None` where it is too short.
    #[must_use]
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let (head, rest) = payload.split_first_chunk::<4>()?;
        let (session, code) = rest.split_first_chunk::<4>()?;
        Some(Self {
            tag: head[0],
            status: Status(head[1]),
            bmc_session: u32::from_le_bytes(*session),
            code,
        })
    }

    /// Writes the message, and returns its length; `None` where it does not fit.
    #[must_use]
    pub fn emit(&self, out: &mut [u8]) -> Option<usize> {
        let mut out = Out::new(out);
        out.put(&[self.tag, self.status.0, 0, 0]);
        out.put(&self.bmc_session.to_le_bytes()).put(self.code);
        out.end()
    }
}

/// Writes RAKP message 4 (13.23): its head and a code of
/// [`crate::suite::Suite::packet_code_len`] bytes. Returns its length; `None` where it does not
/// fit.
#[must_use]
pub fn emit_rakp4(head: Head, code: &[u8], out: &mut [u8]) -> Option<usize> {
    let mut out = Out::new(out);
    head.put(&mut out, 0);
    out.put(code).end()
}

/// The code of RAKP message 4.
#[must_use]
pub fn rakp4_code(payload: &[u8]) -> &[u8] {
    payload.get(8..).unwrap_or_default()
}
