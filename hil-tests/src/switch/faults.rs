//! Seeded misfortune: loss, duplication and reordering of frames.
//!
//! A [`Lane`] is one direction of one port. What befalls the n-th frame of a
//! lane depends on the seed and on n alone - not on time, on the frame's
//! bytes, or on other lanes - so a run with the same traffic sees the same
//! faults. Only how far a held frame falls back depends on time as well, for
//! on a silent line nothing would overtake it. Corruption is not here: it is
//! aimed, see [`corrupt`](super::corrupt).

use std::time::{Duration, Instant};

use super::Frame;

/// How long a frame is held back at most when nothing overtakes it.
const HOLD: Duration = Duration::from_millis(20);

/// Chances, each from 0.0 (never) to 1.0 (always), drawn once a frame.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// The frame is dropped.
    pub loss: f64,
    /// The frame is delivered twice.
    pub duplicate: f64,
    /// The frame is held back until 1 to 3 later ones have overtaken it, or
    /// for 20 ms. Only one frame a direction is held at a time.
    pub reorder: f64,
}

impl Faults {
    /// No faults.
    pub const NONE: Self = Self {
        loss: 0.0,
        duplicate: 0.0,
        reorder: 0.0,
    };

    /// Loss alone.
    pub const fn loss(chance: f64) -> Self {
        Self {
            loss: chance,
            ..Self::NONE
        }
    }
}

/// What a lane made of one frame.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    /// What goes on, in order.
    pub frames: Vec<Frame>,
    pub lost: bool,
    pub duplicated: bool,
    pub held: bool,
}

pub(crate) struct Lane {
    pub faults: Faults,
    random: SplitMix64,
    held: Option<Held>,
}

struct Held {
    frame: Frame,
    overtakers_left: u32,
    until: Instant,
}

impl Lane {
    pub fn new(seed: u64) -> Self {
        Self {
            faults: Faults::NONE,
            random: SplitMix64(seed),
            held: None,
        }
    }

    /// Whether frames pass untouched, so that the caller may skip the lane.
    pub fn is_clean(&self) -> bool {
        self.faults == Faults::NONE && self.held.is_none()
    }

    pub fn pass(&mut self, frame: Frame, now: Instant) -> Passed {
        // Four draws a frame, used or not: the n-th frame's fate must not
        // depend on what the settings were for the ones before.
        let [loss, duplicate, reorder] = [(); 3].map(|()| self.random.chance());
        let overtakers_left = 1 + (self.random.next() % 3) as u32;

        let mut passed = Passed::default();
        if loss < self.faults.loss {
            passed.lost = true;
        } else if reorder < self.faults.reorder && self.held.is_none() {
            passed.held = true;
            self.held = Some(Held {
                frame,
                overtakers_left,
                until: now + HOLD,
            });
            return passed;
        } else {
            passed.duplicated = duplicate < self.faults.duplicate;
            if passed.duplicated {
                passed.frames.push(frame.clone());
            }
            passed.frames.push(frame);
        }
        if let Some(held) = &mut self.held {
            held.overtakers_left -= 1;
            if held.overtakers_left == 0 {
                passed
                    .frames
                    .extend(self.held.take().map(|held| held.frame));
            }
        }
        passed
    }

    /// When the held frame, if any, goes on at the latest.
    pub fn held_until(&self) -> Option<Instant> {
        self.held.as_ref().map(|held| held.until)
    }

    /// Drops the held frame. True if there was one.
    pub fn discard(&mut self) -> bool {
        self.held.take().is_some()
    }

    /// The held frame, once its time is over.
    pub fn release(&mut self, now: Instant) -> Option<Frame> {
        self.held
            .take_if(|held| held.until <= now)
            .map(|held| held.frame)
    }
}

/// Sebastiano Vigna's SplitMix64: the sequence is fixed for ever, which a
/// library's default generator does not promise.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in 0.0..1.0.
    fn chance(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
