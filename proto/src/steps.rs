//! Commands of the user's own, as a run freezes them.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Digest, SceneId},
    item::Place,
    learn::TrainInputs,
    pipeline::StepFor,
    scene::FileRef,
};

/// One of a run's steps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepPlan {
    pub name: String,
    pub each: StepFor,
    pub inputs: Vec<StepInput>,
    pub command: StepCommand,
}

/// What is run, and what it must leave behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepCommand {
    /// Program and arguments, with `{in:NAME}`, `{out:NAME}`, `{scene}` and the like in them.
    pub command: Vec<String>,
    pub outputs: Vec<String>,
    /// Files that the command names and that lie beside the pipeline file: they are there for it, under these
    /// names.
    pub files: Vec<StepFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepFile {
    pub name: String,
    pub sha256: Digest,
}

/// What a step waits for and is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepInput {
    Image,
    Labels,
    Aoi,
    Prediction,
    Scores,
    Confidence,
    Vectors,
    Eval,
    Bundle,
    Checkpoint,
    /// All shards.
    Chips,
    /// Of an earlier step, by its number.
    Output {
        step: u32,
        name: String,
    },
}

/// What `Step::inputs` names: `runs/<run>/inputs/<digest>.json`. A message names a step; what is run comes
/// from here, under the root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepInputs {
    pub command: StepCommand,
    pub given: Vec<Given>,
}

/// What stands for `{in:NAME}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    pub name: String,
    pub what: GivenFiles,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GivenFiles {
    /// Files where they lie: paths, or `s3://bucket/key`.
    Outside(Vec<FileRef>),
    /// A file under the root.
    One(MadeFile),
    /// Files under the root, one for each scene, in a folder.
    Folder(Vec<MadeFile>),
    /// The shards that these chip items have left, in the folders `train` and `validation`.
    Chips(TrainInputs),
}

/// A file that the run has made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeFile {
    pub key: String,
    /// What it is called for the command.
    pub name: String,
    /// The item that makes it, should it be gone.
    pub producer: Option<Place>,
}

/// Output of a step item: the commit of what the command has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Stepped {
    #[serde(rename = "1")]
    V1 { step: String, scene: Option<SceneId>, outputs: Vec<SteppedFile> },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SteppedFile {
    pub name: String,
    pub key: String,
    pub bytes: u64,
    pub sha256: Digest,
}
