//! Writes checkpoints beside the steps: the thread that trains copies the state, another one hashes it and puts it into
//! the store. One is on its way at most; what goes wrong with it is told at the next, or at the end.

use std::{
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;
use swath_model::Learner;
use swath_proto::train::Checkpoint;

use crate::{
    checkpoint::{self, Position},
    error::{Kind, Result, TrainError},
    shelf::Shelf,
    store::Store,
};

pub(crate) struct Saver {
    /// Of the first rank alone: its state is that of all.
    store: Option<Store>,
    shelf: Shelf,
    /// What the state of the best epoch is written down as.
    best: String,
    every: Checkpoint,
    /// When the last was written, or the training began.
    since: Instant,
    under_way: Option<JoinHandle<Result<()>>>,
}

impl Saver {
    pub(crate) fn new(store: Option<Store>, shelf: Shelf, best: String, every: Checkpoint) -> Self {
        Self { store, shelf, best, every, since: Instant::now(), under_way: None }
    }

    /// By the clock of this rank.
    pub(crate) fn is_late(&self) -> bool {
        is_late(self.every.minutes, self.since.elapsed())
    }

    /// Takes down where the training stands: as a checkpoint if it is due, and as the best epoch if it is that.
    pub(crate) fn save(
        &mut self,
        learner: &Learner,
        position: &Position,
        is_due: bool,
        is_best: bool,
    ) -> Result<()> {
        self.wait()?;
        let new = if is_due { self.shelf.add(position, self.every.keep) } else { None };
        if is_due {
            self.since = Instant::now();
        }
        let Some(store) = self.store.clone() else { return Ok(()) };
        // A checkpoint tells which epoch was the best: that is to be there by then.
        let best = is_best.then(|| self.best.clone());
        let (last, gone) = new.unzip();
        let keys: Vec<String> = best.into_iter().chain(last).collect();
        let Some(first) = keys.first().cloned() else { return Ok(()) };
        let (state, position) = (learner.snapshot()?, position.clone());
        let put = move || {
            let bytes = Bytes::from(checkpoint::bytes(&first, &state, &position)?);
            drop(state);
            for key in &keys {
                store.put(key, bytes.clone()).map_err(|error| error.at(format!("the checkpoint {key}")))?;
            }
            for key in gone.into_iter().flatten() {
                if let Err(error) = store.delete(&key) {
                    tracing::warn!("{key}, which nobody needs any more, is left lying: {error}");
                }
            }
            Ok(())
        };
        let spawned = Builder::new().name("checkpoint".into()).spawn(put);
        let failed = |error| TrainError::new(Kind::Capacity, format!("starting a thread: {error}"));
        self.under_way = Some(spawned.map_err(failed)?);
        Ok(())
    }

    /// Until all is written.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let Some(under_way) = self.under_way.take() else { return Ok(()) };
        let panicked = |_| TrainError::new(Kind::Internal, "the thread that writes checkpoints has panicked");
        under_way.join().map_err(panicked)?
    }

    /// Where the training can't go on: says what it would go on from.
    pub(crate) fn after(&mut self, error: TrainError) -> TrainError {
        match (self.wait(), self.shelf.newest()) {
            (Err(of_writing), _) => error.and(of_writing),
            (Ok(()), Some(last)) => error.and(format!("the last checkpoint, {last}, stays as it is")),
            (Ok(()), None) => error.and("there is no checkpoint yet"),
        }
    }
}

/// Nobody writes any more once the training is over, whatever has ended it.
impl Drop for Saver {
    fn drop(&mut self) {
        if let Err(error) = self.wait() {
            tracing::warn!("{error}");
        }
    }
}

fn is_late(minutes: Option<u32>, passed: Duration) -> bool {
    minutes.is_some_and(|minutes| passed >= Duration::from_secs(60) * minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_pass_by_the_clock() {
        let seconds = Duration::from_secs;
        assert!(!is_late(None, seconds(1 << 40)));
        assert!(!is_late(Some(10), seconds(599)) && is_late(Some(10), seconds(600)));
        assert!(!is_late(Some(100_000), seconds(5_999_999)) && is_late(Some(100_000), seconds(6_000_000)));
    }
}
