//! Labels that people drew: the reader of GeoJSON (which needs no GDAL, and so is read here from its file),
//! filters, and polygons of any coordinates.

use serde::Deserialize;
use swath_geo::rasterize::{Polygons, fill_window};
use swath_proto::{filter::Filter, geometry::WindowPx};

use crate::Target;

#[path = "../../worker/raster/src/geojson.rs"]
mod geojson;

pub(crate) const GEOJSON: Target =
    Target { name: "geojson", run: read_geojson, samples: collections, tokens: WORDS };
pub(crate) const FILTER: Target = Target { name: "filter", run: filter, samples: filters, tokens: WORDS };
pub(crate) const POLYGONS: Target = Target { name: "polygons", run: burn, samples: squares, tokens: &[] };

const WORDS: &[&[u8]] = &[
    b"\"features\":",
    b"\"crs\":",
    b"\"properties\":",
    b"\"name\":",
    b"\"geometry\":",
    b"\"coordinates\":",
    b"null",
    b"MultiPolygon",
    b"GeometryCollection",
    b"1e999",
    b"[[[[",
    b"\\u0000",
    b"\"all\":[",
    b"\"any\":[",
    b"\"op\":",
    b"\"has\"",
    b"\"in\"",
    b"\"<=\"",
    b"\"!=\"",
];

fn collections() -> Vec<Vec<u8>> {
    [
        r#"{"type":"FeatureCollection","crs":{"type":"name","properties":{"name":"EPSG:32633"}},"features":[
            {"type":"Feature","properties":{"class_id":1,"name":null},"geometry":{"type":"Polygon","coordinates":
            [[[0,0],[4,0],[4,4],[0,0]],[[1,1],[2,1],[2,2],[1,1]]]}}]}"#,
        r#"{"features":[{"geometry":{"type":"Point","coordinates":[1.5,-2e3]}},
            {"properties":{"a":"b"},"geometry":null}],"bbox":[0,0,1,1]}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn read_geojson(bytes: &[u8]) {
    let named = geojson::crs_name(bytes);
    let mut next = 0;
    let read = geojson::each_feature(bytes, |number, feature| {
        assert_eq!(number, next);
        next += 1;
        let _ = (&feature["properties"]["class_id"], &feature["geometry"]["coordinates"][0]);
        Ok(())
    });
    if let Err(geojson::Unread::Io(error)) = &read {
        panic!("bytes in memory are always there: {error}");
    }
    // Whoever has no list of features is told so before any is looked for.
    assert!(
        named.is_ok()
            || read.is_err()
            || next == 0
            || serde_json::from_slice::<serde_json::Value>(bytes).is_err()
    );
}

fn filters() -> Vec<Vec<u8>> {
    [
        r#"{"filter":{"all":[{"property":"building","value":"yes"},{"any":[{"property":"levels","op":"<=","value":3.5},
            {"property":"name","op":"has"}]}]},"properties":{"building":"yes","levels":3,"name":null}}"#,
        r#"{"filter":{"property":"a","op":"in","value":[1,"1",true,null]},"properties":{"a":1.0}}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn filter(bytes: &[u8]) {
    #[derive(Deserialize)]
    struct Case {
        filter: Filter,
        properties: serde_json::Value,
    }
    let Ok(Case { filter, properties }) = serde_json::from_slice(bytes) else { return };
    let written = serde_json::to_vec(&filter).unwrap_or_else(|error| panic!("{error}"));
    let again: Filter = serde_json::from_slice(&written).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again, filter);
    assert_eq!(again.holds(&properties), filter.holds(&properties));
}

/// A window's corner and size, then coordinates; one that is not a number ends a ring.
fn squares() -> Vec<Vec<u8>> {
    let square = |window: [i16; 2], numbers: &[f64]| {
        let head = window.iter().flat_map(|number| number.to_le_bytes()).chain([24, 17]);
        head.chain(numbers.iter().flat_map(|number| number.to_le_bytes())).collect()
    };
    let circle: Vec<f64> = (0..200)
        .map(|i| f64::from(i) / 100.0 * std::f64::consts::PI)
        .flat_map(|angle| [10.0 + 9.0 * angle.cos(), 8.0 + 300.0 * angle.sin()])
        .collect();
    vec![
        square(
            [-3, 2],
            &[0.0, 0.0, 20.5, 0.0, 20.5, 12.0, 0.0, 12.0, f64::NAN, 3.0, 3.0, 9.0, 3.0, 5.0, 7.5],
        ),
        square([0, 0], &[-1e12, -1e12, 1e12, 3.0, 5.0, 1e12]),
        square([0, 0], &circle),
    ]
}

fn burn(bytes: &[u8]) {
    let Some((head, rest)) = bytes.split_first_chunk::<6>() else { return };
    let number = |low: u8, high: u8| i64::from(i16::from_le_bytes([low, high]));
    let (col, row) = (number(head[0], head[1]), number(head[2], head[3]));
    let (width, height) = (u32::from(head[4] % 64) + 1, u32::from(head[5] % 64) + 1);
    let numbers: Vec<f64> = rest.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
    let rings: Vec<_> =
        numbers.split(|number| number.is_nan()).map(|ring| ring.as_chunks().0.to_vec()).collect();
    let mut polygons = Polygons::default();
    // One before it: nothing is looked for at the beginning alone.
    let before = [[0.5, 0.5], [9.0, 3.0], [4.0, 8.0]].to_vec();
    if polygons.push(&[before]).and_then(|()| polygons.push(&rings)).is_err() {
        return;
    }
    let fill = |window: WindowPx, size: u32| {
        let mut out = vec![0; size as usize];
        fill_window(polygons.iter().zip(1..), window, &mut out);
        out
    };
    let whole = fill(WindowPx::new(col, row, width, height), width * height);
    // A part equals the same part of the whole.
    let half = height / 2;
    let upper = fill(WindowPx::new(col, row, width, half), width * half);
    let lower =
        fill(WindowPx::new(col, row + i64::from(half), width, height - half), width * (height - half));
    assert!(whole == [upper, lower].concat(), "a part of {col}, {row} is another than that of the whole");
}
