//! What people ask of a run, done.

use std::time::{Duration, Instant};

use swath_backends::ledger::Gate;
use swath_proto::{item::Place, keys, status::RunState};

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
            Command::Replay(None) => {
                self.dig_up(self.board.buried().keys().copied().collect()).await?;
                if self.board.lots().any(|lot| !lot.unreadable.is_empty()) {
                    // Their lots are surveyed and planned anew; everything else is found again.
                    self.ledger.forget(&run).await?;
                    self.reload().await?;
                }
            }
        }
        Ok(())
    }

    /// Another chance for what is buried, and for items that were done without it.
    async fn dig_up(&self, graves: Vec<Place>) -> anyhow::Result<()> {
        let run = self.board.run();
        let mut places = Vec::new();
        for item in self.board.done_without(&graves) {
            self.blobs.delete(&keys::item_output(&item)).await?;
            places.push(item.place);
        }
        for place in &graves {
            self.blobs.delete(&keys::buried(run, *place)).await?;
        }
        places.extend(graves);
        Ok(self.ledger.reset(run, &places).await?)
    }
}
