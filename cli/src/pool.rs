//! Worker processes of this machine: started, started again when they die, told to stop at the end.

use std::{
    collections::BTreeSet,
    fs::{DirBuilder, File},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use swath_coordinator::fleet::local::{
    last_words,
    logs::{Tidier, open},
};
use swath_proto::worker::{ENDS_WITH, root_mark};
use tokio_util::sync::CancellationToken;

use crate::{
    args::{DoorArgs, Tuning},
    logging, worker_program,
};

/// Deaths in a row, each within seconds of the start, after which starting again is pointless.
const HOPELESS: u32 = 5;

pub(crate) struct Pool {
    stop: CancellationToken,
    /// Set when no worker can be kept alive, or not the one with the card.
    pub(crate) broken: CancellationToken,
    /// What the last of them has said then.
    why: Arc<OnceLock<String>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Pool {
    /// Each worker has a thread that waits for it: a worker must die with the thread that made it,
    /// and threads of the runtime come and go. Where a card is needed, the first has this machine's.
    pub(crate) fn start(
        n: usize,
        needs_card: bool,
        doors: &DoorArgs,
        tuning: &Tuning,
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let program = worker_program::path()?;
        let alive = Arc::new(AtomicUsize::new(n));
        let mut pool = Self {
            stop: CancellationToken::new(),
            broken: CancellationToken::new(),
            why: Arc::default(),
            threads: Vec::new(),
        };
        let log = |number: usize| logs.join(format!("worker-{number}.log"));
        let live: BTreeSet<PathBuf> = (1..=n).map(log).collect();
        let tidier = Arc::new(Mutex::new(Tidier::of(logs, Instant::now())));
        for number in 1..=n {
            let log = log(number);
            let file = open(&log).with_context(|| format!("opening {}", log.display()))?;
            let (program, doors, tuning) = (program.clone(), doors.clone(), tuning.clone());
            let (stop, broken, alive) = (pool.stop.clone(), pool.broken.clone(), alive.clone());
            let (why, live, tidier) = (pool.why.clone(), live.clone(), tidier.clone());
            let has_card = number == 1 && needs_card;
            let thread = std::thread::Builder::new().name(format!("worker-{number}"));
            let thread = thread.spawn(move || {
                let kinds = if has_card { "cpu,gpu" } else { "cpu" };
                let job = format!("local:{number}");
                let start = || start(&program, kinds, &job, &doors, &tuning, &file);
                // Whoever comes first sees to the logs of all.
                let tidy = || {
                    let mut tidier = tidier.lock().unwrap_or_else(PoisonError::into_inner);
                    tidier.look(Instant::now(), || live.clone());
                };
                if let Err(error) = keep(start, tidy, &stop) {
                    tracing::error!(number, error = format!("{error:#}"), log = %log.display(), "worker is gone");
                    // Nobody does its work.
                    if alive.fetch_sub(1, Ordering::AcqRel) == 1 || has_card {
                        let which = if has_card { "the worker for the card" } else { "the last worker" };
                        let _ = why.set(format!("{which} does not stay alive: {}", last_words(&log)));
                        broken.cancel();
                    }
                }
            });
            pool.threads
                .push(thread.context("starting a thread for a worker: allow more processes (ulimit -u)")?);
        }
        Ok(pool)
    }

    /// Why it is broken.
    pub(crate) fn why(&self) -> String {
        self.why.get().cloned().unwrap_or_default()
    }

    /// Tells the workers to stop and waits for them.
    pub(crate) fn stop(self) {
        self.stop.cancel();
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// The folder for what workers say, made: next to the data where that is a folder of this machine, else one of this
/// user's alone, a folder a root.
pub(crate) fn logs(doors: &DoorArgs) -> anyhow::Result<PathBuf> {
    if !doors.root.contains("://") {
        let folder = PathBuf::from(&doors.root).join("local/logs");
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        return Ok(folder);
    }
    // SAFETY: a plain call that can't fail.
    let user = unsafe { libc::geteuid() };
    let own = std::env::temp_dir().join(format!("swath-logs-{user}"));
    let folder = own.join(root_mark(&doors.root));
    let making = || format!("making {}", folder.display());
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).with_context(making)?;
    // Where everybody may write, it may have been there, and lead elsewhere.
    if std::fs::symlink_metadata(&own).with_context(making)?.uid() != user {
        bail!("{} is another user's: remove it, or let TMPDIR name a folder of your own", own.display());
    }
    Ok(folder)
}

/// `job`: what it says of who has started it. Call it on a thread that lives as long as the worker.
pub(crate) fn start(
    program: &Path,
    kinds: &str,
    job: &str,
    doors: &DoorArgs,
    tuning: &Tuning,
    log: &File,
) -> anyhow::Result<Child> {
    let mut command = Command::new(program);
    command
        .args(["worker", "--kinds", kinds])
        .args(["--log-format", logging::format()])
        .args(["--slots", &tuning.slots.to_string()])
        .args(["--lease", &tuning.lease.to_string()])
        .args(["--grace", &tuning.grace.to_string()])
        .args(["--threads", &tuning.threads.to_string()])
        .args(["--ranks", &tuning.ranks.to_string()])
        .args(["--item-limit", &tuning.item_limit.to_string()])
        .args(["--gdal-cache", &tuning.gdal_cache.to_string()])
        .args(tuning.allow_steps.then_some("--allow-steps"))
        .args(tuning.metrics.map(|address| format!("--metrics={address}")))
        // By environment, so that no password shows in a list of processes.
        .env("SWATH_ROOT", &doors.root)
        .env("SWATH_QUEUE", &doors.queue)
        .env("SWATH_LEDGER", &doors.ledger)
        .env("SWATH_JOB", job)
        .env(ENDS_WITH, std::process::id().to_string())
        .env_remove("SWATH_QUEUE_FILE")
        .env_remove("SWATH_LEDGER_FILE")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?);
    command.spawn().context("starting a worker")
}

/// Keeps one worker alive until told to stop.
fn keep(
    start: impl Fn() -> anyhow::Result<Child>,
    tidy: impl Fn(),
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut hopeless = 0;
    loop {
        let started = Instant::now();
        let mut child = start()?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if stop.is_cancelled() {
                // SAFETY: our own child, not yet waited for.
                unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
                child.wait()?;
                return Ok(());
            }
            tidy();
            std::thread::sleep(Duration::from_millis(20));
        };
        if stop.is_cancelled() {
            return Ok(());
        }
        hopeless = if started.elapsed() < Duration::from_secs(5) { hopeless + 1 } else { 0 };
        anyhow::ensure!(
            hopeless < HOPELESS,
            "a worker ended {HOPELESS} times right after its start ({status})"
        );
        tracing::warn!(%status, "a worker has ended; starting another");
        // A server that is starting is given some seconds.
        std::thread::sleep(Duration::from_millis(200 << hopeless));
    }
}
