//! What workers were busy with for a run, as their cards tell from one look to the next. Pure. What a worker does in the
//! seconds between its last card and its end is not in it.

use std::collections::BTreeMap;

use swath_backends::queue::Lane;
use swath_proto::{ids::WorkerId, phases::PhaseSeconds, status::RunStatus};

use crate::discovery::Announced;

/// What a worker has come to.
pub(crate) struct Busy {
    worker: WorkerId,
    lane: Lane,
    phases: PhaseSeconds,
}

impl Busy {
    /// Workers of a root: several may share a ledger.
    pub(crate) fn of(workers: &[Announced], root: &str) -> Vec<Self> {
        let busy = |Announced { name, worker }: &Announced| {
            let phases = worker.phases.filter(|_| worker.root.as_deref().is_none_or(|of| of == root))?;
            let has_card = worker.lanes.iter().any(|lane| lane == Lane::Gpu.name());
            Some(Self { worker: name.clone(), lane: if has_card { Lane::Gpu } else { Lane::Cpu }, phases })
        };
        workers.iter().filter_map(busy).collect()
    }
}

#[derive(Default)]
pub(crate) struct Phases {
    spent: PhaseSeconds,
    seen: BTreeMap<WorkerId, PhaseSeconds>,
    /// How much of a lane's workers was this run's when it was looked last.
    parts: BTreeMap<Lane, f64>,
    has_looked: bool,
}

impl Phases {
    /// What was counted under a coordinator before this one.
    pub(crate) fn go_on(&mut self, before: &RunStatus) {
        self.spent = before.phases.unwrap_or_default();
    }

    /// `part`: how much of a lane's workers is this run's. At its end that is nothing, and what has gone by was its own all
    /// the same.
    pub(crate) fn look(&mut self, workers: &[Busy], part: impl Fn(Lane) -> f64) {
        let is_first = !std::mem::replace(&mut self.has_looked, true);
        let mut parts = BTreeMap::new();
        for Busy { worker, lane, phases } in workers {
            let now = *parts.entry(*lane).or_insert_with(|| part(*lane));
            let before = self.seen.insert(worker.clone(), *phases);
            // Of what they did before anybody looked it is not known for whom.
            if is_first {
                continue;
            }
            let part = if now > 0.0 { now } else { self.parts.get(lane).copied().unwrap_or_default() };
            let own = phases.with(&before.unwrap_or_default(), |now, before| (now - before).max(0.0) * part);
            self.spent = self.spent.with(&own, |spent, own| spent + own);
        }
        self.parts = parts;
    }

    /// None before anything was measured.
    pub(crate) fn spent(&self) -> Option<PhaseSeconds> {
        (self.spent.all() > 0.0).then_some(self.spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(worker: &str, lane: Lane, device: f64) -> Busy {
        let phases = PhaseSeconds { device, ..PhaseSeconds::default() };
        Busy { worker: worker.parse().unwrap(), lane, phases }
    }

    fn device(phases: &Phases) -> Option<f64> {
        phases.spent().map(|spent| spent.device)
    }

    #[test]
    fn what_workers_were_busy_with_before_is_not_this_runs_and_what_came_since_is_its_part() {
        let mut phases = Phases::default();
        phases.look(&[busy("old", Lane::Cpu, 1000.0)], |_| 1.0);
        assert_eq!(device(&phases), None);
        let half = |lane| if lane == Lane::Cpu { 0.5 } else { 1.0 };
        let all = [busy("old", Lane::Cpu, 1008.0), busy("new", Lane::Cpu, 4.0), busy("card", Lane::Gpu, 2.0)];
        phases.look(&all, half);
        assert_eq!(device(&phases), Some(8.0 * 0.5 + 4.0 * 0.5 + 2.0));
        phases.look(&all, half);
        assert_eq!(device(&phases), Some(8.0), "nothing has happened since");
    }

    #[test]
    fn the_last_seconds_of_a_run_are_its_own_though_it_wants_nobody_any_more() {
        let mut phases = Phases::default();
        phases.look(&[], |_| 1.0);
        phases.look(&[busy("a", Lane::Cpu, 2.0)], |_| 1.0);
        phases.look(&[busy("a", Lane::Cpu, 5.0)], |_| 0.0);
        assert_eq!(device(&phases), Some(5.0));
        phases.look(&[busy("a", Lane::Cpu, 50.0)], |_| 0.0);
        assert_eq!(device(&phases), Some(5.0), "that is another run's");
    }

    #[test]
    fn a_worker_that_begins_anew_takes_nothing_back() {
        let mut phases = Phases::default();
        phases.look(&[], |_| 1.0);
        phases.look(&[busy("a", Lane::Cpu, 9.0)], |_| 1.0);
        phases.look(&[busy("a", Lane::Cpu, 1.0)], |_| 1.0);
        assert_eq!(device(&phases), Some(9.0));
    }

    #[test]
    fn workers_of_another_root_and_of_older_programs_tell_nothing() {
        let sample = include_str!("../../proto/samples/worker-v1-phases.json");
        let card: swath_proto::worker::WorkerCard = serde_json::from_str(sample).unwrap();
        let worker = card.into_newest();
        let of = |root: Option<&str>, phases| {
            let worker = swath_proto::worker::Worker { root: root.map(Into::into), phases, ..worker.clone() };
            Announced { name: "w".parse().unwrap(), worker }
        };
        let all = [
            of(Some("here"), worker.phases),
            of(Some("there"), worker.phases),
            of(None, worker.phases),
            of(Some("here"), None),
        ];
        assert_eq!(Busy::of(&all, "here").len(), 2);
    }
}
