//! Model weights from files that others made: named tensors of safetensors files and of PyTorch's
//! state dicts, read without running anything that is in them.
//!
//! ```text
//! file        a file of any format, told by its content  ->  named tensors
//!   safetensors   header and ranges; writing
//!   torch         zip archives since 1.6, streams before; a pickle that may only name what is listed
//! view        a tensor within its file: range, shape, strides  ->  contiguous elements
//! imagenet    files that torchvision publishes, and their hashes
//! ```
//!
//! A file's tensors are ranges of the file until they are asked for. All numbers in it are taken for
//! hostile: bounds are checked before anything is allocated, and what a tensor takes in memory is never
//! more than what its file takes on disk.

mod dtype;
mod error;
mod file;
mod fuzz;
pub mod imagenet;
mod limits;
mod safetensors;
mod torch;
mod view;

pub use crate::{
    dtype::Dtype,
    error::{Problem, WeightsError},
    file::{TensorFile, TensorInfo, open},
    fuzz::fuzz,
    safetensors::{safetensors_bytes, write_safetensors},
};
