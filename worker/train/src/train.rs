//! The loop: steps, a checkpoint now and then, a validation after each epoch, and the weights at the
//! end. Whatever happens in between, what comes out is the same: every step is a function of the
//! checkpoint before it and of its own number.

use std::{
    ops::Range,
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use swath_geo::confusion::Confusion;
use swath_model::{Gang, Learner, Loss, Overlap, Place};
use swath_proto::{
    ids::Digest,
    train::{Checkpoint, Coming, TrainSpec},
};
use tokio_util::sync::CancellationToken;

use crate::{
    ahead::ahead,
    checkpoint::{Best, Position},
    coming::First,
    data::{Chips, Shard},
    error::{Result, TrainError},
    finished::Finished,
    loader::look_at_shards,
    log::{Log, Row},
    order::dropout_seed,
    pieces::{batch_size, most_ranks, n_pieces},
    progress::{Course, Point, Progress, Teller},
    saver::Saver,
    schedule::learning_rate,
    store::Store,
    suspect,
    unread::Unread,
};

pub struct Job {
    pub spec: TrainSpec,
    pub train: Vec<Shard>,
    /// Without any, nothing is measured and the last epoch's weights are kept.
    pub validation: Vec<Shard>,
    /// Where the first epoch goes by what was planned. While it is not all there, the training stops after the last step
    /// for which there are chips, and goes on when it is given more.
    pub coming: Option<Coming>,
    pub store: Store,
    /// What the keys of all that is written begin with, up to a slash.
    pub output: String,
    pub machine: Machine,
}

/// Threads that fetch and decode beside the one that computes.
pub const LOADERS: u32 = 2;
/// Bytes of chips that a training keeps on disk.
pub const CHIP_CACHE: u64 = 20 << 30;

/// What changes how fast it goes, and no result beyond rounding.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Of the engine.
    pub threads: u32,
    /// On what it computes.
    pub place: Place,
    /// Threads that fetch and decode; each holds one batch.
    pub loaders: u32,
    /// Where encoders and chips that were fetched are kept.
    pub cache: PathBuf,
    /// Bytes of chips that are kept there, decoded.
    pub chip_cache: u64,
    /// Where to fetch encoders from, if not from where the environment or torchvision says.
    pub mirror: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Finished(Finished),
    /// It was over before; nothing was done.
    AlreadyFinished(Finished),
    /// As one of several ranks, of which the first says what came of it.
    Helped,
    /// A checkpoint is written; the same job goes on from it.
    Stopped {
        epoch: u32,
        step: u64,
    },
    /// Ranks were stopped before they could write one; the same job goes on from the last that there is.
    Interrupted,
}

/// Trains, or goes on with what was begun, as one rank of a gang. For a thread of its own, in a process that has called
/// `swath_model::init_process`. When `stop` of any rank is cancelled, a checkpoint is written after the step. Of
/// several ranks, the first alone writes.
pub fn train(
    job: &Job,
    gang: Gang,
    progress: &mut dyn FnMut(Progress),
    stop: &CancellationToken,
) -> Result<Outcome> {
    job.spec.check().map_err(|error| TrainError::config(error.to_string()))?;
    let leads = gang.leads();
    let run = Run::new(job, stop, &gang)?;
    if let Some(outcome) = run.finished_before(&gang)? {
        return Ok(outcome);
    }
    let (mut learner, mut position, mut saver) = run.begin(gang)?;
    if run.is_open && position.epoch > 0 {
        // They were all there once, and some have to be made again.
        return Ok(Outcome::Stopped { epoch: position.epoch + 1, step: position.step });
    }
    let mut log = if leads { run.log()? } else { Log::new(job.spec.classes) };
    let mut teller = Teller::new(progress, run.course(), log.mean_iou(position.epoch));
    if leads && position.is_begin() {
        run.picture_first_batch()?;
    }
    while !run.is_over(&position) {
        let steps_are_done = run.steps(&mut learner, &mut position, &mut teller, &mut saver)?;
        learner.agree_on_statistics()?;
        let evaluated = if steps_are_done { run.validate(&learner, &position, &mut teller)? } else { None };
        let Some((loss, table)) = evaluated else {
            saver.save(&learner, &position, true, false)?;
            saver.wait()?;
            return Ok(Outcome::Stopped { epoch: position.epoch + 1, step: position.step });
        };
        if leads {
            run.picture_epoch(&learner, position.epoch + 1)?;
        }
        run.end_epoch((&learner, &mut position, &mut saver), &mut log, (loss, &table))?;
        teller.mean_iou = log.mean_iou(position.epoch);
        if let Some(Overlap { summing_s, exposed_s }) = learner.overlap() {
            let hidden = 1.0 - exposed_s / summing_s.max(1e-9);
            tracing::info!(rank = learner.gang().rank(), summing_s, exposed_s, hidden, "sums of gradients");
        }
    }
    saver.wait()?;
    if leads { run.finish(learner, &position).map(Outcome::Finished) } else { Ok(Outcome::Helped) }
}

const LOG: &str = "log.csv";
/// TensorBoard looks for `tfevents`.
const EVENTS: &str = "events.out.tfevents.swath";

/// Before a step, by all ranks.
struct Agreed {
    stop: bool,
    /// By the first one's clock, it is time for a checkpoint.
    is_late: bool,
}

/// Of how epochs are cut into steps: where it is another, a training does not go on from what was begun by this one.
const RULE: &[u8] = b"the last step is filled up";

/// A job whose chips were looked at.
pub(crate) struct Run<'a> {
    pub(crate) job: &'a Job,
    stop: &'a CancellationToken,
    pub(crate) train: Chips<'a>,
    pub(crate) validation: Chips<'a>,
    /// Of the first epoch until all chips are there, when it is that of all.
    pub(crate) steps_per_epoch: u64,
    first: Option<First>,
    /// More chips are to come.
    is_open: bool,
    /// Names all that decides what comes out.
    pub(crate) digest: Digest,
}

impl<'a> Run<'a> {
    pub(crate) fn new(job: &'a Job, stop: &'a CancellationToken, gang: &Gang) -> Result<Self> {
        let all = Chips::new(&job.spec, &job.train)?;
        let most_ranks = most_ranks(&job.spec, all.len());
        let mut train = all.subset();
        let mut validation =
            if job.spec.overfits() { train.clone() } else { Chips::new(&job.spec, &job.validation)? };
        let first = job.coming.as_ref().map(|coming| First::of(&job.spec, coming, &job.train)).transpose()?;
        let is_open = job.coming.as_ref().is_some_and(|coming| !coming.is_all);
        if is_open && job.spec.bad_chips > 0.0 {
            // They may be a share of all, and how many those are is not known yet.
            train.unread = Arc::new(Unread::new(1.0, train.len()));
        }
        if !is_open && !train.teach() {
            return Err(TrainError::config(
                "there is no chip with a pixel that is not ignored to train from: look at labels and area of interest",
            ));
        }
        if !is_open && job.spec.patience.is_some() && validation.len() == 0 {
            return Err(TrainError::config(
                "patience: there are no chips to validate on, so nothing could rise",
            ));
        }
        let batch = batch_size(&job.spec, train.len());
        if gang.size() > most_ranks {
            return Err(TrainError::config(format!(
                "{batch} chips a step{} for {} ranks: {} at most, since this network takes {} for each",
                match n_pieces(&job.spec, batch) {
                    1 => String::new(),
                    n => format!(", in {n} pieces,"),
                },
                gang.size(),
                most_ranks,
                job.spec.architecture.least_images(),
            )));
        }
        if job.spec.balanced {
            return Err(TrainError::config(
                "balanced = true: who counts the pixels of chips gives class_weights",
            ));
        }
        look_at_shards(job, &mut train, &mut validation)?;
        if job.spec.overfits() {
            validation.cache.clone_from(&train.cache);
        }
        let spec = TrainSpec { checkpoint: Checkpoint::default(), ..job.spec.clone() };
        let spec = serde_json::to_vec(&spec).map_err(|error| TrainError::config(error.to_string()))?;
        let mut hash = Sha256::new_with_prefix(spec);
        hash.update(RULE);
        match &job.coming {
            // Chips are named by what they are cut from.
            Some(coming) => hash.update(coming.plan.to_string()),
            None => {
                train.hash(&mut hash)?;
                hash.update([0; 8]);
                validation.hash(&mut hash)?;
            }
        }
        let digest = Digest::from_sha256(hash);
        let all_steps = train.len().div_ceil(batch) as u64;
        let steps_per_epoch = first.as_ref().map_or(all_steps, |first| first.steps);
        Ok(Self { job, stop, train, validation, steps_per_epoch, first, is_open, digest })
    }

    /// In which an epoch takes its samples.
    pub(crate) fn order(&self, epoch: u32) -> Vec<usize> {
        match &self.first {
            Some(first) if epoch == 0 => first.order(),
            _ => self.train.order(epoch),
        }
    }

    fn rate(&self, epoch: u32, step: u64) -> f64 {
        let spec = &self.job.spec;
        match &self.first {
            Some(first) if epoch == 0 => first.rate(spec, step),
            _ => learning_rate(spec, self.steps_per_epoch, u64::from(epoch) * self.steps_per_epoch + step),
        }
    }

    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.job.output)
    }

    fn log(&self) -> Result<Log> {
        let (key, classes) = (self.key(LOG), self.job.spec.classes);
        match self.job.store.get(&key)? {
            Some(bytes) => Log::read(&key, &String::from_utf8_lossy(&bytes), classes),
            None => Ok(Log::new(classes)),
        }
    }

    /// The rest of an epoch's steps; `false` if it was stopped, or there are no chips for more of them yet.
    fn steps(
        &self,
        learner: &mut Learner,
        position: &mut Position,
        teller: &mut Teller<'_>,
        saver: &mut Saver,
    ) -> Result<bool> {
        let Job { spec, machine, .. } = self.job;
        let epoch = position.epoch;
        let share = self.share(epoch, learner.gang());
        let load = |step| self.load(&share, step);
        let images: Vec<usize> = share.ours.iter().map(Range::len).collect();
        learner.freeze_encoder(epoch < spec.freeze_encoder)?;
        let first = position.step;
        teller.begin(false);
        let is_whole = ahead(machine.loaders, first..self.steps_per_epoch, load, |next| {
            for step in first..self.steps_per_epoch {
                let agreed = self.agree(learner.gang(), saver.is_late())?;
                if agreed.stop {
                    return Ok(false);
                }
                let all_steps = u64::from(epoch) * self.steps_per_epoch + step;
                let rate = self.rate(epoch, step);
                let seed = dropout_seed(spec.seed, all_steps, learner.gang().rank());
                let pieces = teller.wait(next)?.cut(&images);
                let stepped = learner.step_in_pieces(&pieces, rate, seed);
                let place = || format!("epoch {}, step {}", epoch + 1, step + 1);
                let mut loss = position.loss();
                loss += stepped.map_err(|error| {
                    let name = |sample| self.train.name(self.train.sample(epoch, sample).0);
                    let names: Vec<_> = share.of(step).map(name).collect();
                    suspect::of_step(error, &place(), learner, (&pieces, &names), saver)
                })?;
                // Those behind the first were cut off it: they have room for themselves alone.
                pieces.into_iter().take(1).for_each(|batch| self.train.spare.give(batch));
                position.set_loss(loss);
                position.step = step + 1;
                teller.overlap = learner.overlap().unwrap_or_default();
                teller.stepped(Point { epoch, validates: false, step: step + 1, loss: loss.mean() });
                let is_due =
                    spec.checkpoint.steps.is_some_and(|every| position.step.is_multiple_of(every.into()));
                if (is_due || agreed.is_late) && position.step < self.steps_per_epoch {
                    learner.agree_on_statistics()?;
                    saver.save(learner, position, true, false)?;
                }
            }
            Ok::<_, TrainError>(!self.is_open)
        })?;
        teller.tell_waiting(learner.gang().rank());
        if is_whole {
            self.train.unread.end_epoch(learner.gang())?;
        }
        Ok(is_whole)
    }

    /// After its last epoch, or when nothing has become better for longer than anybody wants to wait.
    fn is_over(&self, position: &Position) -> bool {
        let spec = &self.job.spec;
        let has_waited = spec
            .patience
            .zip(position.best)
            .is_some_and(|(patience, best)| position.epoch.saturating_sub(best.epoch) >= patience);
        position.epoch >= spec.epochs || has_waited
    }

    /// Whether any rank is to stop.
    pub(crate) fn is_stopped(&self, gang: &Gang) -> Result<bool> {
        Ok(self.agree(gang, false)?.stop)
    }

    /// Any rank may stop all; the first one's clock is that of all.
    fn agree(&self, gang: &Gang, is_late: bool) -> Result<Agreed> {
        let mut asked =
            [self.stop.is_cancelled(), is_late && gang.leads()].map(|ask| f64::from(u8::from(ask)));
        gang.sum(&mut asked)?;
        Ok(Agreed { stop: asked[0] > 0.0, is_late: asked[1] > 0.0 })
    }

    fn course(&self) -> Course {
        let spec = &self.job.spec;
        Course {
            epochs: spec.epochs,
            steps: self.steps_per_epoch,
            validation_steps: self.validation_steps(),
            batch: batch_size(spec, self.train.len()) as u32,
            samples: self.train.len() as u64,
            is_open: self.is_open,
        }
    }

    /// Writes down what the epoch came to, the last checkpoint last: if this is cut short, the epoch
    /// is done again and writes the same.
    fn end_epoch(
        &self,
        (learner, position, saver): (&Learner, &mut Position, &mut Saver),
        log: &mut Log,
        (loss, table): (Loss, &Confusion),
    ) -> Result<()> {
        let Job { spec, store, .. } = self.job;
        let epoch = position.epoch + 1;
        let last_step = self.steps_per_epoch.saturating_sub(1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut row = Row {
            epoch,
            time: now.as_secs_f64(),
            lr: self.rate(position.epoch, last_step),
            train_loss: position.loss().mean(),
            validation_loss: loss.mean(),
            classes: Vec::new(),
        };
        row.measure(table);
        let mean_iou = row.mean().iou;
        log.push(row);
        if learner.gang().leads() {
            store.put(&self.key(LOG), log.csv())?;
            store.put(&self.key(EVENTS), log.events())?;
        }
        position.end_epoch();
        let best = mean_iou.map(|mean_iou| Best { epoch, mean_iou });
        let is_best =
            best.is_some_and(|new| position.best.is_none_or(|before| new.mean_iou > before.mean_iou));
        if is_best {
            position.best = best;
        }
        let is_late = self.agree(learner.gang(), saver.is_late())?.is_late;
        let is_due = is_late || epoch == spec.epochs || epoch.is_multiple_of(spec.checkpoint.epochs);
        saver.save(learner, position, is_due, is_best)
    }
}
