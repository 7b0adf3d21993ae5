//! From labelled scenes to a trained model, a map, polygons and a bundle, in one command.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::OnceLock,
};

use swath_proto::{item::Stage, keys, status::RunState};

use crate::site::{Kind, Site, scene};

/// Half of the scene's polygons may be anywhere: what is learnt here is little, and that is not what is shown.
pub fn pipeline(site: &Site) -> String {
    let scene = scene().display().to_string();
    let text = format!(
        r##"
name = "learn"
stages = ["survey", "analyze", "chip", "train", "predict", "assemble", "eval", "vectorize", "bundle"]
scenes = [
    {{ id = "seen", image = "{scene}/scene-1.tif", labels = "{scene}/scene-1.geojson", group = "train" }},
    {{ id = "unseen", image = "{scene}/scene-2.tif", labels = "{scene}/scene-2.geojson", group = "validation" }},
]
classes = [
    {{ name = "background", color = "#202020", null = true }},
    {{ name = "building", color = "#ff8800" }},
]

[data]
scale = "stats"

[model]
architecture = "tiny"

[chips]
size = 96
target_classes = ["building"]
target_count_threshold = 1
negative_survival_prob = 0.5

[train]
epochs = 4
class_weights = {{ building = 10.0 }}
lr = 0.01

[predict]
core_px = 256
block_px = 256
margin_px = 32
scores = true

[vectorize]
denoise_px = 2
formats = ["geojson", "geoparquet"]
"##
    );
    let file = site.path("learn.toml");
    std::fs::write(&file, text).expect("writing the pipeline");
    file.to_str().expect("UTF-8").to_owned()
}

/// What a run leaves for people, and what it has learnt from.
pub struct Made {
    classes: Vec<u8>,
    pub polygons: Vec<u8>,
    pub parquet: Vec<u8>,
    pub bundle: Vec<u8>,
    pub eval: Vec<u8>,
    /// Files under `chips/`, by name; not of servers.
    pub chips: BTreeMap<String, Vec<u8>>,
}

/// By one worker, in a folder.
pub fn here() -> &'static Made {
    static HERE: OnceLock<Made> = OnceLock::new();
    HERE.get_or_init(|| learn(Kind::Embedded, "1"))
}

fn learn(kind: Kind, workers: &str) -> Made {
    let site = Site::new(kind);
    let output = site.swath(&["run", &pipeline(&site), "--workers", workers], 0);
    let run = crate::same_bytes::run_name(&output.stdout);
    let status = site.status(&run).expect("a status");
    assert_eq!(status.state, RunState::Done, "{status:?}");
    for stage in [
        Stage::Analyze,
        Stage::Chip,
        Stage::Train,
        Stage::Predict,
        Stage::Eval,
        Stage::Vectorize,
        Stage::Bundle,
    ] {
        let count = status.stages[stage.name()];
        assert!(count.items > 0 && count.done == count.items, "{stage}: {count:?}");
    }
    look(&site, &run);
    let id = run.parse().expect("a run's name");
    Made {
        classes: site.object(&format!("predict/{run}/unseen.tif")),
        polygons: site.object(&format!("vectors/{run}/unseen.geojson")),
        parquet: site.object(&format!("vectors/{run}/unseen.parquet")),
        eval: site.object(&keys::eval(&id)),
        chips: chips(&site),
        bundle: site.object(&keys::bundle(&id)),
    }
}

/// Holds the run against what colour alone can do, and puts it in a picture.
fn look(site: &Site, run: &str) {
    let output = site.swath(&["baseline", run], 0);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.lines().any(|line| line.starts_with("building    colour")), "{table}");
    let scores = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&site.object(&format!("eval/{run}/{name}.json"))).expect("scores")
    };
    let (network, colour) = (scores("eval"), scores("baseline"));
    for class in 0..2 {
        let count = |scores: &serde_json::Value| scores["overall"][class]["gt_count"].as_f64();
        assert!(count(&network) > Some(0.0));
        assert_eq!(count(&network), count(&colour), "both are held against the same labels");
    }
    assert!(colour["overall"][1]["metrics"]["f1"].as_f64() > Some(0.1), "colour finds something: {table}");

    site.swath(&["picture", run, "-o", "picture.png"], 0);
    let png = std::fs::read(site.path("picture.png")).expect("a picture");
    // Four panels of 750 px for the scene of 1,500, and a margin around each.
    assert_eq!(png[16..20], (16 + 4 * (750_u32 + 16)).to_be_bytes());
    let output = site.swath(&["picture", run, "nowhere"], 2);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("predicts no scene 'nowhere'; it predicts unseen"), "{told}");
}

#[test]
fn a_run_learns_predicts_draws_and_packs_and_does_the_same_on_servers() {
    let (here, there) = (here(), learn(Kind::Servers, "2"));
    assert!(here.classes == there.classes, "the map depends on where and by how many it was made");
    assert!(here.polygons == there.polygons && here.parquet == there.parquet, "the polygons do");
    let collection: serde_json::Value = serde_json::from_slice(&here.polygons).expect("GeoJSON");
    assert_eq!(collection["type"], "FeatureCollection");
    let open = |bytes| swath_bundle::Bundle::from_bytes("bundle.zip", bytes).expect("a bundle");
    let (here, there) = (open(here.bundle.clone()), open(there.bundle));
    assert_eq!(here.weights_sha256(), there.weights_sha256(), "the weights do");
    assert_eq!(here.model().classes[1].name, "building");
    assert!(here.eval().is_some(), "a bundle says how good its model is");
}

#[test]
fn a_run_that_is_killed_while_it_learns_goes_on_and_cuts_no_chip_twice() {
    let site = Site::new(Kind::Embedded);
    let file = pipeline(&site);
    let args = ["run", &file, "--workers", "2"];
    let mut chips = None;
    for pause_ms in [1500, 2500, 4000] {
        let mut process = site.start(&args);
        std::thread::sleep(std::time::Duration::from_millis(pause_ms));
        process.kill();
        chips = Some(chip_files(&site));
    }
    site.swath(&args, 0);
    let after = chip_files(&site);
    assert!(chips.expect("files").is_subset(&after), "a shard was taken away");
    let n_shards = after.iter().filter(|name| name.ends_with(".tar")).count();
    // 16 x 16 windows of 96 px a scene of 1,500 px, and 512 a shard.
    assert_eq!(n_shards, 2, "{after:?}");
}

#[test]
fn a_shard_that_is_gone_is_cut_again_before_the_training() {
    let site = Site::new(Kind::Embedded);
    let file = pipeline(&site);
    site.swath(&["run", &file, "--workers", "1", "--stages", "survey,analyze,chip"], 0);
    let whole = chip_files(&site);
    let tar = whole.iter().find(|name| name.ends_with(".tar")).expect("a shard");
    let folder = &tar["shard-".len()..][..2];
    std::fs::remove_file(std::path::Path::new(&site.root).join("chips").join(folder).join(tar))
        .expect("deleting");
    site.swath(&["run", &file, "--workers", "1"], 0);
    assert_eq!(chip_files(&site), whole);
}

fn chip_files(site: &Site) -> BTreeSet<String> {
    chips(site).into_keys().collect()
}

/// All files under `chips/` of a folder.
pub fn chips(site: &Site) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let folders = std::fs::read_dir(Path::new(&site.root).join("chips"));
    for folder in folders.into_iter().flatten().flatten() {
        for file in std::fs::read_dir(folder.path()).into_iter().flatten().flatten() {
            let bytes = std::fs::read(file.path()).expect("a file of chips");
            found.insert(file.file_name().to_string_lossy().into_owned(), bytes);
        }
    }
    found
}
