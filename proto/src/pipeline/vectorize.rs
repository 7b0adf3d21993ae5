//! `[vectorize]`: from class rasters to polygons.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Path, check::Check, classes, classes::ClassEntry};

/// From class rasters to polygons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct VectorizeEntry {
    /// Classes that become polygons; all but the null class where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub classes: Option<Vec<String>>,
    /// What is narrower is taken away first; 0 keeps all.
    #[schemars(range(min = 0, max = 256))]
    pub denoise_px: u32,
    /// Smaller polygons are dropped.
    #[schemars(range(min = 0))]
    pub min_area_m2: f64,
    /// Corners may move this far, so that there are fewer of them; 0 keeps the outline of pixels.
    #[schemars(range(min = 0, max = 256))]
    pub simplify_px: f64,
    /// Buildings: outlines get right angles where that moves them no farther than so many pixels; 0 leaves them.
    /// 2 suits pixels that are small against a building.
    #[schemars(range(min = 0, max = 256))]
    pub square_px: f64,
    /// The files to write.
    #[schemars(length(min = 1), extend("uniqueItems" = true))]
    pub formats: Vec<VectorFormat>,
}

impl Default for VectorizeEntry {
    fn default() -> Self {
        Self {
            classes: None,
            denoise_px: 8,
            min_area_m2: 0.0,
            simplify_px: 0.0,
            square_px: 0.0,
            formats: vec![VectorFormat::Geojson],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VectorFormat {
    /// In EPSG:4326.
    Geojson,
    /// In longitude and latitude too, and much smaller.
    Geoparquet,
}

impl VectorizeEntry {
    pub(super) fn check(&self, list: &[ClassEntry], check: &mut Check<'_>) {
        for (at, class) in self.classes.iter().flatten().enumerate() {
            let path = Path::from("vectorize.classes").index(at);
            classes::known(class, path.clone(), list, check);
            if list.iter().any(|known| known.null && known.name == *class) {
                check.wrong(path, "is the null class, which has no polygons");
            }
        }
    }
}
