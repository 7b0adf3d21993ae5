//! Chips of which more are being cut. The first epoch takes shards as they were planned, and mixes the chips of a few
//! at a time, so that neither its order nor its learning rates depend on what is there when: a training that is cut into
//! parts, each up to the last step for which there are chips, is the same as one that began with all of them.

use std::ops::Range;

use swath_proto::train::{Coming, TrainSpec};

use crate::{
    data::Shard,
    error::{Result, TrainError},
    order::{Draws, Purpose},
    schedule::learning_rate,
};

/// Shards whose chips are mixed with each other: a scene or a few, some thousands of chips.
const MIXED: usize = 8;

/// As finely as the first epoch's learning rates go: how many steps it has is not known before its end.
const FINE: u64 = 1 << 20;

/// Steps for which there are chips: in the first epoch until all are there, in any from then on.
pub fn steps_so_far(coming: &Coming, spec: &TrainSpec, shards: &[Shard]) -> u64 {
    First::new(spec, coming, &n_chips(shards)).steps
}

fn n_chips(shards: &[Shard]) -> Vec<usize> {
    shards.iter().map(|shard| shard.index.chips().len()).collect()
}

/// Shards that are mixed: their chips, and which of the plan's items they are up to.
struct Stretch {
    chips: Range<usize>,
    planned: Range<u32>,
}

/// The first epoch, so far as it is known.
pub(crate) struct First {
    stretches: Vec<Stretch>,
    planned: u32,
    batch: usize,
    seed: u64,
    pub(crate) steps: u64,
}

impl First {
    pub(crate) fn of(spec: &TrainSpec, coming: &Coming, shards: &[Shard]) -> Result<Self> {
        let is_sorted = coming.places.is_sorted_by(|one, next| one < next);
        let is_within = coming.places.last().is_none_or(|last| *last < coming.planned);
        if coming.places.len() != shards.len() || !is_sorted || !is_within {
            return Err(TrainError::config(format!(
                "coming.places: must rise, below {}, one for each of the {} shards to train on",
                coming.planned,
                shards.len()
            )));
        }
        Ok(Self::new(spec, coming, &n_chips(shards)))
    }

    fn new(spec: &TrainSpec, coming: &Coming, n_chips: &[usize]) -> Self {
        let (mut stretches, mut chips, mut planned) = (Vec::<Stretch>::new(), 0, 0);
        for (n_chips, places) in n_chips.chunks(MIXED).zip(coming.places.chunks(MIXED)) {
            if places.len() < MIXED && !coming.is_all {
                break;
            }
            let (from, before) = (chips, planned);
            chips += n_chips.iter().sum::<usize>();
            planned = places.last().map_or(planned, |last| last + 1);
            stretches.push(Stretch { chips: from..chips, planned: before..planned });
        }
        // As ever, a batch is no larger than what there is; before that is known nothing is done with less.
        let whole = spec.batch as usize;
        let batch = if coming.is_all { whole.min(chips).max(1) } else { whole.max(1) };
        let steps = if coming.is_all { chips.div_ceil(batch) } else { chips / batch } as u64;
        Self { stretches, planned: coming.planned, batch, seed: spec.seed, steps }
    }

    /// Chips in their order.
    pub(crate) fn order(&self) -> Vec<usize> {
        let mut order = Vec::new();
        for (number, stretch) in (1..).zip(&self.stretches) {
            let mut chips: Vec<usize> = stretch.chips.clone().collect();
            // Of this epoch, and apart from the order that it has where it does not go by stretches.
            Draws::new(self.seed, Purpose::Order, [0, number]).shuffle(&mut chips);
            order.extend(chips);
        }
        order
    }

    /// By how much of the plan is behind it.
    pub(crate) fn rate(&self, spec: &TrainSpec, step: u64) -> f64 {
        learning_rate(spec, FINE, (self.part(step) * FINE as f64) as u64)
    }

    /// Of the epoch that is over before a step, from 0 to 1.
    fn part(&self, step: u64) -> f64 {
        let chip = step as usize * self.batch;
        let Some(stretch) = self.stretches.iter().find(|stretch| stretch.chips.contains(&chip)) else {
            return 1.0;
        };
        let within = (chip - stretch.chips.start) as f64 / stretch.chips.len() as f64;
        let items = f64::from(stretch.planned.end - stretch.planned.start);
        (f64::from(stretch.planned.start) + within * items) / f64::from(self.planned)
    }
}

#[cfg(test)]
mod tests {
    use swath_proto::ids::Digest;

    use super::*;

    /// Every third item has kept nothing; others have 3 to 7 chips.
    fn all() -> (Vec<u32>, Vec<usize>) {
        let places: Vec<u32> = (0..70).filter(|place| place % 3 != 1).collect();
        let n_chips = places.iter().map(|place| 3 + *place as usize * 7 % 5).collect();
        (places, n_chips)
    }

    fn spec() -> TrainSpec {
        let text =
            r#"{"architecture":"tiny","classes":2,"epochs":4,"batch":8,"seed":7,"start":"with-chips"}"#;
        serde_json::from_str(text).unwrap()
    }

    fn first(n: usize, is_all: bool) -> First {
        let (places, n_chips) = all();
        let coming = Coming { plan: Digest::of(b""), planned: 70, places: places[..n].to_vec(), is_all };
        First::new(&spec(), &coming, &n_chips[..n])
    }

    #[test]
    fn what_is_known_of_the_first_epoch_stays_so_whatever_comes() {
        let (places, n_chips) = all();
        let whole = first(places.len(), true);
        let order = whole.order();
        let n: usize = n_chips.iter().sum();
        assert_eq!((order.len(), whole.steps), (n, n.div_ceil(8) as u64));
        let mut steps = 0;
        for n in 0..=places.len() {
            let part = first(n, false);
            let known = part.order();
            assert_eq!(known, order[..known.len()], "{n} shards");
            assert!(part.steps >= steps && part.steps <= whole.steps, "{n} shards");
            steps = part.steps;
            for step in 0..steps {
                assert_eq!(part.rate(&spec(), step), whole.rate(&spec(), step), "{n} shards, step {step}");
            }
        }
        assert!(steps > 20 && steps < whole.steps, "{steps}");
    }

    #[test]
    fn every_chip_comes_once_among_those_of_its_stretch() {
        let (places, n_chips) = all();
        let order = first(places.len(), true).order();
        let mut at = 0;
        for n_chips in n_chips.chunks(MIXED) {
            let n: usize = n_chips.iter().sum();
            let mut stretch = order[at..at + n].to_vec();
            assert!(!stretch.is_sorted(), "they are mixed");
            stretch.sort_unstable();
            assert!(stretch.into_iter().eq(at..at + n));
            at += n;
        }
        assert_eq!(at, order.len());
    }

    #[test]
    fn nothing_is_begun_before_the_first_shards_are_there_and_few_chips_are_one_batch() {
        assert_eq!((first(MIXED - 1, false).steps, first(0, false).steps), (0, 0));
        assert!(first(MIXED, false).steps > 0);
        let (one, none) = (first(1, true), first(0, true));
        assert_eq!((one.steps, one.order().len()), (1, 3));
        assert_eq!((none.steps, none.order().len()), (0, 0));
    }

    #[test]
    fn learning_rates_rise_over_the_plan_as_they_would_over_the_steps() {
        let whole = first(all().0.len(), true);
        let rates: Vec<f64> = (0..whole.steps).map(|step| whole.rate(&spec(), step)).collect();
        assert!(rates.is_sorted_by(|one, next| one < next), "{rates:?}");
        // One cycle: from a tenth, halfway up after the first of four epochs.
        assert!((rates[0] - 1e-5).abs() < 1e-12 && rates[rates.len() - 1] < 5.5e-5, "{rates:?}");
    }

    #[test]
    fn places_that_can_not_be_are_refused() {
        let coming = |places: &[u32]| Coming {
            plan: Digest::of(b""),
            planned: 3,
            places: places.to_vec(),
            is_all: true,
        };
        assert!(First::of(&spec(), &coming(&[]), &[]).is_ok());
        let error = First::of(&spec(), &coming(&[0]), &[]).err().unwrap().to_string();
        assert!(error.contains("one for each of the 0 shards"), "{error}");
    }
}
