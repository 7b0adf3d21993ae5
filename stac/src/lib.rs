//! What a run has made, as a STAC catalogue: plain documents, made of what is known and of nothing else.
//! `docs/stac.md` says what is written where.
//!
//! Read in this order: an [`item()`] is a scene's results, the [`model()`] is the run's bundle, the
//! [`collection()`] links them. `place` cuts outlines at the antimeridian, `asset` describes files, `link`
//! leads from one document to others.
//!
//! [`read`] is for catalogues of others.
//!
//! STAC 1.1.0: in it bands are part of the core, and a class map's classes have a place there. What scores are
//! scaled by stands in `raster:bands` all the same, where readers of 1.0.0 look for it as well.

mod asset;
mod collection;
mod item;
mod link;
mod model;
mod place;
pub mod read;

pub use crate::{
    asset::File,
    collection::{Entry, collection},
    item::{Scene, item},
    model::{Packed, model},
};

const VERSION: &str = "1.1.0";

/// The extensions that documents here name.
mod extensions {
    pub(crate) const CLASSIFICATION: &str =
        "https://stac-extensions.github.io/classification/v2.0.0/schema.json";
    pub(crate) const FILE: &str = "https://stac-extensions.github.io/file/v2.1.0/schema.json";
    pub(crate) const MLM: &str = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json";
    pub(crate) const PROCESSING: &str = "https://stac-extensions.github.io/processing/v1.1.0/schema.json";
    pub(crate) const PROJECTION: &str = "https://stac-extensions.github.io/projection/v2.0.0/schema.json";
    pub(crate) const RASTER: &str = "https://stac-extensions.github.io/raster/v1.1.0/schema.json";
}
