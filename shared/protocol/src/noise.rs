//! The Noise handshake `Noise_IK_25519_ChaChaPoly_SHA256` (Noise revision
//! 34) with the library `clatter`. The module implements the library's primitive
//! traits with the primitives of the rest of the firmware, and has two functions
//! for each side. The library has the tokens, hashes and key schedule.
//!
//! Ephemeral keys are arguments. The library requires the type of a random
//! generator; the type in this module panics, so that a mistake does not lead to
//! a predictable key.

use clatter::{
    Handshaker, KeyPair, NqHandshakeCore,
    bytearray::SensitiveByteArray,
    error::{CipherError, CipherResult, DhError, DhResult},
    handshakepattern::noise_ik,
    rand_core,
    traits::{Cipher, CryptoComponent, Dh, Hash, Rng},
};
use sha2::Digest;

use crate::crypto::{TAG_LEN, noise_nonce, open_detached, open_in_place, seal_in_place, sha256};

/// Bytes of message 1 beside its payload: e, encrypted s, tag.
pub(crate) const INIT_OVERHEAD: usize = 32 + 32 + TAG_LEN + TAG_LEN;
/// Bytes of message 2 beside its payload: e, tag.
pub(crate) const RESPONSE_OVERHEAD: usize = 32 + TAG_LEN;

/// The handshake failed: a tag is invalid, a public key is of low order, or a
/// buffer is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

/// Keys of a session, one for each direction.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SessionKeys {
    /// Agent to appliance.
    pub(crate) requests: [u8; 32],
    /// Appliance to agent.
    pub(crate) replies: [u8; 32],
}

type Ik = NqHandshakeCore<X25519, ChaChaPoly, Sha256, NoRandom>;
pub(crate) type Secret = SensitiveByteArray<[u8; 32]>;

/// The key pair of one end.
pub(crate) fn key_pair(secret: &[u8; 32]) -> KeyPair<[u8; 32], Secret> {
    known_pair(public_key(secret), *secret)
}

/// Creates a key pair from both halves. It saves a scalar multiplication.
pub(crate) fn known_pair(public: [u8; 32], secret: [u8; 32]) -> KeyPair<[u8; 32], Secret> {
    KeyPair::new(public, Secret::new(secret))
}

/// Returns the public key of an X25519 secret (RFC 7748, section 6.1).
pub(crate) fn public_key(secret: &[u8; 32]) -> [u8; 32] {
    // The library uses its table of the base point here, if it has one.
    x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(*secret)).to_bytes()
}

/// The agent's side, between message 1 and message 2.
pub(crate) struct Initiator(Ik);

impl Initiator {
    pub(crate) fn new(
        prologue: &[u8],
        static_secret: &[u8; 32],
        ephemeral_secret: &[u8; 32],
        peer: &[u8; 32],
    ) -> Result<Self, Failed> {
        Ik::new(
            noise_ik(),
            prologue,
            true,
            Some(key_pair(static_secret)),
            Some(key_pair(ephemeral_secret)),
            Some(*peer),
            None,
        )
        .map(Self)
        .map_err(|_| Failed)
    }

    /// Writes message 1 to `out` and returns its length.
    pub(crate) fn write(&mut self, payload: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
        self.0.write_message(payload, out).map_err(|_| Failed)
    }

    /// Opens message 2. An invalid message leaves the handshake unchanged, because
    /// an attacker can send one.
    pub(crate) fn read(
        &self,
        message: &[u8],
        out: &mut [u8],
    ) -> Result<(SessionKeys, usize), Failed> {
        let mut handshake = self.0.clone();
        let len = handshake.read_message(message, out).map_err(|_| Failed)?;
        Ok((split(handshake)?, len))
    }
}

/// The appliance's side, between message 1 and message 2.
pub(crate) struct Responder(Ik);

impl Responder {
    pub(crate) fn new(
        prologue: &[u8],
        identity: KeyPair<[u8; 32], Secret>,
        ephemeral_secret: &[u8; 32],
    ) -> Result<Self, Failed> {
        Ik::new(
            noise_ik(),
            prologue,
            false,
            Some(identity),
            Some(key_pair(ephemeral_secret)),
            None,
            None,
        )
        .map(Self)
        .map_err(|_| Failed)
    }

    /// Opens message 1 and writes its payload to `out`.
    pub(crate) fn read(&mut self, message: &[u8], out: &mut [u8]) -> Result<usize, Failed> {
        self.0.read_message(message, out).map_err(|_| Failed)
    }

    /// Writes message 2 to `out`. Returns the keys of the session.
    pub(crate) fn write(
        mut self,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<(SessionKeys, usize), Failed> {
        let len = self.0.write_message(payload, out).map_err(|_| Failed)?;
        Ok((split(self.0)?, len))
    }
}

fn split(handshake: Ik) -> Result<SessionKeys, Failed> {
    let states = handshake.finalize().map_err(|_| Failed)?.take();
    let (requests, _) = states.initiator_to_responder.take();
    let (replies, _) = states.responder_to_initiator.take();
    Ok(SessionKeys {
        requests: *requests,
        replies: *replies,
    })
}

#[derive(Clone)]
struct X25519;

impl CryptoComponent for X25519 {
    fn name() -> &'static str {
        "25519"
    }
}

impl Dh for X25519 {
    type PrivateKey = Secret;
    type PubKey = [u8; 32];
    type Output = Secret;

    fn genkey_rng<R: Rng>(_: &mut R) -> DhResult<KeyPair<[u8; 32], Secret>> {
        Err(DhError::KeyGeneration)
    }

    fn pubkey(secret: &Secret) -> [u8; 32] {
        public_key(secret)
    }

    fn dh(secret: &Secret, public: &[u8; 32]) -> DhResult<Secret> {
        let shared = x25519_dalek::x25519(**secret, *public);
        // A peer's point of small order gives zeros for every secret
        // (RFC 7748, section 6.1).
        if crate::crypto::equal(&shared, &[0; 32]) {
            return Err(DhError::KeyGeneration);
        }
        Ok(Secret::new(shared))
    }
}

#[derive(Clone)]
struct ChaChaPoly;

impl CryptoComponent for ChaChaPoly {
    fn name() -> &'static str {
        "ChaChaPoly"
    }
}

impl Cipher for ChaChaPoly {
    type Key = Secret;

    fn tag_len() -> usize {
        TAG_LEN
    }

    fn encrypt(
        key: &Secret,
        nonce: u64,
        associated: &[u8],
        plain: &[u8],
        out: &mut [u8],
    ) -> CipherResult<()> {
        out.get_mut(..plain.len())
            .ok_or(CipherError::Encrypt)?
            .copy_from_slice(plain);
        Self::encrypt_in_place(key, nonce, associated, out, plain.len()).map(|_| ())
    }

    fn encrypt_in_place(
        key: &Secret,
        nonce: u64,
        associated: &[u8],
        buffer: &mut [u8],
        len: usize,
    ) -> CipherResult<usize> {
        seal_in_place(key, &noise_nonce(nonce), associated, buffer, len)
            .map_err(|_| CipherError::Encrypt)
    }

    fn decrypt(
        key: &Secret,
        nonce: u64,
        associated: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> CipherResult<()> {
        let (text, tag) = sealed
            .split_last_chunk::<TAG_LEN>()
            .ok_or(CipherError::Decrypt)?;
        let out = out.get_mut(..text.len()).ok_or(CipherError::Decrypt)?;
        out.copy_from_slice(text);
        open_detached(key, &noise_nonce(nonce), associated, out, tag)
            .map_err(|_| CipherError::Decrypt)
    }

    fn decrypt_in_place(
        key: &Secret,
        nonce: u64,
        associated: &[u8],
        buffer: &mut [u8],
        len: usize,
    ) -> CipherResult<usize> {
        let sealed = buffer.get_mut(..len).ok_or(CipherError::Decrypt)?;
        open_in_place(key, &noise_nonce(nonce), associated, sealed)
            .map(|plain| plain.len())
            .map_err(|_| CipherError::Decrypt)
    }
}

#[derive(Clone, Default)]
struct Sha256(sha2::Sha256);

impl CryptoComponent for Sha256 {
    fn name() -> &'static str {
        "SHA256"
    }
}

impl Hash for Sha256 {
    type Block = [u8; 64];
    type Output = Secret;

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(self) -> Secret {
        Secret::new(self.0.finalize().into())
    }

    fn hash(data: &[u8]) -> Secret {
        Secret::new(sha256(&[data]))
    }
}

/// The random generator that the library's types require. It is not called.
#[derive(Clone, Default)]
struct NoRandom;

impl rand_core::CryptoRng for NoRandom {}

impl rand_core::RngCore for NoRandom {
    fn next_u32(&mut self) -> u32 {
        unreachable!("keys are arguments")
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!("keys are arguments")
    }

    fn fill_bytes(&mut self, _: &mut [u8]) {
        unreachable!("keys are arguments")
    }

    fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), rand_core::Error> {
        unreachable!("keys are arguments")
    }
}

#[cfg(test)]
mod vectors;
