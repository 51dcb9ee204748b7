//! Signatures: the appliance signs orders, the agent signs statements.
//!
//! A signature is ed25519 (RFC 8032) over a domain and the SHA-256 of the body. The
//! domain separates orders from statements and from other uses of the same key.
//! Verification is strict: it refuses keys and commitments of small order.

use core::fmt;

use ed25519_dalek::{Signature, Signer, VerifyingKey};
use serde::Serialize;

use crate::{
    MAX_STATEMENT, borrowed,
    crypto::sha256,
    message::{BootId, NodeId, Order, Statement},
};

/// Length of a signature in bytes.
pub const SIGNATURE_LEN: usize = 64;

/// The domain of a signature, a prefix of the signed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Domain {
    /// An appliance's [`Order`].
    Order,
    /// An agent's [`Statement`].
    Statement,
}

impl Domain {
    const fn prefix(self) -> &'static [u8; 32] {
        match self {
            Self::Order => b"farrier order v1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            Self::Statement => b"farrier statement v1\0\0\0\0\0\0\0\0\0\0\0\0",
        }
    }
}

/// A secret ed25519 key: the appliance's order key or an agent's boot key.
#[derive(Clone)]
pub struct SecretKey(ed25519_dalek::SigningKey);

/// A public ed25519 key as 32 unverified bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(pub [u8; 32]);

/// Why a signed body is refused. Numbered for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum SigningError {
    /// The key is not a point of the curve, or of small order.
    Key = 0,
    /// The signature is invalid or does not have 64 bytes.
    Signature = 1,
    /// The body is malformed, or bytes follow it.
    Malformed = 2,
    /// A buffer is too short.
    NoRoom = 3,
    /// The body names another node or boot.
    Misaddressed = 4,
}

impl SecretKey {
    /// Creates a key from 32 random bytes (RFC 8032, section 5.1.5).
    pub fn from_bytes(secret: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(secret))
    }

    /// Returns the public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs `body` for `domain`.
    pub fn sign(&self, domain: Domain, body: &[u8]) -> [u8; SIGNATURE_LEN] {
        self.0.sign(&signed_bytes(domain, body)).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretKey").field(&self.public()).finish()
    }
}

impl PublicKey {
    /// Verifies the signature of `body` for `domain`.
    ///
    /// # Errors
    /// [`SigningError::Key`] or [`SigningError::Signature`].
    pub fn verify(
        &self,
        domain: Domain,
        body: &[u8],
        signature: &[u8],
    ) -> Result<(), SigningError> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| SigningError::Key)?;
        let signature = Signature::from_slice(signature).map_err(|_| SigningError::Signature)?;
        key.verify_strict(&signed_bytes(domain, body), &signature)
            .map_err(|_| SigningError::Signature)
    }
}

fn signed_bytes(domain: Domain, body: &[u8]) -> [u8; 64] {
    let mut bytes = [0; 64];
    let (prefix, hash) = bytes.split_at_mut(32);
    prefix.copy_from_slice(domain.prefix());
    hash.copy_from_slice(&sha256(&[body]));
    bytes
}

/// Encodes an order into `buffer` and signs it. Returns the two fields of
/// [`crate::message::Reply::Order`]. [`crate::size::ORDER`] bytes are enough.
///
/// # Errors
/// [`SigningError::NoRoom`].
pub fn sign_order<'b>(
    key: &SecretKey,
    order: &Order,
    buffer: &'b mut [u8],
) -> Result<(&'b [u8], [u8; SIGNATURE_LEN]), SigningError> {
    let body = &*postcard::to_slice(order, buffer).map_err(|_| SigningError::NoRoom)?;
    Ok((body, key.sign(Domain::Order, body)))
}

/// Verifies the signature, node and boot of an order and decodes it. The caller
/// checks that the counter is new and that the disks exist.
///
/// # Errors
/// See [`SigningError`].
pub fn verify_order(
    appliance: &PublicKey,
    node: NodeId,
    boot: BootId,
    body: &[u8],
    signature: &[u8],
) -> Result<Order, SigningError> {
    appliance.verify(Domain::Order, body, signature)?;
    let order: Order = decode(body)?;
    if order.node != node || order.boot != boot {
        return Err(SigningError::Misaddressed);
    }
    Ok(order)
}

/// Encodes a statement into `buffer` and appends its signature. Returns both, at
/// most [`MAX_STATEMENT`] bytes.
///
/// # Errors
/// [`SigningError::NoRoom`].
pub fn sign_statement<'b>(
    key: &SecretKey,
    statement: &Statement,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], SigningError> {
    sign_encoded(key, Domain::Statement, statement, buffer)
}

/// Verifies a signed statement and decodes it. `node` and `boot` are those of the
/// session, `boot_key` is the key of the handshake.
///
/// # Errors
/// See [`SigningError`].
pub fn verify_statement(
    boot_key: &PublicKey,
    node: NodeId,
    boot: BootId,
    signed: &[u8],
) -> Result<Statement, SigningError> {
    let statement: Statement = decode(statement_body(boot_key, signed)?)?;
    if statement.node != node || statement.boot != boot {
        return Err(SigningError::Misaddressed);
    }
    Ok(statement)
}

/// As [`verify_statement`], but texts and lists stay in `signed`, which needs less
/// stack.
///
/// # Errors
/// See [`SigningError`].
pub fn verify_statement_borrowed<'a>(
    boot_key: &PublicKey,
    node: NodeId,
    boot: BootId,
    signed: &'a [u8],
) -> Result<borrowed::Statement<'a>, SigningError> {
    let body = statement_body(boot_key, signed)?;
    let statement = borrowed::Statement::decode(body).ok_or(SigningError::Malformed)?;
    if statement.node != node || statement.boot != boot {
        return Err(SigningError::Misaddressed);
    }
    Ok(statement)
}

/// Verifies the signature and returns the encoded statement.
fn statement_body<'a>(boot_key: &PublicKey, signed: &'a [u8]) -> Result<&'a [u8], SigningError> {
    if signed.len() > MAX_STATEMENT {
        return Err(SigningError::Malformed);
    }
    let (body, signature) = signed
        .split_last_chunk::<SIGNATURE_LEN>()
        .ok_or(SigningError::Malformed)?;
    boot_key.verify(Domain::Statement, body, signature)?;
    Ok(body)
}

fn sign_encoded<'b>(
    key: &SecretKey,
    domain: Domain,
    value: &impl Serialize,
    buffer: &'b mut [u8],
) -> Result<&'b [u8], SigningError> {
    let room = buffer
        .len()
        .min(MAX_STATEMENT)
        .checked_sub(SIGNATURE_LEN)
        .ok_or(SigningError::NoRoom)?;
    let body_room = buffer.get_mut(..room).ok_or(SigningError::NoRoom)?;
    let len = postcard::to_slice(value, body_room)
        .map_err(|_| SigningError::NoRoom)?
        .len();
    let end = len + SIGNATURE_LEN;
    let signed = buffer.get_mut(..end).ok_or(SigningError::NoRoom)?;
    let (body, signature) = signed.split_at_mut(len);
    signature.copy_from_slice(&key.sign(domain, body));
    Ok(signed)
}

/// Decodes all of `body`. Bytes behind the value are an error.
fn decode<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, SigningError> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        _ => Err(SigningError::Malformed),
    }
}
