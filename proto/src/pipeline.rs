//! The file a person writes: TOML, in which an unknown key or a wrong value is an error that says
//! where. This module checks words; [`crate::run::RunRecord`] is what it becomes.

use serde::{Deserialize, Serialize};

use crate::item::{Architecture, Stage};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pipeline {
    /// Names the run, together with a hash of all that decides it.
    pub name: String,
    #[serde(default = "defaults::stages")]
    pub stages: Vec<Stage>,
    pub scenes: Vec<SceneEntry>,
    pub classes: Vec<ClassEntry>,
    pub model: ModelEntry,
    #[serde(default)]
    pub predict: PredictEntry,
    #[serde(default)]
    pub run: RunEntry,
}

/// Paths are relative to the pipeline file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SceneEntry {
    /// The image's file name without its ending, where it is left out.
    pub id: Option<String>,
    pub image: String,
    pub labels: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassEntry {
    pub name: String,
    /// `#rrggbb`
    pub color: String,
    /// The class of all that no label covers. Exactly one class is.
    #[serde(default)]
    pub null: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    pub architecture: Architecture,
    /// A safetensors file, or a TorchScript module where that is the architecture.
    pub weights: Option<String>,
    /// Draws the weights instead: fit for trying things out, not for maps.
    pub seed: Option<u64>,
    #[serde(default = "defaults::bands")]
    pub bands: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PredictEntry {
    /// Pixels of a window that are kept; a multiple of `block_px`.
    pub core_px: u32,
    /// Context around the core that is computed and cropped.
    pub margin_px: u32,
    pub batch: u32,
    /// Tiles of the output.
    pub block_px: u32,
    /// Edge of an item; chosen from the measured speed where it is left out.
    pub item_px: Option<u32>,
    /// Write a raster of scores beside the classes.
    pub scores: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunEntry {
    pub max_failures: u32,
    pub lot_scenes: u32,
    /// Publish items in an order drawn from this seed.
    pub shuffle: Option<u64>,
}

/// Every default of the pipeline file.
mod defaults {
    use super::*;

    pub(super) fn stages() -> Vec<Stage> {
        vec![Stage::Survey, Stage::Predict, Stage::Assemble, Stage::Eval]
    }

    pub(super) const fn bands() -> u32 {
        3
    }

    impl Default for PredictEntry {
        fn default() -> Self {
            Self { core_px: 256, margin_px: 32, batch: 8, block_px: 256, item_px: None, scores: false }
        }
    }

    impl Default for RunEntry {
        fn default() -> Self {
            Self { max_failures: 5, lot_scenes: 64, shuffle: None }
        }
    }
}

/// One thing that is wrong with a pipeline file, and what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPipeline(pub String);

impl Pipeline {
    /// Reads and checks a file's text. The error of the TOML reader shows line and column.
    pub fn parse(text: &str) -> Result<Self, BadPipeline> {
        let pipeline: Self = toml::from_str(text).map_err(|e| BadPipeline(e.to_string()))?;
        pipeline.check()?;
        Ok(pipeline)
    }

    fn check(&self) -> Result<(), BadPipeline> {
        let bad = |text: String| Err(BadPipeline(text));
        self.name.parse::<crate::ids::RunId>().map_err(|e| BadPipeline(format!("name: {e}")))?;
        if self.name.len() > 60 {
            return bad("name: must be at most 60 characters, since the run's hash is added to it".into());
        }
        for (stage, needs) in [
            (Stage::Predict, Stage::Survey),
            (Stage::Assemble, Stage::Predict),
            (Stage::Eval, Stage::Assemble),
        ] {
            if self.stages.contains(&stage) && !self.stages.contains(&needs) {
                return bad(format!(
                    "stages: {stage} needs what {needs} makes: name both (what exists is not made again)"
                ));
            }
        }
        if self.scenes.is_empty() {
            return bad("scenes: name at least one [[scenes]] entry with an image".into());
        }
        if self.classes.len() < 2 || self.classes.len() > 255 {
            return bad(format!("classes: {} given, but there must be 2 to 255", self.classes.len()));
        }
        let nulls = self.classes.iter().filter(|class| class.null).count();
        if nulls != 1 {
            return bad(format!("classes: {nulls} have `null = true`, but exactly one must"));
        }
        for class in &self.classes {
            class.rgb()?;
        }
        let PredictEntry { core_px, margin_px, batch, block_px, item_px, .. } = self.predict;
        if !block_px.is_power_of_two() || !(64..=4096).contains(&block_px) {
            return bad(format!("predict.block_px = {block_px}: must be a power of two from 64 to 4096"));
        }
        if core_px == 0 || core_px > 8192 || !core_px.is_multiple_of(block_px) {
            return bad(format!(
                "predict.core_px = {core_px}: must be a multiple of block_px ({block_px}), 8192 at most"
            ));
        }
        if !core_px.is_power_of_two() {
            return bad(format!(
                "predict.core_px = {core_px}: must be a power of two, so that cores tile an item"
            ));
        }
        if margin_px > core_px {
            return bad(format!(
                "predict.margin_px = {margin_px}: must not be larger than core_px ({core_px})"
            ));
        }
        if self.model.architecture == Architecture::UnetResnet18
            && !(core_px + 2 * margin_px).is_multiple_of(32)
        {
            return bad(format!(
                "predict.margin_px = {margin_px}: core_px + 2 margin_px must be a multiple of 32 for this network; {} is the next that fits",
                margin_px.next_multiple_of(16)
            ));
        }
        if !(1..=256).contains(&batch) {
            return bad(format!("predict.batch = {batch}: must be 1 to 256"));
        }
        if let Some(item_px) = item_px
            && (!item_px.is_power_of_two() || item_px < core_px || item_px > 16384)
        {
            return bad(format!(
                "predict.item_px = {item_px}: must be a power of two from core_px ({core_px}) to 16384"
            ));
        }
        if !(1..=64).contains(&self.model.bands) {
            return bad(format!("model.bands = {}: must be 1 to 64", self.model.bands));
        }
        match (&self.model.weights, self.model.seed) {
            (Some(_), Some(_)) => return bad("model: give weights or a seed, not both".into()),
            (None, None) => {
                return bad("model: give weights = \"FILE.safetensors\", or a seed to try things out".into());
            }
            (None, Some(_)) if self.model.architecture == Architecture::Torchscript => {
                return bad("model: a TorchScript module needs weights = \"FILE.pt\"".into());
            }
            _ => {}
        }
        if !(1..=100).contains(&self.run.max_failures) {
            return bad(format!("run.max_failures = {}: must be 1 to 100", self.run.max_failures));
        }
        if !(1..=10_000).contains(&self.run.lot_scenes) {
            return bad(format!("run.lot_scenes = {}: must be 1 to 10000", self.run.lot_scenes));
        }
        Ok(())
    }
}

impl ClassEntry {
    pub fn rgb(&self) -> Result<[u8; 3], BadPipeline> {
        let mut rgb = [0; 3];
        self.color
            .strip_prefix('#')
            .and_then(|digits| hex::decode_to_slice(digits, &mut rgb).ok())
            .map(|()| rgb)
            .ok_or_else(|| {
                BadPipeline(format!(
                    "classes: color = \"{}\" of '{}' must look like #ff8800",
                    self.color, self.name
                ))
            })
    }
}
