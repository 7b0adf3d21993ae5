//! Networks behind a seam of plain data: windows of floats go in, logits come out, or losses. The only
//! crate that names tch; it builds without GDAL.
//!
//! Read [`predictor`] and [`learner`] first. [`network`] lists what there is: [`tiny`], [`unet`] and
//! [`deeplab`] on a [`resnet`], [`torchscript`]. [`weights`] gives them tensors by name, from a file or
//! a seed; [`conv`] folds batch norms away for whoever only predicts; [`process`] and [`blocks`] say where memory
//! comes from.

mod blocks;
mod conv;
mod deeplab;
#[cfg(test)]
mod determinism;
mod engine;
mod error;
mod learner;
mod network;
mod predictor;
mod process;
#[cfg(test)]
mod reference;
mod resnet;
mod tiny;
mod torchscript;
mod unet;
mod weights;

pub use engine::engine;
pub use error::{Kind, ModelError, Result};
pub use learner::{Batch, Learner, Loss, Setup, Start};
pub use predictor::{Predictor, load};
pub use process::init_process;
