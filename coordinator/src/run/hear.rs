//! What has happened to a run's items, as the ledger tells it.

use std::time::Instant;

use swath_backends::ledger::{Event, Events};
use swath_proto::keys;

use super::Run;

impl Run {
    /// Applies what has happened since the last time.
    pub(super) async fn hear(&mut self, now: Instant) -> anyhow::Result<usize> {
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
                    self.shown.hear(&event);
                    self.stragglers.hear(&event);
                    if let Some(event) = self.board.told_of_item(&event) {
                        self.streak.hear(&event, now);
                    }
                    self.forget_grave(&event).await;
                    self.board.apply(event, now);
                }
                Ok(n)
            }
        }
    }

    /// Of an item that was buried and is done all the same, by a worker that was late: a ledger that is
    /// filled again would believe the grave.
    async fn forget_grave(&self, event: &Event) {
        let Event::Finished { place, .. } = event else { return };
        if !self.board.buried().contains_key(place) {
            return;
        }
        let run = self.board.run();
        if let Err(error) = self.blobs.delete(&keys::buried(run, *place)).await {
            tracing::debug!(%run, %place, error = error.doing, "its grave is left lying");
        }
    }
}
