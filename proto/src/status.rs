//! `status.json`: how a run stands, written by the coordinator every few seconds for anyone who
//! can read the root.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ids::RunId, item::Place, outcome::Failure};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Scenes are surveyed and the numeric class is found.
    Preparing,
    Running,
    Paused,
    /// All items are done.
    Done,
    /// All items are done or buried.
    DoneWithFailures,
    /// The set-up is wrong: nothing more is published.
    Failed,
    Cancelled,
}

impl RunState {
    /// Nothing more will happen without a command.
    pub const fn is_final(self) -> bool {
        use RunState::*;
        matches!(self, Done | DoneWithFailures | Failed | Cancelled)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageCount {
    /// Items known so far; final once all scenes are surveyed.
    pub items: u64,
    pub done: u64,
    pub buried: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    pub run: RunId,
    pub state: RunState,
    /// RFC 3339.
    pub written: String,
    pub started: String,
    /// By the stage's name, in the order of work.
    pub stages: BTreeMap<String, StageCount>,
    pub pixels_done: u64,
    pub pixels: u64,
    pub items_per_second: f64,
    pub eta_seconds: Option<f64>,
    /// The first failures, and how many there are in all.
    pub failures: Vec<FailedItem>,
    pub n_failures: u64,
    /// Scenes whose header could not be read.
    pub unreadable_scenes: Vec<String>,
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedItem {
    pub place: Place,
    pub attempts: u32,
    pub failure: Failure,
}
