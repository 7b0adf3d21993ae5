//! Small scenes share items and are written as finished files: the same bytes as when each is cut into parts
//! and assembled, whatever happens on the way.

mod losses;
mod many;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::OnceLock,
    time::{Duration, Instant},
};

use swath_proto::{
    finished::Finished,
    item::Stage,
    keys,
    status::{RunState, RunStatus},
};

use crate::{
    catalogue,
    same_bytes::run_name,
    shape::python,
    site::{Kind, Site, scene},
};

const PATIENCE: Duration = Duration::from_secs(120);
const SCENES: usize = 40;

/// Tiles of the drawn scene, of 200 px; the eighth is a VRT, whose image can be torn and mended under it.
const CUT: &str = r#"
import os, sys
from osgeo import gdal
gdal.UseExceptions()
source, target, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
image = gdal.Open(f'{source}/scene-1.tif')
for number in range(n):
    window = [number % 8 * 160, number // 8 * 230, 200, 200]
    path = f'{target}/tile-{number:02}.tif'
    inner = f'{target}/inner.tif'
    gdal.Translate(inner if number == 7 else path, image, srcWin=window)
    if number == 7:
        gdal.Translate(f'{target}/tile-07.vrt', inner, format='VRT')
print('cut')
"#;

fn cut(site: &Site) -> String {
    let folder = site.path("tiles");
    std::fs::create_dir(&folder).expect("a folder");
    let folder = folder.to_str().expect("UTF-8").to_owned();
    python(CUT, &[scene().to_str().expect("UTF-8"), &folder, &SCENES.to_string()]);
    folder
}

/// Tears the image of the eighth; returns it as it was.
fn tear(tiles: &str) -> Vec<u8> {
    let inner = format!("{tiles}/inner.tif");
    let whole = std::fs::read(&inner).expect("an image");
    std::fs::write(&inner, &whole[..whole.len() / 2]).expect("tearing it");
    whole
}

fn name(number: usize) -> String {
    format!("tile-{number:02}")
}

/// All tiles, with the labels of the scene that they were cut from.
fn pipeline(site: &Site, tiles: &str, predict: &str, model: &str) -> String {
    let labels = scene().join("scene-1.geojson");
    let labels = labels.display();
    let scenes: Vec<String> = (0..SCENES)
        .map(|number| {
            let ending = if number == 7 { "vrt" } else { "tif" };
            let name = name(number);
            format!("{{ id = \"{name}\", image = \"{tiles}/{name}.{ending}\", labels = \"{labels}\" }}")
        })
        .collect();
    let text = format!(
        r##"
name = "small"
stages = ["survey", "predict", "assemble", "eval", "vectorize"]
scenes = [{}]
classes = [
    {{ name = "background", color = "#202020", null = true }},
    {{ name = "building", color = "#ff8800" }},
]
[model]
{model}
seed = 3
[predict]
core_px = 64
block_px = 64
margin_px = 16
batch = 4
scores = true
{predict}
[vectorize]
denoise_px = 2
[run]
max_failures = 5
"##,
        scenes.join(",\n")
    );
    let file = site.path("small.toml");
    std::fs::write(&file, text).expect("writing the pipeline");
    file.to_str().expect("UTF-8").to_owned()
}

const TINY: &str = "architecture = \"tiny\"";
/// Some tenths of a second a scene.
const SLOW: &str = "architecture = \"unet-resnet18\"";
/// All scenes in one item, and each in four.
const ONE: &str = "item_px = 2048";
const CUT_UP: &str = "item_px = 128";

/// All files that people are given, by their name without the run's.
fn files(site: &Site, run: &str) -> BTreeMap<String, Vec<u8>> {
    let of_scene = |number: usize| {
        let name = name(number);
        [
            format!("predict/RUN/{name}.tif"),
            format!("predict/RUN/{name}.scores.tif"),
            format!("vectors/RUN/{name}.geojson"),
        ]
    };
    let names = (0..SCENES).flat_map(of_scene).chain(["eval/RUN/eval.json".to_owned()]);
    names.map(|name| (name.clone(), site.object(&name.replace("RUN", run)))).collect()
}

fn assert_same(some: &BTreeMap<String, Vec<u8>>, others: &BTreeMap<String, Vec<u8>>, what: &str) {
    assert_eq!(some.len(), 3 * SCENES + 1);
    for (name, bytes) in some {
        assert!(*bytes == others[name], "{what}: {name} differs");
    }
}

/// What all is held against: each scene cut up and assembled.
fn reference() -> &'static BTreeMap<String, Vec<u8>> {
    static REFERENCE: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    REFERENCE.get_or_init(|| assembled(TINY))
}

fn assembled(model: &str) -> BTreeMap<String, Vec<u8>> {
    let site = &Site::new(Kind::Embedded);
    let file = pipeline(site, &cut(site), CUT_UP, model);
    let run = run_name(&site.swath(&["run", &file, "--workers", "2"], 0).stdout);
    let status = site.status(&run).expect("a status");
    assert_eq!(status.stages["assemble"].done, SCENES as u64);
    files(site, &run)
}

fn all_done(status: &RunStatus) {
    assert_eq!(status.state, RunState::Done, "{status:?}");
    for (stage, count) in &status.stages {
        assert_eq!((count.done, count.buried), (count.items, 0), "{stage}");
    }
    assert_eq!(status.pixels_done, status.pixels);
}

#[test]
fn forty_scenes_in_a_few_messages_are_the_same_bytes_as_when_each_is_assembled() {
    let site = Site::new(Kind::Embedded);
    let tiles = cut(&site);
    // Sixteen windows a scene, and sixteen times sixteen to an item.
    let file = pipeline(&site, &tiles, "item_px = 1024", TINY);
    let planned = site.swath(&["plan", &file, "--json"], 0).stdout;
    let planned: serde_json::Value = serde_json::from_slice(&planned).expect("a plan");
    assert_eq!(planned["predict_items"], 3);
    let run = run_name(&site.swath(&["run", &file, "--workers", "2"], 0).stdout);
    let status = site.status(&run).expect("a status");
    all_done(&status);
    let items = |stage: &str| status.stages[stage].items;
    assert_eq!(["survey", "predict", "assemble", "eval", "vectorize"].map(items), [1, 3, 0, 3, 3]);
    assert_same(&files(&site, &run), reference(), "sixteen to an item");
    let report = site.object(&format!("runs/{run}/report.json"));
    let report: serde_json::Value = serde_json::from_slice(&report).expect("a report");
    let shown = report["shown"].as_array().expect("scenes");
    assert!((1..=5).contains(&shown.len()), "{shown:?}");
    let mut keys = shown.iter().map(|shown| shown["key"].as_str().expect("a key"));
    assert!(keys.all(|key| site.object(key).starts_with(b"\x89PNG")), "{shown:?}");
    // Nothing is made again, and what people have taken away is.
    site.swath(&["run", &file], 0);
    std::fs::remove_file(format!("{}/predict/{run}/tile-20.tif", site.root)).expect("removing a map");
    site.swath(&["run", &file], 0);
    assert_same(&files(&site, &run), reference(), "a map was taken away");
}

#[test]
fn small_scenes_on_servers_are_the_same_bytes() {
    let site = Site::new(Kind::Servers);
    let file = pipeline(&site, &cut(&site), ONE, TINY);
    let run = run_name(&site.swath(&["run", &file, "--workers", "2"], 0).stdout);
    all_done(&site.status(&run).expect("a status"));
    assert_same(&files(&site, &run), reference(), "servers");
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// How many maps are finished.
fn n_maps(site: &Site, run: &str) -> usize {
    let folder = std::fs::read_dir(Path::new(&site.root).join("predict").join(run));
    let names = folder.into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter(|name| !name.to_string_lossy().contains("scores")).count()
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < PATIENCE, "{what}: it never comes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn another_run_takes_what_is_finished_and_reads_no_image_again() {
    let site = Site::new(Kind::Embedded);
    let tiles = cut(&site);
    let file = pipeline(&site, &tiles, ONE, TINY);
    let run = run_name(&site.swath(&["run", &file], 0).stdout);
    let made = files(&site, &run);
    tear(&tiles);
    // In groups of other sizes, so that each scene is found by itself.
    let file = pipeline(&site, &tiles, "item_px = 1024", TINY);
    let other = run_name(&site.swath(&["run", &file], 0).stdout);
    assert_ne!(run, other);
    assert_same(&files(&site, &other), &made, "another run");
    // What somebody has touched is not taken.
    let touched = format!("{}/predict/{run}/tile-03.tif", site.root);
    for run in [&run, &other] {
        let file = format!("{}/predict/{run}/tile-03.tif", site.root);
        std::fs::write(file, "mine").expect("touching a map");
    }
    let third = run_name(&site.swath(&["run", &file, "--rerun"], 0).stdout);
    assert_same(&files(&site, &third), &made, "a map was touched");
    catalogue::assert_names_its_own(&site, &third, SCENES);
    assert_eq!(std::fs::read(touched).expect("a file"), b"mine");
}

#[test]
fn what_is_finished_is_noted_with_its_digest() {
    let site = Site::new(Kind::Embedded);
    let tiles = cut(&site);
    let file = pipeline(&site, &tiles, ONE, TINY);
    let run = run_name(&site.swath(&["run", &file], 0).stdout);
    let mut most = Vec::new();
    block_on(async {
        use futures::TryStreamExt as _;
        let blobs = site.doors().await.blobs;
        let outputs: Vec<_> = blobs.list("items/").try_collect().await.expect("listing");
        for output in outputs {
            if keys::parse_output(&output.key).is_none_or(|(stage, _)| stage != Stage::Predict) {
                continue;
            }
            let json = blobs.get(&output.key).await.expect("an output");
            let Finished::V1 { scenes } = serde_json::from_slice(&json).expect("a manifest");
            if scenes.len() > most.len() {
                most = scenes;
            }
        }
    });
    assert_eq!(most.len(), SCENES);
    for (number, scene) in most.iter().enumerate() {
        let scores = scene.scores.as_ref().expect("scores");
        assert_eq!(scene.classes.key, format!("predict/{run}/{}.tif", name(number)));
        for file in [&scene.classes, scores] {
            let body = site.object(&file.key);
            assert_eq!((file.bytes, file.sha256), (body.len() as u64, swath_proto::ids::Digest::of(&body)));
        }
    }
}
