//! The slow hash of passwords: PBKDF2-HMAC-SHA-256 (RFC 8018, section 5.2),
//! in pieces, so that whoever computes it can let others run in between.
//!
//! Argon2 and scrypt need megabytes, which the board does not have. A round is
//! two compressions of SHA-256, some 10,000 instructions of a Cortex-M7 with
//! the rounds in loops.

use crate::interface::Verifier;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Rounds of a new password: some 100 million instructions of a Cortex-M7,
/// four seconds at 25 MHz.
pub const ROUNDS: u32 = 10_000;
/// Most rounds of a verifier: what has more would keep the appliance from
/// answering for minutes.
pub const MAX_ROUNDS: u32 = 100_000;
/// Shortest password in bytes.
pub const MIN_PASSWORD: usize = 12;
/// Longest password in bytes.
pub const MAX_PASSWORD: usize = 64;

/// A hash on its way.
#[derive(Clone)]
pub struct Hashing {
    keyed: Hmac<Sha256>,
    last: [u8; 32],
    sum: [u8; 32],
    left: u32,
}

impl core::fmt::Debug for Hashing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Hashing")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl Hashing {
    /// Begins with the hash of a password. The first round is done here.
    #[must_use]
    pub fn new(password: &[u8], salt: &[u8; 16], rounds: u32) -> Self {
        // A key of any length is one.
        let keyed = Hmac::<Sha256>::new_from_slice(password)
            .unwrap_or_else(|_| Hmac::new(&Default::default()));
        let mut first = keyed.clone();
        first.update(salt);
        first.update(&1_u32.to_be_bytes());
        let last = <[u8; 32]>::from(first.finalize().into_bytes());
        Self {
            keyed,
            last,
            sum: last,
            left: rounds.clamp(1, MAX_ROUNDS) - 1,
        }
    }

    /// Computes at most so many rounds more. Returns the hash when it is
    /// complete.
    pub fn run(&mut self, most: u32) -> Option<[u8; 32]> {
        let now = self.left.min(most);
        for _ in 0..now {
            let mut round = self.keyed.clone();
            round.update(&self.last);
            self.last = round.finalize().into_bytes().into();
            for (sum, byte) in self.sum.iter_mut().zip(&self.last) {
                *sum ^= byte;
            }
        }
        self.left -= now;
        (self.left == 0).then_some(self.sum)
    }
}

/// The verifier of a new password, computed at once: for programs of a host.
#[must_use]
pub fn verifier(password: &[u8], salt: [u8; 16]) -> Verifier {
    let mut hashing = Hashing::new(password, &salt, ROUNDS);
    loop {
        if let Some(hash) = hashing.run(ROUNDS) {
            return Verifier {
                salt,
                rounds: ROUNDS,
                hash,
            };
        }
    }
}

/// Whether two hashes are the same, in a time that does not depend on where
/// they differ.
#[must_use]
pub fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    let differ = one
        .iter()
        .zip(other)
        .fold(0, |differ, (a, b)| differ | (a ^ b));
    core::hint::black_box(differ) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's `hashlib.pbkdf2_hmac`.
    #[test]
    fn hashes_are_those_of_another_program() {
        for (password, rounds, hash) in VECTORS {
            for piece in [1, 7, 10_000] {
                let mut hashing = Hashing::new(password.as_bytes(), b"0123456789abcdef", rounds);
                let mut found = None;
                for _ in 0..=rounds {
                    found = hashing.run(piece);
                    if found.is_some() {
                        break;
                    }
                }
                let hex: std::string::String = found
                    .unwrap()
                    .iter()
                    .map(|byte| std::format!("{byte:02x}"))
                    .collect();
                assert_eq!(hex, hash, "{password} {rounds}");
            }
        }
    }

    const VECTORS: [(&str, u32, &str); 4] = [
        (
            "",
            1,
            "9a8a8056e20d881a164805a7c7c966e5d0b830eceaf5bb335ce4d3ca0962a7ad",
        ),
        (
            "secret",
            2,
            "6a6cc8c9dbc6e162f2e25f27356098787f2be2798c2db4db320f8c2b66d9ac20",
        ),
        (
            "correct horse battery",
            1000,
            "05500b18c982fcaffc10b12b739560271c8f140a40ac8651090b2a8c4819589e",
        ),
        (
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            25,
            "31b99749f8f3c5da3f9b0accf2ccc58ed1bbfa192b42a51a7c4d7e47a5f315dc",
        ),
    ];

    #[test]
    fn hashes_are_compared_as_a_whole() {
        assert!(same(&[7; 32], &[7; 32]));
        for place in 0..32 {
            let mut other = [7; 32];
            other[place] ^= 1;
            assert!(!same(&[7; 32], &other));
        }
    }
}
