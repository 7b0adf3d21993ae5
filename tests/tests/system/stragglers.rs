//! A worker that holds an item and is late: at the tail of a run others do not wait for it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use swath_backends::{open::Doors, queue::Lane};
use swath_proto::{item::Stage, status::RunState};

use crate::{
    same_bytes::reference,
    site::{Kind, Made, Site, pipeline},
};

/// Against hanging for ever, not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(600);
/// What nobody stands in the way of is written by then.
const WRITTEN_WITHIN: Duration = Duration::from_secs(10);

pub fn signal(pid: i32, signal: libc::c_int) {
    // SAFETY: a process that this test has started.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "signalling {pid}");
}

/// Processes that hold items of a stage. A worker's name says its process.
fn holders(site: &Site, run: &str, stage: Stage) -> BTreeSet<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let ledger = site.doors().await.ledger;
        let held = ledger.held(&run.parse().expect("a run's name")).await.expect("holds");
        let held = held.iter().filter(|(place, _)| place.stage == stage);
        held.filter_map(|(_, worker)| worker.as_str().rsplit('-').nth(1)?.parse().ok()).collect()
    })
}

/// Stops the only worker while it holds items of a stage, once so many are done; returns its process.
pub fn stop_with_items_in_hand(site: &Site, run: &str, stage: Stage, done: u32) -> i32 {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let doors = runtime.block_on(site.doors());
    // Once while nobody stands still: on a busy machine the way there takes seconds.
    let _ = runtime.block_on(can_write(&doors));
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < PATIENCE, "it never holds anything");
        if site.done(run, stage) >= done
            && let Some(pid) = holders(site, run, stage).into_iter().next()
        {
            signal(pid, libc::SIGSTOP);
            if runtime.block_on(others_can_write(&doors)) && !holders(site, run, stage).is_empty() {
                return pid;
            }
            signal(pid, libc::SIGCONT);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// It does not stand still with a lock of the embedded twins' files in hand.
async fn others_can_write(doors: &Doors) -> bool {
    tokio::time::timeout(WRITTEN_WITHIN, can_write(doors)).await.is_ok_and(|written| written.is_ok())
}

async fn can_write(doors: &Doors) -> swath_backends::Result<()> {
    doors.ledger.resign("an office that nobody has", &"nobody".parse().expect("a name")).await?;
    doors.queue.purge(Lane::Gpu).await
}

fn ends_without(kind: Kind) {
    let site = Site::new(kind);
    let file = pipeline(&site, "item_px = 64", "");
    let output = site.swath(&["submit", file.to_str().expect("UTF-8")], 0);
    let run = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let _coordinator = site.start(&["coordinator"]);
    // A lease that would hold the run up for an hour.
    const WORKER: [&str; 3] = ["worker", "--lease", "3600"];
    let late = site.start_with(&WORKER, [("RUST_LOG", "info,swath_worker=debug".into())]);
    // After some, so that it is known how long items take.
    let pid = stop_with_items_in_hand(&site, &run, Stage::Predict, 21);
    let _other = site.start(&WORKER);
    let status = site.wait(&run, PATIENCE);
    assert_eq!((status.state, status.n_failures), (RunState::Done, 0), "{status:?}");
    Made::of(&site, &run).assert_same(reference(), "done beside a late worker");
    // What it has done all the same changes nothing.
    signal(pid, libc::SIGCONT);
    let started = Instant::now();
    while !site.log().contains("somebody else had finished it") {
        assert!(started.elapsed() < PATIENCE, "it never comes too late\n{}", site.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(late);
    Made::of(&site, &run).assert_same(reference(), "after the late worker woke up");
    assert!(site.log().contains("its worker is late: another may do it too"), "{}", site.log());
}

#[test]
fn a_run_does_not_wait_for_a_worker_that_stands_still_on_the_embedded_twins() {
    ends_without(Kind::Embedded);
}

#[test]
fn a_run_does_not_wait_for_a_worker_that_stands_still_on_servers() {
    ends_without(Kind::Servers);
}
