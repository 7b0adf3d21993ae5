//! `swath run`: a pipeline here, to the end. The coordinator runs in this process, the workers are
//! processes of their own, so that native code that crashes takes one of them and not the run.

use std::{sync::Arc, time::Duration};

use swath_backends::open::{Doors, open};
use swath_coordinator::{
    freeze,
    live::Live,
    records::office,
    run::{self, LEASE, Me},
};
use swath_proto::{run::RunRecord, status::RunStatus};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    again::{Before, before},
    cost, report, status,
    status::state,
    submit,
};
use crate::{
    args::{DoorArgs, RunArgs, Tuning},
    config,
    exit::{Exit, Usage, as_usage},
    page,
    progress::Bar,
    signals::stop_on_signals,
};

/// Servers may be away for a while; the run waits that long between two tries.
const TRY_AGAIN: Duration = Duration::from_secs(2);

pub(super) async fn run(args: RunArgs, door_args: DoorArgs) -> anyhow::Result<Exit> {
    config::check(&args.tuning)?;
    let stop = stop_on_signals()?;
    let mut end = Exit::Done;
    // Variants one after another: whoever wants them side by side submits them.
    for (source, door_args) in config::sources(&args.file, &door_args)? {
        match one(&args, &source, &door_args, &stop).await? {
            Exit::Done => {}
            Exit::Interrupted => return Ok(Exit::Interrupted),
            other => end = other,
        }
    }
    Ok(end)
}

async fn one(
    args: &RunArgs,
    source: &freeze::Source,
    door_args: &DoorArgs,
    stop: &CancellationToken,
) -> anyhow::Result<Exit> {
    let wanted = page::wanted(&args.http)?;
    let prices = Some(Arc::new(cost::prices(door_args)?));
    let doors = open(&config::urls(door_args)).await?;
    let record = begin(args, source, &doors).await?;
    note!("run {} under {}", record.run, door_args.root);
    match before(&record, &doors).await? {
        Before::Done(status) => {
            say!("{}: {} already, nothing to do; --rerun begins it anew", record.run, state(status.state));
            report::results(&record, &status, &doors.blobs).await?;
            report::failures(&status);
            return Ok(status::exit(&status));
        }
        Before::Told(words) => note!("{words}"),
        Before::Nothing => {}
    }
    if let Some(leader) = doors.ledger.leader(&office(&record.run)).await? {
        note!(
            "{leader} serves it now; waiting until it has ended the run, or has been silent for some seconds"
        );
    }

    let live = Live::default();
    let page = page::open(wanted, &doors, door_args, &live).await?;
    let pool = start_workers(args.workers, &record, &args.tuning, door_args)?;
    let broken = pool.broken();
    let me = Me { name: config::process_name("run"), lease: LEASE, prices };
    let served = serve_told(&record, &doors, me, (stop, &broken), &live).await;
    let why = pool.why();
    pool.stop().await;
    if let Some(page) = page {
        page.end().await;
    }
    match served? {
        Some(status) => {
            say!("{}: {}", record.run, state(status.state));
            if let Some(message) = &status.message {
                say!("{message}");
            }
            report::results(&record, &status, &doors.blobs).await?;
            cost::tell_spent(&status, door_args)?;
            report::failures(&status);
            Ok(status::exit(&status))
        }
        None if broken.is_cancelled() => anyhow::bail!(why),
        None => {
            note!("interrupted; the same command goes on where it was");
            Ok(Exit::Interrupted)
        }
    }
}

/// Submits the run. What it froze is large, and not held while the run goes on.
async fn begin(args: &RunArgs, source: &freeze::Source, doors: &Doors) -> anyhow::Result<RunRecord> {
    let frozen = freeze::freeze(source, &doors.blobs).await.map_err(as_usage)?;
    super::tell_left_out(&frozen);
    if !frozen.record.steps.is_empty() && !args.tuning.allow_steps && args.workers != Some(0) {
        let names: Vec<_> = frozen.record.steps.iter().map(|step| step.name.as_str()).collect();
        let text = format!(
            "{} has steps of its own ({}): give --allow-steps if you trust it with this machine",
            args.file.file.display(),
            names.join(", ")
        );
        return Err(Usage(text).into());
    }
    submit::rank(&doors.blobs, &frozen.record.run, args.rank).await?;
    freeze::submit(&frozen, source, &doors.blobs).await?;
    Ok(frozen.record)
}

/// The coordinator, with a bar; goes on when a server was away.
#[cfg(feature = "worker")]
pub(super) async fn serve(
    record: &RunRecord,
    doors: &Doors,
    stop: &CancellationToken,
    broken: &CancellationToken,
) -> anyhow::Result<Option<RunStatus>> {
    let me = Me { name: config::process_name("run"), lease: LEASE, prices: None };
    serve_told(record, doors, me, (stop, broken), &Live::default()).await
}

/// As [`serve`], for those too who watch the page.
async fn serve_told(
    record: &RunRecord,
    doors: &Doors,
    me: Me,
    (stop, broken): (&CancellationToken, &CancellationToken),
    live: &Live,
) -> anyhow::Result<Option<RunStatus>> {
    let (sender, receiver) = watch::channel(None);
    live.begin(&record.run, sender.clone());
    let shown = tokio::spawn(show(record.run.to_string(), receiver));
    let halt = stop.child_token();
    let watcher = {
        let (halt, broken) = (halt.clone(), broken.clone());
        tokio::spawn(async move {
            broken.cancelled().await;
            halt.cancel();
        })
    };
    let end = loop {
        match run::serve(&record.run, doors, &me, sender.clone(), halt.clone()).await {
            Err(error) if is_transient(&error) && !halt.is_cancelled() => {
                tracing::warn!(error = format!("{error:#}"), "interrupted; going on in a moment");
                tokio::time::sleep(TRY_AGAIN).await;
            }
            end => break end,
        }
    };
    watcher.abort();
    live.end(&record.run);
    drop(sender);
    let _ = shown.await;
    end
}

fn is_transient(error: &anyhow::Error) -> bool {
    let kind =
        |cause: &(dyn std::error::Error + 'static)| Some(cause.downcast_ref::<swath_backends::Error>()?.kind);
    error.chain().find_map(kind) == Some(swath_backends::Kind::Transient)
}

async fn show(name: String, mut status: watch::Receiver<Option<RunStatus>>) {
    let bar = Bar::of_run(&name);
    while status.changed().await.is_ok() {
        if let Some(status) = status.borrow_and_update().as_ref() {
            bar.show(status);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bar.finish();
}

#[cfg(feature = "worker")]
pub(super) fn start_workers(
    wanted: Option<usize>,
    record: &RunRecord,
    tuning: &Tuning,
    doors: &DoorArgs,
) -> anyhow::Result<Workers> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let n = wanted.unwrap_or(cores);
    if n > 256 {
        return Err(Usage(format!("--workers {n}: must be 0 to 256")).into());
    }
    if let Some(address) = tuning.metrics.filter(|address| n > 1 && address.port() != 0) {
        let ip = address.ip();
        let text = format!("--metrics {address}: {n} workers can't share a port; {ip}:0 gives each its own");
        return Err(Usage(text).into());
    }
    Ok(Workers(Some(crate::pool::Pool::start(
        n,
        record.needs_cards(),
        doors,
        tuning,
        &crate::pool::logs(doors)?,
    )?)))
}

#[cfg(not(feature = "worker"))]
fn start_workers(wanted: Option<usize>, _: &RunRecord, _: &Tuning, _: &DoorArgs) -> anyhow::Result<Workers> {
    match wanted {
        Some(0) => Ok(Workers(None)),
        _ => Err(Usage("this program was built as a coordinator only: use --workers 0".into()).into()),
    }
}

#[cfg(feature = "worker")]
pub(super) struct Workers(Option<crate::pool::Pool>);

#[cfg(not(feature = "worker"))]
struct Workers(Option<std::convert::Infallible>);

#[cfg(feature = "worker")]
impl Workers {
    pub(super) fn broken(&self) -> CancellationToken {
        self.0.as_ref().map(|pool| pool.broken.clone()).unwrap_or_default()
    }

    pub(super) fn why(&self) -> String {
        self.0.as_ref().map(crate::pool::Pool::why).unwrap_or_default()
    }

    pub(super) async fn stop(self) {
        if let Some(pool) = self.0 {
            let _ = tokio::task::spawn_blocking(move || pool.stop()).await;
        }
    }
}

#[cfg(not(feature = "worker"))]
impl Workers {
    fn broken(&self) -> CancellationToken {
        CancellationToken::new()
    }

    fn why(&self) -> String {
        String::new()
    }

    async fn stop(self) {}
}
