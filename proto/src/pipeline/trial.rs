//! `[test]`: what `--test` makes of a pipeline.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;

/// What is left of a pipeline in a trial (--test, run.test).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TestEntry {
    /// How many scenes of each group, the first ones.
    pub scenes: TestScenes,
    /// Edge of the square that is used of a scene: that with the most labels.
    #[schemars(range(min = 64, max = 8192))]
    pub crop_px: u32,
    /// GeoJSON: instead, the first square, row by row, that so many labels lie in. None such is an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub min_labels: Option<u32>,
    /// Other keys of the pipeline, as a variant has them: { train.batch = 2 }. A trial has two epochs and 64 random chips a scene at
    /// most, whatever they say.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    #[schemars(with = "std::collections::BTreeMap<String, serde_json::Value>")]
    pub with: toml::Table,
}

/// So many scenes of each group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TestScenes {
    /// To train on.
    #[schemars(range(min = 1))]
    pub train: u32,
    /// To choose the best checkpoint by.
    #[schemars(range(min = 1))]
    pub validation: u32,
    /// To predict.
    #[schemars(range(min = 1))]
    pub predict: u32,
}

impl Default for TestScenes {
    fn default() -> Self {
        Self { train: 2, validation: 2, predict: 2 }
    }
}

impl Default for TestEntry {
    fn default() -> Self {
        Self { scenes: TestScenes::default(), crop_px: 1024, min_labels: None, with: toml::Table::new() }
    }
}

impl TestEntry {
    pub(super) fn check(&self, check: &mut Check<'_>) {
        for (name, n) in [
            ("test.scenes.train", self.scenes.train),
            ("test.scenes.validation", self.scenes.validation),
            ("test.scenes.predict", self.scenes.predict),
        ] {
            check.need(n > 0, name, || "must be at least 1".into());
        }
    }
}
