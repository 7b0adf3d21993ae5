//! `[chips]`: which windows become training samples.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Path, check::Check, classes, classes::ClassEntry};
use crate::{
    chips::{ChipEncoding, KeepSpec, PadDirection, RandomSizes, RandomSpec, SlidingSpec, WindowRule},
    geometry::SizePx,
};

/// Which windows become training samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChipsEntry {
    /// Windows row by row, or at random places.
    pub windows: WindowKind,
    /// Pixels of a chip: its edge, or [width, height]. Sliding windows are as large; random ones are
    /// brought to this size.
    pub size: SizeEntry,
    /// Sliding: pixels from one window to the next. The size where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stride: Option<SizeEntry>,
    /// How far windows may reach beyond the scene. Sliding: the rule decides where it is left out.
    /// Random: half the largest size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub padding: Option<SizeEntry>,
    /// Sliding: the sides that are padded.
    pub pad_direction: PadDirection,
    /// Sliding: how windows are counted.
    pub rule: WindowRule,
    /// Random: limits [from, below] of the edges that are drawn. The size where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sizes: Option<[u32; 2]>,
    /// Random: limits [from, below] of widths, drawn apart from heights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub widths: Option<[u32; 2]>,
    /// Random: limits [from, below] of heights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heights: Option<[u32; 2]>,
    /// Random: windows of a scene, before any is dropped.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_windows: u64,
    /// Random: draws for one window, until one lies where it may.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_sample_attempts: u32,
    /// Draws windows, and which negative chips are kept.
    #[schemars(range(min = 0))]
    pub seed: u64,
    /// Classes that are looked for. Where there are none, no chip is negative.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target_classes: Vec<String>,
    /// A chip with fewer pixels of the target classes is negative.
    #[schemars(range(min = 0))]
    pub target_count_threshold: u64,
    /// Share of the negative chips that are kept.
    #[schemars(range(min = 0, max = 1))]
    pub negative_survival_prob: f64,
    /// A chip with fewer pixels of the target classes is dropped, whatever is drawn.
    #[schemars(range(min = 0))]
    pub min_target_pixels: u64,
    /// A chip is dropped if this share of its pixels, or more, has no data.
    #[schemars(range(min = 0, max = 1))]
    pub nodata_threshold: f64,
    /// How images are written. Stored ones are larger and read faster: for fast stores, and for imagery that hardly gets
    /// smaller.
    pub encoding: ChipEncoding,
}

impl Default for ChipsEntry {
    fn default() -> Self {
        let keep = KeepSpec::default();
        Self {
            windows: WindowKind::Sliding,
            size: SizeEntry::Edge(256),
            stride: None,
            padding: None,
            pad_direction: PadDirection::default(),
            rule: WindowRule::default(),
            sizes: None,
            widths: None,
            heights: None,
            max_windows: 10_000,
            max_sample_attempts: 100,
            seed: 0,
            target_classes: Vec::new(),
            target_count_threshold: keep.target_count_threshold,
            negative_survival_prob: keep.negative_survival_prob,
            min_target_pixels: keep.min_target_pixels,
            nodata_threshold: keep.nodata_threshold,
            encoding: ChipEncoding::default(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WindowKind {
    /// Row by row.
    #[default]
    Sliding,
    /// At places drawn from the seed.
    Random,
}

/// An edge, or `[width, height]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum SizeEntry {
    Edge(u32),
    Sides([u32; 2]),
}

impl SizeEntry {
    pub const fn px(self) -> SizePx {
        match self {
            Self::Edge(edge) => SizePx::new(edge, edge),
            Self::Sides([width, height]) => SizePx::new(width, height),
        }
    }
}

/// What `[chips]` asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum ChipWindows {
    Sliding(SlidingSpec),
    Random(RandomSpec),
}

const SLIDING_ONLY: [&str; 3] = ["stride", "pad_direction", "rule"];
const RANDOM_ONLY: [&str; 5] = ["sizes", "widths", "heights", "max_windows", "max_sample_attempts"];
/// The largest edge of a chip.
const MOST_PX: u32 = 8192;

impl ChipsEntry {
    pub fn windows(&self) -> ChipWindows {
        let padding = self.padding.map(SizeEntry::px);
        let size = self.size.px();
        match self.windows {
            WindowKind::Sliding => ChipWindows::Sliding(SlidingSpec {
                size,
                stride: self.stride.map(SizeEntry::px),
                padding,
                pad_direction: self.pad_direction,
                rule: self.rule,
            }),
            WindowKind::Random => ChipWindows::Random(RandomSpec {
                sizes: match (self.sizes, self.widths, self.heights) {
                    (Some(sizes), ..) => RandomSizes::Square(sizes),
                    (None, Some(widths), Some(heights)) => RandomSizes::Rectangle { heights, widths },
                    _ => RandomSizes::Rectangle {
                        heights: [size.height, size.height.saturating_add(1)],
                        widths: [size.width, size.width.saturating_add(1)],
                    },
                },
                max_windows: self.max_windows,
                max_sample_attempts: self.max_sample_attempts,
                padding,
                seed: self.seed,
            }),
        }
    }

    /// Classes by their numbers; those that do not exist are left out, and a checked file has none.
    pub fn keep(&self, list: &[ClassEntry]) -> KeepSpec {
        let number = |name: &String| list.iter().position(|class| class.name == *name);
        let targets = self.target_classes.iter().filter_map(number);
        KeepSpec {
            target_classes: targets.filter_map(|class| u8::try_from(class).ok()).collect(),
            target_count_threshold: self.target_count_threshold,
            negative_survival_prob: self.negative_survival_prob,
            min_target_pixels: self.min_target_pixels,
            nodata_threshold: self.nodata_threshold,
            seed: self.seed,
        }
    }

    pub(super) fn check(&self, list: &[ClassEntry], check: &mut Check<'_>) {
        if check.sound(&["chips.windows"]) {
            let (strangers, home) = match self.windows {
                WindowKind::Sliding => (&RANDOM_ONLY[..], "random"),
                WindowKind::Random => (&SLIDING_ONLY[..], "sliding"),
            };
            for key in strangers {
                let path = format!("chips.{key}");
                if check.is_given(&path) {
                    check.wrong(path.as_str(), format!("is for windows = \"{home}\" only"));
                }
            }
        }
        let sides = |size: SizeEntry| [size.px().width, size.px().height];
        for (key, size, least) in [
            ("chips.size", Some(self.size), 8),
            ("chips.stride", self.stride, 1),
            ("chips.padding", self.padding, 0),
        ] {
            let right =
                size.is_none_or(|size| sides(size).iter().all(|side| (least..=MOST_PX).contains(side)));
            check.need(right, key, || format!("must be {least} to {MOST_PX} pixels"));
        }
        for (key, limits) in
            [("chips.sizes", self.sizes), ("chips.widths", self.widths), ("chips.heights", self.heights)]
        {
            let right = limits.is_none_or(|[from, below]| from >= 1 && from < below && below <= MOST_PX + 1);
            check.need(right, key, || {
                format!(
                    "must be [from, below], with from at least 1, and below above it and at most {}",
                    MOST_PX + 1
                )
            });
        }
        if check.sound(&["chips.widths", "chips.heights", "chips.sizes", "chips.windows"]) {
            let alone = "draws rectangles together with the other of widths and heights: give both";
            match (self.sizes, self.widths, self.heights) {
                (_, Some(_), None) => check.wrong("chips.widths", alone),
                (_, None, Some(_)) => check.wrong("chips.heights", alone),
                (Some(_), Some(_), Some(_)) => {
                    check.wrong(
                        "chips.sizes",
                        "draws squares, widths and heights draw rectangles: give just one",
                    );
                }
                _ => {}
            }
        }
        for (at, class) in self.target_classes.iter().enumerate() {
            classes::known(class, Path::from("chips.target_classes").index(at), list, check);
        }
        if check.sound(&["chips"]) && self.min_target_pixels > 0 && self.target_classes.is_empty() {
            check.wrong("chips.min_target_pixels", "counts pixels of target_classes, and there are none");
        }
    }
}
