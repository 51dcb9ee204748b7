//! Image manifests: chunks, hash tree, signature, and the transfer engine.
//!
//! An image is two files: the *data*, chunks one behind another, each
//! compressed on its own, and the *manifest*, which says what the chunks
//! are. Whoever carries them is trusted with nothing: the operator's
//! signature holds the manifest's header, the header holds the root of a
//! hash tree, the tree holds the hash of every chunk. The first chunk can be
//! verified after one signature, one or two pages of hashes and the chunk
//! itself, whatever the size of the image.
//!
//! - [`manifest`]: the bytes of header, pages and leaves;
//! - [`tree`]: where a page lies, and what verifies it;
//! - [`transfer`]: the sans-IO engine that takes an image from a manifest to
//!   a disk: fetch, verify, decode, write, read back;
//! - `maker` (feature `maker`): makes and inspects manifests on a host.
//!
//! The crate decompresses nothing itself outside of the maker.
#![cfg_attr(not(feature = "maker"), no_std)]
#![forbid(unsafe_code)]

#[cfg(feature = "maker")]
pub mod maker;
pub mod manifest;
pub mod transfer;
pub mod tree;

pub use manifest::{Compression, Header, Leaf, LeafKind, ManifestError, PublicKey};
pub use transfer::{Action, Source, Transfer, TransferError};
