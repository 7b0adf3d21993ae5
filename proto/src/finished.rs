//! What an item of small scenes leaves: which files it has written, and what is in them. The same lies
//! beside each scene's files by itself, so that an item that begins again, and a run that wants the same
//! scene, take them as they are.

use serde::{Deserialize, Serialize};

use crate::ids::{Digest, SceneId};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Finished {
    #[serde(rename = "1")]
    V1 {
        /// Without those that failed.
        scenes: Vec<FinishedScene>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishedScene {
    pub scene: SceneId,
    pub classes: FinishedFile,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<FinishedFile>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishedFile {
    pub key: String,
    pub bytes: u64,
    pub sha256: Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frozen_sample_still_reads() {
        let sample = include_str!("../samples/finished-v1.json");
        let read: Finished = serde_json::from_str(sample).unwrap();
        let Finished::V1 { scenes } = &read;
        assert_eq!(scenes.len(), 2);
        assert!(scenes[0].scores.is_some() && scenes[1].scores.is_none());
        assert_eq!(serde_json::to_string(&read).unwrap(), sample.trim_end());
    }
}
