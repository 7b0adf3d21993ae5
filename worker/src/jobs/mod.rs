//! What an item can ask for: one file a job, one line in the registry.

mod analyze;
mod assemble;
mod bundle;
mod chip;
mod eval;
mod eval_scenes;
mod merge;
mod pictures;
mod polygon_files;
mod predict;
mod predict_scenes;
mod probe;
mod scene_file;
mod scenes;
mod step;
mod survey;
mod trace;
mod train;
mod vectorize;
mod vectorize_scenes;

use bytes::Bytes;
use swath_proto::{
    item::{Item, Work},
    outcome::FailureClass,
};

use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

/// What a job gives: the bytes that go under the item's key, and how much of the scene they cover.
#[derive(Clone, Debug)]
pub struct Output {
    pub body: Bytes,
    pub pixels: u64,
}

/// Whether an attempt that fails goes on with the item in hand: after a pause, or alone where it was beside others.
#[derive(Clone, Copy, Debug)]
pub struct TriedAgain {
    pub transient: bool,
    pub capacity: bool,
}

impl TriedAgain {
    pub const fn of(self, class: FailureClass) -> bool {
        match class {
            FailureClass::Transient => self.transient,
            FailureClass::Capacity => self.capacity,
            _ => false,
        }
    }
}

/// The registry.
pub async fn run(cx: &Context, item: &Claimed, again: TriedAgain) -> Result<Output, JobError> {
    match &item.work {
        Work::Probe(work) => probe::run(cx, item, work).await,
        Work::Survey(work) => survey::run(cx, item, work).await,
        Work::Analyze(work) => analyze::run(cx, item, work).await,
        Work::Chip(work) => chip::run(cx, item, work).await,
        Work::Train(work) => train::run(cx, item, work).await,
        Work::Predict(work) => predict::run(cx, item, work).await,
        Work::PredictScenes(work) => predict_scenes::run(cx, item, again, work).await,
        Work::Assemble(work) => assemble::run(cx, item, work).await,
        Work::Eval(work) => eval::run(cx, item, work).await,
        Work::EvalScenes(work) => eval_scenes::run(cx, item, again, work).await,
        Work::Vectorize(work) => vectorize::run(cx, item, work).await,
        Work::VectorizeScenes(work) => vectorize_scenes::run(cx, item, again, work).await,
        Work::Merge(work) => merge::run(cx, item, work).await,
        Work::Bundle(work) => bundle::run(cx, item, work).await,
        Work::Step(work) => step::run(cx, item, work).await,
        Work::Noop(_) => Ok(Output { body: Bytes::new(), pixels: 0 }),
    }
}

/// Whether an item's output lies there, with all that belongs into it.
pub async fn is_made(cx: &Context, item: &Item, key: &str) -> Result<bool, JobError> {
    match &item.work {
        Work::EvalScenes(work) => eval_scenes::is_made(cx, work, key).await,
        _ => Ok(cx.blobs.head(key).await?.is_some()),
    }
}

/// Takes away what a job has left on its way and nothing names any more. To be called once the output is in
/// place; it may be called again.
pub async fn tidy(cx: &Context, item: &Item) {
    let Work::Train(_) = &item.work else { return };
    if let Err(error) = train::tidy(cx, item).await {
        let error = error.told();
        tracing::warn!(error, "checkpoints are left lying");
    }
}

/// An output document.
fn json(document: &impl serde::Serialize, pixels: u64) -> Result<Output, JobError> {
    let mut body = serde_json::to_vec_pretty(document).map_err(JobError::internal)?;
    body.push(b'\n');
    Ok(Output { body: body.into(), pixels })
}
