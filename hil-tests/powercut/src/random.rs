//! A generator that repeats: the same life for the same seed.

use farrier_core::rack::Entropy;

/// Xorshift, 64 bits.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Random(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below the bound.
    pub fn below(&mut self, bound: u64) -> u64 {
        (self.number() >> 16) % bound.max(1)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(self.below(all.len() as u64) as usize)
    }
}

impl Entropy for Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = (self.number() >> 24) as u8;
        }
    }
}
