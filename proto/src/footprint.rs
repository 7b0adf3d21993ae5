//! Where a scene lies on the globe, found by a worker: the coordinator knows no coordinate systems, and
//! catalogues want to be told.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Footprint {
    /// The scene's outline: longitude and latitude in billionths of a degree, counter-clockwise; the first position is not
    /// repeated. Across the antimeridian longitudes go on beyond 180 degrees. Empty where the scene has no such
    /// outline: it does not say where it lies, or lies around a pole. Whole numbers, since a note of them must be the same
    /// whoever reads it.
    pub ring: Vec<[i64; 2]>,
    /// `EPSG:32633` for instance, where the scene's coordinate reference system has such a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// PROJJSON of a coordinate reference system without a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub projjson: Option<serde_json::Value>,
}
