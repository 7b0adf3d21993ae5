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
    fn take(&mut self, name: &str, shape: &[i64]) -> Result<Tensor>;
    /// Called at the end: nothing may be left over.
    fn finish(&mut self) -> Result<()>;
}

fn tensor(values: &[f32], shape: &[i64]) -> Result<Tensor> {
    Ok(Tensor::f_from_slice(values)?.f_reshape(shape)?)
}
