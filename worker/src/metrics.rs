//! What this process shows of itself to Prometheus: where the time of items goes, how busy the device is, how its leases
//! fare, what is left of its machine. All metrics of this crate are declared here; `docs/metrics.md` tells what they
//! mean. Totals of runs are the coordinator's.
//!
//! Whatever is counted often is looked up once: an update is an addition. `cargo run --release --example metrics_cost`
//! says what it takes.

use std::{sync::LazyLock, time::Duration};

use prometheus::{Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec};
use swath_backends::{declared::Declared, queue::Lane};
use swath_proto::item::Stage;
use swath_train::Progress;

pub mod machine;
pub mod serve;

const PHASE_SECONDS: Declared = Declared::histogram(
    "swath_worker_phase_seconds",
    &["phase"],
    "What the parts of an item's way take: fetch, decode, device, encode, put, and waiting for threads or the device.",
);
const ITEM_SECONDS: Declared = Declared::histogram(
    "swath_worker_item_seconds",
    &["stage"],
    "From the claim of an item to its end, however it ended.",
);
const ITEMS: Declared = Declared::counter(
    "swath_worker_items_total",
    &["stage", "outcome"],
    "Items that have ended here: done, duplicate (somebody else was first), handed_back, or the class of the failure.",
);
const DELIVERIES: Declared = Declared::counter(
    "swath_worker_deliveries_total",
    &["lane", "redelivered"],
    "Messages that were received, and whether the broker says that somebody had them before.",
);
const SLOTS: Declared =
    Declared::gauge("swath_worker_slots", &["lane"], "Items of a lane that may be in hand at a time.");
const IN_HAND: Declared = Declared::gauge("swath_worker_in_hand", &[], "Items in hand.");
const EXTENSIONS: Declared = Declared::counter(
    "swath_worker_lease_extensions_total",
    &["outcome"],
    "Leases of items that were extended (kept), that others may have by now (lost), and calls that failed.",
);
const BATCH_FILL: Declared = Declared::histogram(
    "swath_worker_batch_fill_ratio",
    &[],
    "Windows in a batch of the network, of those that it has room for.",
);
const WINDOWS: Declared =
    Declared::counter("swath_worker_windows_total", &[], "Windows that the network was shown.");
const CHIPS: Declared = Declared::counter("swath_worker_chips_total", &[], "Chips that were kept.");
const NOTICES: Declared = Declared::counter(
    "swath_worker_preemption_notices_total",
    &[],
    "Notices that this machine is about to be taken away.",
);
const DEVICE_MEMORY: Declared = Declared::gauge(
    "swath_worker_device_memory_bytes",
    &["part"],
    "Memory of the card: total, and free. None where no card computes.",
);
pub(crate) const DISK_SIZE: Declared =
    Declared::gauge("swath_worker_disk_size_bytes", &[], "The disk on which models and chips are kept.");
pub(crate) const DISK_FREE: Declared =
    Declared::gauge("swath_worker_disk_free_bytes", &[], "What is left of it for this user.");
pub(crate) const MEMORY_LIMIT: Declared = Declared::gauge(
    "swath_worker_memory_limit_bytes",
    &[],
    "Memory of this worker's control group, or of the machine where it has no limit.",
);
pub(crate) const MEMORY_AVAILABLE: Declared = Declared::gauge(
    "swath_worker_memory_available_bytes",
    &[],
    "What is left of it, files that may be dropped included.",
);
const CHIP_WAIT: Declared = Declared::gauge(
    "swath_worker_training_chip_wait_ratio",
    &[],
    "The share of the epoch's time in which the first rank of a training has waited for chips.",
);
const SUM_SECONDS: Declared = Declared::counter(
    "swath_worker_training_sum_seconds_total",
    &["part"],
    "Time in which gradients were summed over the ranks of a training (all), and that in which nothing else was left \
     to compute (waited), of the first rank.",
);

pub const ALL: [Declared; 18] = [
    PHASE_SECONDS,
    ITEM_SECONDS,
    ITEMS,
    DELIVERIES,
    SLOTS,
    IN_HAND,
    EXTENSIONS,
    BATCH_FILL,
    WINDOWS,
    CHIPS,
    NOTICES,
    DEVICE_MEMORY,
    DISK_SIZE,
    DISK_FREE,
    MEMORY_LIMIT,
    MEMORY_AVAILABLE,
    CHIP_WAIT,
    SUM_SECONDS,
];

/// Parts of an item's way.
#[derive(Clone, Copy, Debug)]
pub enum Phase {
    Fetch,
    Decode,
    Device,
    Encode,
    Put,
    WaitForThreads,
    WaitForDevice,
}

const PHASES: [&str; 7] =
    ["fetch", "decode", "device", "encode", "put", "wait_for_threads", "wait_for_device"];
const EXTENDED: [&str; 3] = ["kept", "lost", "failed"];
/// From a small part of an item to one that takes half an hour.
const SECONDS: [f64; 10] = [0.001, 0.01, 0.05, 0.25, 1.0, 4.0, 15.0, 60.0, 300.0, 1800.0];
const FILLS: [f64; 6] = [0.25, 0.5, 0.75, 0.9, 0.99, 1.0];

static PHASE: LazyLock<[Histogram; 7]> = LazyLock::new(|| {
    let all = PHASE_SECONDS.to_histograms(&SECONDS);
    PHASES.map(|phase| all.with_label_values(&[phase]))
});
static EXTENDED_HOLDS: LazyLock<[IntCounter; 3]> = LazyLock::new(|| {
    let all = EXTENSIONS.to_int_counters();
    EXTENDED.map(|outcome| all.with_label_values(&[outcome]))
});
static OF_ITEMS: LazyLock<HistogramVec> = LazyLock::new(|| ITEM_SECONDS.to_histograms(&SECONDS));
static ENDED: LazyLock<IntCounterVec> = LazyLock::new(|| ITEMS.to_int_counters());
static DELIVERED: LazyLock<IntCounterVec> = LazyLock::new(|| DELIVERIES.to_int_counters());
static HANDS: LazyLock<Gauge> = LazyLock::new(|| IN_HAND.to_gauge());
static ROOM: LazyLock<GaugeVec> = LazyLock::new(|| SLOTS.to_gauges());
static FILL: LazyLock<Histogram> = LazyLock::new(|| BATCH_FILL.to_histogram(&FILLS));
static SHOWN_WINDOWS: LazyLock<IntCounter> = LazyLock::new(|| WINDOWS.to_int_counter());
static KEPT_CHIPS: LazyLock<IntCounter> = LazyLock::new(|| CHIPS.to_int_counter());
static NOTICED: LazyLock<IntCounter> = LazyLock::new(|| NOTICES.to_int_counter());
static CARD: LazyLock<GaugeVec> = LazyLock::new(|| DEVICE_MEMORY.to_gauges());
static WAITED_FOR_CHIPS: LazyLock<Gauge> = LazyLock::new(|| CHIP_WAIT.to_gauge());
static SUMMED: LazyLock<CounterVec> = LazyLock::new(|| SUM_SECONDS.to_counters());
static SUMMED_ALL: LazyLock<Counter> = LazyLock::new(|| SUMMED.with_label_values(&["all"]));
static SUMMED_WAITED: LazyLock<Counter> = LazyLock::new(|| SUMMED.with_label_values(&["waited"]));

/// All that counts from 0 is there from the start: a rate needs something to rise from.
fn begin() {
    swath_backends::metrics::begin("worker", env!("CARGO_PKG_VERSION"));
    LazyLock::force(&PHASE);
    LazyLock::force(&EXTENDED_HOLDS);
    LazyLock::force(&HANDS);
    LazyLock::force(&FILL);
    LazyLock::force(&NOTICED);
    for counter in [&SHOWN_WINDOWS, &KEPT_CHIPS] {
        counter.inc_by(0);
    }
    for counter in [&SUMMED_ALL, &SUMMED_WAITED] {
        counter.inc_by(0.0);
    }
}

pub fn took(phase: Phase, time: Duration) {
    PHASE[phase as usize].observe(time.as_secs_f64());
}

/// Once an item: it may look for its name.
pub fn ended(stage: Stage, outcome: &str, took: Duration) {
    OF_ITEMS.with_label_values(&[stage.name()]).observe(took.as_secs_f64());
    ENDED.with_label_values(&[stage.name(), outcome]).inc();
}

/// A lane is served with so many slots. Counts its messages, by whether somebody had them before.
pub fn serves(lane: Lane, slots: usize) -> [IntCounter; 2] {
    ROOM.with_label_values(&[lane.name()]).set(slots as f64);
    ["false", "true"].map(|redelivered| DELIVERED.with_label_values(&[lane.name(), redelivered]))
}

/// Until what is returned is dropped.
pub fn in_hand() -> InHand {
    HANDS.inc();
    InHand
}

pub struct InHand;

impl Drop for InHand {
    fn drop(&mut self) {
        HANDS.dec();
    }
}

/// Of so many leases that were to be extended.
pub fn extended(of: usize, lost: usize) {
    let [kept_holds, lost_holds, _] = &*EXTENDED_HOLDS;
    kept_holds.inc_by(of.saturating_sub(lost) as u64);
    lost_holds.inc_by(lost as u64);
}

pub fn not_extended() {
    let [_, _, failed] = &*EXTENDED_HOLDS;
    failed.inc();
}

/// Of a batch that has room for so many.
pub fn showed(windows: usize, of: usize) {
    FILL.observe(windows as f64 / of.max(1) as f64);
    SHOWN_WINDOWS.inc_by(windows as u64);
}

pub fn kept_chips(chips: u64) {
    KEPT_CHIPS.inc_by(chips);
}

pub fn noticed() {
    NOTICED.inc();
}

/// Free bytes of the card, and all of them.
pub fn saw_card((free, total): (u64, u64)) {
    CARD.with_label_values(&["free"]).set(free as f64);
    CARD.with_label_values(&["total"]).set(total as f64);
}

/// What a training has come to, and had before.
#[derive(Default)]
pub struct Training {
    summing_s: f64,
    exposed_s: f64,
}

impl Training {
    pub fn hear(&mut self, now: &Progress) {
        WAITED_FOR_CHIPS.set(now.waiting);
        SUMMED_ALL.inc_by(risen(self.summing_s, now.summing_s));
        SUMMED_WAITED.inc_by(risen(self.exposed_s, now.exposed_s));
        (self.summing_s, self.exposed_s) = (now.summing_s, now.exposed_s);
    }
}

/// Ranks that were started again count from 0.
fn risen(before: f64, now: f64) -> f64 {
    if now >= before { now - before } else { now.max(0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_shown_by_its_own_name() {
        let sum = |phase: Phase| PHASE[phase as usize].get_sample_sum();
        took(Phase::WaitForDevice, Duration::from_secs(7));
        assert!(sum(Phase::WaitForDevice) >= 7.0);
        let text = swath_backends::declared::render();
        assert!(text.contains("swath_worker_phase_seconds_sum{phase=\"wait_for_device\"}"), "{text}");
        let names = [
            (Phase::Fetch, "fetch"),
            (Phase::Decode, "decode"),
            (Phase::Device, "device"),
            (Phase::Encode, "encode"),
            (Phase::Put, "put"),
            (Phase::WaitForThreads, "wait_for_threads"),
            (Phase::WaitForDevice, "wait_for_device"),
        ];
        assert!(names.iter().all(|(phase, name)| PHASES[*phase as usize] == *name));
    }

    #[test]
    fn what_ranks_have_summed_never_falls_when_they_are_started_again() {
        assert_eq!([risen(0.0, 2.0), risen(2.0, 5.0), risen(5.0, 1.5)], [2.0, 3.0, 1.5]);
    }
}
