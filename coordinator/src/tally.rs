//! How a run stands, in numbers for people: counts are exact, speed and time left are measured.

use std::collections::BTreeMap;

use swath_proto::{
    item::Stage,
    learn::Training,
    outcome::FailureClass,
    status::{Ask, FailedItem, Rank, RunState, RunStatus, StageCount},
};

use crate::{board::Board, meter::Meter, training::Watched};

/// Failures that a status shows; the rest are counted.
const SHOWN: usize = 20;

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
    let failures = failed.iter().take(SHOWN).map(|(place, grave)| FailedItem {
        place: **place,
        attempts: grave.attempts,
        failure: grave.failure.clone(),
    });
    let failures = failures.collect();
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
        square_km: board.square_km.filter(|area| *area > 0.0),
        message,
    }
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
