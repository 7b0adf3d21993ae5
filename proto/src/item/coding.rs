//! How the files of a prediction are written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How tiles are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// As all that reads TIFF knows it.
    #[default]
    Deflate,
    /// Packed and unpacked in less time; for GDAL, QGIS and rasterio, not for every viewer.
    Zstd,
}

impl Compression {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
