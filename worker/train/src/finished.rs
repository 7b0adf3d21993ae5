//! What a training has come to: its weights, and beside them so much that whoever asks for it again is told at once.

use serde::{Deserialize, Serialize};
use swath_model::{Gang, Learner};
use swath_proto::{ids::Digest, train::Keep};

use crate::{
    checkpoint::{self, Best, Position},
    error::{Result, TrainError},
    shelf::{BEST, CHECKPOINTS, best_key},
    store::Store,
    train::{Job, Outcome, Run},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    /// Key of the weights, which a predictor loads.
    pub weights: String,
    pub sha256: Digest,
    /// The epoch that they are of, from 1.
    pub epoch: u32,
    pub best: Option<Best>,
}

const WEIGHTS: &str = "weights.safetensors";
const FINISHED: &str = "finished.json";
/// What the names begin with, under the training's output, of all that nothing names any more once the weights are
/// elsewhere.
pub const PASSING: [&str; 4] = [CHECKPOINTS, BEST, WEIGHTS, FINISHED];

#[derive(Serialize, Deserialize)]
struct Document {
    training: Digest,
    finished: Finished,
}

impl Run<'_> {
    /// What came of it, if it was over before: the first rank looks.
    pub(crate) fn finished_before(&self, gang: &Gang) -> Result<Option<Outcome>> {
        let look = || read(&self.job.store, &self.key(FINISHED), self.digest);
        let found = if gang.leads() { look()? } else { None };
        let mut is_over = [f64::from(u8::from(found.is_some()))];
        gang.sum(&mut is_over)?;
        let helped = || (is_over[0] > 0.0).then_some(Outcome::Helped);
        Ok(found.map(Outcome::AlreadyFinished).or_else(helped))
    }

    /// Writes down the weights of the last epoch, or of the best.
    pub(crate) fn finish(&self, mut learner: Learner, position: &Position) -> Result<Finished> {
        let Job { spec, store, output, .. } = self.job;
        let (mut epoch, key) = (position.epoch, self.key(WEIGHTS));
        if let (Keep::Best, Some(best)) = (spec.keep, position.best) {
            let kept = best_key(output, best.epoch);
            let gone = || {
                TrainError::data(format!("{kept} is gone: the weights of epoch {} were there", best.epoch))
            };
            let bytes = store.get(&kept)?.ok_or_else(gone)?;
            let damaged = |what| TrainError::data(format!("{kept} is damaged: {what}"));
            let read = checkpoint::read(&kept, bytes.into()).map_err(damaged)?.of(self.digest)?;
            let found = read.position.epoch;
            if found != best.epoch {
                return Err(damaged(format!("the weights in it are of epoch {found}")));
            }
            read.restore(&mut learner)?;
            epoch = best.epoch;
        }
        learner.take_average()?;
        let network = serde_json::json!({
            "architecture": spec.architecture, "bands": spec.bands, "classes": spec.classes,
            "normalize": spec.normalize, "epoch": epoch,
        });
        let metadata = [("network", network.to_string())];
        let bytes = checkpoint::weights(&key, &learner, metadata)?;
        let sha256 = Digest::of(&bytes);
        store.put(&key, bytes)?;
        let finished = Finished { weights: key, sha256, epoch, best: position.best };
        write(store, &self.key(FINISHED), self.digest, &finished)?;
        Ok(finished)
    }
}

/// Once the weights are there.
fn write(store: &Store, key: &str, training: Digest, finished: &Finished) -> Result<()> {
    let document = Document { training, finished: finished.clone() };
    let json = serde_json::to_vec_pretty(&document)
        .map_err(|error| TrainError::data(format!("{key} can't be written: {error}")))?;
    store.put(key, json)
}

/// What this very training has come to before, if its weights are still as they were.
fn read(store: &Store, key: &str, training: Digest) -> Result<Option<Finished>> {
    let Some(json) = store.get(key)? else { return Ok(None) };
    let document: Document = serde_json::from_slice(&json)
        .map_err(|error| TrainError::data(format!("{key} is damaged: {error}; delete it to go on")))?;
    let finished = document.finished;
    if document.training != training {
        return Ok(None);
    }
    let weights = store.get(&finished.weights)?;
    let is_whole = weights.is_some_and(|bytes| Digest::of(&bytes) == finished.sha256);
    Ok(is_whole.then_some(finished))
}
