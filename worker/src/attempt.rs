//! The way of one item: claim, work, put, finish, settle. Death between any two of these costs a
//! repeat and never a loss.

use std::{
    panic::AssertUnwindSafe,
    pin::pin,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use futures::FutureExt as _;
use swath_backends::{
    Result,
    blobs::Put,
    ledger::{Claim, Finish},
    queue::Delivery,
};
use swath_proto::{
    envelope::{self, BadEnvelope},
    ids::Digest,
    item::{Item, Stage, Work},
    keys,
    outcome::{FailureClass, Report},
};

use crate::{
    aftermath::{fail, give_up},
    context::{Claimed, Context},
    failure::JobError,
    jobs::{self, Output, TriedAgain},
    keeper::{End, keep, patiently},
    metrics,
    native::count_finished,
    tail::Tail,
};

/// Pauses before a job that met a server that was away is tried again, lease in hand.
const AWAY_S: [u64; 6] = [1, 2, 4, 8, 16, 30];
/// Before one that met too little memory or disk is, though it worked alone: others on the machine may
/// have taken it, and may give it back.
const SHORT_S: [u64; 3] = [1, 2, 4];

/// How long a message of a newer program is kept from others.
const NEWER: Duration = Duration::from_secs(5);

/// Handles one delivery to its end. Errors are about servers, never about the item.
pub async fn attempt(cx: &Context, delivery: Delivery) -> anyhow::Result<()> {
    Tail::of_attempt().around(handle(cx, delivery)).await
}

async fn handle(cx: &Context, delivery: Delivery) -> anyhow::Result<()> {
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
    Tail::current().is_at(&item);
    let Some(_in_hand) = cx.take(&item) else {
        // It came twice, and the one that is at work sees to it.
        delivery.done().await?;
        return Ok(());
    };
    if delivery.redelivered {
        tracing::debug!("received again");
    }
    match claim(cx, &item).await {
        Ok((Claim::Go { attempts, failures }, beside)) => {
            go(cx, Claimed { item, attempt: attempts, failures, beside }, delivery).await
        }
        // Done, buried, closed: nothing to do. Held: its holder does it, or the coordinator sees
        // the holder's lease run out.
        Ok((Claim::Done | Claim::Held | Claim::Buried | Claim::Closed, _)) => {
            delivery.done().await?;
            Ok(())
        }
        Err(error) => {
            delivery.hand_back().await?;
            Err(error).context("claiming")
        }
    }
}

/// Asks for the item; where another holds it, for leave to work beside that one. Whether that was given.
async fn claim(cx: &Context, item: &Item) -> Result<(Claim, bool)> {
    let claim = || cx.ledger.claim(&item.run, item.place, &cx.me, cx.lease);
    match patiently(cx, "claiming", claim).await? {
        Claim::Held => {
            let join = || cx.ledger.join(&item.run, item.place, &cx.me);
            Ok((patiently(cx, "joining", join).await?, true))
        }
        answer => Ok((answer, false)),
    }
}

async fn go(cx: &Context, claimed: Claimed, delivery: Delivery) -> anyhow::Result<()> {
    let Claimed { attempt, failures, beside, .. } = &claimed;
    Tail::current().is_attempt(*attempt);
    tracing::debug!(failures, beside, "claimed");
    let mut delivery = Some(delivery);
    {
        // The lease is kept to the very end: a verdict may have to wait for a server as well.
        let see_through = pin!(see_through(cx, &claimed));
        let keep = pin!(keep(cx, &claimed, &mut delivery));
        tokio::select! {
            ended = see_through => ended?,
            end = keep => match end {
                End::TooLong(limit) => give_up(cx, &claimed, limit).await?,
                End::Lost => {
                    tracing::warn!("its lease is lost for good: stopped here")
                }
            },
        }
    }
    // The ledger knows what became of the item, and the coordinator publishes again what has to be.
    if let Some(delivery) = delivery
        && !delivery.done().await?
    {
        tracing::debug!("the broker had taken the delivery back");
    }
    Ok(())
}

/// Works, and tells the ledger how it ended.
async fn see_through(cx: &Context, claimed: &Claimed) -> anyhow::Result<()> {
    let started = Instant::now();
    let ended = tokio::select! {
        ended = AssertUnwindSafe(work(cx, claimed)).catch_unwind() => {
            ended.unwrap_or_else(|panic| Err(JobError::panicked(panic.as_ref())))
        }
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
            let finish = patiently(cx, "finishing", finish).await.context("finishing")?;
            let outcome = if finish == Finish::First { "done" } else { "duplicate" };
            metrics::ended(claimed.place.stage, outcome, started.elapsed());
            if finish == Finish::Duplicate {
                tracing::debug!("somebody else had finished it");
            }
            cx.succeeded();
            count_finished();
            Ok(())
        }
        Err(error) => {
            let outcome = match error.class() {
                None | Some(FailureClass::Preempted) => "handed_back",
                Some(class) => class.name(),
            };
            metrics::ended(claimed.place.stage, outcome, started.elapsed());
            fail(cx, claimed, error).await
        }
    }
}

/// From claim to output in place.
async fn work(cx: &Context, item: &Claimed) -> std::result::Result<Output, JobError> {
    if item.traceless() > item.max_traceless() {
        let text = format!(
            "{} workers have died with this item and left no trace: was it memory?",
            item.traceless()
        );
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
    if is_kept && jobs::is_made(cx, item, &key).await? {
        jobs::tidy(cx, item).await;
        return Ok(Output { body: bytes::Bytes::new(), pixels: 0 });
    }
    let output = beside_others_or_alone(cx, item, &key).await;
    match output {
        // Another run that wants the same was first, and has taken its checkpoints away under our feet.
        Err(error) if item.place.stage == Stage::Train && cx.blobs.head(&key).await?.is_some() => {
            tracing::debug!(error = format!("{error:#}"), "somebody else has trained it");
            Ok(Output { body: bytes::Bytes::new(), pixels: 0 })
        }
        output => output,
    }
}

/// Where memory or disk runs short, fewer items are worked on at a time: never in another shape of batch,
/// which would make other bytes.
async fn beside_others_or_alone(
    cx: &Context,
    item: &Claimed,
    key: &str,
) -> std::result::Result<Output, JobError> {
    if !item.is_suspect()
        && let Some(_room) = cx.crowd.beside_others().await
    {
        match with_pauses(cx, item, key, false).await {
            // Its neighbours may be to blame, so nothing is booked yet.
            Err(error) if error.class() == Some(FailureClass::Capacity) && !cx.stop.is_cancelled() => {
                cx.crowd.narrow();
                let error = format!("{error:#}");
                tracing::warn!(error, "trying again alone; one item at a time from now on");
            }
            ended => return ended,
        }
    }
    let Some(_alone) = cx.crowd.alone().await else {
        let text = "its neighbours have worked for too long for it to work here alone";
        return Err(JobError::new(FailureClass::Preempted, anyhow!(text)));
    };
    with_pauses(cx, item, key, true).await
}

/// A server that is away is waited for with the item in hand: giving it back would not bring the
/// server back.
async fn with_pauses(
    cx: &Context,
    item: &Claimed,
    key: &str,
    is_alone: bool,
) -> std::result::Result<Output, JobError> {
    let short_s: &[u64] = if is_alone { &SHORT_S } else { &[] };
    let mut tries = 0;
    loop {
        let again =
            TriedAgain { transient: tries < AWAY_S.len(), capacity: !is_alone || tries < short_s.len() };
        let error = match make(cx, item, key, again).await {
            Err(error) if !cx.stop.is_cancelled() => error,
            ended => return ended,
        };
        let pauses: &[u64] = match error.class() {
            Some(FailureClass::Transient) => &AWAY_S,
            Some(FailureClass::Capacity) => short_s,
            _ => &[],
        };
        let Some(&pause_s) = pauses.get(tries) else { return Err(error) };
        tries += 1;
        let error = format!("{error:#}");
        tracing::warn!(error, pause_s, "trying again after a pause");
        tokio::select! {
            () = cx.stop.cancelled() => {}
            () = tokio::time::sleep(Duration::from_secs(pause_s)) => {}
        }
    }
}

/// The job, and its output under the item's key.
async fn make(
    cx: &Context,
    claimed: &Claimed,
    key: &str,
    again: TriedAgain,
) -> std::result::Result<Output, JobError> {
    // Boxed: the futures of all jobs, one inside another, are too deep for the compiler.
    let output = Box::pin(jobs::run(cx, claimed, again)).await?;
    // A no-op leaves nothing behind: it measures control, not the store.
    if claimed.place.stage == Stage::Noop {
        return Ok(output);
    }
    let began = Instant::now();
    let put = cx.blobs.put_new(key, output.body.clone()).await?;
    cx.phases.put(began.elapsed());
    if put == Put::Exists {
        tracing::debug!("somebody else was first");
    }
    jobs::tidy(cx, claimed).await;
    Ok(output)
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
