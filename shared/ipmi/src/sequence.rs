//! Numbers of the packets of a session (6.12.13): one counter a direction, which
//! never is 0, and the window that refuses a packet that was seen before.

/// Width of the window behind the newest packet.
pub const WINDOW: u32 = 32;

/// The number of the next packet that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outbound(u32);

impl Outbound {
    /// A session's first packet has the number 1.
    #[must_use]
    pub const fn new() -> Self {
        Self(1)
    }

    /// A counter whose next number is `next`; 1 where it is 0.
    #[must_use]
    pub const fn starting_at(next: u32) -> Self {
        Self(if next == 0 { 1 } else { next })
    }

    /// Takes a number. Behind 2³² − 1 comes 1.
    pub const fn take(&mut self) -> u32 {
        let taken = self.0;
        *self = Self::starting_at(taken.wrapping_add(1));
        taken
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new()
    }
}

/// The numbers that were received.
///
/// A number is taken that is newer than all before it, by less than 2³¹, or one
/// of the [`WINDOW`] before the newest that was not seen yet. IPMI allows to
/// refuse what is more than 15 ahead. This window does not, since a loss of more
/// than that would end the session, and the authentication code has said already
/// that the BMC wrote the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    newest: u32,
    /// Bit *n*: the number `newest` − *n* was seen.
    seen: u32,
}

impl Window {
    /// No number was seen; the first one is to be 1, or not far behind it.
    #[must_use]
    pub const fn new() -> Self {
        Self::behind(0)
    }

    /// A window whose newest number is `newest`, and that has seen all before it.
    #[must_use]
    pub const fn behind(newest: u32) -> Self {
        Self {
            newest,
            seen: u32::MAX,
        }
    }

    /// Takes a number. Returns whether it is new.
    pub const fn take(&mut self, number: u32) -> bool {
        if number == 0 {
            return false;
        }
        let ahead = number.wrapping_sub(self.newest);
        if ahead == 0 {
            return false;
        }
        if ahead < 1 << 31 {
            self.seen = match self.seen.checked_shl(ahead) {
                Some(seen) => seen | 1,
                None => 1,
            };
            self.newest = number;
            return true;
        }
        let behind = self.newest.wrapping_sub(number);
        if behind >= WINDOW || self.seen & 1 << behind != 0 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_never_gives_zero() {
        let mut counter = Outbound::new();
        assert_eq!((counter.take(), counter.take()), (1, 2));
        let mut counter = Outbound::starting_at(u32::MAX);
        assert_eq!((counter.take(), counter.take()), (u32::MAX, 1));
    }

    #[test]
    fn a_number_is_taken_once() {
        let mut window = Window::new();
        for number in [1, 2, 5, 3, 4, 40, 9, 39] {
            assert!(window.take(number), "{number}");
            assert!(!window.take(number), "{number} again");
        }
        assert!(!window.take(8), "too old");
        assert!(!window.take(0));
        assert!(!window.take(40 + (1 << 31)), "nothing is that far ahead");
        assert!(window.take(39 + (1 << 31)));
    }

    #[test]
    fn the_window_passes_the_wrap() {
        let mut window = Window::behind(u32::MAX - 2);
        for number in [u32::MAX, 2, u32::MAX - 1, 1] {
            assert!(window.take(number), "{number}");
            assert!(!window.take(number), "{number} again");
        }
        assert!(!window.take(0), "0 is no number of a session");
        assert!(!window.take(u32::MAX - 2));
    }
}
