//! The loop: steps, a checkpoint now and then, a validation after each epoch, and the weights at the
//! end. Whatever happens in between, what comes out is the same: every step is a function of the
//! checkpoint before it and of its own number.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use sha2::{Digest as _, Sha256};
use swath_geo::confusion::Confusion;
use swath_model::{Learner, Loss, Setup, Start};
use swath_proto::{
    ids::Digest,
    keys,
    train::{Backbone, Checkpoint, Keep, TrainSpec},
};
use swath_weights::TensorFile;
use tokio_util::sync::CancellationToken;

use crate::{
    ahead::ahead,
    backbone::backbone,
    checkpoint::{self, Best, Position},
    data::{Chips, Shard},
    error::{Kind, Result, TrainError},
    log::{Log, Row},
    order::{Turn, dropout_seed, order, turn},
    progress::{Course, Point, Progress, Teller},
    schedule::learning_rate,
    store::Store,
};

pub struct Job {
    pub spec: TrainSpec,
    pub train: Vec<Shard>,
    /// Without any, nothing is measured and the last epoch's weights are kept.
    pub validation: Vec<Shard>,
    pub store: Store,
    /// What the keys of all that is written begin with, up to a slash.
    pub output: String,
    pub machine: Machine,
}

/// What changes how fast it goes, and no result beyond rounding.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Of the engine.
    pub threads: u32,
    /// Threads that fetch and decode; each holds one batch.
    pub loaders: u32,
    /// Where encoders that were fetched are kept.
    pub cache: PathBuf,
    /// Where to fetch them from, if not from where the environment or torchvision says.
    pub mirror: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Finished(Finished),
    /// A checkpoint is written; the same job goes on from it.
    Stopped {
        epoch: u32,
        step: u64,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Key of the weights, which a predictor loads.
    pub weights: String,
    pub sha256: Digest,
    /// The epoch that they are of, from 1.
    pub epoch: u32,
    pub best: Option<Best>,
}

/// Trains, or goes on with what was begun. For a thread of its own, in a process that has called
/// `swath_model::init_process`. When `stop` is cancelled, a checkpoint is written after the step.
pub fn train(job: &Job, progress: &mut dyn FnMut(Progress), stop: &CancellationToken) -> Result<Outcome> {
    job.spec.check().map_err(|error| TrainError::config(error.to_string()))?;
    let run = Run::new(job, stop)?;
    let (mut learner, mut position) = run.begin()?;
    let mut log = run.log()?;
    let mut teller = Teller::new(progress, run.course(), log.mean_iou(position.epoch));
    while position.epoch < job.spec.epochs {
        let evaluated = match run.steps(&mut learner, &mut position, &mut teller)? {
            true => run.validate(&learner, &position, &mut teller)?,
            false => None,
        };
        let Some((loss, table)) = evaluated else {
            checkpoint::save(&job.store, &run.key(LAST), &learner, &position)?;
            return Ok(Outcome::Stopped { epoch: position.epoch + 1, step: position.step });
        };
        run.end_epoch(&learner, &mut position, &mut log, (loss, &table))?;
        teller.mean_iou = log.mean_iou(position.epoch);
    }
    run.finish(learner, &position).map(Outcome::Finished)
}

const LAST: &str = "last.safetensors";
const BEST: &str = "best.safetensors";
const WEIGHTS: &str = "weights.safetensors";
/// What nothing names any more once the weights are elsewhere.
pub const PASSING: [&str; 3] = [LAST, BEST, WEIGHTS];
const LOG: &str = "log.csv";
/// TensorBoard looks for `tfevents`.
const EVENTS: &str = "events.out.tfevents.swath";

/// A job whose chips were looked at.
struct Run<'a> {
    job: &'a Job,
    stop: &'a CancellationToken,
    train: Chips<'a>,
    validation: Chips<'a>,
    steps_per_epoch: u64,
    /// Names all that decides what comes out.
    digest: Digest,
}

impl<'a> Run<'a> {
    fn new(job: &'a Job, stop: &'a CancellationToken) -> Result<Self> {
        let train = Chips::new(&job.spec, &job.train)?;
        let validation = Chips::new(&job.spec, &job.validation)?;
        if !train.teach() {
            return Err(TrainError::config(
                "there is no chip with a pixel that is not ignored to train from",
            ));
        }
        let batch = batch_size(&job.spec, train.len());
        let spec = TrainSpec { checkpoint: Checkpoint::default(), ..job.spec.clone() };
        let spec = serde_json::to_vec(&spec).map_err(|error| TrainError::config(error.to_string()))?;
        let mut hash = Sha256::new_with_prefix(spec);
        train.hash(&mut hash)?;
        hash.update([0; 8]);
        validation.hash(&mut hash)?;
        let steps_per_epoch = (train.len() / batch) as u64;
        Ok(Self { job, stop, train, validation, steps_per_epoch, digest: Digest::from_sha256(hash) })
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.job.output)
    }

    /// From the last checkpoint, or from the start.
    fn begin(&self) -> Result<(Learner, Position)> {
        let (store, key) = (&self.job.store, self.key(LAST));
        // What a checkpoint replaces need not be fetched.
        if store.exists(&key)? {
            let mut learner = self.learner(Start::Drawn)?;
            if let Some(position) = checkpoint::load(store, &key, self.digest, &mut learner)? {
                return Ok((learner, position));
            }
        }
        Ok((self.learner(self.start()?)?, Position::begin(self.digest)))
    }

    fn learner(&self, start: Start) -> Result<Learner> {
        let spec = &self.job.spec;
        let classes = spec.classes as usize;
        let mut class_weights = spec.class_weights.clone().unwrap_or_else(|| vec![1.0; classes]);
        if let Some(ignored) = spec.ignore_class {
            class_weights[usize::from(ignored)] = 0.0;
        }
        let setup = Setup {
            architecture: spec.architecture,
            bands: spec.bands,
            class_weights,
            optimizer: spec.optimizer,
            weight_decay: spec.weight_decay,
            seed: spec.seed,
            threads: self.job.machine.threads,
        };
        Ok(Learner::new(setup, start)?)
    }

    fn start(&self) -> Result<Start> {
        let Job { spec, store, machine, .. } = self.job;
        if let Some(weights) = &spec.weights {
            let key = keys::model(weights).ok_or_else(|| TrainError::config("weights: must name a file"))?;
            let missing = || TrainError::data(format!("{key} is not there: put the weights under the root"));
            let bytes = store.get(&key)?.ok_or_else(missing)?;
            let file = TensorFile::from_bytes(&key, bytes.into())?;
            return Ok(Start::Weights { file, fresh_head: spec.fresh_head });
        }
        match (spec.backbone, spec.architecture.backbone()) {
            (Backbone::Imagenet, Some(model)) => {
                let path = backbone(model, &machine.cache, machine.mirror.as_deref())?;
                Ok(Start::Backbone(swath_weights::open(path)?))
            }
            _ => Ok(Start::Drawn),
        }
    }

    fn log(&self) -> Result<Log> {
        let (key, classes) = (self.key(LOG), self.job.spec.classes);
        match self.job.store.get(&key)? {
            Some(bytes) => Log::read(&key, &String::from_utf8_lossy(&bytes), classes),
            None => Ok(Log::new(classes)),
        }
    }

    /// The rest of an epoch's steps; `false` if it was stopped.
    fn steps(&self, learner: &mut Learner, position: &mut Position, teller: &mut Teller<'_>) -> Result<bool> {
        let Job { spec, store, machine, .. } = self.job;
        let epoch = position.epoch;
        let order = order(spec.seed, epoch, self.train.len());
        let batch = batch_size(spec, self.train.len());
        let load = |step: u64| {
            let chips = &order[step as usize * batch..][..batch];
            let turned = |&chip: &usize| (chip, turn(spec.seed, epoch, chip, spec.augment));
            self.train.batch(store, &chips.iter().map(turned).collect::<Vec<_>>())
        };
        let first = position.step;
        teller.begin(false);
        ahead(machine.loaders, first..self.steps_per_epoch, load, |next| {
            for step in first..self.steps_per_epoch {
                if self.stop.is_cancelled() {
                    return Ok(false);
                }
                let all_steps = u64::from(epoch) * self.steps_per_epoch + step;
                let rate = learning_rate(spec, self.steps_per_epoch, all_steps);
                let stepped = learner.step(&next()?, rate, dropout_seed(spec.seed, all_steps));
                let place = || format!("epoch {}, step {}", epoch + 1, step + 1);
                let mut loss = position.loss();
                loss += stepped.map_err(|error| TrainError::from(error).at(place()))?;
                position.set_loss(loss);
                position.step = step + 1;
                teller.stepped(Point { epoch, validates: false, step: step + 1, loss: loss.mean() });
                let is_due =
                    spec.checkpoint.steps.is_some_and(|every| position.step.is_multiple_of(every.into()));
                if is_due && position.step < self.steps_per_epoch {
                    checkpoint::save(store, &self.key(LAST), learner, position)?;
                }
            }
            Ok(true)
        })
    }

    /// `None` if it was stopped.
    fn validate(
        &self,
        learner: &Learner,
        position: &Position,
        teller: &mut Teller<'_>,
    ) -> Result<Option<(Loss, Confusion)>> {
        let Job { spec, store, machine, .. } = self.job;
        let internal =
            |error: swath_geo::confusion::BadConfusion| TrainError::new(Kind::Internal, error.to_string());
        let mut table = Confusion::new(spec.classes).map_err(internal)?;
        let (mut loss, batch, n_chips) = (Loss::default(), spec.batch as usize, self.validation.len());
        let steps = self.validation_steps();
        let load = |step: u64| {
            let first = step as usize * batch;
            let chips = (first..n_chips.min(first + batch)).map(|chip| (chip, Turn::default()));
            self.validation.batch(store, &chips.collect::<Vec<_>>())
        };
        teller.begin(true);
        ahead(machine.loaders, 0..steps, load, |next| {
            for step in 1..=steps {
                if self.stop.is_cancelled() {
                    return Ok(None);
                }
                let batch = next()?;
                let evaluated = learner.evaluate(&batch);
                let place = || format!("validation after epoch {}", position.epoch + 1);
                let (of_batch, classes) = evaluated.map_err(|error| TrainError::from(error).at(place()))?;
                loss += of_batch;
                table.add(&batch.labels, &classes).map_err(internal)?;
                let loss = position.loss().mean();
                teller.stepped(Point { epoch: position.epoch, validates: true, step, loss });
            }
            Ok(Some((loss, table)))
        })
    }

    fn course(&self) -> Course {
        let spec = &self.job.spec;
        Course {
            epochs: spec.epochs,
            steps: self.steps_per_epoch,
            validation_steps: self.validation_steps(),
            batch: batch_size(spec, self.train.len()) as u32,
        }
    }

    fn validation_steps(&self) -> u64 {
        self.validation.len().div_ceil(self.job.spec.batch as usize) as u64
    }

    /// Writes down what the epoch came to, the last checkpoint last: if this is cut short, the epoch
    /// is done again and writes the same.
    fn end_epoch(
        &self,
        learner: &Learner,
        position: &mut Position,
        log: &mut Log,
        (loss, table): (Loss, &Confusion),
    ) -> Result<()> {
        let Job { spec, store, .. } = self.job;
        let epoch = position.epoch + 1;
        let last_step = (u64::from(epoch) * self.steps_per_epoch).saturating_sub(1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut row = Row {
            epoch,
            time: now.as_secs_f64(),
            lr: learning_rate(spec, self.steps_per_epoch, last_step),
            train_loss: position.loss().mean(),
            validation_loss: loss.mean(),
            classes: Vec::new(),
        };
        row.measure(table);
        let mean_iou = row.mean().iou;
        log.push(row);
        store.put(&self.key(LOG), log.csv())?;
        store.put(&self.key(EVENTS), log.events())?;
        position.end_epoch();
        if let Some(mean_iou) = mean_iou
            && position.best.is_none_or(|best| mean_iou > best.mean_iou)
        {
            position.best = Some(Best { epoch, mean_iou });
            checkpoint::save(store, &self.key(BEST), learner, position)?;
        }
        if epoch == spec.epochs || epoch.is_multiple_of(spec.checkpoint.epochs) {
            checkpoint::save(store, &self.key(LAST), learner, position)?;
        }
        Ok(())
    }

    fn finish(&self, mut learner: Learner, position: &Position) -> Result<Finished> {
        let Job { spec, store, .. } = self.job;
        let (mut epoch, key) = (spec.epochs, self.key(WEIGHTS));
        if let (Keep::Best, Some(best)) = (spec.keep, position.best) {
            let kept = self.key(BEST);
            let gone = || {
                TrainError::data(format!("{kept} is gone: the weights of epoch {} were there", best.epoch))
            };
            checkpoint::load(store, &kept, self.digest, &mut learner)?.ok_or_else(gone)?;
            epoch = best.epoch;
        }
        let network = serde_json::json!({
            "architecture": spec.architecture, "bands": spec.bands, "classes": spec.classes,
            "normalize": spec.normalize, "epoch": epoch,
        });
        let metadata = [("network", network.to_string())];
        let bytes = checkpoint::weights(&key, &learner, metadata)?;
        let sha256 = Digest::of(&bytes);
        store.put(&key, bytes)?;
        Ok(Finished { weights: key, sha256, epoch, best: position.best })
    }
}

/// Fewer where there are fewer chips.
fn batch_size(spec: &TrainSpec, n_chips: usize) -> usize {
    (spec.batch as usize).min(n_chips).max(1)
}
