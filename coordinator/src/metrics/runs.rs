//! What the runs that this process serves have told last, and what was heard of their items.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use swath_backends::{ledger::Event, queue::Lane};
use swath_proto::{
    ids::RunId,
    item::Stage,
    outcome::FailureClass,
    status::{RunState, RunStatus},
};

use super::{
    BACKLOG_ITEMS, BACKLOG_SECONDS, BYTES, FAILURES, ITEM_SECONDS, ITEMS, OUTCOMES, PIXELS, REPUBLISHED,
    RUN_ETA, RUN_FAILED_ITEMS, RUN_MONEY, RUN_PIXELS, RUN_PIXELS_DONE, RUN_PROGRESS, RUN_RENTED, RUN_STARTED,
    RUN_STATE, RUN_UNREADABLE, Sample, TRAIN_CHIPS, TRAIN_EPOCH, TRAIN_EPOCHS, TRAIN_LOSS, TRAIN_MEAN_IOU,
    TRAIN_SPEED, TRAIN_STEP, TRAIN_STEPS,
};

/// What has come to its end is shown for so long, so that everybody has seen how it ended.
const SHOWN_AFTERWARDS: Duration = Duration::from_secs(15 * 60);

static RUNS: Mutex<BTreeMap<RunId, Shown>> = Mutex::new(BTreeMap::new());

fn runs() -> MutexGuard<'static, BTreeMap<RunId, Shown>> {
    RUNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a run stands.
pub(crate) struct Told {
    pub(crate) status: RunStatus,
    pub(crate) stages: Vec<OfStage>,
    /// What its rented machines have cost.
    pub(crate) money: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct OfStage {
    pub(crate) stage: Stage,
    pub(crate) lane: Lane,
    pub(crate) items: u64,
    pub(crate) done: u64,
    pub(crate) buried: u64,
    /// Published, and neither finished nor given up.
    pub(crate) out: u64,
    pub(crate) held: u64,
}

#[derive(Default)]
struct Shown {
    told: Option<Told>,
    heard: Heard,
    /// In seconds since 1970.
    progress: f64,
    ended: Option<Instant>,
}

/// Since this process serves the run.
#[derive(Default)]
struct Heard {
    outcomes: BTreeMap<(Stage, &'static str), u64>,
    failures: BTreeMap<(Stage, &'static str), u64>,
    /// Seconds, pixels, bytes.
    made: BTreeMap<Stage, (f64, u64, u64)>,
    republished: BTreeMap<&'static str, u64>,
}

/// A run that is served here, until this is dropped.
pub(crate) struct OfRun(RunId);

impl OfRun {
    pub(crate) fn begin(run: &RunId) -> Self {
        let mut runs = runs();
        let shown = runs.entry(run.clone()).or_default();
        shown.ended = None;
        shown.progress = now();
        Self(run.clone())
    }

    fn with(&self, change: impl FnOnce(&mut Shown)) {
        change(runs().entry(self.0.clone()).or_default());
    }

    pub(crate) fn hear(&self, event: &Event) {
        self.with(|shown| shown.heard.hear(event, &mut shown.progress));
    }

    pub(crate) fn republished(&self, lane: Lane, items: usize) {
        self.with(|shown| *shown.heard.republished.entry(lane.name()).or_default() += items as u64);
    }

    pub(crate) fn tell(&self, told: Told) {
        self.with(|shown| {
            let step =
                |told: &Told| told.status.training.as_ref().map(|now| (now.epoch, now.validates, now.step));
            if shown.told.as_ref().is_some_and(|before| step(before) != step(&told)) {
                shown.progress = now();
            }
            shown.told = Some(told);
        });
    }
}

impl Drop for OfRun {
    fn drop(&mut self) {
        let mut runs = runs();
        let is_over = |shown: &Shown| shown.told.as_ref().is_some_and(|told| told.status.state.is_final());
        match runs.get_mut(&self.0).filter(|shown| is_over(shown)) {
            Some(shown) => shown.ended = Some(Instant::now()),
            // Another coordinator tells of it from now on.
            None => drop(runs.remove(&self.0)),
        }
    }
}

impl Heard {
    fn hear(&mut self, event: &Event, progress: &mut f64) {
        let (place, outcome, failure) = match event {
            Event::Finished { place, report } => {
                let made = self.made.entry(place.stage).or_default();
                made.0 += report.seconds;
                made.1 += report.pixels;
                made.2 += report.bytes;
                *progress = now();
                (place, "done", None)
            }
            Event::Released { place, failure: Some(failure), .. } => (place, "failed", Some(failure)),
            Event::Released { place, failure: None, .. } => (place, "handed_back", None),
            Event::Lost { place } => (place, "lost", None),
            Event::Buried { place, failure, .. } if failure.class == FailureClass::Dropped => {
                (place, "dropped", None)
            }
            // What was tried again and again was counted each time.
            Event::Buried { place, failure, .. } => {
                (place, "buried", Some(failure).filter(|failure| failure.class == FailureClass::Data))
            }
            Event::Reset { place } => (place, "reset", None),
        };
        *self.outcomes.entry((place.stage, outcome)).or_default() += 1;
        if let Some(failure) = failure {
            *self.failures.entry((place.stage, failure.class.name())).or_default() += 1;
        }
    }
}

const STATES: [(RunState, &str); 7] = [
    (RunState::Preparing, "preparing"),
    (RunState::Running, "running"),
    (RunState::Paused, "paused"),
    (RunState::Done, "done"),
    (RunState::DoneWithFailures, "done_with_failures"),
    (RunState::Failed, "failed"),
    (RunState::Cancelled, "cancelled"),
];
/// They are there before the first is counted: a rate needs something to rise from.
const OUTCOME_NAMES: [&str; 7] = ["done", "failed", "handed_back", "lost", "buried", "dropped", "reset"];
const CLASS_NAMES: [&str; 5] = ["transient", "capacity", "fault", "data", "config"];

pub(super) fn samples() -> Vec<Sample> {
    let mut runs = runs();
    runs.retain(|_, shown| shown.ended.is_none_or(|ended| ended.elapsed() < SHOWN_AFTERWARDS));
    runs.iter().flat_map(|(run, shown)| of_run(run.as_str(), shown)).collect()
}

fn of_run(run: &str, shown: &Shown) -> Vec<Sample> {
    let Some(told) = &shown.told else { return Vec::new() };
    let (status, mut samples) = (&told.status, Vec::new());
    for (state, name) in STATES {
        samples.push(Sample::new(&RUN_STATE, &[run, name], f64::from(u8::from(status.state == state))));
    }
    let started = status.started.parse::<jiff::Timestamp>().ok();
    let started = started.map(|at| at.as_millisecond() as f64 / 1e3);
    let training = status.training.as_ref();
    for (of, value) in [
        (&RUN_STARTED, started),
        (&RUN_PROGRESS, Some(shown.progress)),
        (&RUN_ETA, status.eta_seconds),
        (&RUN_PIXELS, Some(status.pixels as f64)),
        (&RUN_PIXELS_DONE, Some(status.pixels_done as f64)),
        (&RUN_FAILED_ITEMS, Some(status.n_failures as f64)),
        (&RUN_UNREADABLE, Some(status.unreadable_scenes.len() as f64)),
        (&RUN_MONEY, told.money),
        (&TRAIN_EPOCH, training.map(|now| f64::from(now.epoch))),
        (&TRAIN_EPOCHS, training.map(|now| f64::from(now.epochs))),
        (&TRAIN_STEP, training.map(|now| now.step as f64)),
        (&TRAIN_STEPS, training.and_then(|now| now.known_steps()).map(|steps| steps as f64)),
        (&TRAIN_CHIPS, training.map(|now| now.images as f64)),
        (&TRAIN_LOSS, training.and_then(|now| now.loss)),
        (&TRAIN_MEAN_IOU, training.and_then(|now| now.mean_iou)),
        (&TRAIN_SPEED, training.map(|now| now.images_per_second)),
    ] {
        samples.extend(value.map(|value| Sample::new(of, &[run], value)));
    }
    let mut rented: BTreeMap<&str, f64> = BTreeMap::new();
    for of in &status.rented {
        *rented.entry(if of.is_spot { "spot" } else { "on_demand" }).or_default() += of.seconds;
    }
    samples.extend(rented.iter().map(|(market, seconds)| Sample::new(&RUN_RENTED, &[run, market], *seconds)));
    for (lane, ask) in &status.asks {
        let items = (ask.out + ask.more) as f64;
        samples.push(Sample::new(&BACKLOG_ITEMS, &[run, lane], items));
        // Of nothing it is known, whatever an item takes.
        let seconds = if items == 0.0 { Some(0.0) } else { ask.seconds.map(|seconds| items * seconds) };
        samples.extend(seconds.map(|seconds| Sample::new(&BACKLOG_SECONDS, &[run, lane], seconds)));
    }
    let lanes: BTreeSet<&str> = told.stages.iter().map(|of| of.lane.name()).collect();
    for lane in lanes {
        let republished = shown.heard.republished.get(lane).copied().unwrap_or_default();
        samples.push(Sample::new(&REPUBLISHED, &[run, lane], republished as f64));
    }
    samples.extend(told.stages.iter().flat_map(|of| of_stage(run, of, status.state, &shown.heard)));
    samples
}

fn of_stage(run: &str, of: &OfStage, state: RunState, heard: &Heard) -> Vec<Sample> {
    let (stage, lane) = (of.stage.name(), of.lane.name());
    let mut samples = Vec::new();
    // What is held was published; a hold that the coordinator has not seen yet counts as queued. Where a run has been
    // stopped, what was published is thrown away by whoever receives it.
    let held = if state.is_final() { 0 } else { of.held.min(of.out) };
    let queued = if matches!(state, RunState::Preparing | RunState::Running) { of.out - held } else { 0 };
    let settled = of.done + of.buried + held + queued;
    for (state, items) in [
        ("waiting", of.items.saturating_sub(settled)),
        ("queued", queued),
        ("held", held),
        ("done", of.done),
        ("buried", of.buried),
    ] {
        samples.push(Sample::new(&ITEMS, &[run, stage, lane, state], items as f64));
    }
    for outcome in OUTCOME_NAMES {
        let n = heard.outcomes.get(&(of.stage, outcome)).copied().unwrap_or_default();
        samples.push(Sample::new(&OUTCOMES, &[run, stage, lane, outcome], n as f64));
    }
    for class in CLASS_NAMES {
        let n = heard.failures.get(&(of.stage, class)).copied().unwrap_or_default();
        samples.push(Sample::new(&FAILURES, &[run, stage, class], n as f64));
    }
    let (seconds, pixels, bytes) = heard.made.get(&of.stage).copied().unwrap_or_default();
    for (of, value) in [(&ITEM_SECONDS, seconds), (&PIXELS, pixels as f64), (&BYTES, bytes as f64)] {
        samples.push(Sample::new(of, &[run, stage], value));
    }
    samples
}

fn now() -> f64 {
    jiff::Timestamp::now().as_millisecond() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use swath_proto::{
        item::Place,
        outcome::{Failure, Report},
        status::Rented,
    };

    use super::*;

    fn told(state: &str) -> Told {
        let json = serde_json::json!({
            "run": "a-1", "state": state, "written": "", "started": "2026-01-01T00:00:00Z", "stages": {},
            "pixels_done": 3, "pixels": 9, "items_per_second": 0.0, "eta_seconds": 7.5, "failures": [],
            "n_failures": 1, "unreadable_scenes": [], "message": null,
            "asks": { "cpu": { "out": 2, "held": 1, "more": 5, "seconds": 10.0 } },
        });
        let status = serde_json::from_value(json).unwrap();
        let stage = OfStage {
            stage: Stage::Predict,
            lane: Lane::Cpu,
            items: 10,
            done: 2,
            buried: 1,
            out: 2,
            held: 1,
        };
        Told { status, stages: vec![stage], money: None }
    }

    fn value(samples: &[Sample], of: &str, labels: &[&str]) -> Option<f64> {
        samples.iter().find(|sample| sample.of == of && sample.labels == labels).map(|sample| sample.value)
    }

    #[test]
    fn the_states_of_a_stage_add_up_to_its_items_and_what_was_heard_is_counted() {
        let place = Place::new(Stage::Predict, 0, 3);
        let failure = Failure {
            class: FailureClass::Data,
            message: "torn".into(),
            scene: None,
            rect: None,
            worker: "w".parse().unwrap(),
        };
        let mut shown = Shown { told: Some(told("running")), ..Shown::default() };
        for event in [
            Event::Finished { place, report: Report { seconds: 2.5, pixels: 4, bytes: 8 } },
            Event::Finished { place, report: Report { seconds: 1.5, pixels: 4, bytes: 8 } },
            Event::Released { place, failures: 1, failure: Some(failure.clone()) },
            Event::Lost { place },
            Event::Buried { place, attempts: 3, failure: failure.clone() },
            Event::Buried {
                place,
                attempts: 3,
                failure: Failure { class: FailureClass::Dropped, ..failure },
            },
        ] {
            shown.heard.hear(&event, &mut shown.progress);
        }
        let samples = of_run("a-1", &shown);
        let items = |state| value(&samples, "swath_items", &["a-1", "predict", "cpu", state]).unwrap();
        let states = ["waiting", "queued", "held", "done", "buried"].map(items);
        assert_eq!(states, [5.0, 1.0, 1.0, 2.0, 1.0]);
        let outcome = |name| value(&samples, "swath_item_outcomes_total", &["a-1", "predict", "cpu", name]);
        assert_eq!(
            ["done", "failed", "lost", "buried", "dropped", "reset"].map(outcome),
            [2.0, 1.0, 1.0, 1.0, 1.0, 0.0].map(Some)
        );
        assert_eq!(value(&samples, "swath_item_failures_total", &["a-1", "predict", "data"]), Some(2.0));
        assert_eq!(value(&samples, "swath_item_seconds_total", &["a-1", "predict"]), Some(4.0));
        assert_eq!(value(&samples, "swath_backlog_items", &["a-1", "cpu"]), Some(7.0));
        assert_eq!(value(&samples, "swath_backlog_seconds", &["a-1", "cpu"]), Some(70.0));
        assert_eq!(value(&samples, "swath_run_state", &["a-1", "running"]), Some(1.0));
        assert_eq!(value(&samples, "swath_run_state", &["a-1", "done"]), Some(0.0));
        assert_eq!(value(&samples, "swath_run_started_timestamp_seconds", &["a-1"]), Some(1_767_225_600.0));
        assert_eq!(value(&samples, "swath_training_loss", &["a-1"]), None, "nothing is trained");
    }

    #[test]
    fn what_a_stopped_run_had_published_waits_in_no_queue() {
        let items = |state: &str| {
            let shown = Shown { told: Some(told(state)), ..Shown::default() };
            let samples = of_run("a-1", &shown);
            ["waiting", "queued", "held"]
                .map(|name| value(&samples, "swath_items", &["a-1", "predict", "cpu", name]).unwrap())
        };
        assert_eq!(items("running"), [5.0, 1.0, 1.0]);
        assert_eq!(items("paused"), [6.0, 0.0, 1.0]);
        assert_eq!(items("cancelled"), [7.0, 0.0, 0.0]);
    }

    #[test]
    fn rented_machines_are_shown_by_market_and_what_they_cost() {
        let mut told = told("running");
        let rented = |is_spot, stage, seconds| Rented { kind: "g5.xlarge".into(), is_spot, stage, seconds };
        told.status.rented = vec![
            rented(true, Some(Stage::Survey), 5.0),
            rented(true, Some(Stage::Predict), 7.0),
            rented(false, None, 3.0),
        ];
        told.money = Some(1.5);
        let samples = of_run("a-1", &Shown { told: Some(told), ..Shown::default() });
        let seconds = |market| value(&samples, "swath_run_rented_seconds", &["a-1", market]);
        assert_eq!(["spot", "on_demand"].map(seconds), [Some(12.0), Some(3.0)]);
        assert_eq!(value(&samples, "swath_run_spent_money", &["a-1"]), Some(1.5));
    }

    #[test]
    fn a_run_that_is_over_is_shown_for_a_while_and_one_that_others_serve_is_not() {
        let is_shown = |name: &str| runs().keys().any(|run| run.as_str() == name);
        let (over, left): (RunId, RunId) = ("shown-over".parse().unwrap(), "shown-left".parse().unwrap());
        let (one, other) = (OfRun::begin(&over), OfRun::begin(&left));
        one.tell(told("done"));
        other.tell(told("running"));
        drop((one, other));
        assert!(is_shown("shown-over") && !is_shown("shown-left"));
    }
}
