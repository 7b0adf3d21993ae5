//! What people see and ask of a run: where it stands, whether anybody serves it, and that a cancel is heard
//! by a training under way.

use std::{
    process::Output,
    time::{Duration, Instant},
};

use swath_coordinator::presence;
use swath_proto::status::{RunState, RunStatus};

use crate::{
    counted::noops,
    site::{Kind, Site, pipeline},
};

const PATIENCE: Duration = Duration::from_secs(120);

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn n_held(site: &Site, run: &str) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let ledger = site.doors().await.ledger;
        ledger.held(&run.parse().expect("a run's name")).await.expect("holds").len()
    })
}

fn epoch(status: &RunStatus) -> Option<u32> {
    status.training.as_ref().map(|training| training.epoch)
}

/// A training of days, on a fleet.
fn a_cancel_stops_a_training(kind: Kind) {
    let site = Site::new(kind);
    let file = crate::learns::pipeline(&site);
    let endless = ["--set", "train.epochs=100000"];
    let run = stdout(&site.swath(&[&["submit", &file], &endless[..]].concat(), 0)).trim().to_owned();
    let coordinator = site.start(&["coordinator"]);
    // A lease so long that only the gate can tell the worker.
    let worker = site.start(&["worker", "--lease", "600"]);
    let told = until("progress of the training", || {
        site.status(&run).filter(|status| epoch(status) > Some(2) && status.eta_seconds.is_some())
    });
    let training = told.training.as_ref().expect("a training");
    assert!(training.epochs == 100_000 && training.loss.is_some() && training.mean_iou.is_some(), "{told:?}");
    assert!(training.images_per_second > 0.0 && told.held == 1, "{told:?}");

    let asked = site.swath(&["cancel", &run], 0);
    assert!(stdout(&asked).contains("asked; the coordinator takes it"), "{}", stdout(&asked));
    let status = site.wait(&run, PATIENCE);
    assert_eq!(status.state, RunState::Cancelled);
    until("the training's end", || (n_held(&site, &run) == 0).then_some(()));
    drop((coordinator, worker));

    let again = site.start(&[&["run", &file, "--workers", "1"], &endless[..]].concat());
    // What the worker said last, it said after the cancel.
    let reached = site.status(&run).as_ref().and_then(epoch);
    until("the training to go on where it was", || {
        site.status(&run).filter(|status| epoch(status) > reached)
    });
    drop(again);
    let log = std::fs::read_to_string(site.path("processes.log")).expect("what was told");
    assert!(log.contains("it was cancelled; going on where it was"), "{log}");
}

#[test]
fn a_cancel_stops_a_training_on_the_embedded_twins() {
    a_cancel_stops_a_training(Kind::Embedded);
}

#[test]
fn a_cancel_stops_a_training_on_servers() {
    a_cancel_stops_a_training(Kind::Servers);
}

#[test]
fn nothing_is_promised_for_a_run_that_nobody_serves() {
    let site = Site::new(Kind::Embedded);
    let file = pipeline(&site, "item_px = 1024", "").display().to_string();
    let plan = site.swath(&["plan", &file], 0);
    assert!(stdout(&plan).contains("not known yet"), "{}", stdout(&plan));
    let none = stdout(&site.swath(&["status"], 0));
    assert!(none.contains("(there is no such folder)"), "{none}");
    // Neither of them is opened for that.
    for door in [["--queue", "amq://host"], ["--ledger", "rediz://host"]] {
        let refused = site.swath(&[&["status"][..], &door].concat(), 2);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(told.contains("it must be local:"), "{told}");
    }
    assert!(!std::path::Path::new(&site.root).exists(), "a plan has made the root");

    let run = stdout(&site.swath(&["submit", &file], 0)).trim().to_owned();
    for args in [vec!["status"], vec!["status", &run]] {
        let told = stdout(&site.swath(&args, 0));
        assert!(told.contains("waiting for a coordinator"), "{told}");
    }
    let paused = stdout(&site.swath(&["pause", &run], 0));
    assert!(paused.contains("no coordinator serves this run now"), "{paused}");
    let cancelled = stdout(&site.swath(&["cancel", &run], 0));
    assert!(cancelled.contains(": cancelled"), "{cancelled}");
    let status = site.status(&run).expect("a status");
    assert_eq!(status.state, RunState::Cancelled);
    let resumed = stdout(&site.swath(&["resume", &run], 0));
    assert!(resumed.contains("no coordinator serves this run now"), "{resumed}");
}

#[test]
fn a_run_that_is_done_says_so_at_once_and_is_made_again_where_its_map_is_gone() {
    let site = Site::new(Kind::Embedded);
    let file = pipeline(&site, "item_px = 1024", "").display().to_string();
    let args = ["run", &file, "--workers", "1"];
    let first = stdout(&site.swath(&args, 0));
    let run = crate::same_bytes::run_name(first.as_bytes());
    for made in [format!("predict/{run}/scene-1.tif"), format!("eval/{run}/eval.json")] {
        assert!(first.contains(&made), "{first}");
    }
    let map = std::path::Path::new(&site.root).join(format!("predict/{run}/scene-1.tif"));
    let before = std::fs::read(&map).expect("a map");
    let second = stdout(&site.swath(&args, 0));
    assert!(second.starts_with(&format!("{run}: done already")) && second.contains("--rerun"), "{second}");
    std::fs::remove_file(&map).expect("deleting");
    let third = stdout(&site.swath(&args, 0));
    assert!(third.starts_with(&format!("{run}: done\n")), "{third}");
    assert!(std::fs::read(&map).expect("a map") == before);
}

#[test]
fn a_full_disk_behind_standard_output_is_told_in_a_line() {
    let site = Site::new(Kind::Embedded);
    for args in [["status"].as_slice(), &["schema"], &["completions", "bash"], &["doctor"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
        let output = site.command(args).stdout(full).output().expect("starting swath");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains("writing to standard output: No space left"), "{told}");
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime").block_on(future)
}

#[test]
fn a_pause_is_not_taken_for_a_queue_that_loses_items() {
    let site = Site::new(Kind::Embedded);
    let run = block_on(async { noops(&site, &site.doors().await, "paused", 2_000_000).await });
    let _coordinator = site.start(&["coordinator"]);
    let _worker = site.start(&["worker", "--slots", "16"]);
    let done = || {
        site.status(run.as_str()).map(|status| status.stages.values().map(|count| count.done).sum::<u64>())
    };
    until("items that are done", || done().filter(|done| *done > 0));
    site.swath(&["pause", run.as_str()], 0);
    until("what was out", || {
        site.log().contains("items that were out come back to the coordinator").then_some(())
    });
    let paused = done();
    site.swath(&["resume", run.as_str()], 0);
    until("more that is done", || done().filter(|done| Some(*done) > paused));
    assert!(!site.log().contains("the queue has lost items"), "{}", site.log());
}

#[test]
fn a_run_that_is_over_is_promised_to_go_on_where_a_coordinator_is() {
    let site = Site::new(Kind::Embedded);
    let run = block_on(async { noops(&site, &site.doors().await, "over", 1000).await });
    site.swath(&["cancel", run.as_str()], 0);
    let status = site.status(run.as_str()).expect("a status");
    assert_eq!(status.state, RunState::Cancelled);
    let _coordinator = site.start(&["coordinator"]);
    until("a coordinator", || {
        block_on(async {
            let doors = site.doors().await;
            let there = presence::coordinators(&*doors.ledger, &doors.blobs.uri("")).await.expect("asking");
            (!there.is_empty()).then_some(())
        })
    });
    let asked = stdout(&site.swath(&["resume", run.as_str()], 0));
    assert!(asked.contains("asked; the coordinator takes it"), "{asked}");
    until("the run to go on", || site.status(run.as_str()).filter(|status| !status.state.is_final()));
}
