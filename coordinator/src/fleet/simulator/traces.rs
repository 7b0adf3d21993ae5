//! What the decisions come to, trace by trace.

use swath_proto::fleet::{Budget, ByKind, Market};

use super::{Outcome, Trace, simulate};
use crate::fleet::policy::{KindPolicy, Offer, Policy};

const HOUR_S: f64 = 3600.0;
const MOST: u32 = 40;
const DRAIN_S: f64 = 1800.0;
const LAUNCH_S: f64 = 180.0;
const ITEM_S: f64 = 30.0;

fn policy(markets: &[Market]) -> Policy {
    let offers =
        |_| markets.iter().map(|market| Offer { market: *market, price_per_hour: None }).collect::<Vec<_>>();
    let kinds = ByKind::from_fn(|kind| KindPolicy { min: 0, max: MOST, offers: offers(kind) });
    Policy { drain_s: DRAIN_S, slots: 1, ..Policy::of_machines(kinds.cpu, kinds.gpu) }
}

fn trace(name: &'static str, arrivals: Vec<(f64, Vec<f64>)>) -> Trace {
    Trace {
        name,
        policy: policy(&[Market::Spot]),
        arrivals,
        launch_s: LAUNCH_S,
        capacity: |_, _| usize::MAX,
        storms: Vec::new(),
        until_s: 8.0 * HOUR_S,
    }
}

/// Ten hours of work at once.
pub(super) fn burst() -> Trace {
    trace("burst", vec![(0.0, vec![ITEM_S; 1200])])
}

/// More and more of it, for an hour.
pub(super) fn ramp() -> Trace {
    let minute = |minute: usize| (minute as f64 * 60.0, vec![ITEM_S; minute]);
    trace("ramp", (1..=60).map(minute).collect())
}

/// One item in thirty takes twenty times as long.
pub(super) fn long_tail() -> Trace {
    let takes = |n: usize| if n.is_multiple_of(30) { 20.0 * ITEM_S } else { ITEM_S };
    trace("long tail", vec![(0.0, (0..900).map(takes).collect())])
}

/// Half of all machines are taken away, again and again.
pub(super) fn spot_storm() -> Trace {
    let storms = [900.0, 1200.0, 1500.0].map(|at_s| (at_s, 0.5)).to_vec();
    Trace { name: "spot storm", policy: policy(&Market::ALL), storms, ..burst() }
}

/// There is nothing for four hours.
pub(super) fn no_capacity() -> Trace {
    let capacity = |at_s: f64, _: Market| if at_s < 4.0 * HOUR_S { 0 } else { usize::MAX };
    Trace { name: "no capacity", policy: policy(&Market::ALL), capacity, ..burst() }
}

fn work_h(trace: &Trace) -> f64 {
    trace.arrivals.iter().flat_map(|(_, items)| items).sum::<f64>() / HOUR_S
}

/// What holds whatever happens.
fn run(trace: &Trace) -> Outcome {
    let outcome = simulate(trace);
    assert!(outcome.most() <= MOST as usize, "{}: {} at a time", trace.name, outcome.most());
    let last = outcome.samples.last().expect("samples");
    assert_eq!((last.working, last.launching, last.target), (0, 0, 0), "{}: back to none", trace.name);
    assert!(last.backlog_s == 0.0 && outcome.done_s.is_some(), "{}: all is done", trace.name);
    outcome
}

/// No worker has cost more than its work, its launch, and a while without work.
fn assert_thrifty(trace: &Trace, outcome: &Outcome) {
    let each_s = LAUNCH_S + trace.policy.cool_down_s + 4.0 * ITEM_S;
    let fair_h = work_h(trace) + f64::from(outcome.ordered) * each_s / HOUR_S;
    assert!(outcome.hours <= fair_h, "{}: {:.2} h of {fair_h:.2}", trace.name, outcome.hours);
}

#[test]
fn a_burst_is_worked_off_in_the_time_asked_for() {
    let trace = burst();
    let outcome = run(&trace);
    let done_s = outcome.done_s.unwrap();
    assert!(done_s <= 1.2 * DRAIN_S, "{done_s} s");
    let (changes, turns) = outcome.changes();
    assert!(changes <= 8 && turns <= 1, "{changes} changes, {turns} turns");
    assert_thrifty(&trace, &outcome);
}

#[test]
fn what_comes_on_a_ramp_is_worked_off_in_the_time_asked_for() {
    let trace = ramp();
    let outcome = run(&trace);
    let done_s = outcome.done_s.unwrap();
    assert!(done_s <= HOUR_S + 1.2 * DRAIN_S, "{done_s} s");
    let (changes, turns) = outcome.changes();
    assert!(changes <= 40 && turns <= 3, "{changes} changes, {turns} turns");
    assert_thrifty(&trace, &outcome);
}

#[test]
fn the_last_long_items_keep_nobody_but_those_who_have_them() {
    let trace = long_tail();
    let outcome = run(&trace);
    // The last long one may begin when the time is over.
    assert!(outcome.done_s.unwrap() <= 1.3 * (DRAIN_S + 20.0 * ITEM_S));
    let (_, turns) = outcome.changes();
    assert!(turns <= 1, "{turns} turns");
    assert_thrifty(&trace, &outcome);
}

#[test]
fn a_storm_that_takes_half_of_all_machines_is_recovered_from() {
    let trace = spot_storm();
    let outcome = run(&trace);
    assert!(outcome.lost >= 15, "{} were taken away", outcome.lost);
    assert!(outcome.says("machines were taken away") && outcome.says("on-demand from now on"));
    let done_s = outcome.done_s.unwrap();
    assert!(done_s <= 1.2 * (DRAIN_S + LAUNCH_S), "{done_s} s");
}

#[test]
fn where_there_is_no_capacity_tries_are_few_and_it_is_said() {
    let trace = no_capacity();
    let outcome = run(&trace);
    // Each offer is waited for ten minutes; pauses between the rounds grow.
    let mut before = outcome.samples.iter().filter(|sample| sample.at_s < 4.0 * HOUR_S);
    assert!(before.all(|sample| sample.working == 0));
    assert!(outcome.orders <= 4 * 6 + 2, "{} orders", outcome.orders);
    assert!(
        outcome.says("no spot machine within 10 min") && outcome.says("no on-demand machine within 10 min")
    );
    assert!(outcome.done_s.unwrap() <= 4.0 * HOUR_S + 900.0 + 600.0 + 1.2 * DRAIN_S);
}

#[test]
fn a_budget_is_never_overrun() {
    for hours in [0.5, 2.0, 5.0] {
        let mut trace = burst();
        trace.policy.budget = Budget { hours: Some(hours), money: None };
        trace.until_s = HOUR_S;
        let outcome = simulate(&trace);
        let last = outcome.samples.last().unwrap();
        assert!(outcome.hours <= hours, "{:.3} h of {hours}", outcome.hours);
        assert!(outcome.hours > 0.5 * hours, "{:.3} h of {hours} are hardly used", outcome.hours);
        assert_eq!((last.working, last.launching), (0, 0));
        assert!(last.backlog_s > 0.0 && outcome.says("the budget is reached"));
    }
}

#[test]
fn a_few_workers_that_are_kept_begin_at_once() {
    let mut trace = burst();
    trace.policy.kinds.cpu.min = 2;
    let kept = simulate(&Trace { arrivals: vec![(600.0, vec![ITEM_S; 1200])], ..trace });
    let first = kept.samples.iter().find(|sample| sample.at_s >= 300.0).unwrap();
    assert_eq!((first.working, first.target), (2, 2));
    assert!(kept.done_s.unwrap() <= 600.0 + 1.2 * DRAIN_S);
}
