//! What becomes of an item that has failed, and of one whose worker has died with it.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use anyhow::{Context as _, anyhow};
use swath_backends::{Result, ledger::Release};
use swath_proto::{
    ids::RunId,
    item::{Item, Place},
    keys,
    outcome::{Buried, Failure, FailureClass},
};

use crate::{
    context::{Claimed, Context},
    failure::{JobError, Verdict},
    keeper::patiently,
    native::Suspect,
    supervise::{Cause, Crash},
    tail::Tail,
};

/// Does with a failed item what its failure's class asks for.
pub async fn fail(cx: &Context, claimed: &Claimed, error: JobError) -> anyhow::Result<()> {
    let run = &claimed.run;
    if claimed.beside {
        // Its holder tells what there is to tell.
        tracing::warn!(error = format!("{error:#}"), "failed beside its holder");
        if let JobError::Unfit(why) = error {
            cx.declare_unfit(why);
        }
        return Ok(());
    }
    match error {
        JobError::Failed { class, source } => {
            let failure = failure(cx, claimed, class, format!("{source:#}"));
            let root_answers = match class {
                FailureClass::Transient => cx.blobs.head(&keys::run_record(run)).await.is_ok(),
                _ => true,
            };
            let verdict = Verdict::of(class, root_answers);
            if verdict != Verdict::HandBack {
                cx.presence.failed.fetch_add(1, Ordering::AcqRel);
            }
            match verdict {
                Verdict::HandBack => {
                    tracing::info!(reason = failure.message, "handed back");
                    release(cx, claimed, Release::Uncounted).await?;
                }
                Verdict::Bury => bury(cx, claimed, claimed.attempt, failure).await?,
                Verdict::StopRun => {
                    tracing::error!(error = failure.message, "the run's set-up is wrong");
                    release(cx, claimed, claimed.counted(failure)).await?;
                }
                Verdict::TryAgain => {
                    tracing::warn!(error = failure.message, "failed");
                    cx.failed(claimed, &failure);
                    let failures = release(cx, claimed, claimed.counted(failure.clone())).await?;
                    if failures >= claimed.max_failures {
                        bury(cx, claimed, claimed.attempt, failure).await?;
                    }
                }
            }
        }
        JobError::MissingInputs { places, message } => {
            tracing::warn!(inputs = places.len(), message, "inputs are gone and will be made again");
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
pub async fn give_up(cx: &Context, claimed: &Claimed, limit: Duration) -> anyhow::Result<()> {
    let message = format!("it did not end within {} minutes", limit.as_secs().div_ceil(60));
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

async fn bury(cx: &Context, item: &Item, attempts: u32, failure: Failure) -> Result<()> {
    bury_place(cx, &item.run, item.place, attempts, failure, &Tail::current().lines()).await
}

/// The object first: the ledger may be lost, the verdict must not be.
pub async fn bury_place(
    cx: &Context,
    run: &RunId,
    place: Place,
    attempts: u32,
    failure: Failure,
    log: &[String],
) -> Result<()> {
    tracing::error!(%run, %place, error = failure.message, "buried");
    let grave = Buried {
        place,
        attempts,
        failure: failure.clone(),
        written: Some(jiff::Timestamp::now().to_string()),
        log: log.to_vec(),
    };
    let json = serde_json::to_vec_pretty(&grave).expect("a grave has only string keys");
    let key = keys::buried(run, place);
    patiently(cx, "burying", || cx.blobs.put(&key, json.clone().into())).await?;
    if !patiently(cx, "burying", || cx.ledger.bury(run, place, attempts, &failure)).await? {
        // Somebody else has finished it meanwhile.
        patiently(cx, "digging up", || cx.blobs.delete(&key)).await?;
    }
    Ok(())
}

/// Tells what the worker before this one could not tell any more.
pub async fn report(cx: &Context, crash: &Crash) -> anyhow::Result<()> {
    let Crash { cause, suspects } = crash;
    let message = match cause {
        Cause::Hung => "it did not come out of native code in time, and its worker was ended".to_owned(),
        _ => format!("its worker was ended by {cause} while it was inside native code"),
    };
    if *cause == Cause::OutOfMemory {
        cx.crowd.narrow();
        tracing::warn!(items = suspects.len(), "there was no memory left: one item at a time from now on");
    }
    match (cause, suspects.as_slice()) {
        (Cause::OutOfMemory, [only]) => blame(cx, only, FailureClass::Capacity, &message).await?,
        // Together they were too many: none of them is to blame. But their attempts stand, so that what ends one
        // worker after another comes to work alone.
        (Cause::OutOfMemory, _) => {
            for item in suspects {
                let died = || cx.ledger.release(&item.run, item.place, &item.worker, Release::Died);
                patiently(cx, "handing back", died).await.context("handing back")?;
            }
        }
        (Cause::Hung | Cause::Signal(_), _) => {
            for item in suspects {
                blame(cx, item, FailureClass::Fault, &message).await?;
            }
        }
    }
    hand_back_all(cx, suspects).await
}

/// What that worker had in hand besides goes to others now, and not when its lease is out.
async fn hand_back_all(cx: &Context, suspects: &[Suspect]) -> anyhow::Result<()> {
    let of: BTreeSet<_> = suspects.iter().map(|item| (&item.run, &item.worker)).collect();
    for (run, worker) in of {
        let held = patiently(cx, "listing holds", || cx.ledger.held(run)).await.context("listing holds")?;
        for (place, _) in held.iter().filter(|(_, holder)| holder == worker) {
            let release = || cx.ledger.release(run, *place, worker, Release::Uncounted);
            patiently(cx, "handing back", release).await.context("handing back")?;
        }
    }
    Ok(())
}

/// Books a failure on an item whose worker is no more.
async fn blame(cx: &Context, item: &Suspect, class: FailureClass, message: &str) -> anyhow::Result<()> {
    let Suspect { run, place, worker, attempt, max_failures, scene, rect, log, .. } = item;
    let message = message.to_owned();
    let failure = Failure { class, message, scene: scene.clone(), rect: *rect, worker: worker.clone() };
    let counted = || Release::Counted { attempt: *attempt, failure: failure.clone() };
    let release = || cx.ledger.release(run, *place, worker, counted());
    let failures = patiently(cx, "reporting a crash", release).await.context("reporting a crash")?;
    tracing::warn!(%run, %place, error = failure.message, failures, "an item has ended its worker");
    if failures >= *max_failures {
        bury_place(cx, run, *place, failures, failure, log).await.context("burying")?;
    }
    Ok(())
}
