//! A convolution with its batch norm folded in, in the memory order that CPUs compute fastest.

use tch::{Kind, Tensor};

use crate::{error::Result, weights::Weights};

/// torchvision's.
const BATCH_NORM_EPSILON: f64 = 1e-5;

/// What a convolution is called and how large it is.
pub(crate) struct Spec<'a> {
    pub(crate) name: &'a str,
    /// Its batch norm; a convolution without one has a bias of its own.
    pub(crate) norm: Option<&'a str>,
    pub(crate) channels: (i64, i64),
    pub(crate) kernel: i64,
    pub(crate) stride: i64,
}

pub(crate) struct Conv {
    weight: Tensor,
    bias: Tensor,
    stride: i64,
    padding: i64,
}

impl Conv {
    pub(crate) fn load(weights: &mut dyn Weights, spec: &Spec<'_>) -> Result<Self> {
        let (from, to) = spec.channels;
        let name = spec.name;
        let weight = weights.take(&format!("{name}.weight"), &[to, from, spec.kernel, spec.kernel])?;
        let (weight, bias) = match spec.norm {
            None => (weight, weights.take(&format!("{name}.bias"), &[to])?),
            Some(norm) => {
                let mut part = |part: &str| weights.take(&format!("{norm}.{part}"), &[to]);
                let parts = [part("weight")?, part("bias")?, part("running_mean")?, part("running_var")?];
                fold(&weight, &parts)?
            }
        };
        Ok(Self { weight: channels_last(&weight)?, bias, stride: spec.stride, padding: spec.kernel / 2 })
    }

    pub(crate) fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        Ok(input.f_conv2d(&self.weight, Some(&self.bias), stride, padding, [1, 1], 1)?)
    }

    pub(crate) fn forward_relu(&self, input: &Tensor) -> Result<Tensor> {
        Ok(self.forward(input)?.f_relu_()?)
    }
}

/// Batch norm in evaluation is a scale and a shift a channel; both go into the convolution. In
/// doubles, so that folding costs no more than one rounding.
fn fold(weight: &Tensor, [gamma, beta, mean, variance]: &[Tensor; 4]) -> Result<(Tensor, Tensor)> {
    let double = |tensor: &Tensor| tensor.f_to_kind(Kind::Double);
    let deviation = double(variance)?.f_add_scalar(BATCH_NORM_EPSILON)?.f_sqrt()?;
    let scale = double(gamma)?.f_div(&deviation)?;
    let weight = double(weight)?.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
    let bias = double(beta)?.f_sub(&double(mean)?.f_mul(&scale)?)?;
    Ok((weight.f_to_kind(Kind::Float)?, bias.f_to_kind(Kind::Float)?))
}

/// The same tensor with its channels innermost in memory.
pub(crate) fn channels_last(tensor: &Tensor) -> Result<Tensor> {
    Ok(tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?)
}
