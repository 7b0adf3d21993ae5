//! Which chips an epoch takes, and what is changed of each. A sample is a number: its chip, and on from the number of
//! chips the same ones once more, so that a chip that is seen twice in an epoch is changed in two ways.

use crate::{
    augment::Change,
    data::Chips,
    order::{Draws, Purpose, order},
    oversample::oversampled,
};

impl Chips<'_> {
    /// Those that the specification leaves, in their order.
    pub(crate) fn subset(self) -> Self {
        match self.spec().subset {
            Some(subset) => {
                let numbers = drawn(self.spec().seed, Purpose::Subset, subset.size(self.len()), self.len());
                self.only(&numbers)
            }
            None => self,
        }
    }

    /// As many samples as there are chips.
    pub(crate) fn order(&self, epoch: u32) -> Vec<usize> {
        let spec = self.spec();
        let order = order(spec.seed, epoch, self.len());
        match &spec.oversample {
            Some(rule) => {
                let samples = oversampled(spec.seed, epoch, &self.weights(rule));
                order.into_iter().map(|at| samples[at]).collect()
            }
            None => order,
        }
    }

    /// A sample's chip, and what becomes of it.
    pub(crate) fn sample(&self, epoch: u32, sample: usize) -> (usize, Change) {
        let spec = self.spec();
        (sample % self.len(), Change::draw(spec.seed, epoch, sample, spec.augments()))
    }
}

/// Some of so many, in their order; those that are drawn first stay, however many are wanted.
pub(crate) fn drawn(seed: u64, purpose: Purpose, wanted: usize, n_chips: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..n_chips).collect();
    Draws::new(seed, purpose, [0, 0]).shuffle(&mut numbers);
    numbers.truncate(wanted);
    numbers.sort_unstable();
    numbers
}
