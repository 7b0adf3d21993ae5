//! A convolution and its batch norm, in the memory order that its home wants. To predict, the
//! norm is folded into the convolution.

use swath_proto::train::BatchNorm;
use tch::Tensor;

use crate::{
    error::Result,
    network::{Layers, Pass},
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

    /// What its weight is called.
    fn called(&self) -> String {
        format!("{}.weight", self.name)
    }

    /// Of its weight.
    const fn shape(&self) -> [i64; 4] {
        let (from, to) = self.channels;
        [to, from / self.groups, self.kernel, self.kernel]
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
        if layers.learnt.is_some() { Self::learning(layers, spec) } else { Self::predicting(layers, spec) }
    }

    /// Its norm is folded away.
    fn predicting(layers: &mut Layers<'_>, spec: &Spec<'_>) -> Result<Self> {
        let Spec { name, then, channels: (_, to), .. } = *spec;
        let mut kernels = layers.weights.take(&spec.called(), &spec.shape())?;
        let mut take = |name: String| layers.weights.take(&name, &[to]);
        let bias = match then {
            Then::Nothing => None,
            Then::Bias => Some(take(format!("{name}.bias"))?),
            Then::Norm(norm) => {
                let (gamma, beta) = (take(format!("{norm}.weight"))?, take(format!("{norm}.bias"))?);
                let mean = take(format!("{norm}.running_mean"))?;
                let variance = take(format!("{norm}.running_var"))?;
                Some(fold([&gamma, &beta, &mean, &variance], &mut kernels))
            }
        };
        let bias = bias.map(|bias| layers.home.tensor(&bias, &[to])).transpose()?;
        let weight = layers.home.tensor(&kernels, &spec.shape())?;
        Ok(Self { bias, kept: Some(Kept::default()), ..Self::bare(spec, weight) })
    }

    fn learning(layers: &mut Layers<'_>, spec: &Spec<'_>) -> Result<Self> {
        let Spec { name, then, channels: (_, to), .. } = *spec;
        let mut conv = Self::bare(spec, layers.parameter(spec.called(), &spec.shape())?);
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
        Ok(conv)
    }

    fn bare(&Spec { kernel, stride, dilation, groups, .. }: &Spec<'_>, weight: Tensor) -> Self {
        let padding = dilation * (kernel / 2);
        Self { weight, bias: None, norm: None, stride, dilation, padding, groups, kept: None }
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

/// A batch norm that predicts is a scale and a shift a channel: kernels are multiplied by the one, and the other is their
/// bias. In doubles, so that it costs one rounding.
fn fold([gamma, beta, mean, variance]: [&[f32]; 4], kernels: &mut [f32]) -> Vec<f32> {
    let each = kernels.len() / gamma.len().max(1);
    let fold = |channel: usize| {
        let deviation = (f64::from(variance[channel]) + BATCH_NORM_EPSILON).sqrt();
        let scale = f64::from(gamma[channel]) / deviation;
        let kernel = &mut kernels[channel * each..(channel + 1) * each];
        kernel.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * scale) as f32);
        (f64::from(beta[channel]) - f64::from(mean[channel]) * scale) as f32
    };
    (0..gamma.len()).map(fold).collect()
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::*;
    use crate::weights::{Stream, values};

    /// A run that an older program began goes on with this one: what is folded has the bits that libtorch gave in doubles.
    #[test]
    fn a_norm_is_folded_as_libtorch_would_in_doubles() {
        let (channels, each) = (3000, 18);
        let mut stream = Stream::new(5, "fold");
        let mut drawn = |n: usize, low: f32, high: f32| -> Vec<f32> {
            (0..n).map(|_| low + stream.uniform() * (high - low)).collect()
        };
        let [gamma, beta, mean] = [(); 3].map(|()| drawn(channels, -3.0, 3.0));
        let variance: Vec<f32> =
            drawn(channels, -12.0, 6.0).iter().map(|power| 10_f32.powf(*power)).collect();
        let kernels = drawn(channels * each, -0.5, 0.5);
        let double = |values: &[f32]| Tensor::from_slice(values).to_kind(Kind::Double);
        let scale = double(&gamma) / (double(&variance) + BATCH_NORM_EPSILON).sqrt();
        let scaled = double(&kernels).view([-1, each as i64]) * scale.view([-1, 1]);
        let shift = double(&beta) - double(&mean) * scale;
        let bits = |tensor: &Tensor| {
            let values = values(&tensor.to_kind(Kind::Float)).unwrap();
            values.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let mut folded = kernels;
        let bias = fold([&gamma, &beta, &mean, &variance], &mut folded);
        assert!(folded.into_iter().map(f32::to_bits).eq(bits(&scaled)));
        assert!(bias.into_iter().map(f32::to_bits).eq(bits(&shift)));
    }
}
