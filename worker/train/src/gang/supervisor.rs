//! Keeps the ranks of a gang on this machine: when one dies or falls silent, all are ended, and the next generation
//! goes on from the last checkpoint. Nothing is mended in place.

use std::{path::Path, process::Command, thread, time::Duration};

use tokio_util::sync::CancellationToken;

use super::generation::{Ended, Generation};
use crate::{Outcome, Progress, Result, TrainError, error::Kind};

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
    command
}

/// Generations in a row that came no further than those before them, after which the fault is not a machine's mood.
const HOPELESS: u32 = 3;
/// A store or a machine in trouble is given some time.
const PAUSE: Duration = Duration::from_millis(500);

/// Trains on all of them, to the end or until `stop` is cancelled, which they hear as SIGTERM.
pub fn supervise(
    ranks: &Ranks<'_>,
    progress: &mut dyn FnMut(Progress),
    stop: &CancellationToken,
) -> Result<Outcome> {
    // Epoch, phase and step: what is done again is not further.
    let (mut hopeless, mut furthest) = (0, (0, false, 0));
    loop {
        let (mut generation, before) = (Generation::new(ranks), furthest);
        let mut tell = |now: Progress| {
            furthest = furthest.max((now.epoch, now.validates, now.step));
            progress(now);
        };
        let ended = generation.run(&mut tell, stop);
        drop(generation);
        let why = match ended? {
            Ended::Outcome(outcome) => return Ok(outcome),
            Ended::Lost(_) if stop.is_cancelled() => return Ok(Outcome::Interrupted),
            Ended::Lost(why) => why,
        };
        hopeless = if furthest > before { 0 } else { hopeless + 1 };
        if hopeless == HOPELESS {
            let text = format!("{HOPELESS} times in a row the ranks came no further; the last time {why}");
            return Err(TrainError::new(Kind::Internal, text));
        }
        tracing::warn!(ranks = ranks.n, "{why}; all ranks are started again, from the last checkpoint");
        thread::sleep(PAUSE);
    }
}
