//! What each kind of item is told.

use serde::{Deserialize, Serialize};

use super::{ClassStyle, Compression, Mixing, ModelRef, Place, WindowShape};
use crate::{
    chips::{ChipEncoding, KeepSpec},
    geometry::{RectPx, SizePx},
    ids::{Digest, ItemId, RunId, SceneId},
    learn::ChipWindows,
    numeric::{ClassId, Int8},
    scene::{SceneFiles, SceneHeader},
    source::{ClassList, LabelSpec, SourceSpec},
    train::TrainSpec,
    vectors::VectorPlan,
};

/// Measures a kind of worker with one model and one window shape. Each run asks anew: its workers may
/// be of another kind than those of the run before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    pub run: RunId,
    pub model: ModelRef,
    pub window: WindowShape,
    pub batch: u32,
    /// Sees whether 8 bits will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int8: Option<Calibrate>,
}

/// Chips to find the network's ranges on, and chips to judge by. Their list lies under the root as that of a training does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibrate {
    /// Says how chips are read.
    pub spec: TrainSpec,
    pub inputs: Digest,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Survey {
    pub scenes: Vec<SceneFiles>,
    /// What labels may name.
    pub classes: ClassList,
}

/// Sums the pixels of a rectangle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Analyze {
    pub scene: SceneHeader,
    pub rect: RectPx,
}

/// A stretch of a scene's windows, cut out with their labels. What is kept of them is a shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chip {
    pub scene: SceneHeader,
    pub labels: LabelSpec,
    /// Numbers of the windows: from this one to below that one.
    pub windows: ChipWindows,
    pub from: u64,
    pub to: u64,
    pub keep: KeepSpec,
    #[serde(default, skip_serializing_if = "ChipEncoding::is_usual")]
    pub encoding: ChipEncoding,
    pub bands: u32,
    pub classes: Vec<ClassStyle>,
    pub null_class: u32,
}

/// Fits a network to shards. Their list lies under the root, since it can be longer than a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    pub spec: TrainSpec,
    pub inputs: Digest,
}

/// One rectangle of one scene through the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predict {
    pub scene: SceneHeader,
    pub rect: RectPx,
    /// Edge of a whole item; it says how many levels of overviews lie within one.
    pub item_px: u32,
    pub model: ModelRef,
    pub window: WindowShape,
    pub batch: u32,
    /// The engine's threads, as the class has them.
    pub threads: u32,
    pub class: ClassId,
    /// Keep quantised scores beside the classes.
    pub scores: bool,
    /// Keep how sure the classes are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confidence: bool,
    #[serde(default, skip_serializing_if = "Mixing::is_plain")]
    pub mixing: Mixing,
    /// Edge of the tiles that the output is cut into.
    pub block_px: u32,
    /// How its tiles are compressed.
    #[serde(default, skip_serializing_if = "Compression::is_default")]
    pub compression: Compression,
    /// The class of pixels that are missing or lie outside the area of interest.
    pub null_class: u32,
    /// What stands in the map for pixels that do not count; the null class where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodata: Option<u8>,
}

/// Joins a scene's predicted rectangles. The list of inputs lies under the root, since it can be
/// longer than a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assemble {
    pub scene: SceneId,
    pub inputs: Digest,
    pub output: String,
    pub scores_output: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence_output: Option<String>,
}

/// What `Assemble::inputs` names: `runs/<run>/inputs/<digest>.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssembleInputs {
    pub scene: SceneHeader,
    pub size: SizePx,
    pub block_px: u32,
    /// How its tiles are compressed.
    #[serde(default, skip_serializing_if = "Compression::is_default")]
    pub compression: Compression,
    pub item_px: u32,
    pub classes: Vec<ClassStyle>,
    /// What stands in the map for pixels that do not count; the null class where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodata: Option<u8>,
    /// In the order of [`Place::index`], which is Z-order over the scene.
    pub parts: Vec<AssemblePart>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssemblePart {
    pub place: Place,
    pub id: ItemId,
    pub rect: RectPx,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eval {
    pub scene: SceneHeader,
    pub labels: LabelSpec,
    /// Key of the assembled class raster.
    pub prediction: String,
    /// The item that makes it, should it be gone.
    pub producer: Place,
    pub classes: Vec<ClassStyle>,
    /// The class of every pixel that no label covers.
    pub null_class: u32,
    /// What stands in the map for pixels that do not count; they are of the null class then, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodata: Option<u8>,
}

/// Traces a scene's prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vectorize {
    pub scene: SceneHeader,
    /// Key of the assembled class raster, and of the scores where there are any.
    pub prediction: String,
    pub scores: Option<String>,
    /// The item that makes them, should they be gone.
    pub producer: Place,
    pub classes: Vec<ClassStyle>,
    pub plan: VectorPlan,
    /// The files' key without their ending.
    pub output: String,
}

/// Traces the predictions of a run's scenes together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// Of the list of scenes, a [`crate::vectors::MergeInputs`].
    pub inputs: Digest,
    pub classes: Vec<ClassStyle>,
    pub plan: VectorPlan,
    /// What stands in the maps for pixels that do not count; the null class where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodata: Option<u8>,
    /// The files' key without their ending.
    pub output: String,
}

/// Packs the network with all that is needed to predict with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    pub model: ModelRef,
    pub window: WindowShape,
    pub batch: u32,
    pub classes: Vec<ClassStyle>,
    pub null_class: u32,
    /// Key and content of the evaluation, where there is one.
    pub eval: Option<(String, Digest)>,
    /// How pixels are read and scaled; without files.
    pub pixels: SourceSpec,
    /// Where 8 bits were tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub int8: Option<Int8>,
    pub output: String,
}

/// Runs a command of the user's own. Whoever can publish to the queue can't run a program by that: the command
/// stands in the document of inputs, under the root.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub name: String,
    pub scene: Option<SceneId>,
    pub rect: Option<RectPx>,
    pub inputs: Digest,
    /// Where the outputs go: the beginning of their keys.
    pub output: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noop {
    pub nonce: u64,
}
