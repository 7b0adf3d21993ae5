//! `[bundle]`: what a trained model is handed on with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the model is handed on with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BundleEntry {
    /// For whom it may concern: what the model finds, and on which imagery.
    pub description: String,
    /// Which of the training's checkpoints.
    pub checkpoint: Checkpoint,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Checkpoint {
    /// That with the best score on the validation scenes.
    #[default]
    Best,
    Last,
}
