//! Computes what a network is made of at once, by libtorch.

use tch::Tensor;

use crate::{
    conv::Conv,
    error::Result,
    group_norm::GroupNorm,
    network::{Pass, channels_last},
    ops::Ops,
};

/// Of what dropout is given.
const DROPPED: f64 = 0.5;
const DROPPED_CHANNELS: f64 = 0.2;

pub(crate) struct Eager<'a> {
    pub(crate) pass: Pass<'a>,
}

impl Ops for Eager<'_> {
    type Value = Tensor;

    fn conv(&mut self, conv: &Conv, input: &Tensor) -> Result<Tensor> {
        conv.forward(input, self.pass)
    }

    fn conv_relu(&mut self, conv: &Conv, input: &Tensor) -> Result<Tensor> {
        conv.forward_relu(input, self.pass)
    }

    fn group_norm(&mut self, norm: &GroupNorm, input: &Tensor) -> Result<Tensor> {
        norm.forward(input)
    }

    fn relu(&mut self, mut input: Tensor) -> Result<Tensor> {
        Ok(input.f_relu_()?)
    }

    fn add(&mut self, mut left: Tensor, right: &Tensor) -> Result<Tensor> {
        Ok(left.f_add_(right)?)
    }

    fn concat(&mut self, parts: &[&Tensor]) -> Result<Tensor> {
        Ok(Tensor::f_cat(parts, 1)?)
    }

    fn max_pool(&mut self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)?)
    }

    fn double(&mut self, input: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = input.size4()?;
        Ok(input.f_upsample_nearest2d([height * 2, width * 2], None, None)?)
    }

    fn mean(&mut self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_adaptive_avg_pool2d([1, 1])?)
    }

    fn spread(&mut self, pixel: &Tensor, like: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = like.size4()?;
        channels_last(&pixel.f_expand([-1, -1, height, width], false)?)
    }

    fn enlarge(&mut self, input: &Tensor, times: i64) -> Result<Tensor> {
        let (_, _, height, width) = input.size4()?;
        Ok(input.f_upsample_bilinear2d([height * times, width * times], true, None, None)?)
    }

    fn resize(&mut self, input: &Tensor, like: &Tensor) -> Result<Tensor> {
        let (_, _, height, width) = like.size4()?;
        Ok(input.f_upsample_bilinear2d([height, width], false, None, None)?)
    }

    fn dropout(&mut self, input: Tensor) -> Result<Tensor> {
        Ok(input.f_dropout(DROPPED, matches!(self.pass, Pass::Learn(..)))?)
    }

    fn drop_channels(&mut self, input: Tensor) -> Result<Tensor> {
        Ok(input.f_feature_dropout(DROPPED_CHANNELS, matches!(self.pass, Pass::Learn(..)))?)
    }
}
