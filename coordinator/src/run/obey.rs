//! What people ask of a run, done.

use std::time::{Duration, Instant};

use swath_backends::{Kind, ledger::Gate};
use swath_proto::{
    item::{Item, Place},
    keys,
    outcome::{Buried, Failure, FailureClass},
    status::RunState,
};

use super::Run;
use crate::{
    commands::{self, Command, NewRank},
    feed::LANES,
};

impl Run {
    pub(super) async fn obey(&mut self, now: Instant) -> anyhow::Result<()> {
        for (key, command) in commands::pending(&self.blobs, self.board.run()).await? {
            tracing::info!(run = %self.board.run(), ?command, "command");
            self.obey_one(command, now).await?;
            // What was decided outlives this process before the wish for it goes.
            self.report(&self.status()).await?;
            self.blobs.delete(&key).await?;
            // What it has changed in the ledger is to be known before anybody judges.
            self.hear(now).await?;
        }
        Ok(())
    }

    async fn obey_one(&mut self, command: Command, now: Instant) -> anyhow::Result<()> {
        let run = self.board.run().clone();
        match command {
            Command::Pause if self.state.is_final() => {}
            Command::Pause => {
                self.ledger.set_gate(&run, Gate::Closed).await?;
                self.state = RunState::Paused;
            }
            Command::Resume => {
                self.ledger.set_gate(&run, Gate::Open).await?;
                self.state = RunState::Preparing;
                // Deliveries that met a closed gate were settled: publish them again.
                for lane in LANES {
                    let out = self.board.out_for(lane, Duration::ZERO, now);
                    self.board.give_back(out, now);
                }
            }
            Command::Cancel => {
                self.ledger.set_gate(&run, Gate::Closed).await?;
                self.state = RunState::Cancelled;
            }
            Command::Rank(NewRank { priority, share }) => {
                self.rank.priority = priority.unwrap_or(self.rank.priority);
                self.rank.share = share.unwrap_or(self.rank.share).max(1);
            }
            Command::Replay(Some(places)) => self.dig_up(places).await?,
            Command::Drop(places) => {
                for place in places {
                    self.drop_item(place).await?;
                }
            }
            Command::Replay(None) => {
                let buried = self.board.buried().iter();
                let buried = buried.filter(|(_, grave)| grave.failure.class != FailureClass::Dropped);
                self.dig_up(buried.map(|(place, _)| *place).collect()).await?;
                if self.board.lots().any(|lot| !lot.unreadable.is_empty()) {
                    // Their lots are surveyed and planned anew; everything else is found again.
                    self.ledger.forget(&run).await?;
                    self.reload().await?;
                }
            }
        }
        Ok(())
    }

    /// Sets an item aside for good, whether or not it was buried before; what it had failed of stays to be read.
    async fn drop_item(&mut self, place: Place) -> anyhow::Result<()> {
        let run = self.board.run().clone();
        let item = self.board.item(place).map(|publish| publish.item).filter(|_| !self.board.is_done(place));
        // A scene that failed among others of an item has a place of its own, where no item stands.
        if item.is_none() && !self.board.has_failed(place) {
            tracing::warn!(%run, %place, "not dropped: it is done, or no item of this run");
            return Ok(());
        }
        let key = keys::buried(&run, place);
        let before = match self.blobs.get(&key).await {
            Ok(json) => serde_json::from_slice::<Buried>(&json).ok(),
            Err(error) if error.kind == Kind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let message = match &before {
            Some(before) if before.is_dropped() => return Ok(()),
            Some(before) => format!("dropped by command; it had failed: {}", before.failure.message),
            None => "dropped by command".into(),
        };
        let failure = Failure {
            class: FailureClass::Dropped,
            message,
            scene: match &item {
                Some(item) => item.work.scene().cloned(),
                None => before.as_ref().and_then(|before| before.failure.scene.clone()),
            },
            rect: item.as_ref().and_then(|item| item.work.rect()),
            worker: self.me.clone(),
        };
        let grave = Buried {
            place,
            attempts: before.as_ref().map_or(0, |before| before.attempts),
            failure: failure.clone(),
            written: Some(jiff::Timestamp::now().to_string()),
            log: before.map(|before| before.log).unwrap_or_default(),
        };
        self.blobs.put(&key, serde_json::to_vec_pretty(&grave)?.into()).await?;
        if !self.ledger.bury(&run, place, grave.attempts, &failure).await? {
            // It was done meanwhile.
            self.blobs.delete(&key).await?;
        }
        Ok(())
    }

    /// Another chance for what is buried, and for items that were done without it.
    async fn dig_up(&self, graves: Vec<Place>) -> anyhow::Result<()> {
        let run = self.board.run();
        let mut places = self.take_away(self.board.done_without(&graves)).await?;
        for place in &graves {
            self.blobs.delete(&keys::buried(run, *place)).await?;
        }
        places.extend(graves);
        Ok(self.ledger.reset(run, &places).await?)
    }

    /// What was at work while a scene was dug up, and has come to its end without it.
    pub(super) async fn make_outdated_again(&self) -> anyhow::Result<()> {
        let places = self.take_away(self.board.outdated()).await?;
        if places.is_empty() {
            return Ok(());
        }
        tracing::info!(run = %self.board.run(), ?places, "a scene came back while these were at work: once more");
        Ok(self.ledger.reset(self.board.run(), &places).await?)
    }

    /// Their outputs, so that nobody finds them. Returns where they stand.
    async fn take_away(&self, items: Vec<Item>) -> anyhow::Result<Vec<Place>> {
        for item in &items {
            self.blobs.delete(&keys::item_output(item)).await?;
        }
        Ok(items.iter().map(|item| item.place).collect())
    }
}
