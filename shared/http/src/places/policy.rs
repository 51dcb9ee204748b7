//! Classes of peers, and the numbers of the policy.

/// Number of classes.
pub const CLASSES: usize = 4;

/// What a peer is, as far as its address tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A server that boots, and that the caller knows.
    Boot,
    /// A server whose agent is alive.
    Agent,
    /// Anybody else.
    Operator,
    /// A machine of which the caller knows its address alone. Anybody can be
    /// many of them: together they have at most half of everything.
    Stranger,
}

impl Class {
    /// All classes, in the order of arrays by class.
    pub const ALL: [Self; CLASSES] = [Self::Boot, Self::Agent, Self::Operator, Self::Stranger];

    /// Whether transfers of any class are given up for it.
    pub(super) const fn is_first(self) -> bool {
        matches!(self, Self::Boot | Self::Agent)
    }
}

/// The numbers of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Places that only this class can take, by class.
    pub kept: [u8; CLASSES],
    /// Most places of one source address.
    pub per_source: u8,
    /// Most segments of one source address that wait.
    pub waiting_per_source: u8,
    /// How long the stack may take for a handshake.
    pub handshake_ms: u32,
    /// How long a head may take, from the connection's begin or from the
    /// head's first byte.
    pub head_ms: u32,
    /// How long a connection may be without a request after a reply.
    pub idle_ms: u32,
    /// How long a new connection, or a head, is left alone while others wait.
    pub young_ms: u32,
    /// How long a connection is left alone after a reply while others wait.
    pub pause_ms: u32,
    /// How long a request may be at work while others wait. What changes
    /// something must end before by its own limit.
    pub transfer_ms: u32,
    /// After so long a transfer must have had [`Self::fair_rate`] on average,
    /// while others wait.
    pub fair_after_ms: u32,
    /// Bytes a second.
    pub fair_rate: u32,
    /// How long a segment is held.
    pub hold_ms: u32,
}

impl Policy {
    /// Five eighths of `places` are kept for the classes, most of them for servers
    /// that boot; a source has at most a quarter of them. A transfer has five
    /// minutes, and after 15 s must have had 16 KiB a second, while others wait.
    #[must_use]
    pub const fn for_places(places: usize) -> Self {
        // A board has a handful of connections.
        let eighth = if places < 8 { 1 } else { (places / 8) as u8 };
        Self {
            kept: if places < 8 {
                [1; CLASSES]
            } else {
                [2 * eighth, eighth, eighth, eighth]
            },
            per_source: if places < 8 { 1 } else { 2 * eighth },
            waiting_per_source: 2,
            handshake_ms: 3_000,
            head_ms: 5_000,
            idle_ms: 10_000,
            young_ms: 500,
            pause_ms: 100,
            transfer_ms: 300_000,
            fair_after_ms: 15_000,
            fair_rate: 16 * 1024,
            hold_ms: 3_000,
        }
    }
}
