//! A training that goes on beside the items that cut its chips: in parts, each up to the last step for which there are
//! chips, and from its checkpoint when more are there. What comes out does not depend on where it was cut
//! (`swath_train::steps_so_far`); what is waited for here is the next of the planned shards, and never one that can't come.

use std::{pin::pin, time::Duration};

use anyhow::anyhow;
use swath_proto::{
    item::{Stage, Train},
    keys,
    learn::{ChipItem, TrainInputs, Training},
    outcome::FailureClass,
    train::Coming,
};
use swath_train::{Job, Outcome, Shard, steps_so_far};
use tokio::{sync::SemaphorePermit, time::Instant};

use super::{Teller, job, learn, shard, shards};
use crate::{
    context::{Claimed, Context},
    failure::JobError,
    keeper::until_closed,
};

/// How often the store is asked for the next shard.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often the ledger is asked whether it can still come.
const ASK_EVERY: Duration = Duration::from_secs(10);

pub(super) async fn run(
    cx: &Context,
    item: &Claimed,
    work: &Train,
    inputs: &TrainInputs,
    teller: &Teller,
) -> Result<Outcome, JobError> {
    let mut seat = if are_all_there(cx, inputs).await? { None } else { Some(take_seat(cx)?) };
    let mut there = There::default();
    let mut done = 0;
    loop {
        let coming = wait(cx, item, (work, inputs), &mut there, done, teller).await?;
        let mut validation = Vec::new();
        if coming.is_all {
            validation = shards(cx, &inputs.validation, &mut Vec::new()).await?;
            seat = None;
        }
        let (steps, is_all) = (steps_so_far(&coming, &work.spec, &there.shards), coming.is_all);
        tracing::info!(run = %item.run, steps, shards = there.shards.len(), is_all, "training with the chips that are there");
        let coming = Some(coming);
        let job = Job { coming, ..job(cx, item, work.spec.clone(), there.shards.clone(), validation) };
        match learn(cx, item, job, teller).await? {
            // There are no chips for more steps yet.
            Outcome::Stopped { epoch: 1, step } if !is_all && step >= steps && seat.is_some() => done = step,
            outcome => return Ok(outcome),
        }
    }
}

/// Trainings that wait may not have all slots of a worker: chips are to be cut there too.
fn take_seat(cx: &Context) -> Result<SemaphorePermit<'_>, JobError> {
    let text = "no slot of this worker is left to wait in until its chips are cut";
    cx.early.try_acquire().map_err(|_| handed_back(text))
}

fn handed_back(text: impl Into<String>) -> JobError {
    let text: String = text.into();
    JobError::new(FailureClass::Preempted, anyhow!(text))
}

/// From the last on: where some are missing, it is likely those.
async fn are_all_there(cx: &Context, inputs: &TrainInputs) -> Result<bool, JobError> {
    for item in inputs.validation.iter().rev().chain(inputs.train.iter().rev()) {
        if !is_there(cx, item).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn is_there(cx: &Context, item: &ChipItem) -> Result<bool, JobError> {
    Ok(cx.blobs.head(&keys::output(Stage::Chip, &item.id)).await?.is_some())
}

/// What is there of the plan, in its order.
#[derive(Default)]
struct There {
    shards: Vec<Shard>,
    places: Vec<u32>,
    /// Items to train on, and items to validate on, before which all are there.
    train: usize,
    validation: usize,
}

impl There {
    /// Takes up what has come; the first that is missing.
    async fn look<'a>(
        &mut self,
        cx: &Context,
        inputs: &'a TrainInputs,
    ) -> Result<Option<&'a ChipItem>, JobError> {
        while let Some(item) = inputs.train.get(self.train) {
            if !is_there(cx, item).await? {
                return Ok(Some(item));
            }
            if let Some(shard) = shard(cx, item, &mut Vec::new()).await? {
                self.shards.push(shard);
                self.places.push(self.train as u32);
            }
            self.train += 1;
        }
        while let Some(item) = inputs.validation.get(self.validation) {
            if !is_there(cx, item).await? {
                return Ok(Some(item));
            }
            self.validation += 1;
        }
        Ok(None)
    }

    fn coming(&self, work: &Train, inputs: &TrainInputs, is_all: bool) -> Coming {
        let (plan, planned) = (work.inputs, inputs.train.len() as u32);
        Coming { plan, planned, places: self.places.clone(), is_all }
    }

    fn missing(&self, inputs: &TrainInputs) -> u64 {
        (inputs.train.len() - self.train + inputs.validation.len() - self.validation) as u64
    }
}

/// Until there are chips for more steps, and enough of them to be worth a start; or all.
async fn wait(
    cx: &Context,
    item: &Claimed,
    (work, inputs): (&Train, &TrainInputs),
    there: &mut There,
    done: u64,
    teller: &Teller,
) -> Result<Coming, JobError> {
    let mut asked = Instant::now();
    let mut closed = pin!(until_closed(cx, &item.run));
    loop {
        let missing = there.look(cx, inputs).await?;
        let coming = there.coming(work, inputs, missing.is_none());
        let steps = steps_so_far(&coming, &work.spec, &there.shards);
        let Some(missing) = missing else { return Ok(coming) };
        if is_worth_a_start(done, steps) {
            return Ok(coming);
        }
        teller.tell(waiting(done, there.missing(inputs), work.spec.epochs));
        if asked.elapsed() >= ASK_EVERY {
            ask(cx, item, inputs, there, missing).await?;
            asked = Instant::now();
        }
        if cx.crowd.is_wanted_alone() {
            return Err(handed_back("an item has to work alone here, which may be one that cuts chips"));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = cx.stop.cancelled() => return Err(handed_back("stopped while it waited for chips")),
            () = &mut closed => return Err(handed_back("its run was stopped while it waited for chips")),
        }
    }
}

/// Each part begins with a checkpoint: where chips come slowly, parts are to become larger as they are more.
const fn is_worth_a_start(done: u64, steps: u64) -> bool {
    steps > done + done / 10
}

/// Whether what is missing can still come.
async fn ask(
    cx: &Context,
    item: &Claimed,
    inputs: &TrainInputs,
    there: &There,
    missing: &ChipItem,
) -> Result<(), JobError> {
    let snapshot = cx.ledger.snapshot(&item.run).await?;
    let mut left = inputs.train[there.train..].iter().chain(&inputs.validation[there.validation..]);
    let is_buried = |chip: &&ChipItem| snapshot.buried.iter().any(|(place, ..)| *place == chip.place);
    if let Some(buried) = left.find(is_buried) {
        // The coordinator plans it anew.
        return Err(handed_back(format!(
            "{} was set aside, which it was to learn from: it begins again without that",
            buried.place
        )));
    }
    // Looked at again: it may have come in between.
    if snapshot.is_done(missing.place) && !is_there(cx, missing).await? {
        let message = format!("{} is done, and what it has left is gone", missing.place);
        return Err(JobError::MissingInputs { places: vec![missing.place], message });
    }
    Ok(())
}

/// What is told while it waits.
fn waiting(done: u64, missing: u64, epochs: u32) -> Training {
    Training {
        epoch: 1,
        epochs,
        validates: false,
        step: done,
        steps: done,
        images: 0,
        loss: None,
        mean_iou: None,
        images_per_second: 0.0,
        eta_seconds: None,
        waits_for: Some(missing),
    }
}

#[cfg(test)]
mod tests {
    use super::is_worth_a_start;

    #[test]
    fn a_part_is_begun_for_a_tenth_more_than_was_done_before() {
        assert!(is_worth_a_start(0, 1) && is_worth_a_start(9, 10) && is_worth_a_start(100, 111));
        assert!(!is_worth_a_start(0, 0) && !is_worth_a_start(100, 100) && !is_worth_a_start(100, 110));
        // A step at a time, a million are less than two hundred parts.
        let (mut done, mut parts) = (0, 0);
        while done < 1_000_000 {
            done = (done + 1..).find(|steps| is_worth_a_start(done, *steps)).unwrap();
            parts += 1;
        }
        assert!(parts < 200, "{parts}");
    }
}
