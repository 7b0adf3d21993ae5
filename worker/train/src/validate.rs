//! What an epoch has come to, on chips that nothing was learnt from.

use swath_geo::confusion::Confusion;
use swath_model::{Learner, Loss};

use crate::{
    ahead::ahead,
    augment::Change,
    checkpoint::Position,
    error::{Kind, Result, TrainError},
    progress::{Point, Teller},
    suspect,
    train::{Job, Run},
};

impl Run<'_> {
    /// Each rank evaluates its share of batches. `None` if it was stopped.
    pub(crate) fn validate(
        &self,
        learner: &Learner,
        position: &Position,
        teller: &mut Teller<'_>,
    ) -> Result<Option<(Loss, Confusion)>> {
        let Job { spec, store, machine, .. } = self.job;
        let internal =
            |error: swath_geo::confusion::BadConfusion| TrainError::new(Kind::Internal, error.to_string());
        let mut table = Confusion::new(spec.classes).map_err(internal)?;
        let (mut loss, batch, n_chips) = (Loss::default(), spec.batch as usize, self.validation.len());
        let (gang, steps) = (learner.gang(), self.validation_steps());
        let [rank, size] = [gang.rank(), gang.size()].map(u64::from);
        let chips = |round: u64| {
            let first = (round * size + rank) as usize * batch;
            first..n_chips.min(first + batch)
        };
        let load = |round: u64| {
            let chips = chips(round).map(|chip| (chip, Change::default()));
            self.validation.batch(store, &chips.collect::<Vec<_>>())
        };
        let ours = (steps + size - 1 - rank) / size;
        teller.begin(true);
        let is_whole = ahead(machine.loaders, 0..ours, load, |next| {
            for round in 0..steps.div_ceil(size) {
                if self.is_stopped(gang)? {
                    return Ok(false);
                }
                if round == ours {
                    continue;
                }
                let batch = teller.wait(next)?;
                let evaluated = learner.evaluate(&batch);
                let place = || format!("validation after epoch {}", position.epoch + 1);
                let (of_batch, classes) = evaluated.map_err(|error| {
                    let names: Vec<_> = chips(round).map(|chip| self.validation.name(chip)).collect();
                    suspect::of_validation(error, &place(), learner, (&batch, &names))
                })?;
                loss += of_batch;
                table.add(&batch.labels, &classes).map_err(internal)?;
                self.validation.spare.give(batch);
                let (step, loss) = (steps.min((round + 1) * size), position.loss().mean());
                teller.stepped(Point { epoch: position.epoch, validates: true, step, loss });
            }
            Ok::<_, TrainError>(true)
        })?;
        if !is_whole {
            return Ok(None);
        }
        self.validation.unread.end_epoch(gang)?;
        let mut sums = vec![loss.sum, loss.weight, table.ignored() as f64];
        // They are whole numbers that a double holds: a table counts 2^53 pixels at most.
        sums.extend(table.counts().iter().map(|&count| count as f64));
        gang.sum(&mut sums)?;
        let counts = sums[3..].iter().map(|&count| count as u64).collect();
        let table = Confusion::from_counts(spec.classes, counts, sums[2] as u64).map_err(internal)?;
        Ok(Some((Loss { sum: sums[0], weight: sums[1] }, table)))
    }

    pub(crate) fn validation_steps(&self) -> u64 {
        self.validation.len().div_ceil(self.job.spec.batch as usize) as u64
    }
}
