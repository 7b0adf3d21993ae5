//! Two small convolutions: enough to try everything out, and quick.

use crate::{
    conv::{Conv, Spec, Then},
    error::Result,
    network::Layers,
    ops::{Layered, Ops},
};

const HIDDEN: i64 = 8;

pub(crate) struct Tiny {
    hidden: Conv,
    head: Conv,
}

impl Tiny {
    pub(crate) fn load(layers: &mut Layers<'_>, bands: i64, classes: i64) -> Result<Self> {
        let mut conv =
            |name, channels, kernel| Conv::load(layers, &Spec::new(name, Then::Bias, channels, kernel));
        Ok(Self { hidden: conv("hidden", (bands, HIDDEN), 3)?, head: conv("head", (HIDDEN, classes), 1)? })
    }
}

impl Layered for Tiny {
    fn pass<O: Ops>(&self, ops: &mut O, input: &O::Value) -> Result<O::Value> {
        let hidden = ops.conv_relu(&self.hidden, input)?;
        ops.conv(&self.head, &hidden)
    }
}
