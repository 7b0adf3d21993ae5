//! Which network an item works with, and what windows it sees.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    geometry::{RectPx, WindowPx},
    ids::Digest,
};

/// Which network, and its exact bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelRef {
    pub architecture: Architecture,
    pub weights: Weights,
    pub bands: u32,
    pub classes: u32,
    #[serde(default, skip_serializing_if = "EngineName::is_default")]
    pub engine: EngineName,
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
    #[serde(default, skip_serializing_if = "DeviceName::is_default")]
    pub device: DeviceName,
    /// Of an ensemble, the networks beside this one: the probabilities of all are averaged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Member>,
}

/// One more network of an ensemble: for the same bands and classes, on the same engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    pub architecture: Architecture,
    pub weights: Weights,
    #[serde(default, skip_serializing_if = "Precision::is_default")]
    pub precision: Precision,
}

impl ModelRef {
    /// Its networks, each alone.
    pub fn networks(&self) -> Vec<Self> {
        let first = Self { others: Vec::new(), ..self.clone() };
        let alone = |Member { architecture, weights, precision }: &Member| Self {
            architecture: *architecture,
            weights: weights.clone(),
            precision: *precision,
            ..first.clone()
        };
        std::iter::once(first.clone()).chain(self.others.iter().map(alone)).collect()
    }

    /// As programs before there were engines would say it.
    pub fn is_plain(&self) -> bool {
        self.engine.is_default()
            && self.precision.is_default()
            && self.device.is_default()
            && self.architecture != Architecture::Onnx
            && self.others.is_empty()
    }
}

/// The numbers in which a network is computed where it predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    #[default]
    Fp32,
    /// Half as long, with the range of the whole: on processors that have instructions for it.
    Bf16,
    /// As long, finer, and of less range: on cards alone.
    Fp16,
    /// The content of the ranges between which its values lie.
    Int8(Digest),
}

impl Precision {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
            Self::Int8(_) => "int8",
        }
    }
}

/// What computes a network where it predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EngineName {
    /// All networks, TorchScript modules too.
    #[default]
    Libtorch,
    /// The fastest on processors: all but TorchScript modules.
    Openvino,
}

impl EngineName {
    /// As pipeline files spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Libtorch => "libtorch",
            Self::Openvino => "openvino",
        }
    }

    /// Windows at a time, where nobody says how many. OpenVINO takes as long for each of eight as for one alone, and
    /// more memory; libtorch takes a tenth longer for one alone.
    pub const fn usual_batch(self) -> u32 {
        match self {
            Self::Libtorch => 8,
            Self::Openvino => 1,
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// On what a network is computed where it predicts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceName {
    /// Processors.
    #[default]
    Cpu,
    /// NVIDIA's cards, of compute capability 7.5 or later.
    Cuda,
}

impl DeviceName {
    /// As pipeline files spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    /// What computes a network there where nobody says.
    pub const fn engine(self, architecture: Architecture) -> EngineName {
        match self {
            Self::Cpu => architecture.engine(),
            Self::Cuda => EngineName::Libtorch,
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// Two small convolutions: for trying things out, and for tests.
    Tiny,
    /// U-Net on a ResNet encoder, with torchvision's layer names under `encoder.`.
    UnetResnet18,
    UnetResnet34,
    UnetResnet50,
    /// torchvision's DeepLabV3, with its layer names.
    Deeplabv3Resnet50,
    Deeplabv3Resnet101,
    /// A TorchScript module; its file says what it computes.
    Torchscript,
    /// An ONNX model; its file says what it computes.
    Onnx,
}

impl Architecture {
    /// As pipeline files spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::UnetResnet18 => "unet-resnet18",
            Self::UnetResnet34 => "unet-resnet34",
            Self::UnetResnet50 => "unet-resnet50",
            Self::Deeplabv3Resnet50 => "deeplabv3-resnet50",
            Self::Deeplabv3Resnet101 => "deeplabv3-resnet101",
            Self::Torchscript => "torchscript",
            Self::Onnx => "onnx",
        }
    }

    /// Whether its layers drop values where they learn, by a draw.
    pub const fn drops(self) -> bool {
        matches!(self, Self::Deeplabv3Resnet50 | Self::Deeplabv3Resnet101)
    }

    /// Edges of windows and chips are multiples of this.
    pub const fn edge_multiple_px(self) -> u32 {
        match self {
            Self::UnetResnet18 | Self::UnetResnet34 | Self::UnetResnet50 => 32,
            Self::Tiny
            | Self::Deeplabv3Resnet50
            | Self::Deeplabv3Resnet101
            | Self::Torchscript
            | Self::Onnx => 1,
        }
    }

    /// The encoder, as torchvision calls it.
    pub const fn backbone(self) -> Option<&'static str> {
        match self {
            Self::UnetResnet18 => Some("resnet18"),
            Self::UnetResnet34 => Some("resnet34"),
            Self::UnetResnet50 | Self::Deeplabv3Resnet50 => Some("resnet50"),
            Self::Deeplabv3Resnet101 => Some("resnet101"),
            Self::Tiny | Self::Torchscript | Self::Onnx => None,
        }
    }

    /// What computes it where nobody says.
    pub const fn engine(self) -> EngineName {
        match self {
            Self::Torchscript => EngineName::Libtorch,
            _ => EngineName::Openvino,
        }
    }

    /// Whether that engine can compute it.
    pub const fn runs_on(self, engine: EngineName) -> bool {
        match engine {
            EngineName::Libtorch => !matches!(self, Self::Onnx),
            EngineName::Openvino => !matches!(self, Self::Torchscript),
        }
    }

    /// Endings of the files that its weights come in.
    pub const fn endings(self) -> &'static [&'static str] {
        match self {
            Self::Torchscript => &["pt"],
            Self::Onnx => &["onnx"],
            _ => &["safetensors", "pth", "pt"],
        }
    }

    /// Whether its file says what it computes; else its layers are known here, and it can be trained.
    pub const fn is_program(self) -> bool {
        matches!(self, Self::Torchscript | Self::Onnx)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Weights {
    /// Weights drawn from a seed: the same on every machine.
    Seed(u64),
    /// A file under the root, named by its content: `models/<sha-256>.<extension>`.
    File { sha256: Digest, extension: String },
    /// What the run trains. Becomes a file once it is there; no item names it.
    Trained,
}

/// How windows are laid over a scene: a core, whose pixels are kept, in a margin of context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowShape {
    pub core_px: u32,
    pub margin_px: u32,
}

impl WindowShape {
    /// The edge of what the network sees.
    pub const fn edge_px(self) -> u32 {
        self.core_px + 2 * self.margin_px
    }

    /// Along one edge, the numbers of the windows that touch a stretch, of those whose cores begin in the scene.
    pub fn touching(self, at: u32, len: u32, scene_len: u32) -> Range<u32> {
        if len == 0 {
            return 0..0;
        }
        let (core, margin) = (u64::from(self.core_px.max(1)), u64::from(self.margin_px));
        let first = u64::from(at).saturating_sub(margin) / core;
        let beyond = u64::from(at) + u64::from(len) + margin;
        let last = beyond.div_ceil(core).min(u64::from(scene_len).div_ceil(core));
        first as u32..last.max(first) as u32
    }

    /// What a rectangle's windows see: whole windows, and their margins.
    pub const fn reach(self, rect: RectPx) -> WindowPx {
        WindowPx::new(
            rect.col as i64 - self.margin_px as i64,
            rect.row as i64 - self.margin_px as i64,
            rect.width.next_multiple_of(self.core_px) + 2 * self.margin_px,
            rect.height.next_multiple_of(self.core_px) + 2 * self.margin_px,
        )
    }
}
