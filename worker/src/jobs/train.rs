//! Fits a network to the shards of the run. Checkpoints lie under the item's id, so that whoever gets the
//! item next goes on where the last one was.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use swath_backends::Kind;
use swath_proto::{
    ids::ItemId,
    item::{Stage, Train, Weights},
    keys,
    learn::{Chipped, TrainInputs, Trained},
    outcome::FailureClass,
};
use swath_shard::Index;
use swath_train::{Job, Machine, Outcome, Progress, Shard, Store, TrainError};

use super::{Output, json};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
};

/// Steps are many; people read one line now and then.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Threads that fetch and decode beside the one that computes.
const LOADERS: u32 = 2;

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Train) -> Result<Output, JobError> {
    let key = keys::inputs(&item.run, &work.inputs);
    let inputs: TrainInputs = serde_json::from_slice(&cx.blobs.get(&key).await?)
        .with_context(|| format!("reading {key}"))
        .map_err(JobError::data)?;
    let (train, validation) = (shards(cx, &inputs.train).await?, shards(cx, &inputs.validation).await?);
    let job = Job {
        spec: work.spec.clone(),
        train,
        validation,
        store: Store::new(cx.blobs.clone(), tokio::runtime::Handle::current()),
        output: keys::training(&item.id),
        machine: Machine {
            threads: cx.threads,
            loaders: LOADERS,
            cache: PathBuf::from(&cx.cache),
            mirror: None,
        },
    };
    let (run, stop) = (item.run.clone(), cx.stop.clone());
    let mut told: Option<Instant> = None;
    let mut progress = move |now: Progress| {
        let is_due = told.is_none_or(|told| told.elapsed() >= TELL_EVERY) || now.step == now.steps;
        if is_due {
            told = Some(Instant::now());
            let Progress { epoch, epochs, validates, step, steps, loss, samples_per_s } = now;
            tracing::info!(%run, epoch, epochs, validates, step, steps, loss, samples_per_s, "training");
        }
    };
    let outcome = cx.native(item, move || Ok(swath_train::train(&job, &mut progress, &stop)?)).await?;
    match outcome {
        Outcome::Finished(finished) => {
            let weights = publish(cx, &finished.weights, finished.sha256).await?;
            let metrics = serde_json::to_value(finished.best).map_err(JobError::internal)?;
            json(&Trained::V1 { weights, epochs: work.spec.epochs, metrics }, 0)
        }
        Outcome::Stopped { epoch, step } => Err(JobError::new(
            FailureClass::Preempted,
            anyhow!("stopped at step {step} of epoch {epoch}; a checkpoint is written"),
        )),
    }
}

/// Gives the weights the name of their content, under which predictions find them.
async fn publish(cx: &Context, key: &str, sha256: swath_proto::ids::Digest) -> Result<Weights, JobError> {
    let weights = Weights::File { sha256, extension: "safetensors".into() };
    if let Some(named) = keys::model(&weights) {
        cx.blobs.put_new(&named, cx.blobs.get(key).await?).await?;
    }
    Ok(weights)
}

/// What chip items have left; those that kept nothing have no shard.
async fn shards(cx: &Context, items: &[ItemId]) -> Result<Vec<Shard>, JobError> {
    let mut shards = Vec::new();
    for id in items {
        let key = keys::output(Stage::Chip, id);
        let Chipped::V1 { shard, index, .. } = serde_json::from_slice(&get(cx, &key).await?)
            .with_context(|| format!("reading {key}"))
            .map_err(JobError::data)?;
        let (Some(shard), Some(index)) = (shard, index) else { continue };
        let parsed = Index::parse(&get(cx, &index).await?).with_context(|| format!("reading {index}"));
        shards.push(Shard { key: shard, index: parsed.map_err(JobError::data)? });
    }
    Ok(shards)
}

async fn get(cx: &Context, key: &str) -> Result<bytes::Bytes, JobError> {
    match cx.blobs.get(key).await {
        // Which item it was is not known here; all of them look whether theirs is there.
        Err(error) if error.kind == Kind::NotFound => Err(JobError::new(
            FailureClass::Fault,
            anyhow!("{key} is gone: begin the run again with --rerun to have its chips cut again"),
        )),
        got => Ok(got?),
    }
}

impl From<TrainError> for JobError {
    fn from(error: TrainError) -> Self {
        use swath_train::Kind;
        let class = match error.kind {
            Kind::Config => FailureClass::Config,
            Kind::Data => FailureClass::Data,
            Kind::Capacity => FailureClass::Capacity,
            Kind::Transient => FailureClass::Transient,
            Kind::Internal => FailureClass::Fault,
        };
        Self::new(class, error)
    }
}
