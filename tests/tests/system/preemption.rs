//! Workers on machines that are taken away: by a signal, by the notice of an interruption, by the advice to
//! rebalance. They take nothing new, finish what they can in the time that is left, hand back the rest, and no
//! item is blamed.

use std::time::{Duration, Instant};

use swath_backends::ledger::{Claim, Release};
use swath_proto::{
    ids::WorkerId,
    item::{Place, Stage},
    status::RunState,
    worker::{GROUP, Worker, WorkerCard, WorkerState, drain_office},
};
use swath_tests::imds::Imds;

use crate::site::{Kind, Process, Site, pipeline};

/// Against hanging for ever, not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(600);

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn held(site: &Site, run: &str) -> Vec<(Place, WorkerId)> {
    block_on(async {
        let ledger = site.doors().await.ledger;
        ledger.held(&run.parse().expect("a run's name")).await.expect("holds")
    })
}

/// What the only worker says of itself, while there is one.
fn card(site: &Site) -> Option<(WorkerId, Worker)> {
    let announced = block_on(async { site.doors().await.ledger.announced(GROUP).await.expect("cards") });
    let [(me, words)] = &announced[..] else { return None };
    let card: WorkerCard = serde_json::from_str(words).expect("a card");
    Some((me.clone(), card.into_newest()))
}

fn holds_predictions(site: &Site, run: &str) -> Place {
    until("a predict item in a worker's hands", || {
        held(site, run).into_iter().map(|(place, _)| place).find(|place| place.stage == Stage::Predict)
    })
}

/// Of each item to predict, whether it is done, or how often it was tried.
fn claims(site: &Site, run: &str) -> Vec<Claim> {
    let (run, me) = (run.parse().expect("a run's name"), "look".parse().expect("a name"));
    block_on(async {
        let ledger = site.doors().await.ledger;
        let mut claims = Vec::new();
        for index in 0..N_ITEMS {
            let place = Place::new(Stage::Predict, 0, index);
            let claim = ledger.claim(&run, place, &me, Duration::from_secs(60)).await.expect("claiming");
            if claim != Claim::Done {
                ledger.release(&run, place, &me, Release::Uncounted).await.expect("releasing");
            }
            claims.push(claim);
        }
        claims
    })
}

/// Of predictions, in a run that is `slow`: six rows of six.
const N_ITEMS: u32 = 36;

/// A run of more work than is done until a worker asks for notices again: that is after five seconds or, where an
/// answer was late, after half a minute. An item of one window takes as long as two full batches.
fn slow(site: &Site) -> String {
    let file = pipeline(site, "item_px = 256", "");
    let slow = [
        "--set",
        "model.architecture=unet-resnet18",
        "--set",
        "predict.core_px=256",
        "--set",
        "predict.margin_px=32",
        "--set",
        "predict.augment=d4",
    ];
    let output = site.swath(&[&["submit", file.to_str().expect("UTF-8")], &slow[..]].concat(), 0);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// It leaves by itself, and well.
fn leaves(worker: Process) {
    let code = until("the worker's end", || worker.ended()).code();
    assert_eq!(code, Some(0));
}

/// A lease so long that only handing back can free the items in time.
const LEASE: [&str; 3] = ["worker", "--lease", "600"];

#[test]
fn a_worker_whose_spot_instance_is_interrupted_hands_back_in_time_and_nothing_is_counted() {
    for kind in Kind::ALL {
        let (site, imds) = (Site::new(kind), Imds::start());
        let run = slow(&site);
        let _coordinator = site.start(&["coordinator"]);
        let worker = site.start_with(&LEASE, [imds.environment()]);
        until("the metadata to be asked", || (imds.asked() >= 2).then_some(()));
        holds_predictions(&site, &run);
        worker.no_more_tries();
        // Too little time for anything but handing back.
        imds.interrupt("2020-01-01T00:00:00Z");
        leaves(worker);
        assert_eq!(held(&site, &run), [], "{kind:?}: it left with items in hand");
        let log = std::fs::read_to_string(site.path("processes.log")).expect("what was told");
        assert!(log.contains("handed back"), "{kind:?}: {log}");
        for claim in claims(&site, &run) {
            assert!(
                matches!(claim, Claim::Done | Claim::Go { attempts: 1, failures: 0 }),
                "{kind:?}: {claim:?}"
            );
        }
        let _next = site.start(&LEASE);
        let status = site.wait(&run, PATIENCE);
        assert_eq!((status.state, status.n_failures), (RunState::Done, 0), "{status:?}");
    }
}

#[test]
fn a_worker_that_is_likely_to_be_interrupted_finishes_what_it_has_and_takes_nothing_new() {
    let (site, imds) = (Site::new(Kind::Embedded), Imds::start());
    let run = slow(&site);
    let _coordinator = site.start(&["coordinator"]);
    let worker = site.start_with(&["worker", "--lease", "600", "--slots", "1"], [imds.environment()]);
    holds_predictions(&site, &run);
    let reads = |card: &Worker| card.phases.is_some_and(|phases| phases.decode > 0.0);
    let is_busy = |card: &Worker| card.in_hand == 1 && card.busy_s > 0.0 && reads(card);
    let busy = || card(&site).map(|(_, card)| card).filter(is_busy);
    let said = until("a worker that says what it does", busy);
    assert_eq!((said.state, &said.lanes[..], said.slots), (WorkerState::Working, &["cpu".to_owned()][..], 1));
    assert_eq!(said.instance.map(|of| (of.kind, of.is_spot)), Some(("g5.xlarge".into(), true)));
    imds.recommend_rebalance("2026-11-28T08:00:00Z");
    leaves(worker);
    assert_eq!(held(&site, &run), []);
    let log = std::fs::read_to_string(site.path("processes.log")).expect("what was told");
    assert!(log.contains("likely to be taken away soon") && !log.contains("handed back"), "{log}");
    let done = site.predicted(&run);
    assert!((1..N_ITEMS).contains(&done), "{done} items are done");
    assert_eq!(card(&site), None, "it is gone, and says so");
}

#[test]
fn a_worker_that_is_asked_to_leave_finishes_what_it_has_whatever_time_that_takes() {
    let site = Site::new(Kind::Embedded);
    let run = slow(&site);
    let _coordinator = site.start(&["coordinator"]);
    // Hardly any time after a signal.
    let worker = site.start(&["worker", "--lease", "600", "--grace", "0.1"]);
    holds_predictions(&site, &run);
    let (me, _) = until("a worker that says that it is there", || card(&site));
    block_on(async {
        let ledger = site.doors().await.ledger;
        let whoever = "whoever".parse().expect("a name");
        assert!(ledger.lead(&drain_office(&me), &whoever, PATIENCE).await.expect("an office"));
    });
    leaves(worker);
    assert_eq!(held(&site, &run), []);
    let log = std::fs::read_to_string(site.path("processes.log")).expect("what was told");
    assert!(log.contains("asked to leave") && !log.contains("handed back"), "{log}");
    let done = site.predicted(&run);
    assert!((1..N_ITEMS).contains(&done), "{done} items are done");
}

#[test]
fn a_training_on_an_interrupted_machine_goes_on_elsewhere_where_it_was() {
    let (site, imds) = (Site::new(Kind::Embedded), Imds::start());
    let file = crate::learns::pipeline(&site);
    let output = site.swath(&["submit", &file, "--set", "train.epochs=100000"], 0);
    let run = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let _coordinator = site.start(&["coordinator"]);
    let worker = site.start_with(&LEASE, [imds.environment()]);
    let epoch = || site.status(&run)?.training.map(|training| training.epoch);
    until("progress of the training", || epoch().filter(|epoch| *epoch > 2));
    imds.interrupt("2036-01-01T00:00:00Z");
    leaves(worker);
    assert_eq!(held(&site, &run), []);
    let reached = until("the training's last word", epoch);
    let _next = site.start(&LEASE);
    let later = until("the training to go on", || epoch().filter(|epoch| *epoch > reached));
    assert!(later > reached);
    let log = std::fs::read_to_string(site.path("processes.log")).expect("what was told");
    assert!(log.contains("a checkpoint is written"), "{log}");
}
