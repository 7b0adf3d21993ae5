//! Rasters behind a seam of plain data. The only crate that names GDAL.
//!
//! `source` reads a scene's pixels through `raster`, which opens one file and reads it in `parts`: they come as a
//! `block`. `mosaic` joins several files, `missing` finds what is not there, `scale` makes of pixels what networks take,
//! `analyze` measures them. `reduced` reads a whole file into a small picture, and [`picture`] shows people what it holds.
//! [`remote`] says how files in buckets are asked for.
//! [`labels`] turns polygons and rasters into classes, and polygons into areas of interest. `georeference` carries
//! coordinate systems over to files that GDAL does not write, [`place`] puts polygons on the ground, `writer`
//! and [`synth`] write.

mod affine;
mod analyze;
mod block;
mod error;
mod geojson;
mod georeference;
pub mod labels;
mod missing;
mod mosaic;
mod parts;
pub mod picture;
mod pixels;
pub mod place;
mod raster;
mod reduced;
pub mod remote;
mod scale;
mod settings;
mod source;
pub mod synth;
mod text;
mod writer;

pub use analyze::{analyze, statistics};
pub use block::{Block, Mask, Scaled, Valid};
pub use error::{Kind, RasterError, Result};
pub use georeference::geo_tags;
pub use labels::{Aoi, Coverage, Labels};
pub use pixels::Pixels;
pub use raster::Raster;
pub use reduced::Reduction;
pub use scale::Scaler;
pub use settings::{Settings, configure, version};
pub use source::Source;
pub use writer::{Layout, Writer};
