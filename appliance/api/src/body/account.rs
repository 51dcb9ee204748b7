//! The body that makes or changes an account: its role, and its password,
//! which is hashed and forgotten.

use super::Pairs;
use crate::Error;
use farrier_core::accounts::password::{Hashing, MAX_PASSWORD, MIN_PASSWORD, ROUNDS};
use farrier_core::accounts::{Role, Verifier};
use farrier_http::Status;

/// What a body says of an account.
#[derive(Debug)]
pub(crate) struct AccountBody {
    /// What it may do; `None` where the body does not say it.
    pub(crate) role: Option<Role>,
    /// Checks its password, once the hash is complete.
    pub(crate) verifier: Option<Verifier>,
    hashing: Option<Hashing>,
    salt: [u8; 16],
}

impl AccountBody {
    /// Out of the pairs of a form.
    pub(crate) fn read(pairs: &Pairs, salt: [u8; 16]) -> Result<Self, Error> {
        let role = match pairs.get("role") {
            "" => None,
            name => Some(Role::from_name(name).ok_or_else(|| {
                Error::new(
                    Status::BAD_REQUEST,
                    format_args!("there is no role {name:?}. There are reader, member and admin."),
                )
            })?),
        };
        let password = pairs.find("password");
        let length = password.map_or(MIN_PASSWORD, str::len);
        if !(MIN_PASSWORD..=MAX_PASSWORD).contains(&length) {
            let how = if length < MIN_PASSWORD {
                "short"
            } else {
                "long"
            };
            return Err(Error::new(
                Status::BAD_REQUEST,
                format_args!(
                    "the password is too {how}: it has {length} bytes. Send one of {MIN_PASSWORD} \
                     to {MAX_PASSWORD} bytes."
                ),
            ));
        }
        Ok(Self {
            role,
            verifier: None,
            hashing: password.map(|text| Hashing::new(text.as_bytes(), &salt, ROUNDS)),
            salt,
        })
    }

    /// Goes on with the hash by so many rounds. Gives whether it is complete.
    pub(crate) fn run(&mut self, rounds: u32) -> bool {
        let Some(hashing) = &mut self.hashing else {
            return true;
        };
        let Some(hash) = hashing.run(rounds) else {
            return false;
        };
        self.verifier = Some(Verifier {
            salt: self.salt,
            rounds: ROUNDS,
            hash,
        });
        self.hashing = None;
        true
    }
}
