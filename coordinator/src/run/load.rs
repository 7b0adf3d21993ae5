//! How a run is taken up: from its record, from what was said of it last, and from the ledger.

use std::{
    collections::{BTreeMap, HashSet},
    time::Instant,
};

use anyhow::Context as _;
use swath_backends::{
    ledger::{Cursor, Gate},
    open::Doors,
};
use swath_proto::{
    ids::RunId,
    keys,
    run::RunRecord,
    status::{Rank, RunState, RunStatus},
};
use tokio::sync::watch;

use super::{Me, Over, Run};
use crate::{
    board::Board,
    meter::Meter,
    metrics::runs::OfRun,
    phases::Phases,
    rebuild::{self, Existing},
    records::read_status,
    rent::Rent,
    sharing::Sharing,
    stragglers::Stragglers,
    streak::Streak,
    training::Watched,
};

impl Run {
    pub(super) async fn load(
        run: &RunId,
        doors: &Doors,
        me: Me,
        sharing: Sharing,
        over: Over,
        watch: watch::Sender<Option<RunStatus>>,
    ) -> anyhow::Result<Self> {
        let json =
            doors.blobs.get(&keys::run_record(run)).await.with_context(|| format!("reading run {run}"))?;
        let record = RunRecord::from_json(&json).with_context(|| {
            let key = keys::run_record(run);
            format!("reading {key}: was it written by a newer program? Then update this one")
        })?;
        let board = Board::new(record);
        let mut this = Self {
            blobs: doors.blobs.clone(),
            queue: doors.queue.clone(),
            ledger: doors.ledger.clone(),
            me: me.name,
            prices: me.prices,
            board,
            existing: Existing::default(),
            cursor: Cursor(String::new()),
            meter: Meter::new(Instant::now()),
            state: RunState::Preparing,
            message: None,
            unpublished: None,
            rank: Rank::default(),
            sharing,
            empty: BTreeMap::new(),
            held: HashSet::new(),
            stragglers: Stragglers::default(),
            streak: Streak::default(),
            is_doomed: false,
            training: Watched::default(),
            rent: Rent::default(),
            phases: Phases::default(),
            shown: OfRun::begin(run),
            watch,
        };
        if let Some(before) = read_status(&this.blobs, run).await? {
            match before.state {
                RunState::Paused => this.state = RunState::Paused,
                // A command may have come late: what is cancelled goes on only if that is what it says.
                RunState::Cancelled if over == Over::Left => this.state = RunState::Cancelled,
                _ => {}
            }
            this.rank = before.rank;
            this.meter.go_on(&before);
            this.rent.go_on(&before);
            this.phases.go_on(&before);
            this.training.go_on(before.training);
        }
        this.reload().await?;
        Ok(this)
    }

    /// Takes everything from the ledger anew; fills the ledger first where it has lost the run.
    pub(super) async fn reload(&mut self) -> anyhow::Result<()> {
        let mut record = self.board.record.clone();
        let run = record.run.clone();
        let mut snapshot = self.ledger.snapshot(&run).await?;
        if !snapshot.known {
            self.existing = Existing::list(&self.blobs).await?;
            let n = rebuild::restore(&mut record, &self.blobs, &*self.ledger, &self.existing).await?;
            tracing::info!(%run, items = n, "ledger is filled from the keys under the root");
            snapshot = self.ledger.snapshot(&run).await?;
        }
        let is_shut = matches!(self.state, RunState::Paused | RunState::Cancelled | RunState::Failed);
        self.ledger.set_gate(&run, if is_shut { Gate::Closed } else { Gate::Open }).await?;
        self.board = Board::new(record);
        self.board.load(&snapshot);
        self.cursor = snapshot.cursor;
        self.meter.begin(Instant::now());
        // Whatever is held now comes back as an event, or is found by the sweep.
        Ok(())
    }
}
