//! How often chips are seen whose classes are rare.

use swath_proto::train::Oversample;
use swath_shard::{Entry, chip::IGNORED};

use crate::{
    data::Chips,
    order::{Draws, Purpose},
};

impl Chips<'_> {
    /// How often each chip is seen, against one that has nothing rare.
    pub(crate) fn weights(&self, rule: &Oversample) -> Vec<f64> {
        let ignored = [Some(IGNORED), self.spec().ignore_class];
        let classes = |entry: &Entry| -> Vec<u8> {
            entry.counts().keys().copied().filter(|class| !ignored.contains(&Some(*class))).collect()
        };
        weights(rule, self.spec().classes, &self.entries().map(classes).collect::<Vec<_>>())
    }
}

/// The largest factor among the classes that a chip has; 1 where it has none.
fn weights(rule: &Oversample, classes: u32, chips: &[Vec<u8>]) -> Vec<f64> {
    let factors: Vec<f64> = match rule {
        Oversample::Factors(factors) => factors.iter().map(|factor| f64::from(*factor)).collect(),
        Oversample::Balanced => balanced(classes, chips),
    };
    let weight = |classes: &Vec<u8>| {
        classes.iter().filter_map(|class| factors.get(usize::from(*class)).copied()).fold(1.0, f64::max)
    };
    chips.iter().map(weight).collect()
}

/// The square root of how many times more chips the class has that is in the most of them: a class in a hundredth of
/// them is seen ten times as often, and not a hundred times, for then there would be little else.
fn balanced(classes: u32, chips: &[Vec<u8>]) -> Vec<f64> {
    let mut counts = vec![0_u64; classes as usize];
    for class in chips.iter().flatten() {
        if let Some(count) = counts.get_mut(usize::from(*class)) {
            *count += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or_default() as f64;
    counts.into_iter().map(|count| if count == 0 { 1.0 } else { (most / count as f64).sqrt() }).collect()
}

/// As many samples as there are chips, where a chip with twice the weight is there twice as often. Each is there `n *
/// weight / sum` times, rounded up or down by a draw: no chip is left out, or comes back, by chance alone. Chips that
/// all weigh the same are there once.
pub(crate) fn oversampled(seed: u64, epoch: u32, weights: &[f64]) -> Vec<usize> {
    let n = weights.len();
    let mut draws = Draws::new(seed, Purpose::Oversample, [epoch.into(), 0]);
    // Neighbours look alike: not every second one of them is to be taken.
    let mut chips: Vec<usize> = (0..n).collect();
    draws.shuffle(&mut chips);
    let step = weights.iter().sum::<f64>() / n.max(1) as f64;
    let first = draws.unit();
    let (mut samples, mut sum) = (Vec::with_capacity(n), 0.0);
    for (at, chip) in (1..).zip(chips) {
        sum += weights[chip];
        let mut times = 0;
        // The last one has what is left, however sums were rounded.
        while samples.len() < n && (at == n || (samples.len() as f64 + first) * step < sum) {
            samples.push(chip + times * n);
            times += 1;
        }
    }
    samples.sort_unstable();
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(seed: u64, epoch: u32, weights: &[f64]) -> Vec<usize> {
        let mut times = vec![0; weights.len()];
        oversampled(seed, epoch, weights).iter().for_each(|sample| times[sample % weights.len()] += 1);
        times
    }

    #[test]
    fn a_chip_is_seen_as_often_as_it_weighs() {
        let weights: Vec<f64> = (0..100).map(|chip| if chip % 10 == 0 { 4.0 } else { 1.0 }).collect();
        let share = 100.0 / weights.iter().sum::<f64>();
        let mut sums = vec![0; 100];
        for epoch in 0..400 {
            let times = times(5, epoch, &weights);
            assert_eq!(times.iter().sum::<usize>(), 100, "an epoch is as long as without");
            for ((times, weight), sum) in times.iter().zip(&weights).zip(&mut sums) {
                assert!((*times as f64 - weight * share).abs() < 1.0, "{times} times, weight {weight}");
                *sum += times;
            }
        }
        for (sum, weight) in sums.iter().zip(&weights) {
            let (mean, wanted) = (f64::from(*sum as u32) / 400.0, weight * share);
            assert!((mean - wanted).abs() < 0.1, "{mean} times on average, wanted {wanted}");
        }
    }

    #[test]
    fn chips_that_weigh_the_same_are_each_seen_once() {
        for (n, weight) in [(0, 1.0), (1, 1.0), (2, 3.0), (7, 0.1), (1000, 1.7)] {
            for epoch in 0..20 {
                assert!(oversampled(1, epoch, &vec![weight; n]).into_iter().eq(0..n), "{n} of {weight}");
            }
        }
    }

    /// A change of it is a change of every training.
    #[test]
    fn samples_are_the_same_for_ever() {
        let weights = [1.0, 1.0, 5.0, 1.0, 1.0, 1.0];
        assert_eq!([0, 1].map(|epoch| oversampled(7, epoch, &weights)), FROZEN);
    }

    /// The third chip is there three times.
    const FROZEN: [[usize; 6]; 2] = [[0, 1, 2, 3, 8, 14], [0, 1, 2, 4, 8, 14]];

    #[test]
    fn a_chip_goes_by_the_rarest_of_its_classes() {
        let chips: Vec<Vec<u8>> =
            [&[0_u8][..], &[0, 1], &[0], &[], &[0, 1, 2], &[1], &[0, 1], &[1]].map(Vec::from).into();
        let factors = Oversample::Factors(vec![1.0, 2.0, 8.0]);
        assert_eq!(weights(&factors, 3, &chips), [1.0, 2.0, 1.0, 1.0, 8.0, 2.0, 2.0, 2.0]);
        // Both of the others are in five chips; a class that is nowhere changes nothing.
        let root = 5.0_f64.sqrt();
        assert_eq!(weights(&Oversample::Balanced, 4, &chips), [1.0, 1.0, 1.0, 1.0, root, 1.0, 1.0, 1.0]);
    }
}
