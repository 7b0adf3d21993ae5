//! Workers by what they do, from what they say of themselves.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use swath_proto::worker::{Worker, WorkerState};

use super::{Sample, WORKER_HANDS, WORKER_SLOTS, WORKERS};

/// None while the ledger can't be asked.
static SEEN: Mutex<Option<Vec<Worker>>> = Mutex::new(None);

pub(super) fn saw(workers: Option<Vec<crate::discovery::Announced>>) {
    let workers = workers.map(|workers| workers.into_iter().map(|one| one.worker).collect());
    *SEEN.lock().unwrap_or_else(PoisonError::into_inner) = workers;
}

pub(super) fn samples() -> Vec<Sample> {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.as_deref().map(of).unwrap_or_default()
}

fn of(workers: &[Worker]) -> Vec<Sample> {
    let mut by_state: BTreeMap<(String, &str, &str), u64> = BTreeMap::new();
    let mut hands: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for worker in workers {
        let (lanes, market) = (worker.lanes.join("+"), market(worker));
        // All of them, so that what was busy a moment ago is seen to be busy no more.
        for state in ["busy", "idle", "leaving"] {
            *by_state.entry((lanes.clone(), market, state)).or_default() += u64::from(state == doing(worker));
        }
        let (slots, in_hand) = hands.entry(lanes).or_default();
        // Each lane has its own.
        *slots += u64::from(worker.slots) * worker.lanes.len() as u64;
        *in_hand += u64::from(worker.in_hand);
    }
    let by_state = by_state
        .iter()
        .map(|((lanes, market, state), n)| Sample::new(&WORKERS, &[lanes, market, state], *n as f64));
    let hands = hands.iter().flat_map(|(lanes, (slots, in_hand))| {
        [(&WORKER_SLOTS, slots), (&WORKER_HANDS, in_hand)].map(|(of, n)| Sample::new(of, &[lanes], *n as f64))
    });
    by_state.chain(hands).collect()
}

const fn doing(worker: &Worker) -> &'static str {
    match (worker.state, worker.in_hand) {
        (WorkerState::Leaving, _) => "leaving",
        (WorkerState::Working, 0) => "idle",
        (WorkerState::Working, _) => "busy",
    }
}

const fn market(worker: &Worker) -> &'static str {
    match &worker.instance {
        None => "own",
        Some(instance) if instance.is_spot => "spot",
        Some(_) => "on_demand",
    }
}

#[cfg(test)]
mod tests {
    use swath_proto::worker::WorkerCard;

    use super::*;

    #[test]
    fn workers_are_counted_by_what_they_do_and_whose_machines_they_have() {
        let sample = include_str!("../../../proto/samples/worker-v1.json");
        let leaving = serde_json::from_str::<WorkerCard>(sample).unwrap().into_newest();
        let mut busy = leaving.clone();
        busy.state = WorkerState::Working;
        let busy_slots = busy.slots;
        let mut idle = busy.clone();
        (idle.in_hand, idle.instance) = (0, None);
        let samples = of(&[leaving, busy, idle]);
        let n = |market: &str, state: &str| {
            let labels = ["cpu+gpu", market, state];
            samples.iter().find(|sample| sample.labels == labels).map(|sample| sample.value)
        };
        assert_eq!(["leaving", "busy", "idle"].map(|state| n("spot", state)), [1.0, 1.0, 0.0].map(Some));
        assert_eq!(["leaving", "busy", "idle"].map(|state| n("own", state)), [0.0, 0.0, 1.0].map(Some));
        let hands = samples.iter().find(|sample| sample.of == "swath_workers_in_hand").unwrap();
        assert_eq!((hands.labels.as_slice(), hands.value), (["cpu+gpu".to_owned()].as_slice(), 4.0));
        let slots = samples.iter().find(|sample| sample.of == "swath_workers_slots").unwrap();
        assert_eq!(slots.value, f64::from(3 * 2 * busy_slots), "each of both lanes has its own");
    }
}
