//! Whole documents, as a run would write them. Whether the schemas agree, and pystac, is for the tests of the system.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic as tests may")]

use serde_json::{Value, json};
use swath_proto::{
    finished::{AssembledFile, FinishedFile},
    footprint::Footprint,
    geometry::SizePx,
    ids::Digest,
    item::{Bundle, WindowShape},
    run::RunRecord,
    scene::{FileRef, Georeference, SceneHeader},
    source::{Scaling, SourceSpec},
};
use swath_stac::{Entry, File, Packed, Scene, collection, item, model};

fn record() -> RunRecord {
    let weights = json!({"file": {"sha256": "ab".repeat(32), "extension": "safetensors"}});
    let record = json!({
        "version": "1",
        "run": "town-12ab",
        "created": "2026-11-28T15:00:00Z",
        "program": "0.1.0",
        "pipeline": "00".repeat(32),
        "stages": ["survey", "predict", "assemble"],
        "scenes": [],
        "lot_scenes": 256,
        "classes": [{"name": "ground", "rgb": [0, 0, 0]}, {"name": "building", "rgb": [255, 136, 0]}],
        "null_class": 0,
        "predict": {
            "model": {"architecture": "unet-resnet18", "weights": weights, "bands": 3, "classes": 2},
            "window": {"core_px": 256, "margin_px": 32},
            "batch": 8,
            "block_px": 256,
            "scores": true,
            "item_px": null,
            "class": null,
        },
        "scale": "given",
        "max_failures": 5,
    });
    RunRecord::from_json(record.to_string().as_bytes()).unwrap()
}

fn header(uri: &str, georeference: Option<Georeference>) -> SceneHeader {
    SceneHeader {
        id: "north".parse().unwrap(),
        source: SourceSpec::new(vec![FileRef { uri: uri.into(), tag: "1".into() }]),
        size: SizePx::new(200, 100),
        places: Vec::new(),
        bands: 3,
        data_type: "Byte".into(),
        block: SizePx::new(256, 256),
        georeference,
        aoi: None,
    }
}

fn file(key: &str) -> FinishedFile {
    FinishedFile { key: key.into(), bytes: 9, sha256: Digest::of(key.as_bytes()) }
}

fn scene<'a>(header: &'a SceneHeader, footprint: &'a Footprint) -> Scene<'a> {
    Scene {
        header,
        footprint,
        classes: File::from(AssembledFile { key: "predict/town-12ab/north.tif".into(), bytes: 7 }),
        scores: Some(file("predict/town-12ab/north.scores.tif").into()),
        confidence: Some(file("predict/town-12ab/north.confidence.tif").into()),
        polygons: vec![
            file("vectors/town-12ab/north.geojson").into(),
            file("vectors/town-12ab/north.parquet").into(),
        ],
        is_evaluated: true,
        has_model: true,
    }
}

fn placed() -> Footprint {
    let ring = [[15_000, 48_000], [15_010, 48_000], [15_010, 48_005], [15_000, 48_005]];
    let ring = ring.map(|position| position.map(|n: i64| n * 1_000_000)).into();
    Footprint { ring, code: Some("EPSG:32633".into()), projjson: None }
}

#[test]
fn an_item_says_where_a_map_lies_and_what_it_was_made_from() {
    let georeference =
        Georeference { crs_wkt: "..".into(), crs_from_pixel: [500.0, 0.5, 0.0, 900.0, 0.0, -0.25] };
    let header = header("https://me:secret@host/north.tif?token=abc", Some(georeference));
    let footprint = placed();
    let (item, entry) = item(&record(), &scene(&header, &footprint));
    assert_eq!(item["bbox"], json!([15.0, 48.0, 15.01, 48.005]));
    assert_eq!(entry.bbox, Some([15.0, 48.0, 15.01, 48.005]));
    assert_eq!(item["geometry"]["type"], "Polygon");
    assert_eq!(item["properties"]["proj:code"], "EPSG:32633");
    let classes = &item["assets"]["classes"];
    assert_eq!(classes["href"], "../../../predict/town-12ab/north.tif");
    assert_eq!(classes["proj:shape"], json!([100, 200]));
    assert_eq!(classes["proj:transform"], json!([0.5, 0.0, 500.0, 0.0, -0.25, 900.0]));
    assert_eq!(classes["proj:bbox"], json!([500.0, 875.0, 600.0, 900.0]));
    assert_eq!(classes["classification:classes"][1]["color_hint"], "FF8800");
    assert_eq!((&classes["file:size"], classes.get("file:checksum")), (&json!(7), None));
    let scores = &item["assets"]["scores"];
    assert_eq!(scores["bands"].as_array().unwrap().len(), 2);
    assert!(scores["file:checksum"].as_str().unwrap().starts_with("1220"));
    let names: Vec<_> = item["assets"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["classes", "confidence", "eval", "polygons", "polygons-parquet", "scores"]);
    let from = |rel: &str| -> Vec<String> {
        let links = item["links"].as_array().unwrap().iter().filter(|link| link["rel"] == rel);
        links.map(|link| link["href"].as_str().unwrap().to_owned()).collect()
    };
    let weights = format!("../../../models/{}.safetensors", "ab".repeat(32));
    assert_eq!(from("derived_from"), ["https://host/north.tif", "../model.json", weights.as_str()]);
    assert_eq!(from("collection"), ["../collection.json"]);
    assert!(!item.to_string().contains("secret") && !item.to_string().contains("token"));
}

#[test]
fn a_scene_that_lies_nowhere_has_a_null_geometry_and_no_box() {
    let (header, footprint) = (header("/data/north.tif", None), Footprint::default());
    let (item, entry) = item(&record(), &scene(&header, &footprint));
    assert_eq!((&item["geometry"], item.get("bbox"), entry.bbox), (&Value::Null, None, None));
    assert_eq!(item["properties"]["proj:code"], Value::Null);
    assert!(item["assets"]["classes"].get("proj:transform").is_none());
}

#[test]
fn a_collection_links_all_and_surrounds_them() {
    let entry = |scene: &str, bbox| Entry { scene: scene.parse().unwrap(), bbox };
    let entries =
        [entry("a", Some([1.0, 2.0, 3.0, 4.0])), entry("b", None), entry("c", Some([0.0, 3.0, 2.0, 5.0]))];
    let eval = File::from(file("eval/town-12ab/eval.json"));
    let document = collection(&record(), &entries, true, Some(&eval), &[]);
    assert_eq!(document["extent"]["spatial"]["bbox"], json!([[0.0, 2.0, 3.0, 5.0]]));
    let links = document["links"].as_array().unwrap().iter().filter(|link| link["rel"] == "item");
    let hrefs: Vec<_> = links.map(|link| link["href"].as_str().unwrap()).collect();
    assert_eq!(hrefs, ["./model.json", "./items/a.json", "./items/b.json", "./items/c.json"]);
    assert_eq!(document["assets"]["eval"]["href"], "../../eval/town-12ab/eval.json");
}

#[test]
fn a_model_says_what_goes_in_and_what_comes_out() {
    let record = record();
    let work = Bundle {
        model: record.predict.model.clone(),
        window: WindowShape { core_px: 256, margin_px: 32 },
        batch: 8,
        classes: record.classes.clone(),
        null_class: 0,
        eval: None,
        pixels: SourceSpec {
            bands: vec![3, 1, 0],
            scaling: Scaling::Stats { means: vec![1.0, 2.0, 3.0], stds: vec![4.0, 5.0, 6.0] },
            ..SourceSpec::default()
        },
        int8: None,
        output: "bundle/town-12ab/bundle.zip".into(),
    };
    let document = model(&record, &Packed { work: &work, file: file(&work.output).into() });
    let properties = &document["properties"];
    assert_eq!(properties["mlm:architecture"], "unet-resnet18");
    let input = &properties["mlm:input"][0];
    assert_eq!(input["bands"], json!(["band-4", "band-2", "band-1"]));
    assert_eq!(input["input"]["shape"], json!([-1, 3, 320, 320]));
    assert_eq!(input["value_scaling"][1], json!({"type": "z-score", "mean": 2.0, "stddev": 5.0}));
    assert_eq!(properties["mlm:output"][0]["classification:classes"][1]["name"], "building");
    let asset = &document["assets"]["bundle"];
    assert_eq!(asset["href"], "../../bundle/town-12ab/bundle.zip");
    assert_eq!(asset["roles"], json!(["mlm:model", "mlm:weights"]));
    assert_eq!(document["geometry"], Value::Null);
}
