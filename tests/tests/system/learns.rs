//! From labelled scenes to a trained model, a map, polygons and a bundle, in one command.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::OnceLock,
    time::{Duration, Instant},
};

use swath_proto::{
    item::{Place, Stage},
    keys,
    status::RunState,
};

use crate::{
    failures::submit,
    heals::block_on,
    site::{Kind, Process, Site, scene},
};

const PATIENCE: Duration = Duration::from_secs(180);

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
    /// The catalogue, and all that it leads to: by key.
    pub catalogue: BTreeMap<String, Vec<u8>>,
    /// Files under `chips/`, by name; not of servers.
    pub chips: BTreeMap<String, Vec<u8>>,
}

impl Made {
    fn of(site: &Site, run: &str) -> Self {
        let id = run.parse().expect("a run's name");
        let told =
            [keys::stac_collection(&id), keys::stac_model(&id), format!("stac/{run}/items/unseen.json")];
        let made = ["", ".scores"].map(|of| format!("predict/{run}/unseen{of}.tif"));
        let drawn = ["geojson", "parquet"].map(|of| format!("vectors/{run}/unseen.{of}"));
        let record = site.object(&keys::run_record(&id));
        let record = swath_proto::run::RunRecord::from_json(&record).expect("a record");
        let weights = keys::model(&record.predict.model.weights);
        let others = [keys::bundle(&id), keys::eval(&id), keys::run_record(&id)];
        let all = told.into_iter().chain(made).chain(drawn).chain(weights).chain(others);
        Self {
            catalogue: all.map(|key| (key.clone(), site.object(&key))).collect(),
            classes: site.object(&format!("predict/{run}/unseen.tif")),
            polygons: site.object(&format!("vectors/{run}/unseen.geojson")),
            parquet: site.object(&format!("vectors/{run}/unseen.parquet")),
            eval: site.object(&keys::eval(&id)),
            chips: chips(site),
            bundle: site.object(&keys::bundle(&id)),
        }
    }
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
    Made::of(&site, &run)
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
fn a_run_that_is_killed_while_it_learns_goes_on_where_it_was() {
    let site = Site::new(Kind::Embedded);
    let run = submit(&site, &pipeline(&site));
    let programs = [["worker", "--lease", "2"], ["coordinator", "--lease", "2"]];
    let start = || programs.map(|args| site.start(&args));
    let has_shard = || chip_files(&site).iter().any(|name| name.ends_with(".tar"));
    let has_checkpoint = || {
        let trainings = std::fs::read_dir(Path::new(&site.root).join("train"));
        let mut trainings = trainings.into_iter().flatten().flatten();
        trainings.any(|training| {
            std::fs::read_dir(training.path().join("checkpoints"))
                .is_ok_and(|mut files| files.next().is_some())
        })
    };
    let moments: [(&str, &dyn Fn() -> bool); 2] = [("a shard", &has_shard), ("an epoch", &has_checkpoint)];
    for (what, is_there) in moments {
        let mut processes = start();
        let started = Instant::now();
        while !is_there() {
            assert!(started.elapsed() < PATIENCE, "{what} never comes\n{}", site.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        processes.iter_mut().for_each(Process::kill);
        let snapshot = block_on(async {
            let ledger = site.doors().await.ledger;
            ledger.snapshot(&run.parse().expect("a run's name")).await.expect("a snapshot")
        });
        assert!(!snapshot.is_done(Place::new(Stage::Train, 0, 0)), "{what}: it had learnt all by then");
    }
    let told = site.log().len();
    let _processes = start();
    let status = site.wait(&run, PATIENCE);
    assert_eq!((status.state, status.n_failures), (RunState::Done, 0), "{status:?}");
    let log = site.log();
    assert!(log[told..].contains(" epoch=4 ") && !log[told..].contains(" epoch=1 "), "{log}");
    let (made, wanted) = (Made::of(&site, &run), here());
    assert!(made.chips == wanted.chips, "other shards than without a kill");
    assert!(made.classes == wanted.classes && made.polygons == wanted.polygons, "another map");
}

#[test]
fn a_run_trains_on_two_ranks_and_goes_on_when_one_is_killed() {
    let site = Site::new(Kind::Embedded);
    let file = pipeline(&site);
    let running = site.start(&["run", &file, "--workers", "1", "--ranks", "2"]);
    let started = Instant::now();
    let second = loop {
        if let Some(pid) = rank_process(&site, 1) {
            break pid;
        }
        assert!(started.elapsed() < PATIENCE, "there is no second rank\n{}", site.worker_logs());
        std::thread::sleep(Duration::from_millis(5));
    };
    // SAFETY: a process of this test's.
    unsafe { libc::kill(second, libc::SIGKILL) };
    while !running.has_ended() {
        assert!(started.elapsed() < PATIENCE, "it does not end\n{}", site.worker_logs());
        std::thread::sleep(Duration::from_millis(50));
    }
    let log = site.worker_logs();
    assert!(log.contains("rank 1 was killed") && log.contains("all ranks are started again"), "{log}");
    assert!(log.contains(" epoch=4 "), "{log}");
    let told: serde_json::Value =
        serde_json::from_slice(&site.swath(&["status", "--json"], 0).stdout).expect("JSON");
    assert_eq!(told["status"]["state"], "done", "{told}");
}

/// The process of a rank that works under this site's root.
fn rank_process(site: &Site, rank: u32) -> Option<i32> {
    let wanted = [format!("SWATH_ROOT={}", site.root), format!("RANK={rank}")];
    let is_it = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let variables: Vec<_> = environment.split(|byte| *byte == 0).collect();
        wanted.iter().all(|wanted| variables.contains(&wanted.as_bytes()))
    };
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).find(is_it)
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

#[test]
fn chips_that_are_stored_as_they_are_have_the_same_pixels_in_other_bytes() {
    let site = Site::new(Kind::Embedded);
    let command = ["run", &pipeline(&site), "--workers", "1", "--stages", "survey,analyze,chip"];
    site.swath(&command, 0);
    let compressed = chips(&site);
    site.swath(&[&command[..], &["--set", "chips.encoding=stored"]].concat(), 0);
    let stored: BTreeMap<_, _> =
        chips(&site).into_iter().filter(|(name, _)| !compressed.contains_key(name)).collect();
    assert_eq!(read(&stored), read(&compressed));
    let len = |files: &BTreeMap<String, Vec<u8>>| files.values().map(Vec::len).sum::<usize>();
    assert!(len(&stored) > len(&compressed), "{} and {} bytes", len(&stored), len(&compressed));
}

/// The pixels of all chips, whatever shard they are in.
fn read(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, (Vec<u8>, Vec<u8>)> {
    let mut read = BTreeMap::new();
    for (name, tar) in files.iter().filter(|(name, _)| name.ends_with(".tar")) {
        let index = &files[&name.replace(".tar", ".idx")];
        let index = swath_shard::Index::parse(index).expect("an index");
        for entry in index.chips() {
            let range = entry.range();
            let chip = swath_shard::read_chip(&tar[range.start as usize..range.end as usize], entry);
            let chip = chip.expect("a chip");
            read.insert(entry.key().to_string(), (chip.image.into_bytes(), chip.labels));
        }
    }
    read
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
