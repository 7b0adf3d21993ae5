//! `[run]`: how the run behaves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the run behaves; nothing here but `test` changes a pixel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RunEntry {
    /// Failures after which an item is set aside.
    #[schemars(range(min = 1, max = 100))]
    pub max_failures: u32,
    /// Scenes whose headers one item reads; where it is left out, 256, or fewer if their names do not fit a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub lot_scenes: Option<u32>,
    /// Publish items in an order drawn from this seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub shuffle: Option<u64>,
    /// Leave out scenes whose files are not there, and go on with the others.
    pub skip_missing: bool,
    /// Look whether all files are there, and in which state, before anything is started. Where nobody looks (-x), a file that
    /// is missing fails its scene, and one that changes in the middle of a run is not noticed.
    pub check_files: bool,
    /// Try the pipeline out in minutes, as `[test]` says. What `--test` sets.
    pub test: bool,
}

impl Default for RunEntry {
    fn default() -> Self {
        Self {
            max_failures: 5,
            lot_scenes: None,
            shuffle: None,
            skip_missing: false,
            check_files: true,
            test: false,
        }
    }
}
