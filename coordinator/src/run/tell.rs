//! How a run stands, told: to whoever watches, under the root, and to Prometheus.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use swath_backends::queue::Lane;
use swath_proto::{
    item::Stage,
    keys,
    status::{Ask, RunState, RunStatus},
    worker::root_mark,
};

use super::{Run, passes};
use crate::{
    board::Count,
    feed::LANES,
    metrics::runs::{OfStage, Told},
    report, tally,
};

impl Run {
    pub(super) fn status(&self) -> RunStatus {
        let unpublished = self.unpublished.as_ref().filter(|_| !self.state.is_final());
        let (state, message) = (self.state, self.message.as_ref().or(unpublished).cloned());
        let goes_on = matches!(state, RunState::Running | RunState::Preparing);
        let now = Instant::now();
        let asks =
            LANES.into_iter().filter(|_| goes_on).map(|lane| (lane.name().to_owned(), self.ask(lane, now)));
        let rank = (self.rank, asks.collect::<BTreeMap<String, Ask>>());
        let status =
            tally::status(&self.board, &self.meter, &self.training, self.held.len(), rank, (state, message));
        let phases = self.phases.spent();
        let bottleneck = phases.and_then(|phases| phases.bottleneck());
        RunStatus { rented: self.rent.rented(), phases, bottleneck, ..status }
    }

    /// For those who look later. A run is over though that can't be told: only a server that is away is waited for.
    pub(super) async fn tell_of_end(&self, status: &RunStatus) -> anyhow::Result<()> {
        match report::write(&self.board, status, self.prices.as_deref(), &self.blobs).await {
            Err(error) if !passes(&error) => {
                let (run, error) = (self.board.run(), format!("{error:#}"));
                tracing::error!(%run, error, "the run is over and its report can't be written");
                Ok(())
            }
            told => told,
        }
    }

    /// The time of rented machines that went by since the last time, and what workers were busy with in it. Their cards may
    /// be so old.
    pub(super) async fn count_workers(&mut self, (now, oldest): (Instant, Duration)) -> anyhow::Result<()> {
        let root = root_mark(&self.blobs.uri(""));
        let cards = self.sharing.cards(&*self.ledger, &root, (now, oldest)).await?;
        let (run, sharing) = (self.board.run().clone(), self.sharing.clone());
        let part = |lane| sharing.part(&run, lane);
        self.rent.look(now, self.meter.at_work(), &cards.machines, part);
        self.phases.look(&cards.busy, part);
        Ok(())
    }

    /// For Prometheus.
    pub(super) fn show(&self) {
        let of_stage = |(stage, count): (&Stage, &Count)| OfStage {
            stage: *stage,
            lane: self.board.lane(*stage),
            items: count.items,
            done: count.done,
            buried: self.board.graves(*stage).count() as u64,
            out: self.board.n_out_of(*stage) as u64,
            held: self.held.iter().filter(|place| place.stage == *stage).count() as u64,
        };
        let stages = self.board.counts().iter().map(of_stage).collect();
        let status = self.status();
        let bill = self.prices.as_ref().filter(|_| !status.rented.is_empty());
        let money = bill.map(|prices| prices.bill(&status.rented).money);
        self.shown.tell(Told { status, stages, money });
    }

    /// What it asks of the workers of a lane.
    pub(super) fn ask(&self, lane: Lane, now: Instant) -> Ask {
        let (more, stage) = self.board.upcoming(lane, now);
        let held = self.held.iter().filter(|place| self.board.lane(place.stage) == lane).count() as u64;
        let stage = stage.or_else(|| self.meter.at_work());
        let seconds = stage.and_then(|stage| self.meter.seconds(stage));
        Ask { out: self.board.n_out(lane) as u64, held, more, seconds, stage }
    }

    /// Writes `status.json`.
    pub(super) async fn report(&self, status: &RunStatus) -> anyhow::Result<()> {
        let mut json = serde_json::to_vec_pretty(status)?;
        json.push(b'\n');
        self.blobs.put(&keys::status(&status.run), json.into()).await.context("writing status.json")
    }
}
