//! Everything that is drawn while training, as functions of the seed and of what it is drawn for: so
//! a training that was interrupted goes on as if it had not been, and any number of ranks agree. The
//! functions are frozen: a change of them is a change of every training.

use swath_proto::train::Augment;

/// What a draw is for; draws for different things have nothing to do with each other.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Order = 1,
    Turn = 2,
    Dropout = 3,
    Scale = 16,
    Blur = 17,
    Brightness = 18,
    Contrast = 19,
    Noise = 20,
    ChannelDrop = 21,
    Oversample = 22,
    Subset = 23,
    Pictures = 24,
}

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64, whose state begins as a hash of all that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(seed: u64, purpose: Purpose, names: [u64; 2]) -> Self {
        let state = mix(seed.wrapping_add(STEP));
        let absorb = |state: u64, word: u64| mix(state.wrapping_add(STEP) ^ mix(word));
        Self([purpose as u64, names[0], names[1]].into_iter().fold(state, absorb))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// From 0 to less than `n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// From 0 to less than 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Fisher and Yates.
    pub(crate) fn shuffle(&mut self, all: &mut [usize]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The order in which an epoch takes its chips.
pub(crate) fn order(seed: u64, epoch: u32, n_chips: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n_chips).collect();
    Draws::new(seed, Purpose::Order, [epoch.into(), 0]).shuffle(&mut order);
    order
}

/// How a chip is turned: right angles counterclockwise, then the flips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Turn {
    pub(crate) right_angles: u8,
    pub(crate) hflip: bool,
    pub(crate) vflip: bool,
}

pub(crate) fn turn(seed: u64, epoch: u32, sample: usize, augment: Augment) -> Turn {
    let bits = Draws::new(seed, Purpose::Turn, [epoch.into(), sample as u64]).next();
    Turn {
        right_angles: if augment.rot90 { (bits & 3) as u8 } else { 0 },
        hflip: augment.hflip && bits & 4 != 0,
        vflip: augment.vflip && bits & 8 != 0,
    }
}

/// Decides what dropout drops of a rank's part of a step, counted from the beginning of the training.
pub(crate) fn dropout_seed(seed: u64, step: u64, rank: u32) -> u64 {
    Draws::new(seed, Purpose::Dropout, [step, rank.into()]).next()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn orders_and_turns_are_the_same_for_ever() {
        assert_eq!(order(7, 0, 10), FROZEN_ORDERS[0]);
        assert_eq!(order(7, 1, 10), FROZEN_ORDERS[1]);
        assert_eq!(order(8, 0, 10), FROZEN_ORDERS[2]);
        let turns: Vec<_> = (0..4).map(|chip| turn(7, 3, chip, Augment::default())).collect();
        let told: Vec<_> = turns.iter().map(|t| (t.right_angles, t.hflip, t.vflip)).collect();
        assert_eq!(told, FROZEN_TURNS);
        assert_eq!([0, 1].map(|rank| dropout_seed(7, 5, rank)), FROZEN_DROPOUT);
    }

    #[test]
    fn every_epoch_takes_every_chip_once() {
        for n_chips in [0, 1, 2, 7, 1000] {
            let mut order = order(3, 5, n_chips);
            order.sort_unstable();
            assert!(order.into_iter().eq(0..n_chips));
        }
    }

    #[test]
    fn chips_are_turned_in_all_ways_that_were_asked_for_and_no_other() {
        let ways = |augment| (0..500).map(|chip| turn(1, 0, chip, augment)).collect::<HashSet<_>>();
        assert_eq!(ways(Augment::default()).len(), 16);
        let flip = Augment { hflip: true, ..Augment::NOTHING };
        assert_eq!(ways(flip).len(), 2);
        assert_eq!(ways(Augment::NOTHING), HashSet::from([Turn::default()]));
    }

    const FROZEN_ORDERS: [[usize; 10]; 3] =
        [[5, 4, 9, 6, 8, 7, 2, 1, 0, 3], [0, 5, 6, 1, 4, 3, 7, 2, 9, 8], [1, 9, 6, 0, 4, 3, 2, 8, 7, 5]];
    const FROZEN_TURNS: [(u8, bool, bool); 4] =
        [(2, false, true), (3, true, false), (2, true, true), (0, true, true)];
    const FROZEN_DROPOUT: [u64; 2] = [277_858_769_905_085_314, 11_166_268_085_655_535_761];
}
