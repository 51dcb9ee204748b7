//! The primitives of this crate: ChaCha20-Poly1305 in place, SHA-256, HMAC, and
//! comparison in constant time. The libraries implement them.

use chacha20poly1305::{
    ChaCha20Poly1305, KeyInit,
    aead::{AeadInOut, inout::InOutBuf},
};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// Bytes that sealing appends.
pub(crate) const TAG_LEN: usize = 16;

/// An authentication tag is invalid, or the buffer is too short for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Forged;

/// Encrypts the first `len` bytes of `buffer` in place and appends the tag. Returns the
/// sealed bytes, `len + 16`. Fails only if the buffer is too short.
pub(crate) fn seal_in_place(
    key: &[u8; 32],
    nonce: &[u8; 12],
    associated: &[u8],
    buffer: &mut [u8],
    len: usize,
) -> Result<usize, Forged> {
    let end = len.checked_add(TAG_LEN).ok_or(Forged)?;
    let (plain, tag_out) = buffer
        .get_mut(..end)
        .ok_or(Forged)?
        .split_at_mut_checked(len)
        .ok_or(Forged)?;
    let tag = ChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(nonce.into(), associated, InOutBuf::from(plain))
        .map_err(|_| Forged)?;
    tag_out.copy_from_slice(&tag);
    Ok(end)
}

/// Opens `buffer` (cipher text and tag) in place. Returns the plain text, its first
/// `len - 16` bytes. Decrypts nothing if the tag is invalid.
pub(crate) fn open_in_place<'b>(
    key: &[u8; 32],
    nonce: &[u8; 12],
    associated: &[u8],
    buffer: &'b mut [u8],
) -> Result<&'b mut [u8], Forged> {
    let len = buffer.len().checked_sub(TAG_LEN).ok_or(Forged)?;
    let (text, tag) = buffer.split_at_mut_checked(len).ok_or(Forged)?;
    let tag: &[u8; TAG_LEN] = (&*tag).try_into().map_err(|_| Forged)?;
    open_detached(key, nonce, associated, text, tag)?;
    Ok(text)
}

/// Opens `text` in place with a separate tag.
pub(crate) fn open_detached(
    key: &[u8; 32],
    nonce: &[u8; 12],
    associated: &[u8],
    text: &mut [u8],
    tag: &[u8; TAG_LEN],
) -> Result<(), Forged> {
    ChaCha20Poly1305::new(key.into())
        .decrypt_inout_detached(nonce.into(), associated, InOutBuf::from(text), tag.into())
        .map_err(|_| Forged)
}

/// Returns Noise's nonce for ChaChaPoly: 32 zero bits, then the counter in
/// little-endian (Noise revision 34, section 12.3).
pub(crate) fn noise_nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}

/// Returns the SHA-256 of the concatenated pieces.
pub(crate) fn sha256(pieces: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for piece in pieces {
        hash.update(piece);
    }
    hash.finalize().into()
}

/// Returns the HMAC-SHA-256 of the concatenated pieces (RFC 2104).
pub(crate) fn hmac_sha256(key: &[u8], pieces: &[&[u8]]) -> [u8; 32] {
    // Does not fail: HMAC hashes longer keys first.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else {
        return [0; 32];
    };
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().into()
}

/// Compares in a time that depends on the length only.
pub(crate) fn equal(a: &[u8], b: &[u8]) -> bool {
    let difference = a
        .iter()
        .zip(b)
        .fold(0, |acc, (x, y)| core::hint::black_box(acc | (x ^ y)));
    a.len() == b.len() && difference == 0
}
