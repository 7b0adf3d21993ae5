//! Keeps an item's lease alive, in the ledger and at the broker, while the work goes on; and waits
//! out servers that are away for a moment.

use std::{future::Future, time::Duration};

use swath_backends::{
    Kind, Result,
    ledger::{Claim, Gate},
    queue::Delivery,
};
use swath_proto::{
    ids::RunId,
    item::{Item, Place, Stage},
};
use tokio::time::Instant;

use crate::{
    context::{Claimed, Context},
    limits, metrics,
};

/// RabbitMQ takes back what is not settled within half an hour. An item that runs longer than this
/// is settled early and lives on the ledger's lease alone.
const SETTLE_EARLY: Duration = Duration::from_secs(15 * 60);

/// How soon a training learns that its run was paused or cancelled.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why work is not to go on.
pub enum End {
    /// It has gone on for so long.
    TooLong(Duration),
    /// It has gone to another, and may not be done twice at a time.
    Lost,
}

/// Race it against the work: it returns only when the work has to end.
pub async fn keep(cx: &Context, item: &Claimed, delivery: &mut Option<Delivery>) -> End {
    let started = Instant::now();
    let holds = cx.holds.of(&item.run);
    // Who works beside a holder has nothing to lose.
    let _kept = (!item.beside).then(|| holds.keep(item.place));
    let limit = limits::in_hand(item.place.stage, cx.item_limit);
    let mut next = started + cx.lease / 3;
    loop {
        if let Some(limit) = limit.filter(|limit| started.elapsed() >= *limit) {
            return End::TooLong(limit);
        }
        tokio::time::sleep_until(next).await;
        let extend = |places: Vec<Place>| async move {
            let lost = cx.ledger.extend(&item.run, &places, &cx.me, cx.lease).await?;
            metrics::extended(places.len(), lost.len());
            Ok::<_, swath_backends::Error>(lost)
        };
        // Side by side: a broker that is silent costs no lease in the ledger.
        let (extended, settled) = tokio::join!(
            holds.extend(cx.lease / 3, extend),
            tokio::time::timeout(cx.lease / 3, keep_delivery(cx, delivery, started)),
        );
        if settled.is_err() {
            tracing::warn!("the broker is silent; its delivery may come again");
        }
        match extended {
            Ok((lost, again)) => {
                next = again;
                for place in lost {
                    tracing::warn!(%place, "lease lost; going on all the same");
                }
            }
            Err(error) => {
                next = Instant::now() + cx.lease / 10;
                metrics::not_extended();
                warn("extending the lease failed", error);
            }
        }
        // Somebody else may do it again. Whoever is first wins, so that most work has no reason to stop.
        if holds.has_lost(item.place) && is_done_by_one(item.place.stage) {
            match is_ours(cx, item).await {
                Ok(true) => holds.regain(item.place),
                Ok(false) => return End::Lost,
                Err(error) => warn("asking for the lease again failed", error),
            }
        }
    }
}

/// Whether it is held here for another lease; what was lost, and nobody else has taken, is claimed once more. What is
/// held stays so while its run is paused.
pub async fn is_ours(cx: &Context, item: &Item) -> Result<bool> {
    let lost = cx.ledger.extend(&item.run, &[item.place], &cx.me, cx.lease).await?;
    if lost.is_empty() {
        return Ok(true);
    }
    let again = cx.ledger.claim(&item.run, item.place, &cx.me, cx.lease).await?;
    Ok(matches!(again, Claim::Go { .. }))
}

/// A command of the user's own may write where it likes; of a training, the second would be in vain for days; and what
/// gathers all scenes writes over what was gathered before.
const fn is_done_by_one(stage: Stage) -> bool {
    matches!(stage, Stage::Step | Stage::Train | Stage::Merge)
}

async fn keep_delivery(cx: &Context, delivery: &mut Option<Delivery>, started: Instant) {
    if started.elapsed() > SETTLE_EARLY
        && let Some(delivery) = delivery.take()
    {
        look("settling early", delivery.done().await);
    }
    if let Some(delivery) = delivery {
        look("extending the delivery", delivery.extend(cx.lease).await);
    }
}

/// Returns when the run is paused or cancelled: for work that is too long to be waited for.
pub async fn until_closed(cx: &Context, run: &RunId) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match cx.ledger.gate(run).await {
            Ok(Gate::Closed) => return,
            Ok(Gate::Open) => {}
            // The lease runs out where this goes on, and that is told.
            Err(error) => tracing::debug!(%run, error = error.doing, "the gate can't be seen"),
        }
    }
}

/// Whoever is given the message besides us finds the item held, and settles the message.
fn look(what: &str, in_time: Result<bool>) {
    match in_time {
        Ok(true) => {}
        Ok(false) => {
            tracing::debug!("{what}: the broker had taken the delivery back")
        }
        Err(error) => warn(&format!("{what} failed"), error),
    }
}

fn warn(what: &str, error: swath_backends::Error) {
    let error = error.told();
    tracing::warn!(error, "{what}");
}

/// Calls until the server answers, or the worker has to go.
pub async fn patiently<T, F>(cx: &Context, what: &str, mut call: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut pause = Duration::from_millis(100);
    loop {
        match call().await {
            // A ledger without memory may have some again.
            Err(error) if matches!(error.kind, Kind::Transient | Kind::Full) && !cx.abort.is_cancelled() => {
                tracing::warn!(error = error.told(), "{what} failed; trying again");
                tokio::select! {
                    () = cx.abort.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            answer => return answer,
        }
    }
}
