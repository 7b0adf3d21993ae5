//! What became of a run when the same command was given before.

use swath_backends::open::Doors;
use swath_coordinator::{
    commands,
    records::{office, read_status},
};
use swath_proto::{
    item::Stage,
    keys,
    run::RunRecord,
    status::{RunState, RunStatus},
};

use crate::table;

/// Maps that are looked for before a run counts as done.
const LOOKED_AT: usize = 100;

pub(super) enum Before {
    Nothing,
    /// It goes on, in these words.
    Told(String),
    /// There is nothing to do.
    Done(Box<RunStatus>),
}

pub(super) async fn before(record: &RunRecord, doors: &Doors) -> anyhow::Result<Before> {
    let Some(status) = read_status(&doors.blobs, &record.run).await? else { return Ok(Before::Nothing) };
    if !matches!(status.state, RunState::Done | RunState::DoneWithFailures) {
        return Ok(going_on(&status).map_or(Before::Nothing, Before::Told));
    }
    let run = &record.run;
    if !commands::pending(&doors.blobs, run).await?.is_empty() {
        return Ok(Before::Told("going on: it was done, and more was asked of it since".into()));
    }
    if !doors.ledger.snapshot(run).await?.known {
        return Ok(Before::Told(
            "it was done, and the ledger has forgotten it since: looking at what is there".into(),
        ));
    }
    // What could not be made is missing too; that is told, and no reason to begin again.
    if status.state == RunState::Done && files_are_gone(record, doors).await? {
        // Forgotten, it is found again by what lies under the root. Whoever serves it now must not be disturbed.
        if doors.ledger.leader(&office(run)).await?.is_none() {
            doors.ledger.forget(run).await?;
        }
        return Ok(Before::Told("it was done, but files of it are gone: making them again".into()));
    }
    if record_is_gone(record, doors).await? {
        return Ok(Before::Told("it was done, but what tells of it is gone: telling it again".into()));
    }
    Ok(Before::Done(Box::new(status)))
}

async fn files_are_gone(record: &RunRecord, doors: &Doors) -> anyhow::Result<bool> {
    let (run, plan) = (&record.run, &record.predict);
    let scenes = record.scenes.iter().filter(|_| record.has(Stage::Assemble)).take(LOOKED_AT);
    let maps = scenes.flat_map(|scene| {
        let scores = plan.scores.then(|| keys::scores(run, &scene.id));
        let confidence = plan.confidence.then(|| keys::confidence(run, &scene.id));
        [Some(keys::prediction(run, &scene.id)), scores, confidence].into_iter().flatten()
    });
    let bundle = record.has(Stage::Bundle).then(|| keys::bundle(run));
    let formats = || record.vectors.iter().flat_map(|plan| &plan.formats);
    let traced = record.scenes.iter().filter(|_| record.has(Stage::Vectorize)).take(LOOKED_AT);
    let polygons = traced.flat_map(|scene| {
        formats().map(|format| format!("{}.{}", keys::vectors(run, &scene.id), format.extension()))
    });
    let merged = formats().filter(|_| record.has(Stage::Merge));
    let merged = merged.map(|format| format!("{}.{}", keys::merged(run), format.extension()));
    is_any_gone(maps.chain(polygons).chain(merged).chain(bundle), doors).await
}

/// Of what the coordinator itself writes at a run's end.
async fn record_is_gone(record: &RunRecord, doors: &Doors) -> anyhow::Result<bool> {
    let run = &record.run;
    let is_evaluated = record.has(Stage::Eval) && record.scenes.iter().any(|scene| scene.labels.is_some());
    let eval = is_evaluated.then(|| keys::eval(run));
    let scenes = record.scenes.iter().filter(|_| record.has(Stage::Predict)).take(LOOKED_AT);
    let mut documents = scenes.map(|scene| keys::stac_item(run, &scene.id)).peekable();
    let collection = documents.peek().map(|_| keys::stac_collection(run));
    let model = collection.as_ref().filter(|_| record.has(Stage::Bundle)).map(|_| keys::stac_model(run));
    is_any_gone(documents.chain(collection).chain(model).chain(eval), doors).await
}

async fn is_any_gone(keys: impl Iterator<Item = String>, doors: &Doors) -> anyhow::Result<bool> {
    for key in keys {
        if doors.blobs.head(&key).await?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the same command did not end the last time.
fn going_on(before: &RunStatus) -> Option<String> {
    match before.state {
        RunState::Cancelled => {
            Some("it was cancelled; going on where it was (--rerun begins it anew)".into())
        }
        RunState::Failed => {
            let why = before.message.as_deref().unwrap_or("no cause is written down");
            Some(format!("it had failed ({why}); trying again with what is done"))
        }
        RunState::Running | RunState::Preparing => {
            let done = before.stages.values().map(|count| count.done).sum();
            (done > 0).then(|| format!("going on where it was: {} done", table::count(done, "item")))
        }
        RunState::Paused | RunState::Done | RunState::DoneWithFailures => None,
    }
}
