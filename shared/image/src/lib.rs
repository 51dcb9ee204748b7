//! Image manifests: chunks, hash tree, signature, and the transfer engine.
//!
//! An image has two files: the *data* with consecutive chunks, each compressed on
//! its own, and the *manifest*, which describes the chunks. Servers, mirrors and
//! the network are untrusted: the operator signs the manifest's header, the header
//! has the root of a hash tree, and the tree has the hash of every chunk. A client
//! can verify the first chunk after one signature and one or two pages of hashes,
//! for every size of the image.
//!
//! - [`manifest`]: the bytes of header, pages and leaves;
//! - [`tree`]: the positions and hashes of pages;
//! - [`transfer`]: the sans-IO engine that writes an image to a disk: fetch,
//!   verify, decode, write, read back;
//! - `maker` (feature `maker`): creates and inspects images on a host.
//!
//! Only the maker compresses and decompresses.
#![cfg_attr(not(feature = "maker"), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "maker")]
pub mod maker;
pub mod manifest;
pub mod transfer;
pub mod tree;

pub use manifest::{Compression, Header, Leaf, LeafKind, ManifestError, PublicKey};
pub use transfer::{Action, Source, Transfer, TransferError};
