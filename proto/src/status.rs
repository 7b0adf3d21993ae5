//! `status.json`: how a run stands, written by the coordinator every few seconds for anyone who
//! can read the root.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap as _};

use crate::{
    ids::RunId,
    item::{Place, Stage},
    learn::Training,
    outcome::Failure,
    phases::{Bottleneck, PhaseSeconds},
};

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

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StageCount {
    /// Items known so far; final once all scenes are surveyed.
    pub items: u64,
    pub done: u64,
    pub buried: u64,
    /// Seconds in which items of this stage were out with workers, and how many were made in them (the
    /// others were there already).
    #[serde(default)]
    pub seconds: f64,
    #[serde(default)]
    pub made: u64,
    /// From claim to finish of an item, where the latest count most; none before one has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item_seconds: Option<f64>,
}

/// Where a run stands among others that want the same workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rank {
    /// A higher one comes first.
    pub priority: i32,
    /// What it gets beside others of its priority.
    pub share: u32,
}

impl Default for Rank {
    fn default() -> Self {
        Self { priority: 0, share: 1 }
    }
}

/// What a run asks of the workers of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ask {
    /// Items published: in the queue, or in the hands of workers.
    pub out: u64,
    pub held: u64,
    /// Items that it could publish at once.
    pub more: u64,
    /// From claim to finish, of items like those it would publish; none before one has ended.
    pub seconds: Option<f64>,
    /// Of those it would publish, or else of those at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
}

/// Time of rented machines, as much of it as was this run's: what it costs is for a table of prices to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rented {
    /// `g5.xlarge`
    pub kind: String,
    pub is_spot: bool,
    /// At work at that time.
    #[serde(default)]
    pub stage: Option<Stage>,
    /// Of machines, whatever number of workers they had.
    pub seconds: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    pub run: RunId,
    pub state: RunState,
    #[serde(default)]
    pub rank: Rank,
    /// By the lane's name: what coordinators that share a fleet tell each other.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub asks: BTreeMap<String, Ask>,
    /// RFC 3339.
    pub written: String,
    pub started: String,
    /// By the stage's name, written in the order of work. All stages of the run, those too whose items
    /// are not known yet.
    #[serde(serialize_with = "in_order_of_work")]
    pub stages: BTreeMap<String, StageCount>,
    /// The stage at work: the first that has items out.
    #[serde(default)]
    pub at_work: Option<Stage>,
    /// Items in the hands of workers.
    #[serde(default)]
    pub held: u64,
    pub pixels_done: u64,
    pub pixels: u64,
    /// Of the stage at work.
    pub items_per_second: f64,
    #[serde(default)]
    pub pixels_per_second: f64,
    /// To the end of the stage at work.
    pub eta_seconds: Option<f64>,
    /// How far the training has come; how far it came, once it is over.
    #[serde(default)]
    pub training: Option<Training>,
    /// Key of what each epoch came to.
    #[serde(default)]
    pub training_log: Option<String>,
    /// The first failure of each kind, and how many there are in all.
    pub failures: Vec<FailedItem>,
    pub n_failures: u64,
    /// Items that the run is to do without, by command: not among the failures.
    #[serde(default)]
    pub n_dropped: u64,
    /// Scenes whose header could not be read.
    pub unreadable_scenes: Vec<String>,
    /// Empty where all workers were on machines of one's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rented: Vec<Rented>,
    /// What workers were busy with where they predict, so far as they tell; and what of it holds the others back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phases: Option<PhaseSeconds>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bottleneck: Option<Bottleneck>,
    /// On the ground, of all pixels to predict; none where a scene does not say where it lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub square_km: Option<f64>,
    pub message: Option<String>,
}

impl RunStatus {
    /// The stages of the run, in the order of work.
    pub fn in_order(&self) -> impl Iterator<Item = (Stage, &StageCount)> {
        Stage::ALL.into_iter().filter_map(|stage| Some((stage, self.stages.get(stage.name())?)))
    }
}

fn in_order_of_work<S: Serializer>(
    stages: &BTreeMap<String, StageCount>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(stages.len()))?;
    for stage in Stage::ALL {
        if let Some(count) = stages.get(stage.name()) {
            map.serialize_entry(stage.name(), count)?;
        }
    }
    // What a newer program has written stays.
    for (name, count) in stages.iter().filter(|(name, _)| name.parse::<Stage>().is_err()) {
        map.serialize_entry(name, count)?;
    }
    map.end()
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedItem {
    pub place: Place,
    pub attempts: u32,
    pub failure: Failure,
    /// How many failed like it: of the same scene and class, and with the same cause.
    #[serde(default = "one")]
    pub items: u64,
}

const fn one() -> u64 {
    1
}
