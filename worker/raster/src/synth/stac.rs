//! The catalogues of a look-alike, in STAC 0.8.1 as they were published: an item an image, and one for its labels.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use swath_synth::like::{Item, Tile, TileLabels};

use super::{
    like::{georeference, place},
    to_degrees,
};
use crate::error::{RasterError, Result};

const VERSION: &str = "0.8.1";

pub(super) fn write(folder: &Path, tiles: &[Tile]) -> Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    let mut keep = |path: &str, document: &Value| {
        let path = place(folder, path)?;
        std::fs::write(&path, format!("{document:#}\n"))
            .map_err(|error| RasterError::io(format!("writing {}", path.display()), error))?;
        written.push(path);
        Ok::<_, RasterError>(())
    };
    // By the folder of a catalogue or collection: the folders of its items, and what it is called.
    let mut items: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut collections: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (tile, item) in tiles.iter().filter_map(|tile| Some((tile, tile.item.as_ref()?))) {
        let Item { catalogue, collection, id } = item;
        let parent = match collection {
            Some(collection) => format!("{catalogue}/{collection}"),
            None => (*catalogue).to_owned(),
        };
        let of = collections.entry(catalogue).or_default();
        if let Some(collection) = collection.filter(|collection| !of.contains(collection)) {
            of.push(collection);
        }
        let outline = outline(folder, tile)?;
        let listed = items.entry(parent.clone()).or_default();
        listed.push(id.clone());
        keep(&format!("{parent}/{id}/{id}.json"), &image(item, &outline))?;
        if let Some(TileLabels::Outlines(_)) = &tile.labels {
            let labels = format!("{id}-labels");
            keep(&format!("{parent}/{labels}/{labels}.json"), &self::labels(item, &outline))?;
            listed.push(labels);
        }
    }
    for (catalogue, collections) in &collections {
        for collection in collections {
            let listed = items.remove(&format!("{catalogue}/{collection}")).unwrap_or_default();
            let document = json!({
                "id": collection, "stac_version": VERSION, "description": "a look-alike", "license": "CC-BY-4.0",
                "extent": { "spatial": { "bbox": [[-180, -90, 180, 90]] }, "temporal": { "interval": [[TIME, null]] } },
                "links": links("../catalog.json", &[], &listed),
            });
            keep(&format!("{catalogue}/{collection}/collection.json"), &document)?;
        }
        let listed = items.remove(*catalogue).unwrap_or_default();
        let document = json!({
            "id": catalogue, "stac_version": VERSION, "description": "a look-alike",
            "links": links("./catalog.json", collections, &listed),
        });
        keep(&format!("{catalogue}/catalog.json"), &document)?;
    }
    Ok(written)
}

const TIME: &str = "2019-01-01T00:00:00Z";

fn links(root: &str, collections: &[&str], items: &[String]) -> Value {
    let root = json!({ "rel": "root", "href": root });
    let child = |id: &&str| json!({ "rel": "child", "href": format!("./{id}/collection.json") });
    let item = |id: &String| json!({ "rel": "item", "href": format!("./{id}/{id}.json") });
    std::iter::once(root).chain(collections.iter().map(child)).chain(items.iter().map(item)).collect()
}

fn image(item: &Item, outline: &[[f64; 2]]) -> Value {
    let id = &item.id;
    let asset = json!({
        "href": format!("./{id}.tif"), "title": "GeoTIFF",
        "type": "image/tiff; application=geotiff; profile=cloud-optimized",
    });
    feature(item, id, outline, json!({ "datetime": TIME }), json!({ "image": asset }), Vec::new())
}

fn labels(item: &Item, outline: &[[f64; 2]]) -> Value {
    let id = &item.id;
    let asset = json!({ "href": format!("./{id}.geojson"), "type": "application/geo+json" });
    let properties = json!({
        "datetime": TIME, "label:description": "buildings", "label:type": "vector",
        "label:properties": ["building"],
    });
    let source = json!({ "rel": "source", "href": format!("../{id}/{id}.json") });
    feature(item, &format!("{id}-labels"), outline, properties, json!({ "labels": asset }), vec![source])
}

fn feature(
    item: &Item,
    id: &str,
    outline: &[[f64; 2]],
    properties: Value,
    assets: Value,
    mut links: Vec<Value>,
) -> Value {
    let parent = if item.collection.is_some() { "../collection.json" } else { "../catalog.json" };
    links.push(json!({ "rel": "parent", "href": parent }));
    let along = |axis: usize| outline.iter().map(move |point| point[axis]);
    let (least, most) = (f64::INFINITY, f64::NEG_INFINITY);
    let bbox = [
        along(0).fold(least, f64::min),
        along(1).fold(least, f64::min),
        along(0).fold(most, f64::max),
        along(1).fold(most, f64::max),
    ];
    json!({
        "type": "Feature", "stac_version": VERSION, "id": id, "bbox": bbox, "properties": properties,
        "geometry": { "type": "Polygon", "coordinates": [outline] }, "links": links, "assets": assets,
    })
}

/// A tile's corners in longitude and latitude, the first at the end once more.
fn outline(folder: &Path, tile: &Tile) -> Result<Vec<[f64; 2]>> {
    let path = folder.join(&tile.path);
    let t = georeference(tile).crs_from_pixel;
    let edge = f64::from(tile.edge);
    let corners = [[0.0, 0.0], [0.0, edge], [edge, edge], [edge, 0.0], [0.0, 0.0]];
    let (mut xs, mut ys): (Vec<f64>, Vec<f64>) =
        corners.iter().map(|[col, row]| (t[0] + col * t[1], t[3] + row * t[5])).unzip();
    to_degrees(&path, tile.crs)?
        .transform_coords(&mut xs, &mut ys, &mut [])
        .map_err(|error| RasterError::gdal(format!("writing {}", path.display()), error))?;
    Ok(xs.into_iter().zip(ys).map(|(x, y)| [x, y]).collect())
}
