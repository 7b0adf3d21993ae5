//! What is published, and published again where it was lost.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use swath_backends::{Kind, queue::Lane};
use swath_proto::{envelope, item::Place, keys, status::RunState};

use super::Run;
use crate::{
    board::Publish,
    feed::{Bid, LANES},
    sweep,
};

/// Items a publish: bounds what a lost connection leaves in doubt.
const BATCH: usize = 500;
/// Items that are found to be there already before the run looks up again: a fraction of a second.
const FOUND: usize = 4 * BATCH;
/// What was taken and could not be published rests so long.
const REST: Duration = Duration::from_secs(1);

/// What a round of feeding has come to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fed {
    /// Items that were published, or found to be there already.
    pub(super) n: usize,
    /// There is more to look up at once.
    pub(super) is_cut: bool,
}

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
        self.stragglers.see(&held, now);
        let before = std::mem::take(&mut self.held);
        self.held = held.into_iter().map(|(place, _)| place).collect();
        // What has just left somebody's hands is not lost: the next hearing tells what became of it.
        let accounted: HashSet<Place> = self.held.iter().copied().chain(before).chain(reaped).collect();
        let goes_on = matches!(self.state, RunState::Running | RunState::Preparing);
        let mut lost = Vec::new();
        for lane in LANES {
            // Of a queue that is paid by the call nothing is asked while nothing can be lost.
            let old = self.board.out_for(lane, sweep::SETTLES_WITHIN, now);
            let is_late =
                self.is_at_the_tail() && self.held.iter().any(|place| self.board.lane(place.stage) == lane);
            let is_asked = is_late || old.iter().any(|place| !accounted.contains(place));
            let is_empty = is_asked
                && match self.queue.waiting(lane).await {
                    Ok(n) => n == 0,
                    // Publishing tells of it, and what is not known to be empty is not.
                    Err(error) if error.kind == Kind::Transient => false,
                    Err(error) => return Err(error.into()),
                };
            let checks = self.empty.entry(lane).or_default();
            *checks = if is_empty { *checks + 1 } else { 0 };
            let lost_here = sweep::lost(&self.board, lane, &accounted, *checks >= 2, now);
            if goes_on {
                self.shown.republished(lane, lost_here.len());
            }
            lost.extend(lost_here);
        }
        if !lost.is_empty() {
            let items = lost.len();
            match goes_on {
                true => {
                    tracing::info!(%run, items, "the queue has lost items, or workers use another ledger: publishing them again");
                }
                // Workers let go of what is of a run that is paused.
                false => tracing::info!(%run, items, "items that were out come back to the coordinator"),
            }
            self.board.give_back(lost, now);
        }
        match goes_on {
            true => self.help_the_late(now).await,
            false => Ok(()),
        }
    }

    pub(super) async fn feed(&mut self, now: Instant) -> anyhow::Result<Fed> {
        self.sharing.look_around(&self.blobs, now).await;
        let mut all = Fed::default();
        for lane in LANES {
            let fed = self.feed_lane(lane, now).await?;
            all = Fed { n: all.n + fed.n, is_cut: all.is_cut || fed.is_cut };
        }
        Ok(all)
    }

    async fn feed_lane(&mut self, lane: Lane, now: Instant) -> anyhow::Result<Fed> {
        let bid = Bid { rank: self.rank, ask: self.ask(lane, now) };
        let window = self.sharing.window(self.board.run(), lane, bid) as usize;
        let mut fed = Fed::default();
        let (mut n_found, mut at_once) = (0, 1);
        while self.board.n_out(lane) < window {
            if n_found >= FOUND {
                fed.is_cut = true;
                break;
            }
            let room = window - self.board.n_out(lane);
            let mut batch = self.board.take(lane, room.max(at_once).min(BATCH), now);
            if batch.is_empty() {
                break;
            }
            let taken = places(&batch);
            let sent = async {
                let found = self.take_out_what_is_made(&mut batch).await?;
                // More were looked up than may go.
                let rest = batch.split_off(room.min(batch.len()));
                self.board.give_back(places(&rest), now);
                fed.n += found + batch.len();
                n_found += found;
                // Where one is there already, so are the next: they are looked up by the hundred.
                at_once = if found > 0 && batch.is_empty() { BATCH } else { 1 };
                self.training.published(&batch);
                self.write_inputs(&batch).await?;
                self.publish(lane, batch, now).await
            };
            match sent.await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    self.board.give_back(taken, now + REST);
                    return Err(error);
                }
            }
        }
        Ok(fed)
    }

    /// Marks those as done whose outputs are there already; returns how many there were.
    async fn take_out_what_is_made(&mut self, batch: &mut Vec<Publish>) -> anyhow::Result<usize> {
        let mut found = Vec::new();
        if !self.existing.is_empty() {
            for publish in batch.iter().filter(|publish| !publish.is_again) {
                let has_failed = |own| self.board.has_failed(own);
                if self.existing.is_made(&publish.item, &self.blobs, has_failed).await? {
                    found.push(publish.item.place);
                }
            }
        }
        if !found.is_empty() {
            self.ledger.restore(self.board.run(), &found).await?;
            self.board.found(found.iter().copied());
            batch.retain(|publish| !self.board.is_done(publish.item.place));
            self.meter.begin(Instant::now());
        }
        Ok(found.len())
    }

    async fn publish(&mut self, lane: Lane, batch: Vec<Publish>, now: Instant) -> anyhow::Result<bool> {
        if batch.is_empty() {
            return Ok(true);
        }
        let messages = batch.iter().map(|publish| envelope::encode(&publish.item));
        let messages = messages.collect::<Result<_, _>>().context("publishing")?;
        let Err(error) = self.queue.publish(lane, messages).await else {
            self.unpublished = None;
            return Ok(true);
        };
        // What did arrive is claimed at most once; the rest is published again.
        let error = error.told();
        // A queue that is away for long is told once, here and in the status.
        if self.unpublished.as_ref() != Some(&error) {
            tracing::warn!(error, "publishing failed; it is tried again until it works");
            self.unpublished = Some(error);
        }
        self.board.give_back(places(&batch), now + REST);
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

fn places(batch: &[Publish]) -> Vec<Place> {
    batch.iter().map(|publish| publish.item.place).collect()
}
