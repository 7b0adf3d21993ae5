//! A trained model in one file: a zip of its weights and of all that is to be known to predict with
//! them. `docs/bundle-format.md` is the format.
//!
//! Read in this order: [`Model`] is what a bundle says, [`write()`] makes one, [`Bundle`] is one that has
//! been opened and holds what it promises. Bundles come from others: nothing in one is believed before it
//! is checked, nothing is unpacked, and no name in it becomes a path.

mod document;
mod error;
mod fuzz;
mod model;
mod read;
mod write;

pub use crate::{
    error::{BundleError, Problem},
    fuzz::fuzz,
    model::{Int8, Model, Summary},
    read::Bundle,
    write::write,
};

const DOCUMENT: &str = "bundle.json";
const WEIGHTS: &str = "weights.safetensors";
const EVAL: &str = "eval.json";

/// Each an order of magnitude above what models of ours have.
mod limits {
    use swath_zip::Limits;

    /// Three are allowed; a few more are named one by one.
    pub(crate) const ZIP: Limits = Limits { members: 100, directory_len: 1 << 16 };
    pub(crate) const MAX_DOCUMENT_LEN: u64 = 1 << 20;
    pub(crate) const MAX_WEIGHTS_LEN: u64 = 3 << 30;
    pub(crate) const MAX_EVAL_LEN: u64 = 64 << 20;
}
