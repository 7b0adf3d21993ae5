//! One run, from its record to its end: the loop that moves items between the board, the queue and
//! the ledger. Everything here may be cut off at any line; the next coordinator goes on.

use std::{
    collections::{BTreeMap, HashSet},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use futures::FutureExt as _;
use swath_backends::{
    Kind,
    blobs::SharedBlobs,
    ledger::{Cursor, Ledger},
    open::Doors,
    queue::{Lane, Queue},
};
use swath_proto::{
    ids::{RunId, WorkerId},
    item::Place,
    status::{Rank, RunState, RunStatus},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

mod clock;
mod end;
mod hear;
mod load;
mod obey;
mod open;
mod publish;
#[cfg(test)]
pub(crate) mod simulated;
mod tail;
mod tell;

use self::{clock::Clock, publish::Fed};
pub use crate::records::{list, read_status};
use crate::{
    board::Board,
    commands,
    meter::Meter,
    metrics::{self, runs::OfRun},
    money::Prices,
    office::Office,
    phases::Phases,
    rebuild::Existing,
    rent::Rent,
    sharing::Sharing,
    stragglers::Stragglers,
    streak::Streak,
    training::Watched,
};

/// How often the ledger is asked for news: rarely when nothing happens, since every run does it.
const BUSY: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_millis(250);
const STATUS_EVERY: Duration = Duration::from_secs(10);
/// How often those hear who watch in this process.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// How often is written down what Prometheus may ask for.
const SHOW_EVERY: Duration = Duration::from_secs(2);
/// How often it is looked for whether a run is over though nothing has happened.
const JUDGE_EVERY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often a training is asked how far it is.
const WATCH_EVERY: Duration = Duration::from_secs(1);
const COMMANDS_EVERY: Duration = Duration::from_secs(2);
/// How often workers are asked on which rented machines they are, and what they were busy with.
const WORKERS_EVERY: Duration = Duration::from_secs(10);

/// How long the ledger keeps a run that is over. Whoever wants it later has it filled again from the keys.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);

/// For a last `status.json` when the process has to go.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A server that is away is asked again after 1, 2, 4, ... seconds, and this at most.
const REST: Duration = Duration::from_secs(8);

pub struct Run {
    blobs: SharedBlobs,
    queue: Arc<dyn Queue>,
    ledger: Arc<dyn Ledger>,
    me: WorkerId,
    prices: Option<Arc<Prices>>,
    board: Board,
    existing: Existing,
    cursor: Cursor,
    meter: Meter,
    state: RunState,
    message: Option<String>,
    /// Why the queue takes nothing at this time.
    unpublished: Option<String>,
    rank: Rank,
    sharing: Sharing,
    /// How often in a row each lane was seen to be empty.
    empty: BTreeMap<Lane, u32>,
    held: HashSet<Place>,
    stragglers: Stragglers,
    streak: Streak,
    is_doomed: bool,
    training: Watched,
    rent: Rent,
    phases: Phases,
    shown: OfRun,
    watch: watch::Sender<Option<RunStatus>>,
}

/// Who serves: of several coordinators one has the run, and the others wait until its lease is out.
#[derive(Clone, Debug)]
pub struct Me {
    pub name: WorkerId,
    pub lease: Duration,
    /// What rented machines cost; without, their hours are told and no money.
    pub prices: Option<Arc<Prices>>,
}

/// How long the others wait for a coordinator that has died, where nothing else is asked for.
pub const LEASE: Duration = Duration::from_secs(15);

enum Step {
    Over(Box<RunStatus>),
    Pause(Duration),
}

/// Whether a server was away, and may be back when it is asked again.
fn passes(error: &anyhow::Error) -> bool {
    let kind =
        |cause: &(dyn std::error::Error + 'static)| Some(cause.downcast_ref::<swath_backends::Error>()?.kind);
    error.chain().find_map(kind) == Some(Kind::Transient)
}

/// Serves a run until it is final or `stop` is set. Waits while another coordinator has it.
pub async fn serve(
    run: &RunId,
    doors: &Doors,
    me: &Me,
    watch: watch::Sender<Option<RunStatus>>,
    stop: CancellationToken,
) -> anyhow::Result<Option<RunStatus>> {
    serve_among(run, doors, me, &Sharing::default(), Over::TakenUp, watch, stop).await
}

/// What becomes of a run that is over when its office is ours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Somebody has asked for it: it goes on, or is found to be done.
    TakenUp,
    /// It has come to its end in other hands since it was looked at.
    Left,
}

/// As [`serve`], beside other runs of this process.
pub async fn serve_among(
    run: &RunId,
    doors: &Doors,
    me: &Me,
    sharing: &Sharing,
    mut over: Over,
    watch: watch::Sender<Option<RunStatus>>,
    stop: CancellationToken,
) -> anyhow::Result<Option<RunStatus>> {
    let office = Office::new(run, me.clone(), doors.ledger.clone());
    while !office.take().await? {
        tracing::debug!(%run, "another coordinator serves this run");
        over = Over::Left;
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(office.wait() / 10) => {}
        }
    }
    let served = async {
        if over == Over::Left
            && let Some(status) = ended(run, &doors.blobs).await?
        {
            return Ok(Some(status));
        }
        // A root of many outputs is listed for a while, and must not make us deaf.
        let mut this = tokio::select! {
            () = stop.cancelled() => return Ok(None),
            loaded = Run::load(run, doors, me.clone(), sharing.clone(), over, watch) => loaded?,
        };
        this.serve(&office, &stop).await
    };
    // A fault of ours in one run is no reason to leave the others alone.
    let served = AssertUnwindSafe(served).catch_unwind();
    let served = served.map(|served| served.unwrap_or_else(|_| Err(anyhow!("it panicked: see above"))));
    let status = tokio::select! {
        biased;
        lost = office.keep() => Err(lost),
        served = served => served,
    };
    sharing.withdraw(run);
    office.resign().await;
    status
}

/// How a run has ended, unless a command waits for it.
async fn ended(run: &RunId, blobs: &SharedBlobs) -> anyhow::Result<Option<RunStatus>> {
    let status = read_status(blobs, run).await?.filter(|status| status.state.is_final());
    Ok(if commands::asked_of(blobs).await?.contains(run) { None } else { status })
}

impl Run {
    async fn serve(
        &mut self,
        office: &Office,
        stop: &CancellationToken,
    ) -> anyhow::Result<Option<RunStatus>> {
        let mut clock = Clock::default();
        let mut failed = 0;
        loop {
            // First of all: whoever may have lost the office must not touch anything.
            let step = async {
                match office.is_ours() {
                    true => self.step(&mut clock, Instant::now()).await,
                    false => Ok(Step::Pause(IDLE)),
                }
            };
            // A server that is silent must not make us deaf. Whatever is cut off here is found again
            // by whoever serves the run next.
            let began = Instant::now();
            let pause = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                step = step => match step {
                    Ok(Step::Over(status)) => return Ok(Some(*status)),
                    Ok(Step::Pause(pause)) => {
                        metrics::stepped(began.elapsed());
                        failed = 0;
                        pause
                    }
                    // What is known stays: the ledger says whether it has lost anything since.
                    Err(error) if passes(&error) => {
                        metrics::was_interrupted();
                        let pause = Duration::from_secs(1 << failed).min(REST);
                        failed = (failed + 1).min(8);
                        let (run, error) = (self.board.run(), format!("{error:#}"));
                        tracing::warn!(%run, error, ?pause, "a server is away; trying again after a pause");
                        pause
                    }
                    Err(error) => return Err(error),
                },
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        if tokio::time::timeout(LAST_WORDS, self.report(&self.status())).await.is_err() {
            tracing::debug!("status.json stays as it was: the root is silent");
        }
        Ok(None)
    }

    async fn step(&mut self, clock: &mut Clock, now: Instant) -> anyhow::Result<Step> {
        let n_events = self.hear(now).await?;
        self.make_outdated_again().await?;
        self.open_lots().await?;
        if clock.asked.is_due(now, COMMANDS_EVERY) {
            self.obey(now).await?;
        }
        if clock.swept.is_due(now, SWEEP_EVERY) {
            self.sweep(now).await?;
        }
        if clock.watched.is_due(now, WATCH_EVERY) {
            self.training.look(&self.held, &self.blobs).await;
        }
        let fed = if self.state == RunState::Running || self.state == RunState::Preparing {
            self.feed(now).await?
        } else {
            self.sharing.withdraw(self.board.run());
            Fed::default()
        };
        if clock.counted.is_due(now, WORKERS_EVERY) {
            self.count_workers((now, WORKERS_EVERY)).await?;
        }
        if n_events + fed.n > 0 || clock.judged.is_due(now, JUDGE_EVERY) {
            if self.board.wants_evaluation() {
                self.evaluate().await?;
            }
            self.judge(now);
        }
        if self.state.is_final() && !self.conclude().await? {
            return Ok(Step::Pause(BUSY));
        }
        self.meter.sample(now, &self.board, !self.held.is_empty());
        if self.state.is_final() {
            self.count_workers((now, Duration::ZERO)).await?;
            let status = self.status();
            self.tell_of_end(&status).await?;
            self.show();
            self.watch.send_replace(Some(status.clone()));
            self.report(&status).await?;
            if let Err(error) = self.ledger.retire(self.board.run(), REMEMBERED).await {
                let error = error.told();
                tracing::debug!(run = %self.board.run(), error, "the ledger keeps the run for good");
            }
            return Ok(Step::Over(Box::new(status)));
        }
        if self.watch.receiver_count() > 0 && clock.told.is_due(now, TELL_EVERY) {
            self.watch.send_replace(Some(self.status()));
        }
        if clock.shown.is_due(now, SHOW_EVERY) {
            self.show();
        }
        if clock.reported.is_due(now, STATUS_EVERY) {
            self.report(&self.status()).await?;
        }
        Ok(Step::Pause(match (fed.is_cut, n_events + fed.n) {
            (true, _) => Duration::ZERO,
            (false, 0) => IDLE,
            (false, _) => BUSY,
        }))
    }
}
