//! What a fleet has been told to be, what it does, and what it costs: filled in by whoever steers it.

use std::{
    collections::BTreeMap,
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use prometheus::{CounterVec, GaugeVec, IntCounterVec};
use swath_backends::queue::Lane;
use swath_proto::ids::RunId;

use super::{FLEET_COST, FLEET_PREEMPTIONS, FLEET_STARTS, FLEET_TARGET, RUN_BUDGET, RUN_COST, Sample};

static TARGET: LazyLock<GaugeVec> = LazyLock::new(|| FLEET_TARGET.to_gauges());
static STARTS: LazyLock<IntCounterVec> = LazyLock::new(|| FLEET_STARTS.to_int_counters());
static PREEMPTIONS: LazyLock<IntCounterVec> = LazyLock::new(|| FLEET_PREEMPTIONS.to_int_counters());
static COST: LazyLock<CounterVec> = LazyLock::new(|| FLEET_COST.to_counters());
static MONEY: Mutex<BTreeMap<RunId, Money>> = Mutex::new(BTreeMap::new());

#[derive(Default)]
struct Money {
    cost: Option<f64>,
    budget: Option<f64>,
}

pub(super) fn begin() {
    LazyLock::force(&TARGET);
    LazyLock::force(&STARTS);
    LazyLock::force(&PREEMPTIONS);
    LazyLock::force(&COST);
}

/// How many workers of a lane there should be. From then on its counters are shown, at 0 before anything was counted.
pub fn wants(lane: Lane, workers: u64) {
    let lane = lane.name();
    TARGET.with_label_values(&[lane]).set(workers as f64);
    for outcome in ["started", "failed"] {
        STARTS.with_label_values(&[lane, outcome]).inc_by(0);
    }
    PREEMPTIONS.with_label_values(&[lane]).inc_by(0);
    COST.with_label_values(&[lane]).inc_by(0.0);
}

pub fn started(lane: Lane, workers: u64) {
    STARTS.with_label_values(&[lane.name(), "started"]).inc_by(workers);
}

/// They were asked for, and nobody gave them.
pub fn not_started(lane: Lane, workers: u64) {
    STARTS.with_label_values(&[lane.name(), "failed"]).inc_by(workers);
}

/// Their machines were taken away.
pub fn preempted(lane: Lane, workers: u64) {
    PREEMPTIONS.with_label_values(&[lane.name()]).inc_by(workers);
}

/// Dollars more than before.
pub fn spent(lane: Lane, usd: f64) {
    COST.with_label_values(&[lane.name()]).inc_by(usd.max(0.0));
}

/// What a run has cost so far, and may cost.
pub fn cost(run: &RunId, usd: f64, budget: Option<f64>) {
    let mut all = all();
    let money = all.entry(run.clone()).or_default();
    (money.cost, money.budget) = (Some(usd), budget);
}

pub(super) fn forget(run: &RunId) {
    all().remove(run);
}

/// Of the runs that are shown.
pub(super) fn money<'a>(runs: impl Iterator<Item = &'a RunId>) -> Vec<Sample> {
    let all = all();
    let mut samples = Vec::new();
    for (run, money) in runs.filter_map(|run| Some((run, all.get(run)?))) {
        for (of, usd) in [(&RUN_COST, money.cost), (&RUN_BUDGET, money.budget)] {
            samples.extend(usd.map(|usd| Sample::new(of, &[run.as_str()], usd)));
        }
    }
    samples
}

fn all() -> MutexGuard<'static, BTreeMap<RunId, Money>> {
    MONEY.lock().unwrap_or_else(PoisonError::into_inner)
}
