//! Networks behind a seam of plain data: windows of floats go in, logits come out, or losses. The only
//! crate that names tch or an engine; it builds without GDAL.
//!
//! Read [`predictor`] and [`learner`] first. [`network`] lists what there is: [`tiny`], and on a
//! [`resnet`] [`unet`], [`fpn`], [`deeplab`] and [`deeplab_plus`], each said once, in the words of [`ops`]. [`weights`]
//! gives them tensors by name, from a file or a seed; [`conv`] folds batch norms away for whoever only predicts. An
//! [`engine`] runs them, in [`batches`]:
//! [`torch`], on processors and on NVIDIA's cards, or [`openvino`], which takes them as [`onnx`] writes them down.
//! An [`ensemble`] is several as one; a [`resized`] one sees windows at another size; a [`gang`] are several processes that learn one network.

mod batches;
mod clock;
mod conv;
mod cpp;
mod deeplab;
mod deeplab_plus;
#[cfg(test)]
mod determinism;
mod engine;
mod ensemble;
mod error;
mod fpn;
mod gang;
mod group_norm;
mod learner;
mod network;
mod onnx;
mod openvino;
mod ops;
mod place;
mod predictor;
mod pyramid;
mod ranges;
#[cfg(test)]
mod reference;
mod resized;
mod resnet;
mod separable;
mod tiny;
mod torch;
mod unet;
mod weights;
mod winograd;

pub use clock::computing;
pub use error::{Kind, ModelError, Result};
pub use gang::{Carrier, Gang, Overlap, Patience, Reach, Store, SumsBy};
pub use learner::{Batch, Counts, Learner, Loss, Pixels, Scale, Setup, Snapshot, Start, likeliest};
pub use place::Place;
pub use predictor::{Files, Predictor, load, multiplications};
pub use ranges::{Calibration, Ranges};
pub use torch::{Rates, card, card_memory, init_process, rates};

/// All that can compute here, each opened, with its version; and the card, or why there is none: on most machines
/// that is nothing wrong.
pub fn engines() -> Result<Vec<String>> {
    // First: libtorch that was asked for its version finds no card any more.
    let card = card().unwrap_or_else(|why| why.to_string());
    Ok(vec![torch::engine(), openvino::engine()?, card])
}

/// A network of drawn weights for three bands and two classes.
#[cfg(test)]
fn drawn(
    architecture: swath_proto::item::Architecture,
    engine: swath_proto::item::EngineName,
) -> swath_proto::item::ModelRef {
    swath_proto::item::ModelRef {
        architecture,
        weights: swath_proto::item::Weights::Seed(5),
        bands: 3,
        classes: 2,
        seen_px: None,
        engine,
        precision: swath_proto::item::Precision::Fp32,
        device: swath_proto::item::DeviceName::Cpu,
        others: Vec::new(),
    }
}
