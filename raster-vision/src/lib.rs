//! What Raster Vision 0.31 has written, as Swath has it: a pipeline's JSON becomes a pipeline file, a model bundle a
//! bundle. What has no counterpart, or means something else here, is told key by key. Nothing here performs IO, and
//! nothing in a file is run: weights are read as [`swath_weights`] reads them.
//!
//! Read [`pipeline()`] first: it puts together what `classes`, `scenes`, `learning` and `windows` say. Each takes keys out
//! of objects that tell of what nobody has taken (`told`). [`bundle()`] reads the same configuration for a network
//! that has learnt already.

mod bundle;
mod classes;
mod color;
mod learning;
mod pipeline;
mod pixels;
mod scenes;
mod told;
mod windows;
mod written;

pub use crate::{
    bundle::{Bundle, BundleError, bundle},
    pipeline::{Imported, pipeline},
    told::{Bad, Note},
};

/// The entry for fuzzers: reads a pipeline, and says whether it is one. What it becomes is TOML.
pub fn fuzz(json: &[u8]) -> bool {
    match pipeline(json, Some(swath_proto::item::Architecture::UnetResnet18)) {
        Ok(imported) => {
            assert!(imported.text.parse::<toml::Table>().is_ok(), "{}", imported.text);
            imported.notes.iter().for_each(|note| drop(note.to_string()));
            true
        }
        Err(error) => {
            drop(error.to_string());
            false
        }
    }
}
