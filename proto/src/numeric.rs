//! Numeric classes: within one, the output does not depend on how the work was cut or by whom it
//! was done; between two, bits may differ.

use serde::{Deserialize, Serialize};

use crate::{
    ids::{Digest, ItemId},
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
    V1 {
        class: NumericClass,
        seconds_per_window: f64,
        /// Where 8 bits were asked for; the class says whether it came to that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        int8: Option<Int8>,
    },
}

/// A network in 8 bits beside itself in 32, on the chips for validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Int8 {
    /// Between which its values lie on the chips for training: `models/<digest>.ranges.json`.
    pub ranges: Digest,
    pub chips: u64,
    /// F1 of each class; none of a class that was neither there nor found.
    pub f1_fp32: Vec<Option<f64>>,
    pub f1_int8: Vec<Option<f64>>,
}

impl Int8 {
    /// What 8 bits may cost.
    pub const MOST_LOST: f64 = 0.005;

    /// The most that a class has lost.
    pub fn lost(&self) -> f64 {
        let pairs = self.f1_fp32.iter().zip(&self.f1_int8);
        let lost = pairs.filter_map(|(before, after)| Some((*before)? - after.unwrap_or(0.0)));
        lost.fold(0.0, f64::max)
    }

    /// There was something to see.
    pub fn is_measured(&self) -> bool {
        self.chips > 0 && self.f1_fp32.iter().any(Option::is_some)
    }

    /// Nothing is accepted unseen.
    pub fn is_accepted(&self) -> bool {
        self.is_measured() && self.lost() <= Self::MOST_LOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bits_are_taken_where_every_class_stays_within_half_a_point() {
        let int8 = |chips, f1_fp32: &[f64], f1_int8: &[f64]| Int8 {
            ranges: Digest::of(b""),
            chips,
            f1_fp32: f1_fp32.iter().copied().map(Some).collect(),
            f1_int8: f1_int8.iter().copied().map(Some).collect(),
        };
        assert!(int8(9, &[0.9, 0.8], &[0.91, 0.7951]).is_accepted());
        assert!(!int8(9, &[0.9, 0.8], &[0.99, 0.7949]).is_accepted());
        assert!(!int8(0, &[], &[]).is_accepted());
        let mut gone = int8(9, &[0.9], &[0.9]);
        gone.f1_int8 = vec![None];
        assert!(!gone.is_accepted(), "a class that is no longer found");
        gone.f1_fp32 = vec![None];
        assert!(!gone.is_accepted(), "nothing was measured");
    }
}
