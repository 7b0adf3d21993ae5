//! Which polygons are drawn of a prediction.

use serde::{Deserialize, Serialize};

use crate::{finished::FinishedFile, geometry::SizePx, ids::SceneId, item::Place, scene::Georeference};

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
    /// How far an outline may move to get right angles; 0 leaves it.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub square_px: f64,
    pub formats: Vec<VectorFormat>,
}

fn is_nothing(px: &f64) -> bool {
    *px == 0.0
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

/// What a merge item is given: the scenes that have a prediction, in the order of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeInputs {
    pub scenes: Vec<MergeScene>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergeScene {
    pub id: SceneId,
    pub size: SizePx,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub georeference: Option<Georeference>,
    /// Key of the class raster, and of the scores where there are any.
    pub prediction: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<String>,
    /// The item that makes them, should they be gone.
    pub producer: Place,
}

/// Output of a merge item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Merged {
    #[serde(rename = "1")]
    V1 {
        files: Vec<FinishedFile>,
        polygons: u64,
        /// Scenes that were traced as one, each list a raster of its own. A scene by itself touches no other on
        /// the same grid of pixels, so that its polygons are what they are without merging.
        mosaics: Vec<Vec<SceneId>>,
        /// Scenes whose images do not say where they lie.
        left_out: Vec<SceneId>,
    },
}
