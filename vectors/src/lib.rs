//! Polygons become files: GeoJSON and GeoParquet, feature by feature and in little memory, however
//! many there are.
//!
//! A writer takes a [`Feature`], refuses it whole if it is not fit to be read ([`feature`]), and
//! ends the file in `finish`; without that the file stays broken, so that none is taken for whole.
//! The same features in the same order give the same bytes. `docs/vectors.md` describes the files.

mod error;
pub mod feature;
mod geojson;
mod geoparquet;
mod metadata;
mod wkb;

pub use error::{Result, WriteError};
pub use feature::{AreaUnit, BadFeature, Feature};
pub use geojson::GeoJson;
pub use geoparquet::GeoParquet;
pub use metadata::Crs;
