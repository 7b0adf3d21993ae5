//! Workers and coordinators killed at random, as when the power goes: the same bytes, an exact
//! ledger, nothing buried. The moments are drawn from a fixed seed.

use std::time::{Duration, Instant};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use swath_proto::{item::Stage, status::RunState};

use crate::{
    same_bytes::reference,
    site::{Kind, Made, Process, Site, pipeline},
};

const LEASE: &str = "2";

struct Fleet<'a> {
    site: &'a Site,
    workers: Vec<Process>,
    coordinators: Vec<Process>,
}

impl<'a> Fleet<'a> {
    fn start(site: &'a Site) -> Self {
        let mut fleet = Self { site, workers: Vec::new(), coordinators: Vec::new() };
        (0..3).for_each(|_| fleet.add_worker());
        fleet.add_coordinator();
        fleet
    }

    fn add_worker(&mut self) {
        self.workers.push(self.site.start(&["worker", "--lease", LEASE, "--grace", "1"]));
    }

    fn add_coordinator(&mut self) {
        self.coordinators.push(self.site.start(&["coordinator"]));
    }

    /// Kills one process and starts another in its place. One kill in four hits the coordinator.
    fn kill_one(&mut self, draw: &mut StdRng) {
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

/// Kills until there were `kills`, beginning run after run so that there is always work to disturb.
fn survive(kind: Kind, kills: u32) {
    let mut draw = StdRng::seed_from_u64(20_261_121);
    let site = Site::new(kind);
    let file = pipeline(&site, "item_px = 64", "");
    let file = file.to_str().expect("UTF-8");
    let mut fleet = Fleet::start(&site);
    let (mut killed, mut rounds) = (0, 0);
    while killed < kills {
        rounds += 1;
        // Items of 64 px: some 570 of them a run. Each round has items of its own by its network's seed.
        let seed = format!("model.seed={}", 3 + 1000 * (rounds - 1));
        let output = site.swath(&["submit", file, "--set", &seed], 0);
        let run = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let started = Instant::now();
        while !site.status(&run).is_some_and(|status| status.state.is_final()) && killed < kills {
            std::thread::sleep(Duration::from_millis(draw.random_range(100..900)));
            fleet.kill_one(&mut draw);
            killed += 1;
            assert!(started.elapsed() < Duration::from_secs(300), "{run} does not come to an end");
        }
        let status = site.wait(&run, Duration::from_secs(180));
        assert_eq!(status.state, RunState::Done, "{status:?}");
        for (stage, count) in &status.stages {
            assert_eq!((count.done, count.buried), (count.items, 0), "{stage} after {killed} kills");
        }
        exact(&site, &run, status.stages[Stage::Predict.name()].items);
        if rounds == 1 {
            Made::of(&site, &run).assert_same(reference(), &format!("{kind:?} after {killed} kills"));
        }
    }
    eprintln!("{kind:?}: {killed} kills in {rounds} rounds");
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
