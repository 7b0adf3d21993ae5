//! Output of an eval item: how often each class was taken for each other, scene by scene.

use serde::{Deserialize, Serialize};

use crate::ids::SceneId;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum SceneScore {
    #[serde(rename = "1")]
    V1 {
        scene: SceneId,
        classes: Vec<String>,
        /// Row by row: `counts[truth * n_classes + prediction]`, in pixels.
        counts: Vec<u64>,
        /// Pixels whose label is no class.
        ignored: u64,
    },
}

/// Of an item of several small scenes; without those that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum SceneScores {
    #[serde(rename = "1")]
    V1 { scenes: Vec<SceneScore> },
}

impl SceneScores {
    pub fn has(&self, id: &SceneId) -> bool {
        let Self::V1 { scenes } = self;
        scenes.iter().any(|SceneScore::V1 { scene, .. }| scene == id)
    }
}
