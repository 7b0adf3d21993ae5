//! A training that begins with the first chips, while a worker that cuts others stands still: then that is killed, or
//! what it holds is set aside.

use std::{
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use swath_proto::{
    ids::WorkerId,
    item::{Place, Stage, Weights},
    keys,
    learn::Training,
    outcome::{Failure, FailureClass},
    run::RunRecord,
    status::RunState,
};

use crate::{
    failures::submit,
    heals::block_on,
    site::{Kind, Process, Site, scene},
    stragglers::{signal, stop_with_items_in_hand},
};

const PATIENCE: Duration = Duration::from_secs(180);
/// Shards whose chips the first epoch mixes.
const MIXED: u32 = 8;

/// Scenes enough for three times as many shards, and one to validate on.
fn pipeline(site: &Site) -> String {
    let folder = scene().display().to_string();
    let mut text = String::from(
        r##"
name = "early"
stages = ["survey", "chip", "train"]
classes = [
    { name = "background", color = "#202020", null = true },
    { name = "building", color = "#ff8800" },
]

[model]
architecture = "tiny"

[chips]
windows = "random"
size = 96
max_windows = 96

[train]
epochs = 2
lr = 0.01
start = "with_chips"
"##,
    );
    let mut add = |id: String, number: u32, group: &str| {
        let files =
            format!("image = \"{folder}/scene-{number}.tif\"\nlabels = \"{folder}/scene-{number}.geojson\"");
        writeln!(text, "\n[[scenes]]\nid = \"{id}\"\n{files}\ngroup = \"{group}\"").expect("a string");
    };
    (0..3 * MIXED).for_each(|number| add(format!("s{number:02}"), 1, "train"));
    add("unseen".into(), 2, "validation");
    let file = site.path("early.toml");
    std::fs::write(&file, text).expect("writing the pipeline");
    file.to_str().expect("UTF-8").to_owned()
}

/// The content of the weights that a run has trained.
fn weights(site: &Site, run: &str) -> Weights {
    let record = site.object(&keys::run_record(&run.parse().expect("a run's name")));
    RunRecord::from_json(&record).expect("a record").predict.model.weights
}

/// A run whose training waits for a chip item.
struct Waiting {
    site: Site,
    run: String,
    /// Of the worker that stands still with that item in its hands.
    pid: i32,
    _processes: [Process; 3],
}

impl Waiting {
    fn begin() -> Self {
        let site = Site::new(Kind::Embedded);
        let run = submit(&site, &pipeline(&site));
        let coordinator = site.start(&["coordinator"]);
        let cuts = site.start(&["worker", "--slots", "1", "--lease", "3600"]);
        // What it holds by then comes after the shards that are mixed first.
        let pid = stop_with_items_in_hand(&site, &run, Stage::Chip, MIXED + 1);
        let trains = site.start(&["worker", "--lease", "10"]);
        let started = Instant::now();
        let status = loop {
            let waits =
                |training: &Training| training.step > 0 && training.waits_for.is_some_and(|items| items > 0);
            let status = site.status(&run).filter(|status| status.training.as_ref().is_some_and(waits));
            if let Some(status) = status {
                break status;
            }
            assert!(started.elapsed() < PATIENCE, "it never waits for chips\n{}", site.log());
            std::thread::sleep(Duration::from_millis(100));
        };
        let chips = status.stages[Stage::Chip.name()];
        assert!(chips.done < chips.items, "nothing is left to wait for: {chips:?}");
        Self { site, run, pid, _processes: [coordinator, cuts, trains] }
    }

    /// What the worker that stands still has in its hands.
    fn held(&self) -> (Place, WorkerId) {
        block_on(async {
            let ledger = self.site.doors().await.ledger;
            let held = ledger.held(&self.run.parse().expect("a run's name")).await.expect("holds");
            let is_its = |worker: &WorkerId| {
                worker.as_str().rsplit('-').nth(1).is_some_and(|pid| pid == self.pid.to_string())
            };
            held.into_iter().find(|(_, worker)| is_its(worker)).expect("it holds something")
        })
    }
}

#[test]
fn a_training_begins_before_the_last_chip_is_cut_and_ends_as_one_that_began_after_it() {
    let Waiting { site, run, pid, _processes } = Waiting::begin();
    signal(pid, libc::SIGKILL);
    let status = site.wait(&run, PATIENCE);
    assert_eq!((status.state, status.n_failures), (RunState::Done, 0), "{status:?}");
    assert!(site.log().contains(" is_all=false") && site.log().contains(" is_all=true"), "{}", site.log());

    let after = Site::new(Kind::Embedded);
    let file = pipeline(&after);
    after.swath(&["run", &file, "--workers", "1", "--stages", "survey,chip"], 0);
    let output = after.swath(&["run", &file, "--workers", "1"], 0);
    let other = crate::same_bytes::run_name(&output.stdout);
    let log = std::fs::read_to_string(Path::new(&after.root).join("local/logs/worker-1.log"));
    let log = log.expect("what the worker has said");
    assert!(log.contains(" is_all=true") && !log.contains(" is_all=false"), "it has begun with all of them");
    assert_ne!(weights(&after, &other), Weights::Trained);
    assert_eq!(weights(&site, &run), weights(&after, &other), "the weights depend on when chips come");
}

#[test]
fn a_training_does_not_wait_for_a_chip_item_that_is_set_aside() {
    let waiting = Waiting::begin();
    let (place, worker) = waiting.held();
    let Waiting { site, run, pid, _processes } = waiting;
    let failure =
        Failure { class: FailureClass::Data, message: "torn".into(), scene: None, rect: None, worker };
    block_on(async {
        let ledger = site.doors().await.ledger;
        let buried = ledger.bury(&run.parse().expect("a run's name"), place, 1, &failure).await;
        assert!(buried.expect("a grave"), "{place} is done");
    });
    let status = site.wait(&run, PATIENCE);
    assert_eq!((status.state, status.n_failures), (RunState::DoneWithFailures, 1), "{status:?}");
    let told = format!("{place} was set aside, which it was to learn from");
    assert!(site.log().contains(&told), "{}", site.log());
    assert_ne!(weights(&site, &run), Weights::Trained);
    signal(pid, libc::SIGKILL);
}
