//! Two small convolutions: enough to try everything out, and quick.

use tch::Tensor;

use crate::{
    conv::{Conv, Spec},
    error::Result,
    network::{Layers, Network, Pass},
};

const HIDDEN: i64 = 8;

pub(crate) struct Tiny {
    hidden: Conv,
    head: Conv,
}

impl Tiny {
    pub(crate) fn load(layers: &mut Layers<'_>, bands: i64, classes: i64) -> Result<Self> {
        let mut conv = |name, channels, kernel| {
            Conv::load(layers, &Spec { name, norm: None, channels, kernel, stride: 1, dilation: 1 })
        };
        Ok(Self { hidden: conv("hidden", (bands, HIDDEN), 3)?, head: conv("head", (HIDDEN, classes), 1)? })
    }
}

impl Network for Tiny {
    fn forward(&self, input: &Tensor, pass: Pass) -> Result<Tensor> {
        self.head.forward(&self.hidden.forward_relu(input, pass)?, pass)
    }
}
