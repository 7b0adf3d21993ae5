//! Which polygons are drawn of a prediction.

use serde::{Deserialize, Serialize};

use crate::finished::FinishedFile;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorPlan {
    /// Classes that are traced, by their numbers.
    pub classes: Vec<u8>,
    /// What is narrower than this is noise; 0 or 1 keeps everything.
    pub denoise_px: u32,
    /// Smaller polygons are left out.
    pub min_area_m2: f64,
    /// How far a simplified outline may lie from the traced one; 0 keeps every corner.
    pub tolerance_px: f64,
    pub formats: Vec<VectorFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VectorFormat {
    GeoJson,
    GeoParquet,
}

impl VectorFormat {
    pub const fn extension(self) -> &'static str {
        match self {
            Self::GeoJson => "geojson",
            Self::GeoParquet => "parquet",
        }
    }
}

/// Output of a vectorize item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Vectorized {
    #[serde(rename = "1")]
    V1 {
        files: Vec<String>,
        polygons: u64,
        /// The same files, and what is in them. Not said by versions before there were catalogues.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        written: Vec<FinishedFile>,
    },
}
