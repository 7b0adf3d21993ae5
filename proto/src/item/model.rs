//! Which network an item works with, and what windows it sees.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Architecture;
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
    /// The edge to which windows are resized for the network, and what it says back to theirs. None where it sees them
    /// as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_px: Option<u32>,
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
            && self.seen_px.is_none()
    }

    /// What the network itself sees of a window.
    pub fn seen(&self, window: WindowShape) -> WindowShape {
        self.seen_px.map_or(window, |core_px| WindowShape { core_px, margin_px: 0 })
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
    /// All but TorchScript modules, in 8 and 16 bits too; on processors.
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
    pub const fn engine(self, architecture: Architecture, in_32_bits: bool) -> EngineName {
        match self {
            Self::Cpu => architecture.engine(in_32_bits),
            Self::Cuda => EngineName::Libtorch,
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
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

    /// What a rectangle's windows see: whole windows, and their margins. The first may begin before it.
    pub const fn reach(self, rect: RectPx) -> WindowPx {
        let (col, row) = (rect.col - rect.col % self.core_px, rect.row - rect.row % self.core_px);
        WindowPx::new(
            col as i64 - self.margin_px as i64,
            row as i64 - self.margin_px as i64,
            (rect.col - col + rect.width).next_multiple_of(self.core_px) + 2 * self.margin_px,
            (rect.row - row + rect.height).next_multiple_of(self.core_px) + 2 * self.margin_px,
        )
    }
}
