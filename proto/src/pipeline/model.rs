//! `[model]`: the network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use crate::item::Architecture;

/// The network, and where its weights come from: a file, a seed, or this pipeline's training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// Which network.
    pub architecture: Architecture,
    /// A safetensors file or a PyTorch state dict (.pth, .pt); a TorchScript module (.pt) where that is the
    /// architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Draws the weights instead: fit for trying things out, not for maps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub seed: Option<u64>,
    /// Bands that the network sees.
    #[serde(default = "default_bands")]
    #[schemars(range(min = 1, max = 64))]
    pub bands: u32,
}

/// Endings of files of named tensors.
pub(super) const STATE_DICTS: [&str; 3] = ["safetensors", "pth", "pt"];

const fn default_bands() -> u32 {
    3
}

impl ModelEntry {
    pub(super) fn check(&self, trains: bool, predicts: bool, check: &mut Check<'_>) {
        if !check.sound(&["model.weights", "model.seed", "model.architecture", "stages"]) {
            return;
        }
        let is_script = self.architecture == Architecture::Torchscript;
        match (&self.weights, self.seed) {
            (Some(_), Some(_)) => check.wrong("model.seed", "give weights or a seed, not both"),
            (None, None) if is_script => {
                check.wrong("model.weights", "a TorchScript module needs weights = \"FILE.pt\"");
            }
            (None, None) if predicts && !trains => {
                let why = "give weights = \"FILE.safetensors\", or a seed to try things out, or add train to stages";
                check.wrong("model", why);
            }
            (None, Some(_)) if is_script => {
                check.wrong("model.seed", "a TorchScript module needs weights = \"FILE.pt\"");
            }
            _ if trains && is_script => {
                check.wrong(
                    "model.architecture",
                    "a TorchScript module can't be trained; choose another network",
                );
            }
            (Some(_), None) if trains => {
                let why = "training makes the weights; to begin with a file, give it as train.init";
                check.wrong("model.weights", why);
            }
            (Some(file), None) => {
                let wanted = if is_script { &["pt"] } else { &STATE_DICTS[..] };
                let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
                check.need(wanted.contains(&ending), "model.weights", || {
                    format!("this architecture takes a file that ends in .{}", wanted.join(" or ."))
                });
            }
            _ => {}
        }
    }
}
