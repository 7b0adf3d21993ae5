//! How far the run's training has come: its worker tells under the root, since the two never talk.

use std::collections::HashSet;

use swath_backends::{Kind, blobs::SharedBlobs};
use swath_proto::{
    ids::ItemId,
    item::{Place, Stage},
    keys,
    learn::{TrainProgress, Training},
};

use crate::board::Publish;

#[derive(Default)]
pub(crate) struct Watched {
    /// Under which it tells; every coordinator publishes the item again, so every one knows.
    id: Option<ItemId>,
    latest: Option<Training>,
}

impl Watched {
    /// What another coordinator has seen.
    pub(crate) fn go_on(&mut self, latest: Option<Training>) {
        self.latest = latest;
    }

    /// The training is this one, whoever has done it.
    pub(crate) fn is(&mut self, id: ItemId) {
        self.id = Some(id);
    }

    pub(crate) fn log(&self) -> Option<String> {
        self.id.as_ref().map(keys::training_log)
    }

    pub(crate) fn published(&mut self, batch: &[Publish]) {
        let train = batch.iter().find(|publish| publish.item.place.stage == Stage::Train);
        self.id = train.map(|publish| publish.item.id).or(self.id);
    }

    /// Reads what its worker tells. Numbers for people: what can't be read is told the next time.
    pub(crate) async fn look(&mut self, held: &HashSet<Place>, blobs: &SharedBlobs) {
        let is_held = held.iter().any(|place| place.stage == Stage::Train);
        let Some(id) = self.id.filter(|_| is_held) else {
            // What its last worker has told holds no longer.
            if let Some(latest) = &mut self.latest {
                latest.eta_seconds = None;
            }
            return;
        };
        match blobs.get(&keys::training_progress(&id)).await {
            Ok(json) => match serde_json::from_slice(&json) {
                Ok(TrainProgress::V1(training)) => self.latest = Some(training),
                Err(error) => tracing::debug!(%error, "what the training tells can't be read"),
            },
            Err(error) if error.kind == Kind::NotFound => {}
            Err(error) => tracing::debug!(error = error.doing, "what the training tells can't be had"),
        }
    }

    pub(crate) fn latest(&self) -> Option<&Training> {
        self.latest.as_ref()
    }
}
