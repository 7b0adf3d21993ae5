//! Tensors by name: from a file, every one checked; drawn from a seed; or partly one and partly the
//! other.

mod file;
mod part;
mod seeded;
mod segmentation_models;

use tch::Tensor;

use crate::error::Result;

pub(crate) use file::File;
pub(crate) use part::{Backbone, FreshHead};
pub(crate) use seeded::{Seeded, Stream};

/// Where a network takes its tensors from.
pub(crate) trait Weights {
    /// The elements of a tensor of this shape, row by row.
    fn take(&mut self, name: &str, shape: &[i64]) -> Result<Vec<f32>>;
    /// Called at the end: nothing may be left over.
    fn finish(&mut self) -> Result<()>;
}

pub(crate) fn tensor(values: &[f32], shape: &[i64]) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(values)?.f_reshape(shape)?)
}

/// The elements of a tensor, row by row.
pub(crate) fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    values_into(tensor, &mut values)?;
    Ok(values)
}

/// The same in memory that is there: what it held is gone.
pub(crate) fn values_into(tensor: &Tensor, into: &mut Vec<f32>) -> Result<()> {
    let n = tensor.numel();
    into.resize(n, 0.0);
    Ok(tch::no_grad(|| tensor.f_contiguous()?.f_view([-1])?.f_copy_data(into, n))?)
}
