//! Small scenes share items and are written as finished files: the same bytes as when each is cut into parts
//! and assembled, whatever happens on the way.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::OnceLock,
    time::{Duration, Instant},
};

use swath_backends::open::Doors;
use swath_proto::{
    finished::Finished,
    ids::RunId,
    item::{Place, Stage},
    keys,
    status::{RunState, RunStatus},
};
use swath_tests::faults::{self, Fault};

use crate::{
    catalogue,
    failures::submit,
    same_bytes::run_name,
    shape::python,
    site::{Kind, Process, Site, scene},
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
fn a_worker_that_is_killed_between_two_scenes_loses_no_more_than_one() {
    let site = Site::new(Kind::Embedded);
    let tiles = cut(&site);
    let wanted = assembled(SLOW);
    let run = submit(&site, &pipeline(&site, &tiles, ONE, SLOW));
    let _coordinator = site.start(&["coordinator"]);
    let worker = || site.start(&["worker", "--lease", "2"]);
    let mut killed = worker();
    // The eighth is behind it. Whoever predicted that again would fail.
    let ninth = Path::new(&site.root).join(format!("predict/{run}/tile-08.tif"));
    wait_for("the ninth map", || ninth.exists());
    tear(&tiles);
    killed.kill();
    assert!(n_maps(&site, &run) < SCENES, "the worker was too fast to be killed");
    let _worker = worker();
    let status = site.wait(&run, PATIENCE);
    all_done(&status);
    assert_eq!(status.stages["predict"].items, 1);
    assert_same(&files(&site, &run), &wanted, "a worker was killed");
}

#[test]
fn a_torn_scene_fails_alone_and_is_made_when_it_is_mended_and_replayed() {
    let site = Site::new(Kind::Embedded);
    let tiles = cut(&site);
    let whole = tear(&tiles);
    let file = pipeline(&site, &tiles, ONE, TINY);
    let run = run_name(&site.swath(&["run", &file], 3).stdout);
    let status = site.status(&run).expect("a status");
    assert_eq!(status.state, RunState::DoneWithFailures);
    let [failed] = status.failures.as_slice() else { panic!("{:?}", status.failures) };
    assert_eq!(failed.place, Place::new(Stage::Assemble, 0, 7));
    assert_eq!(failed.failure.scene.as_ref().map(|scene| scene.as_str()), Some("tile-07"));
    for stage in ["predict", "eval", "vectorize"] {
        assert_eq!((status.stages[stage].items, status.stages[stage].done), (1, 1), "{stage}");
    }
    assert_eq!(status.pixels - status.pixels_done, 200 * 200);
    let listed = String::from_utf8_lossy(&site.swath(&["items", &run], 0).stdout).into_owned();
    assert!(listed.contains("assemble.0.7") && listed.contains("tile-07"), "{listed}");
    for number in (0..SCENES).filter(|number| *number != 7) {
        let map = |run: &str| format!("predict/{run}/{}.tif", name(number));
        assert!(site.object(&map(&run)) == reference()[&map("RUN")], "{}", name(number));
    }
    let scores: serde_json::Value =
        serde_json::from_slice(&site.object(&format!("eval/{run}/eval.json"))).expect("scores");
    assert_eq!(scores["per_scene"].as_object().map(|scenes| scenes.len()), Some(SCENES - 1));
    std::fs::write(format!("{tiles}/inner.tif"), &whole).expect("mending it");
    site.swath(&["items", &run, "replay", "assemble.0.7"], 0);
    site.swath(&["run", &file], 0);
    all_done(&site.status(&run).expect("a status"));
    assert_same(&files(&site, &run), reference(), "replayed");
}

#[test]
fn a_ledger_that_is_lost_is_filled_again_with_what_has_failed_among_others() {
    let site = Site::new(Kind::Embedded);
    let tiles = cut(&site);
    tear(&tiles);
    let file = pipeline(&site, &tiles, ONE, TINY);
    let run = run_name(&site.swath(&["run", &file], 3).stdout);
    let id: RunId = run.parse().expect("a run's name");
    block_on(async {
        let Doors { ledger, blobs, .. } = site.doors().await;
        ledger.forget(&id).await.expect("forgetting");
        blobs.delete(&keys::status(&id)).await.expect("deleting");
    });
    // While nobody is there who could fail once more.
    let mut coordinator = site.start(&["coordinator"]);
    wait_for("the failure", || site.status(&run).is_some_and(|status| status.n_failures == 1));
    coordinator.terminate();
    site.swath(&["run", &file], 3);
    let status = site.status(&run).expect("a status");
    assert_eq!((status.state, status.n_failures), (RunState::DoneWithFailures, 1), "{status:?}");
    let stages =
        ["predict", "eval", "vectorize"].map(|stage| (status.stages[stage].items, status.stages[stage].done));
    assert_eq!(stages, [(1, 1); 3]);
}

#[test]
fn a_map_that_vanishes_before_it_is_evaluated_is_made_again() {
    let site = Site::new(Kind::Embedded);
    let tiles = cut(&site);
    let file = pipeline(&site, &tiles, ONE, TINY);
    let run = run_name(&site.swath(&["run", &file], 0).stdout);
    let made = files(&site, &run);
    let id: RunId = run.parse().expect("a run's name");
    // As if the coordinator had ended right before the evaluation.
    block_on(async {
        use futures::TryStreamExt as _;
        let Doors { ledger, blobs, .. } = site.doors().await;
        let outputs: Vec<_> = blobs.list("items/").try_collect().await.expect("listing");
        for output in outputs {
            if keys::parse_output(&output.key).is_some_and(|(stage, _)| stage == Stage::Eval) {
                blobs.delete(&output.key).await.expect("deleting");
            }
        }
        for key in [keys::status(&id), keys::eval(&id), format!("predict/{run}/tile-11.tif")] {
            blobs.delete(&key).await.expect("deleting");
        }
        let group = Place::new(Stage::Eval, 0, SCENES as u32);
        assert!(ledger.snapshot(&id).await.expect("a snapshot").done.contains_key(&(Stage::Eval, 0)));
        ledger.reset(&id, &[group]).await.expect("resetting");
    });
    let _processes = [site.start(&["coordinator"]), site.start(&["worker"])];
    all_done(&site.wait(&run, PATIENCE));
    assert_same(&files(&site, &run), &made, "a map had vanished");
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
fn a_scene_that_crashes_its_worker_is_found_and_left_out() {
    let site = Site::new(Kind::Embedded);
    let tiles = cut(&site);
    let run = submit(&site, &pipeline(&site, &tiles, ONE, TINY));
    let _coordinator = site.start(&["coordinator"]);
    let _worker = site.start_with(&["worker"], faults::environment(Fault::Crash, "tile-05.tif"));
    let status = site.wait(&run, PATIENCE);
    assert_eq!(status.state, RunState::DoneWithFailures);
    let [failed] = status.failures.as_slice() else { panic!("{:?}", status.failures) };
    assert_eq!(failed.place, Place::new(Stage::Assemble, 0, 5));
    assert!(failed.failure.message.contains("its worker was ended"), "{}", failed.failure.message);
    assert_eq!(n_maps(&site, &run), SCENES - 1);
    // Once while nobody looked, and once more to be found.
    assert_eq!(site.log().matches("ended by SIGSEGV; starting it again").count(), 2, "{}", site.log());
    let begun = keys::begun(&run.parse().expect("a run's name"), Place::new(Stage::Predict, 0, 0));
    assert!(!Path::new(&site.root).join(begun).exists());
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

/// The most memory that a process has had.
fn peak_mib(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

#[test]
#[ignore = "minutes long: eleven thousand scenes, by hand"]
fn eleven_thousand_scenes_go_through_a_few_hundred_messages() {
    const MANY: u64 = 11_481;
    let site = Site::new(Kind::Embedded);
    let tiles = site.path("tiles");
    std::fs::create_dir(&tiles).expect("a folder");
    let one = site.path("one.tif");
    let script = "import sys\nfrom osgeo import gdal\ngdal.Translate(sys.argv[2], sys.argv[1], srcWin=[300, 300, 64, 64])\n";
    python(script, &[scene().join("scene-1.tif").to_str().expect("UTF-8"), one.to_str().expect("UTF-8")]);
    for number in 0..MANY {
        std::fs::copy(&one, tiles.join(format!("tile-{number:05}.tif"))).expect("copying a tile");
    }
    let text = format!(
        r##"
name = "many"
scenes = [{{ images = "{}/*.tif" }}]
classes = [
    {{ name = "background", color = "#202020", null = true }},
    {{ name = "building", color = "#ff8800" }},
]
[model]
architecture = "tiny"
seed = 3
[predict]
core_px = 64
block_px = 64
margin_px = 8
batch = 1
"##,
        tiles.display()
    );
    let file = site.path("many.toml");
    std::fs::write(&file, text).expect("writing the pipeline");
    let started = Instant::now();
    let run = site.swath(&["submit", file.to_str().expect("UTF-8")], 0).stdout;
    let run = String::from_utf8_lossy(&run).trim().to_owned();
    eprintln!("submitted in {:.1} s", started.elapsed().as_secs_f64());
    let (started, coordinator) = (Instant::now(), site.start(&["coordinator"]));
    let _worker = site.start(&["worker"]);
    let done = |stage: &str| {
        let status = site.status(&run)?;
        let count = *status.stages.get(stage)?;
        (count.done == count.items && count.items > 0).then_some(count.items)
    };
    wait_for("the survey", || done("survey").is_some());
    eprintln!("{} surveys in {:.1} s", done("survey").unwrap_or(0), started.elapsed().as_secs_f64());
    let status = site.wait(&run, Duration::from_secs(3600));
    all_done(&status);
    let count = |stage: &str| status.stages[stage].items;
    eprintln!(
        "{} to survey, {} to predict, {} to assemble: {:.1} s, the coordinator at {} MiB at most",
        count("survey"),
        count("predict"),
        count("assemble"),
        started.elapsed().as_secs_f64(),
        peak_mib(&coordinator)
    );
    assert!(count("survey") + count("predict") <= 500 && count("assemble") == 0);
    assert_eq!(n_maps(&site, &run) as u64, MANY);
}
