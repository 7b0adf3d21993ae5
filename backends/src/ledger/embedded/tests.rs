use std::{path::Path, sync::Arc};

use swath_proto::item::Stage;

use super::*;
use crate::{
    contract,
    killed::{self, Victim},
    ledger::Event,
};

const LONG: Duration = Duration::from_secs(60);

fn open(folder: &Path) -> EmbeddedLedger {
    EmbeddedLedger::open(&folder.join("ledger.db")).expect("opening")
}

fn run(name: &str) -> RunId {
    name.parse().expect("a run's name")
}

fn worker(name: &str) -> WorkerId {
    name.parse().expect("a worker's name")
}

const fn place(index: u32) -> Place {
    Place::new(Stage::Predict, 0, index)
}

async fn all_events(ledger: &EmbeddedLedger, run: &RunId, mut since: Cursor) -> Option<Vec<Event>> {
    let mut all = Vec::new();
    loop {
        match ledger.events(run, &since).await.expect("events") {
            Events::Gone => return None,
            Events::Some { events, .. } if events.is_empty() => return Some(all),
            Events::Some { events, next } => {
                all.extend(events);
                since = next;
            }
        }
    }
}

/// Records that many events in few verbs.
async fn busy(ledger: &EmbeddedLedger, run: &RunId, n_events: u32) {
    let places: Vec<Place> = (0..n_events).map(place).collect();
    ledger.restore(run, &places).await.expect("restoring");
    ledger.reset(run, &places).await.expect("resetting");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_ledger_keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Arc::new(open(folder.path()));
    contract::ledger::all(open(), open()).await;
}

#[tokio::test]
async fn a_quiet_run_and_a_new_one_keep_their_history_beside_a_busy_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = open(folder.path());
    let quiet = run("quiet");
    ledger.restore(&quiet, &[]).await.expect("restoring");
    let since = ledger.snapshot(&quiet).await.expect("a snapshot").cursor;
    ledger.finish(&quiet, place(0), Report::default()).await.expect("finishing");
    busy(&ledger, &run("busy"), 120_000).await;
    let finished = Event::Finished { place: place(0), report: Report::default() };
    assert_eq!(all_events(&ledger, &quiet, since).await, Some(vec![finished]));
    let new = run("new");
    ledger.restore(&new, &[]).await.expect("restoring");
    let since = ledger.snapshot(&new).await.expect("a snapshot").cursor;
    busy(&ledger, &run("busy"), 5_000).await;
    assert_eq!(all_events(&ledger, &new, since).await, Some(vec![]), "a snapshot's own cursor is gone");
}

#[tokio::test]
async fn a_run_that_was_trimmed_says_so_and_goes_on_from_a_snapshot() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = open(folder.path());
    let run = run("long");
    ledger.restore(&run, &[]).await.expect("restoring");
    let start = ledger.snapshot(&run).await.expect("a snapshot").cursor;
    busy(&ledger, &run, 99_000).await;
    assert_eq!(all_events(&ledger, &run, start.clone()).await.map(|events| events.len()), Some(99_000));
    busy(&ledger, &run, 30_000).await;
    assert_eq!(all_events(&ledger, &run, start).await, None, "events were left out in silence");
    let since = ledger.snapshot(&run).await.expect("a snapshot").cursor;
    ledger.finish(&run, place(3), Report::default()).await.expect("finishing");
    assert_eq!(all_events(&ledger, &run, since).await.map(|events| events.len()), Some(1));
}

#[tokio::test]
async fn deleting_the_file_loses_numbers_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = run("deleted");
    let ledger = open(folder.path());
    ledger.restore(&run, &[place(0)]).await.expect("restoring");
    let since = ledger.snapshot(&run).await.expect("a snapshot").cursor;
    drop(ledger);
    for entry in std::fs::read_dir(folder.path()).expect("the folder").flatten() {
        std::fs::remove_file(entry.path()).expect("deleting");
    }
    let ledger = open(folder.path());
    assert!(!ledger.snapshot(&run).await.expect("a snapshot").known);
    assert_eq!(ledger.events(&run, &since).await.expect("events"), Events::Gone);
    ledger.restore(&run, &[place(0)]).await.expect("restoring");
    assert_eq!(ledger.events(&run, &since).await.expect("events"), Events::Gone);
    assert_eq!(ledger.claim(&run, place(0), &worker("w"), LONG).await.expect("claiming"), Claim::Done);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_leaves_bits_and_events_that_agree() {
    let run = run("killed");
    if let Some(folder) = killed::folder() {
        let ledger = open(&folder);
        for index in 0.. {
            ledger.claim(&run, place(index), &worker("victim"), LONG).await.expect("claiming");
            ledger.finish(&run, place(index), Report::default()).await.expect("finishing");
            killed::say(&index.to_string());
        }
    }
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = open(folder.path());
    ledger.restore(&run, &[]).await.expect("restoring");
    let since = ledger.snapshot(&run).await.expect("a snapshot").cursor;
    let test = "a_worker_that_is_killed_leaves_bits_and_events_that_agree";
    let mut said = Vec::new();
    for n_heard in [1, 40, 150] {
        let mut victim = Victim::start(&format!("{}::{test}", module_path!()), folder.path());
        said.extend((0..n_heard).map_while(|_| victim.hear()));
        said.extend(victim.kill());
    }
    let snapshot = ledger.snapshot(&run).await.expect("a snapshot");
    for index in said {
        assert!(
            snapshot.is_done(place(index.parse().expect("a number"))),
            "{index} was finished, and is not"
        );
    }
    let events = all_events(&ledger, &run, since).await.expect("events");
    assert_eq!(
        events.len() as u64,
        snapshot.n_done(),
        "a bit without its event, or an event without its bit"
    );
    let next = place(snapshot.n_done() as u32 + 1);
    assert_eq!(
        ledger.claim(&run, next, &worker("next"), LONG).await.expect("claiming"),
        Claim::Go { attempts: 1, failures: 0 }
    );
}

#[tokio::test]
async fn a_large_restore_lets_others_in_between() {
    let folder = tempfile::tempdir().expect("a folder");
    let (one, other) = (open(folder.path()), open(folder.path()));
    let run = run("large");
    let done: Vec<Place> = (0..300_000).map(place).collect();
    let restoring = tokio::spawn({
        let run = run.clone();
        async move { one.restore(&run, &done).await }
    });
    // Another process sees part of the bits before all are there: then it was let in.
    loop {
        let snapshot = other.snapshot(&run).await.expect("a snapshot");
        let partly = (1..300_000).contains(&snapshot.n_done());
        assert!(!snapshot.known || snapshot.n_done() == 300_000, "a run is known before its bits are there");
        if partly {
            break;
        }
        assert!(!snapshot.known, "the restore was one transaction that kept everybody out");
        tokio::task::yield_now().await;
    }
    restoring.await.expect("a restore").expect("restoring");
    let snapshot = other.snapshot(&run).await.expect("a snapshot");
    assert!(snapshot.known && snapshot.n_done() == 300_000);
}
