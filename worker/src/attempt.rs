//! The way of one item: claim, work, put, finish, settle. Death between any two of these costs a
//! repeat and never a loss.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use swath_backends::{
    Result,
    blobs::Put,
    ledger::{Claim, Release},
    queue::Delivery,
};
use swath_proto::{
    envelope,
    ids::{Digest, WorkerId},
    item::{Item, Stage},
    keys,
    outcome::{Buried, Failure, FailureClass, Report},
};

use crate::{
    context::Context,
    failure::JobError,
    jobs::{self, Output},
    keeper::{keep, patiently},
    native::Suspect,
};

/// Pauses before a job that met a server that was away is tried again, lease in hand.
const PAUSES_S: [u64; 6] = [1, 2, 4, 8, 16, 30];

/// Claims after which an item is buried though nobody saw it fail: whatever ends its workers ends
/// their supervisors too.
fn max_attempts(item: &Item) -> u32 {
    item.max_failures.saturating_mul(10)
}

/// Handles one delivery to its end. Errors are about servers, never about the item.
pub async fn attempt(cx: &Context, delivery: Delivery) -> anyhow::Result<()> {
    let item = match envelope::decode(&delivery.body) {
        Ok(item) => item,
        Err(error) => return set_aside(cx, delivery, &error.to_string()).await,
    };
    let claim = || cx.ledger.claim(&item.run, item.place, &cx.me, cx.lease);
    match patiently(cx, "claiming", claim).await {
        Ok(Claim::Go { attempts, failures }) => go(cx, item, delivery, attempts, failures).await,
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

async fn go(
    cx: &Context,
    item: Item,
    delivery: Delivery,
    attempts: u32,
    failures: u32,
) -> anyhow::Result<()> {
    tracing::debug!(run = %item.run, place = %item.place, attempts, failures, "claimed");
    let started = Instant::now();
    let redone = attempts > 1 || delivery.redelivered;
    let mut delivery = Some(delivery);
    let ended = {
        let work = pin!(work(cx, &item, attempts, failures, redone));
        let keep = pin!(keep(cx, &item, &mut delivery));
        tokio::select! {
            ended = work => Some(ended),
            () = cx.abort.cancelled() => None,
            never = keep => never,
        }
    };
    let settle_as_done = match ended {
        Some(Ok(output)) => {
            let report = Report {
                seconds: started.elapsed().as_secs_f64(),
                pixels: output.pixels,
                bytes: output.body.len() as u64,
            };
            let finish = || cx.ledger.finish(&item.run, item.place, report);
            patiently(cx, "finishing", finish).await.context("finishing")?;
            true
        }
        Some(Err(error)) => fail(cx, &item, attempts, error).await?,
        None => {
            let release = || cx.ledger.release(&item.run, item.place, &cx.me, Release::Uncounted);
            patiently(cx, "releasing", release).await.context("releasing")?;
            false
        }
    };
    if let Some(delivery) = delivery {
        let in_time = if settle_as_done { delivery.done().await? } else { delivery.hand_back().await? };
        if !in_time {
            tracing::debug!(run = %item.run, place = %item.place, "the broker had taken the delivery back");
        }
    }
    Ok(())
}

/// From claim to output in place.
async fn work(
    cx: &Context,
    item: &Item,
    attempts: u32,
    failures: u32,
    redone: bool,
) -> std::result::Result<Output, JobError> {
    if attempts > max_attempts(item) {
        let text = format!("{attempts} workers in a row have died with this item, without a trace");
        return Err(JobError::data(anyhow::anyhow!(text)));
    }
    let key = keys::item_output(item);
    // Whoever had it before may have died between output and finish. An assembly is looked at
    // again, since it is sent back when its file (not its record) has gone missing.
    let is_kept = !matches!(item.place.stage, Stage::Assemble | Stage::Noop);
    if redone && is_kept && cx.blobs.head(&key).await?.is_some() {
        return Ok(Output { body: bytes::Bytes::new(), pixels: 0 });
    }
    // A suspect works alone; everyone else works side by side.
    let (mut alone, mut shared) = (None, None);
    if failures > 0 {
        alone = Some(cx.alone.write().await);
    } else {
        shared = Some(cx.alone.read().await);
    }
    let output = with_pauses(cx, item, &key).await;
    drop((alone.take(), shared.take()));
    output
}

/// A server that is away is waited for with the item in hand: giving it back would not bring the
/// server back.
async fn with_pauses(cx: &Context, item: &Item, key: &str) -> std::result::Result<Output, JobError> {
    for pause_s in PAUSES_S {
        match make(cx, item, key).await {
            Err(JobError::Failed { class: FailureClass::Transient, source }) if !cx.stop.is_cancelled() => {
                let error = format!("{source:#}");
                tracing::warn!(run = %item.run, place = %item.place, error, pause_s, "trying again after a pause");
                tokio::time::sleep(Duration::from_secs(pause_s)).await;
            }
            ended => return ended,
        }
    }
    make(cx, item, key).await
}

/// The job, and its output under the item's key.
async fn make(cx: &Context, item: &Item, key: &str) -> std::result::Result<Output, JobError> {
    let output = jobs::run(cx, item).await?;
    // A no-op leaves nothing behind: it measures control, not the store.
    if item.place.stage == Stage::Noop {
        return Ok(output);
    }
    if cx.blobs.put_new(key, output.body.clone()).await? == Put::Exists {
        tracing::debug!(run = %item.run, place = %item.place, "somebody else was first");
    }
    Ok(output)
}

/// Decides what becomes of a failed item. Returns whether its message may go.
async fn fail(cx: &Context, item: &Item, attempts: u32, error: JobError) -> anyhow::Result<bool> {
    let (run, place) = (&item.run, item.place);
    match error {
        JobError::Failed { class, source } => {
            let failure = failure(cx, item, class, format!("{source:#}"));
            match class {
                FailureClass::Preempted => {
                    release(cx, item, Release::Uncounted).await?;
                    return Ok(false);
                }
                FailureClass::Data => bury(cx, item, attempts, failure).await?,
                FailureClass::Config => {
                    tracing::error!(%run, %place, error = failure.message, "the run's set-up is wrong");
                    release(cx, item, Release::Counted(failure)).await?;
                }
                FailureClass::Transient | FailureClass::Capacity => {
                    tracing::warn!(%run, %place, error = failure.message, "failed");
                    let failures = release(cx, item, Release::Counted(failure.clone())).await?;
                    if failures >= item.max_failures {
                        bury(cx, item, attempts, failure).await?;
                    }
                }
            }
            Ok(true)
        }
        JobError::MissingInputs { places, message } => {
            tracing::warn!(%run, %place, inputs = places.len(), message, "inputs are gone and will be made again");
            let reset = || cx.ledger.reset(run, &places);
            patiently(cx, "resetting", reset).await.context("resetting")?;
            release(cx, item, Release::Uncounted).await?;
            Ok(true)
        }
        JobError::Unfit(why) => {
            release(cx, item, Release::Uncounted).await?;
            cx.declare_unfit(why);
            Ok(false)
        }
    }
}

fn failure(cx: &Context, item: &Item, class: FailureClass, message: String) -> Failure {
    let scene = item.work.scene().cloned();
    Failure { class, message, scene, rect: item.work.rect(), worker: cx.me.clone() }
}

async fn release(cx: &Context, item: &Item, release: Release) -> Result<u32> {
    let call = || cx.ledger.release(&item.run, item.place, &cx.me, release.clone());
    patiently(cx, "releasing", call).await
}

async fn bury(cx: &Context, item: &Item, attempts: u32, failure: Failure) -> Result<()> {
    tracing::error!(run = %item.run, place = %item.place, error = failure.message, "buried");
    bury_place(cx, &item.run, item.place, attempts, failure).await
}

/// The object first: the ledger may be lost, the verdict must not be.
async fn bury_place(
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
    let Suspect { run, place, worker } = suspect;
    let message = format!("its worker was ended by {signal} while it was inside native code");
    let failure =
        Failure { class: FailureClass::Capacity, message, scene: None, rect: None, worker: worker.clone() };
    let release = || cx.ledger.release(run, *place, worker as &WorkerId, Release::Counted(failure.clone()));
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
