//! What a fleet has been told to be, what it does, and what it costs: filled in by whoever steers it. Nothing of it is
//! shown where there is no fleet.

use std::sync::LazyLock;

use prometheus::{Gauge, GaugeVec, IntCounterVec};

use super::{
    FLEET_BUDGET_MONEY, FLEET_BUDGET_SECONDS, FLEET_LAUNCH_SECONDS, FLEET_LAUNCHING, FLEET_MAX,
    FLEET_PREEMPTIONS, FLEET_SPENT_MONEY, FLEET_SPENT_SECONDS, FLEET_STARTS, FLEET_TARGET,
};

static TARGET: LazyLock<GaugeVec> = LazyLock::new(|| FLEET_TARGET.to_gauges());
static MAX: LazyLock<GaugeVec> = LazyLock::new(|| FLEET_MAX.to_gauges());
static LAUNCHING: LazyLock<GaugeVec> = LazyLock::new(|| FLEET_LAUNCHING.to_gauges());
static LAUNCH_SECONDS: LazyLock<GaugeVec> = LazyLock::new(|| FLEET_LAUNCH_SECONDS.to_gauges());
static STARTS: LazyLock<IntCounterVec> = LazyLock::new(|| FLEET_STARTS.to_int_counters());
static PREEMPTIONS: LazyLock<IntCounterVec> = LazyLock::new(|| FLEET_PREEMPTIONS.to_int_counters());
static SPENT_SECONDS: LazyLock<Gauge> = LazyLock::new(|| FLEET_SPENT_SECONDS.to_gauge());
static SPENT_MONEY: LazyLock<Gauge> = LazyLock::new(|| FLEET_SPENT_MONEY.to_gauge());
static BUDGET_SECONDS: LazyLock<Gauge> = LazyLock::new(|| FLEET_BUDGET_SECONDS.to_gauge());
static BUDGET_MONEY: LazyLock<Gauge> = LazyLock::new(|| FLEET_BUDGET_MONEY.to_gauge());

/// How the workers of a kind stand.
#[derive(Clone, Copy, Debug)]
pub struct Crew {
    pub target: u32,
    pub max: u32,
    pub launching: u32,
    /// None before one was measured.
    pub launch_s: Option<f64>,
}

/// What was spent, and may be.
#[derive(Clone, Copy, Debug)]
pub struct Account {
    pub hours: f64,
    pub money: f64,
    pub budget_hours: Option<f64>,
    pub budget_money: Option<f64>,
}

/// After each look. The counters of a kind are shown from then on, at 0 before anything was counted.
pub fn crew(kind: &str, crew: Crew) {
    TARGET.with_label_values(&[kind]).set(f64::from(crew.target));
    MAX.with_label_values(&[kind]).set(f64::from(crew.max));
    LAUNCHING.with_label_values(&[kind]).set(f64::from(crew.launching));
    if let Some(seconds) = crew.launch_s {
        LAUNCH_SECONDS.with_label_values(&[kind]).set(seconds);
    }
    for outcome in ["started", "failed"] {
        STARTS.with_label_values(&[kind, outcome]).inc_by(0);
    }
    PREEMPTIONS.with_label_values(&[kind]).inc_by(0);
}

/// Another coordinator has the fleet, and tells of it.
pub fn left() {
    for gauges in [&TARGET, &MAX, &LAUNCHING, &LAUNCH_SECONDS] {
        gauges.reset();
    }
}

pub fn account(account: Account) {
    const HOUR: f64 = 3600.0;
    SPENT_SECONDS.set(account.hours * HOUR);
    SPENT_MONEY.set(account.money);
    if let Some(hours) = account.budget_hours {
        BUDGET_SECONDS.set(hours * HOUR);
    }
    if let Some(money) = account.budget_money {
        BUDGET_MONEY.set(money);
    }
}

pub fn started(kind: &str, workers: u32) {
    STARTS.with_label_values(&[kind, "started"]).inc_by(workers.into());
}

/// They were asked for, and nobody gave them, or they have ended before they worked.
pub fn not_started(kind: &str, workers: u32) {
    STARTS.with_label_values(&[kind, "failed"]).inc_by(workers.into());
}

/// Their machines were taken away.
pub fn preempted(kind: &str, workers: u32) {
    PREEMPTIONS.with_label_values(&[kind]).inc_by(workers.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_is_shown_from_when_it_is_told_of() {
        // A kind of its own: other tests steer fleets beside this.
        crew("tested", Crew { target: 4, max: 8, launching: 1, launch_s: Some(90.0) });
        account(Account { hours: 0.5, money: 0.1, budget_hours: None, budget_money: Some(20.0) });
        preempted("tested", 2);
        let text = swath_backends::declared::render();
        for line in [
            "swath_fleet_target_workers{kind=\"tested\"} 4",
            "swath_fleet_launch_seconds{kind=\"tested\"} 90",
            "swath_fleet_preemptions_total{kind=\"tested\"} 2",
            "swath_fleet_starts_total{kind=\"tested\",outcome=\"failed\"} 0",
            "swath_fleet_spent_worker_seconds 1800",
            "swath_fleet_budget_money 20",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("swath_fleet_budget_worker_seconds"), "there is no such budget\n{text}");
        left();
        let text = swath_backends::declared::render();
        assert!(
            !text.contains("swath_fleet_target_workers{kind=\"tested\"}"),
            "another tells of it by now\n{text}"
        );
        assert!(
            text.contains("swath_fleet_preemptions_total{kind=\"tested\"} 2"),
            "what was counted stays\n{text}"
        );
    }
}
