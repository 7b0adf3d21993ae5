//! A group norm: each image goes by the mean and variance of its own groups of channels, so that it stays one where a
//! network predicts.

use tch::Tensor;

use crate::{error::Result, network::Layers};

/// Into which channels are put.
pub(crate) const GROUPS: i64 = 32;
/// PyTorch's.
const EPSILON: f64 = 1e-5;

pub(crate) struct GroupNorm {
    pub(crate) gamma: Tensor,
    pub(crate) beta: Tensor,
}

impl GroupNorm {
    pub(crate) fn load(layers: &mut Layers<'_>, name: &str, channels: i64) -> Result<Self> {
        let mut parameter = |which| layers.parameter(format!("{name}.{which}"), &[channels]);
        Ok(Self { gamma: parameter("weight")?, beta: parameter("bias")? })
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        // Channel by channel in memory: of channels that lie side by side, libtorch would share an image out among
        // threads by its place in the batch, and sums would depend on that.
        let planes = input.f_contiguous()?;
        Ok(planes.f_group_norm(GROUPS, Some(&self.gamma), Some(&self.beta), EPSILON, false)?)
    }
}
