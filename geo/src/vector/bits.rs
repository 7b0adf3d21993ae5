//! Pixels as bits, 64 in a word: what is looked at word by word costs next to nothing where there is nothing to see.

use std::ops::Range;

/// Pixels a word.
pub(super) const WORD: usize = u64::BITS as usize;

/// Pixels as one word, the first in the lowest bit. At most as many as it holds.
pub(super) fn packed<T: Copy>(pixels: &[T], is_set: impl Fn(T) -> bool) -> u64 {
    // Brings the lowest bits of eight bytes together in the highest byte: no two of them meet on the way.
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let mut bytes = [0_u8; WORD];
    for (byte, &pixel) in bytes.iter_mut().zip(pixels) {
        *byte = u8::from(is_set(pixel));
    }
    let eights = bytes.as_chunks().0.iter().rev();
    eights.fold(0, |word, &eight| word << 8 | u64::from_le_bytes(eight).wrapping_mul(GATHER) >> 56)
}

/// Calls with the ends of each run of bits that are set. The last bit is none of them.
pub(super) fn runs(words: impl IntoIterator<Item = u64>, mut found: impl FnMut(Range<u32>)) {
    let (mut first, mut before) = (None, 0);
    for (word, at) in words.into_iter().zip((0..).step_by(WORD)) {
        for change in ones(word ^ (word << 1 | before)) {
            match first.take() {
                None => first = Some(at + change),
                Some(first) => found(first..at + change),
            }
        }
        before = word >> (WORD - 1);
    }
}

/// Which bits are set, from the lowest.
pub(super) fn ones(mut word: u64) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let lowest = (word != 0).then(|| word.trailing_zeros());
        word &= word.wrapping_sub(1);
        lowest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_become_bits_in_their_order() {
        for at in 0..WORD {
            let pixels: Vec<u8> = (0..WORD).map(|i| if i == at { 7 } else { 1 }).collect();
            assert_eq!(packed(&pixels, |pixel| pixel == 7), 1 << at);
            assert_eq!(packed(&pixels, |pixel| pixel != 7), !(1 << at));
        }
        assert_eq!(packed(&[true, false, true], |pixel| pixel), 0b101);
        assert_eq!(packed(&[], |pixel: bool| pixel), 0);
    }

    #[test]
    fn runs_are_found_within_words_and_across_them() {
        let found = |words: &[u64]| {
            let mut all = Vec::new();
            runs(words.iter().copied(), |run| all.push((run.start, run.end)));
            all
        };
        assert_eq!(found(&[]), []);
        assert_eq!(found(&[0b0110_1001, 0]), [(0, 1), (3, 4), (5, 7)]);
        assert_eq!(found(&[1 << 63, 1]), [(63, 65)]);
        assert_eq!(found(&[u64::MAX, u64::MAX, 0]), [(0, 128)]);
        assert_eq!(found(&[1 << 63, 0, 0b10]), [(63, 64), (129, 130)]);
    }
}
