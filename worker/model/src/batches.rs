//! An engine as a predictor: it is given full batches, and what is no number is an error, before it and behind it.

use std::time::{Duration, Instant};

use multiversion::multiversion;
use swath_proto::{
    ids::ItemId,
    item::{DeviceName, ModelRef, Precision},
    numeric::NumericClass,
};

use crate::{
    clock::computing,
    engine::{Described, Engine, Shape},
    error::{Kind, ModelError, Result},
    predictor::Predictor,
    weights::Stream,
};

pub(crate) struct Batches {
    engine: Box<dyn Engine>,
    shape: Shape,
    class: NumericClass,
    first_pass: Duration,
    computed: Duration,
}

impl Batches {
    /// Finds the numeric class of an engine by running it once.
    pub(crate) fn new(engine: Box<dyn Engine>, shape: Shape, model: &ModelRef, threads: u32) -> Result<Self> {
        let Described { engine: name, precision, instruction_set } = engine.describe()?;
        let mut batches = Self {
            engine,
            shape,
            class: NumericClass {
                engine: name,
                precision,
                instruction_set,
                model: model.clone(),
                window: shape.window,
                batch: shape.batch,
                threads,
                fingerprint: ItemId::of(&[]),
            },
            first_pass: Duration::ZERO,
            computed: Duration::ZERO,
        };
        batches.try_noise().map_err(|error| match error.kind {
            Kind::Unfit | Kind::Config | Kind::Capacity => error,
            // A card may be out of order where another is not.
            Kind::Internal if model.device == DeviceName::Cuda => {
                ModelError::new(Kind::Unfit, error.to_string())
            }
            // What fails on noise fails on every image.
            Kind::Data | Kind::Gang | Kind::Internal => ModelError::config(format!(
                "the network can't be used on {} windows of {} px with {} bands: {error}",
                shape.batch,
                shape.window.edge_px(),
                model.bands
            )),
        })?;
        Ok(batches)
    }

    /// Takes the fingerprint: a hash of the logits of one full batch of fixed noise. On a card it sees too that a window's
    /// place decides nothing, since maps must not depend on how scenes were cut: of processors, tests have shown it.
    fn try_noise(&mut self) -> Result<()> {
        let (batch, device) = (self.shape.batch as usize, self.class.model.device);
        let mut noise = Stream::new(0, "fingerprint");
        let input = self.input(batch)?;
        input.fill_with(|| noise.uniform());
        let mut turned = (device == DeviceName::Cuda).then(|| input.to_vec());
        let started = Instant::now();
        let logits = self.run(batch)?;
        let took = started.elapsed();
        let bytes: Vec<u8> = logits.iter().flat_map(|value| value.to_le_bytes()).collect();
        if let Some(turned) = &mut turned {
            let mut wanted = logits.to_vec();
            wanted.rotate_left(self.shape.window_values(self.shape.classes));
            turned.rotate_left(self.shape.window_values(self.shape.bands));
            if self.forward(turned, batch)? != wanted {
                return Err(ModelError::config(
                    "on this card a window's place in its batch decides what the network says of it, and maps would depend on \
                     how scenes were cut: take another precision or batch, or predict on processors",
                ));
            }
        }
        self.class.fingerprint = ItemId::of(&bytes);
        self.first_pass = took;
        Ok(())
    }
}

impl Predictor for Batches {
    fn input(&mut self, n: usize) -> Result<&mut [f32]> {
        let values = self.shape.values_of(n, self.shape.bands)?;
        Ok(&mut self.engine.input()?[..values])
    }

    fn run(&mut self, n: usize) -> Result<&[f32]> {
        let shape = self.shape;
        let (taken, given) = (shape.values_of(n, shape.bands)?, shape.values_of(n, shape.classes)?);
        let (images, padding) = self.engine.input()?.split_at_mut(taken);
        // Engines may take what is no number for zero.
        if let Some(at) = first_not_finite(images) {
            return Err(ModelError::data(format!(
                "a value of window {} of {n} is {}: its pixels are no numbers",
                at / shape.window_values(shape.bands) + 1,
                images[at]
            )));
        }
        padding.fill(0.0);
        let (ran, busy) = computing(|| self.engine.run());
        self.computed += busy;
        let logits = &ran?[..given];
        match first_not_finite(logits) {
            None => Ok(logits),
            Some(at) => {
                let is_half = self.class.model.networks().iter().any(|one| one.precision == Precision::Fp16);
                let narrow = if is_half { ", or fp16 is: predict with bf16 or fp32" } else { "" };
                Err(ModelError::data(format!(
                    "a logit of window {} of {n} is {}: its pixels are too large for this network{narrow}",
                    at / shape.window_values(shape.classes) + 1,
                    logits[at]
                )))
            }
        }
    }

    fn class(&self) -> &NumericClass {
        &self.class
    }

    fn first_pass(&self) -> Duration {
        self.first_pass
    }

    fn computed(&self) -> Duration {
        self.computed
    }
}

/// Where the first value is that is no number, or infinite. Many are looked at in one go.
fn first_not_finite(values: &[f32]) -> Option<usize> {
    const TOGETHER: usize = 1024;
    let part = values.chunks(TOGETHER).position(|part| !are_finite(part))?;
    let from = part * TOGETHER;
    Some(from + values[from..].iter().position(|value| !value.is_finite())?)
}

#[multiversion(targets("x86_64+avx2"))]
fn are_finite(values: &[f32]) -> bool {
    values.iter().fold(true, |all, value| all & value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_that_is_no_number_is_found_wherever_it_is() {
        let good = vec![f32::MAX; 3000];
        assert_eq!(first_not_finite(&good), None);
        assert_eq!(first_not_finite(&[]), None);
        for at in [0, 1023, 1024, 2999] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut values = good.clone();
                values[at..].fill(bad);
                assert_eq!(first_not_finite(&values), Some(at));
            }
        }
    }
}
