//! What one step is: what it makes smaller, in which numbers, and what becomes of its gradient.

use serde::{Deserialize, Serialize};

use super::{Backbone, BadTrainSpec, TrainSpec};

/// How much each term counts in what a step makes smaller: one by its name, or a sum of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Given", into = "Given")]
pub struct LossTerms {
    pub cross_entropy: f64,
    /// One minus the Dice coefficient: how much of a class and of what is taken for it is the same, over all pixels of
    /// a batch.
    pub dice: f64,
    /// Cross-entropy, each pixel times the square of what its class still lacks in probability.
    pub focal: f64,
}

impl LossTerms {
    const NONE: Self = Self { cross_entropy: 0.0, dice: 0.0, focal: 0.0 };
    pub const CROSS_ENTROPY: Self = Self { cross_entropy: 1.0, ..Self::NONE };
    pub const DICE: Self = Self { dice: 1.0, ..Self::NONE };
    pub const FOCAL: Self = Self { focal: 1.0, ..Self::NONE };

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for LossTerms {
    fn default() -> Self {
        Self::CROSS_ENTROPY
    }
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "loss: must be \"cross-entropy\", \"dice\", \"focal\", or a table of how much each counts: \
                 { cross-entropy = 1, dice = 0.5 }"
)]
enum Given {
    Term(Term),
    Sum(Sum),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Term {
    #[serde(alias = "cross_entropy")]
    CrossEntropy,
    Dice,
    Focal,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Sum {
    #[serde(alias = "cross_entropy")]
    cross_entropy: f64,
    dice: f64,
    focal: f64,
}

impl From<Given> for LossTerms {
    fn from(given: Given) -> Self {
        match given {
            Given::Term(Term::CrossEntropy) => Self::CROSS_ENTROPY,
            Given::Term(Term::Dice) => Self::DICE,
            Given::Term(Term::Focal) => Self::FOCAL,
            Given::Sum(Sum { cross_entropy, dice, focal }) => Self { cross_entropy, dice, focal },
        }
    }
}

impl From<LossTerms> for Given {
    fn from(terms: LossTerms) -> Self {
        match terms {
            LossTerms::CROSS_ENTROPY => Self::Term(Term::CrossEntropy),
            LossTerms::DICE => Self::Term(Term::Dice),
            LossTerms::FOCAL => Self::Term(Term::Focal),
            LossTerms { cross_entropy, dice, focal } => Self::Sum(Sum { cross_entropy, dice, focal }),
        }
    }
}

/// Of what lies between images and logits, and of its gradients. Weights, norms' statistics and losses are `fp32`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    #[default]
    Fp32,
    /// For processors that have it; others are slower by it.
    Bf16,
    /// Finer than `bf16`, and of less range: losses are multiplied before they go backward, so that small gradients
    /// are not lost, and a step whose gradient is no number is left out.
    Fp16,
}

impl Precision {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

pub(super) fn is_one(number: &u32) -> bool {
    *number == 1
}

pub(super) fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl TrainSpec {
    /// Whether a step is possible.
    pub(super) fn check_step(&self) -> Result<(), BadTrainSpec> {
        let bad = |text: String| Err(BadTrainSpec(text));
        let LossTerms { cross_entropy, dice, focal } = self.loss;
        let terms = [cross_entropy, dice, focal];
        if !terms.iter().all(|term| term.is_finite() && *term >= 0.0) || terms.iter().all(|term| *term == 0.0)
        {
            return bad(format!(
                "loss = {{ cross-entropy = {cross_entropy}, dice = {dice}, focal = {focal} }}: must be numbers, none \
                 below 0 and one above"
            ));
        }
        if !(1..=self.batch).contains(&self.accumulate) {
            return bad(format!(
                "accumulate = {}: must be 1 to {}, since there are so many chips in a batch",
                self.accumulate, self.batch
            ));
        }
        if let Some(clip) = self.clip
            && !(clip.is_finite() && clip > 0.0)
        {
            return bad(format!("clip = {clip}: must be above 0"));
        }
        if let Some(ema) = self.ema
            && !(ema > 0.0 && ema < 1.0)
        {
            return bad(format!("ema = {ema}: must be above 0 and below 1, 0.999 for instance"));
        }
        self.check_frozen()
    }

    fn check_frozen(&self) -> Result<(), BadTrainSpec> {
        let (frozen, epochs) = (self.freeze_encoder, self.epochs);
        let bad = |text: &str| Err(BadTrainSpec(format!("freeze_encoder = {frozen}: {text}")));
        if frozen > epochs {
            return bad(&format!("must be 0 to {epochs}, since there are so many epochs"));
        }
        if frozen > 0 && self.architecture.backbone().is_none() {
            return bad("this network has no encoder");
        }
        if frozen > 0 && self.backbone == Backbone::None && self.weights.is_none() {
            return bad(
                "the encoder has learnt nothing before that could stay; begin with a backbone's weights or with a \
                 network's",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::tests::parse;

    #[test]
    fn what_is_left_out_leaves_no_trace() {
        let json = serde_json::to_string(&parse("").unwrap()).unwrap();
        for key in ["loss", "precision", "clip", "accumulate", "ema", "freeze_encoder"] {
            assert!(!json.contains(key), "{json}");
        }
        let spelt =
            parse("loss = \"cross_entropy\"\nprecision = \"fp32\"\naccumulate = 1\nfreeze_encoder = 0");
        assert_eq!(serde_json::to_string(&spelt.unwrap()).unwrap(), json);
    }

    #[test]
    fn a_loss_is_a_term_or_a_sum() {
        for (text, wanted, json) in [
            ("\"dice\"", LossTerms::DICE, r#""dice""#),
            ("{ focal = 1 }", LossTerms::FOCAL, r#""focal""#),
            (
                "{ cross-entropy = 1, dice = 0.5 }",
                LossTerms { cross_entropy: 1.0, dice: 0.5, focal: 0.0 },
                r#"{"cross-entropy":1.0,"dice":0.5,"focal":0.0}"#,
            ),
        ] {
            let spec = parse(&format!("loss = {text}")).unwrap();
            assert_eq!(spec.loss, wanted);
            assert_eq!(serde_json::to_string(&spec.loss).unwrap(), json);
            assert_eq!(serde_json::from_str::<LossTerms>(json).unwrap(), wanted);
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let spec = parse(
            "backbone = \"imagenet\"\nprecision = \"bf16\"\nclip = 1\naccumulate = 4\nema = 0.99\nfreeze_encoder = 5",
        )
        .unwrap();
        assert_eq!((spec.precision, spec.clip, spec.accumulate), (Precision::Bf16, Some(1.0), 4));
        assert_eq!((spec.ema, spec.freeze_encoder), (Some(0.99), 5));
        let json = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<TrainSpec>(&json).unwrap(), spec);
    }

    #[test]
    fn what_can_not_be_is_refused_by_its_key() {
        let with_encoder = "backbone = \"imagenet\"\nfreeze_encoder = 6";
        for (more, wanted) in [
            ("loss = \"hinge\"", "loss: must be \"cross-entropy\", \"dice\", \"focal\", or a table"),
            ("loss = { hinge = 1 }", "loss: must be"),
            ("loss = { dice = 0 }", "loss = { cross-entropy = 0, dice = 0, focal = 0 }: must be numbers"),
            ("loss = { dice = -1, focal = 1 }", "loss = { cross-entropy = 0, dice = -1"),
            ("loss = { dice = inf }", "loss = "),
            ("precision = \"int8\"", "int8"),
            ("clip = 0", "clip = 0: must be above 0"),
            ("clip = nan", "clip = NaN"),
            ("accumulate = 0", "accumulate = 0: must be 1 to 8"),
            ("batch = 4\naccumulate = 5", "accumulate = 5: must be 1 to 4"),
            ("ema = 1", "ema = 1: must be above 0 and below 1"),
            ("ema = nan", "ema = NaN"),
            ("freeze_encoder = 1", "freeze_encoder = 1: the encoder has learnt nothing before"),
            (with_encoder, "freeze_encoder = 6: must be 0 to 5"),
        ] {
            let error = parse(more).unwrap_err();
            assert!(error.contains(wanted), "{more}: {error}");
        }
        let tiny: TrainSpec =
            toml::from_str("architecture = \"tiny\"\nclasses = 2\nfreeze_encoder = 1").unwrap();
        let error = tiny.check().unwrap_err().to_string();
        assert_eq!(error, "freeze_encoder = 1: this network has no encoder");
    }
}
