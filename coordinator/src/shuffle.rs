//! The numbers below `n` in an order drawn from a seed, each computed when it is its turn: a run of ten
//! million items must not be listed to be shuffled.

/// A Feistel network over the smallest even number of bits that holds `n`; what it maps beyond `n` is mapped
/// on until it comes below.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shuffle {
    n: u32,
    half_bits: u32,
    seed: u64,
}

impl Shuffle {
    const ROUNDS: u64 = 4;

    pub(crate) const fn new(n: u32, seed: u64) -> Self {
        let bits = u32::BITS - n.saturating_sub(1).leading_zeros();
        let half_bits = if bits < 2 { 1 } else { bits.div_ceil(2) };
        Self { n, half_bits, seed }
    }

    /// For every `index` below `n` another number below `n`.
    pub(crate) const fn at(self, index: u32) -> u32 {
        let mut number = self.mapped(index as u64);
        while number >= self.n as u64 {
            number = self.mapped(number);
        }
        number as u32
    }

    const fn mapped(self, number: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (number >> self.half_bits, number & mask);
        let mut round = 0;
        while round < Self::ROUNDS {
            let mixed = mix(self.seed ^ mix((round << 32) | right)) & mask;
            (left, right) = (right, left ^ mixed);
            round += 1;
        }
        (left << self.half_bits) | right
    }
}

/// The finaliser of SplitMix64.
const fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_once_whatever_the_length() {
        for n in [1, 2, 3, 4, 5, 63, 64, 65, 1000, 4097, 100_000] {
            let shuffle = Shuffle::new(n, 7);
            let mut numbers: Vec<u32> = (0..n).map(|index| shuffle.at(index)).collect();
            let in_place = (0..n).filter(|index| numbers[*index as usize] == *index).count();
            assert!(n < 1000 || in_place < 20, "{in_place} of {n} stay where they were");
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..n), "{n}");
        }
    }

    #[test]
    fn another_seed_is_another_order() {
        let order = |seed| (0..100).map(|index| Shuffle::new(100, seed).at(index)).collect::<Vec<_>>();
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
    }
}
