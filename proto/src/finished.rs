//! What items leave that write files for people: which ones, and what is in them. What an item of small
//! scenes leaves lies beside each scene's files by itself too, so that an item that begins again, and a run
//! that wants the same scene, take them as they are.

use serde::{Deserialize, Serialize};

use crate::{
    footprint::Footprint,
    ids::{Digest, SceneId},
};

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<FinishedFile>,
    /// Not said by versions before there were catalogues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub footprint: Option<Footprint>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FinishedFile {
    pub key: String,
    pub bytes: u64,
    pub sha256: Digest,
}

/// What an assembly leaves under its own key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Assembled {
    #[serde(rename = "1")]
    V1 {
        files: Vec<AssembledFile>,
        /// Not said by versions before there were catalogues.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        footprint: Option<Footprint>,
    },
}

/// What a bundle item leaves under its own key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Bundled {
    #[serde(rename = "1")]
    V1 {
        key: String,
        bytes: u64,
        /// Not said by versions before there were catalogues.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<Digest>,
    },
}

/// Its bytes were copied from store to store and seen by nobody: there is no digest of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AssembledFile {
    pub key: String,
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_assemblies_have_left_still_reads() {
        for sample in [
            include_str!("../samples/assembled-v1.json"),
            include_str!("../samples/assembled-v1-placed.json"),
        ] {
            let read: Assembled = serde_json::from_str(sample).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), sample.trim_end());
            let Assembled::V1 { files, .. } = read;
            assert_eq!(files.len(), 2);
        }
    }

    #[test]
    fn a_scene_that_says_where_it_lies_still_reads() {
        let sample = include_str!("../samples/finished-v1-placed.json");
        let read: Finished = serde_json::from_str(sample).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), sample.trim_end());
        let Finished::V1 { scenes } = read;
        let footprint = scenes[0].footprint.as_ref().unwrap();
        assert_eq!((footprint.ring.len(), footprint.code.as_deref()), (4, Some("EPSG:32633")));
    }

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
