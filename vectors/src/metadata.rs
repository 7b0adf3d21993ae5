//! What makes a Parquet file a GeoParquet file: the words under the key `geo` in its footer.

use serde::Serialize;
use serde_json::Value;

use crate::feature::Bounds;

/// The coordinate reference system of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Crs {
    /// OGC:CRS84, which is what GeoParquet means where none is named.
    LonLat,
    /// PROJJSON.
    Named(Value),
    /// Known to be unknown.
    Unknown,
}

#[derive(Serialize)]
struct File<'a> {
    version: &'static str,
    primary_column: &'static str,
    columns: Columns<'a>,
}

#[derive(Serialize)]
struct Columns<'a> {
    geometry: Geometry<'a>,
}

#[derive(Serialize)]
struct Geometry<'a> {
    encoding: &'static str,
    geometry_types: [&'static str; 1],
    /// An absent one is OGC:CRS84, a null one is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    crs: Option<Option<&'a Value>>,
    edges: &'static str,
    orientation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bbox: Option<[f64; 4]>,
    covering: Covering,
}

#[derive(Serialize)]
struct Covering {
    bbox: Paths,
}

#[derive(Serialize)]
struct Paths {
    xmin: [&'static str; 2],
    ymin: [&'static str; 2],
    xmax: [&'static str; 2],
    ymax: [&'static str; 2],
}

pub(crate) fn geo(crs: &Crs, bounds: Option<Bounds>) -> serde_json::Result<String> {
    let crs = match crs {
        Crs::LonLat => None,
        Crs::Named(projjson) => Some(Some(projjson)),
        Crs::Unknown => Some(None),
    };
    let covering = Covering {
        bbox: Paths {
            xmin: ["bbox", "xmin"],
            ymin: ["bbox", "ymin"],
            xmax: ["bbox", "xmax"],
            ymax: ["bbox", "ymax"],
        },
    };
    let geometry = Geometry {
        encoding: "WKB",
        geometry_types: ["Polygon"],
        crs,
        edges: "planar",
        orientation: "counterclockwise",
        bbox: bounds.map(|bounds| bounds.corners()),
        covering,
    };
    serde_json::to_string(&File {
        version: "1.1.0",
        primary_column: "geometry",
        columns: Columns { geometry },
    })
}
