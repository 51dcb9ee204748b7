//! Deterministic changes of real messages: what a fuzzer does first, so that
//! the plain test tries it too.

use farrier_testkit::Random;

/// Numbers that lie at the edges of length fields.
const EDGES: [u8; 8] = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, 0x40];

/// Returns a changed copy of one of `corpus`, of at most `longest` bytes.
#[must_use]
pub fn changed(corpus: &[Vec<u8>], longest: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = random.choose(corpus).cloned().unwrap_or_default();
    for _ in 0..random.between(1, 6) {
        let at = random.below(bytes.len() as u64) as usize;
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, random.word() as u8),
            2 if !bytes.is_empty() => {
                bytes.remove(at);
            }
            3 => {
                // A piece of another message.
                let other = random.choose(corpus).cloned().unwrap_or_default();
                let from = random.below(other.len() as u64) as usize;
                let length = random.below(64) as usize;
                let piece = other.iter().skip(from).take(length);
                bytes.truncate(at.max(bytes.len() / 2));
                bytes.extend(piece);
            }
            4 => {
                let number = random.pick(&EDGES);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = number;
                }
            }
            5 => {
                let length = random.below(16) as usize;
                bytes.extend((0..length).map(|_| random.word() as u8));
            }
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
        }
    }
    bytes.truncate(longest);
    bytes
}
