//! What is asked for: of whom, how, and by when.

use crate::kinds::{BootEnabled, BootMode, BootTarget, ResetType};

/// The scheme of the service's URLs: what carries the byte stream is the owner's
/// business, but links that name the other scheme lead elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain TCP.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(crate) const fn standard_port(self) -> &'static str {
        match self {
            Self::Http => ":80",
            Self::Https => ":443",
        }
    }
}

/// How requests are authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Auth {
    /// Not at all.
    None,
    /// Name and password in each request (RFC 7617). A 401 ends the operation:
    /// another attempt could lock the account.
    Basic,
    /// A session, made where [`Bmc`](crate::Bmc) has none, and once more after a
    /// 401. It stays open behind the operation: [`Request::CloseSession`].
    Session,
}

/// Which system of the service is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    /// The only one; more than one are a failure.
    Only,
    /// The one with this path, such as `/redfish/v1/Systems/1`.
    Path(&'a str),
    /// The one with this UUID (RFC 9562 order). A BMC that shows the first three
    /// fields in the byte order of SMBIOS is understood too.
    Uuid([u8; 16]),
}

/// A service, and who asks it.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// Host as in a URL, with the port where it is not the standard one.
    pub host: &'a str,
    /// Scheme.
    pub scheme: Scheme,
    /// Name of the account.
    pub user: &'a str,
    /// Password.
    pub password: &'a str,
    /// How requests are authenticated.
    pub auth: Auth,
    /// Which system is meant.
    pub which: Which<'a>,
}

impl core::fmt::Debug for Target<'_> {
    /// Without the password.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Target")
            .field("host", &self.host)
            .field("scheme", &self.scheme)
            .field("user", &self.user)
            .field("auth", &self.auth)
            .field("which", &self.which)
            .finish_non_exhaustive()
    }
}

/// Bounds of an operation. Times are in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// From the wish for a connection or the first byte of a request to the last
    /// byte of its answer.
    pub answer_ms: u32,
    /// The whole operation.
    pub total_ms: u32,
    /// Between two looks at a task, or at a resource that has still its old state.
    /// A `Retry-After` of the BMC comes before it, up to a minute.
    pub poll_ms: u32,
    /// How long a changed resource may have its old state.
    pub settle_ms: u32,
    /// Longest body of an answer, in bytes with its chunks' heads.
    pub max_body: u32,
    /// Whether a connection carries more than one request. Some BMCs choke on
    /// those; a new connection costs a handshake each.
    pub keep_alive: bool,
    /// Whether changes name the ETag that was read (`If-Match`), so that a change
    /// of somebody else's is not overwritten. Some BMCs refuse their own ETags.
    pub if_match: bool,
}

impl Default for Settings {
    /// 30 s an answer, 5 minutes in all, a look each 2 s, 20 s for old states,
    /// bodies of 1 MiB, connections kept,
    /// ETags sent.
    fn default() -> Self {
        Self {
            answer_ms: 30_000,
            total_ms: 300_000,
            poll_ms: 2_000,
            settle_ms: 20_000,
            max_body: 1 << 20,
            keep_alive: true,
            if_match: true,
        }
    }
}

/// A boot override to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootOverride<'a> {
    /// How long it holds.
    pub enabled: BootEnabled,
    /// Where to boot from; not sent with [`BootEnabled::Disabled`].
    pub target: BootTarget,
    /// The firmware interface; `None` leaves it as it is.
    pub mode: Option<BootMode>,
    /// The URI of [`BootTarget::UefiHttp`]; `None` is what DHCP says.
    pub http_uri: Option<&'a str>,
}

/// The value of a BIOS attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttributeValue<'a> {
    /// A string, or a value of an enumeration.
    Text(&'a str),
    /// An integer.
    Number(i64),
    /// A truth value.
    Bool(bool),
}

/// What to do. Each but the last two finds the system first where
/// [`Bmc`](crate::Bmc) does not know it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Request<'a> {
    /// Finds the system anew and reads it.
    Identify,
    /// Reads the system: power, boot override, UUID, health, what is allowed.
    ReadSystem,
    /// Asks for a reset, if it is allowed or the BMC does not say. The end says that the BMC accepted it, not that the power
    /// has changed: read the system.
    Reset(ResetType),
    /// Sets the boot override, and reads it back.
    SetBoot(BootOverride<'a>),
    /// Reads the temperatures and fans of the first chassis.
    ReadSensors,
    /// Inserts an image in the first virtual drive for CDs that is free.
    InsertMedia {
        /// URI of the image, which the BMC fetches; of HTTP or HTTPS.
        image: &'a str,
    },
    /// Ejects the image from the first virtual drive for CDs that has one.
    EjectMedia,
    /// Shows the BIOS attributes, as they are.
    ReadBios,
    /// Sets BIOS attributes for the next boot, and reads them back where they are
    /// pending.
    SetBios(&'a [(&'a str, AttributeValue<'a>)]),
    /// Asks for the BIOS' defaults at the next boot.
    ResetBios,
    /// Reads the state of Secure Boot.
    ReadSecureBoot,
    /// Enables or disables Secure Boot from the next boot on, and reads it back. A
    /// BMC that shows it only after that boot looks as if it had not applied it.
    SetSecureBoot(bool),
    /// Ends the session, if there is one.
    CloseSession,
}

impl Request<'_> {
    /// Returns whether it can change something.
    #[must_use]
    pub const fn changes(&self) -> bool {
        match self {
            Self::Identify
            | Self::ReadSystem
            | Self::ReadSensors
            | Self::ReadBios
            | Self::ReadSecureBoot
            | Self::CloseSession => false,
            Self::Reset(_)
            | Self::SetBoot(_)
            | Self::InsertMedia { .. }
            | Self::EjectMedia
            | Self::SetBios(_)
            | Self::ResetBios
            | Self::SetSecureBoot(_) => true,
        }
    }
}
