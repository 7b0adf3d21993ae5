//! GeoJSON as it is drawn for a scene, by its pixels.

use serde_json::{Value, json};

use crate::CORNER;

pub(crate) fn collection(features: Vec<Value>) -> String {
    json!({"type": "FeatureCollection", "features": features}).to_string()
}

pub(crate) fn feature(properties: Value, geometry: Value) -> Value {
    json!({"type": "Feature", "properties": properties, "geometry": geometry})
}

pub(crate) fn in_metres(text: &str) -> String {
    text.replacen('{', r#"{"crs":{"type":"name","properties":{"name":"EPSG:32633"}},"#, 1)
}

/// From pixels to the metres of the scene.
pub(crate) fn metres(points: &[[f64; 2]]) -> Value {
    points.iter().map(|[col, row]| json!([CORNER[0] + col * 0.5, CORNER[1] - row * 0.5])).collect()
}

pub(crate) fn square(col: f64, row: f64, edge: f64) -> Value {
    let ring = [[col, row], [col + edge, row], [col + edge, row + edge], [col, row + edge], [col, row]];
    json!({"type": "Polygon", "coordinates": [metres(&ring)]})
}
