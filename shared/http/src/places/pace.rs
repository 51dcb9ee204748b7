//! The least rate of a body.

/// A deadline that moves with every byte. Bytes buy time at the least rate, and
/// never more than the allowance, so that a fast beginning buys no slow end.
/// Times are milliseconds of a monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    until: u64,
    allowance_ms: u32,
    /// Bytes a second.
    least: u32,
    /// Bytes that have bought no whole millisecond yet, times 1,000.
    rest: u64,
}

impl Pace {
    /// Begins at `now`: the first byte may take `allowance_ms`, and `least`
    /// bytes a second, 1 or more, must follow.
    #[must_use]
    pub const fn new(now: u64, allowance_ms: u32, least: u32) -> Self {
        Self {
            until: now.saturating_add(allowance_ms as u64),
            allowance_ms,
            least: if least == 0 { 1 } else { least },
            rest: 0,
        }
    }

    /// Bytes have moved.
    pub fn moved(&mut self, now: u64, bytes: usize) {
        let thousandths = self.rest + (bytes as u64).saturating_mul(1_000);
        let least = u64::from(self.least);
        self.rest = thousandths % least;
        let most = now.saturating_add(u64::from(self.allowance_ms));
        self.until = self.until.saturating_add(thousandths / least).min(most);
    }

    /// The peer had to wait for so long: that time is not its own.
    pub fn rested(&mut self, millis: u64) {
        self.until = self.until.saturating_add(millis);
    }

    /// When the next bytes must have moved.
    #[must_use]
    pub const fn until(&self) -> u64 {
        self.until
    }
}
