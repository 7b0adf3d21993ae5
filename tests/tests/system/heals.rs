//! Servers that die, queues that are emptied, ledgers that forget, outputs that vanish: each heals without a
//! hand.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use swath_proto::{item::Stage, keys, status::RunState};

use crate::{
    same_bytes::{reference, run_name},
    shared_servers::Mortal,
    site::{Kind, Made, Process, Site, pipeline},
};

/// Against hanging for ever, not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(600);
/// On a busy machine a worker is late with its lease now and then, and nothing is to be buried for that.
const RUN: &str = "max_failures = 20";
/// A network that takes its time, so that the run outlives what is done to it.
pub const SLOW: [&str; 4] = ["--set", "model.architecture=unet-resnet18", "--set", "predict.margin_px=16"];

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Two workers and a coordinator, and a run of many items.
pub struct Busy {
    pub site: Site,
    pub run: String,
    wanted: fn() -> &'static Made,
    processes: Vec<Process>,
}

impl Busy {
    pub fn start(site: Site) -> Self {
        Self::start_with(site, &[], reference)
    }

    /// With so much work that seconds of it do not matter.
    pub fn start_slow(site: Site) -> Self {
        Self::start_with(site, &SLOW, slow_reference)
    }

    fn start_with(site: Site, settings: &[&str], wanted: fn() -> &'static Made) -> Self {
        let file = pipeline(&site, "item_px = 64", RUN);
        let output = site.swath(&[&["submit", file.to_str().expect("UTF-8")], settings].concat(), 0);
        let run = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let worker = || site.start(&["worker", "--lease", "2", "--grace", "1"]);
        let processes = vec![site.start(&["coordinator"]), worker(), worker()];
        Self { site, run, wanted, processes }
    }

    /// Waits until some outputs are there, and more are to come.
    pub fn wait_for_some(&self) {
        let started = Instant::now();
        while self.site.predicted(&self.run) <= 20 {
            assert!(started.elapsed() < PATIENCE, "nothing gets done");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.processes.iter().for_each(Process::no_more_tries);
    }

    /// The fault has struck a run at work, not one that was over.
    pub fn is_at_work(&self, what: &str) {
        let status = self.site.status(&self.run);
        assert!(!status.is_some_and(|status| status.state.is_final()), "{what}: too late to matter");
    }

    pub fn ends_with_the_same_bytes(&self, what: &str) {
        let status = self.site.wait(&self.run, PATIENCE);
        assert_eq!(status.state, RunState::Done, "{what}: {status:?}");
        Made::of(&self.site, &self.run).assert_same((self.wanted)(), what);
    }
}

fn slow_reference() -> &'static Made {
    static REFERENCE: OnceLock<Made> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let site = Site::new(Kind::Embedded);
        let file = pipeline(&site, "item_px = 256", "");
        let output = site.swath(&[&["run", file.to_str().expect("UTF-8")], &SLOW[..]].concat(), 0);
        Made::of(&site, &run_name(&output.stdout))
    })
}

#[test]
fn a_broker_that_is_killed_and_started_again_loses_nothing() {
    let mut servers = Mortal::start();
    let busy = Busy::start(Site::on(&servers));
    busy.wait_for_some();
    servers.rabbitmq.server.kill();
    busy.is_at_work("the broker was killed");
    std::thread::sleep(Duration::from_secs(1));
    servers.rabbitmq.server.restart();
    busy.ends_with_the_same_bytes("the broker was killed");
}

#[test]
fn a_queue_that_is_purged_is_filled_again() {
    for kind in Kind::ALL {
        let busy = Busy::start(Site::new(kind));
        busy.wait_for_some();
        block_on(async {
            let queue = busy.site.doors().await.queue;
            queue.purge(swath_backends::queue::Lane::Cpu).await.expect("purging");
        });
        busy.is_at_work("the queue was purged");
        busy.ends_with_the_same_bytes("the queue was purged");
    }
}

#[test]
fn a_redis_that_forgets_everything_is_filled_again() {
    let servers = Mortal::start();
    let busy = Busy::start(Site::on(&servers));
    busy.wait_for_some();
    servers.redis.flush();
    busy.is_at_work("Redis was flushed");
    busy.ends_with_the_same_bytes("Redis was flushed");
}

#[test]
fn a_redis_that_is_killed_and_comes_back_empty_is_filled_again() {
    let mut servers = Mortal::start();
    let busy = Busy::start(Site::on(&servers));
    busy.wait_for_some();
    servers.redis.server.kill();
    busy.is_at_work("Redis was killed");
    std::thread::sleep(Duration::from_secs(1));
    servers.redis.server.restart();
    busy.ends_with_the_same_bytes("Redis was killed");
}

#[test]
fn an_output_that_vanishes_before_assembly_is_made_again() {
    for kind in Kind::ALL {
        let busy = Busy::start(Site::new(kind));
        busy.wait_for_some();
        // A predict output that exists: the first that a listing finds.
        let deleted = block_on(async {
            use futures::TryStreamExt as _;
            let blobs = busy.site.doors().await.blobs;
            let outputs: Vec<_> = blobs.list("items/").try_collect().await.expect("listing");
            let is_predict =
                |key: &str| keys::parse_output(key).is_some_and(|(stage, _)| stage == Stage::Predict);
            let n = outputs.len();
            let found = outputs.into_iter().find(|output| is_predict(&output.key));
            let found = found.unwrap_or_else(|| panic!("{kind:?}: none of {n} objects is a predict output"));
            blobs.delete(&found.key).await.expect("deleting");
            found.key
        });
        busy.is_at_work("an output was deleted");
        busy.ends_with_the_same_bytes(&format!("{deleted} was deleted"));
        assert!(!busy.site.object(&deleted).is_empty(), "{deleted} was not made again");
    }
}

#[test]
fn a_worker_that_is_told_to_stop_hands_back_what_it_has_not_finished() {
    for kind in Kind::ALL {
        let site = Site::new(kind);
        let file = pipeline(&site, "item_px = 1024", "");
        let file = file.to_str().expect("UTF-8");
        let slow = [
            "--set",
            "model.architecture=unet-resnet18",
            "--set",
            "predict.core_px=256",
            "--set",
            "predict.margin_px=32",
        ];
        let output = site.swath(&[&["submit", file], &slow[..]].concat(), 0);
        let run = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let _coordinator = site.start(&["coordinator"]);
        // A lease so long that only handing back can free the items in time.
        let mut worker = site.start(&["worker", "--lease", "600", "--grace", "0.2"]);
        let started = Instant::now();
        let held = || {
            block_on(async {
                let ledger = site.doors().await.ledger;
                ledger.held(&run.parse().expect("a run's name")).await.expect("holds")
            })
        };
        while !held().iter().any(|(place, _)| place.stage == Stage::Predict) {
            assert!(started.elapsed() < PATIENCE, "nothing is ever held");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(worker.terminate(), Some(0), "{kind:?}");
        assert_eq!(held(), [], "{kind:?}: it left with items in hand");
        let _next = site.start(&["worker", "--lease", "600"]);
        let status = site.wait(&run, PATIENCE);
        assert_eq!((status.state, status.n_failures), (RunState::Done, 0), "{status:?}");
    }
}
