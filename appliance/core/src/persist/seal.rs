//! Secrets in records are sealed under a key of the board, so that a copy of
//! the journal does not tell them. Where a secret has ended, the key is
//! replaced: secrets that live on are sealed anew under the next key, and the
//! board erases the one before. Then nobody can open what has ended, though
//! its record may lie in the flash for months.
//!
//! The board has two places for keys. *Epochs* count them from 1; the key of an
//! epoch lies in the place `epoch % 2`. The journal says which epoch it is, and
//! only once the board has confirmed the key: what a torn write left in a place is
//! never used.

use super::record::Record;
use crate::interface::Instant;
use chacha20poly1305::aead::{AeadInOut, KeyInit, inout::InOutBuf};
use chacha20poly1305::{ChaCha20Poly1305, Nonce, Tag};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// Bytes of a board's key.
pub const BOARD_KEY_LEN: usize = 32;
/// Keys of a board, by place; an erased place has bytes of `0xff` only.
pub type BoardKeys = [[u8; BOARD_KEY_LEN]; 2];
/// A place without a key.
pub const NO_KEY: [u8; BOARD_KEY_LEN] = [0xff; BOARD_KEY_LEN];

/// A key is replaced at most so often, in milliseconds: a flash that takes
/// 100,000 erases lasts for 20 years.
const LEAST_EPOCH_MILLIS: u64 = 3_600_000;

/// What the board is to do with its places for keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyChange {
    /// Put a new random key into this place.
    Write(usize),
    /// Erase this place.
    Erase(usize),
}

/// Up to 64 bytes of secrets as they are in a record.
///
/// Its nonce follows from the content (a synthetic one, as in RFC 8452), so
/// equal content has equal bytes, and a nonce comes again with the same content
/// only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The low bits of the epoch.
    pub epoch: u8,
    /// The nonce.
    pub nonce: [u8; 12],
    /// Its authentication tag.
    pub tag: [u8; 16],
    /// The content, encrypted.
    pub body: [[u8; 32]; 2],
}

/// A key, made ready.
#[derive(Clone)]
struct Key {
    cipher: [u8; 32],
    nonces: [u8; 32],
    check: [u8; 8],
}

/// HMAC-SHA256 of the pieces, one behind the other.
pub(crate) fn derive(key: &[u8; 32], pieces: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; 32];
    };
    pieces.iter().for_each(|piece| mac.update(piece));
    mac.finalize().into_bytes().into()
}

impl Key {
    fn of(bytes: &[u8; BOARD_KEY_LEN]) -> Option<Self> {
        if *bytes == NO_KEY {
            return None;
        }
        let check = derive(bytes, &[b"farrier board key: check"]);
        let [a, b, c, d, e, f, g, h, ..] = check;
        Some(Key {
            cipher: derive(bytes, &[b"farrier board key: cipher"]),
            nonces: derive(bytes, &[b"farrier board key: nonces"]),
            check: [a, b, c, d, e, f, g, h],
        })
    }
}

/// How far the sealing anew has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resealing {
    /// There is nothing to seal anew.
    Done,
    /// The board has the key of the next epoch; no record says so yet.
    KeyWritten,
    /// The next place of the rack whose secrets are to be sealed anew.
    At(usize),
}

/// The keys that seal secrets, and what is due for them.
pub(crate) struct Sealing {
    places: [Option<Key>; 2],
    /// The present epoch; 0 before the first.
    epoch: u32,
    /// What the record of this epoch says of its key.
    check: [u8; 8],
    /// Records under the key before may still be needed.
    old: bool,
    pub(crate) resealing: Resealing,
    /// A secret under the present key has ended.
    ended: bool,
    /// The epoch began then, or this start did.
    since: Instant,
}

const fn place_of(epoch: u32) -> usize {
    (epoch % 2) as usize
}

impl Sealing {
    pub(crate) const fn new() -> Self {
        Sealing {
            places: [None, None],
            epoch: 0,
            check: [0; 8],
            old: false,
            resealing: Resealing::Done,
            ended: false,
            since: Instant::START,
        }
    }

    /// The board has these keys.
    pub(crate) fn set_keys(&mut self, keys: &BoardKeys) {
        self.places = [Key::of(&keys[0]), Key::of(&keys[1])];
    }

    /// Seals 64 bytes for what `about` names; `None` without a key.
    pub(crate) fn seal(&self, about: &[u8], body: [[u8; 32]; 2]) -> Option<Sealed> {
        let key = self.key(self.epoch)?;
        let tag = derive(&key.nonces, &[about, body.as_flattened()]);
        let mut sealed = Sealed {
            epoch: (self.epoch & 0xff) as u8,
            nonce: *tag.first_chunk()?,
            tag: [0; 16],
            body,
        };
        let text = InOutBuf::from(sealed.body.as_flattened_mut());
        let cipher = ChaCha20Poly1305::new((&key.cipher).into());
        let nonce = Nonce::from(sealed.nonce);
        let made = cipher.encrypt_inout_detached(&nonce, about, text).ok()?;
        sealed.tag = made.into();
        Some(sealed)
    }

    /// What was sealed for `about`; `None` where the board has another key, or
    /// somebody has changed it.
    pub(crate) fn open(&self, about: &[u8], sealed: &Sealed) -> Option<[[u8; 32]; 2]> {
        let key = self.places.get(place_of(sealed.epoch.into()))?.as_ref()?;
        let mut body = sealed.body;
        let text = InOutBuf::from(body.as_flattened_mut());
        let cipher = ChaCha20Poly1305::new((&key.cipher).into());
        let (nonce, tag) = (Nonce::from(sealed.nonce), Tag::from(sealed.tag));
        let opened = cipher.decrypt_inout_detached(&nonce, about, text, &tag);
        opened.ok().map(|()| body)
    }

    /// Whether secrets can be sealed.
    pub(crate) fn is_ready(&self) -> bool {
        self.key(self.epoch).is_some()
    }

    fn key(&self, epoch: u32) -> Option<&Key> {
        let key = self.places.get(place_of(epoch))?.as_ref()?;
        (epoch > 0 && key.check == self.check).then_some(key)
    }

    /// What the board is to do now, if anything. To be asked between steps.
    pub(crate) fn change(&self, now: Instant) -> Option<KeyChange> {
        if self.resealing != Resealing::Done {
            return None;
        }
        let other = place_of(self.epoch.wrapping_add(1));
        let used = self.places.get(other)?.is_some();
        let no_key = self.key(self.epoch).is_none();
        if no_key || self.ended && !used && now >= self.due() {
            return Some(KeyChange::Write(other));
        }
        (used && !self.old).then_some(KeyChange::Erase(other))
    }

    fn due(&self) -> Instant {
        self.since.plus_millis(LEAST_EPOCH_MILLIS)
    }

    /// The board has done it.
    pub(crate) fn changed(&mut self, place: usize, key: &[u8; BOARD_KEY_LEN]) {
        if let Some(known) = self.places.get_mut(place) {
            *known = Key::of(key);
            if known.is_some() {
                self.resealing = Resealing::KeyWritten;
            }
        }
    }

    /// Begins the epoch whose key the board has; the record that says so.
    pub(crate) fn begin(&mut self, now: Instant) -> Option<Record<'static>> {
        if self.resealing != Resealing::KeyWritten {
            return None;
        }
        let old = self.key(self.epoch).is_some();
        self.epoch = self.epoch.wrapping_add(1).max(1);
        let key = self.places.get(place_of(self.epoch))?.as_ref()?;
        self.check = key.check;
        self.old = old;
        self.since = now;
        self.ended = false;
        self.resealing = Resealing::At(0);
        self.record()
    }

    /// All secrets are sealed under the present key; the record that says so.
    pub(crate) fn resealed(&mut self) -> Option<Record<'static>> {
        self.resealing = Resealing::Done;
        self.old = false;
        self.record()
    }

    /// A secret has ended.
    pub(crate) fn note_end(&mut self) {
        self.ended = true;
    }

    /// When the rack is to be looked at for the sake of its keys; `None` for
    /// never.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        match self.resealing {
            Resealing::Done => self.ended.then(|| self.due()),
            _ => Some(Instant::START),
        }
    }

    pub(crate) fn record(&self) -> Option<Record<'static>> {
        (self.epoch > 0).then_some(Record::SealingKey {
            epoch: self.epoch,
            check: self.check,
            old: self.old,
        })
    }

    /// A record says this.
    pub(crate) fn restore(&mut self, epoch: u32, check: [u8; 8], old: bool) {
        (self.epoch, self.check, self.old) = (epoch, check, old);
    }

    /// The restore is complete. What has ended before is not known.
    pub(crate) fn restored(&mut self, now: Instant) {
        self.since = now;
        self.ended = self.epoch > 0;
        if self.old && self.key(self.epoch).is_some() {
            self.resealing = Resealing::At(0);
        }
    }
}

#[cfg(test)]
mod tests;
