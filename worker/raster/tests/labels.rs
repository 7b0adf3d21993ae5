//! Labels against GDAL's own `rasterize`, projections and buffers, and against what is counted by hand.
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use gdal::{
    DriverManager,
    raster::rasterize,
    spatial_ref::{AxisMappingStrategy, CoordTransform, SpatialRef},
    vector::Geometry,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use swath_proto::{
    geometry::{RectPx, WindowPx},
    scene::{FileRef, SceneHeader},
    source::{Aoi as AoiSpec, ClassList, GeoJsonLabels, LabelSpec, SourceSpec},
};
use swath_raster::{Aoi, Coverage, Kind, Labels, Source};

mod files;
mod geojson;
mod label_rasters;
use files::{Folder, Tif, UTM33, half_metres};
use geojson::{collection, feature, in_metres, metres, square};

const WIDTH: usize = 200;
const HEIGHT: usize = 150;
const CORNER: [f64; 2] = [500_000.0, 5_400_000.0];

fn header(file: FileRef) -> SceneHeader {
    Source::open(&SourceSpec::new(vec![file])).unwrap().header("scene".parse().unwrap()).unwrap()
}

fn scene(folder: &Folder) -> SceneHeader {
    header(Tif::new(WIDTH, HEIGHT, 1).write(&folder.path("scene.tif"), |_, _, _| 1u8, |_| {}))
}

fn classes(names: &[&str]) -> ClassList {
    ClassList { names: names.iter().map(|name| (*name).to_owned()).collect(), null_class: 0 }
}

fn whole(labels: &Labels) -> Vec<u8> {
    let mut out = vec![9; WIDTH * HEIGHT];
    labels.burn(RectPx::new(0, 0, WIDTH as u32, HEIGHT as u32), &mut out).unwrap();
    out
}

/// What GDAL burns of geometries in metres.
fn burnt_by_gdal(geometries: &[Geometry], values: &[f64]) -> Vec<u8> {
    let driver = DriverManager::get_driver_by_name("MEM").unwrap();
    let mut dataset = driver.create_with_band_type::<u8, _>("", WIDTH, HEIGHT, 1).unwrap();
    dataset.set_geo_transform(&half_metres(CORNER[0], CORNER[1])).unwrap();
    rasterize(&mut dataset, &[1], geometries, values, None).unwrap();
    dataset.rasterband(1).unwrap().read_band_as::<u8>().unwrap().data().to_vec()
}

fn degrees() -> SpatialRef {
    let mut system = SpatialRef::from_epsg(4326).unwrap();
    system.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
    system
}

fn open(spec: GeoJsonLabels, scene: &SceneHeader, names: &[&str]) -> swath_raster::Result<Labels> {
    Labels::open(&LabelSpec::GeoJson(spec), scene, &classes(names))
}

fn refused(spec: &LabelSpec, scene: &SceneHeader, names: &[&str]) -> String {
    match Labels::open(spec, scene, &classes(names)) {
        Ok(_) => panic!("{spec:?} opens"),
        Err(error) => {
            assert_eq!(error.kind, Kind::BadLabels, "{error}");
            error.to_string()
        }
    }
}

#[test]
fn polygons_in_degrees_are_burnt_as_gdal_burns_them() {
    let folder = Folder::new();
    let scene = scene(&folder);
    let mut rng = StdRng::seed_from_u64(5);
    let system = SpatialRef::from_definition(UTM33).unwrap();
    let to_degrees = CoordTransform::new(&system, &degrees()).unwrap();
    let (mut features, mut geometries, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..120 {
        let middle = [rng.random_range(-10.0..210.0), rng.random_range(-10.0..160.0)];
        let turns = rng.random_range(3..12);
        let points: Vec<[f64; 2]> = (0..=turns)
            .map(|k| {
                let angle = f64::from(k % turns) / f64::from(turns) * std::f64::consts::TAU;
                let radius = 3.0 + 20.0 * f64::from((k % turns) * 7 % 5) / 5.0;
                [middle[0] + radius * angle.cos(), middle[1] + radius * angle.sin()]
            })
            .collect();
        let geometry = json!({"type": "Polygon", "coordinates": [metres(&points)]});
        let geometry = Geometry::from_geojson(&geometry.to_string()).unwrap();
        let lonlat: Value =
            serde_json::from_str(&geometry.transform(&to_degrees).unwrap().json().unwrap()).unwrap();
        features.push(feature(json!({"class_id": 1 + i % 3}), lonlat));
        geometries.push(geometry);
        values.push(f64::from(1 + i % 3));
    }
    let file = folder.write("labels.geojson", &collection(features));
    let labels = open(GeoJsonLabels::new(file), &scene, &["null", "a", "b", "c"]).unwrap();
    let (got, wanted) = (whole(&labels), burnt_by_gdal(&geometries, &values));
    // Coordinates went through 15 decimals: a centre may change sides within 1e-9 px of an edge, and none does.
    assert_eq!(got, wanted);
    for _ in 0..50 {
        let (col, row) = (rng.random_range(0..190), rng.random_range(0..140));
        let rect = RectPx::new(col, row, rng.random_range(1..=10), rng.random_range(1..=10));
        let mut part = vec![0; rect.pixels() as usize];
        labels.burn(rect, &mut part).unwrap();
        for (i, line) in part.chunks_exact(rect.width as usize).enumerate() {
            assert_eq!(line, &got[(row as usize + i) * WIDTH + col as usize..][..rect.width as usize]);
        }
    }
}

#[test]
fn whoever_only_looks_reads_no_more_polygons_than_it_has_time_for() {
    let folder = Folder::new();
    let scene = scene(&folder);
    let text = in_metres(&collection(vec![feature(json!({"class_id": 1}), square(10.0, 10.0, 20.0))]));
    let spec = LabelSpec::GeoJson(GeoJsonLabels::new(folder.write("labels.geojson", &text)));
    let list = classes(&["null", "house"]);
    let within = |bytes: usize| Labels::open_within(&spec, &scene, &list, bytes as u64);
    assert_eq!(whole(&within(text.len()).unwrap()).iter().filter(|class| **class == 1).count(), 400);
    let error = within(text.len() - 1).err().unwrap();
    assert_eq!(error.kind, Kind::Unsupported, "{error}");
    assert!(error.to_string().contains("labels.geojson"), "{error}");
}

#[test]
fn points_lines_and_polygons_are_widened_as_geos_widens_them() {
    let folder = Folder::new();
    let scene = scene(&folder);
    let line =
        json!({"type": "LineString", "coordinates": metres(&[[10.3, 20.2], [120.7, 90.1], [150.4, 30.9]])});
    let dots = json!({"type": "MultiPoint", "coordinates": metres(&[[30.2, 120.4], [60.6, 130.3]])});
    let roads = json!({"type": "MultiLineString", "coordinates": [metres(&[[5.2, 5.1], [190.3, 12.2]])]});
    let block = square(100.2, 100.3, 30.0);
    let both =
        json!({"type": "GeometryCollection", "geometries": [square(160.2, 100.3, 20.0), roads.clone()]});
    let text = in_metres(&collection(vec![
        feature(json!({"class_name": "road"}), line.clone()),
        feature(json!({"class_name": "tree"}), dots.clone()),
        feature(json!({"class_name": "house"}), block.clone()),
        feature(json!({"class_name": "tree"}), both),
        feature(json!({"class_name": "house"}), Value::Null),
    ]));
    let file = folder.write("labels.geojson", &text);
    let spec: GeoJsonLabels = serde_json::from_value(json!({
        "file": file,
        "buffers": [
            {"geometry": "line", "class": "road", "by": {"metres": 3.5}},
            {"geometry": "point", "by": {"px": 9.0}},
            {"geometry": "polygon", "class": 3, "by": {"px": -4.0}},
        ],
    }))
    .unwrap();
    let names = ["null", "road", "tree", "house"];
    let labels = open(spec, &scene, &names).unwrap();
    let wide = |geometry: &Value, metres: f64| {
        Geometry::from_geojson(&geometry.to_string()).unwrap().buffer(metres, 16).unwrap()
    };
    let plain = Geometry::from_geojson(&square(160.2, 100.3, 20.0).to_string()).unwrap();
    let geometries = [wide(&line, 3.5), wide(&dots, 4.5), wide(&block, -2.0), plain, wide(&roads, 0.5)];
    let wanted = burnt_by_gdal(&geometries, &[1.0, 2.0, 3.0, 2.0, 2.0]);
    let got = whole(&labels);
    assert!((1..=3).all(|class| got.contains(&class)));
    assert_eq!(got, wanted);
    let bad = |buffers: Value| {
        let spec: LabelSpec =
            serde_json::from_value(json!({"kind": "geo_json", "file": file, "buffers": buffers})).unwrap();
        refused(&spec, &scene, &names)
    };
    assert!(bad(json!([{"by": {"px": -1.0}}])).contains("more than 0"));
    assert!(bad(json!([{"class": "lake", "by": {"px": 1.0}}])).contains("'lake' is no class"));
}

#[test]
fn metres_are_metres_in_a_scene_of_degrees() {
    let folder = Folder::new();
    // At 60 degrees north a degree of longitude is half as long as one of latitude.
    let transform = [10.0, 2e-5, 0.0, 60.0, 0.0, -1e-5];
    let tif = Tif::new(WIDTH, HEIGHT, 1).at("EPSG:4326", transform);
    let scene = header(tif.write(&folder.path("scene.tif"), |_, _, _| 1u8, |_| {}));
    let point = json!({"type": "Point", "coordinates": [10.0 + 100.5 * 2e-5, 60.0 - 75.5 * 1e-5]});
    let file = folder.write("labels.geojson", &collection(vec![feature(json!({}), point)]));
    let spec = serde_json::from_value(json!({"file": file, "buffers": [{"by": {"metres": 33.4}}]})).unwrap();
    let got = whole(&open(spec, &scene, &["null", "tree"]).unwrap());
    // 1e-5 degrees of latitude are 1.114 m there, 2e-5 of longitude 1.116 m.
    let across = got[75 * WIDTH..76 * WIDTH].iter().filter(|class| **class == 1).count();
    let down = (0..HEIGHT).filter(|row| got[row * WIDTH + 100] == 1).count();
    assert_eq!((across, down), (59, 59));
}

#[test]
fn classes_come_by_property_rule_filter_and_default() {
    let folder = Folder::new();
    let scene = scene(&folder);
    let properties = [
        json!({"kind": "house"}),
        json!({"kind": 2}),
        json!({"kind": "2"}),
        json!({"levels": 5}),
        json!({"levels": 1}),
        json!({"demolished": true, "kind": "house"}),
    ];
    let features = properties
        .iter()
        .enumerate()
        .map(|(i, properties)| feature(properties.clone(), square(10.0 + 20.0 * i as f64, 10.0, 10.0)));
    let file = folder.write("labels.geojson", &in_metres(&collection(features.collect())));
    let base = json!({
        "file": file,
        "property": "kind",
        "filter": {"property": "demolished", "op": "!=", "value": true},
        "rules": [{"class": "tower", "when": {"property": "levels", "op": ">", "value": 3}}],
    });
    let names = ["null", "house", "road", "tower"];
    let seen = |spec: Value| {
        let got = whole(&open(serde_json::from_value(spec).unwrap(), &scene, &names).unwrap());
        (0..6).map(|i| got[15 * WIDTH + 15 + 20 * i]).collect::<Vec<_>>()
    };
    assert_eq!(seen(base.clone()), [1, 2, 2, 3, 0, 0]);
    let mut with_default = base;
    with_default["default_class"] = json!("road");
    assert_eq!(seen(with_default), [1, 2, 2, 3, 2, 0]);
    // Two classes need no word: there is one beside the null class.
    let spec = serde_json::from_value(json!({"file": file})).unwrap();
    assert!(whole(&open(spec, &scene, &["null", "house"]).unwrap()).contains(&1));
    // Three do.
    let spec = serde_json::from_value(json!({"kind": "geo_json", "file": file})).unwrap();
    let message = refused(&spec, &scene, &names);
    assert!(message.contains("feature 0: it has no property class_name or class_id"), "{message}");
}

#[test]
fn bad_polygons_are_told_with_their_number_and_property() {
    let folder = Folder::new();
    let scene = scene(&folder);
    let good = feature(json!({"class_name": "house"}), square(10.0, 10.0, 5.0));
    let message = |second: Value| {
        let text = in_metres(&collection(vec![good.clone(), second]));
        let file = folder.write("bad.geojson", &text);
        refused(&LabelSpec::GeoJson(GeoJsonLabels::new(file)), &scene, &["null", "house", "road"])
    };
    let shape = || square(20.0, 20.0, 5.0);
    for (second, says) in [
        (
            feature(json!({"class_name": "hosue"}), shape()),
            "feature 1: property 'class_name': 'hosue' is no class; the classes, from 0 on, are null, house, road",
        ),
        (feature(json!({"class_id": 3}), shape()), "feature 1: property 'class_id': number 3 is no class"),
        (feature(json!({"class_id": 1.5}), shape()), "feature 1: property 'class_id': 1.5 is no class"),
        (feature(json!({"class_id": [1]}), shape()), "[1] is no class"),
        (
            feature(json!({"class_id": 1}), json!({"type": "Polygon", "coordinates": [[[1, "x"]]]})),
            "feature 1: [1,\"x\"] is no point",
        ),
        (
            feature(json!({"class_id": 1}), json!({"type": "Blob", "coordinates": []})),
            "feature 1: its geometry is of type 'Blob'",
        ),
    ] {
        let message = message(second);
        assert!(message.contains(says) && message.contains("bad.geojson"), "{message}");
    }
    let text = collection(vec![good.clone(), good]);
    let cut = folder.write("cut.geojson", &in_metres(&text[..text.len() - 40]));
    let spec = LabelSpec::GeoJson(GeoJsonLabels::new(cut));
    assert!(refused(&spec, &scene, &["null", "house"]).contains("it is no GeoJSON"));
}

#[test]
fn labels_that_lie_elsewhere_or_nowhere_are_refused_with_both_extents() {
    let folder = Folder::new();
    let scene = scene(&folder);
    let text = collection(vec![feature(json!({"class_id": 1}), square(1000.0, 10.0, 5.0))]);
    let file = folder.write("far.geojson", &in_metres(&text));
    let far = LabelSpec::GeoJson(GeoJsonLabels::new(file));
    let message = refused(&far, &scene, &["null", "house"]);
    assert!(
        message.contains("it spans x 500500.0 to 500502.5, y 5399992.5 to 5399995.0, the scene x 500000.0 to 500100.0, y 5399925.0 to 5400000.0")
            && message.contains("UTM zone 33N"),
        "{message}"
    );
    // Metres in a file that names no system.
    let file = folder.write("unnamed.geojson", &text);
    let unnamed = LabelSpec::GeoJson(GeoJsonLabels::new(file.clone()));
    let message = refused(&unnamed, &scene, &["null", "house"]);
    assert!(message.contains("feature 0: (500500, 5399995) is no longitude and latitude"), "{message}");
    let asked = GeoJsonLabels { crs: Some("file".into()), ..GeoJsonLabels::new(file.clone()) };
    assert!(refused(&LabelSpec::GeoJson(asked), &scene, &["null", "house"]).contains("names no coordinate"));
    let unknown = GeoJsonLabels { crs: Some("EPSG:1".into()), ..GeoJsonLabels::new(file) };
    assert!(refused(&LabelSpec::GeoJson(unknown), &scene, &["null", "house"]).contains("EPSG:1"));
    // Where the labels of a region surround a scene without any, there is nothing to complain of.
    let around = [square(-100.0, -100.0, 5.0), square(1000.0, 1000.0, 5.0)];
    let text = collection(around.map(|shape| feature(json!({}), shape)).to_vec());
    let file = folder.write("around.geojson", &in_metres(&text));
    assert_eq!(
        whole(&open(GeoJsonLabels::new(file), &scene, &["null", "house"]).unwrap()),
        [0; WIDTH * HEIGHT]
    );
    // An image that does not say where it lies.
    let lost =
        header(Tif::new(WIDTH, HEIGHT, 1).nowhere().write(&folder.path("lost.tif"), |_, _, _| 1u8, |_| {}));
    assert!(refused(&far, &lost, &["null", "house"]).contains("does not say where it lies"));
}

#[test]
fn the_system_is_the_files_own_or_the_one_that_is_asked_for() {
    let folder = Folder::new();
    let scene = scene(&folder);
    let text = collection(vec![feature(json!({}), square(10.0, 10.0, 20.0))]);
    let named = folder.write("named.geojson", &in_metres(&text));
    let unnamed = folder.write("unnamed.geojson", &text);
    let with = |file: &FileRef, crs: &str| GeoJsonLabels {
        crs: Some(crs.into()),
        ..GeoJsonLabels::new(file.clone())
    };
    let names = ["null", "house"];
    let wanted = whole(&open(GeoJsonLabels::new(named.clone()), &scene, &names).unwrap());
    assert_eq!(wanted.iter().filter(|class| **class == 1).count(), 400);
    assert_eq!(whole(&open(with(&named, "file"), &scene, &names).unwrap()), wanted);
    assert_eq!(whole(&open(with(&unnamed, UTM33), &scene, &names).unwrap()), wanted);
}

#[test]
fn an_area_of_interest_says_how_much_of_a_window_it_covers() {
    let folder = Folder::new();
    let scene = scene(&folder);
    let write = |name: &str, shapes: Vec<Value>| {
        let features = shapes.into_iter().map(|shape| feature(json!({}), shape)).collect();
        folder.write(name, &in_metres(&collection(features)))
    };
    // Two that touch, and one beyond the scene's left edge in a file of its own.
    let files = vec![
        write("a.geojson", vec![square(10.0, 10.0, 40.0), square(50.0, 10.0, 40.0)]),
        write("b.geojson", vec![square(-30.0, 100.0, 60.0)]),
    ];
    let aoi = Aoi::open(&AoiSpec { files, crs: None }, &scene).unwrap();
    assert_eq!(aoi.bounds(), Some(WindowPx::new(-30, 10, 120, 150)));
    for (window, wanted) in [
        (WindowPx::new(30, 10, 40, 40), Coverage::All),
        (WindowPx::new(10, 10, 80, 40), Coverage::All),
        (WindowPx::new(9, 10, 80, 40), Coverage::Part),
        (WindowPx::new(90, 10, 80, 40), Coverage::None),
        (WindowPx::new(-30, 100, 60, 60), Coverage::All),
        (WindowPx::new(-31, 100, 60, 60), Coverage::Part),
        (WindowPx::new(500, 500, 10, 10), Coverage::None),
    ] {
        assert_eq!(aoi.covers(window), wanted, "{window}");
    }
    let mut mask = [7; 6];
    aoi.burn(WindowPx::new(9, 9, 3, 2), &mut mask);
    assert_eq!(mask, [0, 0, 0, 0, 1, 1]);
    let refused = |files: Vec<FileRef>| match Aoi::open(&AoiSpec { files, crs: None }, &scene) {
        Ok(_) => panic!("it opens"),
        Err(error) => error.to_string(),
    };
    assert!(refused(Vec::new()).contains("`files` is empty"));
    assert!(refused(vec![write("c.geojson", Vec::new())]).contains("it has none"));
    let point = json!({"type": "Point", "coordinates": metres(&[[1.0, 1.0]])[0]});
    assert!(refused(vec![write("d.geojson", vec![point])]).contains("feature 0: its geometry has a Point"));
    assert!(refused(vec![write("e.geojson", vec![square(900.0, 0.0, 1.0)])]).contains("outside the scene"));
}

#[test]
fn no_labels_label_nothing() {
    let folder = Folder::new();
    let scene = scene(&folder);
    let file = folder.write("none.geojson", &collection(Vec::new()));
    assert_eq!(
        whole(&open(GeoJsonLabels::new(file), &scene, &["null", "house"]).unwrap()),
        [0; WIDTH * HEIGHT]
    );
    let missing = GeoJsonLabels::new(files::file(&folder.path("nowhere.geojson")));
    match open(missing, &scene, &["null", "house"]) {
        Ok(_) => panic!("it opens"),
        Err(error) => assert_eq!(error.kind, Kind::Missing),
    }
}
