//! What the coordinator shows of its runs and their workers, from the ledger, to Prometheus. All metrics of this crate
//! are declared here; `docs/metrics.md` tells what they mean. Workers show their own processes, and where they do so
//! is told by [`crate::discovery`].
//!
//! What is known of runs and workers is put into samples when it is asked for ([`runs`], [`workers`]); what has only
//! happened is counted as it happens ([`fleet`], and how long a step takes).

use std::{sync::LazyLock, time::Duration};

use prometheus::{Histogram, IntCounter};
use swath_backends::{
    declared::{self, Declared},
    ledger::Ledger,
};

use crate::discovery;

pub mod fleet;
pub mod runs;
pub mod serve;
mod shown;
pub mod workers;

pub(crate) use shown::Sample;

// Runs.
pub(crate) const RUN_STATE: Declared = Declared::gauge(
    "swath_run_state",
    &["run", "state"],
    "1 for the state that the run is in, 0 for all others.",
);
pub(crate) const RUN_STARTED: Declared =
    Declared::gauge("swath_run_started_timestamp_seconds", &["run"], "When the run was frozen.");
pub(crate) const RUN_PROGRESS: Declared = Declared::gauge(
    "swath_run_progress_timestamp_seconds",
    &["run"],
    "When an item was finished last, or a step of a training.",
);
pub(crate) const RUN_ETA: Declared = Declared::gauge(
    "swath_run_eta_seconds",
    &["run"],
    "To the end of the stage at work, by its speed of the last minute.",
);
pub(crate) const RUN_PIXELS: Declared = Declared::gauge(
    "swath_run_pixels",
    &["run"],
    "Pixels that the run has to predict, so far as it is planned.",
);
pub(crate) const RUN_PIXELS_DONE: Declared =
    Declared::gauge("swath_run_pixels_done", &["run"], "Of them, those that are predicted.");
pub(crate) const RUN_FAILED_ITEMS: Declared = Declared::gauge(
    "swath_run_failed_items",
    &["run"],
    "Items that were set aside and not dropped: they wait for a replay.",
);
pub(crate) const RUN_UNREADABLE: Declared =
    Declared::gauge("swath_run_unreadable_scenes", &["run"], "Scenes whose header could not be read.");
pub(crate) const RUN_RENTED: Declared = Declared::gauge(
    "swath_run_rented_seconds",
    &["run", "market"],
    "Time of rented machines that was the run's so far: spot, on_demand. None where all workers have machines of one's own.",
);
pub(crate) const RUN_MONEY: Declared = Declared::gauge(
    "swath_run_spent_money",
    &["run"],
    "What that has cost, by the coordinator's table of prices and in its currency; machines without a price are not in it.",
);

// Their items.
pub(crate) const ITEMS: Declared = Declared::gauge(
    "swath_items",
    &["run", "stage", "lane", "state"],
    "Items that are waiting, queued (published), held by a worker, done, or buried.",
);
pub(crate) const OUTCOMES: Declared = Declared::counter(
    "swath_item_outcomes_total",
    &["run", "stage", "lane", "outcome"],
    "How attempts at items have ended: done, failed, handed_back, lost (the lease ran out), buried, dropped, reset.",
);
pub(crate) const FAILURES: Declared = Declared::counter(
    "swath_item_failures_total",
    &["run", "stage", "class"],
    "Failures that were booked on items, by their class.",
);
pub(crate) const ITEM_SECONDS: Declared = Declared::counter(
    "swath_item_seconds_total",
    &["run", "stage"],
    "From claim to finish, of all items that were finished.",
);
pub(crate) const PIXELS: Declared = Declared::counter(
    "swath_pixels_total",
    &["run", "stage"],
    "Pixels of scenes that finished items have covered.",
);
pub(crate) const BYTES: Declared =
    Declared::counter("swath_output_bytes_total", &["run", "stage"], "Bytes that finished items have put.");
pub(crate) const REPUBLISHED: Declared = Declared::counter(
    "swath_items_republished_total",
    &["run", "lane"],
    "Items that the queue had lost, or whose message met no worker of this ledger: published once more.",
);
pub(crate) const BACKLOG_ITEMS: Declared = Declared::gauge(
    "swath_backlog_items",
    &["run", "lane"],
    "Items that are published, held, or could be published at once.",
);
pub(crate) const BACKLOG_SECONDS: Declared = Declared::gauge(
    "swath_backlog_seconds",
    &["run", "lane"],
    "The same in seconds of one slot, by what items like them have taken. None before the first has ended.",
);

// Trainings.
pub(crate) const TRAIN_EPOCH: Declared =
    Declared::gauge("swath_training_epoch", &["run"], "Epoch at work, from 1.");
pub(crate) const TRAIN_EPOCHS: Declared =
    Declared::gauge("swath_training_epochs", &["run"], "Epochs that were asked for.");
pub(crate) const TRAIN_STEP: Declared =
    Declared::gauge("swath_training_step", &["run"], "Steps of this phase of the epoch that are done.");
pub(crate) const TRAIN_STEPS: Declared = Declared::gauge(
    "swath_training_steps",
    &["run"],
    "Steps that this phase of the epoch has, once that is known.",
);
pub(crate) const TRAIN_CHIPS: Declared =
    Declared::gauge("swath_training_chips", &["run"], "Chips that an epoch trains on.");
pub(crate) const TRAIN_LOSS: Declared =
    Declared::gauge("swath_training_loss", &["run"], "Mean loss of the epoch so far.");
pub(crate) const TRAIN_MEAN_IOU: Declared = Declared::gauge(
    "swath_training_mean_iou",
    &["run"],
    "Mean IoU of the classes on the validation chips, after the epoch before this one: 0 to 1.",
);
pub(crate) const TRAIN_SPEED: Declared =
    Declared::gauge("swath_training_images_per_second", &["run"], "Chips a second, of all ranks together.");

// Workers, by what they say of themselves in the ledger.
pub(crate) const WORKERS: Declared = Declared::gauge(
    "swath_workers",
    &["lanes", "market", "state"],
    "Workers that are busy, idle or leaving, by the lanes that they serve (joined by +) and by whose machines they have: \
     spot, on_demand, or own.",
);
pub(crate) const WORKER_SLOTS: Declared =
    Declared::gauge("swath_workers_slots", &["lanes"], "Items that they can have in hand.");
pub(crate) const WORKER_HANDS: Declared =
    Declared::gauge("swath_workers_in_hand", &["lanes"], "Items that they have in hand.");

// The fleet.
const FLEET_TARGET: Declared =
    Declared::gauge("swath_fleet_target_workers", &["kind"], "Workers that there should be.");
const FLEET_MAX: Declared =
    Declared::gauge("swath_fleet_max_workers", &["kind"], "Workers that there may be at most.");
const FLEET_LAUNCHING: Declared = Declared::gauge(
    "swath_fleet_launching_workers",
    &["kind"],
    "Workers that were asked for and are not at work yet.",
);
const FLEET_LAUNCH_SECONDS: Declared = Declared::gauge(
    "swath_fleet_launch_seconds",
    &["kind"],
    "From the order to the first word of a worker, as measured.",
);
const FLEET_STARTS: Declared = Declared::counter(
    "swath_fleet_starts_total",
    &["kind", "outcome"],
    "Workers that were asked for: started, or failed.",
);
const FLEET_PREEMPTIONS: Declared = Declared::counter(
    "swath_fleet_preemptions_total",
    &["kind"],
    "Workers that were lost because their machine was taken away.",
);
const FLEET_SPENT_SECONDS: Declared = Declared::gauge(
    "swath_fleet_spent_worker_seconds",
    &[],
    "Time of all workers that the fleet has started, over its life under this root.",
);
const FLEET_SPENT_MONEY: Declared = Declared::gauge(
    "swath_fleet_spent_money",
    &[],
    "What they have cost, by the prices that the fleet was told and in their currency.",
);
const FLEET_BUDGET_SECONDS: Declared = Declared::gauge(
    "swath_fleet_budget_worker_seconds",
    &[],
    "Time of workers that may be spent. None without such a budget.",
);
const FLEET_BUDGET_MONEY: Declared =
    Declared::gauge("swath_fleet_budget_money", &[], "Money that may be spent. None without such a budget.");

// The coordinator itself.
const STEP_SECONDS: Declared = Declared::histogram(
    "swath_coordinator_step_seconds",
    &[],
    "A turn of the loop of one run: hear, sweep, feed, judge, tell.",
);
const AWAY: Declared = Declared::counter(
    "swath_coordinator_interruptions_total",
    &[],
    "Turns that were given up because a server was away.",
);

/// Of runs and workers.
pub(crate) static SHOWN: [Declared; 30] = [
    RUN_STATE,
    RUN_STARTED,
    RUN_PROGRESS,
    RUN_ETA,
    RUN_PIXELS,
    RUN_PIXELS_DONE,
    RUN_FAILED_ITEMS,
    RUN_UNREADABLE,
    RUN_RENTED,
    RUN_MONEY,
    ITEMS,
    OUTCOMES,
    FAILURES,
    ITEM_SECONDS,
    PIXELS,
    BYTES,
    REPUBLISHED,
    BACKLOG_ITEMS,
    BACKLOG_SECONDS,
    TRAIN_EPOCH,
    TRAIN_EPOCHS,
    TRAIN_STEP,
    TRAIN_STEPS,
    TRAIN_CHIPS,
    TRAIN_LOSS,
    TRAIN_MEAN_IOU,
    TRAIN_SPEED,
    WORKERS,
    WORKER_SLOTS,
    WORKER_HANDS,
];
const COUNTED: [Declared; 12] = [
    FLEET_TARGET,
    FLEET_MAX,
    FLEET_LAUNCHING,
    FLEET_LAUNCH_SECONDS,
    FLEET_STARTS,
    FLEET_PREEMPTIONS,
    FLEET_SPENT_SECONDS,
    FLEET_SPENT_MONEY,
    FLEET_BUDGET_SECONDS,
    FLEET_BUDGET_MONEY,
    STEP_SECONDS,
    AWAY,
];

/// All that is declared here.
pub fn all() -> impl Iterator<Item = Declared> {
    SHOWN.iter().copied().chain(COUNTED)
}

static STEPS: LazyLock<Histogram> =
    LazyLock::new(|| STEP_SECONDS.to_histogram(&[0.001, 0.004, 0.016, 0.064, 0.25, 1.0, 4.0, 16.0]));
static INTERRUPTIONS: LazyLock<IntCounter> = LazyLock::new(|| AWAY.to_int_counter());

pub(crate) fn stepped(took: Duration) {
    STEPS.observe(took.as_secs_f64());
}

pub(crate) fn was_interrupted() {
    INTERRUPTIONS.inc();
}

/// All that this process has to say, with what it was told of workers last.
pub fn render() -> String {
    static BEGUN: LazyLock<()> = LazyLock::new(|| {
        swath_backends::metrics::begin("coordinator", env!("CARGO_PKG_VERSION"));
        shown::begin();
        LazyLock::force(&STEPS);
        LazyLock::force(&INTERRUPTIONS);
    });
    LazyLock::force(&BEGUN);
    declared::render()
}

/// The same, after a look at who works: what answers `/metrics`.
pub async fn page(ledger: &dyn Ledger) -> String {
    match discovery::workers(ledger).await {
        Ok(workers) => workers::saw(Some(workers)),
        Err(error) => {
            tracing::debug!(error = format!("{error:#}"), "who works can't be asked");
            workers::saw(None);
        }
    }
    render()
}
