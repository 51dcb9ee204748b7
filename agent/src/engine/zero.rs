//! Tests whether bytes are zero. The read-back of an erasure tests every byte of
//! every disk, so the test processes eight words at a time.

use std::ops::Range;

/// Bytes per iteration: a few vector registers, and small enough that the search
/// ends soon after the first byte that is not zero.
const STRIDE: usize = 256;

/// Returns whether every byte is zero; `true` for the empty slice.
pub fn is_zero(bytes: &[u8]) -> bool {
    let mut strides = bytes.chunks_exact(STRIDE);
    strides.by_ref().all(stride_is_zero) && strides.remainder().iter().all(|&byte| byte == 0)
}

/// Has no early exit, so that the compiler vectorises it.
fn stride_is_zero(stride: &[u8]) -> bool {
    let (words, rest) = stride.as_chunks::<8>();
    let union = words
        .iter()
        .fold(0, |union, word| union | u64::from_ne_bytes(*word));
    union == 0 && rest.iter().all(|&byte| byte == 0)
}

/// Returns the first run of consecutive units that are not zero, as byte offsets
/// in `bytes`. `unit` is the unit's size in bytes, at least 1.
pub fn first_nonzero_run(bytes: &[u8], unit: usize) -> Option<Range<usize>> {
    let unit = unit.max(1);
    let start = first_nonzero_unit(bytes, unit)?;
    let rest = bytes.get(start..)?;
    let length = rest
        .chunks(unit)
        .take_while(|piece| !is_zero(piece))
        .map(<[u8]>::len)
        .sum::<usize>();
    Some(start..start + length)
}

fn first_nonzero_unit(bytes: &[u8], unit: usize) -> Option<usize> {
    if is_zero(bytes) {
        return None;
    }
    let index = bytes.chunks(unit).position(|piece| !is_zero(piece))?;
    Some(index * unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_what_a_slow_search_finds(
            length in 0_usize..3000,
            spots in proptest::collection::vec((any::<prop::sample::Index>(), 1_u8..), 0..5),
            unit in prop::sample::select(vec![1_usize, 16, 512]),
        ) {
            let mut bytes = vec![0; length];
            for (index, value) in spots {
                if length > 0 {
                    bytes[index.index(length)] = value;
                }
            }
            prop_assert_eq!(is_zero(&bytes), bytes.iter().all(|&byte| byte == 0));
            let dirty: Vec<bool> = bytes
                .chunks(unit)
                .map(|piece| piece.iter().any(|&byte| byte != 0))
                .collect();
            let expected = dirty.iter().position(|&dirty| dirty).map(|first| {
                let run = dirty[first..].iter().take_while(|&&dirty| dirty).count();
                first * unit..((first + run) * unit).min(length)
            });
            prop_assert_eq!(first_nonzero_run(&bytes, unit), expected);
        }
    }
}
