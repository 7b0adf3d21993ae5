//! Numeric classes: within one, the output does not depend on how the work was cut or by whom it
//! was done; between two, bits may differ.

use serde::{Deserialize, Serialize};

use crate::{
    ids::ItemId,
    item::{ModelRef, WindowShape},
};

/// All that can move a bit of the output, and a fingerprint that tells whether it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumericClass {
    /// Engine and version, `libtorch 2.11.0` for instance.
    pub engine: String,
    pub precision: String,
    /// The instruction set that the engine chose, `AVX512` for instance.
    pub instruction_set: String,
    pub model: ModelRef,
    pub window: WindowShape,
    /// Windows a forward pass; short batches are padded.
    pub batch: u32,
    /// Threads of the engine: how it splits a convolution between them can decide the order of sums.
    pub threads: u32,
    /// Hash of the output for a fixed input.
    pub fingerprint: ItemId,
}

/// Names a numeric class in an item: a hash of all its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClassId(ItemId);

impl NumericClass {
    pub fn id(&self) -> ClassId {
        ClassId(ItemId::of(&serde_json::to_vec(self).expect("a class has only string keys")))
    }
}

impl std::fmt::Display for ClassId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Output of a probe item: the class that the run is pinned to, and how fast it was where it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Probed {
    #[serde(rename = "1")]
    V1 { class: NumericClass, seconds_per_window: f64 },
}
