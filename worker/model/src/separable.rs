//! A convolution in two: of each channel by itself, and of all channels of each pixel.

use crate::{
    conv::{Conv, Spec, Then},
    error::Result,
    network::Layers,
    ops::Ops,
};

pub(crate) struct Separable {
    depthwise: Conv,
    pointwise: Conv,
}

impl Separable {
    /// Of 3 x 3; the batch norm is that of the second.
    pub(crate) fn load(
        layers: &mut Layers<'_>,
        (name, norm): (&str, &str),
        (from, to): (i64, i64),
        dilation: i64,
    ) -> Result<Self> {
        let [depthwise, pointwise] = [0, 1].map(|part| format!("{name}.{part}"));
        let depthwise =
            Spec { dilation, groups: from, ..Spec::new(&depthwise, Then::Nothing, (from, from), 3) };
        let pointwise = Spec::new(&pointwise, Then::Norm(norm), (from, to), 1);
        Ok(Self { depthwise: Conv::load(layers, &depthwise)?, pointwise: Conv::load(layers, &pointwise)? })
    }

    pub(crate) fn conv_relu<O: Ops>(&self, ops: &mut O, input: &O::Value) -> Result<O::Value> {
        let each = ops.conv(&self.depthwise, input)?;
        ops.conv_relu(&self.pointwise, &each)
    }
}
