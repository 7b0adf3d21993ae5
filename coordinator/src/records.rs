//! What lies under the root about runs.

use std::time::Duration;

use anyhow::Context as _;
use futures::TryStreamExt as _;
use swath_backends::{Kind, blobs::SharedBlobs};
use swath_proto::{ids::RunId, keys, run::RunRecord, status::RunStatus};

/// What `status.json` says of a run.
pub async fn read_status(blobs: &SharedBlobs, run: &RunId) -> anyhow::Result<Option<RunStatus>> {
    match blobs.get(&keys::status(run)).await {
        Ok(json) => Ok(Some(serde_json::from_slice(&json).with_context(|| {
            format!("reading {}: was it written by a newer program? Then update this one", keys::status(run))
        })?)),
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Runs under the root, by name.
pub async fn list(blobs: &SharedBlobs) -> anyhow::Result<Vec<RunId>> {
    let keys: Vec<_> = blobs.list(keys::RUNS).try_collect().await.context("listing runs")?;
    let runs = keys.iter().filter_map(|object| {
        let name = object.key.strip_prefix(keys::RUNS)?.strip_suffix("/run.json")?;
        name.parse().ok()
    });
    Ok(runs.collect())
}

/// A run's record as it stands now, with what has been pinned since it began.
pub async fn read_record(blobs: &SharedBlobs, run: &RunId) -> anyhow::Result<Option<RunRecord>> {
    match blobs.get(&keys::run_record(run)).await {
        Ok(json) => {
            let reading = || format!("reading {}", keys::run_record(run));
            Ok(Some(RunRecord::from_json(&json).with_context(reading)?))
        }
        Err(error) if error.kind == Kind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// It was read, and is not what this program knows: trying again does not help, and other runs are not
/// concerned.
pub fn is_unreadable(error: &anyhow::Error) -> bool {
    !error.chain().any(|cause| cause.is::<swath_backends::Error>())
}

/// Who serves a run holds this in the ledger.
pub fn office(run: &RunId) -> String {
    format!("run/{run}")
}

/// Since a coordinator has last written down how the run stands, by this machine's clock.
pub fn silent_for(status: &RunStatus) -> Option<Duration> {
    let written: jiff::Timestamp = status.written.parse().ok()?;
    jiff::Timestamp::now().duration_since(written).try_into().ok()
}
