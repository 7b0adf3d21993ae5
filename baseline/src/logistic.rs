//! Logistic regression of one class against all others, by Newton's method: a few passes over the sample, no
//! rate to choose, and an end that says so.

use crate::{BadBaseline, Sample, cholesky, patch::n_values};

/// Of the sum of squared weights, in units of a deviation of each value: keeps the weights of classes that
/// colour tells apart without fault from growing for ever, and is nothing beside thousands of pixels.
const RIDGE: f64 = 1.0;
/// Newton's method doubles its digits with each step; this many are never needed.
const MAX_STEPS: usize = 50;
/// Two steps that end so near to each other, in nats a pixel, are at the end.
const NEAR: f64 = 1e-9;

/// Tells whether a pixel is of the class.
#[derive(Clone, Debug, PartialEq)]
pub struct Logistic {
    /// One a value of the patch, in the image's own units.
    weights: Vec<f32>,
    bias: f32,
}

impl Logistic {
    pub fn fit(sample: &Sample, class: u8) -> Result<Self, BadBaseline> {
        let hits: Vec<bool> = sample.labels().iter().map(|label| *label == class).collect();
        if !(hits.contains(&true) && hits.contains(&false)) {
            return Err(BadBaseline::OneClass(class));
        }
        let standard = Standard::of(sample);
        let mut weights = vec![0.0; n_values(sample.bands()) + 1];
        let mut now = Slope::at(&weights, sample, &standard, &hits);
        for _ in 0..MAX_STEPS {
            let mut step = now.gradient.clone();
            if !cholesky::solve(&mut now.curvature, &mut step) {
                break;
            }
            // A whole step may lead too far where the curve is flat; a part of it never does.
            let shares = std::iter::successors(Some(1.0), |share| (*share > 1e-3).then_some(share / 2.0));
            let stepped = shares.map(|share| {
                let to: Vec<f64> = weights.iter().zip(&step).map(|(w, step)| w - share * step).collect();
                (Slope::at(&to, sample, &standard, &hits), to)
            });
            let Some((next, to)) = stepped.into_iter().find(|(next, _)| next.loss <= now.loss) else { break };
            let gain = (now.loss - next.loss) / hits.len() as f64;
            (now, weights) = (next, to);
            if gain < NEAR {
                break;
            }
        }
        Ok(standard.undo(&weights))
    }

    /// The log-odds of the class; `rows` are those of a patch.
    pub(crate) fn logit(&self, rows: &[&[f32]]) -> f32 {
        let mut logit = self.bias;
        for (values, weights) in rows.iter().zip(self.weights.chunks_exact(self.weights.len() / rows.len())) {
            logit += values.iter().zip(weights).map(|(value, weight)| value * weight).sum::<f32>();
        }
        logit
    }
}

/// Mean and deviation of each value: all weights then have one unit.
struct Standard {
    means: Vec<f64>,
    deviations: Vec<f64>,
}

impl Standard {
    fn of(sample: &Sample) -> Self {
        let n = sample.len() as f64;
        let mut means = vec![0.0; n_values(sample.bands())];
        for patch in sample.patches() {
            means.iter_mut().zip(patch).for_each(|(mean, value)| *mean += f64::from(*value) / n);
        }
        let mut squares = vec![0.0; means.len()];
        for patch in sample.patches() {
            let off = patch.iter().zip(&means).map(|(value, mean)| f64::from(*value) - mean);
            squares.iter_mut().zip(off).for_each(|(sum, off)| *sum += off * off / n);
        }
        // A value that never changes tells nothing, and must not be divided by 0.
        let deviations = squares.into_iter().map(|square| if square > 0.0 { square.sqrt() } else { 1.0 });
        Self { deviations: deviations.collect(), means }
    }

    /// The bias is the last weight, and its value always 1.
    fn apply(&self, patch: &[f32], into: &mut [f64]) {
        for (into, ((value, mean), deviation)) in
            into.iter_mut().zip(patch.iter().zip(&self.means).zip(&self.deviations))
        {
            *into = (f64::from(*value) - mean) / deviation;
        }
        into[patch.len()] = 1.0;
    }

    /// Weights for values as they are in the image.
    fn undo(&self, weights: &[f64]) -> Logistic {
        let (bias, weights) = weights.split_last().expect("a bias");
        let plain: Vec<f64> =
            weights.iter().zip(&self.deviations).map(|(w, deviation)| w / deviation).collect();
        let shift: f64 = plain.iter().zip(&self.means).map(|(w, mean)| w * mean).sum();
        Logistic { weights: plain.iter().map(|w| *w as f32).collect(), bias: (bias - shift) as f32 }
    }
}

/// The loss at some weights, and how it bends there.
struct Slope {
    loss: f64,
    gradient: Vec<f64>,
    /// Row by row; the lower triangle is filled.
    curvature: Vec<f64>,
}

impl Slope {
    fn at(weights: &[f64], sample: &Sample, standard: &Standard, hits: &[bool]) -> Self {
        let n = weights.len();
        let mut slope = Self { loss: 0.0, gradient: vec![0.0; n], curvature: vec![0.0; n * n] };
        let mut values = vec![0.0; n];
        for (patch, hit) in sample.patches().zip(hits) {
            standard.apply(patch, &mut values);
            let logit: f64 = values.iter().zip(weights).map(|(value, weight)| value * weight).sum();
            let target = f64::from(u8::from(*hit));
            // log(1 + e^x) without an overflow.
            slope.loss += logit.max(0.0) + (-logit.abs()).exp().ln_1p() - target * logit;
            let odds = 1.0 / (1.0 + (-logit).exp());
            let bend = odds * (1.0 - odds);
            for row in 0..n {
                slope.gradient[row] += (odds - target) * values[row];
                let bent = bend * values[row];
                let line = &mut slope.curvature[row * n..=row * n + row];
                line.iter_mut().zip(&values).for_each(|(sum, value)| *sum += bent * value);
            }
        }
        // All but the bias are drawn to 0.
        for (row, weight) in weights.iter().enumerate().take(n - 1) {
            slope.loss += RIDGE / 2.0 * weight * weight;
            slope.gradient[row] += RIDGE * weight;
            slope.curvature[row * n + row] += RIDGE;
        }
        slope
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plane;

    /// Nine columns of three rows each: the patch around a middle pixel is nothing but its own value.
    fn sample(of: &[(f32, u8)]) -> Sample {
        let mut sample = Sample::new(1, 255, of.len() as u64, of.len() as u64);
        for (value, label) in of {
            sample.add(Plane::new(&[*value; 9], 3, 3, 1).unwrap(), &[*label; 9]).unwrap();
        }
        sample
    }

    /// Of values of 0 and 1, the odds of the class are those that were counted: there is one answer, and it is
    /// known.
    #[test]
    fn the_odds_are_those_of_the_pixels() {
        let n = 40_000;
        let pixels: Vec<(f32, u8)> = (0..n)
            .map(|at| match (at % 2, at / 2 % 100) {
                (0, share) => (0.0, u8::from(share < 20)),
                (_, share) => (1.0, u8::from(share < 70)),
            })
            .collect();
        let fitted = Logistic::fit(&sample(&pixels), 1).unwrap();
        for (value, share) in [(0.0_f32, 0.2_f32), (1.0, 0.7)] {
            let row = [value; 3];
            let odds = 1.0 / (1.0 + (-fitted.logit(&[&row, &row, &row])).exp());
            assert!((odds - share).abs() < 1e-3, "{odds} where {share} belongs");
        }
    }

    #[test]
    fn classes_that_never_mix_are_told_apart_by_finite_weights() {
        let pixels: Vec<(f32, u8)> = (0..2000).map(|at| (at as f32, u8::from(at >= 700))).collect();
        let fitted = Logistic::fit(&sample(&pixels), 1).unwrap();
        let logit = |value: f32| fitted.logit(&[&[value; 3], &[value; 3], &[value; 3]]);
        assert!(logit(690.0) < 0.0 && logit(710.0) > 0.0 && logit(1e6).is_finite());
    }

    #[test]
    fn one_class_alone_can_not_be_learnt() {
        assert_eq!(Logistic::fit(&sample(&[(1.0, 0), (2.0, 0)]), 1), Err(BadBaseline::OneClass(1)));
    }

    #[test]
    fn values_that_never_change_do_no_harm() {
        let fitted = Logistic::fit(&sample(&[(5.0, 0), (5.0, 1), (5.0, 0)]), 1).unwrap();
        let logit = fitted.logit(&[&[5.0; 3], &[5.0; 3], &[5.0; 3]]);
        assert!((logit + 2.0_f32.ln()).abs() < 1e-4, "{logit}");
    }
}
