//! The three experiments of `examples/`, each by its one file and one command on look-alike data, and what they leave.

mod building_detection;
mod killed;
mod open_cities;
mod potsdam;
mod trainer;
mod trees;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use swath_proto::{
    scene::{FileRef, SceneHeader},
    source::SourceSpec,
};

use crate::{heals::block_on, site::Site};

const NAMES: [&str; 3] = ["building-detection", "open-cities", "potsdam"];
const PATIENCE: Duration = Duration::from_secs(180);

/// What `run` and `submit` take to try one out on look-alike data, with a network that learns little, in no time.
fn trial(name: &str, data: &str) -> Vec<String> {
    let more: Vec<String> = match name {
        "open-cities" => {
            let (train, test) =
                (format!("{data}train_tier_1/catalog.json"), format!("{data}test/catalog.json"));
            let words =
                ["--set", "test.crop_px=1400", "-a", "train_stac_uri", &train, "-a", "test_stac_uri", &test];
            words.map(String::from).into()
        }
        "potsdam" => ["-m", "resnet50", "-a", "raw_uri", data].map(String::from).into(),
        _ => ["-m", "nir-r-g", "-a", "raw_uri", data].map(String::from).into(),
    };
    let file = example(&format!("{name}/pipeline.toml"));
    let words = [file.as_str(), "--test", "--set", "model.architecture=tiny"].map(String::from);
    words.into_iter().chain(more).collect()
}

fn example(path: &str) -> String {
    format!("{}/../examples/{path}", env!("CARGO_MANIFEST_DIR"))
}

/// Look-alike data in a folder; with a `/` at its end, as arguments name it.
fn look_alike(site: &Site, name: &str) -> String {
    let folder = site.path("data");
    site.swath(&["synth", folder.to_str().expect("UTF-8"), "--like", name], 0);
    format!("{}/", folder.display())
}

fn told(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn eval(site: &Site, run: &str) -> Value {
    serde_json::from_slice(&site.object(&format!("eval/{run}/eval.json"))).expect("JSON")
}

/// Names of classes in eval.json, and how many pixels are labelled in all.
fn counted(eval: &Value) -> (Vec<String>, f64) {
    let classes = eval["overall"].as_array().expect("classes");
    let names = classes.iter().filter_map(|class| class["class_name"].as_str()).map(str::to_owned).collect();
    let own = classes.iter().filter(|class| class["class_name"] != "average");
    (names, own.filter_map(|class| class["gt_count"].as_f64()).sum())
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path => found.push(path),
        }
    }
    found
}

/// Puts a folder under the site's root; where it lies there.
fn in_bucket(site: &Site, folder: &str) -> String {
    block_on(async {
        let blobs = site.doors().await.blobs;
        for file in files(Path::new(folder)) {
            let key = file.strip_prefix(folder).expect("a file of the folder").to_str().expect("UTF-8");
            let bytes = std::fs::read(&file).expect("a file");
            blobs.put(&format!("data/{key}"), bytes.into()).await.expect("putting");
        }
    });
    format!("{}/data/", site.root)
}

fn header(path: &Path) -> SceneHeader {
    swath_raster::configure(&swath_raster::Settings { cache_mib: 64 });
    let file = FileRef { uri: path.display().to_string(), tag: String::new() };
    let source = swath_raster::Source::open(&SourceSpec::new(vec![file])).expect("a raster");
    source.header("it".parse().expect("a name")).expect("a header")
}

/// GDAL's affine transform.
fn place(header: &SceneHeader) -> [f64; 6] {
    header.georeference.as_ref().expect("a place").crs_from_pixel
}

/// The files of a run's submission.
fn unpacked(site: &Site, run: &str) -> Vec<PathBuf> {
    let archive = site.path("submission.tgz");
    std::fs::write(&archive, site.object(&format!("steps/{run}/submission/submission.tgz")))
        .expect("writing");
    let unpacked = site.path("unpacked");
    std::fs::create_dir(&unpacked).expect("a folder");
    let tar = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&unpacked).status();
    assert!(tar.expect("starting tar").success());
    files(&unpacked)
}
