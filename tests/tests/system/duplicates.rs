//! Every item twice, in another order, hours late; and messages that are no items at all. Coordinator and workers run in this
//! process, so that the queue between them can be made to misbehave.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use swath_backends::{
    open::Doors,
    queue::{
        Lane, Queue as _,
        faulty::{Disordered, Late, Repeating},
    },
};
use swath_coordinator::{freeze, run};
use swath_proto::{
    ids::{Digest, RunId},
    keys,
    status::RunState,
};
use swath_worker::{run::Config, supervise::Inheritance};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    same_bytes::reference,
    site::{Kind, Made, Site, pipeline},
};

/// Against hanging for ever, not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(600);

fn worker(name: &str, site: &Site) -> Config {
    Config {
        me: name.parse().expect("a worker's name"),
        lanes: vec![Lane::Cpu],
        slots: 3,
        lease: Duration::from_secs(5),
        grace: Duration::from_secs(1),
        idle_exit: None,
        cache: site.path("models"),
        native_threads: 2,
        threads: 1,
        ranks: None,
        item_limit: Duration::from_secs(900),
        notices: None,
        metrics: None,
    }
}

/// Runs the pipeline over these doors and returns the run's name.
async fn to_the_end(site: &Site, doors: &Doors) -> String {
    // What the program does at its start: without it GDAL would look for the bucket elsewhere.
    swath_raster::configure(&swath_raster::Settings { cache_mib: 64 });
    let file = pipeline(site, "item_px = 128", "");
    let text = std::fs::read_to_string(&file).expect("the pipeline");
    let source = freeze::Source { text, folder: site.path(""), rerun: None };
    let frozen = freeze::freeze(&source, &doors.blobs).await.expect("freezing");
    freeze::submit(&frozen, &source, &doors.blobs).await.expect("submitting");
    let stop = CancellationToken::new();
    let workers: Vec<_> = ["one", "two"]
        .map(|name| {
            swath_worker::run::run(worker(name, site), doors.clone(), Inheritance::default(), stop.clone())
        })
        .map(tokio::spawn)
        .into();
    let (watch, _) = watch::channel(None);
    let id = frozen.record.run;
    let me = run::Me { name: "coordinator".parse().expect("a name"), lease: run::LEASE, prices: None };
    let served = run::serve(&id, doors, &me, watch, CancellationToken::new());
    let status = tokio::time::timeout(PATIENCE, served).await;
    let status = status.expect("it comes to no end").expect("serving").expect("it was not stopped");
    assert_eq!(status.state, RunState::Done, "{status:?}");
    stop.cancel();
    for worker in workers {
        worker.await.expect("a worker panicked").expect("a worker failed");
    }
    let snapshot = doors.ledger.snapshot(&id).await.expect("a snapshot");
    let items: u64 = status.stages.values().map(|stage| stage.items).sum();
    assert_eq!(snapshot.n_done(), items, "the ledger does not count each item once");
    id.to_string()
}

/// Until nothing is left of `n` messages: none waits, nobody holds anything, and `done` items are done.
async fn work_through(site: &Site, doors: &Doors, run: &RunId, n: usize, done: u64) {
    let (nothing, started) = ((0, 0, done), Instant::now());
    let left = async || {
        let waiting = doors.queue.waiting(Lane::Cpu).await.expect("counting");
        let held = doors.ledger.held(run).await.expect("holds");
        let snapshot = doors.ledger.snapshot(run).await.expect("a snapshot");
        (waiting, held.len(), snapshot.n_done())
    };
    // The broker counts them a moment later.
    while left().await.0 < n as u64 {
        assert!(started.elapsed() < PATIENCE, "{n} messages were published: {:?}", left().await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // What a worker has received and not begun when it is stopped is left to the next one.
    while left().await != nothing {
        let stop = CancellationToken::new();
        let config = worker("late", site);
        let worked = swath_worker::run::run(config, doors.clone(), Inheritance::default(), stop.clone());
        let worked = tokio::spawn(worked);
        while left().await != nothing && !worked.is_finished() {
            assert!(started.elapsed() < PATIENCE, "waiting, held, done: {:?}, not {nothing:?}", left().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        stop.cancel();
        worked.await.expect("a worker panicked").expect("a worker failed");
    }
}

fn multi_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime")
}

#[test]
fn every_item_twice_makes_the_same_bytes() {
    for kind in Kind::ALL {
        let site = Site::new(kind);
        let run = multi_thread().block_on(async {
            let doors = site.doors().await;
            let queue = Arc::new(Repeating { inner: doors.queue.clone(), times: 2 });
            to_the_end(&site, &Doors { queue, ..doors }).await
        });
        Made::of(&site, &run).assert_same(reference(), &format!("{kind:?}, every item twice"));
    }
}

#[test]
fn messages_out_of_order_and_hours_late_make_the_same_bytes() {
    for kind in Kind::ALL {
        let site = Site::new(kind);
        let run = multi_thread().block_on(async {
            let doors = site.doors().await;
            let late = Late::new(doors.queue.clone());
            let queue = Arc::new(Disordered::new(late.clone(), 7));
            let run = to_the_end(&site, &Doors { queue, ..doors.clone() }).await;
            let id = run.parse().expect("a run's name");
            let done = doors.ledger.snapshot(&id).await.expect("a snapshot").n_done();
            // Everything once more when the run is over: while the ledger knows of it, and when it does not.
            for is_forgotten in [false, true] {
                if is_forgotten {
                    doors.ledger.forget(&id).await.expect("forgetting");
                }
                let n = late.deliver_again().await.expect("publishing");
                assert!(n as u64 >= done, "{n} messages for {done} items");
                work_through(&site, &doors, &id, n, done).await;
                let snapshot = doors.ledger.snapshot(&id).await.expect("a snapshot");
                assert!(snapshot.buried.is_empty(), "forgotten: {is_forgotten}");
            }
            run
        });
        Made::of(&site, &run).assert_same(reference(), &format!("{kind:?}, out of order and hours late"));
    }
}

#[test]
fn a_message_that_is_no_item_is_set_aside_and_holds_up_nobody() {
    let site = Site::new(Kind::Embedded);
    let nonsense = b"{\"version\":\"1\"}".to_vec();
    let run = multi_thread().block_on(async {
        let doors = site.doors().await;
        doors
            .queue
            .publish(Lane::Cpu, vec![nonsense.clone(), b"\xff\x00".to_vec()])
            .await
            .expect("publishing");
        to_the_end(&site, &doors).await
    });
    assert_eq!(site.object(&keys::unreadable(&Digest::of(&nonsense))), nonsense);
    Made::of(&site, &run).assert_same(reference(), "nonsense in the queue");
}

#[test]
fn a_message_of_a_newer_program_waits_for_a_newer_worker() {
    let site = Site::new(Kind::Embedded);
    let newer = b"{\"version\":\"99\"}".to_vec();
    multi_thread().block_on(async {
        let doors = site.doors().await;
        doors.queue.publish(Lane::Cpu, vec![newer.clone()]).await.expect("publishing");
        to_the_end(&site, &doors).await;
        let mut receiver = doors.queue.receive(Lane::Cpu, 1).await.expect("receiving");
        let next = tokio::time::timeout(Duration::from_secs(30), receiver.next()).await;
        assert_eq!(next.expect("it is gone").expect("receiving").body, newer);
    });
}
