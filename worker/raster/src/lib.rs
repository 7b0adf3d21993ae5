//! Rasters behind a seam of plain data. The only crate that names GDAL.
//!
//! [`raster`] opens and reads, [`labels`] turns polygons into classes, [`georeference`] carries
//! coordinate systems over to files that GDAL does not write, [`writer`] and [`synth`] write.

mod error;
mod geojson;
mod georeference;
pub mod labels;
mod raster;
mod settings;
pub mod synth;
mod writer;

pub use error::{Kind, RasterError, Result};
pub use georeference::geo_tags;
pub use raster::{Pixels, Raster};
pub use settings::{Settings, configure, version};
pub use writer::{Layout, Writer};
