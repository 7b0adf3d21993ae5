//! One run, from its record to its end: the loop that moves items between the board, the queue and
//! the ledger. Everything here may be cut off at any line; the next coordinator goes on.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use swath_backends::{
    Kind,
    blobs::SharedBlobs,
    ledger::{Cursor, Events, Gate, Ledger},
    open::Doors,
    queue::Queue,
};
use swath_geo::stats::BadStats;
use swath_proto::{
    ids::{RunId, WorkerId},
    item::{Place, Stage},
    keys,
    run::RunRecord,
    status::{RunState, RunStatus},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

mod clock;
mod obey;
mod publish;
mod tail;

use self::clock::Clock;
pub use crate::records::{list, read_status};
use crate::{
    board::Board,
    conclude::{self, Evaluated},
    meter::Meter,
    plan,
    rebuild::{self, Existing},
    records::office,
    stragglers::Stragglers,
    streak::Streak,
    tally,
    training::Watched,
};

/// How often the ledger is asked for news: rarely when nothing happens, since every run does it.
const BUSY: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_millis(250);
const STATUS_EVERY: Duration = Duration::from_secs(10);
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often a training is asked how far it is.
const WATCH_EVERY: Duration = Duration::from_secs(1);
const COMMANDS_EVERY: Duration = Duration::from_secs(2);

/// For a last `status.json` when the process has to go.
const LAST_WORDS: Duration = Duration::from_secs(2);

pub struct Run {
    blobs: SharedBlobs,
    queue: Arc<dyn Queue>,
    ledger: Arc<dyn Ledger>,
    me: Me,
    board: Board,
    existing: Existing,
    cursor: Cursor,
    meter: Meter,
    state: RunState,
    message: Option<String>,
    empty_checks: u32,
    held: HashSet<Place>,
    stragglers: Stragglers,
    streak: Streak,
    is_doomed: bool,
    training: Watched,
    watch: watch::Sender<Option<RunStatus>>,
}

/// Who serves: of several coordinators one has the run, and the others wait until its lease is out.
#[derive(Clone, Debug)]
pub struct Me {
    pub name: WorkerId,
    pub lease: Duration,
}

/// How long the others wait for a coordinator that has died, where nothing else is asked for.
pub const LEASE: Duration = Duration::from_secs(15);

enum Step {
    Over(Box<RunStatus>),
    Pause(Duration),
}

fn is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<swath_backends::Error>().is_some_and(|error| error.kind == Kind::NotFound)
}

/// Serves a run until it is final or `stop` is set. Waits while another coordinator has it.
pub async fn serve(
    run: &RunId,
    doors: &Doors,
    me: &Me,
    watch: watch::Sender<Option<RunStatus>>,
    stop: CancellationToken,
) -> anyhow::Result<Option<RunStatus>> {
    let office = office(run);
    while !doors.ledger.lead(&office, &me.name, me.lease).await? {
        tracing::debug!(%run, "another coordinator serves this run");
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(me.lease / 10) => {}
        }
    }
    let mut this = Run::load(run, doors, me.clone(), watch).await?;
    let status = this.serve(&office, &stop).await;
    if let Err(error) = doors.ledger.resign(&office, &me.name).await {
        tracing::debug!(%run, error = format!("{error:#}"), "the office runs out by itself");
    }
    status
}

impl Run {
    async fn load(
        run: &RunId,
        doors: &Doors,
        me: Me,
        watch: watch::Sender<Option<RunStatus>>,
    ) -> anyhow::Result<Self> {
        let json =
            doors.blobs.get(&keys::run_record(run)).await.with_context(|| format!("reading run {run}"))?;
        let record = RunRecord::from_json(&json).with_context(|| format!("reading run.json of {run}"))?;
        let board = Board::new(record);
        let meter = Meter::new(Instant::now(), &board);
        let mut this = Self {
            blobs: doors.blobs.clone(),
            queue: doors.queue.clone(),
            ledger: doors.ledger.clone(),
            me,
            board,
            existing: Existing::default(),
            cursor: Cursor(String::new()),
            meter,
            state: RunState::Preparing,
            message: None,
            empty_checks: 0,
            held: HashSet::new(),
            stragglers: Stragglers::default(),
            streak: Streak::default(),
            is_doomed: false,
            training: Watched::default(),
            watch,
        };
        if let Some(before) = read_status(&this.blobs, run).await? {
            if before.state == RunState::Paused {
                this.state = RunState::Paused;
            }
            this.meter.go_on(&before);
            this.training.go_on(before.training);
        }
        this.reload().await?;
        Ok(this)
    }

    /// Takes everything from the ledger anew; fills the ledger first where it has lost the run.
    async fn reload(&mut self) -> anyhow::Result<()> {
        let mut record = self.board.record.clone();
        let run = record.run.clone();
        let mut snapshot = self.ledger.snapshot(&run).await?;
        if !snapshot.known {
            self.existing = Existing::list(&self.blobs).await?;
            let n = rebuild::restore(&mut record, &self.blobs, &*self.ledger, &self.existing).await?;
            tracing::info!(%run, items = n, "ledger is filled from the keys under the root");
            snapshot = self.ledger.snapshot(&run).await?;
        }
        self.ledger
            .set_gate(&run, if self.state == RunState::Paused { Gate::Closed } else { Gate::Open })
            .await?;
        self.board = Board::new(record);
        self.board.load(&snapshot);
        self.cursor = snapshot.cursor;
        self.meter.begin(Instant::now(), &self.board);
        // Whatever is held now comes back as an event, or is found by the sweep.
        Ok(())
    }

    async fn serve(&mut self, office: &str, stop: &CancellationToken) -> anyhow::Result<Option<RunStatus>> {
        let mut clock = Clock::default();
        loop {
            // A server that is silent must not make us deaf. Whatever is cut off here is found again
            // by whoever serves the run next.
            let pause = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                step = self.step(office, &mut clock) => match step? {
                    Step::Over(status) => return Ok(Some(*status)),
                    Step::Pause(pause) => pause,
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

    async fn step(&mut self, office: &str, clock: &mut Clock) -> anyhow::Result<Step> {
        let now = Instant::now();
        // First of all: whoever has lost the office must not touch anything.
        if clock.led.is_due(now, self.me.lease / 3) {
            let leads = self.ledger.lead(office, &self.me.name, self.me.lease).await?;
            anyhow::ensure!(leads, "another coordinator has taken over run {}", self.board.run());
        }
        let n_events = self.hear(now).await?;
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
        let n_published = if self.state == RunState::Running || self.state == RunState::Preparing {
            self.feed(now).await?
        } else {
            0
        };
        if self.board.wants_evaluation() {
            self.evaluate().await?;
        }
        self.judge(now);
        if self.state.is_final() && !self.conclude().await? {
            return Ok(Step::Pause(BUSY));
        }
        self.meter.sample(now, &self.board, !self.held.is_empty());
        let status = self.status();
        self.watch.send_replace(Some(status.clone()));
        if self.state.is_final() {
            self.report(&status).await?;
            return Ok(Step::Over(Box::new(status)));
        }
        if clock.reported.is_due(now, STATUS_EVERY) {
            self.report(&status).await?;
        }
        Ok(Step::Pause(if n_events + n_published > 0 { BUSY } else { IDLE }))
    }

    /// The last words of a run. False: what they need is gone and is made again first.
    async fn conclude(&mut self) -> anyhow::Result<bool> {
        if self.state == RunState::Failed {
            self.ledger.set_gate(self.board.run(), Gate::Closed).await?;
        }
        let is_done = matches!(self.state, RunState::Done | RunState::DoneWithFailures);
        if self.evaluate().await? || !is_done {
            return Ok(true);
        }
        self.state = RunState::Running;
        Ok(false)
    }

    /// Sums the scores of the scenes. False: some are gone, and are made again first.
    async fn evaluate(&mut self) -> anyhow::Result<bool> {
        match conclude::evaluation(&self.board, &self.blobs).await? {
            Evaluated::All(content) => {
                self.board.evaluated(Some(content));
                Ok(true)
            }
            Evaluated::Nothing => {
                self.board.evaluated(None);
                Ok(true)
            }
            Evaluated::Gone(gone) => {
                tracing::warn!(run = %self.board.run(), scores = gone.len(), "scores are gone and will be made again");
                self.ledger.reset(self.board.run(), &gone).await?;
                Ok(false)
            }
        }
    }

    fn status(&self) -> RunStatus {
        let (state, message) = (self.state, self.message.clone());
        tally::status(&self.board, &self.meter, &self.training, self.held.len(), (state, message))
    }

    /// Applies what has happened since the last time.
    async fn hear(&mut self, now: Instant) -> anyhow::Result<usize> {
        let run = self.board.run().clone();
        match self.ledger.events(&run, &self.cursor).await? {
            Events::Gone => {
                tracing::warn!(%run, "the ledger has lost its history: reading everything again");
                self.reload().await?;
                Ok(1)
            }
            Events::Some { events, next } => {
                self.cursor = next;
                let n = events.len();
                for event in events {
                    self.meter.hear(&event);
                    self.stragglers.hear(&event);
                    self.streak.hear(&event, now);
                    self.board.apply(event, now);
                }
                Ok(n)
            }
        }
    }

    /// Plans lots whose survey is done, once the numeric class is pinned.
    async fn open_lots(&mut self) -> anyhow::Result<()> {
        if self.board.take_probe_news() {
            let mut record = self.board.record.clone();
            match rebuild::pin(&mut record, &self.blobs).await {
                Err(error) if is_gone(&error) => return self.make_again(plan::probe(&record).place).await,
                pinned => pinned?,
            }
            self.board.pin(record);
        }
        if self.board.take_weights_news() {
            let mut record = self.board.record.clone();
            if let Some(train) = self.board.item(Place::new(Stage::Train, 0, 0)) {
                self.training.is(train.item.id);
                match rebuild::pin_weights(&mut record, &train.item, &self.blobs).await {
                    Err(error) if is_gone(&error) => return self.make_again(train.item.place).await,
                    pinned => pinned?,
                }
                self.board.pin(record);
            }
        }
        for lot in self.board.to_open() {
            let surveyed = match rebuild::surveyed(&self.board.record, lot, &self.blobs).await {
                Err(error) if is_gone(&error) => {
                    self.make_again(plan::survey(&self.board.record, lot).place).await?;
                    continue;
                }
                surveyed => surveyed?,
            };
            self.board.open(lot, surveyed);
            self.find_existing(lot).await?;
        }
        if self.board.wants_statistics() {
            self.pin_statistics().await?;
        }
        if self.board.lots().count() as u32 == self.board.record.lots() && self.board.record.has_scaling() {
            // Every lot has been looked up in it.
            self.existing = Existing::default();
        }
        if self.state == RunState::Preparing && self.board.lots().next().is_some() {
            self.state = RunState::Running;
        }
        Ok(())
    }

    /// Items of a lot whose outputs are there already.
    async fn find_existing(&mut self, lot: u32) -> anyhow::Result<()> {
        let Some(opened) = self.board.lots().find(|opened| opened.lot == lot) else { return Ok(()) };
        let found = self.existing.of_lot(&self.board.record, opened, &self.blobs).await?;
        let new: Vec<Place> = found.into_iter().filter(|place| !self.board.is_done(*place)).collect();
        self.ledger.restore(self.board.run(), &new).await?;
        self.board.found(new);
        Ok(())
    }

    /// All is measured: how scenes are scaled is known from now on.
    async fn pin_statistics(&mut self) -> anyhow::Result<()> {
        let mut record = self.board.record.clone();
        let measured = self.board.measured();
        match rebuild::pin_statistics(&mut record, &measured, &self.blobs).await {
            Ok(gone) if gone.is_empty() => {}
            Ok(gone) => return Ok(self.ledger.reset(self.board.run(), &gone).await?),
            Err(error) if error.is::<BadStats>() => {
                self.message = Some(format!("the scenes' pixels can't be measured: {error:#}"));
                self.state = RunState::Failed;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        self.board.pin(record);
        for lot in self.board.lots().map(|lot| lot.lot).collect::<Vec<_>>() {
            self.find_existing(lot).await?;
        }
        Ok(())
    }

    /// Its output is gone, though its bit says that it was made.
    async fn make_again(&mut self, place: Place) -> anyhow::Result<()> {
        tracing::warn!(run = %self.board.run(), %place, "an output is gone and will be made again");
        Ok(self.ledger.reset(self.board.run(), &[place]).await?)
    }

    /// Decides whether the run is over.
    fn judge(&mut self, now: Instant) {
        if self.state.is_final() || self.state == RunState::Paused {
            return;
        }
        let fatal = self.board.fatal().map(|failure| failure.message.clone());
        // Twice: who holds nothing may just have finished something, and the next hearing tells.
        let verdict = self.streak.verdict(self.stragglers.at_work(), now);
        let was_doomed = std::mem::replace(&mut self.is_doomed, verdict.is_some());
        let verdict = verdict.filter(|_| was_doomed);
        if let Some(message) = fatal.or_else(|| self.board.dead_end()).or(verdict) {
            self.message = Some(message);
            self.state = RunState::Failed;
        } else if self.board.is_at_rest() {
            let failed =
                !self.board.buried().is_empty() || self.board.lots().any(|lot| !lot.unreadable.is_empty());
            self.state = if failed { RunState::DoneWithFailures } else { RunState::Done };
        }
    }

    async fn report(&self, status: &RunStatus) -> anyhow::Result<()> {
        let mut json = serde_json::to_vec_pretty(status)?;
        json.push(b'\n');
        self.blobs.put(&keys::status(&status.run), json.into()).await.context("writing status.json")
    }
}
