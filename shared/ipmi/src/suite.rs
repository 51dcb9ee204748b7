//! Cipher suites (IPMI 2.0, 22.15.2): the three algorithms that a session is
//! opened with, its authentication codes and its keys. Suites that leave a
//! message unauthenticated or unencrypted are not here, so none can be chosen.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::Sha256;

/// Length of the longest authentication code, in bytes.
pub const MAX_CODE_LEN: usize = 32;

/// Length of the AES-CBC-128 key, in bytes.
pub const CIPHER_KEY_LEN: usize = 16;

/// A cipher suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Suite {
    /// RAKP-HMAC-SHA1, HMAC-SHA1-96, AES-CBC-128.
    Sha1 = 3,
    /// RAKP-HMAC-SHA256, HMAC-SHA256-128, AES-CBC-128.
    Sha256 = 17,
}

/// The numbers of a suite's algorithms (13.28).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algorithms {
    /// Authentication: of the messages that open a session.
    pub authentication: u8,
    /// Integrity: of each packet of a session.
    pub integrity: u8,
    /// Confidentiality: of each payload of a session.
    pub confidentiality: u8,
}

/// An authentication code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    bytes: [u8; MAX_CODE_LEN],
    len: u8,
}

impl Code {
    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Its first `len` bytes.
    #[must_use]
    pub fn truncated(&self, len: usize) -> &[u8] {
        self.as_bytes().get(..len).unwrap_or(self.as_bytes())
    }
}

impl Suite {
    /// The suite's algorithms.
    #[must_use]
    pub const fn algorithms(self) -> Algorithms {
        let (authentication, integrity) = match self {
            Self::Sha1 => (1, 1),
            Self::Sha256 => (3, 4),
        };
        Algorithms {
            authentication,
            integrity,
            confidentiality: 1,
        }
    }

    /// The suite with these algorithms; `None` where the crate has none.
    #[must_use]
    pub fn of(algorithms: Algorithms) -> Option<Self> {
        [Self::Sha256, Self::Sha1]
            .into_iter()
            .find(|suite| suite.algorithms() == algorithms)
    }

    /// Length of a whole authentication code, in bytes.
    #[must_use]
    pub const fn code_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Length of the authentication code of a packet and of RAKP 4, in bytes.
    #[must_use]
    pub const fn packet_code_len(self) -> usize {
        match self {
            Self::Sha1 => 12,
            Self::Sha256 => 16,
        }
    }

    /// The authentication code of `parts`, one behind the other.
    #[must_use]
    pub fn code(self, key: &[u8], parts: &[&[u8]]) -> Code {
        let mut code = Code {
            bytes: [0; MAX_CODE_LEN],
            len: 0,
        };
        match self {
            Self::Sha1 => code.take(mac_sha1(key, parts).finalize().into_bytes().as_slice()),
            Self::Sha256 => code.take(mac_sha256(key, parts).finalize().into_bytes().as_slice()),
        }
        code
    }

    /// Whether `code` is the authentication code of `parts`, or its first
    /// [`Self::packet_code_len`] bytes. Takes the same time wherever they
    /// differ. A code of another length is none.
    #[must_use]
    pub fn verify(self, key: &[u8], parts: &[&[u8]], code: &[u8]) -> bool {
        if code.len() != self.code_len() && code.len() != self.packet_code_len() {
            return false;
        }
        match self {
            Self::Sha1 => mac_sha1(key, parts).verify_truncated_left(code).is_ok(),
            Self::Sha256 => mac_sha256(key, parts).verify_truncated_left(code).is_ok(),
        }
    }
}

impl Code {
    fn take(&mut self, bytes: &[u8]) {
        if let Some(place) = self.bytes.get_mut(..bytes.len()) {
            place.copy_from_slice(bytes);
            self.len = bytes.len().try_into().unwrap_or(0);
        }
    }
}

// HMAC takes keys of any length, so the errors below can't come.

fn mac_sha1(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha1> {
    let mut mac =
        Hmac::<Sha1>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
    parts.iter().for_each(|part| mac.update(part));
    mac
}

fn mac_sha256(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
    parts.iter().for_each(|part| mac.update(part));
    mac
}

/// The keys of an open session (13.32).
#[derive(Clone, PartialEq, Eq)]
pub struct SessionKeys {
    /// The suite.
    pub suite: Suite,
    /// K1, of the packets' authentication codes.
    k1: Code,
    /// The first bytes of K2, which encrypt.
    k2: [u8; CIPHER_KEY_LEN],
}

impl core::fmt::Debug for SessionKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SessionKeys")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}

impl SessionKeys {
    /// Derives the keys from the session integrity key.
    #[must_use]
    pub fn derive(suite: Suite, sik: &Code) -> Self {
        let mut k2 = [0; CIPHER_KEY_LEN];
        let long = suite.code(sik.as_bytes(), &[&[2; 20]]);
        k2.copy_from_slice(
            long.bytes
                .first_chunk::<CIPHER_KEY_LEN>()
                .unwrap_or(&[0; 16]),
        );
        Self {
            suite,
            k1: suite.code(sik.as_bytes(), &[&[1; 20]]),
            k2,
        }
    }

    /// The key of the packets' authentication codes.
    #[must_use]
    pub fn integrity(&self) -> &[u8] {
        self.k1.as_bytes()
    }

    /// The key of the payloads.
    #[must_use]
    pub const fn confidentiality(&self) -> &[u8; CIPHER_KEY_LEN] {
        &self.k2
    }
}
