//! How the fleet stands, as `fleet.json` says it. Pure.

use std::collections::HashMap;

use jiff::Timestamp;
use swath_proto::{
    fleet::{Crew, FleetStatus, Pending},
    ids::{RunId, WorkerId},
    status::Ask,
};

use super::{
    book::Card,
    market::Place,
    policy::{KindPolicy, Policy},
    provider::Order,
    target::{self, Step},
    words::duration,
};
use crate::feed::LANES;

/// One that has not left after so long is told of.
const LEAVES_WITHIN_S: f64 = 900.0;

pub(super) fn crew(policy: &KindPolicy, seen: &target::Crew, step: &Step, place: &Place) -> Crew {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let idle = seen.workers.iter().filter(|worker| worker.in_hand == 0).count();
    Crew {
        min: policy.min,
        max: policy.max,
        target: step.target,
        why: step.why.clone(),
        waiting: seen.work.waiting,
        held: seen.work.held,
        backlog_s: step.backlog_s,
        is_guess: seen.work.is_guess(),
        working: count(seen.workers.len() - idle),
        idle: count(idle),
        leaving: seen.leaving,
        launching: count(seen.launching.len()) + step.start,
        queued: count(seen.launching.iter().filter(|launching| launching.queued.is_some()).count()),
        others: seen.others,
        launch_s: place.launch_s,
        market: step.market,
        trouble: place.trouble().cloned(),
    }
}

pub(super) fn pending(order: &Order, now: Timestamp) -> Pending {
    let Order { token, kind, market, n, run, stage } = order.clone();
    Pending { token, kind, market, n, run, stage, asked: now.to_string() }
}

/// Reads it back.
pub(super) fn order(Pending { token, kind, market, n, run, stage, .. }: Pending) -> Order {
    Order { token, kind, market, n, run, stage }
}

/// Nothing but what goes on by itself has changed.
pub(super) fn is_alike(one: &FleetStatus, other: &FleetStatus) -> bool {
    let FleetStatus { written, spent, counted_until, .. } = one.clone();
    *one == FleetStatus { written, spent, counted_until, ..other.clone() }
}

/// Workers that were told to leave long ago.
pub(super) fn late(drained: &HashMap<WorkerId, Timestamp>, cards: &[Card], now: Timestamp) -> Vec<String> {
    let late = |(id, card): &Card| {
        let for_s = now.duration_since(*drained.get(id)?).as_secs_f64();
        (for_s > LEAVES_WITHIN_S).then(|| {
            format!(
                "{id} was told to leave {} ago and has {} items in hand; it leaves when they are done",
                duration(for_s),
                card.in_hand
            )
        })
    };
    cards.iter().filter_map(late).collect()
}

/// Work that this fleet has no workers for.
pub(super) fn unserved(
    asks: &[(RunId, [Option<Ask>; LANES.len()])],
    policy: &Policy,
    allow_steps: bool,
) -> Vec<String> {
    let items = |nth: usize| -> u64 {
        asks.iter().filter_map(|(_, asks)| asks[nth]).map(|ask| ask.out + ask.more).sum()
    };
    let kinds = &policy.kinds;
    let unserved = [
        (kinds.cpu.max == 0, "items for processors wait, and --workers-max is 0"),
        (kinds.gpu.max == 0, "items for cards wait, and --gpu-workers-max is 0"),
        (!allow_steps, "steps of users' own wait, and this fleet's workers have no --allow-steps"),
    ];
    let is_told = |(nth, (is_unserved, _)): &(usize, (bool, &str))| *is_unserved && items(*nth) > 0;
    unserved.into_iter().enumerate().filter(is_told).map(|(_, (_, words))| words.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_proto::{
        fleet::{Market, WorkerKind},
        item::Stage,
    };

    #[test]
    fn work_that_nobody_is_there_for_is_told_of() {
        let ask = |more| Some(Ask { more, ..Ask::default() });
        let run = |name: &str| name.parse::<RunId>().unwrap();
        let asks = [(run("a"), [ask(3), ask(0), ask(2)]), (run("b"), [None, ask(1), None])];
        let told = |cpu, gpu, steps| unserved(&asks, &Policy::of_here((0, cpu), (0, gpu)), steps);
        assert_eq!(told(1, 1, true), [""; 0]);
        let all = told(0, 0, false);
        assert_eq!(all.len(), 3);
        assert!(all[1].contains("--gpu-workers-max") && all[2].contains("--allow-steps"), "{all:?}");
        let nothing = [(run("a"), [ask(0), None, None])];
        assert_eq!(unserved(&nothing, &Policy::of_here((0, 0), (0, 0)), false), [""; 0]);
    }

    #[test]
    fn whoever_does_not_leave_is_told_of_with_what_it_has() {
        let json = serde_json::json!({
            "started": "", "program": "", "host": "h", "pid": 1, "lanes": ["cpu"], "slots": 3, "state": "leaving",
            "in_hand": 2, "done": 0, "failed": 0, "busy_s": 0.0,
        });
        let cards: [Card; 1] = [("w".parse().unwrap(), serde_json::from_value(json).unwrap())];
        let since = Timestamp::from_second(1_764_417_600).unwrap();
        let drained = HashMap::from([(cards[0].0.clone(), since)]);
        let after = |seconds| since + jiff::SignedDuration::from_secs(seconds);
        assert_eq!(late(&drained, &cards, after(900)), [""; 0]);
        let told = late(&drained, &cards, after(1200));
        assert!(told[0].starts_with("w was told to leave 20 min ago and has 2 items in hand"), "{told:?}");
    }

    #[test]
    fn an_order_that_is_written_down_reads_back() {
        let given = Order {
            token: "cpu-1-2".into(),
            kind: WorkerKind::Cpu,
            market: Market::Spot,
            n: 3,
            run: Some("a".parse().unwrap()),
            stage: Some(Stage::Predict),
        };
        assert_eq!(order(pending(&given, Timestamp::now())), given);
    }
}
