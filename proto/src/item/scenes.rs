//! What items of several small scenes are told. Each scene is worked on by itself. One that fails is set
//! aside at a place of its own, its stage, lot and ordinal, where no item stands, and stops no other.

use serde::{Deserialize, Serialize};

use super::{ClassStyle, Compression, Mixing, ModelRef, Place, WindowShape, Work};
use crate::{ids::ItemId, numeric::ClassId, scene::SceneHeader, source::LabelSpec, vectors::VectorPlan};

/// Whole scenes through the network, written as finished files: there is nothing to assemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictScenes {
    pub scenes: Vec<ScenePart>,
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
    /// The files say them.
    pub classes: Vec<ClassStyle>,
    /// The class of pixels that are missing or lie outside the area of interest.
    pub null_class: u32,
    /// What stands in the map for pixels that do not count; the null class where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodata: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenePart {
    /// Its index among the lot's scenes, as the survey listed them.
    pub ordinal: u32,
    pub scene: SceneHeader,
}

impl PredictScenes {
    /// Names what becomes of one scene, whichever others share its item: the item that had it alone.
    pub fn alone(&self, scene: &SceneHeader) -> ItemId {
        let scenes = vec![ScenePart { ordinal: 0, scene: scene.clone() }];
        Work::PredictScenes(Self { scenes, ..self.clone() }).id()
    }
}

/// Counts the predictions of small scenes against their labels, each scene by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalScenes {
    pub scenes: Vec<EvalPart>,
    /// The item that has predicted them, and where it stands, should a file be gone.
    pub predicted: ItemId,
    pub producer: Place,
    pub classes: Vec<ClassStyle>,
    /// The class of every pixel that no label covers.
    pub null_class: u32,
    /// What stands in the maps for pixels that do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodata: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvalPart {
    pub ordinal: u32,
    pub scene: SceneHeader,
    pub labels: LabelSpec,
}

/// Traces the predictions of small scenes, each scene by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorizeScenes {
    pub scenes: Vec<ScenePart>,
    /// The item that has predicted them, and where it stands, should a file be gone.
    pub predicted: ItemId,
    pub producer: Place,
    /// Whether there are scores beside the classes.
    pub scores: bool,
    pub classes: Vec<ClassStyle>,
    pub plan: VectorPlan,
}
