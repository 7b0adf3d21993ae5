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
    /// A safetensors file or a PyTorch state dict (.pth, .pt); a TorchScript module (.pt) or an ONNX model (.onnx)
    /// where that is the architecture.
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

const fn default_bands() -> u32 {
    3
}

impl ModelEntry {
    pub(super) fn check(&self, trains: bool, predicts: bool, check: &mut Check<'_>) {
        if !check.sound(&["model.weights", "model.seed", "model.architecture", "stages"]) {
            return;
        }
        // Its file says what it computes; it can't be made here.
        let program = match self.architecture {
            Architecture::Torchscript => Some("a TorchScript module"),
            Architecture::Onnx => Some("an ONNX model"),
            _ => None,
        };
        let endings = self.architecture.endings();
        let give_a_file = |what| format!("{what} needs weights = \"FILE.{}\"", endings[0]);
        match (&self.weights, self.seed, program) {
            (Some(_), Some(_), _) => check.wrong("model.seed", "give weights or a seed, not both"),
            (None, None, Some(what)) => check.wrong("model.weights", give_a_file(what)),
            (None, Some(_), Some(what)) => check.wrong("model.seed", give_a_file(what)),
            (None, None, None) if predicts && !trains => {
                let why = "give weights = \"FILE.safetensors\", or a seed to try things out, or add train to stages";
                check.wrong("model", why);
            }
            (_, _, Some(what)) if trains => {
                check.wrong("model.architecture", format!("{what} can't be trained; choose another network"));
            }
            (Some(_), None, _) if trains => {
                let why = "training makes the weights; to begin with a file, give it as train.init";
                check.wrong("model.weights", why);
            }
            (Some(file), None, _) => {
                let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending);
                check.need(endings.contains(&ending), "model.weights", || {
                    format!("this architecture takes a file that ends in .{}", endings.join(" or ."))
                });
            }
            _ => {}
        }
    }
}
