//! How a network learns: what a person asks for. All of it decides the weights that come out.

mod augment;
mod chips;

use serde::{Deserialize, Serialize};

pub use self::{
    augment::Augment,
    chips::{Oversample, Subset},
};
use crate::item::{Architecture, Weights};

mod step;

pub use step::{LossTerms, Precision};

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
    /// Chips a step. What does not fill a batch waits for the next epoch's order.
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

/// A value that can't be trained with, and what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadTrainSpec(String);

impl TrainSpec {
    /// Whether each value is possible, and they go together.
    pub fn check(&self) -> Result<(), BadTrainSpec> {
        let bad = |text: String| Err(BadTrainSpec(text));
        let whole = [
            ("bands", self.bands, 64),
            ("epochs", self.epochs, 100_000),
            ("batch", self.batch, 4096),
            ("checkpoint.epochs", self.checkpoint.epochs, u32::MAX),
            ("patience", self.patience.unwrap_or(1), 100_000),
            ("checkpoint.steps", self.checkpoint.steps.unwrap_or(1), u32::MAX),
            ("checkpoint.minutes", self.checkpoint.minutes.unwrap_or(1), 100_000),
            ("checkpoint.keep", self.checkpoint.keep, 1000),
        ];
        for (key, value, most) in whole {
            if !(1..=most).contains(&value) {
                return bad(format!("{key} = {value}: must be 1 to {most}"));
            }
        }
        if !(2..=255).contains(&self.classes) {
            return bad(format!("classes = {}: must be 2 to 255", self.classes));
        }
        if self.architecture.is_program() {
            return bad(
                "architecture: what a file computes can't be trained; export it after training instead"
                    .into(),
            );
        }
        if !(self.lr > 0.0 && self.lr <= 10.0) {
            return bad(format!("lr = {}: must be above 0, 10 at most", self.lr));
        }
        if !(0.0..=1.0).contains(&self.weight_decay) {
            return bad(format!("weight_decay = {}: must be 0 to 1", self.weight_decay));
        }
        if !(0.0..=1.0).contains(&self.bad_chips) {
            return bad(format!("bad_chips = {}: must be 0 to 1, a share of the chips", self.bad_chips));
        }
        self.check_milestones()?;
        if self.backbone == Backbone::Imagenet && self.architecture.backbone().is_none() {
            return bad("backbone = \"imagenet\": this network has no encoder to be given weights".into());
        }
        if self.backbone == Backbone::Imagenet && self.weights.is_some() {
            return bad("backbone, weights: give one of them; `weights` has the encoder's too".into());
        }
        if matches!(self.weights, Some(Weights::Seed(_))) {
            return bad("weights: must name a file; what is drawn is drawn from `seed`".into());
        }
        if self.fresh_head && self.weights.is_none() {
            return bad("fresh_head = true: means the head of `weights`, which names no file".into());
        }
        if self.batch_norm == BatchNorm::Frozen && self.backbone == Backbone::None && self.weights.is_none() {
            return bad(
                "batch_norm = \"frozen\": nothing was learnt before that could stay; begin with a backbone's weights or \
                 with a network's"
                    .into(),
            );
        }
        if let Some(ignored) = self.ignore_class
            && u32::from(ignored) >= self.classes
        {
            return bad(format!("ignore_class = {ignored}: must be below classes ({})", self.classes));
        }
        self.check_step()?;
        self.check_class_weights()?;
        self.augment.check(self.bands)?;
        self.subset.map_or(Ok(()), Subset::check)?;
        self.oversample.as_ref().map_or(Ok(()), |rule| rule.check(self.classes))?;
        self.check_normalize()
    }

    /// Whether the chips to train on are those to validate on.
    pub const fn overfits(&self) -> bool {
        matches!(self.subset, Some(Subset::Overfit(_)))
    }

    /// What is drawn for chips: nothing for those that are to be known by heart.
    pub const fn augments(&self) -> Augment {
        if self.overfits() { Augment::NOTHING } else { self.augment }
    }

    fn check_milestones(&self) -> Result<(), BadTrainSpec> {
        let epochs = self.epochs;
        let bad = |text: &str| Err(BadTrainSpec(format!("milestones = {:?}: {text}", self.milestones)));
        match (self.schedule, &self.milestones[..]) {
            (Schedule::MultiStep, []) => bad("a multi-step schedule needs the epochs after which it falls"),
            (Schedule::MultiStep, all) if !all.is_sorted_by(|one, next| one < next) => {
                bad("must rise from one to the next")
            }
            (Schedule::MultiStep, all) if all.iter().any(|after| !(1..epochs).contains(after)) => {
                bad(&format!("must be 1 to {}, since there are {epochs} epochs", epochs.saturating_sub(1)))
            }
            (Schedule::MultiStep, _) | (_, []) => Ok(()),
            _ => bad("only a multi-step schedule has them"),
        }
    }

    fn check_class_weights(&self) -> Result<(), BadTrainSpec> {
        let Some(weights) = &self.class_weights else { return Ok(()) };
        if self.balanced {
            return Err(BadTrainSpec(
                "class_weights: balanced = true finds them: give just one of both".into(),
            ));
        }
        let fits = weights.len() == self.classes as usize
            && weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0)
            && weights.iter().any(|weight| *weight > 0.0);
        let text = || {
            format!(
                "class_weights = {weights:?}: must be {} numbers, none below 0 and one above",
                self.classes
            )
        };
        fits.then_some(()).ok_or_else(|| BadTrainSpec(text()))
    }

    fn check_normalize(&self) -> Result<(), BadTrainSpec> {
        let Some(Normalize { mean, std }) = &self.normalize else { return Ok(()) };
        let fits = [mean, std].iter().all(|numbers| numbers.len() == self.bands as usize)
            && mean.iter().all(|number| number.is_finite())
            && std.iter().all(|number| number.is_finite() && *number > 0.0);
        let text =
            || format!("normalize: mean and std must be {} numbers each, those of std above 0", self.bands);
        fits.then_some(()).ok_or_else(|| BadTrainSpec(text()))
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

    /// Keys that came later leave what was written before as it is: the ids of items are hashes of it.
    #[test]
    fn a_checkpoint_as_it_always_was_is_written_as_it_always_was() {
        assert_eq!(serde_json::to_string(&Checkpoint::default()).unwrap(), r#"{"epochs":1}"#);
    }

    #[test]
    fn what_can_not_be_is_refused_by_its_key() {
        for (more, key) in [
            ("epoch = 3", "epoch"),
            ("epochs = 0", "epochs"),
            ("batch = 0", "batch"),
            ("lr = 0", "lr"),
            ("lr = nan", "lr"),
            ("weight_decay = -1", "weight_decay"),
            ("patience = 0", "patience"),
            ("bad_chips = -0.1", "bad_chips"),
            ("bad_chips = 1.5", "bad_chips"),
            ("schedule = \"multi-step\"", "milestones"),
            ("schedule = \"multi-step\"\nmilestones = [3, 3]", "milestones"),
            ("schedule = \"multi-step\"\nmilestones = [5]", "milestones"),
            ("milestones = [2]", "milestones"),
            ("class_weights = [1]", "class_weights"),
            ("class_weights = [0, 0]", "class_weights"),
            ("class_weights = [1, -1]", "class_weights"),
            ("ignore_class = 2", "ignore_class"),
            ("fresh_head = true", "fresh_head"),
            ("batch_norm = \"frozen\"", "batch_norm"),
            ("normalize = { mean = [0, 0, 0], std = [1, 0, 1] }", "normalize"),
            ("augment = { flip = true }", "flip"),
            ("checkpoint = { steps = 0 }", "checkpoint.steps"),
            ("checkpoint = { minutes = 0 }", "checkpoint.minutes"),
            ("checkpoint = { keep = 0 }", "checkpoint.keep"),
            ("optimizer = \"lion\"", "lion"),
        ] {
            let error = parse(more).unwrap_err();
            assert!(error.contains(key), "{more}: {error}");
        }
        let module = "architecture = \"torchscript\"\nclasses = 2";
        assert!(toml::from_str::<TrainSpec>(module).unwrap().check().is_err());
    }
}
