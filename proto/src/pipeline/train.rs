//! `[train]`: how the network learns.

mod augment;
mod seen;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    augment::{AugmentEntry, AugmentStrength, AugmentWord},
    seen::{Oversample, OversampleWord, SubsetEntry},
};
use super::{
    Path,
    check::Check,
    classes,
    classes::ClassEntry,
    model::{BUNDLE, ending},
    step::{Loss, LossWord, TrainPrecision},
};
use crate::{item::Architecture, train::Augment};

/// How the network of `[model]` learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TrainEntry {
    /// Times that all chips are seen.
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: u32,
    /// Chips in one step, of all ranks together. The last step of an epoch is filled up with chips of its first step.
    #[schemars(range(min = 1, max = 65_536))]
    pub batch: u32,
    /// Learning rate; the highest one of a one-cycle schedule.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 10))]
    pub lr: f64,
    /// How weights follow the gradient.
    pub optimizer: Optimizer,
    /// Decay of weights in a step.
    #[schemars(range(min = 0, max = 1))]
    pub weight_decay: f64,
    /// What batch norms go by while the network learns.
    pub batch_norm: BatchNorm,
    /// What a step makes smaller: one loss, or a sum of them: { cross_entropy = 1.0, dice = 0.5 }. Class weights and
    /// pixels that are ignored go for each.
    pub loss: Loss,
    /// Numbers in which the network is computed while it learns. Weights, losses and scores are fp32 all the same.
    pub precision: TrainPrecision,
    /// Makes the gradient of all weights together no longer than this.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// Pieces in which a batch is computed, one after another, where memory is too small for all of it at once.
    #[schemars(range(min = 1, max = 65_536))]
    pub accumulate: u32,
    /// Makes a mean of the weights over the steps, of which so much stays in each: 0.999 for instance. It is what is
    /// scored and what comes out.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// Epochs at the beginning in which the encoder stays as it is: for `init`, or a backbone that learnt on many images.
    #[schemars(range(min = 0, max = 100_000))]
    pub freeze_encoder: u32,
    /// How the learning rate goes over the epochs.
    pub schedule: Schedule,
    /// Epochs after which a multi-step schedule falls to a tenth.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub milestones: Vec<u32>,
    /// Ends the training when the mean IoU on the validation scenes has not risen for so many epochs.
    #[schemars(range(min = 1, max = 100_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u32>,
    /// Weights of classes in the loss: "none", "balanced" (by how rare a class is among the chips),
    /// one number a class, or numbers by name: { building = 3.0 }, where others weigh 1.
    pub class_weights: ClassWeights,
    /// Changes that are drawn for each chip each time it is seen: words, or tables of how strong they are.
    #[schemars(extend("uniqueItems" = true))]
    pub augment: Vec<AugmentEntry>,
    /// Trains on some of the chips, drawn from the seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subset: Option<SubsetEntry>,
    /// Sees chips with rare classes more often: "balanced" (by how few chips a class is in), or so many times as often
    /// by name: { building = 3.0 }. An epoch has as many steps as without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oversample: Option<Oversample>,
    /// The share of an epoch's chips that may be left out because they can't be read: missing, torn or damaged. One
    /// more ends the training, which names their shards.
    #[schemars(range(min = 0, max = 1))]
    pub bad_chips: f64,
    /// What the first step waits for. With chips that are still being cut, the first epoch takes scenes in their order.
    pub start: Start,
    /// Decides the order of chips, what is drawn for them, and weights that are drawn.
    #[schemars(range(min = 0))]
    pub seed: u64,
    /// Weights that the encoder begins with: "random" where it is left out; "imagenet" makes much of few chips.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backbone: Option<Backbone>,
    /// Weights that the whole network begins with: a safetensors file, a PyTorch state dict, or a bundle (.zip).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// Draw the last layer of `init` anew: where the file was trained on other classes.
    pub fresh_head: bool,
    /// When all that is needed to go on is written down, and how much of it stays: { steps = 500, minutes = 10 } for
    /// instance.
    pub checkpoint: CheckpointEntry,
}

/// When all that a training needs to go on is written down; whichever comes first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointEntry {
    /// Written after every so many epochs, and after the last.
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: u32,
    /// Written after every so many steps of an epoch, too.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// Written when so many minutes have passed since the last, too.
    #[schemars(range(min = 1, max = 100_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u32>,
    /// How many stay until the training is over. Where the last is damaged, the one before it is gone on from.
    #[schemars(range(min = 1, max = 1000))]
    pub keep: u32,
}

impl Default for CheckpointEntry {
    fn default() -> Self {
        Self { epochs: 1, steps: None, minutes: None, keep: 2 }
    }
}

impl Default for TrainEntry {
    fn default() -> Self {
        Self {
            epochs: 20,
            batch: 8,
            lr: 1e-4,
            optimizer: Optimizer::Adam,
            weight_decay: 0.0,
            batch_norm: BatchNorm::Batch,
            loss: Loss::Word(LossWord::CrossEntropy),
            precision: TrainPrecision::Fp32,
            clip: None,
            accumulate: 1,
            ema: None,
            freeze_encoder: 0,
            schedule: Schedule::OneCycle,
            milestones: Vec::new(),
            patience: None,
            class_weights: ClassWeights::Word(ClassWeightWord::None),
            augment: [AugmentWord::HorizontalFlip, AugmentWord::VerticalFlip, AugmentWord::RightAngles]
                .map(AugmentEntry::Word)
                .into(),
            subset: None,
            oversample: None,
            bad_chips: 0.0,
            start: Start::AfterChips,
            seed: 0,
            backbone: None,
            init: None,
            fresh_head: false,
            checkpoint: CheckpointEntry::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Optimizer {
    Adam,
    /// Adam with decay of weights apart from the gradient.
    Adamw,
    /// Plain descent with a momentum of 0.9.
    Sgd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchNorm {
    /// By the mean and variance of each batch, on whatever number of ranks.
    Batch,
    /// By those of each rank's part of the batch: for large parts, and a slow network between ranks.
    Local,
    /// By what is remembered from before, which stays as it is: for `init`, or a backbone that learnt on many images.
    Frozen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Up to `lr`, and down to almost nothing.
    OneCycle,
    /// `lr` all along.
    Constant,
    /// From `lr` down to nothing, along half a cosine.
    Cosine,
    /// `lr`, and a tenth of what it was from each of `milestones` on.
    MultiStep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// All chips.
    AfterChips,
    /// The first few shards of them; the first epoch mixes the chips of eight shards at a time.
    WithChips,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backbone {
    /// torchvision's weights, which are downloaded once.
    Imagenet,
    /// Drawn from the seed.
    Random,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ClassWeights {
    Word(ClassWeightWord),
    List(Vec<f64>),
    ByName(BTreeMap<String, f64>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeightWord {
    None,
    Balanced,
}

impl TrainEntry {
    pub fn augment(&self) -> Augment {
        augment::augment(&self.augment)
    }

    /// Whether the chips to train on are validated on.
    pub fn overfits(&self) -> bool {
        self.subset.is_some_and(|subset| subset.overfit.is_some())
    }

    fn check_milestones(&self, check: &mut Check<'_>) {
        let (place, epochs) = (Path::from("train.milestones"), self.epochs);
        if self.schedule != Schedule::MultiStep {
            check.need(self.milestones.is_empty(), place, || {
                "are those of a multi-step schedule: set train.schedule = \"multi_step\"".into()
            });
            return;
        }
        let rises = self.milestones.is_sorted_by(|one, next| one < next);
        let fits = self.milestones.iter().all(|after| (1..epochs).contains(after));
        check.need(!self.milestones.is_empty() && rises && fits, place, || {
            format!(
                "must be epochs that rise, 1 to {}, since there are {epochs} of them",
                epochs.saturating_sub(1)
            )
        });
    }

    fn check_start(&self, check: &mut Check<'_>) {
        let waits = self.start == Start::AfterChips;
        let is_balanced = matches!(self.class_weights, ClassWeights::Word(ClassWeightWord::Balanced));
        for (place, is_set) in [
            ("train.class_weights", is_balanced),
            ("train.subset", self.subset.is_some()),
            ("train.oversample", self.oversample.is_some()),
        ] {
            check.need(waits || !is_set, place, || {
                "goes by all chips, and train.start = \"with_chips\" does not wait for them: leave one of both out".into()
            });
        }
    }

    pub(super) fn check(&self, list: &[ClassEntry], bands: u32, check: &mut Check<'_>) {
        augment::check(&self.augment, bands, check);
        self.check_start(check);
        if let Some(oversample) = &self.oversample {
            oversample.check(list, check);
        }
        if let Some(subset) = &self.subset {
            subset.check(check);
        }
        let place = Path::from("train.class_weights");
        let right = |weight: f64| weight.is_finite() && weight >= 0.0;
        let why = || "must be a finite number, 0 or above".to_owned();
        match &self.class_weights {
            ClassWeights::Word(_) => {}
            ClassWeights::List(weights) => {
                for (at, weight) in weights.iter().enumerate() {
                    check.need(right(*weight), place.index(at), why);
                }
                if check.sound(&["classes", "train.class_weights"]) && weights.len() != list.len() {
                    check.wrong(
                        place,
                        format!(
                            "must have one number a class, {} of them, and has {}",
                            list.len(),
                            weights.len()
                        ),
                    );
                } else if check.sound(&["train.class_weights"]) && weights.iter().all(|weight| *weight == 0.0)
                {
                    check.wrong(place, "weighs every class 0, so that nothing could be learnt");
                }
            }
            ClassWeights::ByName(weights) => {
                for (name, weight) in weights {
                    check.need(right(*weight), place.key(name.as_str()), why);
                    classes::known(name, place.key(name.as_str()), list, check);
                }
            }
        }
        if let Some(file) = &self.init {
            let endings = [Architecture::Tiny.endings(), &[BUNDLE]].concat();
            check.need(endings.contains(&ending(file)), "train.init", || {
                format!("must be a file of weights, or a bundle: .{}", endings.join(", ."))
            });
        } else {
            check.need(!self.fresh_head, "train.fresh_head", || {
                "is the last layer of train.init, which names no file".into()
            });
        }
        let learnt_before = self.init.is_some() || self.backbone == Some(Backbone::Imagenet);
        check.need(self.batch_norm != BatchNorm::Frozen || learnt_before, "train.batch_norm", || {
            "nothing was learnt before that could stay as it is: set train.backbone = \"imagenet\" or train.init".into()
        });
        self.check_step(learnt_before, check);
        self.check_milestones(check);
        if self.init.is_some() && self.backbone.is_some() && check.sound(&["train.init", "train.backbone"]) {
            check.wrong("train.backbone", "train.init has the encoder's weights too: give just one of both");
        }
    }
}
