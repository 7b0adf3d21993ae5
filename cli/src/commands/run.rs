//! `swath run`: a pipeline here, to the end. The coordinator runs in this process, the workers are
//! processes of their own, so that native code that crashes takes one of them and not the run.

use std::{path::PathBuf, time::Duration};

use swath_backends::open::{Doors, open};
use swath_coordinator::{
    commands, freeze,
    records::{office, read_status},
    run::{self, LEASE, Me},
};
use swath_proto::{
    item::Stage,
    keys,
    run::RunRecord,
    status::{RunState, RunStatus},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{report, status, status::state, stop_on_signals};
use crate::{
    args::{DoorArgs, RunArgs},
    config,
    exit::{Exit, Usage, as_usage},
    progress::Bar,
    table,
};

/// Maps that are looked for before a run counts as done.
const LOOKED_AT: usize = 100;
/// Servers may be away for a while; the run waits that long between two tries.
const TRY_AGAIN: Duration = Duration::from_secs(2);

pub(super) async fn run(args: RunArgs, door_args: DoorArgs) -> anyhow::Result<Exit> {
    config::check(&args.tuning)?;
    let stop = stop_on_signals()?;
    let source = config::source(&args.file, &door_args)?;
    let doors = open(&config::urls(&door_args)).await?;
    let frozen = freeze::freeze(&source, &doors.blobs).await.map_err(as_usage)?;
    super::tell_left_out(&frozen);
    freeze::submit(&frozen, &source, &doors.blobs).await?;
    let record = frozen.record;
    note!("run {} under {}", record.run, door_args.root);
    let before = read_status(&doors.blobs, &record.run).await?;
    if let Some(status) = before.as_ref().filter(|status| is_done(status)) {
        if stands(&record, &doors).await? {
            say!("{}: {} already, nothing to do; --rerun begins it anew", record.run, state(status.state));
            report::results(&record, status, &doors.blobs).await?;
            report::failures(status);
            return Ok(status::exit(status));
        }
    }
    if let Some(going_on) = before.as_ref().and_then(going_on) {
        note!("{going_on}");
    }
    if let Some(leader) = doors.ledger.leader(&office(&record.run)).await? {
        note!(
            "{leader} serves it now; waiting until it has ended the run, or has been silent for some seconds"
        );
    }

    let pool = start_workers(&args, &door_args)?;
    let broken = pool.broken();
    let served = serve(&record, &doors, &stop, &broken).await;
    pool.stop().await;
    match served? {
        Some(status) => {
            say!("{}: {}", record.run, state(status.state));
            if let Some(message) = &status.message {
                say!("{message}");
            }
            report::results(&record, &status, &doors.blobs).await?;
            report::failures(&status);
            Ok(status::exit(&status))
        }
        None if broken.is_cancelled() => {
            anyhow::bail!("no worker stays alive; see their logs in {}", pool_logs(&door_args).display())
        }
        None => {
            note!("interrupted; the same command goes on where it was");
            Ok(Exit::Interrupted)
        }
    }
}

fn is_done(status: &RunStatus) -> bool {
    matches!(status.state, RunState::Done | RunState::DoneWithFailures)
}

/// Whether a run that was done is so still: nobody has asked anything of it, the ledger knows of it, and what
/// it has made for people lies there.
async fn stands(record: &RunRecord, doors: &Doors) -> anyhow::Result<bool> {
    let run = &record.run;
    if !commands::pending(&doors.blobs, run).await?.is_empty() || !doors.ledger.snapshot(run).await?.known {
        return Ok(false);
    }
    let maps = record.scenes.iter().filter(|_| record.has(Stage::Assemble));
    let maps = maps.take(LOOKED_AT).map(|scene| keys::prediction(run, &scene.id));
    let bundle = record.has(Stage::Bundle).then(|| keys::bundle(run));
    for key in maps.chain(bundle) {
        if doors.blobs.head(&key).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What the same command did not end the last time.
fn going_on(before: &RunStatus) -> Option<String> {
    match before.state {
        RunState::Cancelled => {
            Some("it was cancelled; going on where it was (--rerun begins it anew)".into())
        }
        RunState::Failed => {
            let why = before.message.as_deref().unwrap_or("no cause is written down");
            Some(format!("it had failed ({why}); trying again with what is done"))
        }
        RunState::Running | RunState::Preparing => {
            let done = before.stages.values().map(|count| count.done).sum();
            (done > 0).then(|| format!("going on where it was: {} done", table::count(done, "item")))
        }
        RunState::Paused | RunState::Done | RunState::DoneWithFailures => None,
    }
}

/// The coordinator, with a bar; goes on when a server was away.
async fn serve(
    record: &RunRecord,
    doors: &Doors,
    stop: &CancellationToken,
    broken: &CancellationToken,
) -> anyhow::Result<Option<RunStatus>> {
    let (sender, receiver) = watch::channel(None);
    let shown = tokio::spawn(show(record.run.to_string(), receiver));
    let halt = stop.child_token();
    let watcher = {
        let (halt, broken) = (halt.clone(), broken.clone());
        tokio::spawn(async move {
            broken.cancelled().await;
            halt.cancel();
        })
    };
    let me = Me { name: config::process_name("run"), lease: LEASE };
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

/// Next to the data where that is a folder of this machine.
fn pool_logs(doors: &DoorArgs) -> PathBuf {
    match doors.root.contains("://") {
        true => std::env::temp_dir().join("swath-logs"),
        false => PathBuf::from(&doors.root).join("local/logs"),
    }
}

#[cfg(feature = "worker")]
fn start_workers(args: &RunArgs, doors: &DoorArgs) -> anyhow::Result<Workers> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let n = args.workers.unwrap_or(cores);
    if n > 256 {
        return Err(Usage(format!("--workers {n}: must be 0 to 256")).into());
    }
    Ok(Workers(Some(crate::pool::Pool::start(n, doors, &args.tuning, &pool_logs(doors))?)))
}

#[cfg(not(feature = "worker"))]
fn start_workers(args: &RunArgs, _: &DoorArgs) -> anyhow::Result<Workers> {
    match args.workers {
        Some(0) => Ok(Workers(None)),
        _ => Err(Usage("this program was built as a coordinator only: use --workers 0".into()).into()),
    }
}

#[cfg(feature = "worker")]
struct Workers(Option<crate::pool::Pool>);

#[cfg(not(feature = "worker"))]
struct Workers(Option<std::convert::Infallible>);

#[cfg(feature = "worker")]
impl Workers {
    fn broken(&self) -> CancellationToken {
        self.0.as_ref().map(|pool| pool.broken.clone()).unwrap_or_default()
    }

    async fn stop(self) {
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

    async fn stop(self) {}
}
