//! A run that is served in simulated time: the steps of its loop as they are, at moments that somebody else says.

use std::time::Instant;

use swath_backends::{open::Doors, queue::Lane};
use swath_proto::{ids::RunId, status::RunStatus};
use tokio::sync::watch;

use super::{Clock, IDLE, Me, Over, Run, Step};
use crate::sharing::Sharing;

pub(crate) struct Served {
    run: Run,
    clock: Clock,
}

impl Served {
    pub(crate) async fn load(run: &RunId, doors: &Doors, me: Me, sharing: Sharing) -> anyhow::Result<Self> {
        let (watch, _) = watch::channel(None);
        let run = Run::load(run, doors, me, sharing, Over::TakenUp, watch).await?;
        Ok(Self { run, clock: Clock::default() })
    }

    /// All that there is to do at a moment. Returns how the run has ended, once it has.
    pub(crate) async fn at(&mut self, now: Instant) -> anyhow::Result<Option<RunStatus>> {
        loop {
            match self.run.step(&mut self.clock, now).await? {
                Step::Over(status) => return Ok(Some(*status)),
                Step::Pause(pause) if pause == IDLE => return Ok(None),
                Step::Pause(_) => {}
            }
        }
    }

    /// Items in the queue, or in the hands of workers.
    pub(crate) fn n_out(&self) -> usize {
        self.run.board.n_out(Lane::Cpu)
    }
}
