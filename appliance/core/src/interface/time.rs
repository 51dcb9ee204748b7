//! Time as the rack sees it: milliseconds since the appliance started.

/// A point in time: milliseconds since the appliance's last reset. It never
/// goes back and knows no wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The moment of reset.
    pub const START: Instant = Instant(0);

    /// A point in time, given as milliseconds since reset.
    pub const fn from_millis(millis: u64) -> Self {
        Instant(millis)
    }

    /// Milliseconds since reset.
    pub const fn millis(self) -> u64 {
        self.0
    }

    /// That much later; the end of time where that would overflow.
    #[must_use]
    pub const fn plus_millis(self, millis: u64) -> Self {
        let later = self.0.saturating_add(millis);
        match cfg!(farrier_bug = "wrong-clock") {
            true => Instant(later & 0xffff_ffff),
            false => Instant(later),
        }
    }

    /// Milliseconds from `earlier` to here; 0 where `earlier` is later.
    pub const fn since(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
