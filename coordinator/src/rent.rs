//! Counts the time of rented machines that is a run's, as workers tell of where they are. Pure.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use swath_backends::queue::Lane;
use swath_proto::{
    item::Stage,
    status::{Rented, RunStatus},
    worker::Worker,
};

/// Whoever has not looked for longer can't say what was there.
const LONGEST: Duration = Duration::from_secs(60);

/// Rented machines that are there, by kind, market, and the lane that they serve.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Machines(BTreeMap<(String, bool, Lane), u32>);

impl Machines {
    /// Those of a root: several may share a ledger. A machine counts once, whatever number of workers it has.
    pub(crate) fn of<'a>(workers: impl Iterator<Item = &'a Worker>, root: &str) -> Self {
        let (mut seen, mut machines) = (HashSet::new(), BTreeMap::new());
        for worker in workers.filter(|worker| worker.root.as_deref().is_none_or(|of| of == root)) {
            let Some(instance) = &worker.instance else { continue };
            if !seen.insert((&worker.host, &instance.kind, &instance.zone)) {
                continue;
            }
            let lane =
                if worker.lanes.iter().any(|lane| lane == Lane::Gpu.name()) { Lane::Gpu } else { Lane::Cpu };
            *machines.entry((instance.kind.clone(), instance.is_spot, lane)).or_default() += 1;
        }
        Self(machines)
    }
}

#[derive(Default)]
pub(crate) struct Rent {
    /// By kind of machine, market and stage: seconds.
    spent: BTreeMap<(String, bool, Option<Stage>), f64>,
    looked: Option<Instant>,
}

impl Rent {
    /// What was counted under a coordinator before this one.
    pub(crate) fn go_on(&mut self, before: &RunStatus) {
        let rented = before.rented.iter();
        self.spent = rented
            .map(|rented| ((rented.kind.clone(), rented.is_spot, rented.stage), rented.seconds))
            .collect();
    }

    /// `part`: how much of a lane's workers is this run's.
    pub(crate) fn look(
        &mut self,
        now: Instant,
        stage: Option<Stage>,
        machines: &Machines,
        part: impl Fn(Lane) -> f64,
    ) {
        let Some(last) = self.looked.replace(now) else { return };
        let seconds = now.duration_since(last).min(LONGEST).as_secs_f64();
        for ((kind, is_spot, lane), n) in &machines.0 {
            let own = seconds * f64::from(*n) * part(*lane);
            if own > 0.0 {
                *self.spent.entry((kind.clone(), *is_spot, stage)).or_default() += own;
            }
        }
    }

    pub(crate) fn rented(&self) -> Vec<Rented> {
        let spent = self.spent.iter();
        spent
            .map(|((kind, is_spot, stage), seconds)| Rented {
                kind: kind.clone(),
                is_spot: *is_spot,
                stage: *stage,
                seconds: *seconds,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(host: &str, kind: Option<&str>, lane: &str) -> Worker {
        let instance = kind.map(|kind| serde_json::json!({ "kind": kind, "zone": "z", "is_spot": true }));
        let json = serde_json::json!({
            "started": "", "program": "", "host": host, "pid": 1, "lanes": [lane], "slots": 1, "state": "working",
            "in_hand": 0, "done": 0, "failed": 0, "busy_s": 0.0, "instance": instance,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn machines_count_once_each_and_ones_own_cost_nothing() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let workers = [
            worker("a", Some("g5.xlarge"), "gpu"),
            worker("b", Some("c5.large"), "cpu"),
            worker("b", Some("c5.large"), "cpu"),
            worker("c", Some("c5.large"), "cpu"),
            worker("mine", None, "cpu"),
        ];
        let of = |workers: &[Worker]| Machines::of(workers.iter(), "here");
        let all = of(&workers);
        let part = |lane| if lane == Lane::Gpu { 1.0 } else { 0.5 };
        let mut rent = Rent::default();
        rent.look(at(0), None, &all, part);
        assert!(rent.rented().is_empty(), "what was before is not known");
        rent.look(at(10), Some(Stage::Predict), &all, part);
        rent.look(at(20), Some(Stage::Predict), &of(&workers[1..]), part);
        let told = |rent: &Rent| {
            let rented = rent.rented().into_iter();
            rented.map(|rented| (rented.kind, rented.stage, rented.seconds)).collect::<Vec<_>>()
        };
        let stage = Some(Stage::Predict);
        assert_eq!(
            told(&rent),
            [("c5.large".to_owned(), stage, 20.0), ("g5.xlarge".to_owned(), stage, 10.0)]
        );
        rent.look(at(4000), stage, &of(&workers[..1]), part);
        assert_eq!(told(&rent)[1].2, 70.0, "nobody has looked for an hour");
    }
    #[test]
    fn machines_of_another_root_are_not_this_ones() {
        let of_root =
            |host: &str, root: &str| Worker { root: Some(root.into()), ..worker(host, Some("a"), "cpu") };
        let workers = [of_root("a", "here"), of_root("b", "elsewhere"), worker("c", Some("a"), "cpu")];
        let machines = Machines::of(workers.iter(), "here");
        assert_eq!(machines, Machines(BTreeMap::from([(("a".into(), true, Lane::Cpu), 2)])));
    }
}
