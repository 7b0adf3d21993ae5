//! Fits a network to the shards of the run. Checkpoints lie under the item's id, so that whoever gets the
//! item next goes on where the last one was.

mod with_chips;

use std::{
    path::PathBuf,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use swath_backends::Kind;
use swath_model::{Gang, Place};
use swath_proto::{
    ids::{Digest, RunId},
    item::{Item, Stage, Train, Weights},
    keys,
    learn::{ChipItem, Chipped, TrainInputs, Trained, Training},
    outcome::FailureClass,
    train::{Start, TrainSpec},
};
use swath_shard::Index;
use swath_train::{
    Job, Machine, Outcome, Progress, Shard, Store, TrainError,
    gang::{Ranks, Shards, TrainFile, rank_command, supervise},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Output, json};
use crate::{
    context::{Claimed, Context, RankProcesses},
    failure::JobError,
    keeper::until_closed,
    metrics, progress,
};

/// Steps are many; people read one line now and then.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// Chip items whose outputs are read side by side.
const READS: usize = 32;

/// Tells of a training, in one part of it after another.
#[derive(Clone)]
struct Teller(Arc<Mutex<Told>>);

struct Told {
    run: RunId,
    news: watch::Sender<Option<Training>>,
    /// When people were told last.
    at: Option<Instant>,
    shown: metrics::Training,
}

impl Teller {
    fn new(run: RunId) -> (Self, watch::Receiver<Option<Training>>) {
        let (news, heard) = watch::channel(None);
        let told = Told { run, news, at: None, shown: metrics::Training::default() };
        (Self(Arc::new(Mutex::new(told))), heard)
    }

    fn tell(&self, training: Training) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).news.send_replace(Some(training));
    }

    fn hear(&self, now: Progress) {
        self.tell(Training::from(&now));
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.shown.hear(&now);
        let is_due = told.at.is_none_or(|at| at.elapsed() >= TELL_EVERY) || now.step == now.steps;
        if is_due {
            told.at = Some(Instant::now());
            let (run, Progress { epoch, epochs, validates, step, steps, loss, samples_per_s, .. }) =
                (&told.run, now);
            tracing::info!(%run, epoch, epochs, validates, step, steps, loss, samples_per_s, "training");
        }
    }
}

pub(super) async fn run(cx: &Context, item: &Claimed, work: &Train) -> Result<Output, JobError> {
    let inputs = inputs(cx, item, &work.inputs).await?;
    let (teller, news) = Teller::new(item.run.clone());
    let key = keys::training_progress(&item.id);
    // The news are over when it is.
    let trained = async move {
        match work.spec.start {
            Start::AfterChips => after_chips(cx, item, work, &inputs, &teller).await,
            Start::WithChips => with_chips::run(cx, item, work, &inputs, &teller).await,
        }
    };
    let (outcome, ()) = tokio::join!(trained, progress::publish(&cx.blobs, &key, news));
    let outcome = outcome?;
    match outcome {
        Outcome::Finished(finished) | Outcome::AlreadyFinished(finished) => {
            let weights = publish(cx, &finished.weights, finished.sha256).await?;
            let metrics = serde_json::to_value(finished.best).map_err(JobError::internal)?;
            json(&Trained::V1 { weights, epochs: work.spec.epochs, metrics }, 0)
        }
        Outcome::Helped => Err(JobError::internal(anyhow!("the first rank says nothing of what came of it"))),
        Outcome::Interrupted => Err(JobError::new(
            FailureClass::Preempted,
            anyhow!("stopped; it goes on from its last checkpoint, if there is one"),
        )),
        Outcome::Stopped { epoch, step } => Err(JobError::new(
            FailureClass::Preempted,
            anyhow!("stopped at step {step} of epoch {epoch}; a checkpoint is written"),
        )),
    }
}

async fn after_chips(
    cx: &Context,
    item: &Claimed,
    work: &Train,
    inputs: &TrainInputs,
    teller: &Teller,
) -> Result<Outcome, JobError> {
    let mut spec = work.spec.clone();
    let mut pixels = vec![0; spec.classes as usize];
    let train = shards(cx, &inputs.train, &mut pixels).await?;
    let validation = shards(cx, &inputs.validation, &mut Vec::new()).await?;
    if spec.balanced {
        spec.class_weights = Some(balanced(&pixels));
        spec.balanced = false;
    }
    learn(cx, item, job(cx, item, spec, train, validation), teller).await
}

fn job(cx: &Context, item: &Item, spec: TrainSpec, train: Vec<Shard>, validation: Vec<Shard>) -> Job {
    Job {
        spec,
        train,
        validation,
        coming: None,
        store: Store::new(cx.blobs.clone(), tokio::runtime::Handle::current()),
        output: keys::training(&item.id),
        machine: Machine {
            threads: cx.threads,
            place: Place::Processor,
            loaders: swath_train::LOADERS,
            cache: PathBuf::from(&cx.cache),
            chip_cache: swath_train::CHIP_CACHE,
            mirror: None,
        },
    }
}

/// With these chips, until it is over or has to stop.
async fn learn(cx: &Context, item: &Claimed, job: Job, teller: &Teller) -> Result<Outcome, JobError> {
    let halt = cx.stop.child_token();
    // Whoever lets go of this ends the training too, which is on a thread that nobody can take back.
    let _ends_with_us = halt.clone().drop_guard();
    let (stop, ranks, teller) = (halt.clone(), cx.ranks.clone(), teller.clone());
    let learn = move || {
        let mut tell = |now: Progress| teller.hear(now);
        match &ranks {
            Some(ranks) => on_several(&job, ranks, &mut tell, &stop),
            None => Ok(swath_train::train(&job, Gang::alone(), &mut tell, &stop)?),
        }
    };
    let mut trained = pin!(cx.native(item, learn));
    tokio::select! {
        outcome = &mut trained => outcome,
        () = until_closed(cx, &item.run) => {
            // Nothing is lost: a checkpoint is written, and whoever gets the item again goes on there.
            halt.cancel();
            trained.await
        }
    }
}

/// As a gang of processes beside this one, which read what to do from a file.
fn on_several(
    job: &Job,
    ranks: &RankProcesses,
    tell: &mut dyn FnMut(Progress),
    stop: &CancellationToken,
) -> Result<Outcome, JobError> {
    let keys = |shards: &[Shard]| shards.iter().map(|shard| shard.key.clone()).collect();
    let file = TrainFile {
        output: job.output.clone(),
        shards: Shards { train: keys(&job.train), validation: keys(&job.validation) },
        init: None,
        coming: job.coming.clone(),
        train: job.spec.clone(),
    };
    let mut written = tempfile::Builder::new().suffix(".json").tempfile().map_err(JobError::internal)?;
    serde_json::to_writer(&mut written, &file).map_err(JobError::internal)?;
    let command = || rank_command(&ranks.program, written.path(), job.machine.threads, &ranks.root);
    // This worker's wish must not stop a run that any other could train.
    let n_chips = job.train.iter().map(|shard| shard.index.chips().len()).sum();
    let n = ranks.n.min(swath_train::most_ranks(&job.spec, n_chips));
    if n < ranks.n {
        tracing::info!(ranks = n, asked = ranks.n, "fewer ranks: there are not more chips in a step");
    }
    Ok(supervise(&Ranks { command: &command, n }, tell, stop)?)
}

/// The chip items that a document under the root names.
pub(super) async fn inputs(cx: &Context, item: &Item, inputs: &Digest) -> Result<TrainInputs, JobError> {
    let key = keys::inputs(&item.run, inputs);
    let json = cx.blobs.get(&key).await?;
    serde_json::from_slice(&json).with_context(|| format!("reading {key}")).map_err(JobError::data)
}

/// Checkpoints and best epochs, once the weights lie under the name of their content; the log stays.
pub(super) async fn tidy(cx: &Context, item: &Item) -> swath_backends::Result<()> {
    let stem = keys::training(&item.id);
    for prefix in swath_train::PASSING {
        let passing = cx.blobs.list(&format!("{stem}{prefix}")).map_ok(|object| object.key);
        for key in passing.try_collect::<Vec<String>>().await? {
            cx.blobs.delete(&key).await?;
        }
    }
    cx.blobs.delete(&keys::training_progress(&item.id)).await
}

/// Gives the weights the name of their content, under which predictions find them.
async fn publish(cx: &Context, key: &str, sha256: Digest) -> Result<Weights, JobError> {
    let weights = Weights::File { sha256, extension: "safetensors".into() };
    if let Some(named) = keys::model(&weights) {
        cx.blobs.put_new(&named, cx.blobs.get(key).await?).await?;
    }
    Ok(weights)
}

/// So that all classes that there are weigh the same together, and a pixel 1 on average.
fn balanced(pixels: &[u64]) -> Vec<f32> {
    let n_classes = pixels.iter().filter(|n| **n > 0).count().max(1) as f64;
    let all = pixels.iter().sum::<u64>() as f64;
    let weight = |n: &u64| if *n == 0 { 1.0 } else { (all / (n_classes * *n as f64)) as f32 };
    pixels.iter().map(weight).collect()
}

/// What chip items have left; those that kept nothing have no shard. Names every one whose shard is gone.
/// Adds up the pixels of each class.
pub(super) async fn shards(
    cx: &Context,
    items: &[ChipItem],
    pixels: &mut [u64],
) -> Result<Vec<Shard>, JobError> {
    let (mut shards, mut gone) = (Vec::new(), Vec::new());
    let reads: Vec<_> = items.iter().map(|item| cut(cx, item).boxed()).collect();
    let mut reads = pin!(futures::stream::iter(reads).buffered(READS));
    while let Some(cut) = reads.next().await {
        match cut {
            Ok(Cut { shard, pixels_by_class }) => {
                shards.extend(shard);
                pixels.iter_mut().zip(pixels_by_class).for_each(|(sum, n)| *sum += n);
            }
            Err(JobError::MissingInputs { places, .. }) => gone.extend(places),
            Err(error) => return Err(error),
        }
    }
    if gone.is_empty() {
        return Ok(shards);
    }
    let message = format!("{} of {} shards are gone", gone.len(), items.len());
    Err(JobError::MissingInputs { places: gone, message })
}

/// What a chip item has left.
struct Cut {
    /// None where it kept no chip.
    shard: Option<Shard>,
    pixels_by_class: Vec<u64>,
}

async fn cut(cx: &Context, item: &ChipItem) -> Result<Cut, JobError> {
    let key = keys::output(Stage::Chip, &item.id);
    let Chipped::V1 { shard, index, pixels_by_class, .. } =
        serde_json::from_slice(&get(cx, item, &key).await?)
            .with_context(|| format!("reading {key}"))
            .map_err(JobError::data)?;
    let (Some(key), Some(index)) = (shard, index) else { return Ok(Cut { shard: None, pixels_by_class }) };
    if cx.blobs.head(&key).await?.is_none() {
        return Err(gone(item, &key));
    }
    let parsed = Index::parse(&get(cx, item, &index).await?).with_context(|| format!("reading {index}"));
    let shard = Some(Shard { key, index: parsed.map_err(JobError::data)? });
    Ok(Cut { shard, pixels_by_class })
}

async fn get(cx: &Context, item: &ChipItem, key: &str) -> Result<bytes::Bytes, JobError> {
    match cx.blobs.get(key).await {
        Err(error) if error.kind == Kind::NotFound => Err(gone(item, key)),
        got => Ok(got?),
    }
}

fn gone(item: &ChipItem, key: &str) -> JobError {
    JobError::MissingInputs { places: vec![item.place], message: format!("{key} is gone") }
}

impl From<TrainError> for JobError {
    fn from(error: TrainError) -> Self {
        use swath_train::Kind;
        let class = match error.kind {
            Kind::Unfit => return Self::Unfit(error.into()),
            Kind::Config => FailureClass::Config,
            Kind::Data => FailureClass::Data,
            Kind::Capacity => FailureClass::Capacity,
            Kind::Transient | Kind::Gang => FailureClass::Transient,
            Kind::Internal => FailureClass::Fault,
        };
        Self::new(class, error)
    }
}

#[cfg(test)]
mod tests {
    use super::balanced;

    #[test]
    fn rare_classes_weigh_more_and_those_that_are_not_there_change_nothing() {
        assert_eq!(balanced(&[900, 100]), [100.0 / 180.0, 5.0].map(|w: f64| w as f32));
        assert_eq!(balanced(&[900, 0, 100]), [100.0 / 180.0, 1.0, 5.0].map(|w: f64| w as f32));
        assert_eq!(balanced(&[0, 0]), [1.0, 1.0]);
    }
}
