//! What a training has come to, beside its weights: so that whoever asks for it again is told at once.

use serde::{Deserialize, Serialize};
use swath_model::Gang;
use swath_proto::ids::Digest;

use crate::{
    checkpoint::Best,
    error::{Result, TrainError},
    store::Store,
    train::{Outcome, Run},
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

/// Under the training's output.
pub const FINISHED: &str = "finished.json";

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
}

/// Once the weights are there.
pub(crate) fn write(store: &Store, key: &str, training: Digest, finished: &Finished) -> Result<()> {
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
