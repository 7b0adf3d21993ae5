//! Whether a run is over, and what has to be said then.

use std::time::Instant;

use anyhow::Context as _;
use swath_backends::ledger::Gate;
use swath_proto::{keys, status::RunState};

use super::Run;
use crate::{
    catalogue,
    conclude::{self, Evaluated},
};

impl Run {
    /// Decides whether the run is over.
    pub(super) fn judge(&mut self, now: Instant) {
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

    /// The last words of a run. False: what they need is gone and is made again first.
    pub(super) async fn conclude(&mut self) -> anyhow::Result<bool> {
        if self.state == RunState::Failed {
            self.ledger.set_gate(self.board.run(), Gate::Closed).await?;
        }
        let is_done = matches!(self.state, RunState::Done | RunState::DoneWithFailures);
        let is_whole = self.evaluate().await?;
        if is_whole && is_done {
            catalogue::write(&self.board, &self.blobs).await?;
        }
        if is_whole || !is_done {
            return Ok(true);
        }
        self.state = RunState::Running;
        Ok(false)
    }

    /// Sums the scores of the scenes. False: something is to be made again first.
    pub(super) async fn evaluate(&mut self) -> anyhow::Result<bool> {
        let run = self.board.run().clone();
        let content = match conclude::evaluation(&self.board, &self.blobs).await? {
            Evaluated::All(content) => Some(content),
            Evaluated::Nothing => None,
            Evaluated::Gone(gone) => {
                tracing::warn!(%run, scores = gone.len(), "scores are gone and will be made again");
                self.ledger.reset(&run, &gone).await?;
                return Ok(false);
            }
        };
        let digest = content.as_ref().map(|content| content.digest);
        let is_other = content.as_ref().is_some_and(|content| content.is_other);
        // Before what they follow from is written: whoever goes on after us sees the difference too.
        let stale = conclude::stale(&self.board, &self.blobs, digest, is_other).await?;
        for place in &stale {
            tracing::info!(%run, %place, "what it gathers has changed: it is made again");
            if let Some(publish) = self.board.item(*place) {
                self.blobs.delete(&keys::item_output(&publish.item)).await?;
            }
        }
        if !stale.is_empty() {
            self.ledger.reset(&run, &stale).await?;
        }
        if let Some(content) = content {
            self.blobs.put(&keys::eval(&run), content.json.into()).await.context("writing eval.json")?;
        }
        self.board.evaluated(digest);
        Ok(stale.is_empty())
    }
}
