//! Who computes which chips of a batch, and when. A piece is cut from the batch of all ranks before it is shared, so
//! that what goes by a piece is the same on any number of them.

use std::ops::Range;

use swath_model::{Batch, Gang};
use swath_proto::train::TrainSpec;

use crate::{error::Result, train::Run};

/// Chips of a step; fewer where there are fewer. The last one of an epoch is filled up with those of its first, so that
/// none is left out and every rank has something to do in every step.
pub(crate) fn batch_size(spec: &TrainSpec, n_chips: usize) -> usize {
    (spec.batch as usize).min(n_chips).max(1)
}

/// That have something to do in each step, where there are so many chips before `subset` takes some.
pub fn most_ranks(spec: &TrainSpec, n_chips: usize) -> u32 {
    let batch = batch_size(spec, spec.subset.map_or(n_chips, |subset| subset.size(n_chips)));
    let smallest_piece = batch / n_pieces(spec, batch);
    (smallest_piece as u32 / spec.architecture.least_images()).max(1)
}

/// That a batch of so many chips is computed in.
pub(crate) fn n_pieces(spec: &TrainSpec, batch: usize) -> usize {
    (spec.accumulate as usize).clamp(1, batch.max(1))
}

/// A rank's chips of each piece of a batch.
fn pieces(spec: &TrainSpec, batch: usize, gang: &Gang) -> Vec<Range<usize>> {
    shares(batch, n_pieces(spec, batch), (gang.rank(), gang.size()))
}

fn shares(batch: usize, pieces: usize, (rank, size): (u32, u32)) -> Vec<Range<usize>> {
    let whole = parts(0..batch, pieces);
    whole.map(|piece| parts(piece, size as usize).nth(rank as usize).unwrap_or_default()).collect()
}

/// So many, which differ by one at most.
fn parts(all: Range<usize>, n: usize) -> impl Iterator<Item = Range<usize>> {
    let at = move |part: usize| all.start + all.len() * part / n;
    (0..n).map(move |part| at(part)..at(part + 1))
}

/// From which multiple of the chips on no sample has a number: where chips are seen several times, they have some already.
fn beyond(order: &[usize], n_chips: usize) -> usize {
    order.iter().max().map_or(0, |last| (last / n_chips + 1) * n_chips)
}

/// A rank's samples of each step of an epoch.
pub(crate) struct Share {
    epoch: u32,
    order: Vec<usize>,
    /// What is added to the numbers of samples that come once more in the last step: they are samples of their own, and
    /// changed in a way of their own.
    again: usize,
    batch: usize,
    /// Of each piece of a batch.
    pub(crate) ours: Vec<Range<usize>>,
}

impl Share {
    pub(crate) fn of(&self, step: u64) -> impl Iterator<Item = usize> {
        let (first, n) = (step as usize * self.batch, self.order.len());
        let sample = move |at: usize| if at < n { self.order[at] } else { self.order[at - n] + self.again };
        self.ours.iter().cloned().flatten().map(move |at| sample(first + at))
    }
}

impl Run<'_> {
    /// What this rank takes of an epoch.
    pub(crate) fn share(&self, epoch: u32, gang: &Gang) -> Share {
        let (order, n_chips) = (self.order(epoch), self.train.len());
        let batch = batch_size(&self.job.spec, n_chips);
        let again = beyond(&order, n_chips);
        Share { epoch, order, again, batch, ours: pieces(&self.job.spec, batch, gang) }
    }

    pub(crate) fn load(&self, share: &Share, step: u64) -> Result<Batch> {
        let changed = share.of(step).map(|sample| self.train.sample(share.epoch, sample));
        self.train.batch(&self.job.store, &changed.collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_share_each_piece_and_leave_no_chip_out() {
        for (batch, pieces, size) in [(8, 1, 1), (8, 1, 3), (8, 3, 2), (7, 2, 3), (5, 5, 1)] {
            let all: Vec<_> = (0..size).map(|rank| shares(batch, pieces, (rank, size))).collect();
            let mut met = Vec::new();
            for piece in 0..pieces {
                let before = met.len();
                all.iter().for_each(|rank| met.extend(rank[piece].clone()));
                assert!(met.len() >= before + batch / pieces, "{batch} in {pieces} for {size}");
            }
            assert!(met.into_iter().eq(0..batch), "{batch} in {pieces} for {size}");
        }
        // As it was before there were pieces.
        assert_eq!(shares(8, 1, (1, 3)).first(), Some(&(2..5)));
    }

    #[test]
    fn the_last_step_of_an_epoch_is_filled_up_with_chips_of_its_first() {
        let order = vec![3, 1, 9, 0, 7, 2, 8, 5, 6, 4];
        let of_ranks = [0, 1].map(|rank| Share {
            epoch: 0,
            order: order.clone(),
            again: beyond(&order, 10),
            batch: 4,
            ours: shares(4, 1, (rank, 2)),
        });
        let step = |step| of_ranks.iter().flat_map(|share| share.of(step)).collect::<Vec<_>>();
        assert_eq!([step(0), step(1), step(2)], [[3, 1, 9, 0], [7, 2, 8, 5], [6, 4, 13, 11]]);
        assert_eq!(beyond(&[0, 1, 2, 3, 8, 14], 6), 18, "chip 2 comes three times: 2, 8 and 14");
    }
}
