//! The way of one item: claim, work, put, finish, settle. Death between any two of these costs a
//! repeat and never a loss.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use swath_backends::{
    Result,
    blobs::Put,
    ledger::{Claim, Release},
    queue::Delivery,
};
use swath_proto::{
    envelope::{self, BadEnvelope},
    ids::Digest,
    item::{Item, Stage, Work},
    keys,
    outcome::{Buried, Failure, FailureClass, Report},
};

use crate::{
    context::{Claimed, Context},
    failure::JobError,
    jobs::{self, Output},
    keeper::{NO_END, keep, patiently},
    native::Suspect,
};

/// Pauses before a job that met a server that was away is tried again, lease in hand.
const PAUSES_S: [u64; 6] = [1, 2, 4, 8, 16, 30];

/// How long a message of a newer program is kept from others.
const NEWER: Duration = Duration::from_secs(5);

/// Claims after which an item is buried though nobody saw it fail: whatever ends its workers ends
/// their supervisors too.
fn max_attempts(item: &Item) -> u32 {
    item.max_failures.saturating_mul(10)
}

/// Handles one delivery to its end. Errors are about servers, never about the item.
pub async fn attempt(cx: &Context, delivery: Delivery) -> anyhow::Result<()> {
    let item = match envelope::decode(&delivery.body) {
        Ok(item) => item,
        // Written by a newer program: a newer worker reads it. The pause keeps the two of us from
        // throwing it to and fro.
        Err(error @ BadEnvelope::Newer(_)) => {
            tracing::error!(%error, "handed back: update this worker");
            tokio::select! {
                () = cx.stop.cancelled() => {}
                () = tokio::time::sleep(NEWER) => {}
            }
            delivery.hand_back().await?;
            return Ok(());
        }
        Err(error) => return set_aside(cx, delivery, &error.to_string()).await,
    };
    let Some(_in_hand) = cx.take(&item) else {
        // It came twice, and the one that is at work sees to it.
        delivery.done().await?;
        return Ok(());
    };
    let claim = || cx.ledger.claim(&item.run, item.place, &cx.me, cx.lease);
    match patiently(cx, "claiming", claim).await {
        Ok(Claim::Go { attempts, failures }) => {
            go(cx, Claimed { item, attempt: attempts, failures }, delivery).await
        }
        // Done, buried, closed: nothing to do. Held: its holder does it, or the coordinator sees
        // the holder's lease run out.
        Ok(Claim::Done | Claim::Held | Claim::Buried | Claim::Closed) => {
            delivery.done().await?;
            Ok(())
        }
        Err(error) => {
            delivery.hand_back().await?;
            Err(error).context("claiming")
        }
    }
}

async fn go(cx: &Context, claimed: Claimed, delivery: Delivery) -> anyhow::Result<()> {
    let Claimed { item, attempt, failures } = &claimed;
    tracing::debug!(run = %item.run, place = %item.place, attempt, failures, "claimed");
    let mut delivery = Some(delivery);
    {
        // The lease is kept to the very end: a verdict may have to wait for a server as well.
        let see_through = pin!(see_through(cx, &claimed));
        let keep = pin!(keep(cx, item, &mut delivery));
        tokio::select! {
            ended = see_through => ended?,
            () = keep => give_up(cx, &claimed).await?,
        }
    }
    // The ledger knows what became of the item, and the coordinator publishes again what has to be.
    if let Some(delivery) = delivery
        && !delivery.done().await?
    {
        tracing::debug!(run = %item.run, place = %item.place, "the broker had taken the delivery back");
    }
    Ok(())
}

/// Works, and tells the ledger how it ended.
async fn see_through(cx: &Context, claimed: &Claimed) -> anyhow::Result<()> {
    let started = Instant::now();
    let ended = tokio::select! {
        ended = work(cx, claimed) => ended,
        () = cx.abort.cancelled() => Err(JobError::new(FailureClass::Preempted, anyhow!("the worker has to go"))),
    };
    match ended {
        Ok(output) => {
            let report = Report {
                seconds: started.elapsed().as_secs_f64(),
                pixels: output.pixels,
                bytes: output.body.len() as u64,
            };
            let finish = || cx.ledger.finish(&claimed.run, claimed.place, report);
            patiently(cx, "finishing", finish).await.context("finishing")?;
            Ok(())
        }
        Err(error) => fail(cx, claimed, error).await,
    }
}

/// From claim to output in place.
async fn work(cx: &Context, claimed: &Claimed) -> std::result::Result<Output, JobError> {
    let Claimed { item, attempt, failures } = claimed;
    if *attempt > max_attempts(item) {
        let text = format!("{attempt} workers in a row have died with this item, without a trace");
        return Err(JobError::data(anyhow!(text)));
    }
    let key = keys::item_output(item);
    // Whoever had it before may have died between output and finish, and another run may have made the
    // same. Stages that write files besides are looked at again, since they are sent back when a file
    // (not its record) has gone missing.
    let writes_files = matches!(item.work, Work::PredictScenes(_));
    let is_kept = !writes_files
        && matches!(
            item.place.stage,
            Stage::Probe | Stage::Survey | Stage::Analyze | Stage::Train | Stage::Predict | Stage::Eval
        );
    if is_kept && cx.blobs.head(&key).await?.is_some() {
        jobs::tidy(cx, item).await;
        return Ok(Output { body: bytes::Bytes::new(), pixels: 0 });
    }
    // A suspect works alone; everyone else works side by side.
    let (mut alone, mut shared) = (None, None);
    if *failures > 0 {
        alone = Some(cx.alone.write().await);
    } else {
        shared = Some(cx.alone.read().await);
    }
    let output = with_pauses(cx, claimed, &key).await;
    drop((alone.take(), shared.take()));
    match output {
        // Another run that wants the same was first, and has taken its checkpoints away under our feet.
        Err(error) if item.place.stage == Stage::Train && cx.blobs.head(&key).await?.is_some() => {
            tracing::debug!(run = %item.run, error = format!("{error:#}"), "somebody else has trained it");
            Ok(Output { body: bytes::Bytes::new(), pixels: 0 })
        }
        output => output,
    }
}

/// A server that is away is waited for with the item in hand: giving it back would not bring the
/// server back.
async fn with_pauses(cx: &Context, claimed: &Claimed, key: &str) -> std::result::Result<Output, JobError> {
    for pause_s in PAUSES_S {
        match make(cx, claimed, key).await {
            Err(JobError::Failed { class: FailureClass::Transient, source }) if !cx.stop.is_cancelled() => {
                let error = format!("{source:#}");
                tracing::warn!(run = %claimed.run, place = %claimed.place, error, pause_s, "trying again after a pause");
                tokio::time::sleep(Duration::from_secs(pause_s)).await;
            }
            ended => return ended,
        }
    }
    make(cx, claimed, key).await
}

/// The job, and its output under the item's key.
async fn make(cx: &Context, claimed: &Claimed, key: &str) -> std::result::Result<Output, JobError> {
    // Boxed: the futures of all jobs, one inside another, are too deep for the compiler.
    let output = Box::pin(jobs::run(cx, claimed)).await?;
    // A no-op leaves nothing behind: it measures control, not the store.
    if claimed.place.stage == Stage::Noop {
        return Ok(output);
    }
    if cx.blobs.put_new(key, output.body.clone()).await? == Put::Exists {
        tracing::debug!(run = %claimed.run, place = %claimed.place, "somebody else was first");
    }
    jobs::tidy(cx, claimed).await;
    Ok(output)
}

/// Decides what becomes of a failed item: the exhaustive map from class to outcome.
async fn fail(cx: &Context, claimed: &Claimed, error: JobError) -> anyhow::Result<()> {
    let (run, place) = (&claimed.run, claimed.place);
    match error {
        JobError::Failed { class, source } => {
            let failure = failure(cx, claimed, class, format!("{source:#}"));
            match class {
                FailureClass::Preempted => release(cx, claimed, Release::Uncounted).await?,
                FailureClass::Data => bury(cx, claimed, failure).await?,
                FailureClass::Config => {
                    tracing::error!(%run, %place, error = failure.message, "the run's set-up is wrong");
                    release(cx, claimed, claimed.counted(failure)).await?
                }
                // The root does not answer either: no item is to blame for that.
                FailureClass::Transient if cx.blobs.head(&keys::run_record(run)).await.is_err() => {
                    tracing::warn!(%run, %place, error = failure.message, "handed back: the root is away");
                    release(cx, claimed, Release::Uncounted).await?
                }
                FailureClass::Transient | FailureClass::Capacity | FailureClass::Fault => {
                    tracing::warn!(%run, %place, error = failure.message, "failed");
                    let failures = release(cx, claimed, claimed.counted(failure.clone())).await?;
                    if failures >= claimed.max_failures {
                        bury(cx, claimed, failure).await?
                    } else {
                        failures
                    }
                }
            };
        }
        JobError::MissingInputs { places, message } => {
            tracing::warn!(%run, %place, inputs = places.len(), message, "inputs are gone and will be made again");
            let reset = || cx.ledger.reset(run, &places);
            patiently(cx, "resetting", reset).await.context("resetting")?;
            release(cx, claimed, Release::Uncounted).await?;
        }
        JobError::Unfit(why) => {
            release(cx, claimed, Release::Uncounted).await?;
            cx.declare_unfit(why);
        }
    }
    Ok(())
}

/// Work that does not end holds threads that nobody can take back: the worker has to go with it.
async fn give_up(cx: &Context, claimed: &Claimed) -> anyhow::Result<()> {
    let message = format!("it did not end within {} hours", NO_END.as_secs() / 3600);
    fail(cx, claimed, JobError::new(FailureClass::Fault, anyhow!(message.clone()))).await?;
    cx.declare_unfit(anyhow!("{} of run {}: {message}", claimed.place, claimed.run));
    Ok(())
}

fn failure(cx: &Context, item: &Item, class: FailureClass, message: String) -> Failure {
    let scene = item.work.scene().cloned();
    Failure { class, message, scene, rect: item.work.rect(), worker: cx.me.clone() }
}

async fn release(cx: &Context, item: &Item, release: Release) -> Result<u32> {
    let call = || cx.ledger.release(&item.run, item.place, &cx.me, release.clone());
    patiently(cx, "releasing", call).await
}

async fn bury(cx: &Context, claimed: &Claimed, failure: Failure) -> Result<u32> {
    tracing::error!(run = %claimed.run, place = %claimed.place, error = failure.message, "buried");
    bury_place(cx, &claimed.run, claimed.place, claimed.attempt, failure).await?;
    Ok(claimed.failures)
}

/// The object first: the ledger may be lost, the verdict must not be.
pub(crate) async fn bury_place(
    cx: &Context,
    run: &swath_proto::ids::RunId,
    place: swath_proto::item::Place,
    attempts: u32,
    failure: Failure,
) -> Result<()> {
    let grave = Buried::V1 { place, attempts, failure: failure.clone() };
    let json = serde_json::to_vec_pretty(&grave).unwrap_or_default();
    let key = keys::buried(run, place);
    patiently(cx, "burying", || cx.blobs.put(&key, json.clone().into())).await?;
    patiently(cx, "burying", || cx.ledger.bury(run, place, attempts, &failure)).await
}

/// Books a crash on the item that was inside native code when it happened.
pub async fn blame(cx: &Context, suspect: &Suspect, signal: &str, max_failures: u32) -> anyhow::Result<()> {
    let Suspect { run, place, worker, attempt } = suspect;
    let message = format!("its worker was ended by {signal} while it was inside native code");
    let failure =
        Failure { class: FailureClass::Fault, message, scene: None, rect: None, worker: worker.clone() };
    let counted = || Release::Counted { attempt: *attempt, failure: failure.clone() };
    let release = || cx.ledger.release(run, *place, worker, counted());
    let failures = patiently(cx, "reporting a crash", release).await.context("reporting a crash")?;
    tracing::warn!(%run, %place, signal, failures, "an item has crashed its worker");
    if failures >= max_failures {
        tracing::error!(%run, %place, signal, failures, "buried");
        bury_place(cx, run, *place, failures, failure).await.context("burying")?;
    }
    Ok(())
}

/// A message that is no item of ours: kept as an object for people to look at, and never requeued.
async fn set_aside(cx: &Context, delivery: Delivery, error: &str) -> anyhow::Result<()> {
    let key = keys::unreadable(&Digest::of(&delivery.body));
    tracing::error!(key, error, "a message can't be read and is set aside");
    let body = bytes::Bytes::from(delivery.body.clone());
    patiently(cx, "setting aside", || cx.blobs.put(&key, body.clone())).await?;
    delivery.done().await?;
    Ok(())
}
