//! Outlines of buildings: polygons across tiles, and labels that a service gives page by page.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use super::{counted, example, files, look_alike, told};
use crate::{
    same_bytes::run_name,
    site::{Kind, Site},
};

#[test]
fn building_detection_draws_and_merges_what_it_finds_and_trains_on_no_tile_that_judges_it() {
    let site = Site::new(Kind::Embedded);
    let data = look_alike(&site, "building-detection");
    let file = example("building-detection/pipeline.toml");
    let root = site.path("elsewhere").display().to_string();
    let arguments = [
        "-a",
        "raw_uri",
        &data,
        "-a",
        "processed_uri",
        "unused/",
        "-a",
        "root_uri",
        &root,
        "-a",
        "test",
        "True",
    ];
    let command = ["run", &file, "-m", "nir-r-g", "--workers", "1", "--threads", "2"];
    let run = run_name(&site.swath(&[&command[..], &arguments].concat(), 0).stdout);
    assert!(run.starts_with("building-detection-nir-r-g-test-"), "{run}");
    let made = |key: &str| {
        let path = Path::new(&root).join(key.replace("RUN", &run));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let eval: Value = serde_json::from_slice(&made("eval/RUN/eval.json")).expect("JSON");
    let (names, pixels) = counted(&eval);
    assert_eq!((names, pixels), (["building", "background", "average"].map(String::from).into(), 360_000.0));
    assert!(eval["overall"][0]["gt_count"].as_f64() > Some(0.0), "there are buildings in the square");
    made("predict/RUN/BG32_5K_0807_VAL.tif");
    made("bundle/RUN/bundle.zip");
    for polygons in ["vectors/RUN/BG32_5K_0807_VAL.geojson", "merged/RUN/polygons.geojson"] {
        let polygons: Value = serde_json::from_slice(&made(polygons)).expect("GeoJSON");
        assert_eq!(polygons["type"], "FeatureCollection");
    }

    let many = ["run", &file, "-m", "nir-r-g", "--workers", "1", "--set", "test.min_labels=100000"];
    let none = site.swath(&[&many[..], &arguments].concat(), 1);
    let said = told(&none.stdout) + &told(&none.stderr);
    assert!(said.contains("no square of 600 px has 100000 labels"), "{said}");

    let both = format!("scenes.1.images={data}images/*_TRAIN.tif");
    let refused = site.swath(&["plan", &file, "-m", "nir-r-g", "-a", "raw_uri", &data, "--set", &both], 2);
    assert!(told(&refused.stderr).contains("in validation"), "{}", told(&refused.stderr));
}

/// A process of the test's own.
struct Standing(Child);

impl Drop for Standing {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn labels_come_page_by_page_from_a_service_that_falters_and_its_key_is_kept_nowhere() {
    let script = format!("{}/tests/system/experiments/wfs.py", env!("CARGO_MANIFEST_DIR"));
    let mut service = Command::new("python3");
    service.arg(script).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut service = Standing(service.spawn().expect("starting python3"));
    let mut port = String::new();
    let mut said = BufReader::new(service.0.stdout.take().expect("its output"));
    said.read_line(&mut port).expect("its port");
    // What it says is to leave it running.
    let _reader = std::thread::spawn(move || said.lines().map_while(Result::ok).count());

    let site = Site::new(Kind::Embedded);
    let data = look_alike(&site, "building-detection");
    let url = format!("http://127.0.0.1:{}", port.trim());
    let arguments = [
        ("raw_uri", data.as_str()),
        ("url", url.as_str()),
        ("tile_layer", "1"),
        ("outline_layer", "2"),
        ("source", "It's 2017"),
        ("pause", "0.01"),
    ];
    let file = example("building-detection/labels.toml");
    let mut command = vec!["run", file.as_str(), "--allow-steps", "--workers", "1"];
    command.extend(arguments.iter().flat_map(|(name, value)| ["-a", *name, *value]));
    let output = site.command(&command).env("LDS_API_KEY", "a key/of mine").output().expect("starting swath");
    assert!(output.status.success(), "{}\n{}", told(&output.stderr), site.worker_logs());
    let run = run_name(&output.stdout);
    for tile in ["BG32_5K_0707_TRAIN", "BG32_5K_0708_TRAIN", "BG32_5K_0807_VAL", "BG32_5K_0808_VAL"] {
        let labels = site.object(&format!("steps/{run}/outlines/{tile}/labels.geojson"));
        let labels: Value = serde_json::from_slice(&labels).expect("GeoJSON");
        assert_eq!(labels["features"].as_array().expect("features").len(), 7, "{tile}");
    }
    for file in files(Path::new(&site.root)) {
        let bytes = std::fs::read(&file).unwrap_or_default();
        assert!(!told(&bytes).contains("key/of"), "{} holds the key", file.display());
    }
}
