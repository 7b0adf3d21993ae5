//! Networks behind a seam of plain data: windows of floats go in, logits come out. The only crate
//! that names tch; it builds without GDAL.
//!
//! Read [`predictor`] first. [`weights`] gives tensors by name, from a file or a seed; [`conv`] folds
//! batch norms away; [`tiny`], [`unet`] and [`torchscript`] are the networks.

mod conv;
#[cfg(test)]
mod determinism;
mod engine;
mod error;
mod predictor;
mod process;
#[cfg(test)]
mod reference;
mod tiny;
mod torchscript;
mod unet;
mod weights;

pub use engine::engine;
pub use error::{Kind, ModelError, Result};
pub use predictor::{Predictor, load};
pub use process::init_process;
