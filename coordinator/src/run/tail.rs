//! The tail of a run: nothing is left to publish, and all wait for the last few items. Those that are late
//! are offered to somebody else too.

use std::time::Instant;

use swath_proto::{envelope, item::Place};

use super::Run;

impl Run {
    /// All that can be done is with workers.
    pub(super) fn is_at_the_tail(&self) -> bool {
        !self.held.is_empty() && self.board.has_published_all()
    }

    pub(super) async fn help_the_late(&mut self, now: Instant) -> anyhow::Result<()> {
        if !self.is_at_the_tail() {
            return Ok(());
        }
        let (board, empty) = (&self.board, &self.empty);
        // Nothing waits in its queue, so that whoever takes it has nothing better to do.
        let is_idle = |place: Place| empty.get(&board.lane(place.stage)).is_some_and(|checks| *checks >= 2);
        for place in self.stragglers.late(now, is_idle) {
            let Some(publish) = self.board.item(place).filter(|_| !self.board.is_done(place)) else {
                continue;
            };
            tracing::info!(run = %self.board.run(), %place, "its worker is late: another may do it too");
            self.ledger.invite(self.board.run(), place).await?;
            self.write_inputs(std::slice::from_ref(&publish)).await?;
            // Nobody waits for it: the holder may still come to its end.
            let message = vec![envelope::encode(&publish.item)?];
            if let Err(error) = self.queue.publish(self.board.lane(place.stage), message).await {
                let error = error.told();
                tracing::warn!(run = %self.board.run(), %place, error, "it was not offered to another");
            }
        }
        Ok(())
    }
}
