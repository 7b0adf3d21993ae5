//! One step: forward, backward, and the weights after the gradient.

use std::slice;

use tch::Tensor;

use super::{Batch, Learner, Loss, autocast::computed_in, gradient, optimizer::forget_gradients};
use crate::{
    error::{ModelError, Result},
    network::Pass,
    torch::{drawing_from, use_threads},
};

impl Learner {
    /// One step, at this learning rate, of all ranks together: each has its part of the batch, and all are told the
    /// loss of the whole. `seed` decides what dropout drops. A batch whose pixels are all ignored has no gradient, but
    /// is a step.
    pub fn step(&mut self, batch: &Batch, rate: f64, seed: u64) -> Result<Loss> {
        self.step_in_pieces(slice::from_ref(batch), rate, seed)
    }

    /// One step whose batch comes in pieces, as many for each rank, which are computed one after another. What goes by
    /// a batch goes by a piece then: batch norms, and Dice.
    pub fn step_in_pieces(&mut self, pieces: &[Batch], rate: f64, seed: u64) -> Result<Loss> {
        if self.setup.architecture.least_images() > 1 && pieces.iter().any(|piece| piece.n_images() == 1) {
            return Err(ModelError::config(
                "DeepLabV3 norms the mean of each image over its batch: that must be two images at least, in each \
                 piece of it",
            ));
        }
        use_threads(self.setup.threads);
        forget_gradients(&mut self.learnt.parameters);
        let mut weights: Vec<f64> = pieces.iter().map(|piece| self.losses.weight(piece)).collect();
        let mut summing = Some(self.gang.begin(&weights)?);
        let (mut weight, mut own, mut shared, mut whole) = (0.0, 0.0, 0.0, None);
        for (at, piece) in pieces.iter().enumerate() {
            // Gradients add up where they are, and are summed over all ranks with the last ones.
            let reducer = self.reducer.as_ref().filter(|_| at + 1 == pieces.len());
            if let Some(reducer) = reducer {
                reducer.before_forward()?;
            }
            let logits = self.logits(piece, seed.wrapping_add(at as u64))?;
            if let Some(summing) = summing.take() {
                summing.end_into(&mut weights)?;
                weight = weights.iter().sum();
            }
            let sums = self.losses.of(&logits, piece, weights[at], &self.gang)?;
            (own, shared) = (own + sums.own, shared + sums.shared);
            if at + 1 == pieces.len() {
                whole = Some(self.gang.begin_sum(own)?);
            }
            if let Some(reducer) = reducer {
                reducer.before_backward()?;
            }
            let scale = self.scale.map_or(1.0, |scale| scale.factor);
            let divisor = if weight > 0.0 { weight / scale } else { 1.0 };
            sums.backward.f_div_scalar(divisor)?.f_backward()?;
        }
        let whole = whole.ok_or_else(|| ModelError::internal("a step of no batch"))?;
        let loss = Loss { sum: whole.end()? + shared, weight };
        if let Some(scale) = self.scale.as_mut().filter(|_| !loss.sum.is_finite()) {
            // What a forward pass has made of 16 bits; the step is left out, as where a gradient is no number.
            *scale = scale.fallen()?;
            return Ok(Loss::default());
        }
        // Before the weights follow it.
        let loss = loss.checked()?;
        tch::no_grad(|| self.follow(rate))?;
        Ok(loss)
    }

    fn logits(&self, batch: &Batch, seed: u64) -> Result<Tensor> {
        let images = self.images(batch)?;
        let pass = Pass::Learn(self.setup.batch_norm, &self.gang);
        let forward =
            || computed_in(self.setup.precision, self.setup.place, || self.network.forward(&images, pass));
        // Others draw nothing, and wait for nobody.
        if self.setup.architecture.drops() { drawing_from(seed, forward) } else { forward() }
    }

    /// The weights follow the gradient, and their means follow them.
    fn follow(&mut self, rate: f64) -> Result<()> {
        if !gradient::tame(&self.learnt.learning(), self.setup.clip, &mut self.scale, &self.gang)? {
            return Ok(());
        }
        self.optimizer.update(&mut self.learnt.parameters, rate)?;
        if let Some(average) = &self.average {
            average.follow(&self.learnt, self.optimizer.n_updates)?;
        }
        Ok(())
    }

    /// Whether the encoder stays as it is, with its norms, from the next step on. All ranks must say the same.
    pub fn freeze_encoder(&mut self, freeze: bool) -> Result<()> {
        let Some(encoder) = self.encoder else { return Ok(()) };
        let of_encoder = || self.learnt.parameters.iter().filter(|(name, _)| name.starts_with(encoder));
        if of_encoder().all(|(_, parameter)| parameter.requires_grad() != freeze) {
            return Ok(());
        }
        // It waits for the gradients of all that it was given.
        self.overlap_before = self.overlap().unwrap_or_default();
        self.reducer = None;
        for (_, parameter) in of_encoder() {
            let _ = parameter.f_set_requires_grad(!freeze)?;
        }
        self.reducer = self.gang.reducer(&self.learnt.learning())?;
        Ok(())
    }
}
