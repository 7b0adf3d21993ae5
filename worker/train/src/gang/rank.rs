//! The work of one rank.

use std::{
    io::Write,
    path::PathBuf,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use swath_model::{Carrier, Patience, Place, SumsBy};
use swath_proto::{item::DeviceName, train::TrainFile};
use tokio_util::sync::CancellationToken;

use super::{
    file::{put_init, shards},
    seat::Seat,
    words::{Voice, Word},
};
use crate::{
    CHIP_CACHE, Job, LOADERS, Machine, Outcome, Result, TrainError, starter::end_with_starter, store::Store,
};

/// What this process is to do, and with what.
pub struct Rank {
    pub file: TrainFile,
    pub seat: Seat,
    pub store: Store,
    /// Of the engine.
    pub threads: u32,
    /// On what it computes: of cards, that of its seat.
    pub device: DeviceName,
    /// What gradients are summed by, where somebody says; all ranks must take the same.
    pub sums_by: Option<SumsBy>,
    /// Where encoders and chips that were fetched are kept.
    pub cache: PathBuf,
}

/// How long a rank waits for the others: the first one may fetch an encoder, or write a checkpoint to a slow store.
/// That one has died or stands still is told sooner, by its supervisor.
const PATIENCE: Patience = Patience(Duration::from_secs(600));
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// For whoever is told to stop while it still waits for the others, which libraries do not interrupt.
const STOPS_AFTER: u32 = 3;

/// Trains as one rank, and tells of it; what comes of it is the last that it says. In a process of its own that has
/// called `swath_model::init_process`: it ends that if it is told to stop before it has met the others.
pub fn work(rank: Rank, out: impl Write + Send, stop: &CancellationToken) -> Result<Outcome> {
    end_with_starter(libc::SIGKILL);
    let (voice, has_met) = (Voice::new(out), AtomicBool::new(false));
    let outcome = thread::scope(|scope| {
        let (over, is_over) = mpsc::channel::<()>();
        let (alive, voice, has_met) = (&voice, &voice, &has_met);
        let speak = move || {
            let mut stopped = 0;
            loop {
                stopped += u32::from(stop.is_cancelled() && !has_met.load(Ordering::Acquire));
                if stopped > STOPS_AFTER {
                    alive.say(&Word::Ended(Outcome::Interrupted));
                    leave(INTERRUPTED);
                }
                if !alive.say(&Word::Alive) {
                    // Nobody is left who would start it again, or wants what it makes.
                    stop.cancel();
                }
                // Until the sender is gone.
                if is_over.recv_timeout(ALIVE_EVERY) != Err(mpsc::RecvTimeoutError::Timeout) {
                    break;
                }
            }
        };
        thread::Builder::new().spawn_scoped(scope, speak).map_err(|error| TrainError::no_thread(&error))?;
        let outcome = learn(rank, voice, has_met, stop);
        drop(over);
        outcome
    });
    voice.say(&match &outcome {
        Ok(outcome) => Word::Ended(outcome.clone()),
        Err(error) => error.into(),
    });
    outcome
}

/// For a process that can't even begin: what it would have said at its end.
pub fn say_failed(out: impl Write, error: &TrainError) {
    Voice::new(out).say(&error.into());
}

/// As shells say it of Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Ends the process at once: libraries would wait for ranks that are gone.
pub fn leave(code: i32) -> ! {
    // SAFETY: ends the process; all that was said is written, and all else is made for sudden ends.
    unsafe { libc::_exit(code) }
}

fn learn(
    rank: Rank,
    voice: &Voice<impl Write>,
    has_met: &AtomicBool,
    stop: &CancellationToken,
) -> Result<Outcome> {
    let Rank { file, seat, store, threads, device, sums_by, cache } = rank;
    let place = match device {
        DeviceName::Cpu => Place::Processor,
        DeviceName::Cuda => Place::Card(seat.card),
    };
    // What this machine lacks, it says before others wait for it.
    let carrier = Carrier::choose(sums_by, place, seat.size)?;
    let (train, validation) = shards(&file.shards, &store)?;
    if seat.rank == 0 {
        put_init(&file, &store)?;
    }
    let gang = seat.take(PATIENCE, &carrier, |port| {
        voice.say(&Word::Opened(port));
    })?;
    has_met.store(true, Ordering::Release);
    let machine = Machine { threads, place, loaders: LOADERS, cache, chip_cache: CHIP_CACHE, mirror: None };
    let TrainFile { output, coming, train: spec, .. } = file;
    let job = Job { spec, train, validation, coming, store, output, machine };
    let mut tell = |progress| {
        voice.say(&Word::Progress(progress));
    };
    crate::train(&job, gang, &mut tell, stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_not_begin_says_so_as_who_has_failed() {
        let mut said = Vec::new();
        say_failed(&mut said, &TrainError::config("opening s3://none: no such bucket"));
        let wanted = r#"{"failed":{"kind":"config","text":"opening s3://none: no such bucket"}}"#;
        assert_eq!(String::from_utf8(said).unwrap(), format!("{wanted}\n"));
    }
}
