//! The server side of HTTP/1.1 (RFC 9110, RFC 9112) as bytes and values.
//!
//! The crate has no sockets, no clock and no heap. The caller collects bytes in a
//! buffer, parses a request head with [`Head::parse`], reads the body through
//! [`Body`], and sends the bytes that [`ResponseHead::emit`] and
//! [`chunked::frame`] write. The caller interprets paths. [`places`] says which
//! connection is served, held or given up.
//!
//! The parser refuses requests whose end is ambiguous: a length with a transfer
//! coding, a repeated length or host, a line without a carriage return (RFC 9112,
//! sections 2.2 and 6.3).
//!
//! # Not supported
//! * The client side.
//! * Trailers: the decoder skips them.
//! * Transfer codings other than `chunked`.
//! * Multi-part ranges: the response has the whole, see RFC 9110, section 14.2.
//! * Conditional requests: responses have no validators.
//! * Pipelining, except that the rest of the input is the next request.
//!
//! ```
//! use farrier_http::{Framing, Head, Method, ResponseHead, Selection, Status};
//!
//! let request = b"GET /boot/linux?x=1 HTTP/1.1\r\nHost: a\r\nRange: bytes=0-3\r\n\r\n";
//! let (head, length) = Head::parse(request).unwrap().unwrap();
//! assert_eq!((head.method, head.path, length), (Method::Get, "/boot/linux", request.len()));
//!
//! let selection = Selection::of(head.range, 1000);
//! let mut reply = [0; 256];
//! let length = ResponseHead::new(selection.status())
//!     .framing(Framing::Length(selection.length()))
//!     .selection(selection)
//!     .keep_alive(head.keep_alive)
//!     .emit(&mut reply)
//!     .unwrap();
//! assert!(reply[..length].starts_with(b"HTTP/1.1 206 Partial Content\r\n"));
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod body;
pub mod chunked;
mod error;
mod head;
pub mod percent;
pub mod places;
mod range;
mod response;

pub use body::{Body, Piece};
pub use error::Error;
pub use head::{BodyLength, Head, MAX_HEADERS, Method, Version};
pub use range::{Range, Selection};
pub use response::{BufferTooSmall, CONTINUE, Framing, ResponseHead, Status};
