//! The server's half of HTTP/1.1 (RFC 9110, RFC 9112), as bytes and values.
//!
//! Nothing here reads a socket, keeps time or allocates: the caller collects
//! bytes in a buffer of its own, asks [`Head::parse`] whether a request head
//! is complete, pulls the body through [`Body`], and writes what
//! [`ResponseHead::emit`] and [`chunked::frame`] put into its buffer. What a
//! path means, and which of them exist, is the business of the caller.
//!
//! A request that two parties could cut in two different ways is refused,
//! never interpreted: a length beside a transfer coding, a length or a host
//! that comes twice, a line that ends without its carriage return
//! (RFC 9112, sections 2.2 and 6.3).
//!
//! Not supported: the client's half, trailers (skipped), transfer codings
//! other than `chunked`, multi-part ranges (answered with the whole, as
//! RFC 9110, section 14.2 allows), conditional requests (there are no
//! validators), pipelining beyond what a caller does with the bytes that are
//! left over.
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
mod range;
mod response;

pub use body::{Body, Piece};
pub use error::Error;
pub use head::{BodyLength, Head, MAX_HEADERS, Method, Version};
pub use range::{Range, Selection};
pub use response::{BufferTooSmall, CONTINUE, Framing, ResponseHead, Status};
