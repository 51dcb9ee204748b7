//! Accounts of operators: what one is, may do, and proves itself with.

use super::ACCOUNT_LEN;
use core::fmt;
use serde::{Deserialize, Serialize};

/// The name of an account: 1 to [`ACCOUNT_LEN`] letters, digits, `-`, `.`
/// and `_`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountName {
    bytes: [u8; ACCOUNT_LEN],
    length: u8,
}

impl AccountName {
    /// The name of the account that a new appliance has.
    pub const FIRST: &str = "admin";

    /// No name.
    pub const NONE: Self = Self {
        bytes: [0; ACCOUNT_LEN],
        length: 0,
    };

    /// A name; `None` where it has other characters, none, or too many.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if name.is_empty() || !name.bytes().all(allowed) {
            return None;
        }
        let mut bytes = [0; ACCOUNT_LEN];
        bytes
            .get_mut(..name.len())?
            .copy_from_slice(name.as_bytes());
        Some(Self {
            bytes,
            // At most `ACCOUNT_LEN`.
            length: name.len() as u8,
        })
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let used = self.bytes.get(..usize::from(self.length));
        used.and_then(|used| core::str::from_utf8(used).ok())
            .unwrap_or("")
    }
}

impl fmt::Debug for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an account may do. The numbers stand in records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// Looks at everything but accounts, and changes nothing.
    Reader = 1,
    /// Sees and works with the nodes that it owns or leases.
    Member = 2,
    /// Does everything.
    Admin = 3,
}

impl Role {
    /// All roles, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Member, Self::Admin];

    /// The role of that number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as u8 == number)
    }

    /// The role's name in the API, as Ironic's policies have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

/// What a password is checked with: PBKDF2-HMAC-SHA-256 (RFC 8018) of it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verifier {
    /// Random, one for each password.
    pub salt: [u8; 16],
    /// Rounds of the hash, from 1.
    pub rounds: u32,
    /// The hash.
    pub hash: [u8; 32],
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

/// An account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: AccountName,
    /// What it may do.
    pub role: Role,
    /// Checks its password.
    pub verifier: Verifier,
    /// Its place in the table.
    pub(crate) place: u8,
}

impl Account {
    /// Its place in the table, from 0.
    #[must_use]
    pub fn place(&self) -> usize {
        usize::from(self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_few_characters() {
        for name in ["a", "admin", "ops-1.b_c", "sixteen-letters."] {
            assert_eq!(AccountName::new(name).unwrap().as_str(), name);
        }
        for name in ["", "a:b", "a b", "ä", "seventeen-letters"] {
            assert_eq!(AccountName::new(name), None, "{name}");
        }
    }

    #[test]
    fn roles_have_numbers_and_names() {
        for role in Role::ALL {
            assert_eq!(Role::from_number(role as u8), Some(role));
            assert_eq!(Role::from_name(role.as_str()), Some(role));
        }
        assert_eq!(Role::from_number(0), None);
        assert_eq!(Role::from_name("root"), None);
    }

    #[test]
    fn a_verifier_is_not_shown() {
        let verifier = Verifier {
            salt: [1; 16],
            rounds: 7,
            hash: [2; 32],
        };
        assert_eq!(std::format!("{verifier:?}"), "Verifier(…)");
    }
}
