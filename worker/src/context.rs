//! What a job may touch.

use std::{path::PathBuf, sync::Arc, time::Duration};

use swath_backends::{blobs::SharedBlobs, ledger::Ledger};
use swath_proto::{ids::WorkerId, item::Item};
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
    pub me: WorkerId,
    pub device: Device,
    /// Holds model files by their digest.
    pub cache: PathBuf,
    pub lease: Duration,
    /// Threads of the engine, for runs that have none pinned yet.
    pub threads: u32,
    /// No new work.
    pub stop: CancellationToken,
    /// The grace period is over: hand back what is not finished.
    pub abort: CancellationToken,
    /// Items share it; a suspect has it alone, so that a crash blames no neighbour twice.
    pub alone: RwLock<()>,
    /// Threads that read and encode pixels.
    pub native: Semaphore,
    /// Why this worker must end: it can't do the work that there is.
    pub unfit: std::sync::Mutex<Option<String>>,
}

impl Context {
    pub fn suspect(&self, item: &Item) -> Suspect {
        Suspect { run: item.run.clone(), place: item.place, worker: self.me.clone() }
    }

    /// Runs native code for an item on a thread of its own, marked so that a crash finds its culprit.
    pub async fn native<T: Send + 'static>(
        &self,
        item: &Item,
        work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
    ) -> Result<T, JobError> {
        let _permit = self.native.acquire().await.map_err(JobError::internal)?;
        let suspect = self.suspect(item);
        let done = tokio::task::spawn_blocking(move || {
            let _inside = Inside::enter(&suspect);
            work()
        });
        done.await.map_err(JobError::internal)?
    }

    pub fn declare_unfit(&self, why: String) {
        let mut unfit = self.unfit.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        unfit.get_or_insert(why);
        self.stop.cancel();
    }
}
