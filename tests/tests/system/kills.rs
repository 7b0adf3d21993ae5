//! Workers and coordinators killed at random, as when the power goes: the same bytes, an exact
//! ledger, nothing buried. The moments are drawn from a fixed seed.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use swath_proto::{item::Stage, keys, status::RunState};

use crate::{
    learns,
    same_bytes::{reference, run_name},
    site::{Kind, Made, Process, Site, pipeline},
};

const LEASE: &str = "2";
/// A fleet that has got nothing done for so long is disturbed all the same.
const STUCK: Duration = Duration::from_secs(4);
/// Against hanging for ever, not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(600);

pub struct Fleet<'a> {
    site: &'a Site,
    workers: Vec<Process>,
    /// Two, so that one takes over from the other while that one may still believe it leads.
    coordinators: Vec<Process>,
}

impl<'a> Fleet<'a> {
    pub fn start(site: &'a Site) -> Self {
        let mut fleet = Self { site, workers: Vec::new(), coordinators: Vec::new() };
        (0..3).for_each(|_| fleet.add_worker());
        (0..2).for_each(|_| fleet.add_coordinator());
        fleet
    }

    fn add_worker(&mut self) {
        self.workers.push(self.site.start(&["worker", "--lease", LEASE, "--grace", "1"]));
    }

    fn add_coordinator(&mut self) {
        self.coordinators.push(self.site.start(&["coordinator", "--lease", LEASE]));
    }

    /// Kills one process and starts another in its place. One kill in four hits a coordinator.
    pub fn kill_one(&mut self, draw: &mut StdRng) {
        if draw.random_bool(0.25) {
            let at = draw.random_range(0..self.coordinators.len());
            self.coordinators.swap_remove(at).kill();
            self.add_coordinator();
        } else {
            let at = draw.random_range(0..self.workers.len());
            self.workers.swap_remove(at).kill();
            self.add_worker();
        }
    }
}

/// Kills until there were `kills` that hit a run at work: a new root for every round, some 570 items each.
fn survive(kind: Kind, kills: u32) {
    let mut draw = StdRng::seed_from_u64(20_261_121);
    let (mut killed, mut rounds) = (0, 0);
    while killed < kills {
        rounds += 1;
        killed += round(kind, kills - killed, &mut draw);
        assert!(rounds <= kills, "the rounds end before anything can be killed");
    }
    eprintln!("{kind:?}: {killed} kills in {rounds} rounds");
}

/// One run from beginning to end. Returns how often it was hit.
fn round(kind: Kind, most: u32, draw: &mut StdRng) -> u32 {
    let site = Site::new(kind);
    let file = pipeline(&site, "item_px = 64", "");
    let output = site.swath(&["submit", file.to_str().expect("UTF-8")], 0);
    let run = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let mut fleet = Fleet::start(&site);
    let mut killed = 0;
    while killed < most && wait_for_progress(&site, &run, draw.random_range(20..120)) {
        std::thread::sleep(Duration::from_millis(draw.random_range(0..60)));
        fleet.kill_one(draw);
        killed += 1;
    }
    let status = site.wait(&run, PATIENCE);
    assert_eq!(status.state, RunState::Done, "{status:?}");
    for (stage, count) in &status.stages {
        assert_eq!((count.done, count.buried), (count.items, 0), "{stage} after {killed} kills");
    }
    exact(&site, &run, status.stages[Stage::Predict.name()].items);
    Made::of(&site, &run).assert_same(reference(), &format!("{kind:?} after {killed} kills"));
    killed
}

/// Waits until so many items more are done. False: the run is over.
fn wait_for_progress(site: &Site, run: &str, items: u32) -> bool {
    let done = || site.predicted(run);
    let (started, before) = (Instant::now(), done());
    loop {
        if site.status(run).is_some_and(|status| status.state.is_final()) {
            return false;
        }
        if done() >= before + items || started.elapsed() > STUCK {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The ledger's bits say what is true: every predict item once, and nobody holds anything.
fn exact(site: &Site, run: &str, n_predict: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let run = run.parse().expect("a run's name");
        let ledger = site.doors().await.ledger;
        let snapshot = ledger.snapshot(&run).await.expect("a snapshot");
        let bits: u32 = snapshot.done[&(Stage::Predict, 0)].iter().map(|byte| byte.count_ones()).sum();
        assert_eq!(u64::from(bits), n_predict);
        assert!(snapshot.buried.is_empty());
        assert_eq!(ledger.held(&run).await.expect("holds"), []);
    });
}

#[test]
fn a_few_kills_change_nothing_on_the_embedded_twins() {
    survive(Kind::Embedded, 6);
}

#[test]
fn a_few_kills_change_nothing_on_servers() {
    survive(Kind::Servers, 6);
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn fifty_kills_change_nothing_on_the_embedded_twins() {
    survive(Kind::Embedded, 50);
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn fifty_kills_change_nothing_on_servers() {
    survive(Kind::Servers, 50);
}

/// What a run that trains leaves under its root, and where.
struct Learnt {
    files: BTreeMap<String, Vec<u8>>,
    weights: BTreeMap<String, Vec<f32>>,
}

impl Learnt {
    fn of(site: &Site, run: &str) -> Self {
        let names = ["predict/RUN/unseen.tif", "predict/RUN/unseen.scores.tif", "eval/RUN/eval.json"];
        let names = names.into_iter().chain(["vectors/RUN/unseen.geojson", "vectors/RUN/unseen.parquet"]);
        let object = |name: &str| (name.to_owned(), site.object(&name.replace("RUN", run)));
        let mut files: BTreeMap<String, Vec<u8>> = names.map(object).collect();
        let chips = learns::chips(site);
        assert_no_chip_twice(&chips);
        files.extend(chips);
        let bundle = site.object(&keys::bundle(&run.parse().expect("a run's name")));
        let bundle = swath_bundle::Bundle::from_bytes("bundle.zip", bundle);
        let tensors = bundle.and_then(|bundle| bundle.weights()).expect("a bundle");
        let values = |name: &str| (name.to_owned(), tensors.f32(name).expect("numbers"));
        Self { files, weights: tensors.names().map(values).collect() }
    }

    fn assert_same(&self, other: &Self, what: &str) {
        let names = |made: &Self| made.files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(self), names(other), "{what}: other files");
        for (name, bytes) in &self.files {
            assert!(*bytes == other.files[name], "{what}: {name} differs");
        }
        assert!(!self.weights.is_empty() && self.weights.keys().eq(other.weights.keys()), "{what}: tensors");
        for (name, values) in &self.weights {
            let theirs = &other.weights[name];
            assert_eq!(values.len(), theirs.len(), "{what}: {name}");
            let far = values.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far <= 1e-6, "{what}: {name} is {far} off");
        }
    }
}

/// No chip is in two shards.
fn assert_no_chip_twice(files: &BTreeMap<String, Vec<u8>>) {
    let mut chips = HashSet::new();
    for (_, bytes) in files.iter().filter(|(name, _)| name.ends_with(".idx")) {
        let index: serde_json::Value = serde_json::from_slice(bytes).expect("an index");
        for chip in index["chips"].as_array().expect("chips") {
            let key = chip["key"].as_str().expect("a key");
            assert!(chips.insert(key.to_owned()), "{key} is there twice");
        }
    }
    assert!(!chips.is_empty());
}

/// The whole way, survey to bundle, by `swath run` with two workers, killed with all its children.
fn learn_and_survive(kills: u32) {
    let seed = std::env::var("SWATH_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    eprintln!("SWATH_SEED={seed}");
    let mut draw = StdRng::seed_from_u64(seed);
    let args = |site: &Site| ["run".to_owned(), learns::pipeline(site), "--workers".into(), "2".into()];
    let undisturbed = Site::new(Kind::Embedded);
    let started = Instant::now();
    let made = |site: &Site| {
        let args = args(site);
        let output = site.swath(&args.each_ref().map(String::as_str), 0);
        let run = run_name(&output.stdout);
        let status = site.status(&run).expect("a status");
        assert_eq!(status.state, RunState::Done, "{status:?}");
        for (stage, count) in &status.stages {
            assert_eq!((count.done, count.buried), (count.items, 0), "{stage}");
        }
        Learnt::of(site, &run)
    };
    let wanted = made(&undisturbed);
    let longest = started.elapsed();
    let (mut killed, mut rounds) = (0, 0);
    while killed < kills {
        rounds += 1;
        assert!(rounds <= kills, "the rounds end before anything can be killed");
        let (site, before) = (Site::new(Kind::Embedded), killed);
        let args = args(&site);
        while killed < kills {
            let mut process = site.start_group(&args.each_ref().map(String::as_str));
            let until = Instant::now() + longest.mul_f64(draw.random_range(0.0..1.0));
            while Instant::now() < until && !process.has_ended() {
                std::thread::sleep(Duration::from_millis(5));
            }
            if process.has_ended() {
                break;
            }
            process.kill_group();
            killed += 1;
        }
        made(&site).assert_same(&wanted, &format!("round {rounds} of seed {seed}"));
        eprintln!("round {rounds}: {} kills, the same bytes", killed - before);
    }
}

#[test]
#[ignore = "minutes long: make test-faults"]
fn twenty_kills_of_a_run_that_trains_change_nothing_and_cut_no_chip_twice() {
    learn_and_survive(20);
}
