//! What one step of a training is, in the words of `[train]`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{check::Check, train::TrainEntry};

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Loss {
    Word(LossWord),
    Sum(LossSum),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossWord {
    CrossEntropy,
    /// How much of a class and of what is taken for it is the same, over all pixels of a batch: for classes that are
    /// rare.
    Dice,
    /// Cross-entropy that goes by the pixels that are hard.
    Focal,
}

/// How much each loss counts in their sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LossSum {
    /// Cross-entropy.
    #[schemars(range(min = 0))]
    pub cross_entropy: f64,
    /// One minus the Dice coefficient.
    #[schemars(range(min = 0))]
    pub dice: f64,
    /// Focal loss.
    #[schemars(range(min = 0))]
    pub focal: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrainPrecision {
    Fp32,
    /// 16 bits of the same range, for processors that compute with them: others are slower by it.
    Bf16,
    /// 16 bits that are finer and of less range: steps whose gradient is no number are left out.
    Fp16,
}

impl TrainEntry {
    pub(super) fn check_step(&self, learnt_before: bool, check: &mut Check<'_>) {
        if let Loss::Sum(LossSum { cross_entropy, dice, focal }) = self.loss
            && check.sound(&["train.loss"])
        {
            let is_one_above = [cross_entropy, dice, focal].iter().any(|term| *term > 0.0);
            check.need(is_one_above, "train.loss", || {
                "counts no loss, so that nothing could be learnt".into()
            });
        }
        if check.sound(&["train.accumulate", "train.batch"]) {
            check.need(self.accumulate <= self.batch, "train.accumulate", || {
                format!("must be {} at most, the chips of train.batch", self.batch)
            });
        }
        check.need(self.ema.is_none_or(|ema| ema < 1.0), "train.ema", || {
            "must be below 1, or nothing would ever change; 0.999 for instance".into()
        });
        let (frozen, epochs) = (self.freeze_encoder, self.epochs);
        if check.sound(&["train.freeze_encoder", "train.epochs"]) {
            check.need(frozen <= epochs, "train.freeze_encoder", || {
                format!("must be {epochs} at most, the epochs that there are")
            });
        }
        check.need(frozen == 0 || learnt_before, "train.freeze_encoder", || {
            "the encoder has learnt nothing before that could stay: set train.backbone = \"imagenet\" or train.init"
                .into()
        });
    }
}
