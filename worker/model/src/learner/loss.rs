//! What a step makes smaller: a sum of terms, each a mean over the pixels that count, of all ranks together.
//!
//! A pixel counts as much as its class weighs; one of label 255, or of a class that weighs nothing, is as if it were
//! not there. With `p` the probability of a pixel's own class and `w` the weight of that class:
//!
//! - cross-entropy is the sum of `-w ln p` by the sum of `w`;
//! - focal loss is the sum of `-w (1 - p)^2 ln p` by the sum of `w`;
//! - Dice loss is the mean, by their weights, of `1 - 2 I / S` over the classes that some pixel has: `I` sums a class's
//!   probability over its own pixels, `S` over all that count, and counts its own.

use swath_proto::train::LossTerms;
use tch::{Device, Kind, Reduction, Tensor};

use super::Batch;
use crate::{
    error::{ModelError, Result},
    gang::Gang,
};

/// The label of a pixel that trains nothing.
const IGNORED: u8 = 255;
const LABELS: usize = 256;
/// Of images, rows and columns, which leave classes.
const PIXELS: &[i64] = &[0, 2, 3];

pub(super) struct Losses {
    terms: LossTerms,
    class_weights: Vec<f32>,
    /// The same for the engine.
    of_classes: Tensor,
    /// Of each label, those too that no class has.
    of_labels: Tensor,
}

/// What a batch's pixels come to, times what they weigh.
pub(super) struct Sums {
    /// Goes backward: added up over all ranks, its gradients are those of the whole.
    pub(super) backward: Tensor,
    /// Of this rank's pixels.
    pub(super) own: f64,
    /// Of the pixels of all ranks, which each of them knows.
    pub(super) shared: f64,
}

impl Losses {
    /// Of logits that lie there.
    pub(super) fn new(terms: LossTerms, class_weights: &[f32], device: Device) -> Result<Self> {
        let mut of_labels = class_weights.to_vec();
        of_labels.resize(LABELS, 0.0);
        Ok(Self {
            terms,
            class_weights: class_weights.to_vec(),
            of_classes: Tensor::f_from_slice(class_weights)?.f_to_device(device)?,
            of_labels: Tensor::f_from_slice(&of_labels)?.f_to_device(device)?,
        })
    }

    /// What a batch's pixels weigh: known from the labels alone, so that ranks can sum it before they divide.
    pub(super) fn weight(&self, batch: &Batch) -> f64 {
        let mut counts = [0_u64; LABELS];
        batch.labels.iter().for_each(|&label| counts[usize::from(label)] += 1);
        let pairs = counts.iter().zip(&self.class_weights);
        pairs.map(|(&count, &weight)| count as f64 * f64::from(weight)).sum()
    }

    /// `weight` is that of the pixels of all ranks.
    pub(super) fn of(&self, logits: &Tensor, batch: &Batch, weight: f64, gang: &Gang) -> Result<Sums> {
        let (n, _, height, width) = logits.size4()?;
        let labels = Tensor::f_from_slice(&batch.labels)?.f_view([n, height, width])?;
        let labels = labels.f_to_device(logits.device())?.f_to_kind(Kind::Int64)?;
        // Whatever the network is computed in.
        let logits = logits.f_to_kind(Kind::Float)?;
        let LossTerms { cross_entropy, dice, focal } = self.terms;
        let mut terms = Vec::new();
        if cross_entropy > 0.0 {
            let (weights, ignored) = (Some(&self.of_classes), IGNORED.into());
            let term = logits.f_cross_entropy_loss(&labels, weights, Reduction::Sum, ignored, 0.0)?;
            terms.push(term.f_mul_scalar(cross_entropy)?);
        }
        if focal > 0.0 {
            terms.push(self.focal(&logits, &labels)?.f_mul_scalar(focal)?);
        }
        let mut own = 0.0;
        for term in &terms {
            own += f64::try_from(term)?;
        }
        let mut shared = 0.0;
        if dice > 0.0 {
            let (term, value) = self.dice(&logits, &labels, gang)?;
            terms.push(term.f_mul_scalar(dice * weight)?);
            shared = dice * weight * value;
        }
        let mut terms = terms.into_iter();
        let first = terms.next().ok_or_else(|| ModelError::config("loss: no term of it counts"))?;
        let backward = terms.try_fold(first, |sum, term| sum.f_add(&term))?;
        Ok(Sums { backward, own, shared })
    }

    /// Of every pixel: what it weighs, and its class, or any where it weighs nothing.
    fn pixels(&self, labels: &Tensor) -> Result<(Tensor, Tensor)> {
        let weights = self.of_labels.f_index_select(0, &labels.f_view([-1])?)?.f_view_as(labels)?;
        let classes = labels.f_masked_fill(&weights.f_le(0.0)?, 0)?;
        Ok((weights.f_unsqueeze(1)?, classes.f_unsqueeze(1)?))
    }

    fn focal(&self, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let (weights, classes) = self.pixels(labels)?;
        let log = logits.f_log_softmax(1, Kind::Float)?.f_gather(1, &classes, false)?;
        let lacking = log.f_exp()?.f_neg()?.f_add_scalar(1)?.f_square()?;
        Ok(lacking.f_mul(&log)?.f_mul(&weights)?.f_neg()?.f_sum(Kind::Float)?)
    }

    /// The loss of the pixels of all ranks; and what has its gradient. The loss is no sum over pixels, so that is the
    /// sum of this rank's probabilities, each times what the loss of all changes by it.
    fn dice(&self, logits: &Tensor, labels: &Tensor, gang: &Gang) -> Result<(Tensor, f64)> {
        let (weights, classes) = self.pixels(labels)?;
        let counted = weights.f_gt(0.0)?.f_to_kind(Kind::Float)?;
        let probabilities = logits.f_softmax(1, Kind::Float)?;
        let own = logits.f_zeros_like()?.f_scatter_(1, &classes, &counted)?;
        let (factors, value) = tch::no_grad(|| {
            let sums = [probabilities.f_mul(&own)?, probabilities.f_mul(&counted)?, own.shallow_clone()];
            let sums = sums.iter().map(|one| one.f_sum_dim_intlist(PIXELS, false, Kind::Double));
            let sums = Tensor::f_cat(&sums.collect::<std::result::Result<Vec<_>, _>>()?, 0)?;
            let mut sums = Vec::<f64>::try_from(&sums)?;
            gang.sum(&mut sums)?;
            let Coefficients { value, of_own, of_all } = coefficients(&sums, &self.class_weights);
            let [of_own, of_all] = [of_own, of_all].map(|numbers| {
                Tensor::f_from_slice(&numbers)?.f_view([1, -1, 1, 1])?.f_to_device(logits.device())
            });
            Ok::<_, ModelError>((own.f_mul(&of_own?)?.f_add(&counted.f_mul(&of_all?)?)?, value))
        })?;
        Ok((probabilities.f_mul(&factors)?.f_sum(Kind::Float)?, value))
    }
}

/// The Dice loss, and what it changes by the probability of each class: at a pixel that is its own, beside what it
/// changes by at every pixel that counts.
struct Coefficients {
    value: f64,
    of_own: Vec<f32>,
    of_all: Vec<f32>,
}

/// `sums`: of all classes, their probability over their own pixels; over all that count; and how many are their own.
fn coefficients(sums: &[f64], class_weights: &[f32]) -> Coefficients {
    let n = class_weights.len();
    let [overlaps, expected, actual] = [0, 1, 2].map(|part| &sums[part * n..][..n]);
    let weight = |class: usize| if actual[class] > 0.0 { f64::from(class_weights[class]) } else { 0.0 };
    let all: f64 = (0..n).map(weight).sum();
    let mut found = Coefficients { value: 0.0, of_own: vec![0.0; n], of_all: vec![0.0; n] };
    for class in (0..n).filter(|class| weight(*class) > 0.0) {
        let (part, size) = (weight(class) / all, expected[class] + actual[class]);
        found.value += part * (1.0 - 2.0 * overlaps[class] / size);
        found.of_own[class] = (-2.0 * part / size) as f32;
        found.of_all[class] = (2.0 * part * overlaps[class] / (size * size)) as f32;
    }
    found
}
