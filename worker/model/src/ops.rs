//! What networks are made of. A network says once what it computes; whoever implements [`Ops`] decides what comes
//! of that: numbers at once ([`crate::torch`]), the ranges of numbers ([`crate::ranges`]), or a file for another engine
//! ([`crate::onnx`]).

use crate::{conv::Conv, error::Result, group_norm::GroupNorm};

/// Images of four dimensions: n, channels, height, width.
pub(crate) trait Ops {
    type Value;

    fn conv(&mut self, conv: &Conv, input: &Self::Value) -> Result<Self::Value>;
    fn group_norm(&mut self, norm: &GroupNorm, input: &Self::Value) -> Result<Self::Value>;
    fn relu(&mut self, input: Self::Value) -> Result<Self::Value>;
    fn add(&mut self, left: Self::Value, right: &Self::Value) -> Result<Self::Value>;
    fn concat(&mut self, parts: &[&Self::Value]) -> Result<Self::Value>;
    /// The largest of 3 x 3, at every other pixel.
    fn max_pool(&mut self, input: &Self::Value) -> Result<Self::Value>;
    /// Every pixel becomes 2 x 2.
    fn double(&mut self, input: &Self::Value) -> Result<Self::Value>;
    /// One pixel: the mean of all.
    fn mean(&mut self, input: &Self::Value) -> Result<Self::Value>;
    /// That one pixel, as often as `like` has pixels.
    fn spread(&mut self, pixel: &Self::Value, like: &Self::Value) -> Result<Self::Value>;
    /// Bilinear, as many times as wide and as high; what is at the corners stays there.
    fn enlarge(&mut self, input: &Self::Value, times: i64) -> Result<Self::Value>;
    /// Bilinear, to the size of `like`; pixels are squares, and the outermost edges stay where they are.
    fn resize(&mut self, input: &Self::Value, like: &Self::Value) -> Result<Self::Value>;
    /// Drops half of what it is given, where a network learns.
    fn dropout(&mut self, input: Self::Value) -> Result<Self::Value>;
    /// Drops every fifth channel or so of an image, where a network learns.
    fn drop_channels(&mut self, input: Self::Value) -> Result<Self::Value>;

    fn conv_relu(&mut self, conv: &Conv, input: &Self::Value) -> Result<Self::Value> {
        let output = self.conv(conv, input)?;
        self.relu(output)
    }
}

/// A network whose layers are known here.
pub(crate) trait Layered {
    /// From images to logits.
    fn pass<O: Ops>(&self, ops: &mut O, input: &O::Value) -> Result<O::Value>;
}
