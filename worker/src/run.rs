//! THE loop: take a slot, take an item, see it through; until told to stop.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use anyhow::Context as _;
use swath_backends::{
    Kind,
    notices::{Notice, Notices},
    open::Doors,
    outside::Outside,
    queue::{Lane, Queue},
};
use swath_proto::ids::WorkerId;
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    aftermath, attempt,
    context::{Context, RankProcesses},
    crowd::Crowd,
    device::Device,
    holds::Holds,
    idle::Idle,
    metrics::{self, machine::Machine, serve::Door},
    phases::{Phases, Times},
    presence::{self, Presence},
    supervise::Inheritance,
};

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
    pub ranks: Option<RankProcesses>,
    /// How long an ordinary item may be inside native code before it is ended with its worker.
    pub item_limit: Duration,
    /// Says when this machine is about to be taken away.
    pub notices: Option<Notices>,
    /// Where metrics are shown.
    pub metrics: Option<Door>,
}

/// Works until `stop` is set or, with `idle_exit`, until there has been nothing to do.
pub async fn run(
    config: Config,
    doors: Doors,
    inheritance: Inheritance,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    // Its own: a worker that has to leave does not stop what else there is in the process.
    let signal = stop;
    let stop = signal.child_token();
    let phases = Arc::new(Phases::default());
    let cx = Arc::new(Context {
        blobs: doors.blobs,
        ledger: doors.ledger,
        outside: Outside::default(),
        me: config.me,
        device: Device::start(phases.clone()).context("starting the device thread")?,
        phases,
        cache: config.cache,
        cached: Mutex::default(),
        in_hand: Mutex::default(),
        holds: Holds::default(),
        idle: Idle::default(),
        presence: Presence::default(),
        lease: config.lease,
        threads: config.threads,
        ranks: config.ranks,
        allow_steps: config.lanes.contains(&Lane::Steps),
        stop,
        abort: CancellationToken::new(),
        crowd: Crowd::default(),
        item_limit: config.item_limit,
        streak: Mutex::default(),
        native: Semaphore::new(config.native_threads.max(1)),
        early: Semaphore::new(config.slots.saturating_sub(1)),
        unfit: Mutex::default(),
    });
    let notices = config.notices.map(Arc::new);
    let timer = tokio::spawn(leave_in_time(cx.clone(), signal, notices.clone(), config.grace));
    let names = config.lanes.iter().map(|lane| lane.name().to_owned()).collect();
    let address = config.metrics.as_ref().map(|door| door.address);
    let shown = config.metrics.map(|door| tokio::spawn(door.serve(Machine::of(&cx.cache))));
    let presence = tokio::spawn(presence::keep(cx.clone(), names, config.slots, (address, notices)));
    if let Some(crash) = &inheritance.crash {
        aftermath::report(&cx, crash).await?;
    }
    let idler = config.idle_exit.map(|patience| tokio::spawn(leave_when_idle(cx.clone(), patience)));
    let mut lanes = JoinSet::new();
    for lane in config.lanes {
        let (cx, queue) = (cx.clone(), doors.queue.clone());
        lanes.spawn(async move { serve(cx, queue, lane, config.slots).await });
    }
    while let Some(ended) = lanes.join_next().await {
        if let Err(error) = ended.context("a lane panicked").flatten() {
            tracing::error!(error = format!("{error:#}"), "a lane has failed: the worker leaves");
            cx.declare_unfit(error);
        }
    }
    timer.abort();
    presence.abort();
    presence::withdraw(&cx).await;
    shown.inspect(|shown| shown.abort());
    idler.inspect(|idler| idler.abort());
    tell(&cx.phases.times());
    let unfit = cx.unfit.lock().unwrap_or_else(PoisonError::into_inner).take();
    unfit.map_or(Ok(()), Err)
}

/// Where the time has gone, in seconds.
fn tell(times: &Times) {
    let Some((share, of)) = times.device_share() else { return };
    let hundredths = |number: f64| (number * 100.0).round() / 100.0;
    let seconds = |time: Duration| hundredths(time.as_secs_f64());
    tracing::info!(
        percent = hundredths(share * 100.0),
        busy_s = seconds(times.device),
        of_s = seconds(of),
        forward_s = seconds(times.forward),
        fetch_s = seconds(times.fetch),
        decode_s = seconds(times.decode),
        encode_s = seconds(times.encode),
        put_s = seconds(times.put),
        waited_for_threads_s = seconds(times.waited_for_threads),
        waited_for_device_s = seconds(times.waited_for_device),
        "the device has been busy"
    );
}

/// Hands back what is unfinished once the time is over that there is from the signal to stop, or from the
/// notice that the machine goes. Whoever leaves for another reason has all the time that its items take.
async fn leave_in_time(
    cx: Arc<Context>,
    signal: CancellationToken,
    notices: Option<Arc<Notices>>,
    grace: Duration,
) {
    let grace = tokio::select! {
        () = signal.cancelled() => grace,
        () = leaves_unasked(&cx) => grace,
        notice = notice(notices) => {
            tracing::warn!(%notice, "taking no new work");
            metrics::noticed();
            cx.stop.cancel();
            notice.grace(grace)
        }
    };
    tokio::time::sleep(grace).await;
    cx.abort.cancel();
}

async fn leave_when_idle(cx: Arc<Context>, patience: Duration) {
    cx.idle.lasts(patience).await;
    tracing::info!("no work for a while: leaving");
    cx.stop.cancel();
}

/// Not so where it was asked to drain.
async fn leaves_unasked(cx: &Context) {
    cx.stop.cancelled().await;
    if cx.presence.drains.load(Ordering::Acquire) {
        std::future::pending::<()>().await;
    }
}

async fn notice(notices: Option<Arc<Notices>>) -> Notice {
    match notices {
        Some(notices) => notices.next().await,
        None => std::future::pending().await,
    }
}

/// One lane of the queue.
async fn serve(cx: Arc<Context>, queue: Arc<dyn Queue>, lane: Lane, slots: usize) -> anyhow::Result<()> {
    let connecting = cx.idle.busy();
    let mut receiver = queue.receive(lane, slots).await.context("receiving")?;
    drop(connecting);
    let [new, again] = metrics::serves(lane, slots);
    let mut attempts = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = cx.stop.cancelled() => break,
            Some(ended) = attempts.join_next(), if !attempts.is_empty() => report(&cx, ended),
            delivery = receiver.next(), if attempts.len() < cx.crowd.width(slots) => {
                let cx = cx.clone();
                let delivery = delivery.context("receiving")?;
                if delivery.redelivered { again.inc() } else { new.inc() }
                attempts.spawn(async move {
                    let (_busy, _in_hand) = (cx.idle.busy(), metrics::in_hand());
                    attempt::attempt(&cx, delivery).await
                });
            }
            () = cx.crowd.widens(), if cx.crowd.width(slots) < slots => {}
        }
    }
    // The receiver lives until its deliveries are settled, for dropping it hands them back.
    while let Some(ended) = attempts.join_next().await {
        report(&cx, ended);
    }
    receiver.close().await;
    Ok(())
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
