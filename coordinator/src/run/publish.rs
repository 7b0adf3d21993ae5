//! What is published, and published again where it was lost.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use swath_backends::queue::Lane;
use swath_proto::{envelope, item::Stage, keys};

use super::Run;
use crate::{board::Publish, feed, sweep};

/// Items a publish: bounds what a lost connection leaves in doubt.
const BATCH: usize = 500;

impl Run {
    /// Brings back what died with its worker or was lost by the queue.
    pub(super) async fn sweep(&mut self, now: Instant) -> anyhow::Result<()> {
        let run = self.board.run().clone();
        // The events of what is reaped reach the board by the next hearing.
        let reaped = self.ledger.reap(&run).await?;
        if !reaped.is_empty() {
            tracing::info!(%run, items = reaped.len(), "leases ran out: items go to other workers");
        }
        let held = self.ledger.held(&run).await?;
        let mut waiting = 0;
        for lane in Lane::ALL {
            waiting += self.queue.waiting(lane).await?;
        }
        self.empty_checks = if waiting == 0 { self.empty_checks + 1 } else { 0 };
        self.stragglers.see(&held, now);
        self.held = held.into_iter().map(|(place, _)| place).collect();
        let old = self.board.out_for(sweep::SETTLES_WITHIN, now);
        let very_old = self.board.out_for(sweep::LOST_AFTER, now);
        let lost = sweep::lost(old, very_old, &self.held, self.empty_checks >= 2);
        if !lost.is_empty() {
            tracing::info!(%run, items = lost.len(), "the queue has lost items: publishing them again");
            self.board.give_back(lost, now);
        }
        self.help_the_late(self.empty_checks >= 2, now).await
    }

    pub(super) async fn feed(&mut self, now: Instant) -> anyhow::Result<usize> {
        let window = feed::window(self.meter.items_per_second(), self.held.len());
        let mut n_published = 0;
        while self.board.n_out() < window {
            let batch = self.board.take(BATCH.min(window - self.board.n_out()), now);
            if batch.is_empty() {
                break;
            }
            n_published += batch.len();
            self.training.published(&batch);
            self.write_inputs(&batch).await?;
            // One queue for all engines until a run asks for GPUs.
            let (steps, own) = batch.into_iter().partition(|publish| publish.item.place.stage == Stage::Step);
            let was_published = self.publish(Lane::Cpu, own, now).await?;
            if !self.publish(Lane::Steps, steps, now).await? || !was_published {
                break;
            }
        }
        Ok(n_published)
    }

    async fn publish(&mut self, lane: Lane, batch: Vec<Publish>, now: Instant) -> anyhow::Result<bool> {
        if batch.is_empty() {
            return Ok(true);
        }
        let messages = batch.iter().map(|publish| envelope::encode(&publish.item));
        let messages = messages.collect::<Result<_, _>>().context("publishing")?;
        let Err(error) = self.queue.publish(lane, messages).await else { return Ok(true) };
        // What did arrive is claimed at most once; the rest is published again.
        tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "publishing failed");
        let places = batch.iter().map(|publish| publish.item.place);
        self.board.give_back(places, now + Duration::from_secs(1));
        Ok(false)
    }

    /// Each time, though most lie there already: somebody may have deleted them.
    pub(super) async fn write_inputs(&mut self, batch: &[Publish]) -> anyhow::Result<()> {
        for (digest, inputs) in batch.iter().filter_map(|publish| publish.inputs.as_ref()) {
            let key = keys::inputs(self.board.run(), digest);
            self.blobs.put(&key, inputs.clone().into()).await.with_context(|| format!("writing {key}"))?;
        }
        Ok(())
    }
}
