//! How an item can end other than well. The class of a failure decides what happens next.

use serde::{Deserialize, Serialize};

use crate::{
    geometry::RectPx,
    ids::{SceneId, WorkerId},
    item::Place,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// A server or network fault: try again after a pause.
    Transient,
    /// The worker has to go: hand back, not counted.
    Preempted,
    /// Too little memory or disk: fewer items at a time, or another worker.
    Capacity,
    /// This worker could not do it (no such file here, no permission, a bug): another may.
    Fault,
    /// The input is bad: the same error will come again. Buried with its cause.
    Data,
    /// The set-up is wrong: every item would fail in this way. The run stops.
    Config,
}

/// What went wrong, where, and with which input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    pub class: FailureClass,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scene: Option<SceneId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rect: Option<RectPx>,
    pub worker: WorkerId,
}

/// What a finished item tells the ledger about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Seconds from claim to finish.
    pub seconds: f64,
    /// Pixels of the scene that the item covered.
    pub pixels: u64,
    /// Bytes of output that it wrote.
    pub bytes: u64,
}

/// A buried item: an object under `buried/`, so that losing the ledger loses no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Buried {
    #[serde(rename = "1")]
    V1 { place: Place, attempts: u32, failure: Failure },
}
