//! THE loop: take a slot, take an item, see it through; until told to stop.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use swath_backends::{
    Kind,
    open::Doors,
    outside::Outside,
    queue::{Lane, Queue},
};
use swath_proto::ids::WorkerId;
use tokio::{
    sync::{RwLock, Semaphore},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{attempt, context::Context, device::Device, supervise::Inheritance};

pub struct Config {
    pub me: WorkerId,
    pub lanes: Vec<Lane>,
    /// Items in the pipeline at a time: one fetching, one computing, one putting.
    pub slots: usize,
    pub lease: Duration,
    /// From the signal to stop until items are handed back unfinished.
    pub grace: Duration,
    /// Leave after that long without work.
    pub idle_exit: Option<Duration>,
    pub cache: PathBuf,
    /// Threads that read and encode.
    pub native_threads: usize,
    /// Threads of the engine, for runs that have none pinned yet.
    pub threads: u32,
    /// Crashes after which an item is buried, where its own limit is not known.
    pub max_crashes: u32,
}

/// Works until `stop` is set or, with `idle_exit`, until there has been nothing to do.
pub async fn run(
    config: Config,
    doors: Doors,
    inheritance: Inheritance,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    // Its own: a worker that has to leave does not stop what else there is in the process.
    let stop = stop.child_token();
    let cx = Arc::new(Context {
        blobs: doors.blobs,
        ledger: doors.ledger,
        outside: Outside::default(),
        me: config.me,
        device: Device::start().context("starting the device thread")?,
        cache: config.cache,
        cached: Mutex::default(),
        in_hand: Mutex::default(),
        lease: config.lease,
        threads: config.threads,
        allow_steps: config.lanes.contains(&Lane::Steps),
        stop,
        abort: CancellationToken::new(),
        alone: RwLock::new(()),
        native: Semaphore::new(config.native_threads.max(1)),
        unfit: Mutex::default(),
    });
    let (aborter, grace) = (cx.clone(), config.grace);
    let timer = tokio::spawn(async move {
        aborter.stop.cancelled().await;
        tokio::time::sleep(grace).await;
        aborter.abort.cancel();
    });
    if let Some(crash) = &inheritance.crash {
        for suspect in &crash.suspects {
            attempt::blame(&cx, suspect, crash.signal, config.max_crashes).await?;
        }
    }
    let mut lanes = JoinSet::new();
    for lane in config.lanes {
        let (cx, queue) = (cx.clone(), doors.queue.clone());
        lanes.spawn(async move { serve(cx, queue, lane, config.slots, config.idle_exit).await });
    }
    while let Some(ended) = lanes.join_next().await {
        if let Err(error) = ended.context("a lane panicked").flatten() {
            tracing::error!(error = format!("{error:#}"), "a lane has failed: the worker leaves");
            cx.declare_unfit(error);
        }
    }
    timer.abort();
    let unfit = cx.unfit.lock().unwrap_or_else(PoisonError::into_inner).take();
    unfit.map_or(Ok(()), Err)
}

/// One lane of the queue.
async fn serve(
    cx: Arc<Context>,
    queue: Arc<dyn Queue>,
    lane: Lane,
    slots: usize,
    idle_exit: Option<Duration>,
) -> anyhow::Result<()> {
    let mut receiver = queue.receive(lane, slots).await.context("receiving")?;
    let mut attempts = JoinSet::new();
    let mut idle_since = Instant::now();
    loop {
        let leave_at = idle_exit.filter(|_| attempts.is_empty()).map(|patience| idle_since + patience);
        tokio::select! {
            biased;
            () = cx.stop.cancelled() => break,
            Some(ended) = attempts.join_next(), if !attempts.is_empty() => {
                idle_since = Instant::now();
                report(&cx, ended);
            }
            delivery = receiver.next() => {
                let cx = cx.clone();
                let delivery = delivery.context("receiving")?;
                attempts.spawn(async move { attempt::attempt(&cx, delivery).await });
            }
            () = until(leave_at) => {
                tracing::info!(lane = lane.name(), "no work for a while: leaving");
                break;
            }
        }
    }
    // The receiver lives until its deliveries are settled, for dropping it hands them back.
    while let Some(ended) = attempts.join_next().await {
        report(&cx, ended);
    }
    receiver.close().await;
    Ok(())
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn report(cx: &Context, ended: Result<anyhow::Result<()>, tokio::task::JoinError>) {
    let error = match ended {
        Ok(Ok(())) => return,
        Ok(Err(error)) => error,
        Err(panic) => return tracing::error!(%panic, "an attempt panicked; its lease will run out"),
    };
    // A server that says no, says no to every item: whoever goes on only turns the queue over.
    let kind = error.downcast_ref::<swath_backends::Error>().map(|error| error.kind);
    if let Some(Kind::Refused | Kind::Config | Kind::Corrupt) = kind {
        return cx.declare_unfit(error);
    }
    tracing::warn!(error = format!("{error:#}"), "an attempt ended early");
}
