//! What a run finds out on its way is pinned in its record: numeric class, weights, statistics. Lots are opened
//! as their surveys come in.

use swath_backends::Kind;
use swath_geo::stats::BadStats;
use swath_proto::{
    item::{Place, Stage},
    status::RunState,
};

use super::Run;
use crate::{plan, rebuild};

impl Run {
    /// Plans lots whose survey is done, once the numeric class is pinned.
    pub(super) async fn open_lots(&mut self) -> anyhow::Result<()> {
        if self.board.probe_is_news() {
            let mut record = self.board.record.clone();
            if let Some(probe) = self.board.item(Place::new(Stage::Probe, 0, 0)) {
                match rebuild::pin(&mut record, &probe.item, &self.blobs).await {
                    Err(error) if is_gone(&error) => return self.make_again(probe.item.place).await,
                    pinned => pinned?,
                }
                self.board.pin(record);
            }
        }
        if self.board.weights_are_news() {
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
        }
        if self.board.wants_statistics() {
            self.pin_statistics().await?;
        }
        if !self.existing.is_empty()
            && self.board.is_dug_out()
            && self.board.record.has_scaling()
            && self.board.lots().count() as u32 == self.board.record.lots()
        {
            // Each of them was looked up once.
            self.existing.forget_parts();
        }
        if self.state == RunState::Preparing && self.board.lots().next().is_some() {
            self.state = RunState::Running;
        }
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
        Ok(())
    }

    /// Its output is gone, though its bit says that it was made.
    async fn make_again(&mut self, place: Place) -> anyhow::Result<()> {
        tracing::warn!(run = %self.board.run(), %place, "an output is gone and will be made again");
        Ok(self.ledger.reset(self.board.run(), &[place]).await?)
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<swath_backends::Error>().is_some_and(|error| error.kind == Kind::NotFound)
}
