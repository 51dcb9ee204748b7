//! Who a client is to a BMC, and what it is allowed.

use crate::rakp::{KG_LEN, MAX_NAME, MAX_PASSWORD};
use crate::suite::Suite;

/// Which cipher suites are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Suites {
    /// Suite 17 alone.
    #[default]
    Strong,
    /// Suite 17, and suite 3 where the BMC does not have it. Who can forge packets
    /// can choose the weaker one then.
    StrongOrSha1,
    /// Suite 3 alone: for a BMC that claims to have suite 17, and has not.
    Sha1,
}

impl Suites {
    pub(super) const fn first(self) -> Suite {
        match self {
            Self::Strong | Self::StrongOrSha1 => Suite::Sha256,
            Self::Sha1 => Suite::Sha1,
        }
    }

    /// The suite to try where the BMC does not have this one.
    pub(super) const fn after(self, suite: Suite) -> Option<Suite> {
        match (self, suite) {
            (Self::StrongOrSha1, Suite::Sha256) => Some(Suite::Sha1),
            _ => None,
        }
    }
}

/// The privilege of a session (6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Privilege {
    /// Reads: no power, no console.
    User = 2,
    /// Power, boot device and console.
    Operator = 3,
    /// Everything.
    Administrator = 4,
}

/// How long a client waits, and how often it asks. All times are milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Pause before the first repetition. Each one is twice the one before, up to
    /// [`Self::longest_pause_ms`], and up to a quarter longer by chance.
    pub first_pause_ms: u32,
    /// The longest pause before a repetition, and the first one of a command that may
    /// do harm when it is carried out twice.
    pub longest_pause_ms: u32,
    /// How often a message is sent before the client gives it up. 0 counts as 1.
    pub tries: u8,
    /// The same for a command that may do harm when it is carried out twice, where that
    /// is less than [`Self::tries`]: 1 for never again. 0 counts as 1.
    pub unsafe_tries: u8,
    /// Silence after which an open session shows that it is alive. BMCs close a
    /// session after 60 s.
    pub keep_alive_ms: u32,
    /// Pause before a lost session is opened again. It grows as the others do, up to
    /// [`Self::longest_reopen_ms`].
    pub first_reopen_ms: u32,
    /// The longest pause before a lost session is opened again.
    pub longest_reopen_ms: u32,
}

impl Default for Timing {
    /// Five tries in 23 s, three of what may do harm; keep-alive after 20 s; 5 s to 5 minutes between two
    /// openings.
    fn default() -> Self {
        Self {
            first_pause_ms: 1000,
            longest_pause_ms: 8000,
            tries: 5,
            unsafe_tries: 3,
            keep_alive_ms: 20_000,
            first_reopen_ms: 5000,
            longest_reopen_ms: 300_000,
        }
    }
}

impl Timing {
    /// `first` doubled `times` times, up to `longest`, and up to a quarter more.
    pub(super) fn pause(first: u32, longest: u32, times: u8, chance: u8) -> u64 {
        let factor = 1_u64 << times.min(20);
        let pause = u64::from(first).saturating_mul(factor);
        let pause = pause.min(u64::from(longest)).max(1);
        pause + pause * u64::from(chance) / 1024
    }
}

/// What an owner decides about a BMC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The cipher suites.
    pub suites: Suites,
    /// The privilege that is asked for.
    pub privilege: Privilege,
    /// Pauses and tries.
    pub timing: Timing,
}

impl Default for Settings {
    /// Suite 17, operator.
    fn default() -> Self {
        Self {
            suites: Suites::default(),
            privilege: Privilege::Operator,
            timing: Timing::default(),
        }
    }
}

/// A text of few bytes, which does not show itself.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Text<N> {
    fn new(text: &[u8]) -> Option<Self> {
        let mut bytes = [0; N];
        bytes.get_mut(..text.len())?.copy_from_slice(text);
        let len = text.len().try_into().ok()?;
        Some(Self { bytes, len })
    }

    fn get(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// User, password and, where the BMC has one, its key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    name: Text<MAX_NAME>,
    password: Text<MAX_PASSWORD>,
    kg: Option<[u8; KG_LEN]>,
}

impl Credentials {
    /// A user and its password; `None` where the name has more than 16 bytes or
    /// the password more than 20.
    #[must_use]
    pub fn new(name: &[u8], password: &[u8]) -> Option<Self> {
        Some(Self {
            name: Text::new(name)?,
            password: Text::new(password)?,
            kg: None,
        })
    }

    /// The same with the BMC's key (Kg), filled up with zeros; `None` where it has
    /// more than 20 bytes. A key of zeros is none.
    #[must_use]
    pub fn with_kg(mut self, kg: &[u8]) -> Option<Self> {
        let text = Text::<KG_LEN>::new(kg)?;
        self.kg = (text.bytes != [0; KG_LEN]).then_some(text.bytes);
        Some(self)
    }

    pub(super) fn name(&self) -> &[u8] {
        self.name.get()
    }

    pub(super) fn password(&self) -> &[u8] {
        self.password.get()
    }

    /// What the session integrity key is made with.
    pub(super) fn session_key(&self) -> &[u8] {
        match &self.kg {
            Some(kg) => kg,
            None => self.password(),
        }
    }
}

impl core::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Credentials { .. }")
    }
}
