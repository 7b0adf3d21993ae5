//! How a run stands, in numbers for people: counts are exact, speed and time left are measured.

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use swath_proto::{
    item::{Place, Stage},
    learn::Training,
    outcome::{Failure, FailureClass},
    status::{Ask, FailedItem, Rank, RunState, RunStatus, StageCount},
};

use crate::{board::Board, meter::Meter, training::Watched};

/// Kinds of failures that a status shows, among the first that there are; the rest are counted.
const SHOWN: usize = 20;
const LOOKED_AT: usize = 1000;

pub(crate) fn status(
    board: &Board,
    meter: &Meter,
    training: &Watched,
    held: usize,
    (rank, asks): (Rank, BTreeMap<String, Ask>),
    (state, message): (RunState, Option<String>),
) -> RunStatus {
    let stages = Stage::ALL.into_iter().filter(|stage| belongs(board, *stage)).map(|stage| {
        let count = board.counts().get(&stage).copied().unwrap_or_default();
        let buried = board.graves(stage).count() as u64;
        let spent = meter.spent(stage);
        let (items, done, seconds, made) = (count.items, count.done, spent.seconds, spent.made);
        let item_seconds = meter.seconds(stage);
        (stage.name().to_owned(), StageCount { items, done, buried, seconds, made, item_seconds })
    });
    let (dropped, failed): (Vec<_>, Vec<_>) =
        board.buried().iter().partition(|(_, grave)| grave.failure.class == FailureClass::Dropped);
    let failures = kinds(failed.iter().map(|(place, grave)| (**place, grave.attempts, &grave.failure)));
    let unreadable = board.lots().flat_map(|lot| &lot.unreadable);
    let goes_on = !state.is_final();
    let pace = meter.pace().filter(|_| goes_on);
    RunStatus {
        run: board.run().clone(),
        state,
        rank,
        asks,
        written: jiff::Timestamp::now().to_string(),
        started: board.record.created.clone(),
        stages: stages.collect(),
        at_work: meter.at_work().filter(|_| goes_on),
        held: held as u64,
        pixels_done: board.pixels_done,
        pixels: board.pixels,
        items_per_second: pace.map_or(0.0, |pace| pace.items_per_second()),
        pixels_per_second: pace.map_or(0.0, |pace| pace.pixels_per_second()),
        eta_seconds: eta(board, meter, training.latest()).filter(|_| goes_on),
        training: training.latest().cloned(),
        training_log: training.log(),
        failures,
        n_failures: failed.len() as u64,
        n_dropped: dropped.len() as u64,
        unreadable_scenes: unreadable.map(|(id, message)| format!("{id}: {message}")).collect(),
        rented: Vec::new(),
        phases: None,
        bottleneck: None,
        square_km: board.square_km.filter(|area| *area > 0.0),
        message,
    }
}

/// One of each: a scene that is broken fails in all of its items.
fn kinds<'a>(failures: impl Iterator<Item = (Place, u32, &'a Failure)>) -> Vec<FailedItem> {
    let mut told: Vec<FailedItem> = Vec::new();
    let mut known: HashMap<_, usize> = HashMap::new();
    for (place, attempts, failure) in failures.take(LOOKED_AT) {
        match known.entry(failure.kind()) {
            Entry::Occupied(at) => told[*at.get()].items += 1,
            Entry::Vacant(new) => {
                new.insert(told.len());
                told.push(FailedItem { place, attempts, failure: failure.clone(), items: 1 });
            }
        }
    }
    told.truncate(SHOWN);
    told
}

/// The stages that were asked for, and those that have items without being asked for.
fn belongs(board: &Board, stage: Stage) -> bool {
    board.record.has(stage) || board.counts().get(&stage).is_some_and(|count| count.items > 0)
}

/// To the end of the stage at work. Predictions by their pixels, since the items at the edges are smaller.
fn eta(board: &Board, meter: &Meter, training: Option<&Training>) -> Option<f64> {
    let (stage, pace) = (meter.at_work()?, meter.pace()?);
    let count = board.counts().get(&stage)?;
    let (left, speed) = match stage {
        Stage::Train => return training?.eta_seconds,
        Stage::Predict => (board.pixels.saturating_sub(board.pixels_done), pace.pixels_per_second()),
        _ => (count.items.saturating_sub(count.done), pace.items_per_second()),
    };
    (speed > 0.0).then(|| left as f64 / speed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_alike_in_a_scene_is_told_once() {
        let failure = |scene: &str, message: &str| -> Failure {
            let json =
                serde_json::json!({ "class": "data", "message": message, "scene": scene, "worker": "w" });
            serde_json::from_value(json).unwrap()
        };
        let all = [
            failure("east", "reading at 0, 512: torn"),
            failure("west", "reading at 0, 512: torn"),
            failure("east", "reading at 1024, 7: torn"),
            failure("east", "no such band"),
        ];
        let places = (0_u32..).map(|at| format!("predict.0.{at}").parse::<Place>().unwrap());
        let told = kinds(places.zip(&all).map(|(place, failure)| (place, 1, failure)));
        let told: Vec<_> = told.iter().map(|one| (one.place.to_string(), one.items)).collect();
        let of = |place: &str, items| (place.to_owned(), items);
        assert_eq!(told, [of("predict.0.0", 2), of("predict.0.1", 1), of("predict.0.3", 1)]);
    }
}
