//! JSON (RFC 8259) without a heap: a tokenizer that is pushed bytes and
//! gives events, and a writer into a slice.
//!
//! Neither builds a tree. The tokenizer holds a few bytes whatever the
//! document's length, so that a config drive of any size can pass through
//! while it arrives; the writer knows where commas go, so that a document
//! can be written in pieces. What the documents mean is not known here.
#![no_std]
#![forbid(unsafe_code)]

mod number;
mod reader;
mod writer;

pub use reader::{Error, Event, MAX_DEPTH, Reader};
pub use writer::{Escaped, Slice, Writer};
