//! Many runs on one fleet: who may publish, and how much. The coordinators are in this process, so that what they
//! publish can be counted.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use swath_backends::open::Doors;
use swath_coordinator::{records::read_status, run::Me, serve::serve};
use swath_proto::{
    ids::RunId,
    item::Place,
    status::{RunState, RunStatus},
};
use tokio_util::sync::CancellationToken;

use crate::{
    counted::{Published, noops},
    site::{Kind, Site},
};

const PATIENCE: Duration = Duration::from_secs(120);

fn multi_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

async fn until<T>(what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found().await {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Coordinators of this process, until they are dropped.
struct Coordinators(CancellationToken);

impl Coordinators {
    fn start(names: &[&str], doors: &Doors) -> Self {
        let stop = CancellationToken::new();
        for name in names {
            // So long that none loses its office on a busy machine.
            let me = Me { name: name.parse().expect("a name"), lease: Duration::from_secs(60), prices: None };
            tokio::spawn(serve(doors.clone(), me, stop.clone()));
        }
        Self(stop)
    }
}

impl Drop for Coordinators {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

async fn over(doors: &Doors, run: &RunId) -> RunStatus {
    until("the end of a run", async || {
        let status = read_status(&doors.blobs, run).await.expect("a status");
        status.filter(|status| status.state.is_final())
    })
    .await
}

fn n(published: &BTreeMap<Place, usize>) -> usize {
    published.values().sum()
}

#[test]
fn two_coordinators_started_by_mistake_publish_nothing_twice() {
    const N: u32 = 600;
    for kind in Kind::ALL {
        let site = Site::new(kind);
        multi_thread().block_on(async {
            let (doors, published) = (site.doors().await, [Published::default(), Published::default()]);
            let start = |(name, of): (&str, &Published)| Coordinators::start(&[name], &of.through(&doors));
            let _coordinators: Vec<_> = ["one", "two"].into_iter().zip(&published).map(start).collect();
            let runs = [noops(&site, &doors, "a", N).await, noops(&site, &doors, "b", N).await];
            let _worker = site.start(&["worker", "--slots", "16"]);
            for run in &runs {
                assert_eq!(over(&doors, run).await.state, RunState::Done);
                // What is published again by the same one has a reason.
                let places = published.each_ref().map(|published| published.of(run).len());
                let by: Vec<usize> = places.into_iter().filter(|places| *places > 0).collect();
                assert_eq!(by, [N as usize], "{kind:?}: places of {run} that each has published");
            }
        });
    }
}

#[test]
fn a_run_that_is_put_in_front_gets_what_is_published_next() {
    for kind in Kind::ALL {
        let site = Site::new(kind);
        multi_thread().block_on(async {
            let (doors, published) = (site.doors().await, Published::default());
            let doors = published.through(&doors);
            let _coordinators = Coordinators::start(&["one"], &doors);
            let first = noops(&site, &doors, "first", 500).await;
            let of = |run: &RunId| n(&published.of(run));
            // Nobody works yet, so that all stands still.
            until("a first window", async || (of(&first) == 16).then_some(())).await;
            site.swath(&["priority", first.as_str(), "3"], 0);
            until("the new priority", async || {
                let status = read_status(&doors.blobs, &first).await.expect("a status");
                status.filter(|status| status.rank.priority == 3)
            })
            .await;
            let second = noops(&site, &doors, "second", 500).await;
            until("an item of the lower run", async || (of(&second) > 0).then_some(())).await;
            assert_eq!((of(&first), of(&second)), (16, 1));
            site.swath(&["priority", second.as_str(), "4"], 0);
            until("the window of the higher run", async || (of(&second) == 16).then_some(())).await;
            assert_eq!(of(&first), 16);
            // Paused, it asks for nothing, whatever its priority.
            site.swath(&["pause", second.as_str()], 0);
            until("a pause", async || {
                let status = read_status(&doors.blobs, &second).await.expect("a status");
                status.filter(|status| status.state == RunState::Paused)
            })
            .await;
            let _worker = site.start(&["worker", "--slots", "16"]);
            assert_eq!(over(&doors, &first).await.state, RunState::Done);
            assert_eq!(of(&second), 16, "{kind:?}: nothing of a paused run is published");
            site.swath(&["resume", second.as_str()], 0);
            assert_eq!(over(&doors, &second).await.state, RunState::Done);
        });
        let told = site.swath(&["status"], 0);
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(told.contains("PRIORITY") && told.lines().any(|line| line.starts_with("second")), "{told}");
    }
}

#[test]
fn what_one_coordinator_has_cancelled_is_not_taken_up_by_another() {
    let site = Site::new(Kind::Embedded);
    multi_thread().block_on(async {
        let doors = site.doors().await;
        let run = noops(&site, &doors, "cancelled", 500).await;
        let stop = CancellationToken::new();
        let serving = ["one", "two"].map(|name| {
            // The other one asks for the office five times a second.
            let me = Me { name: name.parse().expect("a name"), lease: Duration::from_secs(2), prices: None };
            tokio::spawn(serve(doors.clone(), me, stop.clone()))
        });
        until("a coordinator", async || read_status(&doors.blobs, &run).await.expect("a status")).await;
        site.swath(&["cancel", run.as_str()], 0);
        assert_eq!(over(&doors, &run).await.state, RunState::Cancelled);
        tokio::time::sleep(Duration::from_secs(4)).await;
        let later = read_status(&doors.blobs, &run).await.expect("a status").expect("a status");
        assert_eq!(later.state, RunState::Cancelled);
        stop.cancel();
        for serving in serving {
            serving.await.expect("a coordinator").expect("serving");
        }
    });
}

#[test]
fn a_cancel_is_heard_by_all_runs_at_once() {
    let site = Site::new(Kind::Embedded);
    multi_thread().block_on(async {
        let (doors, published) = (site.doors().await, Published::default());
        let doors = published.through(&doors);
        let _coordinators = Coordinators::start(&["one"], &doors);
        let mut runs = Vec::new();
        for number in 0..10 {
            runs.push(noops(&site, &doors, &format!("r{number}"), 1_000_000).await);
        }
        until("all of them", async || runs.iter().all(|run| !published.of(run).is_empty()).then_some(()))
            .await;
        for run in &runs {
            site.swath(&["cancel", run.as_str()], 0);
        }
        for run in &runs {
            assert_eq!(over(&doors, run).await.state, RunState::Cancelled);
        }
        // What is in the queue is not worked on.
        let _worker = site.start(&["worker", "--slots", "16"]);
        until("an empty queue", async || {
            let waiting = doors.queue.waiting(swath_backends::queue::Lane::Cpu).await.expect("counting");
            (waiting == 0).then_some(())
        })
        .await;
        for run in &runs {
            assert_eq!(doors.ledger.snapshot(run).await.expect("a snapshot").n_done(), 0);
        }
    });
}
