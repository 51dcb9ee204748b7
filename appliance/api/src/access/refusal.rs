//! Requests that the gate refuses, and the replies to them. The bodies are
//! those of Ironic: its HTTP Basic has another one than its resources.

use crate::Error;
use crate::json::{Slice, Writer};
use farrier_http::{BodyLength, Framing, Head, Method, ResponseHead, Status};
use heapless::{String, Vec};

/// Why a request is refused before the API looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It comes from an address of a machine of the rack.
    Machine,
    /// Its `Host` is not this appliance.
    Host,
    /// A page of another site made a browser send it.
    Origin,
    /// Its body is not JSON by its type.
    ContentType,
    /// It has no credentials.
    Anonymous,
    /// Its `Authorization` has no token, or there are several.
    Unreadable,
    /// Its credentials are not of HTTP Basic.
    OtherScheme,
    /// Its token is not a name and a password.
    Undecodable,
    /// Name or password are wrong.
    Wrong,
    /// There were too many wrong passwords; there is another try after so
    /// many seconds.
    TooMany {
        /// The seconds.
        seconds: u32,
    },
}

/// What of a request matters for the reply to a refusal.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    head_only: bool,
    /// Nothing of a body is read.
    keep_alive: bool,
}

impl Asked {
    /// Of a request's head. `alone` says that nothing was received behind it.
    #[must_use]
    pub fn of(head: &Head<'_>, alone: bool) -> Self {
        Self {
            head_only: head.method == Method::Head,
            keep_alive: head.keep_alive && alone && head.body == BodyLength::Known(0),
        }
    }

    /// Whether the connection is kept.
    #[must_use]
    pub const fn keep_alive(self) -> bool {
        self.keep_alive
    }
}

impl Refusal {
    /// The status of the reply.
    #[must_use]
    pub const fn status(self) -> Status {
        match self {
            Self::Machine | Self::Origin => Status::FORBIDDEN,
            Self::Host | Self::Unreadable | Self::OtherScheme | Self::Undecodable => {
                Status::BAD_REQUEST
            }
            Self::ContentType => Status::UNSUPPORTED_MEDIA_TYPE,
            Self::Anonymous | Self::Wrong => Status::UNAUTHORIZED,
            Self::TooMany { .. } => Status::TOO_MANY_REQUESTS,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Machine => {
                "Access was denied: machines of the rack do not use the API. Send the request \
                 from an address outside of the pool."
            }
            Self::Host => {
                "The request is for another host. Use the appliance's address, or a name that \
                 `cargo xtask dist --host NAME` wrote into its store."
            }
            Self::Origin => {
                "Access was denied: a page of another site sent the request. Use a client that is \
                 no browser."
            }
            Self::ContentType => "The body's type is not supported. Send application/json.",
            Self::Anonymous => "Authorization required",
            Self::Unreadable => "Could not parse Authorization header",
            Self::OtherScheme => "Unsupported authorization type, use Basic",
            Self::Undecodable => "Could not decode authorization token",
            Self::Wrong => "Incorrect username or password",
            Self::TooMany { .. } => {
                "There were too many wrong passwords. Wait for as many seconds as Retry-After \
                 says, then try again."
            }
        }
    }

    /// Writes the whole reply into a buffer of at least 768 bytes. Gives its
    /// length.
    #[must_use]
    pub fn reply(self, asked: Asked, buffer: &mut [u8]) -> usize {
        let mut room = [0; 512];
        let length = match self.status() {
            // Ironic's client shows no other envelope than that of resources.
            status if self == Self::Host => {
                Error::new(status, format_args!("{}", self.text())).emit(&mut room)
            }
            Status::UNAUTHORIZED | Status::BAD_REQUEST => self.basic(&mut room),
            status => Error::new(status, format_args!("{}", self.text())).emit(&mut room),
        };
        let body = room.get(..length).unwrap_or_default();
        let mut wait = String::<10>::new();
        let mut extra = Vec::<(&str, &str), 2>::new();
        // There is room for two.
        let _fits = extra.push(("Cache-Control", "no-store"));
        match self {
            Self::Anonymous | Self::Wrong => {
                let _fits = extra.push(("WWW-Authenticate", "Basic realm=\"Baremetal API\""));
            }
            Self::TooMany { seconds } => {
                let _fits = core::fmt::Write::write_fmt(&mut wait, format_args!("{seconds}"));
                let _fits = extra.push(("Retry-After", &wait));
            }
            _ => {}
        }
        let head = ResponseHead::new(self.status())
            .framing(Framing::Length(body.len() as u64))
            .keep_alive(asked.keep_alive)
            .content_type("application/json")
            .extra(&extra);
        let used = head.emit(buffer).unwrap_or(0);
        if asked.head_only {
            return used;
        }
        match buffer.get_mut(used..used + body.len()) {
            Some(place) => {
                place.copy_from_slice(body);
                used + body.len()
            }
            None => used,
        }
    }

    /// The body as Ironic's middleware for HTTP Basic has it.
    fn basic(self, room: &mut [u8]) -> usize {
        let mut writer = Writer::new(Slice::new(room));
        writer.object().key("error").object();
        writer.key("message").string(self.text());
        writer.key("code").number(self.status().0);
        writer.end_object().end_object();
        writer.finish().map_or(0, |slice| slice.len())
    }
}
