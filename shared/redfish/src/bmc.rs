//! What is kept of a BMC between operations: which system is asked for, and a
//! session. No credentials.

use crate::link::LinkError;
use crate::text::Text;
use crate::vendor::Vendor;

/// Longest path of the system, in bytes.
pub const MAX_SYSTEM: usize = 88;
/// Longest token of a session, in bytes.
pub const MAX_TOKEN: usize = 72;
/// Longest path of a session, in bytes.
pub const MAX_SESSION: usize = 72;

/// What is known of a BMC. Less than 256 bytes; everything in it is found again
/// where it is lost, but a session that is forgotten stays open until the BMC
/// ends it.
#[derive(Clone, Default)]
pub struct Bmc {
    pub(crate) system: Option<Text<MAX_SYSTEM>>,
    pub(crate) session: Option<Session>,
    pub(crate) vendor: Vendor,
}

/// An open session (DSP0266, "Redfish session login authentication").
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) token: Text<MAX_TOKEN>,
    /// Empty where the BMC did not say it: such a session can't be ended.
    pub(crate) path: Text<MAX_SESSION>,
}

impl core::fmt::Debug for Bmc {
    /// Without the token.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Bmc")
            .field("system", &self.system)
            .field(
                "session",
                &self.session.as_ref().map(|session| &session.path),
            )
            .field("vendor", &self.vendor)
            .finish()
    }
}

impl Bmc {
    /// Creates a BMC of which nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the path of the system, once it was found.
    #[must_use]
    pub fn system(&self) -> Option<&str> {
        self.system.as_ref().map(Text::as_str)
    }

    /// Returns the vendor; [`Vendor::Other`] before the system was found.
    #[must_use]
    pub const fn vendor(&self) -> Vendor {
        self.vendor
    }

    /// Returns whether a session is open, as far as this side knows.
    #[must_use]
    pub const fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// Forgets the session without ending it: the BMC was reset.
    pub fn forget_session(&mut self) {
        self.session = None;
    }

    /// Forgets the system: the next operation looks for it.
    pub fn forget_system(&mut self) {
        self.system = None;
    }

    pub(crate) fn keep_system(&mut self, path: &str) -> Result<(), LinkError> {
        let text = Text::new(path);
        if text.is_cut() {
            return Err(LinkError::TooLong);
        }
        self.system = Some(text);
        Ok(())
    }
}
