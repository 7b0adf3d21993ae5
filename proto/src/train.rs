//! How a network learns: what a person asks for. All of it decides the weights that come out.

mod augment;
mod check;
mod chips;
mod file;
mod step;

use serde::{Deserialize, Serialize};

pub use self::{
    augment::Augment,
    check::BadTrainSpec,
    chips::{Oversample, Subset},
    file::{Coming, Shards, TRAIN_FILE, TrainFile},
    step::{LossTerms, Precision},
};
use crate::item::{Architecture, Weights};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSpec {
    pub architecture: Architecture,
    /// Where the encoder's weights come from; for whatever `weights` does not name.
    #[serde(default)]
    pub backbone: Backbone,
    /// All weights to begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<Weights>,
    /// Draw the last convolution even so: for other classes than those of `weights`.
    #[serde(default)]
    pub fresh_head: bool,
    #[serde(default = "defaults::bands")]
    pub bands: u32,
    pub classes: u32,
    #[serde(default = "defaults::epochs")]
    pub epochs: u32,
    /// Chips a step. The last step of an epoch is filled up with chips of its first step.
    #[serde(default = "defaults::batch")]
    pub batch: u32,
    /// The highest learning rate.
    #[serde(default = "defaults::lr")]
    pub lr: f64,
    #[serde(default)]
    pub optimizer: Optimizer,
    /// Adam and SGD add it to the gradient, AdamW takes it off the weights.
    #[serde(default)]
    pub weight_decay: f64,
    #[serde(default, skip_serializing_if = "BatchNorm::is_default")]
    pub batch_norm: BatchNorm,
    #[serde(default, skip_serializing_if = "LossTerms::is_default")]
    pub loss: LossTerms,
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
    /// The gradient of all weights together is made no longer than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// Pieces of a batch that are computed one after another, so that they need the memory of one.
    #[serde(default = "defaults::accumulate", skip_serializing_if = "step::is_one")]
    pub accumulate: u32,
    /// How much of the mean of weights stays in a step; it is this mean that comes out then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// Epochs at the beginning in which the encoder stays as it is.
    #[serde(default, skip_serializing_if = "step::is_zero")]
    pub freeze_encoder: u32,
    #[serde(default)]
    pub schedule: Schedule,
    /// Epochs after which a multi-step schedule falls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub milestones: Vec<u32>,
    /// Ends when the mean IoU on the validation chips has not risen for so many epochs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u32>,
    /// How much a pixel of each class counts in the loss; all the same where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_weights: Option<Vec<f32>>,
    /// Weighs classes by how rare they are among the chips to train on, in the place of `class_weights`.
    #[serde(default)]
    pub balanced: bool,
    /// A class whose pixels train nothing and are not counted. Label 255 never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_class: Option<u8>,
    #[serde(default)]
    pub augment: Augment,
    /// Trains on some of the chips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subset: Option<Subset>,
    /// Sees chips with rare classes more often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oversample: Option<Oversample>,
    /// The share of an epoch's chips that may be left out because they can't be read: missing, torn or damaged. One
    /// more ends the training.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bad_chips: f64,
    /// Subtracted and divided by after scaling; prediction must do the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalize: Option<Normalize>,
    #[serde(default, skip_serializing_if = "Start::is_default")]
    pub start: Start,
    /// Of all that is drawn: weights, order, augmentation, dropout.
    #[serde(default)]
    pub seed: u64,
    /// The weights that come out.
    #[serde(default)]
    pub keep: Keep,
    #[serde(default)]
    pub checkpoint: Checkpoint,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backbone {
    /// Drawn from the seed.
    #[default]
    #[serde(alias = "random")]
    None,
    /// As torchvision publishes it.
    Imagenet,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    #[default]
    Adam,
    Adamw,
    /// With a momentum of 0.9.
    Sgd,
}

/// What batch norms go by while a network learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchNorm {
    /// The mean and variance of the batch, on whatever number of ranks; what they are over time is remembered for
    /// predicting.
    #[default]
    Batch,
    /// Those of each rank's part of it: for ranks whose network is slow, and whose parts are large.
    Local,
    /// What is remembered from before: for few or small batches, and weights that were learnt on many.
    Frozen,
}

impl BatchNorm {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// As Raster Vision's: from a tenth of `lr` up to it for half of the epochs (rounded down), and
    /// down again, in straight lines. A single epoch is constant.
    #[default]
    #[serde(alias = "one_cycle")]
    OneCycle,
    Constant,
    /// From `lr` down to nothing, along half a cosine.
    Cosine,
    /// `lr`, and a tenth of what it was from each of `milestones` on.
    #[serde(alias = "multi_step")]
    MultiStep,
}

/// What the first step waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// All chips.
    #[default]
    AfterChips,
    /// The first shards alone. The first epoch takes them as they were planned, and mixes the chips of a few at a time,
    /// whether the others are there or not.
    #[serde(alias = "with_chips")]
    WithChips,
}

impl Start {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

/// One number a band. `uint8` and `uint16` samples are scaled to 0..1 before, others are not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    pub mean: Vec<f32>,
    pub std: Vec<f32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Those of the epoch with the highest mean IoU on the validation chips; the last without any.
    #[default]
    Best,
    Last,
}

/// When all that is needed to go on is written down. It does not change what comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Checkpoint {
    /// After every so many epochs, and after the last.
    pub epochs: u32,
    /// And after every so many steps of an epoch; never where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// And after the step at which so many minutes have passed since the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u32>,
    /// How many stay. Where the last one is damaged, the one before it is gone on from.
    #[serde(skip_serializing_if = "Checkpoint::is_kept_by_default")]
    pub keep: u32,
}

impl Checkpoint {
    const fn is_kept_by_default(keep: &u32) -> bool {
        *keep == defaults::KEEP
    }
}

/// Every default of training.
mod defaults {
    use super::{Augment, Checkpoint};

    /// The last checkpoint, and the one before.
    pub(super) const KEEP: u32 = 2;

    pub(super) const fn bands() -> u32 {
        3
    }
    pub(super) const fn epochs() -> u32 {
        5
    }
    pub(super) const fn batch() -> u32 {
        8
    }
    pub(super) const fn lr() -> f64 {
        1e-4
    }
    pub(super) const fn accumulate() -> u32 {
        1
    }

    impl Default for Augment {
        fn default() -> Self {
            Self { hflip: true, vflip: true, rot90: true, ..Self::NOTHING }
        }
    }

    /// A strength that is left out.
    pub(super) fn is_nothing(strength: &f32) -> bool {
        *strength == 0.0
    }

    impl Default for Checkpoint {
        fn default() -> Self {
            Self { epochs: 1, steps: None, minutes: None, keep: KEEP }
        }
    }
}

impl TrainSpec {
    /// Whether the chips to train on are those to validate on.
    pub const fn overfits(&self) -> bool {
        matches!(self.subset, Some(Subset::Overfit(_)))
    }

    /// What is drawn for chips: nothing for those that are to be known by heart.
    pub const fn augments(&self) -> Augment {
        if self.overfits() { Augment::NOTHING } else { self.augment }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn parse(more: &str) -> Result<TrainSpec, String> {
        let text = format!("architecture = \"unet-resnet18\"\nclasses = 2\n{more}");
        let spec: TrainSpec = toml::from_str(&text).map_err(|e| e.to_string())?;
        spec.check().map_err(|e| e.to_string())?;
        Ok(spec)
    }

    #[test]
    fn what_is_left_out_is_as_in_raster_vision() {
        let spec = parse("").unwrap();
        assert_eq!((spec.batch, spec.epochs, spec.lr), (8, 5, 1e-4));
        assert_eq!((spec.optimizer, spec.schedule), (Optimizer::Adam, Schedule::OneCycle));
        assert!(spec.augment.rot90 && spec.augment.hflip && spec.augment.vflip);
    }

    #[test]
    fn what_is_written_reads_back() {
        let spec = parse(
            "backbone = \"imagenet\"\nclass_weights = [1, 0.3]\nignore_class = 0\nlr = 0.003\n\
             normalize = { mean = [0.1, 0.2, 0.3], std = [1, 1, 0.7] }\ncheckpoint = { steps = 5, minutes = 3, keep = 1 }",
        )
        .unwrap();
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<TrainSpec>(&json).unwrap(), spec);
    }

    #[test]
    fn a_start_that_waits_for_all_chips_leaves_no_trace() {
        let json = |more: &str| serde_json::to_string(&parse(more).unwrap()).unwrap();
        assert_eq!(json("start = \"after-chips\""), json(""));
        assert!(!json("").contains("start"));
        assert!(json("start = \"with-chips\"").contains(r#""start":"with-chips""#));
    }

    /// Keys that came later leave what was written before as it is: the ids of items are hashes of it.
    #[test]
    fn a_checkpoint_as_it_always_was_is_written_as_it_always_was() {
        assert_eq!(serde_json::to_string(&Checkpoint::default()).unwrap(), r#"{"epochs":1}"#);
    }
}
