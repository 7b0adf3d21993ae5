//! What a job may touch.

use std::{
    collections::HashSet,
    ops::Deref,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::anyhow;
use swath_backends::{
    blobs::SharedBlobs,
    ledger::{Ledger, Release},
    outside::Outside,
};
use swath_proto::{
    ids::{Digest, RunId, WorkerId},
    item::{Item, Place},
    outcome::Failure,
    scene::FileRef,
};
use swath_raster::remote::with_passes;
use tokio::sync::{RwLock, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::{
    device::Device,
    failure::JobError,
    native::{Inside, Suspect},
};

pub struct Context {
    pub blobs: SharedBlobs,
    pub ledger: Arc<dyn Ledger>,
    pub outside: Outside,
    pub me: WorkerId,
    pub device: Device,
    /// Holds model files by their digest.
    pub cache: PathBuf,
    /// Those whose content this process has seen to be what their name says.
    pub cached: Mutex<HashSet<Digest>>,
    pub lease: Duration,
    /// Threads of the engine, for runs that have none pinned yet.
    pub threads: u32,
    /// Whether commands of users' own may be run here.
    pub allow_steps: bool,
    /// No new work.
    pub stop: CancellationToken,
    /// The grace period is over: hand back what is not finished.
    pub abort: CancellationToken,
    /// Items share it; a suspect has it alone, so that a crash blames no neighbour twice.
    pub alone: RwLock<()>,
    /// Threads that read and encode pixels.
    pub native: Semaphore,
    /// What it has in hand. The ledger lets a holder claim again; it must not do the work twice at once.
    pub in_hand: Mutex<HashSet<(RunId, Place)>>,
    /// Why this worker must end: it can't do the work that there is.
    pub unfit: Mutex<Option<anyhow::Error>>,
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
}

impl Claimed {
    /// Gives it up, and books a failure on it.
    pub fn counted(&self, failure: Failure) -> Release {
        Release::Counted { attempt: self.attempt, failure }
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
        Suspect { run: item.run.clone(), place: item.place, worker: self.me.clone(), attempt: item.attempt }
    }

    /// To be called after a file was read: another content would make other bytes under the same id.
    async fn check_unchanged(&self, item: &Item, file: &FileRef) -> Result<(), JobError> {
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
        let _permit = self.native.acquire().await.map_err(JobError::internal)?;
        let suspect = self.suspect(item);
        let files = item.work.files();
        let uris: Vec<&str> = files.iter().map(|file| file.uri.as_str()).collect();
        let outside = self.outside.reached_as(&item.access);
        let passes = outside.passes(uris, &self.blobs.uri("")).await.map_err(JobError::outside)?;
        let done = tokio::task::spawn_blocking(move || {
            let _inside = Inside::enter(&suspect);
            with_passes(passes, work)
        });
        done.await.map_err(JobError::internal)?
    }

    /// Takes an item in hand until what is returned is dropped; none if it is there already.
    pub fn take(&self, item: &Item) -> Option<InHand<'_>> {
        let name = (item.run.clone(), item.place);
        let is_new = self.in_hand.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone());
        is_new.then(|| InHand { all: &self.in_hand, name })
    }

    /// No new work is taken, and the process leaves with this error.
    pub fn declare_unfit(&self, why: anyhow::Error) {
        let mut unfit = self.unfit.lock().unwrap_or_else(PoisonError::into_inner);
        unfit.get_or_insert(why);
        self.stop.cancel();
    }
}
