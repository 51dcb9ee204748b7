//! A digest over everything that happens in a simulation.

/// The digest. Two runs with the same digest were the same run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0x6a09_e667_f3bc_c908)
    }
}

impl Digest {
    /// Takes in a number.
    pub fn add(&mut self, word: u64) {
        // A multiplication mixes upwards, the rotation brings it back down.
        self.0 = (self.0 ^ word)
            .wrapping_mul(0x9fb2_1c65_1e98_df25)
            .rotate_left(29);
    }

    /// Takes in bytes.
    pub fn add_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.add(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
    }

    /// The digest so far.
    pub fn value(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_depends_on_order_and_length() {
        let of = |parts: &[&[u8]]| {
            let mut digest = Digest::default();
            parts.iter().for_each(|part| digest.add_bytes(part));
            digest
        };
        assert_eq!(of(&[b"abc", b"d"]), of(&[b"abc", b"d"]));
        assert_ne!(of(&[b"abc", b"d"]), of(&[b"d", b"abc"]));
        assert_ne!(of(&[b"abc"]), of(&[b"abc\0"]));
    }
}
