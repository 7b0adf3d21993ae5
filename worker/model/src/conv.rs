//! A convolution and its batch norm, in the memory order that its home wants. To predict, the
//! norm is folded into the convolution.

use swath_proto::train::BatchNorm;
use tch::{Kind, Tensor};

use crate::{
    error::Result,
    network::{Home, Layers, Pass},
    winograd::{self, Kept, Plain},
};

/// torchvision's.
const BATCH_NORM_EPSILON: f64 = 1e-5;
const BATCH_NORM_MOMENTUM: f64 = 0.1;

/// What a convolution is called and how large it is.
pub(crate) struct Spec<'a> {
    pub(crate) name: &'a str,
    pub(crate) then: Then<'a>,
    pub(crate) channels: (i64, i64),
    pub(crate) kernel: i64,
    pub(crate) stride: i64,
    pub(crate) dilation: i64,
    /// Channels that it takes are split into so many groups, each for as many of those that it gives.
    pub(crate) groups: i64,
}

/// What is done to what a convolution has multiplied.
#[derive(Clone, Copy)]
pub(crate) enum Then<'a> {
    /// By the batch norm of this name.
    Norm(&'a str),
    Bias,
    Nothing,
}

impl<'a> Spec<'a> {
    pub(crate) const fn new(name: &'a str, then: Then<'a>, channels: (i64, i64), kernel: i64) -> Self {
        Self { name, then, channels, kernel, stride: 1, dilation: 1, groups: 1 }
    }
}

pub(crate) struct Conv {
    /// Channels that it gives, channels that each of them takes, height and width of the kernel.
    pub(crate) weight: Tensor,
    pub(crate) bias: Option<Tensor>,
    pub(crate) norm: Option<Norm>,
    pub(crate) stride: i64,
    pub(crate) dilation: i64,
    pub(crate) padding: i64,
    pub(crate) groups: i64,
    /// None where the weight changes.
    kept: Option<Kept>,
}

pub(crate) struct Norm {
    pub(crate) gamma: Tensor,
    pub(crate) beta: Tensor,
    /// Over time.
    pub(crate) mean: Tensor,
    pub(crate) variance: Tensor,
}

impl Conv {
    pub(crate) fn load(layers: &mut Layers<'_>, spec: &Spec<'_>) -> Result<Self> {
        let Spec { name, then, channels: (from, to), kernel, stride, dilation, groups } = *spec;
        let weight = layers.parameter(format!("{name}.weight"), &[to, from / groups, kernel, kernel])?;
        let padding = dilation * (kernel / 2);
        let mut conv = Self { weight, bias: None, norm: None, stride, dilation, padding, groups, kept: None };
        match then {
            Then::Nothing => {}
            Then::Bias => conv.bias = Some(layers.parameter(format!("{name}.bias"), &[to])?),
            Then::Norm(norm) => {
                conv.norm = Some(Norm {
                    gamma: layers.parameter(format!("{norm}.weight"), &[to])?,
                    beta: layers.parameter(format!("{norm}.bias"), &[to])?,
                    mean: layers.statistic(format!("{norm}.running_mean"), &[to])?,
                    variance: layers.statistic(format!("{norm}.running_var"), &[to])?,
                });
            }
        }
        if layers.learnt.is_none() { conv.folded(layers.home)?.moved(layers.home) } else { Ok(conv) }
    }

    /// Batch norm in evaluation is a scale and a shift a channel; both go into the convolution. In
    /// doubles, so that folding costs no more than one rounding.
    fn folded(mut self, home: Home) -> Result<Self> {
        let Some(Norm { gamma, beta, mean, variance }) = self.norm.take() else { return Ok(self) };
        let double = |tensor: &Tensor| tensor.f_to_kind(Kind::Double);
        let deviation = double(&variance)?.f_add_scalar(BATCH_NORM_EPSILON)?.f_sqrt()?;
        let scale = double(&gamma)?.f_div(&deviation)?;
        let weight = double(&self.weight)?.f_mul(&scale.f_view([-1, 1, 1, 1])?)?;
        let bias = double(&beta)?.f_sub(&double(&mean)?.f_mul(&scale)?)?;
        self.weight = home.order(weight.f_to_kind(Kind::Float)?)?;
        self.bias = Some(bias.f_to_kind(Kind::Float)?);
        Ok(self)
    }

    /// Once, so that passes move nothing but images.
    fn moved(mut self, home: Home) -> Result<Self> {
        self.weight = home.take(&self.weight)?;
        self.bias = self.bias.as_ref().map(|bias| home.take(bias)).transpose()?;
        self.kept = Some(Kept::default());
        Ok(self)
    }

    pub(crate) fn forward(&self, input: &Tensor, pass: Pass<'_>) -> Result<Tensor> {
        let output = self.multiplied(input, false)?;
        let Some(norm) = &self.norm else { return Ok(output) };
        let (momentum, epsilon) = (BATCH_NORM_MOMENTUM, BATCH_NORM_EPSILON);
        // What does not learn goes by what it knows.
        let pass = if norm.gamma.requires_grad() { pass } else { Pass::Predict };
        if let Pass::Learn(BatchNorm::Batch, gang) = pass
            && let Some(output) = gang.norm(&output, norm, (momentum, epsilon))?
        {
            return Ok(output);
        }
        let Norm { gamma, beta, mean, variance } = norm;
        let [gamma, beta, mean, variance] = [gamma, beta, mean, variance].map(Some);
        let learn = matches!(pass, Pass::Learn(BatchNorm::Batch | BatchNorm::Local, _));
        Ok(output.f_batch_norm(gamma, beta, mean, variance, learn, momentum, epsilon, false)?)
    }

    /// What is below zero becomes zero.
    pub(crate) fn forward_relu(&self, input: &Tensor, pass: Pass<'_>) -> Result<Tensor> {
        // What only predicts has its norm folded away.
        if self.kept.is_some() {
            self.multiplied(input, true)
        } else {
            Ok(self.forward(input, pass)?.f_relu_()?)
        }
    }

    fn multiplied(&self, input: &Tensor, relu: bool) -> Result<Tensor> {
        let Self { weight, stride, dilation, padding, groups, .. } = self;
        let bias = self.bias.as_ref();
        let is_plain = (*stride, *groups) == (1, 1) && padding == dilation;
        let plain = Plain { weight, bias, dilation: *dilation, relu };
        if is_plain && let Some(output) = winograd::conv(input, &plain, self.kept.as_ref())? {
            return Ok(output);
        }
        let [stride, padding, dilation] = [stride, padding, dilation].map(|n| [*n; 2]);
        let mut output = input.f_conv2d(weight, bias, stride, padding, dilation, *groups)?;
        Ok(if relu { output.f_relu_()? } else { output })
    }
}
