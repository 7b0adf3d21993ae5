//! Bitmaps: the coordinator's own, and the ledger's as they come over the wire.

/// A growing bitmap.
#[derive(Default)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// As a ledger has them.
    pub(crate) fn of_ledger(bytes: &[u8]) -> Self {
        let word = |bytes: &[u8]| {
            let bytes = bytes.iter().zip(0..);
            bytes.fold(0, |word, (byte, at)| word | u64::from(byte.reverse_bits()) << (8 * at))
        };
        Self(bytes.chunks(8).map(word).collect())
    }

    /// How many are set.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    pub(crate) fn get(&self, index: u32) -> bool {
        self.0.get(index as usize / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Whether it was clear before.
    pub(crate) fn set(&mut self, index: u32) -> bool {
        let word = index as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let was = self.get(index);
        self.0[word] |= 1 << (index % 64);
        !was
    }

    /// Whether it was set before.
    pub(crate) fn clear(&mut self, index: u32) -> bool {
        let was = self.get(index);
        if was {
            self.0[index as usize / 64] &= !(1 << (index % 64));
        }
        was
    }
}

/// Set bits of a ledger's bitmap, whose bytes count from their highest bit.
pub(crate) fn ones(bytes: &[u8]) -> impl Iterator<Item = u32> {
    let bits = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0);
    bits.flat_map(|(at, byte)| {
        (0..8).filter(move |bit| byte & (0x80 >> bit) != 0).map(move |bit| at as u32 * 8 + bit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledgers_bitmap_is_read_whole_as_it_is_bit_by_bit() {
        let bytes: Vec<u8> = (0..21).map(|n| (n * 37) as u8).collect();
        let bits = Bits::of_ledger(&bytes);
        let set: Vec<u32> = ones(&bytes).collect();
        assert!((0..200).filter(|index| bits.get(*index)).eq(set.iter().copied()));
        assert_eq!(bits.count(), set.len() as u64);
    }
}
