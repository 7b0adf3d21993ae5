//! What a run trains on: labelled scenes, and how they are cut into chips.

use serde::{Deserialize, Serialize};

use crate::{
    chips::{ChipEncoding, KeepSpec, RandomSpec, SlidingSpec},
    ids::ItemId,
    item::Place,
    scene::SceneFiles,
    train::TrainSpec,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnPlan {
    pub scenes: Vec<LearnScene>,
    pub windows: ChipWindows,
    pub keep: KeepSpec,
    #[serde(default, skip_serializing_if = "ChipEncoding::is_usual")]
    pub encoding: ChipEncoding,
    /// Windows that one item looks at; what is kept of them is one shard.
    pub windows_per_shard: u32,
    pub train: TrainSpec,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnScene {
    pub files: SceneFiles,
    pub set: ChipSet,
}

/// What chips are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChipSet {
    /// Weights are fitted to them.
    Train,
    /// Weights are judged by them.
    Validation,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChipWindows {
    Sliding(SlidingSpec),
    Random(RandomSpec),
}

/// What `Train::inputs` names: `runs/<run>/inputs/<digest>.json`. Chip items, in the order of their
/// places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainInputs {
    pub train: Vec<ChipItem>,
    pub validation: Vec<ChipItem>,
}

/// A chip item, and where it stands, should its shard be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChipItem {
    pub place: Place,
    pub id: ItemId,
}

/// Output of a chip item. Without a key nothing was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Chipped {
    #[serde(rename = "1")]
    V1 { shard: Option<String>, index: Option<String>, chips: u64, windows: u64, pixels_by_class: Vec<u64> },
}

/// How far a training has come: `train/<id>/progress.json`, replaced every second or so while it goes on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum TrainProgress {
    #[serde(rename = "1")]
    V1(Training),
}

/// Epochs count from 1; `step` is what is done of `steps` in this phase of it. No steps: how many it has is not known
/// yet, since its chips are still being cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    pub epoch: u32,
    pub epochs: u32,
    /// The epoch's steps are done, and its weights are measured on the validation chips.
    pub validates: bool,
    pub step: u64,
    pub steps: u64,
    /// Chips that an epoch trains on; of one whose steps are not known, those that were there at the last look, or none.
    pub images: u64,
    /// Of the epoch so far.
    pub loss: Option<f64>,
    /// Mean over the classes, on the validation chips, after the epoch before this one.
    pub mean_iou: Option<f64>,
    pub images_per_second: f64,
    /// To the end of the last epoch.
    pub eta_seconds: Option<f64>,
    /// It waits for chips: so many items there are from the first that is missing on, in the order in which they are
    /// trained and validated on. Later ones may be there, so at most so many are to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<u64>,
}

impl Training {
    /// Of this phase of the epoch, where it is known how many it has.
    pub fn known_steps(&self) -> Option<u64> {
        (self.steps > 0 && self.waits_for.is_none()).then_some(self.steps)
    }

    /// With the part of this one that is done: none as long as its steps are not known, so that it never falls back.
    pub fn epochs_done(&self) -> f64 {
        let of_this = match self.known_steps() {
            _ if self.validates => 1.0,
            Some(steps) => self.step as f64 / steps as f64,
            None => 0.0,
        };
        f64::from(self.epoch.saturating_sub(1)) + of_this
    }
}

/// Output of a train item: the file of the weights, and how well they do on the validation chips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Trained {
    #[serde(rename = "1")]
    V1 { weights: crate::item::Weights, epochs: u32, metrics: serde_json::Value },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sample of every version stays readable; this one never changes.
    #[test]
    fn progress_of_the_first_version_reads() {
        let sample = include_str!("../samples/train-progress-v1.json");
        let TrainProgress::V1(training) = serde_json::from_str(sample).unwrap();
        assert_eq!((training.epoch, training.step, training.images), (2, 31, 784));
        let again = serde_json::to_string(&TrainProgress::V1(training.clone())).unwrap();
        assert_eq!(serde_json::from_str::<TrainProgress>(&again).unwrap(), TrainProgress::V1(training));
    }

    #[test]
    fn a_training_that_waits_for_chips_says_for_how_many() {
        let sample = include_str!("../samples/train-progress-v1-waits.json");
        let TrainProgress::V1(training) = serde_json::from_str(sample).unwrap();
        assert_eq!((training.step, training.waits_for), (96, Some(16)));
        assert_eq!((training.known_steps(), training.epochs_done()), (None, 0.0), "the epoch goes on");
    }

    #[test]
    fn an_epoch_of_which_nobody_knows_the_steps_counts_for_nothing_before_its_end() {
        let sample = include_str!("../samples/train-progress-v1.json");
        let TrainProgress::V1(training) = serde_json::from_str(sample).unwrap();
        let of = |steps, validates| {
            Training { epoch: 2, step: 6, steps, validates, ..training.clone() }.epochs_done()
        };
        assert_eq!([of(8, false), of(0, false), of(8, true)], [1.75, 1.0, 2.0]);
    }
}
