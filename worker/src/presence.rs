//! Says to the ledger that this worker is there, and what it has done; and hears there that it is to leave.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use swath_backends::notices::Notices;
use swath_proto::worker::{GROUP, Instance, Worker, WorkerCard, WorkerState, drain_office, root_mark};

use crate::context::Context;

const EVERY: Duration = Duration::from_secs(5);
/// One that is silent for so long is not there.
const LEASE: Duration = Duration::from_secs(30);
/// A machine that does not say what it is in that time does not say it at all.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// What is to be told of this worker.
#[derive(Default)]
pub struct Presence {
    pub done: AtomicU64,
    pub failed: AtomicU64,
    /// It was asked to leave, and has all the time that its items take.
    pub drains: AtomicBool,
}

/// Until the worker leaves.
pub async fn keep(
    cx: Arc<Context>,
    lanes: Vec<String>,
    slots: usize,
    (metrics, notices): (Option<SocketAddr>, Option<Arc<Notices>>),
) {
    let mut card = Worker {
        started: jiff::Timestamp::now().to_string(),
        program: env!("CARGO_PKG_VERSION").into(),
        host: host(),
        pid: std::process::id(),
        root: Some(root_mark(&cx.blobs.uri(""))),
        lanes,
        slots: slots.try_into().unwrap_or(u32::MAX),
        state: WorkerState::Working,
        in_hand: 0,
        done: 0,
        failed: 0,
        busy_s: 0.0,
        phases: None,
        said: None,
        metrics,
        job: job(|name| std::env::var(name).ok()),
        instance: instance(notices).await,
    };
    loop {
        if let Err(error) = tell(&cx, &mut card).await {
            // The next one will say it. A ledger that is away is told of where work waits for it.
            tracing::debug!(error = format!("{error:#}"), "this worker can't say that it is there");
        }
        tokio::time::sleep(EVERY).await;
    }
}

async fn tell(cx: &Context, card: &mut Worker) -> anyhow::Result<()> {
    if cx.ledger.leader(&drain_office(&cx.me)).await?.is_some()
        && !cx.presence.drains.swap(true, Ordering::AcqRel)
    {
        tracing::info!("asked to leave: taking no new work");
        cx.stop.cancel();
    }
    let (in_hand, busy) = cx.idle.hands();
    card.state = if cx.stop.is_cancelled() { WorkerState::Leaving } else { WorkerState::Working };
    card.in_hand = in_hand.try_into().unwrap_or(u32::MAX);
    card.done = cx.presence.done.load(Ordering::Acquire);
    card.failed = cx.presence.failed.load(Ordering::Acquire);
    card.busy_s = busy.as_secs_f64();
    card.phases = Some(cx.phases.times().into());
    card.said = Some(jiff::Timestamp::now().to_string());
    let words = serde_json::to_string(&WorkerCard::V1(card.clone())).context("writing this worker's card")?;
    cx.ledger.announce(GROUP, &cx.me, &words, LEASE).await?;
    Ok(())
}

/// Of one that leaves nothing more is to be expected.
pub async fn withdraw(cx: &Context) {
    if let Err(error) = cx.ledger.withdraw(GROUP, &cx.me).await {
        tracing::debug!(
            error = format!("{:#}", anyhow::Error::from(error)),
            "it will be missed in its own time"
        );
    }
}

fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Whoever starts workers says so to them; AWS Batch does by itself.
fn job(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    variable("SWATH_JOB").or_else(|| variable("AWS_BATCH_JOB_ID").map(|id| format!("batch:{id}")))
}

async fn instance(notices: Option<Arc<Notices>>) -> Option<Instance> {
    let notices = notices?;
    match tokio::time::timeout(ANSWERS_WITHIN, notices.instance()).await {
        Ok(Ok(instance)) => Some(instance),
        Ok(Err(error)) => {
            tracing::debug!(
                error = format!("{:#}", anyhow::Error::from(error)),
                "this machine does not say what it is"
            );
            None
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_started_a_worker_is_told() {
        let only = |name: &'static str| move |asked: &str| (asked == name).then(|| "7".to_owned());
        assert_eq!(job(only("SWATH_JOB")).unwrap(), "7");
        assert_eq!(job(only("AWS_BATCH_JOB_ID")).unwrap(), "batch:7");
        assert_eq!(job(only("HOME")), None);
    }
}
