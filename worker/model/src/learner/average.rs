//! The mean of a network's weights over the steps, the last ones the most: a network of its own, which nothing goes
//! backward through.

use std::collections::HashMap;

use swath_proto::item::Architecture;
use tch::Tensor;

use crate::{
    error::{ModelError, Result},
    network::{Home, Layers, Learnt, Network, build},
    weights::{Weights, values},
};

pub(super) struct Average {
    pub(super) network: Box<dyn Network>,
    /// Its tensors, in the order of those that it follows.
    pub(super) means: Learnt,
    /// How much of the mean stays in a step.
    decay: f64,
}

impl Average {
    /// Begins with what `learnt` holds.
    pub(super) fn new(
        decay: f64,
        architecture: Architecture,
        size: (i64, i64),
        learnt: &Learnt,
        home: Home,
    ) -> Result<Self> {
        let mut means = Learnt::default();
        let mut weights = Copies(pairs(learnt).map(|(name, tensor)| (name.as_str(), tensor)).collect());
        let mut layers = Layers { weights: &mut weights, home, learnt: Some(&mut means) };
        let network = build(architecture, &mut layers, size)?;
        for (_, mean) in pairs(&means) {
            let _ = mean.f_set_requires_grad(false)?;
        }
        Ok(Self { network, means, decay })
    }

    /// After a step, which was the optimizer's `n`th. Means and variances of norms are averaged like weights, so that
    /// they are those of the averaged network, about.
    pub(super) fn follow(&self, learnt: &Learnt, n: u64) -> Result<()> {
        let part = 1.0 - self.kept(n);
        for ((_, mean), (_, now)) in pairs(&self.means).zip(pairs(learnt)) {
            let _ = mean.shallow_clone().f_lerp_(now, part)?;
        }
        Ok(())
    }

    /// Less in the first steps (TensorFlow's rule): a short training would else be made of the weights that it began
    /// with.
    fn kept(&self, n: u64) -> f64 {
        self.decay.min(n as f64 / (n as f64 + 9.0))
    }

    /// Puts the means into the place of what they are of.
    pub(super) fn replace(&self, learnt: &Learnt) -> Result<()> {
        for ((_, mean), (_, now)) in pairs(&self.means).zip(pairs(learnt)) {
            now.shallow_clone().f_copy_(mean)?;
        }
        Ok(())
    }
}

pub(super) fn pairs(learnt: &Learnt) -> impl Iterator<Item = &(String, Tensor)> {
    learnt.parameters.iter().chain(&learnt.statistics)
}

/// Of the tensors of a network that is there.
struct Copies<'a>(HashMap<&'a str, &'a Tensor>);

impl Weights for Copies<'_> {
    fn take(&mut self, name: &str, _shape: &[i64]) -> Result<Vec<f32>> {
        let of = self.0.get(name).ok_or_else(|| ModelError::internal(format!("there is no '{name}'")))?;
        values(of)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
