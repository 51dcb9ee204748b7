//! Replies: `ok`, data, and errors (RFC 6241, sections 4.2 and 4.3).

use crate::text::clip;
use crate::xml::name::{Name, Namespace};
use crate::xml::{Event, Token};
use heapless::String;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $($variant:ident = $text:literal,)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        #[allow(missing_docs, reason = "the words are those of RFC 6241, appendix A")]
        #[repr(u8)]
        pub enum $name {
            /// Any other word, or none.
            #[default]
            Other,
            $($variant,)*
        }

        impl $name {
            /// Returns the number of a word.
            #[must_use]
            pub fn of(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    _ => Self::Other,
                }
            }

            /// Returns the word.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    Self::Other => "other",
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

words! {
    /// The layer at which an error occurred.
    ErrorType:
    Transport = "transport",
    Rpc = "rpc",
    Protocol = "protocol",
    Application = "application",
}

words! {
    /// What kind of error it is (RFC 6241, appendix A).
    ErrorTag:
    InUse = "in-use",
    InvalidValue = "invalid-value",
    TooBig = "too-big",
    MissingAttribute = "missing-attribute",
    BadAttribute = "bad-attribute",
    UnknownAttribute = "unknown-attribute",
    MissingElement = "missing-element",
    BadElement = "bad-element",
    UnknownElement = "unknown-element",
    UnknownNamespace = "unknown-namespace",
    AccessDenied = "access-denied",
    LockDenied = "lock-denied",
    ResourceDenied = "resource-denied",
    RollbackFailed = "rollback-failed",
    DataExists = "data-exists",
    DataMissing = "data-missing",
    OperationNotSupported = "operation-not-supported",
    OperationFailed = "operation-failed",
    PartialOperation = "partial-operation",
    MalformedMessage = "malformed-message",
}

/// An error of a server, of severity `error`. Texts are cut.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RpcError {
    /// The layer.
    pub kind: ErrorType,
    /// The kind of error.
    pub tag: ErrorTag,
    /// The application's or vendor's tag.
    pub app_tag: String<24, u8>,
    /// Where in the configuration.
    pub path: String<64, u8>,
    /// The text for people.
    pub message: String<96, u8>,
    /// The element that is meant, if named.
    pub bad_element: String<32, u8>,
    /// The session that holds a lock; 0 if it is no NETCONF session.
    pub holder: Option<u32>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// `ok`, or the data that was asked for.
    Ok,
    /// An error, which is in [`Reply::error`].
    Error,
    /// Neither.
    Empty,
}

/// What a request is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// `ok`.
    Ok,
    /// `data`.
    Data,
    /// Anything but an error: empty tables come in many forms.
    Any,
}

/// What was read of a reply so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    /// The first error of severity `error`; while `reading`, the one being read.
    pub(crate) error: RpcError,
    /// Number of warnings.
    pub(crate) warnings: u8,
    has_error: bool,
    /// The error is kept for the report.
    kept: bool,
    reading: bool,
    warning: bool,
    /// `message-id` of the reply that begins.
    id: Option<u32>,
    /// The root element is the reply to the request.
    matched: bool,
    ok: bool,
    data: bool,
}

impl Reply {
    /// Prepares for another reply. The memory of the last error stays.
    pub(crate) fn clear(&mut self) {
        self.has_error = false;
        self.reading = false;
        self.warnings = 0;
        self.id = None;
        self.matched = false;
        self.ok = false;
        self.data = false;
    }

    /// Keeps the error of this reply while later ones are read, or no longer.
    pub(crate) fn keep_error(&mut self, keep: bool) {
        self.kept = keep;
    }

    /// Returns whether the message is the reply to the request.
    pub(crate) const fn is_matched(&self) -> bool {
        self.matched
    }

    /// Returns how the request ended, at the end of the message.
    pub(crate) const fn answer(&self, wanted: Wanted) -> Answer {
        let done = match wanted {
            // A server may leave `ok` out when it warns (RFC 6241, section 4.4).
            Wanted::Ok => self.ok || self.warnings > 0,
            Wanted::Data => self.data,
            Wanted::Any => true,
        };
        match (self.has_error, done) {
            (true, _) => Answer::Error,
            (false, true) => Answer::Ok,
            (false, false) => Answer::Empty,
        }
    }

    /// Reads a token of the message that answers the request `expected`.
    pub(crate) fn token(&mut self, expected: u32, token: Token<'_>) {
        if let Some(place) = token.path.iter().position(|&name| name == Name::RpcError)
            && self.matched
        {
            let inside = token.path.get(place + 1..).unwrap_or(&[]);
            self.error_token(inside, token.event);
            return;
        }
        match (token.path, token.event) {
            (
                [],
                Event::Attribute {
                    element: "rpc-reply",
                    name: "message-id",
                    value,
                    ..
                },
            ) => self.id = value.parse().ok(),
            ([Name::RpcReply], Event::Start { namespace, .. }) => {
                let base = matches!(namespace, Namespace::Base | Namespace::None);
                self.matched = base && self.id == Some(expected);
            }
            ([Name::RpcReply, .., Name::Ok | Name::CommitSuccess], Event::Start { .. }) => {
                self.ok = self.matched;
            }
            ([Name::RpcReply, Name::Data], Event::Start { .. }) => self.data = self.matched,
            _ => {}
        }
    }

    fn error_token(&mut self, inside: &[Name], event: Event<'_>) {
        match (inside, event) {
            ([], Event::Start { .. }) => {
                self.reading = !self.has_error && !self.kept;
                self.warning = false;
                if self.reading {
                    self.error = RpcError::default();
                }
            }
            ([], Event::End) if self.warning => self.warnings = self.warnings.saturating_add(1),
            ([], Event::End) => self.has_error = true,
            ([Name::ErrorSeverity], Event::Text { text, .. }) => self.warning = text == "warning",
            (_, Event::Text { text, .. }) if self.reading => self.error_text(inside, text),
            _ => {}
        }
    }

    fn error_text(&mut self, inside: &[Name], text: &str) {
        let error = &mut self.error;
        match inside {
            [Name::ErrorType] => error.kind = ErrorType::of(text),
            [Name::ErrorTag] => error.tag = ErrorTag::of(text),
            [Name::ErrorAppTag] => error.app_tag = clip(text),
            [Name::ErrorPath] => error.path = clip(text),
            [Name::ErrorMessage] => error.message = clip(text),
            [Name::ErrorInfo, Name::BadElement] => error.bad_element = clip(text),
            [Name::ErrorInfo, Name::SessionId] => error.holder = text.parse().ok(),
            _ => {}
        }
    }
}
