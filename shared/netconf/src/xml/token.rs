//! What the reader returns, and its bounds.

use super::name::{Name, Namespace};
use core::fmt;

/// Largest number of elements inside each other.
pub const MAX_DEPTH: usize = 24;
/// Longest name of an element with its prefix, in bytes.
pub const MAX_NAME: usize = 64;
/// Longest name of an attribute with its prefix, in bytes.
pub const MAX_ATTRIBUTE: usize = 48;
/// Longest text or value of an attribute, in bytes. Longer ones are cut.
pub const MAX_TEXT: usize = 160;
/// Largest number of namespace declarations that hold at one place.
pub const MAX_NAMESPACES: usize = 12;
/// Why a document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum XmlErrorKind {
    /// A byte that is not allowed at its place.
    Syntax = 0,
    /// The document is not UTF-8 or has a control character.
    Character = 1,
    /// A document type: it could define entities without end.
    Doctype = 2,
    /// An entity that is not predefined, or a number that is no character.
    Reference = 3,
    /// Elements are nested deeper than [`MAX_DEPTH`].
    Depth = 4,
    /// The name of an element, attribute or reference is too long.
    Name = 5,
    /// More than [`MAX_NAMESPACES`] declarations hold at one place.
    Namespaces = 6,
    /// An end tag does not match the start tag.
    EndTag = 7,
    /// Text or an element outside the root element.
    OutsideRoot = 8,
    /// The document ends inside the root element, or has none.
    Incomplete = 9,
}

impl XmlErrorKind {
    /// Returns a short text.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Syntax => "unexpected byte",
            Self::Character => "not a character",
            Self::Doctype => "document types are refused",
            Self::Reference => "unknown entity or character reference",
            Self::Depth => "elements are nested too deep",
            Self::Name => "name too long",
            Self::Namespaces => "too many namespace declarations",
            Self::EndTag => "the end tag does not match",
            Self::OutsideRoot => "content outside the root element",
            Self::Incomplete => "the document is incomplete",
        }
    }
}

/// Why and where a document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct XmlError {
    /// The reason.
    pub kind: XmlErrorKind,
    /// Offset of the byte in its document; of the end for
    /// [`XmlErrorKind::Incomplete`].
    pub offset: u32,
}

impl fmt::Display for XmlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.kind.text(), self.offset)
    }
}

impl core::error::Error for XmlError {}

/// A part of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// The names from the root to the element that begins, ends or contains the
    /// text; for an attribute to the element that contains its element.
    pub path: &'a [Name],
    /// What it is.
    pub event: Event<'a>,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// An attribute of the element whose [`Event::Start`] follows. Namespace
    /// declarations are not shown.
    Attribute {
        /// Local name of the element.
        element: &'a str,
        /// Local name of the attribute.
        name: &'a str,
        /// Value, its references replaced.
        value: &'a str,
        /// The value is cut.
        cut: bool,
    },
    /// An element begins.
    Start {
        /// Namespace of the element.
        namespace: Namespace,
        /// Local name; also the last of the path unless that is
        /// [`Name::Other`].
        local: &'a str,
    },
    /// The text between two tags, if there is any but white space.
    Text {
        /// The text without white space around it, its references replaced.
        text: &'a str,
        /// The text is cut.
        cut: bool,
    },
    /// An element ends.
    End,
}
