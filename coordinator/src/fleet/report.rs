//! How the fleet stands, as `fleet.json` says it. Pure.

use std::collections::HashMap;

use jiff::Timestamp;
use swath_proto::{
    fleet::{Crew, Pending},
    ids::{RunId, WorkerId},
    status::Ask,
};

use super::{
    book::Card,
    control::Setup,
    market::Place,
    policy::KindPolicy,
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
    let Order { token, kind, market, n, run, .. } = order.clone();
    Pending { token, kind, market, n, run, asked: now.to_string() }
}

/// Reads it back.
pub(super) fn order(Pending { token, kind, market, n, run, .. }: Pending) -> Order {
    Order { token, kind, market, n, run, stage: None }
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
pub(super) fn unserved(asks: &[(RunId, [Option<Ask>; LANES.len()])], setup: &Setup) -> Vec<String> {
    let items = |nth: usize| -> u64 {
        asks.iter().filter_map(|(_, asks)| asks[nth]).map(|ask| ask.out + ask.more).sum()
    };
    let kinds = &setup.policy.kinds;
    let unserved = [
        (kinds.cpu.max == 0, "items for processors wait, and --workers-max is 0"),
        (kinds.gpu.max == 0, "items for cards wait, and --gpu-workers-max is 0"),
        (!setup.allow_steps, "steps of users' own wait, and this fleet's workers have no --allow-steps"),
    ];
    let is_told = |(nth, (is_unserved, _)): &(usize, (bool, &str))| *is_unserved && items(*nth) > 0;
    unserved.into_iter().enumerate().filter(is_told).map(|(_, (_, words))| words.to_owned()).collect()
}
