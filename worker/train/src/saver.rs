//! Writes checkpoints beside the steps: the thread that trains copies the state, another one hashes it and puts it into
//! the store. One is on its way at most; what goes wrong with it is made up for or told at the next, or told
//! at the end.

use std::{
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;
use swath_model::{Gang, Learner};
use swath_proto::train::Checkpoint;

use crate::{
    checkpoint::{self, Position},
    error::{Kind, Result, TrainError},
    shelf::{Name, Shelf},
    store::Store,
};

pub(crate) struct Saver {
    /// Of the first rank alone: its state is that of all.
    store: Option<Store>,
    /// Empty on all others.
    shelf: Shelf,
    every: Checkpoint,
    /// When the last was written, or the training began.
    since: Instant,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    thread: JoinHandle<std::result::Result<(), Missed>>,
    /// As it stays if this fails.
    shelf: Shelf,
    /// What the one before it has failed with.
    former: Option<TrainError>,
}

/// What is not written.
struct Missed {
    error: TrainError,
    /// The best epoch that was to be: those after it can't make up for that.
    best: Option<(String, Bytes)>,
}

impl Saver {
    pub(crate) fn new(store: Option<Store>, shelf: Shelf, every: Checkpoint) -> Self {
        Self { store, shelf, every, since: Instant::now(), under_way: None }
    }

    /// By the clock of this rank.
    pub(crate) fn is_late(&self) -> bool {
        is_late(self.every.minutes, self.since.elapsed())
    }

    /// Takes down where the training stands: as a checkpoint if it is due, and as the best epoch if it is that. Where a
    /// store in trouble did not take the last one, this one is due in its place.
    pub(crate) fn save(
        &mut self,
        learner: &Learner,
        position: &Position,
        is_due: bool,
        is_best: bool,
    ) -> Result<()> {
        let missed = self.settle()?;
        let is_due = is_due || missed.is_some();
        if is_due {
            self.since = Instant::now();
        }
        let Some(store) = self.store.clone() else { return Ok(()) };
        let best = is_best.then(|| self.shelf.add_best(position.epoch));
        let shelf = self.shelf.clone();
        let new = if is_due { self.shelf.add(position, self.every.keep) } else { None };
        let (last, gone) = new.unzip();
        let Some(first) = best.clone().or_else(|| last.clone()) else { return Ok(()) };
        let (state, position) = (learner.snapshot()?, position.clone());
        let (former, missed) = missed.map(|missed| (missed.error, missed.best)).unzip();
        let put = move || -> std::result::Result<(), Missed> {
            let bytes = match checkpoint::bytes(&first, &state, &position) {
                Ok(bytes) => Bytes::from(bytes),
                Err(error) => return Err(Missed { error, best: None }),
            };
            drop(state);
            // A checkpoint tells which epoch was the best: that is to be there by then.
            let best = best.map(|key| (key, bytes.clone())).or(missed.flatten());
            for (key, bytes) in best.iter().cloned().chain(last.map(|key| (key, bytes))) {
                store.put(&key, bytes).map_err(|error| {
                    let error = error.at(format!("the checkpoint {key}"));
                    Missed { error, best: best.clone() }
                })?;
            }
            for key in gone.into_iter().flatten() {
                if let Err(error) = store.delete(&key) {
                    tracing::warn!("{key}, which nobody needs any more, is left lying: {error}");
                }
            }
            Ok(())
        };
        let spawned = Builder::new().name("checkpoint".into()).spawn(put);
        let thread = spawned.map_err(|error| TrainError::no_thread(&error))?;
        self.under_way = Some(UnderWay { thread, shelf, former });
        Ok(())
    }

    /// Until all is written.
    pub(crate) fn wait(&mut self) -> Result<()> {
        self.settle()?.map_or(Ok(()), |missed| Err(missed.error))
    }

    /// Until nothing is under way. What another one may make up for is no error yet: twice in a row is.
    fn settle(&mut self) -> Result<Option<Missed>> {
        let Some(UnderWay { thread, shelf, former }) = self.under_way.take() else { return Ok(None) };
        let panicked = |_| {
            let text = "the thread that writes checkpoints has panicked";
            Err(Missed { error: TrainError::new(Kind::Internal, text), best: None })
        };
        let Err(missed) = thread.join().unwrap_or_else(panicked) else {
            if let Some(former) = former {
                tracing::warn!("{former}; a later one is written in its place");
            }
            return Ok(None);
        };
        // What is not there must not push out what is.
        self.shelf = shelf;
        match former {
            Some(former) => Err(former),
            None if missed.error.kind == Kind::Transient => Ok(Some(missed)),
            None => Err(missed.error),
        }
    }

    /// Where the training can't go on: what it would go on from, once that is wholly there. For all ranks at once,
    /// since none may leave before: all others are ended then.
    pub(crate) fn last_word(&mut self, gang: &Gang) -> Result<String> {
        let written = self.wait();
        let newest = self.shelf.newest();
        let [has_failed, is_there] = [written.is_err(), newest.is_some()].map(|is| f64::from(u8::from(is)));
        let Name { epoch, step } = newest.unwrap_or_default();
        // The first rank's numbers; all others add nothing.
        let mut sums = [has_failed, is_there, f64::from(epoch), step as f64];
        gang.sum(&mut sums)?;
        let [has_failed, is_there, epoch, step] = sums;
        let newest = Name { epoch: epoch as u32, step: step as u64 };
        Ok(match written {
            Err(of_writing) => of_writing.to_string(),
            Ok(()) if has_failed > 0.0 => "the first rank could not write its last checkpoint".into(),
            Ok(()) if is_there == 0.0 => "there is no checkpoint yet".into(),
            Ok(()) => format!("the last checkpoint, {}, stays as it is", self.shelf.key(newest)),
        })
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
