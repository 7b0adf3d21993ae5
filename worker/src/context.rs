//! What a job may touch.

use std::{
    collections::HashSet,
    ops::Deref,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::anyhow;
use swath_backends::{
    blobs::SharedBlobs,
    ledger::{Ledger, Release},
    outside::Outside,
};
use swath_proto::{
    ids::{Digest, RunId, WorkerId},
    item::{Item, Place, Stage},
    outcome::Failure,
    scene::FileRef,
};
use swath_raster::remote::with_passes;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    crowd::Crowd,
    device::Device,
    failure::JobError,
    holds::Holds,
    idle::Idle,
    limits,
    native::{Inside, Suspect},
    phases::Phases,
    presence::Presence,
    streak::Streak,
    tail::Tail,
};

pub struct Context {
    pub blobs: SharedBlobs,
    pub ledger: Arc<dyn Ledger>,
    pub outside: Outside,
    pub me: WorkerId,
    pub device: Device,
    pub phases: Arc<Phases>,
    /// Holds model files by their digest.
    pub cache: PathBuf,
    /// Those whose content this process has seen to be what their name says.
    pub cached: Mutex<HashSet<Digest>>,
    pub lease: Duration,
    /// Threads of the engine, for runs that have none pinned yet.
    pub threads: u32,
    /// How trainings are shared between processes; alone in this one without.
    pub ranks: Option<RankProcesses>,
    /// Whether commands of users' own may be run here.
    pub allow_steps: bool,
    /// No new work.
    pub stop: CancellationToken,
    /// The grace period is over: hand back what is not finished.
    pub abort: CancellationToken,
    pub crowd: Crowd,
    /// How long an ordinary item may be inside native code.
    pub item_limit: Duration,
    pub streak: Mutex<Streak>,
    /// Threads that read and encode pixels.
    pub native: Semaphore,
    /// Trainings that may be here before their chips are.
    pub early: Semaphore,
    /// What it has in hand. The ledger lets a holder claim again; it must not do the work twice at once.
    pub in_hand: Mutex<HashSet<(RunId, Place)>>,
    /// What its claims hold, extended together.
    pub holds: Holds,
    pub idle: Idle,
    pub presence: Presence,
    /// Why this worker must end: it can't do the work that there is.
    pub unfit: Mutex<Option<anyhow::Error>>,
}

/// Processes that train together, each a rank.
#[derive(Clone, Debug)]
pub struct RankProcesses {
    pub n: u32,
    /// Which has `swath train`.
    pub program: PathBuf,
    /// The URL of the root, which each of them opens for itself.
    pub root: String,
}

/// See [`Context::take`].
pub struct InHand<'a> {
    all: &'a Mutex<HashSet<(RunId, Place)>>,
    name: (RunId, Place),
}

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

/// An item in this worker's hands.
pub struct Claimed {
    pub item: Item,
    /// Counts its claims, this one included.
    pub attempt: u32,
    /// Of the attempts before this one.
    pub failures: u32,
    /// Another worker holds it and is late: this one has nothing to tell but that it is done.
    pub beside: bool,
}

/// Workers that have died with an item and left no trace, after which it works alone.
const ALONE_AFTER: u32 = 2;

impl Claimed {
    /// Gives it up, and books a failure on it.
    pub fn counted(&self, failure: Failure) -> Release {
        Release::Counted { attempt: self.attempt, failure }
    }

    /// Attempts before this one that ended without a word: their workers died, and their supervisors too.
    pub const fn traceless(&self) -> u32 {
        self.attempt.saturating_sub(1).saturating_sub(self.failures)
    }

    /// It may be what ends its workers.
    pub const fn is_suspect(&self) -> bool {
        self.failures > 0 || self.traceless() >= ALONE_AFTER
    }

    /// Workers that may die with it before it is buried, though nobody saw it fail. Machines do die, and
    /// the longer an item takes, the more of them die with it.
    pub const fn max_traceless(&self) -> u32 {
        match self.item.place.stage {
            // Days of work, of which every attempt does a part.
            Stage::Train => self.item.max_failures.saturating_mul(10),
            _ => self.item.max_failures.saturating_mul(2),
        }
    }

    /// One more failure buries it.
    pub fn is_last_try(&self) -> bool {
        self.failures + 1 >= self.item.max_failures
    }
}

impl Deref for Claimed {
    type Target = Item;

    fn deref(&self) -> &Item {
        &self.item
    }
}

impl Context {
    pub fn suspect(&self, item: &Claimed) -> Suspect {
        Suspect {
            run: item.run.clone(),
            place: item.place,
            worker: self.me.clone(),
            attempt: item.attempt,
            max_failures: item.max_failures,
            scene: item.work.scene().cloned(),
            rect: item.work.rect(),
            log: Tail::current().lines(),
            limit: limits::inside(item.place.stage, self.item_limit),
        }
    }

    /// To be called after a file was read: another content would make other bytes under the same id.
    async fn check_unchanged(&self, item: &Item, file: &FileRef) -> Result<(), JobError> {
        // Nobody has looked in which state it was when the run began.
        if file.tag.is_empty() {
            return Ok(());
        }
        let found = match self.outside.reached_as(&item.access).tag(&file.uri).await {
            Ok(found) => found,
            // What may not be looked at could be read all the same.
            Err(error) if error.kind == swath_backends::Kind::Refused => return Ok(()),
            Err(error) => return Err(JobError::outside(error)),
        };
        if found.as_deref() == Some(file.tag.as_str()) {
            return Ok(());
        }
        let what = if found.is_some() { "has changed" } else { "has gone" };
        Err(JobError::data(anyhow!(
            "{} {what} since the run began: put it back, or begin a new run with what is there now",
            file.uri
        )))
    }

    pub async fn check_all_unchanged(&self, item: &Item, files: &[FileRef]) -> Result<(), JobError> {
        for file in files {
            self.check_unchanged(item, file).await?;
        }
        Ok(())
    }

    /// Runs native code for an item on a thread of its own, marked so that a crash finds its culprit.
    pub async fn native<T: Send + 'static>(
        &self,
        item: &Claimed,
        work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
    ) -> Result<T, JobError> {
        let asked = Instant::now();
        // A training goes on for days, and most of that on threads of its own: nobody is to wait for it.
        let _permit = match item.place.stage {
            Stage::Train => None,
            _ => Some(self.native.acquire().await.map_err(JobError::internal)?),
        };
        self.phases.waited_for_threads(asked.elapsed());
        let (suspect, tail) = (self.suspect(item), Tail::current());
        let files = item.work.files();
        let uris: Vec<&str> = files.iter().map(|file| file.uri.as_str()).collect();
        let outside = self.outside.reached_as(&item.access);
        let passes = outside.passes(uris, &self.blobs.uri("")).await.map_err(JobError::outside)?;
        let done = tokio::task::spawn_blocking(move || {
            let _inside = Inside::enter(&suspect);
            tail.within(|| logged("native work", || with_passes(passes, work)))
        });
        done.await.map_err(JobError::internal)?
    }

    /// Takes an item in hand until what is returned is dropped; none if it is there already.
    pub fn take(&self, item: &Item) -> Option<InHand<'_>> {
        let name = (item.run.clone(), item.place);
        let is_new = self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        is_new.then(|| InHand { all: &self.in_hand, name })
    }

    /// An item was seen through here.
    pub fn succeeded(&self) {
        self.presence.done.fetch_add(1, Ordering::AcqRel);
        self.streak.lock().unwrap_or_else(PoisonError::into_inner).succeeded();
    }

    /// An item has failed here, and it may have been this worker's fault.
    pub fn failed(&self, item: &Item, failure: &Failure) {
        let mut streak = self.streak.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = streak.failed(&item.run, item.place, failure.class) {
            self.declare_unfit(anyhow!(
                "{n} different items have failed here in a row, and none was finished: this worker or its machine is \
                 not fit for them. The last one was {} of run {}: {}",
                item.place,
                item.run,
                failure.message
            ));
        }
    }

    /// No new work is taken, and the process leaves with this error.
    pub fn declare_unfit(&self, why: anyhow::Error) {
        let mut unfit = self.unfit.lock().unwrap_or_else(PoisonError::into_inner);
        unfit.get_or_insert(why);
        self.stop.cancel();
    }
}

/// Tells how long it took.
pub fn logged<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = work();
    tracing::debug!(ms = started.elapsed().as_millis() as u64, "{what} has ended");
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use swath_proto::item::{Noop, Work};

    fn claimed(attempt: u32, failures: u32) -> Claimed {
        let work = Work::Noop(Noop { nonce: 1 });
        let item = Item::new("r".parse().unwrap(), Place::new(Stage::Noop, 0, 0), 5, work);
        Claimed { item, attempt, failures, beside: false }
    }

    #[test]
    fn whoever_has_died_with_an_item_and_left_no_trace_is_counted() {
        assert_eq!(claimed(1, 0).traceless(), 0);
        // Two failed and said so, one was never heard of again.
        assert_eq!(claimed(4, 2).traceless(), 1);
        assert!(!claimed(2, 0).is_suspect());
        assert!(claimed(3, 0).is_suspect() && claimed(2, 1).is_suspect());
    }
}
