//! Keeps the ranks of a gang on this machine: when one dies or falls silent, all are ended, and the next generation
//! goes on from the last checkpoint. Nothing is mended in place.

use std::{path::Path, process::Command, thread, time::Duration};

use tokio_util::sync::CancellationToken;

use super::generation::{Ended, Generation, Loss, Order, Seats};
use crate::{Kind, Outcome, Progress, Result, TrainError};

/// What to start.
pub struct Ranks<'a> {
    /// A process that calls [`super::work`] with what its environment says.
    pub command: &'a dyn Fn() -> Command,
    pub n: u32,
}

/// A rank of `swath train`, which is told by a file what to train.
pub fn rank_command(program: &Path, file: &Path, threads: u32, root: &str) -> Command {
    let mut command = Command::new(program);
    command.arg("train").arg(file).args(["--threads", &threads.to_string()]).env("SWATH_ROOT", root);
    // Whoever starts it hears of that.
    command.args(["--spot-notices", "never"]);
    command
}

/// A store or a machine in trouble is given some time.
const PAUSE: Duration = Duration::from_millis(500);

/// Trains on all of them, to the end or until `stop` is cancelled, which they hear as SIGTERM.
pub fn supervise(
    ranks: &Ranks<'_>,
    progress: &mut dyn FnMut(Progress),
    stop: &CancellationToken,
) -> Result<Outcome> {
    let mut hope = Hope::default();
    let order = || if stop.is_cancelled() { Order::Stop } else { Order::GoOn };
    loop {
        let mut generation = Generation::new(ranks, Seats::alone(ranks.n));
        let mut tell = |now: Progress| {
            hope.hear(&now);
            progress(now);
        };
        let ended = generation.run(&mut tell, &|_| {}, &order);
        drop(generation);
        let loss = match ended? {
            Ended::Outcome(outcome) => return Ok(outcome),
            Ended::Lost(_) if stop.is_cancelled() => return Ok(Outcome::Interrupted),
            Ended::Lost(loss) => loss,
        };
        hope.lose(&loss)?;
        tracing::warn!(
            ranks = ranks.n,
            "{}; all ranks are started again, from the last checkpoint",
            loss.why
        );
        thread::sleep(PAUSE);
    }
}

/// Whether it is worth to go on: when generations in a row came no further than those before them, the fault is not a
/// machine's mood.
#[derive(Default)]
pub(super) struct Hope {
    lost: u32,
    weight: u32,
    /// Epoch, phase and step: what is done again is not further.
    furthest: (u32, bool, u64),
    before: (u32, bool, u64),
}

/// What was lost by others weighs half: whoever has the fault gives up first, and the others go on without it.
const HOPELESS: u32 = 6;

impl Hope {
    pub(super) fn hear(&mut self, now: &Progress) {
        self.furthest = self.furthest.max((now.epoch, now.validates, now.step));
    }

    /// One more generation is lost.
    pub(super) fn lose(&mut self, loss: &Loss) -> Result<()> {
        if self.furthest > self.before {
            *self = Self { furthest: self.furthest, before: self.furthest, ..Self::default() };
        }
        self.lost += 1;
        self.weight += if loss.is_ours { 2 } else { 1 };
        if self.weight < HOPELESS {
            return Ok(());
        }
        let text =
            format!("{} times in a row the ranks came no further; the last time {}", self.lost, loss.why);
        Err(TrainError::new(Kind::Internal, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_fault_gives_up_before_the_others() {
        let lost = |hope: &mut Hope, is_ours| hope.lose(&Loss { why: "it is gone".into(), is_ours });
        let (mut one, mut other) = (Hope::default(), Hope::default());
        for _ in 0..2 {
            assert!(lost(&mut one, true).is_ok() && lost(&mut other, false).is_ok());
        }
        let text = "3 times in a row the ranks came no further; the last time it is gone";
        assert_eq!(lost(&mut one, true).unwrap_err().to_string(), text);
        assert!((0..3).all(|_| lost(&mut other, false).is_ok()) && lost(&mut other, false).is_err());
    }
}
