//! Which windows of a scene become chips: what a person asks for. `swath-geo` counts them out.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::geometry::SizePx;

/// Windows of one size, row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SlidingSpec {
    pub size: SizePx,
    /// The size where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stride: Option<SizePx>,
    /// How far windows may reach beyond the scene. The rule decides where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<SizePx>,
    #[serde(default)]
    pub pad_direction: PadDirection,
    #[serde(default)]
    pub rule: WindowRule,
}

/// The sides of a scene that are padded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PadDirection {
    /// Right and below.
    #[default]
    End,
    /// Left and above.
    Start,
    Both,
}

/// How windows are counted: as Raster Vision did up to a version, or has since. What its versions
/// 0.20 to 0.30 did leaves the edges of a scene without windows, and is not offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowRule {
    /// As Raster Vision up to 0.13: a window begins at every stride inside the scene, overhanging or not.
    EveryStride,
    /// As Raster Vision since 0.31: the fewest windows that cover the scene.
    #[default]
    Cover,
}

/// How the images of chips are written; whoever reads them need not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChipEncoding {
    /// As small as PNG gets in little time.
    #[default]
    Compressed,
    /// As they are: a third more bytes of noisy imagery, and read in a fraction of the time.
    Stored,
}

impl ChipEncoding {
    /// What is usual is left out where it decides an item's name.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// Windows at random places.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomSpec {
    pub sizes: RandomSizes,
    /// Windows of a scene, before any is dropped.
    #[serde(default = "defaults::max_windows")]
    pub max_windows: u64,
    /// Draws for one window, until one lies where it may.
    #[serde(default = "defaults::max_sample_attempts")]
    pub max_sample_attempts: u32,
    /// How far windows may reach beyond the scene on all sides; half the largest size where it is
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub padding: Option<SizePx>,
    pub seed: u64,
}

/// Limits `[from, below]` of the sizes that are drawn, the second exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum RandomSizes {
    Square([u32; 2]),
    Rectangle { heights: [u32; 2], widths: [u32; 2] },
}

/// Which chips are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeepSpec {
    /// Classes that are looked for. Where there are none, no chip is negative.
    pub target_classes: Vec<u8>,
    /// A chip with fewer pixels of the target classes is negative.
    pub target_count_threshold: u64,
    /// Share of the negative chips that are kept.
    pub negative_survival_prob: f64,
    /// A chip with fewer pixels of the target classes is dropped, whatever is drawn.
    pub min_target_pixels: u64,
    /// A chip is dropped if this share of its pixels, or more, has no data.
    pub nodata_threshold: f64,
    pub seed: u64,
}

impl Default for KeepSpec {
    fn default() -> Self {
        Self {
            target_classes: Vec::new(),
            target_count_threshold: 1000,
            negative_survival_prob: 1.0,
            min_target_pixels: 0,
            nodata_threshold: 1.0,
            seed: 0,
        }
    }
}

mod defaults {
    pub(super) fn max_windows() -> u64 {
        10_000
    }
    pub(super) fn max_sample_attempts() -> u32 {
        100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_as_in_raster_vision() {
        let sliding: SlidingSpec = serde_json::from_str(r#"{"size":{"width":300,"height":300}}"#).unwrap();
        assert_eq!((sliding.rule, sliding.pad_direction), (WindowRule::Cover, PadDirection::End));
        let random: RandomSpec = serde_json::from_str(r#"{"sizes":{"square":[200,301]},"seed":1}"#).unwrap();
        assert_eq!((random.max_windows, random.max_sample_attempts), (10_000, 100));
        let keep: KeepSpec = serde_json::from_str(r#"{"target_classes":[1]}"#).unwrap();
        assert_eq!(keep, KeepSpec { target_classes: vec![1], ..KeepSpec::default() });
        assert!(serde_json::from_str::<KeepSpec>(r#"{"target_class":[1]}"#).is_err());
    }
}
