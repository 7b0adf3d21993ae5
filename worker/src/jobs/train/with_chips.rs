//! A training that goes on beside the items that cut its chips: in parts, each up to the last step for which there are
//! chips, and from its checkpoint when more are there. What comes out does not depend on where it was cut
//! (`swath_train::steps_so_far`); what is waited for here is the next of the planned shards, and never one that can't come.

use std::{pin::pin, time::Duration};

use anyhow::anyhow;
use futures::{FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _, stream::BoxStream};
use swath_proto::{
    item::{Stage, Train},
    keys,
    learn::{ChipItem, TrainInputs, Training},
    outcome::FailureClass,
    train::Coming,
};
use swath_train::{Job, Outcome, Shard, steps_so_far};
use tokio::{sync::SemaphorePermit, time::Instant};

use super::{Cut, READS, Teller, cut, job, learn, shards};
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
    let mut there = There::default();
    let mut seat = match missing(cx, inputs).await? {
        None => None,
        Some(missing) => Some(take_seat(cx, item, inputs, &there, missing).await?),
    };
    let mut at = At { epoch: 1, step: 0 };
    loop {
        let coming = wait(cx, item, (work, inputs), &mut there, at, teller).await?;
        let mut validation = Vec::new();
        if coming.is_all {
            validation = shards(cx, &inputs.validation, &mut Vec::new()).await?;
            seat = None;
        }
        let (steps, is_all) = (steps_so_far(&coming, &work.spec, &there.shards), coming.is_all);
        tracing::info!(run = %item.run, steps, shards = there.shards.len(), is_all, "training with the chips that are there");
        let coming = Some(coming);
        let job = Job { coming, ..job(cx, item, work.spec.clone(), there.shards.clone(), validation) };
        let outcome = learn(cx, item, job, teller).await?;
        match outcome {
            // There are no chips for more steps yet; in a later epoch some are gone that were there.
            Outcome::Stopped { epoch, step }
                if seat.is_some() && (epoch > 1 || step >= steps) && !cx.stop.is_cancelled() =>
            {
                at = At { epoch, step };
            }
            outcome => return Ok(outcome),
        }
    }
}

/// Where it stands: the epoch, from 1, and how many of its steps are done.
#[derive(Clone, Copy)]
struct At {
    epoch: u32,
    step: u64,
}

/// Trainings that wait may not have all slots of a worker: chips are to be cut there too.
async fn take_seat<'a>(
    cx: &'a Context,
    item: &Claimed,
    inputs: &TrainInputs,
    there: &There,
    missing: &ChipItem,
) -> Result<SemaphorePermit<'a>, JobError> {
    if let Ok(seat) = cx.early.try_acquire() {
        return Ok(seat);
    }
    // Where no worker has a seat, nobody else would.
    ask(cx, item, inputs, there, missing).await?;
    Err(handed_back("no slot of this worker is left to wait in until its chips are cut"))
}

fn handed_back(text: impl Into<String>) -> JobError {
    let text: String = text.into();
    JobError::new(FailureClass::Preempted, anyhow!(text))
}

/// One that is not there, if any. From the last on: where some are missing, it is likely those.
async fn missing<'a>(cx: &Context, inputs: &'a TrainInputs) -> Result<Option<&'a ChipItem>, JobError> {
    let items = inputs.validation.iter().rev().chain(inputs.train.iter().rev());
    missing_of(cx, items).try_next().await
}

/// Those that are not there, in the same order.
fn missing_of<'look, 'item: 'look>(
    cx: &'look Context,
    items: impl Iterator<Item = &'item ChipItem>,
) -> BoxStream<'look, Result<&'item ChipItem, JobError>> {
    let looks: Vec<_> = items.map(|item| is_there(cx, item).map_ok(move |is| (item, is)).boxed()).collect();
    let looks = futures::stream::iter(looks).buffered(READS);
    looks.try_filter_map(async |(item, is_there)| Ok((!is_there).then_some(item))).boxed()
}

async fn is_there(cx: &Context, item: &ChipItem) -> Result<bool, JobError> {
    Ok(cx.blobs.head(&keys::output(Stage::Chip, &item.id)).await?.is_some())
}

/// None where it is not there yet.
async fn cut_so_far(cx: &Context, item: &ChipItem) -> Result<Option<Cut>, JobError> {
    match is_there(cx, item).await? {
        true => cut(cx, item).await.map(Some),
        false => Ok(None),
    }
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
        let ahead = inputs.train[self.train..].iter();
        let reads: Vec<_> = ahead.map(|item| cut_so_far(cx, item).boxed()).collect();
        let mut reads = futures::stream::iter(reads).buffered(READS);
        while let Some(cut) = reads.try_next().await? {
            let Some(Cut { shard, .. }) = cut else { return Ok(inputs.train.get(self.train)) };
            if let Some(shard) = shard {
                self.shards.push(shard);
                self.places.push(self.train as u32);
            }
            self.train += 1;
        }
        let ahead = &inputs.validation[self.validation..];
        let missing = missing_of(cx, ahead.iter()).try_next().await?;
        let is_missing = |item: &ChipItem| missing.is_some_and(|missing| missing.place == item.place);
        self.validation += ahead.iter().take_while(|item| !is_missing(item)).count();
        Ok(missing)
    }

    fn coming(&self, work: &Train, inputs: &TrainInputs, is_all: bool) -> Coming {
        let (plan, planned) = (work.inputs, inputs.train.len() as u32);
        Coming { plan, planned, places: self.places.clone(), is_all }
    }

    /// Items from the first that is missing on: later ones may be there.
    fn left(&self, inputs: &TrainInputs) -> u64 {
        (inputs.train.len() - self.train + inputs.validation.len() - self.validation) as u64
    }
}

/// Until there are chips for more steps, and enough of them to be worth a start; or all.
async fn wait(
    cx: &Context,
    item: &Claimed,
    (work, inputs): (&Train, &TrainInputs),
    there: &mut There,
    at: At,
    teller: &Teller,
) -> Result<Coming, JobError> {
    let mut asked = Instant::now();
    let mut closed = pin!(until_closed(cx, &item.run));
    loop {
        let missing = there.look(cx, inputs).await?;
        let coming = there.coming(work, inputs, missing.is_none());
        let steps = steps_so_far(&coming, &work.spec, &there.shards);
        let Some(missing) = missing else { return Ok(coming) };
        if is_worth_a_start(at, steps) {
            return Ok(coming);
        }
        teller.tell(waiting(at, there.left(inputs), work.spec.epochs));
        let is_in_the_way = cx.crowd.is_wanted_alone();
        if is_in_the_way || asked.elapsed() >= ASK_EVERY {
            ask(cx, item, inputs, there, missing).await?;
            asked = Instant::now();
        }
        if is_in_the_way {
            return Err(handed_back("an item has to work alone here, which may be one that cuts chips"));
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = cx.stop.cancelled() => return Err(handed_back("stopped while it waited for chips")),
            () = &mut closed => return Err(handed_back("its run was stopped while it waited for chips")),
        }
    }
}

/// Each part begins with a checkpoint: where chips come slowly, parts are to become larger as they are more. After the
/// first epoch nothing is done without all of them.
const fn is_worth_a_start(at: At, steps: u64) -> bool {
    at.epoch == 1 && steps > at.step + at.step / 10
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
    let left = || inputs.train[there.train..].iter().chain(&inputs.validation[there.validation..]);
    let is_buried = |chip: &&ChipItem| snapshot.buried.iter().any(|(place, ..)| *place == chip.place);
    if let Some(buried) = left().find(is_buried) {
        // The coordinator plans it anew.
        return Err(handed_back(format!(
            "{} was set aside, which it was to learn from: it begins again without that",
            buried.place
        )));
    }
    // Looked at again: it may have come in between.
    if !snapshot.is_done(missing.place) || is_there(cx, missing).await? {
        return Ok(());
    }
    let gone = missing_of(cx, left().filter(|chip| snapshot.is_done(chip.place)));
    let places = gone.map_ok(|chip| chip.place).try_collect().await?;
    let message = format!("{} is done, and what it has left is gone", missing.place);
    Err(JobError::MissingInputs { places, message })
}

/// What is told while it waits: how long the epoch is nobody knows.
fn waiting(at: At, left: u64, epochs: u32) -> Training {
    Training {
        epoch: at.epoch,
        epochs,
        validates: false,
        step: at.step,
        steps: 0,
        images: 0,
        loss: None,
        mean_iou: None,
        images_per_second: 0.0,
        eta_seconds: None,
        waits_for: Some(left),
    }
}

#[cfg(test)]
mod tests {
    use super::{At, is_worth_a_start};

    fn after(step: u64, steps: u64) -> bool {
        is_worth_a_start(At { epoch: 1, step }, steps)
    }

    #[test]
    fn a_part_is_begun_for_a_tenth_more_than_was_done_before() {
        assert!(after(0, 1) && after(9, 10) && after(100, 111));
        assert!(!after(0, 0) && !after(100, 100) && !after(100, 110));
        // A step at a time, a million are less than two hundred parts.
        let (mut done, mut parts) = (0, 0);
        while done < 1_000_000 {
            done = (done + 1..).find(|steps| after(done, *steps)).unwrap();
            parts += 1;
        }
        assert!(parts < 200, "{parts}");
    }

    /// Each start would end at once, and nobody would ask for what is gone.
    #[test]
    fn after_the_first_epoch_only_all_chips_are_worth_a_start() {
        assert!(!is_worth_a_start(At { epoch: 2, step: 0 }, 1000));
    }
}
