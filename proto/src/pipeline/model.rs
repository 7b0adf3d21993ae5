//! `[model]`: the network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OneOrMany, check::Check};
use crate::item::Architecture;

/// The network, and where its weights come from: a file, a seed, or this pipeline's training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// Which network.
    pub architecture: Architecture,
    /// A safetensors file or a PyTorch state dict (.pth, .pt); a TorchScript module (.pt) or an ONNX model (.onnx)
    /// where that is the architecture; or a bundle (.zip), which says too how pixels are read. Of several bundles, of any
    /// architectures, the probabilities are averaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<OneOrMany>,
    /// Draws the weights instead: fit for trying things out, not for maps. Where train is among the stages, `train.seed`
    /// is what draws.
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

/// Of an ensemble: each costs as much time as the first.
pub const MAX_BUNDLES: usize = 16;

impl ModelEntry {
    /// The bundles that the weights come from; none where they come from elsewhere.
    pub fn bundles(&self) -> &[String] {
        let files = self.weights.as_ref().map_or(&[][..], OneOrMany::as_slice);
        if files.iter().any(|file| is_bundle(file)) { files } else { &[] }
    }

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
            (None, Some(_), None) if trains => {
                check.wrong(
                    "model.seed",
                    "training draws its weights from train.seed: give that, or leave train out",
                );
            }
            (Some(files), None, _) => self.check_files(files.as_slice(), check),
            _ => {}
        }
    }

    fn check_files(&self, files: &[String], check: &mut Check<'_>) {
        let endings = self.architecture.endings();
        let is_named_bundle = |file: &String| is_bundle(file);
        let why = match files {
            [] => Some("names no file: give one, or several bundles".into()),
            files if files.len() > MAX_BUNDLES => {
                Some(format!("at most {MAX_BUNDLES} bundles can be averaged"))
            }
            files if files.iter().any(is_named_bundle) && self.architecture.is_program() => {
                Some("a bundle holds no module and no ONNX model: give the architecture that it says".into())
            }
            files if files.iter().all(is_named_bundle) => None,
            [_, _, ..] => Some("several files are averaged only if each is a bundle (.zip)".into()),
            [file] => (!endings.contains(&ending(file))).then(|| {
                let or_bundle = if self.architecture.is_program() { "" } else { ", or a bundle (.zip)" };
                format!("this architecture takes a file that ends in .{}{or_bundle}", endings.join(" or ."))
            }),
        };
        if let Some(why) = why {
            check.wrong("model.weights", why);
        }
    }
}

pub(super) const BUNDLE: &str = "zip";

/// Whether the name of a file of weights is that of a bundle.
pub fn is_bundle(file: &str) -> bool {
    ending(file) == BUNDLE
}

pub(super) fn ending(file: &str) -> &str {
    file.rsplit_once('.').map_or("", |(_, ending)| ending)
}
