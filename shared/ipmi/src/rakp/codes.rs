//! The codes and keys that the messages of a session's opening prove and make
//! (13.28, 13.31).

use crate::suite::{Code, Suite};

/// What both ends know of a session that is being opened.
#[derive(Debug, Clone, Copy)]
pub struct Exchange<'a> {
    /// The suite.
    pub suite: Suite,
    /// The console's identifier of the session (SIDm).
    pub console_session: u32,
    /// The BMC's identifier of the session (SIDc).
    pub bmc_session: u32,
    /// The console's random number (Rm).
    pub console_random: &'a [u8; 16],
    /// The BMC's random number (Rc).
    pub bmc_random: &'a [u8; 16],
    /// The BMC's GUID.
    pub guid: &'a [u8; 16],
    /// The privilege that was asked for, with [`super::BY_NAME`] (ROLEm).
    pub role: u8,
    /// The user's name, of [`super::MAX_NAME`] bytes at the most (UNAMEm).
    pub name: &'a [u8],
}

impl Exchange<'_> {
    fn named(&self) -> [u8; 2] {
        [self.role, u8::try_from(self.name.len()).unwrap_or(0)]
    }

    fn rakp2_parts<R>(&self, with: impl FnOnce(&[&[u8]]) -> R) -> R {
        with(&[
            &self.console_session.to_le_bytes(),
            &self.bmc_session.to_le_bytes(),
            self.console_random,
            self.bmc_random,
            self.guid,
            &self.named(),
            self.name,
        ])
    }

    /// The code of RAKP 2: the BMC knows the password.
    #[must_use]
    pub fn rakp2(&self, password: &[u8]) -> Code {
        self.rakp2_parts(|parts| self.suite.code(password, parts))
    }

    /// Whether `code` begins with that of RAKP 2, in whole length. Some BMCs send
    /// more bytes behind it.
    #[must_use]
    pub fn verify_rakp2(&self, password: &[u8], code: &[u8]) -> bool {
        let code = code.get(..self.suite.code_len());
        code.is_some_and(|code| self.rakp2_parts(|parts| self.suite.verify(password, parts, code)))
    }

    fn rakp3_parts<R>(&self, with: impl FnOnce(&[&[u8]]) -> R) -> R {
        with(&[
            self.bmc_random,
            &self.console_session.to_le_bytes(),
            &self.named(),
            self.name,
        ])
    }

    /// The code of RAKP 3: the console knows the password.
    #[must_use]
    pub fn rakp3(&self, password: &[u8]) -> Code {
        self.rakp3_parts(|parts| self.suite.code(password, parts))
    }

    /// Whether `code` is that of RAKP 3, in whole length.
    #[must_use]
    pub fn verify_rakp3(&self, password: &[u8], code: &[u8]) -> bool {
        code.len() == self.suite.code_len()
            && self.rakp3_parts(|parts| self.suite.verify(password, parts, code))
    }

    /// The session integrity key, made with the BMC's key or, where it has none,
    /// with the password.
    #[must_use]
    pub fn integrity_key(&self, key: &[u8]) -> Code {
        let parts: [&[u8]; 4] = [
            self.console_random,
            self.bmc_random,
            &self.named(),
            self.name,
        ];
        self.suite.code(key, &parts)
    }

    fn rakp4_parts<R>(&self, with: impl FnOnce(&[&[u8]]) -> R) -> R {
        with(&[
            self.console_random,
            &self.bmc_session.to_le_bytes(),
            self.guid,
        ])
    }

    /// The code of RAKP 4, to be truncated: the BMC has made the same key.
    #[must_use]
    pub fn rakp4(&self, sik: &Code) -> Code {
        self.rakp4_parts(|parts| self.suite.code(sik.as_bytes(), parts))
    }

    /// Whether `code` begins with that of RAKP 4, truncated. Some BMCs do not truncate
    /// it.
    #[must_use]
    pub fn verify_rakp4(&self, sik: &Code, code: &[u8]) -> bool {
        let code = code.get(..self.suite.packet_code_len());
        code.is_some_and(|code| {
            self.rakp4_parts(|parts| self.suite.verify(sik.as_bytes(), parts, code))
        })
    }
}
