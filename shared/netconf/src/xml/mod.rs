//! A reader of XML 1.0 documents that arrive byte by byte, in memory of a fixed
//! size.
//!
//! It knows elements, attributes, namespaces, text, CDATA, comments, processing
//! instructions, the five predefined entities and character references. It
//! refuses document types, and with them entities of the document's own.
//! Depth, lengths of names and live namespace declarations are bounded; a text
//! that exceeds its bound is cut and marked.
//!
//! White space around a text is dropped. A repeated attribute is no error. Two
//! different names with equal 32-bit hashes would pass as start and end of one
//! element.
//!
//! Published readers without a heap want the whole document at once (`xmlparser`)
//! or a source that blocks and a buffer for the longest tag (`embedded-xml`).

mod chars;
pub mod name;
mod reader;
mod token;

pub use chars::Utf8;
pub use reader::Reader;
pub use token::{
    Event, MAX_ATTRIBUTE, MAX_DEPTH, MAX_NAME, MAX_NAMESPACES, MAX_TEXT, Token, XmlError,
    XmlErrorKind,
};
