//! Two small convolutions: enough to try everything out, and quick.

use tch::Tensor;

use crate::{
    conv::{Conv, Spec},
    error::Result,
    predictor::Network,
    weights::Weights,
};

const HIDDEN: i64 = 8;

pub(crate) struct Tiny {
    hidden: Conv,
    head: Conv,
}

impl Tiny {
    pub(crate) fn load(weights: &mut dyn Weights, bands: i64, classes: i64) -> Result<Self> {
        let hidden = Spec { name: "hidden", norm: None, channels: (bands, HIDDEN), kernel: 3, stride: 1 };
        let head = Spec { name: "head", norm: None, channels: (HIDDEN, classes), kernel: 1, stride: 1 };
        Ok(Self { hidden: Conv::load(weights, &hidden)?, head: Conv::load(weights, &head)? })
    }
}

impl Network for Tiny {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.head.forward(&self.hidden.forward_relu(input)?)
    }
}
