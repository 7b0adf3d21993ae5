//! A scene's results.

use serde_json::{Map, Value, json};
use swath_proto::{
    footprint::Footprint,
    item::{ClassStyle, Weights},
    keys,
    run::RunRecord,
    scene::SceneHeader,
};

use crate::{
    VERSION,
    asset::{COG, File, checksum, classes, polygons},
    collection::Entry,
    extensions::{CLASSIFICATION, FILE, PROCESSING, PROJECTION, RASTER},
    link::{self, GEOJSON, JSON, link},
    place,
};

/// Of the folder of items: `stac/<run>/items/`.
const DEPTH: usize = 3;

/// What is known of a scene that was predicted.
pub struct Scene<'a> {
    pub header: &'a SceneHeader,
    pub footprint: &'a Footprint,
    pub classes: File,
    pub scores: Option<File>,
    pub confidence: Option<File>,
    pub polygons: Vec<File>,
    /// It counts in the run's `eval.json`.
    pub is_evaluated: bool,
    /// The run's bundle has an Item.
    pub has_model: bool,
}

/// The document, and what a collection says of it.
pub fn item(record: &RunRecord, scene: &Scene<'_>) -> (Value, Entry) {
    let id = scene.header.id.as_str();
    let place = place::of(scene.footprint);
    let mut properties = Map::new();
    // Headers do not say when an image was taken, and this is the same whoever asks.
    properties.insert("datetime".into(), record.created.as_str().into());
    properties.insert("created".into(), record.created.as_str().into());
    properties.insert("processing:software".into(), json!({"swath": record.program}));
    properties.insert("proj:code".into(), scene.footprint.code.as_deref().into());
    if let Some(projjson) = &scene.footprint.projjson {
        properties.insert("proj:projjson".into(), projjson.clone());
    }
    let mut item = json!({
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": [CLASSIFICATION, FILE, PROCESSING, PROJECTION, RASTER],
        "id": id,
        "geometry": place.as_ref().map(|(geometry, _)| geometry),
        "properties": properties,
        "links": links(record, scene),
        "assets": assets(record, scene),
        "collection": record.run,
    });
    let bbox = place.map(|(_, bbox)| bbox);
    if let Some(bbox) = bbox {
        item["bbox"] = json!(bbox);
    }
    (item, Entry { scene: scene.header.id.clone(), bbox })
}

fn links(record: &RunRecord, scene: &Scene<'_>) -> Vec<Value> {
    let mut links: Vec<Value> =
        ["root", "parent", "collection"].map(|rel| link(rel, "../collection.json", JSON)).into();
    for file in &scene.header.source.files {
        links.push(json!({"rel": "derived_from", "href": link::outside(&file.uri)}));
    }
    if scene.has_model {
        links.push(link("derived_from", "../model.json", GEOJSON));
    }
    for network in record.predict.model.networks() {
        if let (Weights::File { sha256, .. }, Some(key)) = (&network.weights, keys::model(&network.weights)) {
            // Named by its content.
            links.push(json!({
                "rel": "derived_from", "href": link::up(DEPTH, &key), "file:checksum": checksum(sha256)
            }));
        }
    }
    links
}

fn assets(record: &RunRecord, scene: &Scene<'_>) -> Map<String, Value> {
    let mut assets = Map::new();
    let mut classes_asset = raster(scene, &scene.classes, "Classes");
    let mut band = json!({"name": "class", "data_type": "uint8"});
    if let Some(nodata) = record.predict.nodata {
        band["nodata"] = nodata.into();
    }
    classes_asset.insert("bands".into(), json!([band]));
    // Here and not at the band: where readers, and the extension's own schema, look for them.
    classes_asset.insert("classification:classes".into(), classes(&record.classes));
    classes_asset.insert("raster:bands".into(), json!([{"data_type": "uint8", "sampling": "area"}]));
    assets.insert("classes".into(), classes_asset.into());
    if let Some(scores) = &scene.scores {
        let mut asset = raster(scene, scores, "Scores of the classes");
        let bands: Vec<Value> = record.classes.iter().map(score_band).collect();
        asset.insert("bands".into(), bands.into());
        asset.insert("raster:bands".into(), vec![scaled(); record.classes.len()].into());
        assets.insert("scores".into(), asset.into());
    }
    if let Some(confidence) = &scene.confidence {
        let mut asset = raster(scene, confidence, "How sure the class is");
        asset.insert("bands".into(), json!([{"name": "confidence", "data_type": "uint8", "nodata": 0}]));
        asset.insert("raster:bands".into(), json!([scaled()]));
        assets.insert("confidence".into(), asset.into());
    }
    assets.extend(polygons(&scene.polygons, DEPTH, "Polygons of the classes"));
    if scene.is_evaluated {
        // Of all scenes together: it changes when one of them comes late, and this Item need not know.
        let file = File { key: keys::eval(&record.run), bytes: None, sha256: None };
        assets.insert("eval".into(), file.asset(DEPTH, "Scores of the run", JSON, "metadata").into());
    }
    assets
}

/// 255 is certain.
fn scaled() -> Value {
    json!({"data_type": "uint8", "sampling": "area", "scale": 1.0 / 255.0, "offset": 0.0})
}

fn score_band(ClassStyle { name, .. }: &ClassStyle) -> Value {
    json!({
        "name": name,
        "description": format!("How sure the network is of {name}, from 0 to 1"),
        "data_type": "uint8",
    })
}

/// A raster on the grid of the scene's own pixels.
fn raster(scene: &Scene<'_>, file: &File, title: &str) -> Map<String, Value> {
    let mut asset = file.asset(DEPTH, title, COG, "data");
    let size = scene.header.size;
    asset.insert("proj:shape".into(), json!([size.height, size.width]));
    if let Some(georeference) = &scene.header.georeference {
        let t = georeference.crs_from_pixel;
        // The order is an affine matrix's, row by row, and not GDAL's.
        asset.insert("proj:transform".into(), json!([t[1], t[2], t[0], t[4], t[5], t[3]]));
        let at = |col: u32, row: u32| {
            let (col, row) = (f64::from(col), f64::from(row));
            [t[0] + col * t[1] + row * t[2], t[3] + col * t[4] + row * t[5]]
        };
        let corners = [at(0, 0), at(size.width, 0), at(0, size.height), at(size.width, size.height)];
        let least = |axis: usize| corners.iter().map(|at| at[axis]).fold(f64::INFINITY, f64::min);
        let most = |axis: usize| corners.iter().map(|at| at[axis]).fold(f64::NEG_INFINITY, f64::max);
        asset.insert("proj:bbox".into(), json!([least(0), least(1), most(0), most(1)]));
    }
    asset
}
